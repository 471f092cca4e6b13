// SPDX-License-Identifier: MIT
#include "weir/ipc/shm/region.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int future_write_seal = 0x10;  // F_SEAL_FUTURE_WRITE, Linux 5.1
constexpr int write_seals = size_seals | future_write_seal | F_SEAL_SEAL;
constexpr unsigned no_exec_seal = 8;  // MFD_NOEXEC_SEAL, Linux 6.3

// Without the flag, newer kernels complain of every memfd that could be executed; older ones do not know it.
Fd new_memfd(const char* name) noexcept {
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    Fd fd(::memfd_create(name, flags | no_exec_seal));
    if (!fd && errno == EINVAL) fd = Fd(::memfd_create(name, flags));
    return fd;
}

// fallocate() would raise SIGXFSZ beyond this limit, which ends a process that did not expect it.
bool beyond_file_limit(std::size_t size, rlimit& limit) noexcept {
    return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur;
}

Result<Mapping> map(int fd, std::size_t size, int access, int flags, const char* operation) noexcept {
    void* const data = ::mmap(nullptr, size, access, flags | MAP_POPULATE, fd, 0);
    if (data != MAP_FAILED) return Mapping(data, size);
    Error error = Error::from_errno(operation, errno);
    if (error.code == Errc::no_memory) error.a = size;
    return failure(error);
}

// The seals, the size and the pages of what `fd` is.
Result<void> check(int fd, std::size_t size, int seals) noexcept {
    // First, since it asks no file system: what cannot be sealed may belong to one that never answers.
    const int held = ::fcntl(fd, F_GET_SEALS);
    if (held < 0) return failure(Errc::wrong_kind, "region, which is no memory");
    struct stat status {};
    struct statfs file_system {};
    if (::fstat(fd, &status) < 0 || ::fstatfs(fd, &file_system) < 0)
        return failure(Error::from_errno("region, looking at it", errno));
    // Pages of another kind (hugetlb) can be missing, and touching one that is would be SIGBUS.
    if (!S_ISREG(status.st_mode) || file_system.f_type != TMPFS_MAGIC)
        return failure(Errc::wrong_kind, "region, of other pages");
    const auto found = static_cast<std::uint64_t>(status.st_size);
    if (found != size) return failure(Errc::mismatch, "region, size", size, found);
    if ((held & seals) != seals) return failure(Errc::denied, "region, which is not sealed as it should be");
    // What is not there would be allocated when we read it, and counted as ours. Without Sealed::writes holes can still
    // be made: seal() looks again.
    constexpr std::uint64_t block = 512;
    if (static_cast<std::uint64_t>(status.st_blocks) * block < size)
        return failure(Errc::wrong_kind, "region, with holes");
    return {};
}

}  // namespace

Result<Mapping> private_memory(std::size_t size) noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t rounded = (size + page - 1) / page * page;
    return map(-1, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, "private memory");
}

void Mapping::unmap() noexcept {
    if (data_ == nullptr) return;
    ::munmap(std::exchange(data_, nullptr), std::exchange(size_, 0));
}

Result<Region> Region::create(std::size_t size, const char* name) noexcept {
    if (size == 0) return failure(Errc::invalid, "region, of no size");
    if (rlimit limit{}; beyond_file_limit(size, limit))
        return failure(Errc::too_large, "region, RLIMIT_FSIZE", size, limit.rlim_cur);
    Fd fd = new_memfd(name);
    if (!fd) return failure(Error::from_errno("memfd_create", errno));
    int status;
    do {
        status = ::fallocate(fd.get(), 0, 0, static_cast<off_t>(size));
    } while (status < 0 && errno == EINTR);
    if (status < 0) {
        Error error = Error::from_errno("region, allocating its memory", errno);
        if (error.code == Errc::no_memory) error.a = size;
        return failure(error);
    }
    if (::fcntl(fd.get(), F_ADD_SEALS, size_seals) < 0)
        return failure(Error::from_errno("region, sealing its size", errno));
    return Region(std::move(fd), size);
}

Result<Region> Region::received(Fd fd, std::size_t size, Sealed sealed) noexcept {
    const auto checked = check(fd.get(), size, sealed == Sealed::size ? size_seals : write_seals);
    if (!checked) return failure(checked.error());
    return Region(std::move(fd), size);
}

Result<Mapping> Region::map_writable() const noexcept {
    return map(fd_.get(), size_, PROT_READ | PROT_WRITE, MAP_SHARED, "region, mapping it writable");
}
Result<Mapping> Region::map_read_only() const noexcept {
    return map(fd_.get(), size_, PROT_READ, MAP_SHARED, "region, mapping it read-only");
}

Result<void> Region::seal() const noexcept {
    if (::fcntl(fd_.get(), F_ADD_SEALS, write_seals) < 0)
        return failure(Error::from_errno("region, sealing it", errno));
    return check(fd_.get(), size_, write_seals);
}

}  // namespace weir::ipc
