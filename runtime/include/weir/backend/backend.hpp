// SPDX-License-Identifier: MIT
//
// The contract between the scheduler and whatever turns operations into kernel work.
//
// A backend is used by one thread. It owes the scheduler this, and docs/backends.md says more for those who port
// weir to another one:
//
//   - attempt() tries without waiting; it may also guess that it would have to. Nothing is submitted.
//   - submit() takes an operation that would wait. `done` is called exactly once for it, from wait() or from
//     cancel(), never from submit(). If submit() returns an error the operation was not taken.
//   - cancel() is a request. The operation's `done` comes, now or later, with -ECANCELED or with what it had
//     already achieved: data that arrived wins.
//   - wait() hands the kernel everything submitted and collects what is done, waiting until `until` if nothing is.
//   - forget() is called before a descriptor is closed, with nothing in flight on it.
//
// All virtual functions are pure or inline, so that a program built with RTTI may derive from it.
#pragma once

#include "weir/backend/operation.hpp"
#include "weir/core/result.hpp"
#include "weir/core/time.hpp"

#include <cstdint>

namespace weir {

class Backend {
public:
    Backend() noexcept = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    [[nodiscard]] virtual const char* name() const noexcept = 0;
    /// The call's result or negative errno; -EAGAIN if the operation has to be submitted.
    [[nodiscard]] virtual long attempt(Operation& operation) noexcept = 0;
    /// 0, or the negative errno of why it cannot be waited for (-EPERM: not pollable).
    [[nodiscard]] virtual long submit(Operation& operation) noexcept = 0;
    virtual void cancel(Operation& operation) noexcept = 0;
    virtual void forget(DescriptorEntry& entry) noexcept = 0;
    /// `until` in the past, or Instant::min(), looks without waiting; `never` waits for a completion alone. An error
    /// is final: the backend can no longer wait.
    virtual Result<void> wait(Instant until) noexcept = 0;
    /// Operations submitted and not done.
    [[nodiscard]] virtual std::size_t in_flight() const noexcept = 0;
    /// Some of these are not with the kernel yet: only the next wait() brings them there, and may do so at once.
    [[nodiscard]] virtual bool holds_back() const noexcept { return false; }
    /// A look that makes no system call shows nothing to hand over or collect, or the last wait() was so short a while
    /// ago (`glance` at most) that it may be left out while tasks are ready.
    [[nodiscard]] virtual bool quiet() noexcept { return false; }
    static constexpr Duration glance = std::chrono::microseconds(50);
    /// A descriptor that polls readable when wait() has something to collect; -1 where there is none.
    [[nodiscard]] virtual int poll_fd() const noexcept = 0;
    /// The simulated clock, or null where time is real.
    [[nodiscard]] virtual const Instant* clock() const noexcept = 0;
    /// Gives the kernel's things back; nothing is in flight. Called once, instead of a destructor: a virtual one would
    /// bring operator delete along, and backends live in memory that is never freed.
    virtual void end() noexcept = 0;

protected:
    ~Backend() = default;
};

}  // namespace weir
