// SPDX-License-Identifier: MIT
//
// The io_uring backend.
#pragma once

#include "weir/backend/backend.hpp"

#include <liburing.h>

namespace weir {

class UringBackend final : public Backend {
public:
    UringBackend() noexcept = default;

    /// Sets the ring up with room for `submissions` between two waits (rounded up to a power of two). Errors:
    /// denied or unsupported where it is forbidden or absent, invalid where the kernel is older than 6.1.
    Result<void> start(unsigned submissions) noexcept;

    [[nodiscard]] const char* name() const noexcept override { return "io_uring"; }
    [[nodiscard]] long attempt(Operation& operation) noexcept override;
    [[nodiscard]] long submit(Operation& operation) noexcept override;
    void cancel(Operation& operation) noexcept override;
    void forget(DescriptorEntry&) noexcept override {}
    Result<void> wait(Instant until) noexcept override;
    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }
    [[nodiscard]] bool holds_back() const noexcept override {
        return in_flight_ > 0 && ::io_uring_sq_ready(&ring_) > 0;
    }
    [[nodiscard]] bool quiet() noexcept override;
    [[nodiscard]] int poll_fd() const noexcept override { return ring_.ring_fd; }
    [[nodiscard]] const Instant* clock() const noexcept override { return nullptr; }
    void end() noexcept override;

private:
    [[nodiscard]] io_uring_sqe* entry_for_submission() noexcept;
    /// How the queue serves an operation.
    enum class Means : std::uint8_t {
        transfer,      ///< it moves the data
        poll,          ///< it tells once that the try is due
        lasting_poll,  ///< it tells each time that something happens to the descriptor
    };
    [[nodiscard]] long queue(Operation& operation, Means means) noexcept;
    void on_completion(std::uint64_t tag, int result, std::uint32_t flags) noexcept;
    void on_own_completion(Operation& operation, int result, bool lasts) noexcept;
    void submit_cancel(Operation& operation) noexcept;
    void submit_late_cancels() noexcept;
    void finish(Operation& operation) noexcept;
    void collect() noexcept;

    io_uring ring_{};
    List<OperationLinks> uncancelled_;  // cancels for which there was no room
    bool started_ = false;
    unsigned done_in_wait_ = 0;  // completions that the last one collected
    std::size_t in_flight_ = 0;
};

}  // namespace weir
