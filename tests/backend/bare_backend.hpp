// SPDX-License-Identifier: MIT
//
// A backend without a scheduler above it: its memory, its descriptor table, and operations that note how often and
// when they were done.
#pragma once

#include <weir/backend/backend.hpp>
#include <weir/sys/fd.hpp>

#include "backend/choice.hpp"
#include "support/catch.hpp"
#include "support/run.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::test {

/// An operation that counts its completions.
struct CountedOperation : Operation {
    CountedOperation(DescriptorEntry& where, Verb what, void* bytes = nullptr, std::size_t count = 0) noexcept
        : Operation(what) {
        entry = &where;
        data = bytes;
        size = count;
        stream = what == Verb::read || what == Verb::write || what == Verb::receive || what == Verb::send;
        done = [](Operation& self) noexcept { ++static_cast<CountedOperation&>(self).times_done; };
    }
    int times_done = 0;
};

/// The backend of this run of the tests, made by hand.
class BareBackend {
public:
    static constexpr std::size_t descriptors_max = 256;

    explicit BareBackend(std::uint64_t seed = first_seed(), unsigned submissions = 64,
                         std::optional<BackendChoice> choice = std::nullopt)
        : entries_(std::make_unique<std::array<DescriptorEntry, descriptors_max>>()) {
        simulation_.seed = seed;
        descriptors_.start(*entries_);
        REQUIRE(backend_size_max() <= memory_.size());
        const auto wanted = choice ? choice : backend_choice(backend_name());
        REQUIRE(wanted.has_value());
        const auto made = make_backend(*wanted, memory_, {descriptors_, submissions, &simulation_}, reason_);
        INFO(reason_.data());
        REQUIRE(made.has_value());
        backend_ = *made;
    }
    BareBackend(const BareBackend&) = delete;
    BareBackend& operator=(const BareBackend&) = delete;
    ~BareBackend() { backend_->end(); }

    Backend* operator->() noexcept { return backend_; }
    Backend& operator*() noexcept { return *backend_; }

    /// An entry that other threads make ready, for the simulated backend to wait for.
    DescriptorEntry& entry(const Fd& fd, bool nonblocking = true) {
        DescriptorEntry* const taken = descriptors_.take(fd.get(), nonblocking);
        REQUIRE(taken != nullptr);
        taken->external = true;
        return *taken;
    }
    void forget(DescriptorEntry& entry) {
        backend_->forget(entry);
        descriptors_.give_back(entry);
    }
    DescriptorTable& descriptors() noexcept { return descriptors_; }

    void submit(Operation& operation) {
        const long submitted = backend_->submit(operation);
        REQUIRE(submitted == 0);
    }
    void wait(Instant until) {
        const auto waited = backend_->wait(until);
        REQUIRE(waited.has_value());
    }
    /// Looks without waiting, often enough that whatever can complete has completed.
    void look() {
        for (int i = 0; i < 16; ++i) wait(Instant::min());
    }
    /// Waits until `operation` is done; it must be able to.
    void wait_for(const CountedOperation& operation) {
        while (operation.times_done == 0) wait(never);
    }
    [[nodiscard]] Instant now() const noexcept {
        return backend_->clock() != nullptr ? *backend_->clock() : MonotonicClock::now();
    }

private:
    SimulationOptions simulation_;
    DescriptorTable descriptors_;
    std::unique_ptr<std::array<DescriptorEntry, descriptors_max>> entries_;
    alignas(16) std::array<std::byte, 512> memory_{};
    std::array<char, 224> reason_{};
    Backend* backend_ = nullptr;
};

struct PipeEnds {
    PipeEnds() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        reader = Fd(ends[0]);
        writer = Fd(ends[1]);
    }
    Fd reader;
    Fd writer;
};

struct SocketEnds {
    SocketEnds() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        ours = Fd(ends[0]);
        theirs = Fd(ends[1]);
    }
    Fd ours;
    Fd theirs;
};

/// Writes all of it at once; there is room.
inline void put(const Fd& fd, std::string_view text) {
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// Writes until nothing fits any more; returns how many bytes did.
inline std::size_t fill(const Fd& fd) {
    static constexpr std::array<char, 4096> bytes{};
    std::size_t total = 0;
    for (std::size_t piece = bytes.size(); piece > 0; piece /= 2) {
        for (;;) {
            const ssize_t written = ::write(fd.get(), bytes.data(), piece);
            if (written <= 0) break;
            total += static_cast<std::size_t>(written);
        }
    }
    return total;
}

/// Reads all that is there without waiting; returns how many bytes it was.
inline std::size_t drain(const Fd& fd) {
    std::array<char, 4096> bytes;
    std::size_t total = 0;
    for (;;) {
        const ssize_t size = ::read(fd.get(), bytes.data(), bytes.size());
        if (size <= 0) return total;
        total += static_cast<std::size_t>(size);
    }
}

}  // namespace weir::test
