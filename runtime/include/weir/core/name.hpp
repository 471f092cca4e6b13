// SPDX-License-Identifier: MIT
//
// Bounded names.
//
// A name that crosses processes is at most 64 bytes of letters, digits and "-_./", does not begin with a dot
// or a slash, and has no empty or dotted part: "vehicle/pose". It is checked once, when it is made, and
// holds its own bytes.
#pragma once

#include "weir/core/result.hpp"

#include <array>
#include <compare>
#include <string_view>

namespace weir {

/// A bounded, checked name that owns its bytes. 66 bytes, trivially copyable.
class Name {
public:
    static constexpr std::size_t size_max = 64;

    /// A name known at compile time; a bad one does not compile.
    consteval Name(const char* text) : Name(std::string_view(text), Checked{}) {
        if (!valid(std::string_view(text))) a_name_has_1_to_64_bytes_of_letters_digits_and_punctuation();
    }

    /// A name that arrived at run time: Errc::invalid for a bad character, too_large beyond 64 bytes.
    [[nodiscard]] static Result<Name> make(std::string_view text) noexcept;

    [[nodiscard]] static constexpr bool valid(std::string_view text) noexcept {
        if (text.empty() || text.size() > size_max) return false;
        bool part_begins = true;
        for (const char c : text) {
            const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              c == '_' || c == '-';
            if (c == '/' || c == '.') {
                if (part_begins) return false;
            } else if (!word) {
                return false;
            }
            part_begins = c == '/';
        }
        return !part_begins;
    }

    [[nodiscard]] constexpr std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] constexpr const char* c_str() const noexcept { return bytes_.data(); }

    friend constexpr bool operator==(const Name& left, const Name& right) noexcept {
        return left.view() == right.view();
    }
    friend constexpr auto operator<=>(const Name& left, const Name& right) noexcept {
        return left.view() <=> right.view();
    }

private:
    // Not constexpr: reaching it while compiling is the error message.
    static void a_name_has_1_to_64_bytes_of_letters_digits_and_punctuation() noexcept {}

    struct Checked {};
    constexpr Name(std::string_view text, Checked) noexcept {
        size_ = static_cast<unsigned char>(text.size() <= size_max ? text.size() : size_max);
        for (std::size_t i = 0; i < size_; ++i) bytes_[i] = text[i];
    }

    std::array<char, size_max + 1> bytes_{};
    unsigned char size_ = 0;
};

}  // namespace weir
