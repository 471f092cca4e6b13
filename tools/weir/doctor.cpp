// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include "findings.hpp"
#include "kernel_probe.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <memory>
#include <optional>
#include <sched.h>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace weir::tool {
namespace {

constexpr int oldest_major = 5;  // docs/backends.md: the floor is Linux 5.10
constexpr int oldest_minor = 10;

std::string why(Refusal refused) {
    if (refused == ENOSYS) return "this kernel has it not, or a sandbox forbids it [errno 38]";
    if (refused == EPERM || refused == EACCES)
        return std::string("forbidden by a sandbox or a policy [") + std::strerror(refused) + "]";
    return std::strerror(refused);
}

/// One number from /proc; nothing if the file is not there or holds something else.
std::optional<std::uint64_t> number_in(const char* path) {
    std::FILE* const file = std::fopen(path, "re");
    if (file == nullptr) return std::nullopt;
    std::uint64_t number = 0;
    const bool read = std::fscanf(file, "%" SCNu64, &number) == 1;
    std::fclose(file);
    if (!read) return std::nullopt;
    return number;
}

std::string text_of_limit(rlim_t limit) {
    return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}
rlimit limit_of(decltype(RLIMIT_NOFILE) resource) {
    rlimit limit{};
    ::getrlimit(resource, &limit);
    return limit;
}

void look_at_kernel(Findings& say) {
    utsname names{};
    ::uname(&names);
    int first = 0;
    int second = 0;
    const bool read = std::sscanf(names.release, "%d.%d", &first, &second) == 2;
    const bool enough = read && (first > oldest_major || (first == oldest_major && second >= oldest_minor));
    if (enough) {
        say.ok("kernel", "%s %s, %s", names.sysname, names.release, names.machine);
    } else {
        say.bad("kernel", "%s %s, %s; weir needs Linux %d.%d", names.sysname, names.release, names.machine,
                oldest_major, oldest_minor);
    }
}

void look_at_io_uring(Findings& say) {
    const UringOffer offer = probe_io_uring();
    if (offer.refusal != 0) {
        say.note("io_uring", "%s", why(offer.refusal).c_str());
    } else if (!offer.deferred) {
        say.note("io_uring",
                 "offered without deferred completions (%s), which weir needs and Linux has since 6.1",
                 offer.single_issuer ? "SINGLE_ISSUER yes, DEFER_TASKRUN no"
                                     : "SINGLE_ISSUER no, DEFER_TASKRUN no");
    } else {
        say.ok("io_uring", "offered, with SINGLE_ISSUER and DEFER_TASKRUN");
    }
    if (offer.refusal == 0 && offer.probed) {
        const auto has = [](bool yes) { return yes ? "yes" : "no"; };
        const bool all = offer.has_read && offer.has_receive && offer.has_poll && offer.has_cancel;
        const auto tell = all ? &Findings::ok : &Findings::note;
        (say.*tell)("io_uring operations", "read %s, receive %s, poll %s, cancel %s", has(offer.has_read),
                    has(offer.has_receive), has(offer.has_poll), has(offer.has_cancel));
    }
    if (const auto disabled = number_in("/proc/sys/kernel/io_uring_disabled"); disabled) {
        constexpr const char* meanings[] = {"0, open to all", "1, only for the privileged", "2, off"};
        const auto tell = *disabled == 0 ? &Findings::ok : &Findings::note;
        (say.*tell)("kernel.io_uring_disabled", "%s", meanings[*disabled > 2 ? 2 : *disabled]);
    }
}

/// A call that weir can do without: `instead` says how.
void look_at_optional(Findings& say, const char* name, Refusal refused, const char* instead) {
    if (refused == 0) {
        say.ok(name, "there");
    } else {
        say.note(name, "%s; %s", why(refused).c_str(), instead);
    }
}
/// A call without which `loss` does not work.
void look_at_needed(Findings& say, const char* name, Refusal refused, const char* loss) {
    if (refused == 0) {
        say.ok(name, "there");
    } else {
        say.bad(name, "%s; without it %s", why(refused).c_str(), loss);
    }
}

void look_at_calls(Findings& say) {
    look_at_needed(say, "epoll", probe_epoll(), "there is no epoll backend");
    look_at_optional(say, "epoll_pwait2", probe_epoll_pwait2(), "the epoll backend waits by ppoll first");
    look_at_needed(say, "eventfd", probe_eventfd(),
                   "EventFd, Remote and the bells of shared memory do not work");
    look_at_needed(say, "signalfd", probe_signalfd(), "SignalSet does not work");
    look_at_needed(say, "pidfd_open", probe_pidfd(),
                   "Process does not work, and a peer's end is learned from its socket alone");
    look_at_optional(say, "close_range", probe_close_range(),
                     "/proc tells which descriptors a spawned child must not have");
    look_at_needed(say, "memfd", probe_memfd(), "shared memory does not work");
    look_at_needed(say, "memfd seals", probe_memfd_seals(), "shared memory does not work");
    look_at_needed(say, "message queues", probe_message_queues(), "MessageQueue does not work");
    if (::access("/proc/self/fd", R_OK) == 0) {
        say.ok("/proc", "there");
    } else {
        say.note("/proc", "not there; Process::adopt() does not work");
    }
}

void look_at_backend(Findings& say) {
    const auto scheduler = std::make_unique<StaticScheduler<small_budget>>();
    const auto started = scheduler->start();
    const auto reason = scheduler->backend_reason();
    const auto tell = started ? &Findings::ok : &Findings::bad;
    (say.*tell)("backend", "%.*s", static_cast<int>(reason.size()), reason.data());
}

void look_at_processors(Findings& say) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    const int count = ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    if (count == 1) {
        say.note("processors", "1 allowed to us; nothing ever spins");
    } else {
        say.ok("processors", "%d allowed to us", count);
    }
}

