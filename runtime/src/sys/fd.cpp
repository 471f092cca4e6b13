// SPDX-License-Identifier: MIT
#include "weir/sys/fd.hpp"

#include <cerrno>
#include <unistd.h>

namespace weir {

void Fd::close() noexcept {
    if (fd_ < 0) return;
    const int saved = errno;
    ::close(std::exchange(fd_, -1));
    errno = saved;
}

}  // namespace weir
