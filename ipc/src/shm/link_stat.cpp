// SPDX-License-Identifier: MIT
#include "weir/ipc/shm/link_stat.hpp"

#include "names/bound_name.hpp"
#include "shm/protocol.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <poll.h>

namespace weir::ipc {

std::string_view text(LinkViolation violation) noexcept {
    switch (violation) {
        case LinkViolation::none: return "did nothing wrong";
        case LinkViolation::packet: return "sent a packet that means nothing here";
        case LinkViolation::descriptors: return "sent descriptors";
        case LinkViolation::rings: return "rang too often";
        case LinkViolation::region: return "tampered with its region";
        case LinkViolation::memory: return "wrote impossible values into its memory";
    }
    return "did something unknown";
}

namespace {

constexpr const char* operation = "asking for the state of a name";
constexpr timespec pause{.tv_sec = 0, .tv_nsec = 2'000'000};

// One question. Errc::busy: the server had no place for us, or needed it for others.
Result<LinkStat> ask_once(const RuntimePath& path, Instant deadline) noexcept {
    long status = 0;
    const Fd socket = connect_to_name(path, status);
    if (status == -EAGAIN) return failure(Errc::busy, operation);  // many wait to be taken
    if (status < 0) return failure(Error::from_errno(operation, static_cast<int>(-status)));
    const Hello hello{.request = Request::stat};
    (void)sys::send(socket.get(), &hello, sizeof(hello));
    union {
        LinkStat stat;
        Answer answer;
    } said{.stat = {}};
    for (;;) {
        const long got = sys::receive(socket.get(), &said, sizeof(said));
        if (got == sizeof(LinkStat)) {
            if (said.stat.version == LinkStat::version_now) return said.stat;
            return failure(Errc::mismatch, operation, LinkStat::version_now, said.stat.version);
        }
        if (got == sizeof(Answer) && said.answer.verdict == Verdict::protocol)
            return failure(Errc::mismatch, operation, protocol_version, said.answer.protocol);
        if (got >= 0 || got == -ECONNRESET) return failure(Errc::busy, operation);
        if (got != -EAGAIN) return failure(Error::from_errno(operation, static_cast<int>(-got)));
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - MonotonicClock::now()).count();
        if (left <= 0) return failure(Errc::timed_out, operation);
        pollfd one{.fd = socket.get(), .events = POLLIN, .revents = 0};
        ::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    }
}

}  // namespace

Result<LinkStat> ask_link_stat(const RuntimeDirectory& directory, const Name& name,
                               Duration patience) noexcept {
    WEIR_TRY(const RuntimePath path, directory.path_of(name, link_suffix));
    const Instant deadline = after(MonotonicClock::now(), patience);
    for (;;) {
        auto asked = ask_once(path, deadline);
        if (asked || asked.error() != Errc::busy || MonotonicClock::now() >= deadline) return asked;
        ::nanosleep(&pause, nullptr);
    }
}

}  // namespace weir::ipc
