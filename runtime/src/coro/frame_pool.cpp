// SPDX-License-Identifier: MIT
#include "weir/coro/frame_pool.hpp"

#include <new>

namespace weir {

bool FramePool::cut_in_advance(std::span<const FrameClass> classes) noexcept {
    std::uint64_t counts[class_count] = {};
    for (const FrameClass& wanted : classes) {
        if (wanted.count > 0 && wanted.size > size_max) return false;
        counts[class_of(wanted.size)] += wanted.count;
    }
    std::uint64_t missing_size = 0;
    for (std::size_t index = 0; index < class_count; ++index) {
        const std::uint64_t there = classes_[index].blocks;
        counts[index] = counts[index] > there ? counts[index] - there : 0;
        missing_size += counts[index] * size_of_class(index);
    }
    if (missing_size > capacity_ - cut_) return false;
    for (std::size_t index = 0; index < class_count; ++index) {
        for (; counts[index] > 0; --counts[index]) {
            Class& slot = classes_[index];
            slot.free = ::new (arena_ + cut_) FreeBlock{slot.free};
            cut_ += size_of_class(index);
            ++slot.blocks;
        }
    }
    return true;
}

void* FramePool::cut(std::size_t size) noexcept {
    const std::size_t index = class_of(size);
    const std::size_t block_size = size_of_class(index);
    if (block_size > capacity_ - cut_) return refuse(size);
    Class& slot = classes_[index];
    std::byte* const block = arena_ + cut_;
    cut_ += block_size;
    ++slot.blocks;
    if (++slot.in_use > slot.peak) slot.peak = slot.in_use;
    return block;
}

void* FramePool::refuse(std::size_t size) noexcept {
    refused_ = size;
    return nullptr;
}

std::size_t FramePool::live() const noexcept {
    std::size_t total = 0;
    for (const Class& slot : classes_) total += slot.in_use;
    return total;
}

FrameUsage FramePool::usage(std::size_t index) const noexcept {
    WEIR_ASSERT(index < class_count);
    const Class& slot = classes_[index];
    return {static_cast<std::uint32_t>(size_of_class(index)), slot.blocks, slot.in_use, slot.peak};
}

}  // namespace weir
