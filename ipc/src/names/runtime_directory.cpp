// SPDX-License-Identifier: MIT
#include "weir/ipc/names/runtime_directory.hpp"

#include "weir/core/assert.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* operation = "runtime directory";
constexpr const char* system_directory = "/run/weir";

const char* from_environment(const char* variable) noexcept {
    if (::getauxval(AT_SECURE) != 0) return nullptr;
    const char* const value = std::getenv(variable);
    return value != nullptr && value[0] != '\0' ? value : nullptr;
}

bool exists(const char* path) noexcept {
    struct stat status {};
    return ::stat(path, &status) == 0;
}

Result<RuntimePath> absolute(std::string_view text) noexcept {
    if (text.empty() || text.front() != '/')
        return failure(Errc::invalid, "runtime directory, which is not absolute");
    while (text.size() > 1 && text.back() == '/') text.remove_suffix(1);
    return RuntimePath::make(text);
}

}  // namespace

Result<RuntimePath> RuntimePath::make(std::string_view text) noexcept {
    RuntimePath path;
    const auto appended = path.append(text);
    if (!appended) return failure(appended.error());
    return path;
}

Result<void> RuntimePath::append(std::string_view text) noexcept {
    if (text.size() > size_max - size_)
        return failure(Errc::too_large, "runtime path", size_ + text.size(), size_max);
    std::memcpy(bytes_.data() + size_, text.data(), text.size());
    size_ += text.size();
    bytes_[size_] = '\0';
    return {};
}

RuntimePath RuntimePath::beside() const noexcept {
    WEIR_ASSERT(size_ > 0);
    RuntimePath path = *this;
    path.bytes_[size_ - 1] = '~';
    return path;
}

Result<RuntimeDirectory> RuntimeDirectory::at(std::string_view path) noexcept {
    WEIR_TRY(const RuntimePath checked, absolute(path));
    return RuntimeDirectory(checked, "by the program");
}

Result<RuntimeDirectory> RuntimeDirectory::find() noexcept {
    if (const char* const named = from_environment("WEIR_RUNTIME_DIR"); named != nullptr) {
        WEIR_TRY(const RuntimePath path, absolute(named));
        return RuntimeDirectory(path, "by WEIR_RUNTIME_DIR");
    }
    char own[48];
    std::snprintf(own, sizeof(own), "%s/%u", system_directory, static_cast<unsigned>(::geteuid()));
    if (exists(own) || ::access(system_directory, W_OK | X_OK) == 0) {
        WEIR_TRY(const RuntimePath path, absolute(own));
        return RuntimeDirectory(path, "since /run/weir is there");
    }
    if (const char* const session = from_environment("XDG_RUNTIME_DIR"); session != nullptr) {
        WEIR_TRY(RuntimePath path, absolute(session));
        const auto appended = path.append("/weir");
        if (!appended) return failure(appended.error());
        return RuntimeDirectory(path, "by XDG_RUNTIME_DIR");
    }
    return failure(Errc::not_found, "runtime directory (set WEIR_RUNTIME_DIR, or make /run/weir)");
}

Result<void> RuntimeDirectory::make(mode_t mode) const noexcept {
    if (::mkdir(c_str(), mode & 0777) == 0) {
        // mkdir's mode is what the umask leaves of it; the caller's is exact.
        if (::chmod(c_str(), mode & 07777) < 0) return failure(Error::from_errno(operation, errno));
    } else if (errno == ENOENT) {
        return failure(Errc::not_found, "runtime directory, whose parent is not there");
    } else if (errno != EEXIST) {
        return failure(Error::from_errno(operation, errno));
    }
    struct stat status {};
    if (::lstat(c_str(), &status) < 0) return failure(Error::from_errno(operation, errno));
    if (!S_ISDIR(status.st_mode))
        return failure(Errc::invalid, "runtime directory, where something else lies");
    if (status.st_uid != ::geteuid() && status.st_uid != 0) {
        return failure(Errc::denied, "runtime directory, which belongs to another user", status.st_uid);
    }
    if ((status.st_mode & 0022 & ~mode) != 0) {
        return failure(Errc::denied, "runtime directory, to which others may write");
    }
    return {};
}

Result<RuntimePath> RuntimeDirectory::path_of(const Name& name, std::string_view suffix) const noexcept {
    RuntimePath path = path_;
    char mapped[Name::size_max];
    const std::string_view text = name.view();
    for (std::size_t i = 0; i < text.size(); ++i) mapped[i] = text[i] == '/' ? '~' : text[i];
    for (const std::string_view part :
         {std::string_view("/"), std::string_view(mapped, text.size()), suffix}) {
        const auto appended = path.append(part);
        if (!appended) return failure(appended.error());
    }
    return path;
}

}  // namespace weir::ipc
