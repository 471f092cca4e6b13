// SPDX-License-Identifier: MIT
//
// The ready list.
//
// Whatever has to run soon is a ReadyItem in one of two first-in-first-out lists. A task waiting to be
// resumed is one; so is a group's slot whose child has finished. Completing anything means pushing an item:
// nothing that completes ever runs foreign code on its own stack.
#pragma once

#include "weir/core/assert.hpp"

#include <cstdint>

namespace weir {

enum class Priority : std::uint8_t {
    normal,
    urgent,  ///< runs before everything normal, which still gets one turn in sixteen
};

struct ReadyItem {
    using Run = void (*)(ReadyItem&) noexcept;

    explicit ReadyItem(Run function) noexcept : run_(function) {}
    ReadyItem(const ReadyItem&) = delete;
    ReadyItem& operator=(const ReadyItem&) = delete;
    ~ReadyItem() { WEIR_ASSERT(!queued_); }

    [[nodiscard]] bool queued() const noexcept { return queued_; }
    [[nodiscard]] Priority priority() const noexcept { return priority_; }
    /// Takes effect the next time the item is queued.
    void set_priority(Priority priority) noexcept { priority_ = priority; }
    void run() noexcept { run_(*this); }

private:
    friend class ReadyList;
    ReadyItem* next_ = nullptr;
    Run run_;
    Priority priority_ = Priority::normal;
    bool queued_ = false;
};

class ReadyList {
public:
    constexpr ReadyList() noexcept = default;
    ReadyList(const ReadyList&) = delete;
    ReadyList& operator=(const ReadyList&) = delete;

    [[nodiscard]] bool empty() const noexcept {
        return lanes_[0].first == nullptr && lanes_[1].first == nullptr;
    }

    void push_back(ReadyItem& item) noexcept {
        Lane& lane = lane_of(item);
        item.next_ = nullptr;
        if (lane.first == nullptr) {
            lane.first = &item;
        } else {
            lane.last->next_ = &item;
        }
        lane.last = &item;
    }
    void push_front(ReadyItem& item) noexcept {
        Lane& lane = lane_of(item);
        item.next_ = lane.first;
        if (lane.first == nullptr) lane.last = &item;
        lane.first = &item;
    }

    /// Null when empty.
    ReadyItem* pop() noexcept {
        Lane& urgent = lanes_[1];
        Lane& normal = lanes_[0];
        Lane* lane = &normal;
        if (urgent.first != nullptr && (normal.first == nullptr || ++urgent_run_ % 16 != 0)) lane = &urgent;
        ReadyItem* const item = lane->first;
        if (item == nullptr) return nullptr;
        lane->first = item->next_;
        item->queued_ = false;
        return item;
    }

private:
    struct Lane {
        ReadyItem* first = nullptr;
        ReadyItem* last = nullptr;
    };
    Lane& lane_of(ReadyItem& item) noexcept {
        WEIR_ASSERT(!item.queued_);
        item.queued_ = true;
        return lanes_[static_cast<unsigned>(item.priority_)];
    }

    Lane lanes_[2];
    std::uint32_t urgent_run_ = 0;
};

}  // namespace weir
