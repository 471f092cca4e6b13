// SPDX-License-Identifier: MIT
//
// Paths of sockets and FIFOs, as callers give them: views that need not end in a zero and may contain one.
#pragma once

#include "weir/core/result.hpp"

#include <array>
#include <cstddef>
#include <string_view>

namespace weir {

/// A path of at most 107 bytes, which is what the kernel takes for a socket. Keeps its own copy; any text can be put in,
/// and resolve() says what is wrong with it. Trivially copyable.
class BoundedPath {
public:
    static constexpr std::size_t size_max = 107;

    constexpr BoundedPath() noexcept = default;
    explicit BoundedPath(std::string_view text) noexcept;

    /// Makes it fit to be handed to the kernel. A relative path is made absolute by the working directory of now, so
    /// that a later chdir changes nothing; the absolute one has to fit. Errors: invalid (empty, or with a zero in it, which
    /// would name another file or an abstract socket), too_large (Error::a = its size, b = size_max), not_found (the
    /// working directory was removed).
    Result<void> resolve(const char* operation) noexcept;

    [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }
    [[nodiscard]] std::string_view view() const noexcept {
        return {text_.data(), size_ <= size_max ? size_ : size_max};
    }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

private:
    std::array<char, size_max + 1> text_{};
    std::size_t size_ = 0;  // of what was given, which may be more than was kept
};

}  // namespace weir
