// SPDX-License-Identifier: MIT
//
// A vector with its storage inside and a fixed capacity. push_back tells whether there was room.
#pragma once

#include "weir/core/assert.hpp"

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace weir {

/// At most `capacity_max` objects of type T, in the vector itself; nothing is allocated. An index out of range is an
/// assertion. A moved-from vector is empty.
template <class T, std::size_t capacity_max>
class InlineVector {
public:
    InlineVector() noexcept = default;
    InlineVector(const InlineVector& other) {
        for (const T& item : other) push_back(item);
    }
    InlineVector& operator=(const InlineVector& other) {
        if (this == &other) return *this;
        clear();
        for (const T& item : other) push_back(item);
        return *this;
    }
    InlineVector(InlineVector&& other) noexcept {
        for (T& item : other) push_back(std::move(item));
        other.clear();
    }
    InlineVector& operator=(InlineVector&& other) noexcept {
        if (this == &other) return *this;
        clear();
        for (T& item : other) push_back(std::move(item));
        other.clear();
        return *this;
    }
    ~InlineVector() { clear(); }

    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return capacity_max; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] bool full() const noexcept { return size_ == capacity_max; }

    /// False, and nothing changed, when the vector is full.
    template <class... Args>
    bool emplace_back(Args&&... args) {
        if (full()) return false;
        std::construct_at(slots() + size_, std::forward<Args>(args)...);
        ++size_;
        return true;
    }
    bool push_back(T item) { return emplace_back(std::move(item)); }

    void pop_back() noexcept {
        WEIR_ASSERT(size_ > 0);
        --size_;
        std::destroy_at(data() + size_);
    }
    /// Keeps the order of the others: O(n).
    void erase_at(std::size_t index) noexcept {
        WEIR_ASSERT(index < size_);
        for (std::size_t i = index; i + 1 < size_; ++i) (*this)[i] = std::move((*this)[i + 1]);
        pop_back();
    }
    void clear() noexcept {
        while (size_ > 0) pop_back();
    }

    [[nodiscard]] T& operator[](std::size_t index) noexcept {
        WEIR_ASSERT(index < size_);
        return data()[index];
    }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept {
        WEIR_ASSERT(index < size_);
        return data()[index];
    }
    [[nodiscard]] T* data() noexcept { return std::launder(slots()); }
    [[nodiscard]] const T* data() const noexcept {
        return std::launder(const_cast<InlineVector*>(this)->slots());
    }
    [[nodiscard]] T* begin() noexcept { return data(); }
    [[nodiscard]] T* end() noexcept { return data() + size_; }
    [[nodiscard]] const T* begin() const noexcept { return data(); }
    [[nodiscard]] const T* end() const noexcept { return data() + size_; }
    [[nodiscard]] operator std::span<const T>() const noexcept { return {data(), size_}; }

private:
    // Through void*: storage_ is aligned for T, which its type does not say.
    T* slots() noexcept { return static_cast<T*>(static_cast<void*>(storage_)); }

    alignas(T) std::byte storage_[capacity_max * sizeof(T)];
    std::size_t size_ = 0;
};

}  // namespace weir
