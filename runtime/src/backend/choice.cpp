// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"

#include "backend/epoll.hpp"

#include <algorithm>
#include <iterator>
#include <new>

namespace weir {
namespace {

constexpr const char* names[] = {"automatic", "io_uring", "epoll", "simulated"};  // by their numbers
static_assert(std::size(names) == static_cast<std::size_t>(BackendChoice::simulated) + 1);

Result<Backend*> make_epoll(std::span<std::byte> memory, const BackendNeeds& needs) noexcept {
    WEIR_ASSERT(memory.size() >= sizeof(EpollBackend));
    auto* const backend = ::new (memory.data()) EpollBackend(needs.descriptors);
    const auto started = backend->start();
    if (!started) {
        backend->end();
        return failure(started.error());
    }
    return backend;
}

// For one that was asked for by name.
Result<Backend*> said(Result<Backend*> made, const char* name, std::span<char> reason) noexcept {
    if (made)
        explain(reason, name, ", as asked for", nullptr);
    else
        explain(reason, name, " was asked for and cannot be had: ", &made.error());
    return made;
}

}  // namespace

// By hand: a small program has no other use for memcmp.
std::optional<BackendChoice> backend_choice(const char* text, std::size_t size) noexcept {
    for (std::size_t i = 0; i < std::size(names); ++i) {
        const char* const name = names[i];
        std::size_t same = 0;
        while (same < size && name[same] == text[same] && text[same] != '\0') ++same;
        if (name[same] == '\0' && (same == size || text[same] == '\0')) return static_cast<BackendChoice>(i);
    }
    return std::nullopt;
}

std::optional<BackendChoice> backend_choice(std::string_view text) noexcept {
    return backend_choice(text.data(), text.size());
}

std::string_view text(BackendChoice choice) noexcept {
    const auto index = static_cast<std::size_t>(choice);
    return index < std::size(names) ? names[index] : "unknown";
}

std::size_t backend_size_max() noexcept {
    return std::max({sizeof(EpollBackend), simulated_size(), uring_size()});
}

Result<Backend*> make_backend(BackendChoice choice, std::span<std::byte> memory, const BackendNeeds& needs,
                              std::span<char> reason) noexcept {
    const char* const name = names[static_cast<std::size_t>(choice)];
    switch (choice) {
        case BackendChoice::automatic: break;
        case BackendChoice::io_uring: return said(make_uring(memory, needs), name, reason);
        case BackendChoice::epoll: return said(make_epoll(memory, needs), name, reason);
        case BackendChoice::simulated: return said(make_simulated(memory, needs), name, reason);
    }
    auto made = make_uring(memory, needs);
    if (made) {
        explain(reason, "io_uring", ", which this kernel offers with deferred completions", nullptr);
        return made;
    }
    explain(reason, "epoll", ", since io_uring cannot be had: ", &made.error());
    return make_epoll(memory, needs);
}

}  // namespace weir
