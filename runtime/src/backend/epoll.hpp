// SPDX-License-Identifier: MIT
//
// The epoll backend.
#pragma once

#include "weir/backend/backend.hpp"
#include "weir/sys/fd.hpp"

struct epoll_event;

namespace weir {

class EpollBackend final : public Backend {
public:
    explicit EpollBackend(DescriptorTable& descriptors) noexcept : descriptors_(descriptors) {}

    Result<void> start() noexcept;

    [[nodiscard]] const char* name() const noexcept override { return "epoll"; }
    [[nodiscard]] long attempt(Operation& operation) noexcept override { return attempt_now(operation); }
    [[nodiscard]] long submit(Operation& operation) noexcept override;
    void cancel(Operation& operation) noexcept override;
    void forget(DescriptorEntry& entry) noexcept override;
    Result<void> wait(Instant until) noexcept override;
    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }
    [[nodiscard]] bool quiet() noexcept override;
    [[nodiscard]] int poll_fd() const noexcept override { return epoll_.get(); }
    [[nodiscard]] const Instant* clock() const noexcept override { return nullptr; }
    void end() noexcept override;

private:
    [[nodiscard]] long arm(DescriptorEntry& entry, std::uint8_t wanted) noexcept;
    void on_events(DescriptorEntry& entry, std::uint32_t events) noexcept;
    void finish(Operation& operation, long result) noexcept;
    // A 64-bit timespec, as epoll_pwait2 takes it on every architecture.
    struct KernelTimespec {
        std::int64_t seconds;
        std::int64_t nanoseconds;
    };
    // As epoll_pwait2 does, with or without it; null waits for ever.
    int wait_for(epoll_event* events, const KernelTimespec* timeout) noexcept;

    DescriptorTable& descriptors_;
    Fd epoll_;
    Instant asked_at_{};        // by the first quiet() after a wait
    bool just_waited_ = false;  // no quiet() since the last wait
    bool has_pwait2_ = true;
    std::size_t in_flight_ = 0;
};

}  // namespace weir
