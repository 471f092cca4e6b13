// SPDX-License-Identifier: MIT
#include "weir/sys/path.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <unistd.h>

namespace weir {

BoundedPath::BoundedPath(std::string_view text) noexcept : size_(text.size()) {
    if (!text.empty()) std::memcpy(text_.data(), text.data(), std::min(text.size(), size_max));
}

Result<void> BoundedPath::resolve(const char* operation) noexcept {
    if (size_ > size_max) return failure(Errc::too_large, operation, size_, size_max);
    if (size_ == 0 || view().find('\0') != std::string_view::npos) return failure(Errc::invalid, operation);
    if (text_[0] == '/') return {};
    char directory[PATH_MAX];
    if (::getcwd(directory, sizeof(directory)) == nullptr)
        return failure(Error::from_errno(operation, errno));
    const std::size_t front = std::strlen(directory) == 1 ? 1 : std::strlen(directory) + 1;
    if (front + size_ > size_max) return failure(Errc::too_large, operation, front + size_, size_max);
    directory[front - 1] = '/';
    std::memmove(text_.data() + front, text_.data(), size_);
    std::memcpy(text_.data(), directory, front);
    size_ += front;
    return {};
}

}  // namespace weir
