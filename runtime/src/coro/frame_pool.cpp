// SPDX-License-Identifier: MIT
#include "weir/coro/frame_pool.hpp"

#include <new>
#include <utility>

namespace weir {

FramePool::Class* FramePool::classes() noexcept {
    return observer_ != nullptr ? observer_->classes_ : classes_;
}

const FramePool::Class* FramePool::classes() const noexcept {
    return observer_ != nullptr ? observer_->classes_ : classes_;
}

void FramePool::tell(FrameObserver* observer) noexcept {
    WEIR_ASSERT(observer == nullptr || observer_ == nullptr);
    Class* const from = classes();
    observer_ = observer;
    Class* const to = classes();
    for (std::size_t index = 0; index < class_count; ++index) to[index] = std::exchange(from[index], Class{});
}

bool FramePool::cut_in_advance(std::span<const FrameClass> wanted_classes) noexcept {
    Class* const of_class = classes();
    std::uint64_t counts[class_count] = {};
    for (const FrameClass& wanted : wanted_classes) {
        if (wanted.count > 0 && wanted.size > size_max) {
            refuse(wanted.size);
            return false;
        }
        counts[class_of(wanted.size)] += wanted.count;
    }
    std::uint64_t missing_size = 0;
    for (std::size_t index = 0; index < class_count; ++index) {
        const std::uint64_t there = of_class[index].blocks;
        counts[index] = counts[index] > there ? counts[index] - there : 0;
        missing_size += counts[index] * size_of_class(index);
    }
    if (missing_size > capacity_ - cut_) {
        refused_ = 0;
        needed_ = cut_ + missing_size;
        return false;
    }
    for (std::size_t index = 0; index < class_count; ++index) {
        for (; counts[index] > 0; --counts[index]) {
            Class& slot = of_class[index];
            slot.free = ::new (arena_ + cut_) FreeBlock{slot.free};
            cut_ += size_of_class(index);
            ++slot.blocks;
        }
    }
    return true;
}

void* FramePool::allocate_slowly(std::size_t size) noexcept {
    const std::size_t index = class_of(size);
    const std::size_t block_size = size_of_class(index);
    Class& slot = classes()[index];
    void* block = slot.free;
    if (block != nullptr) {
        slot.free = slot.free->next;
    } else {
        if (block_size > capacity_ - cut_) return refuse(size);
        block = arena_ + cut_;
        cut_ += block_size;
        ++slot.blocks;
    }
    if (++slot.in_use > slot.peak) slot.peak = slot.in_use;
    if (observer_ != nullptr) observer_->given_(*observer_, block, size);
    return block;
}

void FramePool::release_slowly(void* memory, std::size_t size) noexcept {
    Class& slot = classes()[class_of(size)];
    WEIR_ASSERT(slot.in_use > 0);  // thus, without an observer
    --slot.in_use;
    if (observer_ != nullptr) observer_->taken_(*observer_, memory, size);
    slot.free = ::new (memory) FreeBlock{slot.free};
}

void* FramePool::refuse(std::size_t size) noexcept {
    refused_ = size;
    if (size <= size_max) needed_ = cut_ + size_of_class(class_of(size));
    return nullptr;
}

Error FramePool::refusal(const char* operation) const noexcept {
    const bool possible = refused_ <= size_max;
    return {.code = possible ? Errc::no_frame : Errc::too_large,
            .system_errno = 0,
            .operation = operation,
            .a = possible ? needed_ : refused_,
            .b = possible ? capacity_ : size_max};
}

std::size_t FramePool::live() const noexcept {
    const Class* const of_class = classes();
    std::size_t total = 0;
    for (std::size_t index = 0; index < class_count; ++index) total += of_class[index].in_use;
    return total;
}

FrameUsage FramePool::usage(std::size_t index) const noexcept {
    WEIR_ASSERT(index < class_count);
    const Class& slot = classes()[index];
    return {static_cast<std::uint32_t>(size_of_class(index)), slot.blocks, slot.in_use, slot.peak};
}

}  // namespace weir