void look_at_limits(Findings& say) {
    const rlimit files = limit_of(RLIMIT_NOFILE);
    const auto tell_files = files.rlim_cur < 256 ? &Findings::note : &Findings::ok;
    (say.*tell_files)(
        "RLIMIT_NOFILE", "%s descriptors (hard limit %s)%s", text_of_limit(files.rlim_cur).c_str(),
        text_of_limit(files.rlim_max).c_str(),
        files.rlim_cur < 256 ? "; few for a server: accept pauses while there is none left" : "");
    const rlimit locked = limit_of(RLIMIT_MEMLOCK);
    say.ok("RLIMIT_MEMLOCK", "%s bytes; matters to mlockall, and before Linux 5.12 to io_uring",
           text_of_limit(locked.rlim_cur).c_str());
    const rlimit size = limit_of(RLIMIT_FSIZE);
    if (size.rlim_cur != RLIM_INFINITY)
        say.note("RLIMIT_FSIZE", "%s bytes; no shared region is larger",
                 text_of_limit(size.rlim_cur).c_str());
    const rlimit space = limit_of(RLIMIT_AS);
    if (space.rlim_cur != RLIM_INFINITY)
        say.note("RLIMIT_AS", "%s bytes of address space, shared regions among them",
                 text_of_limit(space.rlim_cur).c_str());
    if (const auto backlog = number_in("/proc/sys/net/core/somaxconn"); backlog)
        say.ok("somaxconn", "%" PRIu64 " connections; a larger backlog is cut to it", *backlog);
    if (const auto scope = number_in("/proc/sys/kernel/yama/ptrace_scope"); scope && *scope != 0)
        say.note("ptrace_scope", "%" PRIu64 "; gdb attaches to its own children only, or as root", *scope);
}

void look_at_queue_limits(Findings& say) {
    const rlimit bytes = limit_of(RLIMIT_MSGQUEUE);
    say.ok("RLIMIT_MSGQUEUE", "%s bytes for all message queues of this user",
           text_of_limit(bytes.rlim_cur).c_str());
    const auto depth = number_in("/proc/sys/fs/mqueue/msg_max");
    const auto size = number_in("/proc/sys/fs/mqueue/msgsize_max");
    const auto queues = number_in("/proc/sys/fs/mqueue/queues_max");
    if (depth) {
        const auto tell = *depth < 64 ? &Findings::note : &Findings::ok;
        (say.*tell)("msg_max", "%" PRIu64 " messages in a queue; a deeper one is refused to the unprivileged",
                    *depth);
    }
    if (size) say.ok("msgsize_max", "%" PRIu64 " bytes in a message", *size);
    if (queues) say.ok("queues_max", "%" PRIu64 " message queues", *queues);
}

void look_at_shared_memory(Findings& say) {
    struct statvfs status {};
    if (::statvfs("/dev/shm", &status) != 0) {
        say.note("/dev/shm", "not there [%s]; rings do not need it, named semaphores do",
                 std::strerror(errno));
        return;
    }
    const std::uint64_t unit = status.f_frsize;
    const std::uint64_t whole = status.f_blocks * unit;
    const std::uint64_t free = status.f_bavail * unit;
    const bool tight = whole != 0 && free < 1024 * 1024;
    const auto tell = tight ? &Findings::note : &Findings::ok;
    (say.*tell)("/dev/shm", "%" PRIu64 " KiB, of which %" PRIu64 " KiB are free", whole / 1024, free / 1024);
}

void look_at_runtime_directory(Findings& say) {
    const auto found = ipc::RuntimeDirectory::find();
    char text[160];
    if (!found) {
        found.error().message(text);
        say.bad("runtime directory", "%s; nothing can be served or opened by name", text);
        return;
    }
    const auto reason = std::string(found->reason());
    if (::access(found->c_str(), F_OK) != 0) {
        const std::string path = found->c_str();
        const std::string parent = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
        if (::access(parent.c_str(), W_OK | X_OK) == 0) {
            say.ok("runtime directory", "%s, %s; the first server makes it", path.c_str(), reason.c_str());
        } else {
            say.bad("runtime directory", "%s, %s; it is not there, and we may not make it", path.c_str(),
                    reason.c_str());
        }
        return;
    }
    const auto checked = found->make();  // it is there: this only looks
    if (checked) {
        say.ok("runtime directory", "%s, %s", found->c_str(), reason.c_str());
    } else {
        checked.error().message(text);
        say.bad("runtime directory", "%s, %s; %s", found->c_str(), reason.c_str(), text);
    }
}

}  // namespace

int doctor(std::FILE* out) noexcept {
    Findings say(out);
    look_at_kernel(say);
    look_at_io_uring(say);
    look_at_calls(say);
    look_at_backend(say);
    look_at_processors(say);
    look_at_limits(say);
    look_at_queue_limits(say);
    look_at_shared_memory(say);
    look_at_runtime_directory(say);
    if (say.bad_count() == 0) {
        std::fputs("fit\n", out);
        return 0;
    }
    std::fprintf(out, "not fit: %d of these will not work\n", say.bad_count());
    return 1;
}

}  // namespace weir::tool
