// SPDX-License-Identifier: MIT
//
// Whether what a peer wrote is a value of the record's type.
//
// Most bytes are: any bits make a number. Not so a bool that is neither 0 nor 1, a BoundedVector whose size is beyond
// its capacity, and whatever RecordTraits<T>::valid of a type of one's own turns down, such as an enumerator that does
// not exist. A program that goes on with such a value has lost: it is found before anybody sees it.
//
// What is asked about is a private copy. A record that its writer can still change may be valid now and not later.
#pragma once

#include "weir/ipc/types/layout.hpp"

#include <new>
#include <utility>

namespace weir::ipc {

namespace layout {

// Any function of that name: one that cannot be asked is an error where it is asked, and not passed over.
template <class T>
concept HasValid = requires {
    &RecordTraits<T>::valid;
};
template <class T>
concept ChecksFields = HasValid<T> && requires {
    requires RecordTraits<T>::checks_fields;
};

template <class T>
consteval bool is_always_valid() noexcept;

template <class... F>
consteval bool are_always_valid(RecordFields<F...>) noexcept {
    return (is_always_valid<F>() && ...);
}

template <class T>
consteval bool is_always_valid() noexcept {
    if constexpr (HasValid<T> || std::is_same_v<T, bool>) {
        return false;
    } else if constexpr (ArrayOf<T>::is) {
        return is_always_valid<std::remove_const_t<typename ArrayOf<T>::Element>>();
    } else if constexpr (std::is_class_v<T>) {
        return are_always_valid(typename FieldsOf<T>::Type{});
    } else {
        return true;
    }
}

template <class T>
bool valid_at(const std::byte* place) noexcept;

template <class... F>
bool fields_valid_at(const std::byte* place, RecordFields<F...>) noexcept {
    bool valid = true;
    ((valid = valid && valid_at<F>(place), place += sizeof(F)), ...);
    return valid;
}

// Goes by the bytes: to read a bool that is none is as bad as to use it. There are no gaps, so places are sums.
template <class T>
bool valid_at(const std::byte* place) noexcept {
    if constexpr (is_always_valid<T>()) {
        return true;
    } else if constexpr (std::is_same_v<T, bool>) {
        return std::to_integer<unsigned>(*place) <= 1;
    } else if constexpr (ArrayOf<T>::is) {
        using Element = std::remove_const_t<typename ArrayOf<T>::Element>;
        for (std::size_t i = 0; i < ArrayOf<T>::extent; ++i)
            if (!valid_at<Element>(place + i * sizeof(Element))) return false;
        return true;
    } else {
        if constexpr (std::is_class_v<T> && !ChecksFields<T>)
            if (!fields_valid_at(place, typename FieldsOf<T>::Type{})) return false;
        if constexpr (HasValid<T>) {
            const void* const at = place;
            return RecordTraits<T>::valid(*std::launder(static_cast<const T*>(at)));
        } else {
            return true;
        }
    }
}

}  // namespace layout

/// Every T is valid, whatever its bytes: is_valid() costs nothing.
template <PortableRecord T>
inline constexpr bool always_valid = layout::is_always_valid<std::remove_const_t<T>>();

/// `record`, which came from another process, is a T: see the head of this file. Looks at fields that can be wrong, and
/// at no other. Neither waits nor fails.
template <PortableRecord T>
[[nodiscard]] bool is_valid(const T& record) noexcept {
    const void* const place = &record;
    return layout::valid_at<T>(static_cast<const std::byte*>(place));
}

}  // namespace weir::ipc
