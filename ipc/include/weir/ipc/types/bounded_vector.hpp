// SPDX-License-Identifier: MIT
//
// A vector that lies in a record: at most N elements, and how many of them there are.
//
//     struct Sweep { std::uint64_t taken_ns; weir::ipc::BoundedVector<float, 256> ranges_m; };
//
// Unlike weir::InlineVector it is trivially copyable, has one layout on all machines, and bears to be written by somebody
// else: size() is never more than the capacity, whatever is there, so that no reader gets beyond the elements; is_valid()
// says whether that was needed. Behind the last element lies T{}, so that elements which were removed do not travel on.
#pragma once

#include "weir/core/assert.hpp"
#include "weir/ipc/types/validity.hpp"

#include <algorithm>
#include <span>

namespace weir::ipc {

namespace layout {

/// The number of elements and nothing else, up to where elements that are aligned so may begin.
template <std::size_t bytes>
struct VectorHead {
    std::uint32_t size = 0;
    std::array<std::uint32_t, bytes / 4 - 1> reserved{};
};
template <>
struct VectorHead<4> {
    std::uint32_t size = 0;
};

template <class T>
inline constexpr std::size_t vector_head_bytes = alignof(T) < 4 ? 4 : alignof(T);

/// What is stored is a little more than the capacity where the elements would not fill the last word.
template <class T>
consteval std::size_t vector_stored(std::size_t capacity) noexcept {
    while (capacity * sizeof(T) % vector_head_bytes<T> != 0) ++capacity;
    return capacity;
}

}  // namespace layout

/// At most `capacity_max` elements, themselves portable records. 4 bytes or the alignment of T, whichever is more, and
/// then the elements.
template <PortableRecord T, std::uint32_t capacity_max>
    requires(capacity_max > 0)
class BoundedVector {
public:
    constexpr BoundedVector() noexcept = default;

    [[nodiscard]] static constexpr std::uint32_t capacity() noexcept { return capacity_max; }
    [[nodiscard]] constexpr std::uint32_t size() const noexcept { return std::min(head_.size, capacity_max); }
    [[nodiscard]] constexpr bool empty() const noexcept { return head_.size == 0; }
    [[nodiscard]] constexpr bool full() const noexcept { return head_.size >= capacity_max; }

    /// False, and nothing changed, when it is full.
    [[nodiscard]] constexpr bool push_back(const T& item) noexcept {
        if (full()) return false;
        items_[head_.size] = item;
        ++head_.size;
        return true;
    }
    /// All of `items` in place of what is there; false, and nothing changed, when they are too many. They may lie in
    /// this vector.
    [[nodiscard]] constexpr bool assign(std::span<const T> items) noexcept {
        if (items.size() > capacity_max) return false;
        const std::uint32_t before = size();
        const auto after = static_cast<std::uint32_t>(items.size());
        // Where they lie in this vector they begin behind what is written first.
        std::copy(items.begin(), items.end(), items_);
        head_.size = after;
        for (std::uint32_t i = after; i < before; ++i) items_[i] = T{};
        return true;
    }
    /// False, and nothing changed, when it would be too many. New elements are T{}.
    [[nodiscard]] constexpr bool resize(std::size_t count) noexcept {
        if (count > capacity_max) return false;
        const auto after = static_cast<std::uint32_t>(count);
        for (std::uint32_t i = std::min(size(), after); i < std::max(size(), after); ++i) items_[i] = T{};
        head_.size = after;
        return true;
    }
    constexpr void pop_back() noexcept {
        WEIR_ASSERT(!empty());
        const std::uint32_t last = size() - 1;
        items_[last] = T{};
        head_.size = last;
    }
    constexpr void clear() noexcept { static_cast<void>(resize(0)); }

    [[nodiscard]] constexpr T& operator[](std::size_t index) noexcept {
        WEIR_ASSERT(index < size());
        return items_[index];
    }
    [[nodiscard]] constexpr const T& operator[](std::size_t index) const noexcept {
        WEIR_ASSERT(index < size());
        return items_[index];
    }
    [[nodiscard]] constexpr T* data() noexcept { return items_; }
    [[nodiscard]] constexpr const T* data() const noexcept { return items_; }
    [[nodiscard]] constexpr T* begin() noexcept { return items_; }
    [[nodiscard]] constexpr T* end() noexcept { return items_ + size(); }
    [[nodiscard]] constexpr const T* begin() const noexcept { return items_; }
    [[nodiscard]] constexpr const T* end() const noexcept { return items_ + size(); }
    [[nodiscard]] constexpr operator std::span<const T>() const noexcept { return {items_, size()}; }

    friend constexpr bool operator==(
        const BoundedVector& left, const BoundedVector& right) noexcept requires std::equality_comparable<T> {
        return std::equal(left.begin(), left.end(), right.begin(), right.end());
    }

private:
    friend RecordTraits<BoundedVector>;
    static constexpr std::size_t stored = layout::vector_stored<T>(capacity_max);

    layout::VectorHead<layout::vector_head_bytes<T>> head_{};
    T items_[stored]{};
};

template <class T, std::uint32_t capacity_max>
struct RecordTraits<BoundedVector<T, capacity_max>> {
    using Vector = BoundedVector<T, capacity_max>;
    using Fields = RecordFields<layout::VectorHead<layout::vector_head_bytes<T>>, T[Vector::stored]>;
    static constexpr std::uint64_t version = std::uint64_t{1} << 32 | capacity_max;
    static constexpr bool checks_fields = true;
    /// Only the elements that are there are asked.
    static bool valid(const Vector& vector) noexcept {
        if (vector.head_.size > capacity_max) return false;
        if constexpr (!always_valid<T>)
            for (const T& item : vector)
                if (!is_valid(item)) return false;
        return true;
    }
};

}  // namespace weir::ipc
