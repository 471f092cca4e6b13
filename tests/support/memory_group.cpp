// SPDX-License-Identifier: MIT
//
// Version 1 has a hierarchy for memory alone: a group is made below the test's own. In version 2 a group with processes
// has no children with limits, but for the root: so it is made in the nearest ancestor that gives its children the
// memory controller, which is the parent of the test's own group as a rule. What ancestors give is not changed.
#include "memory_group.hpp"

#include "catch.hpp"
#include "child.hpp"
#include "skip.hpp"

#include <array>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::test {

namespace {

constexpr const char* prefix = "weir-test-";
constexpr int removal_turns_max =
    10'000;  // of a millisecond: a process is gone from its group shortly after its end

struct Parent {
    std::string folder;
    bool version_2 = false;
};

/// Whether `word` is among those that `separator` separates.
bool lists(const std::string& words, const std::string& word, char separator) {
    std::istringstream in(words);
    for (std::string one; std::getline(in, one, separator);)
        if (one == word) return true;
    return false;
}

/// Of the line of /proc/self/cgroup with this controller; none for version 2.
std::string own_path(const std::string& controller) {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool found = controller.empty() ? line.starts_with("0::") : lists(controllers, controller, ',');
        if (found) return line.substr(second + 1);
    }
    return {};
}

/// The folder of the test's own group, if that hierarchy is mounted, else nothing; and where the mount begins.
std::pair<std::string, std::string> own_folder(const std::string& type, const std::string& controller) {
    const std::string path = own_path(controller);
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; !path.empty() && std::getline(mounts, line);) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        std::string skipped, root, point, found_type, source, options;
        std::istringstream(line) >> skipped >> skipped >> skipped >> root >> point;
        std::istringstream(line.substr(dash + 3)) >> found_type >> source >> options;
        if (found_type != type || (!controller.empty() && !lists(options, controller, ','))) continue;
        if (root == "/") root.clear();
        // A container may see another root than its groups are told from.
        const std::string below = path.starts_with(root) ? path.substr(root.size()) : "";
        return {point + (below == "/" ? "" : below), point};
    }
    return {};
}

Parent find_parent() {
    if (const auto own = own_folder("cgroup", "memory"); !own.first.empty()) return {own.first, false};
    const auto [own, root] = own_folder("cgroup2", "");
    for (std::filesystem::path folder = own; !own.empty(); folder = folder.parent_path()) {
        std::string given;
        std::getline(std::ifstream(folder / "cgroup.subtree_control"), given);
        if (lists(given, "memory", ' ')) return {folder, true};
        if (folder == root || folder == folder.root_path()) break;
    }
    return {};
}

const Parent& parent() {
    static const Parent found = find_parent();
    return found;
}

[[noreturn]] void end_process(const char* path) noexcept {
    std::fprintf(stderr, "%s: %s\n", path, std::strerror(errno));
    ::_exit(1);
}

bool write_to(const char* path, const char* text) noexcept {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const auto size = static_cast<ssize_t>(std::strlen(text));
    const bool written = ::write(fd, text, static_cast<std::size_t>(size)) == size;
    const int error = errno;
    ::close(fd);
    errno = error;
    return written;
}

/// The number after `word`, or the one that is alone in the file for an empty word.
bool read_number(const char* path, const char* word, std::uint64_t& number) noexcept {
    std::array<char, 4096> text{};
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t size = ::read(fd, text.data(), text.size() - 1);
    ::close(fd);
    const char* const found = size > 0 ? std::strstr(text.data(), word) : nullptr;
    if (found == nullptr) return false;
    number = std::strtoull(found + std::strlen(word), nullptr, 10);
    return true;
}

void remove_group(const char* folder) {
    for (int turn = 0; ::rmdir(folder) != 0 && errno == EBUSY && turn < removal_turns_max; ++turn)
        ::usleep(1'000);
}

void remove_what_the_dead_left(const std::string& folder) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(prefix)) continue;
        const pid_t owner = std::atoi(name.c_str() + std::strlen(prefix));
        // One that still has processes stays: the kernel sees to it.
        if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) ::rmdir(entry.path().c_str());
    }
}

