// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"
#include "backend/uring.hpp"

#include <cerrno>
#include <new>

namespace weir {

std::size_t uring_size() noexcept {
    return sizeof(UringBackend);
}

Result<Backend*> make_uring(std::span<std::byte> memory, const BackendNeeds& needs) noexcept {
    WEIR_ASSERT(memory.size() >= sizeof(UringBackend));
    auto* const backend = ::new (memory.data()) UringBackend;
    const auto started = backend->start(needs.submissions);
    if (started) return backend;
    Error error = started.error();
    backend->end();
    if (error.system_errno == EINVAL) {
        error.operation = "io_uring_setup with deferred completions, which Linux has since 6.1";
        error.code = Errc::unsupported;
    } else if (error.system_errno == EPERM) {
        error.operation = "io_uring_setup, forbidden by a sandbox or kernel.io_uring_disabled";
    } else if (error.system_errno == ENOSYS) {
        error.operation = "io_uring_setup, absent from this kernel or forbidden by a sandbox";
    }
    return failure(error);
}

}  // namespace weir
