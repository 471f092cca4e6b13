// SPDX-License-Identifier: MIT
//
// Bytes.
//
// Operations take and give spans of std::byte. Text is bytes too: bytes_of() and text_of() view one as the
// other without a copy.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace weir {

/// Bytes to be filled.
using Bytes = std::span<std::byte>;
/// Bytes to be read.
using ConstBytes = std::span<const std::byte>;

/// The characters of `text` as bytes; the view lives as long as the characters do.
[[nodiscard]] inline ConstBytes bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

/// What bytes_of() takes as an object: text is viewed by its characters instead.
template <class T>
concept PlainObject = std::is_trivially_copyable_v<T> && !std::is_convertible_v<const T&, std::string_view>;

/// The object representation of a trivially copyable object; the view lives as long as the object does, so name it
/// first (bytes_of(make()) dangles).
template <PlainObject T>
[[nodiscard]] ConstBytes bytes_of(const T& object) noexcept {
    return std::as_bytes(std::span<const T, 1>(&object, 1));
}
/// The same, to be filled.
template <class T>
    requires std::is_trivially_copyable_v<T>
[[nodiscard]] Bytes writable_bytes_of(T& object) noexcept {
    return std::as_writable_bytes(std::span<T, 1>(&object, 1));
}

/// Bytes as characters; the view lives as long as the bytes do.
[[nodiscard]] inline std::string_view text_of(ConstBytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace weir