std::string next_folder() {
    static int made = 0;
    return parent().folder + '/' + prefix + std::to_string(::getpid()) + '-' + std::to_string(made++);
}

std::string find_reason() {
    if (parent().folder.empty()) return "no control groups for memory are mounted, or given to children";
    const std::string folder = next_folder();
    if (::mkdir(folder.c_str(), 0755) != 0)
        return "no control group for memory can be made: " + std::string(std::strerror(errno));
    ::rmdir(folder.c_str());
    const MemoryGroup group;
    const auto end = run_in_child([&] {
        group.join();
        group.allow_more(memory_headroom);
        return 0;
    });
    if (end.exit_status == 0) return {};
    return "no control group for memory can be used: " + end.errors;
}

}  // namespace

const std::string& MemoryGroup::why_none() {
    static const std::string reason = find_reason();
    return reason;
}

MemoryGroup::MemoryGroup() : folder_(next_folder()) {
    remove_what_the_dead_left(parent().folder);
    const bool made = ::mkdir(folder_.c_str(), 0755) == 0;
    INFO(folder_ << ": " << std::strerror(errno));
    REQUIRE(made);
    processes_ = folder_ + "/cgroup.procs";
    limit_ = folder_ + (parent().version_2 ? "/memory.max" : "/memory.limit_in_bytes");
    usage_ = folder_ + (parent().version_2 ? "/memory.current" : "/memory.usage_in_bytes");
    events_ = folder_ + (parent().version_2 ? "/memory.events" : "/memory.oom_control");
    // Swapping would hide what is taken. Files that this kernel lacks need no change; version 1 inherits these.
    if (parent().version_2) {
        write_to((folder_ + "/memory.swap.max").c_str(), "0");
    } else {
        write_to((folder_ + "/memory.swappiness").c_str(), "0");
        write_to(events_.c_str(), "0");
    }
}

MemoryGroup::~MemoryGroup() {
    remove_group(folder_.c_str());
}

void MemoryGroup::join() const noexcept {
    std::array<char, 24> pid{};
    std::snprintf(pid.data(), pid.size(), "%d", static_cast<int>(::getpid()));
    if (!write_to(processes_.c_str(), pid.data())) end_process(processes_.c_str());
    // Inherited from whoever must not be ended; back to where it was is always allowed.
    constexpr const char* choice = "/proc/self/oom_score_adj";
    std::uint64_t score = 0;
    if (read_number(choice, "-", score)) write_to(choice, "0");
}

void MemoryGroup::allow_more(std::size_t bytes) const noexcept {
    std::uint64_t used = 0;
    if (!read_number(usage_.c_str(), "", used)) end_process(usage_.c_str());
    const std::uint64_t limit = used + bytes;
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%" PRIu64, limit);
    if (!write_to(limit_.c_str(), text.data())) end_process(limit_.c_str());
}

void MemoryGroup::exceed() const noexcept {
    constexpr std::size_t page = 4096;
    constexpr std::size_t size = 4 * memory_headroom;
    allow_more(memory_headroom);
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    auto* const bytes = static_cast<volatile char*>(memory);
    for (std::size_t at = 0; at < size; at += page) bytes[at] = 1;
}

std::uint64_t MemoryGroup::killed() const {
    std::uint64_t count = 0;
    const bool told = read_number(events_.c_str(), "oom_kill ", count);
    INFO(events_);
    REQUIRE(told);
    return count;
}

void skip_without_memory_groups() {
    if (const std::string& reason = MemoryGroup::why_none(); !reason.empty()) skip(reason);
}

void skip_where_pages_come_late() {
    const auto resident_pages = [] {
        std::size_t size = 0;
        std::size_t resident = 0;
        std::ifstream("/proc/self/statm") >> size >> resident;
        return resident;
    };
    constexpr std::size_t page = 4096;
    constexpr std::size_t pages = 4096;
    const std::size_t before = resident_pages();
    void* const memory = ::mmap(nullptr, pages * page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    const std::size_t after = resident_pages();
    ::munmap(memory, pages * page);
    const auto host_pages = pages * page / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    if (after < before + host_pages / 2) skip("MAP_POPULATE is ignored here, by an emulator");
}

}  // namespace weir::test
