// SPDX-License-Identifier: MIT
//
// Several sets may want the same signal, but a thread blocks it once: so each thread counts its sets, and the last to
// close unblocks what the first had blocked.
#include "weir/io/signal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/signalfd.h>
#include <unistd.h>

namespace weir {
namespace {

struct BlockedSignals {
    std::uint16_t sets[NSIG];  // that want the signal
    bool was_blocked[NSIG];    // before the first of them
};
constinit thread_local BlockedSignals blocked{};

}  // namespace

Result<SignalSet> SignalSet::block(std::initializer_list<int> signals) noexcept {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    for (const int signal : signals) {
        // The kernel would leave these two out silently.
        if (signal == SIGKILL || signal == SIGSTOP || ::sigaddset(&wanted, signal) < 0) {
            return failure(Errc::invalid, "signal block", static_cast<std::uint64_t>(std::max(signal, 0)));
        }
    }
    Fd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) return failure(Error::from_errno("signalfd", errno));
    sigset_t before;
    const int status = ::pthread_sigmask(SIG_BLOCK, &wanted, &before);
    if (status != 0) return failure(Error::from_errno("signal block", status));
    SignalSet set;
    static_cast<Handle&>(set) = Handle(std::move(fd));
    set.signals_ = wanted;
    for (int signal = 1; signal < NSIG; ++signal) {
        if (::sigismember(&wanted, signal) != 1) continue;
        if (blocked.sets[signal]++ == 0) blocked.was_blocked[signal] = ::sigismember(&before, signal) == 1;
    }
    return set;
}

Result<SignalSet> SignalSet::adopt(int fd) noexcept {
    WEIR_TRY(SignalSet set, adopt_as<SignalSet>(fd, handle_kind::signalfd, "adopt signalfd"));
    set.adopted_ = true;
    return set;
}

SignalSet& SignalSet::operator=(SignalSet&& other) noexcept {
    if (this == &other) return *this;
    close();
    Handle::operator=(static_cast<Handle&&>(other));  // moves the base alone
    signals_ = other.signals_;
    adopted_ = other.adopted_;
    return *this;
}

void SignalSet::close() noexcept {
    if (Handle::fd() < 0) return;
    if (adopted_) {
        Handle::close();
        return;
    }
    sigset_t unblocked;
    ::sigemptyset(&unblocked);
    bool any = false;
    for (int signal = 1; signal < NSIG; ++signal) {
        if (::sigismember(&signals_, signal) != 1 || blocked.sets[signal] == 0) continue;
        if (--blocked.sets[signal] > 0 || blocked.was_blocked[signal]) continue;
        ::sigaddset(&unblocked, signal);
        any = true;
    }
    // Unblocking a pending signal would deliver it with its default action, which ends the process: whoever closes
    // the last set has seen what it wanted to see. What stays blocked stays pending, for the other sets.
    if (any && ::signalfd(Handle::fd(), &unblocked, SFD_CLOEXEC | SFD_NONBLOCK) >= 0) {
        signalfd_siginfo dropped;
        while (::read(Handle::fd(), &dropped, sizeof(dropped)) > 0) {}
        ::pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
    }
    Handle::close();
}

NextSignal SignalSet::next() noexcept {
    return NextSignal(*this);
}

NextSignal::Wait::Wait(NextSignal&& next) noexcept
    : OperationWait(kind, Operation::Verb::read), signals_(*next.signals_) {
    static_assert(sizeof(signalfd_siginfo) == record_size);
    data = record_.data();
    size = record_.size();
}

Result<SignalInfo> NextSignal::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    signalfd_siginfo info;
    std::memcpy(&info, record_.data(), sizeof(info));
    return SignalInfo{.signal = static_cast<int>(info.ssi_signo),
                      .pid = static_cast<std::int32_t>(info.ssi_pid),
                      .uid = info.ssi_uid,
                      .code = info.ssi_code,
                      .value = info.ssi_int};
}

}  // namespace weir
