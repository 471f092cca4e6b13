// SPDX-License-Identifier: MIT
#include "weir/ipc/names/name_list.hpp"

#include "names/served_name.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* operation = "listing names";
constexpr std::string_view lock_suffix = ".lock";

// What getdents64(2) writes; the name follows.
struct DirectoryEntry {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t size;
    std::uint8_t type;
};
constexpr std::size_t name_offset = 19;
constexpr std::size_t file_size_max = 255;
static_assert(name_offset + file_size_max + 1 <= 1024);

// The name that a file belongs to, if it is one of ours.
std::optional<Name> name_of(std::string_view file, std::string_view suffix) noexcept {
    if (!file.ends_with(suffix)) return std::nullopt;
    file.remove_suffix(suffix.size());
    if (file.size() > Name::size_max) return std::nullopt;
    std::array<char, Name::size_max> text{};
    std::replace_copy(file.begin(), file.end(), text.begin(), '~', '/');
    const auto name = Name::make({text.data(), file.size()});
    if (!name) return std::nullopt;
    return *name;
}

bool is_there(int directory, const char* file) noexcept {
    return ::faccessat(directory, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

Result<NameList> NameList::open(const RuntimeDirectory& directory) noexcept {
    Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return failure(Error::from_errno(operation, errno));
    return NameList(directory, std::move(fd));
}

// Empty at the end.
Result<std::string_view> NameList::next_file() noexcept {
    if (at_ >= size_) {
        const long got = ::syscall(SYS_getdents64, fd_.get(), entries_.data(), entries_.size());
        // A directory that was removed meanwhile is at its end.
        if (got < 0 && errno != ENOENT) return failure(Error::from_errno(operation, errno));
        at_ = 0;
        size_ = got > 0 ? static_cast<std::size_t>(got) : 0;
        if (size_ == 0) return std::string_view();
    }
    DirectoryEntry entry{};
    std::memcpy(&entry, entries_.data() + at_, name_offset);
    const auto* const name = reinterpret_cast<const char*>(entries_.data() + at_ + name_offset);
    at_ += entry.size;
    return std::string_view(name);
}

Result<NameEntry> NameList::next() noexcept {
    for (;;) {
        WEIR_TRY(std::string_view file, next_file());
        if (file.empty()) return failure(Errc::ended, operation);
        // Its name ends in a zero, which makes it a path.
        const char* const path = file.data();
        NameKind kind = NameKind::link;
        std::optional<Name> name = name_of(file, link_suffix);
        NameState state = NameState::served;
        if (!name) {
            kind = NameKind::ring;
            name = name_of(file, ring_suffix);
        }
        if (!name) {
            kind = NameKind::semaphore;
            name = name_of(file, semaphore_suffix);
        }
        if (!name && file.ends_with(lock_suffix)) {
            // The lock alone, if it is alone.
            kind = NameKind::link;
            state = NameState::stale;
            file.remove_suffix(lock_suffix.size());
            name = name_of(file, link_suffix);
            std::array<char, file_size_max + 1> socket{};
            file.copy(socket.data(), file_size_max);
            if (name && is_there(fd_.get(), socket.data())) continue;
        } else if (name && kind == NameKind::link) {
            const auto looked = look_at_name(directory_, *name);
            if (!looked && (looked.error() == Errc::no_files || looked.error() == Errc::no_memory))
                return failure(looked.error());
            // Gone meanwhile; or nothing that anybody could open, a link to itself, say.
            if (!looked || *looked == NameState::absent) continue;
            state = *looked;
        }
        struct stat status {};
        if (!name || ::fstatat(fd_.get(), path, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
        return NameEntry{.name = *name,
                         .kind = kind,
                         .state = state,
                         .uid = status.st_uid,
                         .gid = status.st_gid,
                         .mode = static_cast<mode_t>(status.st_mode & 07777)};
    }
}

}  // namespace weir::ipc
