// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"

#include "backend/epoll.hpp"

#include <algorithm>
#include <cstdio>
#include <new>

namespace weir {
namespace {

void explain(std::span<char> reason, const char* text, const Error* error) noexcept {
    if (reason.empty()) return;
    char cause[160] = "";
    if (error != nullptr) error->message(cause);
    std::snprintf(reason.data(), reason.size(), "%s%s%s", text, error != nullptr ? ": " : "", cause);
}

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

}  // namespace

std::optional<BackendChoice> backend_choice(std::string_view text) noexcept {
    if (text == "automatic") return BackendChoice::automatic;
    if (text == "io_uring") return BackendChoice::io_uring;
    if (text == "epoll") return BackendChoice::epoll;
    if (text == "simulated") return BackendChoice::simulated;
    return std::nullopt;
}

std::string_view text(BackendChoice choice) noexcept {
    switch (choice) {
        case BackendChoice::automatic: return "automatic";
        case BackendChoice::io_uring: return "io_uring";
        case BackendChoice::epoll: return "epoll";
        case BackendChoice::simulated: return "simulated";
    }
    return "unknown";
}

std::size_t backend_size_max() noexcept {
    return std::max({sizeof(EpollBackend), simulated_size(), uring_size()});
}

Result<Backend*> make_backend(BackendChoice choice, std::span<std::byte> memory, const BackendNeeds& needs,
                              std::span<char> reason) noexcept {
    switch (choice) {
        case BackendChoice::simulated: {
            auto made = make_simulated(memory, needs);
            if (made) {
                explain(reason, "simulated, as asked for", nullptr);
            } else {
                explain(reason, "the simulated backend was asked for and cannot be had", &made.error());
            }
            return made;
        }
        case BackendChoice::epoll: {
            explain(reason, "epoll, as asked for", nullptr);
            return make_epoll(memory, needs);
        }
        case BackendChoice::io_uring: {
            auto made = make_uring(memory, needs);
            if (made) {
                explain(reason, "io_uring, as asked for", nullptr);
            } else {
                explain(reason, "io_uring was asked for and cannot be had", &made.error());
            }
            return made;
        }
        case BackendChoice::automatic: break;
    }
    auto made = make_uring(memory, needs);
    if (made) {
        explain(reason, "io_uring, which this kernel offers with deferred completions", nullptr);
        return made;
    }
    explain(reason, "epoll, since io_uring cannot be had", &made.error());
    return make_epoll(memory, needs);
}

}  // namespace weir
