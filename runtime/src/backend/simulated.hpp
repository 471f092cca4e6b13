// SPDX-License-Identifier: MIT
//
// The simulated backend: real descriptors, simulated time and luck.
#pragma once

#include "weir/backend/backend.hpp"
#include "weir/backend/choice.hpp"
#include "weir/sys/faults.hpp"

namespace weir {

class SimulatedBackend final : public Backend, private sys::Faults {
public:
    explicit SimulatedBackend(const SimulationOptions& options) noexcept
        : options_(options), random_(options.seed) {}

    [[nodiscard]] const char* name() const noexcept override { return "simulated"; }
    [[nodiscard]] long attempt(Operation& operation) noexcept override;
    [[nodiscard]] long submit(Operation& operation) noexcept override;
    void cancel(Operation& operation) noexcept override;
    void forget(DescriptorEntry&) noexcept override {}
    Result<void> wait(Instant until) noexcept override;
    [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }
    [[nodiscard]] int poll_fd() const noexcept override { return -1; }
    [[nodiscard]] const Instant* clock() const noexcept override { return &now_; }
    void end() noexcept override {}

private:
    sys::Fault next(sys::Call call, int fd, std::size_t size) noexcept override;
    [[nodiscard]] bool happens(std::uint8_t chances_in_256) noexcept;
    [[nodiscard]] std::uint64_t draw() noexcept;
    [[nodiscard]] long attempt_with_faults(Operation& operation) noexcept;
    [[nodiscard]] bool is_ready(const Operation& operation) const noexcept;
    [[nodiscard]] std::size_t complete_some() noexcept;
    [[nodiscard]] Operation* pick_ready() noexcept;
    void finish(Operation& operation, long result) noexcept;
    Result<void> wait_for_outside() noexcept;

    SimulationOptions options_;
    std::uint64_t random_;
    List<OperationLinks> submitted_;
    std::size_t in_flight_ = 0;
    Instant now_ = instant_of_ns(1'000'000'000);
    const Operation* attempted_ = nullptr;  // whose call the faults are asked about
};

}  // namespace weir
