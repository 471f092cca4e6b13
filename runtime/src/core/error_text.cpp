// SPDX-License-Identifier: MIT
//
// What errors say. The wordings are kept in one string, in which a text is found by counting: a table of addresses would
// take a third as much again.
#include "weir/core/error.hpp"

#include "weir/core/assert.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace weir {
namespace {

// strerror_r has two signatures; overloads choose the right reading of whichever the libc has.
[[maybe_unused]] const char* described(int status, const char* buffer) {
    return status == 0 ? buffer : "";
}
[[maybe_unused]] const char* described(const char* result, const char*) {
    return result;
}

// When a code's numbers are told.
constexpr char always = '*';
constexpr char if_a = 'a';
constexpr char if_b = 'b';
constexpr char if_they_differ = '!';
constexpr char if_a_without_errno =
    'e';  // with one the error is the kernel's, and the number is of a transfer

struct Wording {
    Errc code;
    std::string_view text;
    char when = always;
    std::string_view numbers{};  // with "%A" and "%B" where they stand
};

// In the order of the codes.
constexpr Wording wordings[] = {
    {Errc::cancelled, "cancelled"},
    {Errc::timed_out, "timed out"},
    {Errc::ended, "ended by the peer"},
    {Errc::peer_lost, "the peer was lost"},
    {Errc::refused, "nobody listens there"},
    {Errc::unreachable, "there is no way there"},
    {Errc::not_found, "not found"},
    {Errc::in_use, "already in use", if_a, " (by process %A)"},
    {Errc::denied, "permission denied", if_a_without_errno, " (user %A)"},
    {Errc::busy, "another task already waits here"},
    {Errc::would_block, "would block"},
    {Errc::invalid, "invalid argument", if_a_without_errno, " (%A)"},
    {Errc::too_large, "too large", if_b, " (%A, limit %B)"},
    {Errc::no_frame, "no task frame is left", always, " (Budget::frame_bytes is %B, it would take %A)"},
    {Errc::no_stack, "too many awaits inside each other", always,
     " (Budget::stack_bytes is %B, it would take %A)"},
    {Errc::no_descriptor, "the descriptor table is full", always, " (Budget::descriptors is %B)"},
    {Errc::no_group_slot, "no group slot is left", always, " (limit %B)"},
    {Errc::no_link, "no link is left", always, " (Budget::links is %B)"},
    {Errc::no_place, "no place is left", always, " (limit %B)"},
    {Errc::no_files, "no file descriptor is left"},
    {Errc::no_memory, "the kernel has no memory left"},
    {Errc::no_reader, "nobody reads there"},
    {Errc::wrong_kind, "the descriptor is of another kind"},
    {Errc::not_pollable, "the kernel cannot wait on this descriptor"},
    {Errc::unsupported, "not supported here"},
    {Errc::closed, "closed"},
    {Errc::stalled, "nothing can wake the remaining tasks"},
    {Errc::overflow, "more arrived than fits", if_b, " (%A, limit %B)"},
    {Errc::mismatch, "made differently", if_they_differ, " (%A here, %B there)"},
    {Errc::corrupt, "the peer broke the shared memory"},
    {Errc::rejected, "rejected by the server", if_a, " (status %A)"},
    {Errc::stuck, "the stopped program does not end", always, " (%A tasks live)"},
    {Errc::system, "system error"},
};
constexpr std::size_t wordings_count = std::size(wordings);
static_assert(wordings_count == static_cast<std::size_t>(Errc::system) + 1);

// The same as a program has it, without any address: for each code its text, then when its numbers are told and how, both
// terminated.
constexpr std::size_t packed_size() noexcept {
    std::size_t size = 0;
    for (const Wording& wording : wordings) {
        size += wording.text.size() + 1 + (wording.numbers.empty() ? 0 : 1) + wording.numbers.size() + 1;
    }
    return size;
}
constexpr auto packed = [] {
    std::array<char, packed_size()> all{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < wordings_count; ++i) {
        const Wording& wording = wordings[i];
        WEIR_ASSERT(wording.code == static_cast<Errc>(i));
        for (const char letter : wording.text) all[at++] = letter;
        ++at;
        if (!wording.numbers.empty()) all[at++] = wording.when;
        for (const char letter : wording.numbers) all[at++] = letter;
        ++at;
    }
    return all;
}();

const char* behind(const char* text) noexcept {
    return text + std::strlen(text) + 1;
}

const char* text_of(Errc code) noexcept {
    const char* text = packed.data();
    for (auto left = static_cast<unsigned>(code); left > 0; --left) text = behind(behind(text));
    return text;
}

class Line {
public:
    explicit Line(std::span<char> buffer) : buffer_(buffer) {}
    void add(char letter) {
        if (size_ + 1 < buffer_.size()) buffer_[size_++] = letter;
    }
    void add(const char* text) {
        for (; *text != '\0'; ++text) add(*text);
    }
    void add(std::uint64_t number) {
        char text[24];
        std::snprintf(text, sizeof(text), "%" PRIu64, number);
        add(text);
    }
    std::string_view end() {
        if (buffer_.empty()) return {};
        buffer_[size_] = '\0';
        return {buffer_.data(), size_};
    }

private:
    std::span<char> buffer_;
    std::size_t size_ = 0;
};

bool has_numbers(const Error& error, char when) {
    switch (when) {
        case always: return true;
        case if_a: return error.a != 0;
        case if_b: return error.b != 0;
        case if_they_differ: return error.a != error.b;
        case if_a_without_errno: return error.a != 0 && error.system_errno == 0;
        default: return false;  // none
    }
}

}  // namespace

std::string_view text(Errc code) noexcept {
    return static_cast<std::size_t>(code) < wordings_count ? text_of(code) : "unknown error";
}

std::string_view Error::message(std::span<char> buffer) const noexcept {
    Line line(buffer);
    if (operation != nullptr && operation[0] != '\0') {
        line.add(operation);
        line.add(": ");
    }
    const char* const said = text(code).data();
    line.add(said);
    if (static_cast<std::size_t>(code) < wordings_count) {
        const char* numbers = behind(said);
        if (has_numbers(*this, *numbers)) {
            while (*++numbers != '\0') {
                if (*numbers != '%')
                    line.add(*numbers);
                else
                    line.add(*++numbers == 'A' ? a : b);
            }
        }
    }
    if (system_errno != 0) {
        char text[128] = "";
        line.add(" [");
        line.add(described(::strerror_r(system_errno, text, sizeof(text)), text));
        line.add(", errno ");
        line.add(static_cast<std::uint64_t>(system_errno));
        line.add(']');
    }
    return line.end();
}

}  // namespace weir
