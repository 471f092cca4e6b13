// SPDX-License-Identifier: MIT
//
// What makes an object in a process that lacks memory, or whose runtime directory has no room.
#pragma once

#include <weir/ipc/names/runtime_directory.hpp>

#include "io/running.hpp"
#include "io/temporary_directory.hpp"
#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::test {

/// Another process, or this one (0), can map nothing more.
class AddressesUsedUp {
public:
    explicit AddressesUsedUp(pid_t process = 0) : process_(process) {
        ::prlimit(process_, RLIMIT_AS, nullptr, &before_);
        rlimit none = before_;
        none.rlim_cur = 4096;
        ::prlimit(process_, RLIMIT_AS, &none, nullptr);
    }
    AddressesUsedUp(const AddressesUsedUp&) = delete;
    AddressesUsedUp& operator=(const AddressesUsedUp&) = delete;
    ~AddressesUsedUp() { ::prlimit(process_, RLIMIT_AS, &before_, nullptr); }

    /// Not where an emulator ignores it, nor under a sanitizer, which has taken more than there is.
    static bool possible() {
        const auto end = run_in_child([] {
            std::size_t pages = 0;
            if (std::FILE* const statm = std::fopen("/proc/self/statm", "r"); statm != nullptr) {
                if (std::fscanf(statm, "%zu", &pages) != 1) pages = 0;
                std::fclose(statm);
            }
            if (std::uint64_t{pages} * 4096 > (std::uint64_t{1} << 40)) return 1;
            const AddressesUsedUp none;
            void* const more = ::mmap(nullptr, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            return more == MAP_FAILED ? 0 : 1;
        });
        return end.exit_status == 0;
    }

private:
    pid_t process_;
    rlimit before_{};
};

/// A small file system for this process alone, at `path`: false where nobody may mount.
inline bool mount_small(const char* path, const char* options) {
    return ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
           ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("weir", path, "tmpfs", 0, options) == 0;
}

inline constexpr int cannot_starve_status = 77;

/// In a child each: `make(scheduler, directory)` in want of something has to give no_memory, with nothing left in the
/// directory and in the scheduler, which goes on; and to succeed where the want is over. `make` gives the error's code.
/// What `shares_memory` only with a client, later, needs no pages of the kernel's now.
template <class Make>
void check_starved(bool shares_memory, Make make) {
    enum class Want { pages, kernel_memory, addresses, inodes, shm };
    const bool mounts = ::geteuid() == 0;
    for (const Want want : {Want::pages, Want::kernel_memory, Want::addresses, Want::inodes, Want::shm}) {
        if (!shares_memory && (want == Want::pages || want == Want::kernel_memory)) continue;
        if (want == Want::addresses && !AddressesUsedUp::possible()) continue;
        if ((want == Want::inodes || want == Want::shm) && !mounts) continue;
        const TemporaryDirectory temporary;
        const auto end = run_in_child([&] {
            const std::string path(temporary.path());
            if (want == Want::inodes && !mount_small(path.c_str(), "nr_inodes=1"))
                return cannot_starve_status;
            if (want == Want::shm && !mount_small("/dev/shm", "nr_inodes=1")) return cannot_starve_status;
            const auto directory = ipc::RuntimeDirectory::at(path);
            Running running;
            if (want == Want::pages && !forbid_call(SYS_fallocate, ENOSPC)) return cannot_starve_status;
            if (want == Want::kernel_memory && !forbid_call(SYS_fallocate, ENOMEM))
                return cannot_starve_status;
            std::optional<Errc> code;
            {
                std::optional<AddressesUsedUp> addresses;
                if (want == Want::addresses) addresses.emplace();
                code = make(*running, *directory);
            }
            // Nothing of weir's lies there.
            if (want == Want::shm) return code == std::nullopt ? 0 : 1;
            if (code != Errc::no_memory) return 2;
            if (!std::filesystem::is_empty(path)) return 3;
            running.must_run([](Scheduler&) -> Task<> {
                WEIR_CO_CHECK(sleep_for(std::chrono::milliseconds(1)));
            }(*running));
            if (running->usage().links != 0) return 4;
            if (want == Want::inodes) ::mount("", path.c_str(), "", MS_REMOUNT, "nr_inodes=100");
            const bool over = want == Want::inodes || want == Want::addresses;
            return !over || make(*running, *directory) == std::nullopt ? 0 : 5;
        });
        INFO("want " << static_cast<int>(want) << ' ' << end.errors);
        if (end.exit_status != cannot_starve_status) CHECK(end.exit_status == 0);
    }
}

/// A server that can map nothing says so to who opens it, and lets in the next one when it can.
template <class Opens, class Place>
Task<> open_while_server_lacks_memory(Scheduler& scheduler, pid_t server, Opens opens, const Place& place) {
    {
        const AddressesUsedUp none(server);
        const auto opened = co_await opens(scheduler, place);
        CHECK_IN_TASK(code_of(opened) == Errc::no_memory);
    }
    const auto opened = co_await opens(scheduler, place);
    CHECK_IN_TASK(opened.has_value());
}

}  // namespace weir::test
