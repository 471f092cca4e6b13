// SPDX-License-Identifier: MIT
#include "names.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <cstdlib>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::tool {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view lock_suffix = ".lock";

/// Who holds the lock beside `path`: a pid where it can be read. Nothing if nobody does.
enum class Lock : std::uint8_t { free, held, unknown };
Lock look_at_lock(const std::string& path, std::int64_t& pid) {
    const Fd fd(
        ::open((path + std::string(lock_suffix)).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return errno == ENOENT ? Lock::free : Lock::unknown;
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd.get(), F_OFD_GETLK, &whole) < 0) return Lock::unknown;
    if (whole.l_type == F_UNLCK) return Lock::free;
    char text[24] = "";
    if (::pread(fd.get(), text, sizeof(text) - 1, 0) > 0) pid = std::strtol(text, nullptr, 10);
    return Lock::held;
}

std::optional<uid_t> owner_of(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return status.st_uid;
    if (::lstat((path + std::string(lock_suffix)).c_str(), &status) == 0) return status.st_uid;
    return std::nullopt;
}

}  // namespace

const char* text(NameFound::State state) noexcept {
    switch (state) {
        case NameFound::State::live: return "live";
        case NameFound::State::idle: return "idle";
        case NameFound::State::stale: return "stale";
        case NameFound::State::silent: return "silent";
        case NameFound::State::denied: return "denied";
        case NameFound::State::busy: return "busy";
        case NameFound::State::absent: return "absent";
        case NameFound::State::other: return "other";
    }
    return "other";
}

std::string kind_of(std::uint32_t object) {
    // Words for which the code has no room.
    if (object == ipc::topic::topic_object) return "topic";
    if (object == ipc::service::service_object) return "service";
    std::string letters;
    for (int shift = 0; shift < 32; shift += 8) {
        const auto byte = static_cast<char>((object >> shift) & 0xff);
        const char letter = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
        const bool shown =
            (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-';
        if (!shown) break;
        letters += letter;
    }
    if (letters.size() == 4) return letters;
    char number[12];
    std::snprintf(number, sizeof(number), "%08x", object);
    return number;
}

NameFound look_up(const ipc::RuntimeDirectory& directory, const Name& name) {
    NameFound found;
    found.name = std::string(name.view());
    const auto path_made = directory.path_of(name, ipc::link_suffix);
    char message[160];
    if (!path_made) {
        found.error = path_made.error().message(message);
        return found;
    }
    const std::string path(path_made->view());
    const auto owner = owner_of(path);
    found.uid = owner.value_or(0);
    const auto stat = ipc::ask_link_stat(directory, name, 1s);
    if (stat) {
        found.state = NameFound::State::live;
        found.stat = *stat;
        found.pid = stat->pid;
        found.uid = stat->uid;
        return found;
    }
    found.error = stat.error().message(message);
    const Lock lock = look_at_lock(path, found.pid);
    if (stat.error() == Errc::denied) {
        found.state = NameFound::State::denied;
    } else if (stat.error() == Errc::busy) {
        found.state = NameFound::State::busy;
    } else if (stat.error() == Errc::mismatch) {
        found.state = NameFound::State::other;
    } else if (!owner) {
        found.state = NameFound::State::absent;
    } else if (lock == Lock::free) {
        found.state = NameFound::State::stale;
        found.error = "a killed server left it; the next one takes it over";
    } else if (lock == Lock::unknown && stat.error() == Errc::refused) {
        // The lock is its owner's alone; but a socket that refuses has nobody behind it.
        found.state = NameFound::State::stale;
    } else {
        found.state = NameFound::State::silent;
    }
    return found;
}

NameFound look_at_ring(const ipc::RuntimeDirectory& directory, const Name& name) {
    NameFound found;
    found.name = std::string(name.view());
    found.named_ring = true;
    const auto stat = ipc::named_ring_stat(directory, name);
    if (stat) {
        found.ring = *stat;
        found.uid = stat->uid;
        // The writer's, who is the one to be asked for.
        for (const ipc::NamedRingSide& side : {stat->reader, stat->writer})
            if (side.held) found.pid = side.pid;
        const bool open = stat->writer.held || stat->reader.held;
        found.state = open ? NameFound::State::live : NameFound::State::idle;
        return found;
    }
    char message[160];
    found.error = stat.error().message(message);
    found.state = stat.error() == Errc::denied      ? NameFound::State::denied
                  : stat.error() == Errc::not_found ? NameFound::State::absent
                                                    : NameFound::State::other;
    const auto path = directory.path_of(name, ipc::ring_suffix);
    if (path) found.uid = owner_of(std::string(path->view())).value_or(0);
    return found;
}

Result<std::vector<NameFound>> look_around(const ipc::RuntimeDirectory& directory) {
    WEIR_TRY(auto list, ipc::NameList::open(directory));
    std::vector<std::pair<Name, ipc::NameKind>> names;
    for (;;) {
        const auto entry = list.next();
        if (!entry && entry.error() == Errc::ended) break;
        if (!entry) return failure(entry.error());
        if (entry->kind != ipc::NameKind::semaphore) names.emplace_back(entry->name, entry->kind);
    }
    std::sort(names.begin(), names.end());
    std::vector<NameFound> found;
    found.reserve(names.size());
    for (const auto& [name, kind] : names)
        found.push_back(kind == ipc::NameKind::ring ? look_at_ring(directory, name)
                                                    : look_up(directory, name));
    return found;
}

}  // namespace weir::tool
