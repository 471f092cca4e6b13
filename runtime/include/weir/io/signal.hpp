// SPDX-License-Identifier: MIT
//
// Signals as values.
//
//     WEIR_CO_TRY(auto quit, SignalSet::block({SIGINT, SIGTERM}));
//     WEIR_CO_TRY(auto got, quit.next());
#pragma once

#include "weir/io/handle.hpp"

#include <csignal>
#include <cstdint>
#include <initializer_list>

namespace weir {

/// One signal that arrived.
struct SignalInfo {
    int signal;        ///< SIGTERM, …
    std::int32_t pid;  ///< who sent it with kill(2); 0 from the kernel
    std::uint32_t uid;
    std::int32_t code;   ///< si_code
    std::int32_t value;  ///< what sigqueue(3) sent along
};

class NextSignal;

/// Signals that are blocked in this thread and read one by one. Block them in the first thread before others are
/// started, since a thread that does not block them may take them. Equal signals that arrive while one is pending
/// are one, as ever.
class SignalSet : public Handle {
public:
    SignalSet() noexcept = default;
    SignalSet(SignalSet&& other) noexcept = default;
    SignalSet& operator=(SignalSet&& other) noexcept;
    /// Drops what is pending, then unblocks what block() had blocked, but for what another set of this thread wants.
    ~SignalSet() { close(); }

    /// Errors: invalid (no such signal, SIGKILL, SIGSTOP), no_files.
    static Result<SignalSet> block(std::initializer_list<int> signals) noexcept;

    /// Takes over a signalfd in whose mask the signals are blocked already; closing it unblocks nothing. Errors:
    /// wrong_kind, closed.
    static Result<SignalSet> adopt(int fd) noexcept;

    /// Errors: busy, cancelled, timed_out, no_descriptor. A signal is never lost by an error.
    [[nodiscard]] NextSignal next() noexcept;

    void close() noexcept;
    /// Gives the signalfd to the caller; the signals stay blocked.
    [[nodiscard]] int release() noexcept { return Handle::release(); }

private:
    bool adopted_ = false;
    sigset_t signals_{};
};

class [[nodiscard]] NextSignal : public Awaitable<NextSignal> {
public:
    using Outcome = Result<SignalInfo>;
    explicit NextSignal(SignalSet& signals) noexcept : signals_(&signals) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(NextSignal&& next) noexcept;
        bool start(const Start& start) noexcept { return start_on(signals_, start); }
        Result<SignalInfo> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"signal", &visit_fd};
        static constexpr std::size_t record_size = 128;  // sizeof(signalfd_siginfo), fixed by the kernel
        SignalSet& signals_;
        alignas(8) std::array<std::byte, record_size> record_;
    };

private:
    SignalSet* signals_;
};

}  // namespace weir
