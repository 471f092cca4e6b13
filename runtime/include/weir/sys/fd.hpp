// SPDX-License-Identifier: MIT
//
// The owner of one file descriptor.
#pragma once

#include <utility>

namespace weir {

/// Move-only; closes what it holds. -1 is empty.
class Fd {
public:
    constexpr Fd() noexcept = default;
    /// Takes ownership of `fd`.
    explicit constexpr Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = other.release();
        }
        return *this;
    }
    ~Fd() { close(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
    /// Gives the descriptor to the caller.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// close(2), once, whatever it says: on Linux the descriptor is gone even after EINTR. Keeps errno.
    void close() noexcept;

private:
    int fd_ = -1;
};

}  // namespace weir
