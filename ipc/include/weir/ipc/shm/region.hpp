// SPDX-License-Identifier: MIT
//
// Memory that one process writes and another one reads.
//
// A Region is an anonymous file in memory (memfd) of a fixed size, all of it there from the first moment: nothing is
// allocated when a page is first touched, so neither side can be killed for want of memory in the middle of a store.
// From its making on it can neither shrink nor grow. Who may write is settled in three steps: the writer maps it
// writable, then seal() forbids every further writable mapping, write(2) and hole punching, for ever and for everyone;
// then others map it read-only. The mapping made before the seal goes on writing.
//
// Whoever is handed a descriptor checks it with Region::received(): right file system, exact size, all pages there,
// and the seals. A descriptor that is merely opened read-only is no protection, since it can be reopened.
#pragma once

#include "weir/core/bytes.hpp"
#include "weir/core/result.hpp"
#include "weir/sys/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace weir::ipc {

/// A piece of shared memory in our address space. Move-only; unmaps when it dies.
class Mapping {
public:
    constexpr Mapping() noexcept = default;
    /// Takes over `size` bytes at `data`, from mmap(2).
    Mapping(void* data, std::size_t size) noexcept : data_(static_cast<std::byte*>(data)), size_(size) {}
    Mapping(Mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        if (this != &other) {
            unmap();
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    ~Mapping() { unmap(); }

    /// Page-aligned. Of a read-only mapping it may not be written to: that is SIGSEGV.
    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] explicit operator bool() const noexcept { return data_ != nullptr; }
    void unmap() noexcept;
    /// Gives the mapping to the caller, who unmaps it.
    [[nodiscard]] std::byte* release() noexcept {
        size_ = 0;
        return std::exchange(data_, nullptr);
    }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Memory of this process alone, for what is made once and lives long: zeros, every page there, `size` rounded up to whole
/// pages. Error: no_memory (with that size in Error::a).
Result<Mapping> private_memory(std::size_t size) noexcept;

/// The file behind shared memory, without a mapping of its own. Move-only; the memory lives as long as a descriptor or
/// a mapping of it does, in any process, and is gone with the last of them, however they die.
class Region {
public:
    /// How far a region is sealed.
    enum class Sealed : std::uint8_t {
        size,    ///< it can neither shrink nor grow
        writes,  ///< besides, nobody can get write access any more, and no seal can be added
    };

    constexpr Region() noexcept = default;

    /// Makes `size` bytes of zeros, every page allocated, sealed as Sealed::size. `name` is for /proc only, at most 200
    /// bytes. Errors: no_memory (with the size in Error::a: the file system behind memfd, or the kernel), no_files,
    /// too_large (beyond RLIMIT_FSIZE), invalid (a size of 0), unsupported or denied (memfd_create is forbidden here).
    static Result<Region> create(std::size_t size, const char* name) noexcept;
    /// Checks a descriptor that another process sent and takes it over; it is closed if a check fails. Errors:
    /// wrong_kind (no memfd of ordinary pages, or one with holes), mismatch (another size than `size`: both are in the
    /// error), denied (seals are missing).
    static Result<Region> received(Fd fd, std::size_t size, Sealed sealed) noexcept;

    /// Errors of both: no_memory (address space, RLIMIT_AS), denied (sealed against writing). Every page is mapped at
    /// once, so that none of them faults later.
    [[nodiscard]] Result<Mapping> map_writable() const noexcept;
    [[nodiscard]] Result<Mapping> map_read_only() const noexcept;
    /// Sealed::writes from now on; then checks everything again that received() checks, since whoever has the descriptor
    /// could make holes up to now. Errors: denied (somebody sealed the seals before us), mismatch, wrong_kind (holes).
    Result<void> seal() const noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// Mappings stay.
    void close() noexcept { fd_.close(); }

private:
    Region(Fd fd, std::size_t size) noexcept : fd_(std::move(fd)), size_(size) {}

    Fd fd_;
    std::size_t size_ = 0;
};

}  // namespace weir::ipc
