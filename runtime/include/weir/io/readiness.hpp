// SPDX-License-Identifier: MIT
//
// Waiting on a descriptor that belongs to somebody else: how weir drives another library.
#pragma once

#include "weir/io/handle.hpp"

namespace weir {

/// See readable() and writable().
class [[nodiscard]] ForeignReadiness : public Awaitable<ForeignReadiness> {
public:
    using Outcome = Result<void>;
    ForeignReadiness(int fd, Operation::Verb verb) noexcept : fd_(fd), verb_(verb) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(ForeignReadiness&& readiness) noexcept
            : OperationWait(readiness.verb_ == Operation::Verb::readable ? in : out, readiness.verb_),
              fd_(readiness.fd_) {}
        bool start(const Start& start) noexcept;
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind in{"readable", &visit_fd};
        static constexpr Pending::Kind out{"writable", &visit_fd};
        int fd_;
        std::uint32_t generation_ = 0;  // of the entry when it was taken
        Scheduler* scheduler_ = nullptr;
    };

private:
    int fd_;
    Operation::Verb verb_;
};

/// Waits until `fd` is readable (or at its end, or broken: the next read tells). The descriptor stays its owner's,
/// is never changed, and is known to the kernel's queue only while the await lasts, so its owner may close it
/// afterwards. Errors: busy (a task already waits for this fd and direction), closed (not open), not_pollable,
/// cancelled, timed_out, no_descriptor.
[[nodiscard]] inline ForeignReadiness readable(int fd) noexcept {
    return {fd, Operation::Verb::readable};
}
/// Waits until `fd` is writable (or broken). Otherwise as readable().
[[nodiscard]] inline ForeignReadiness writable(int fd) noexcept {
    return {fd, Operation::Verb::writable};
}

}  // namespace weir
