// SPDX-License-Identifier: MIT
#include "weir/scheduler/link_table.hpp"

#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

namespace weir {

LinkSlot::LinkSlot(LinkTable& table) noexcept : Timer(fired), table_(&table) {
    for (Watch& watch : watches_) {
        watch.offset = static_cast<std::uint16_t>(reinterpret_cast<std::byte*>(&watch) -
                                                  reinterpret_cast<std::byte*>(this));
        watch.done = done;
    }
}

void LinkSlot::set_fd(unsigned watch, Fd fd) noexcept {
    DescriptorEntry& entry = table_->entry_of(*this, watch);
    WEIR_ASSERT(entry.fd < 0 && fd);
    entry.begin(fd.release(), true);
    watches_[watch].entry = &entry;
}

int LinkSlot::fd(unsigned watch) const noexcept {
    return table_->entry_of(*this, watch).fd;
}

bool LinkSlot::watching(unsigned watch) const noexcept {
    const DescriptorEntry& entry = table_->entry_of(*this, watch);
    return entry.busy();
}

long LinkSlot::submit(unsigned watch) noexcept {
    WEIR_ASSERT(!closing_ && !watching(watch));
    const long submitted = scheduler().backend().submit(watches_[watch]);
    if (submitted == 0) ++table_->watching_;
    return submitted;
}

long LinkSlot::watch_readable(unsigned watch) noexcept {
    Watch& operation = watches_[watch];
    operation.verb = Operation::Verb::readable;
    operation.queued = false;
    operation.polled = false;
    return submit(watch);
}

long LinkSlot::watch_counter(unsigned watch) noexcept {
    Watch& operation = watches_[watch];
    operation.verb = Operation::Verb::read;
    operation.queued = true;
    operation.polled = false;
    operation.data = &counter_;
    operation.size = sizeof(counter_);
    return submit(watch);
}

void LinkSlot::done(Operation& operation) noexcept {
    auto& watch = static_cast<Watch&>(operation);
    LinkSlot& slot = watch.slot();
    --slot.table_->watching_;
    if (slot.closing_) return;
    slot.kind_->on_event(slot, static_cast<unsigned>(&watch - slot.watches_.data()), operation.result);
}

void LinkSlot::fired(Timer& timer) noexcept {
    auto& slot = static_cast<LinkSlot&>(timer);
    slot.kind_->on_timer(slot);
}

void LinkSlot::arm_timer(Duration span) noexcept {
    disarm_timer();
    scheduler().timers.arm(*this, after(scheduler().now(), span));
}

void LinkSlot::disarm_timer() noexcept {
    if (armed()) scheduler().timers.disarm(*this);
}

void LinkSlot::close() noexcept {
    if (closing_) return;
    closing_ = true;
    disarm_timer();
    next_ = table_->closing_;
    table_->closing_ = this;
    table_->free_ended_ = &LinkTable::free_those_that_ended;
    for (unsigned watch = 0; watch < watches_max; ++watch) {
        if (watching(watch)) scheduler().backend().cancel(watches_[watch]);
    }
}

Scheduler& LinkSlot::scheduler() noexcept {
    return *table_->scheduler_;
}

DescriptorEntry& LinkTable::entry_of(const LinkSlot& slot, unsigned watch) noexcept {
    const auto index = static_cast<std::size_t>(&slot - slots_.data());
    return entries_[index * LinkSlot::watches_max + watch];
}

LinkSlot* LinkTable::take(const LinkKind& kind) noexcept {
    LinkSlot* slot = free_;
    if (slot != nullptr) {
        free_ = slot->next_;
    } else {
        if (made_ == slots_.size()) return nullptr;
        slot = ::new (&slots_[made_++]) LinkSlot(*this);
    }
    slot->next_ = nullptr;
    slot->kind_ = &kind;
    slot->closing_ = false;
    peak_ = std::max(peak_, ++count_);
    return slot;
}

void LinkTable::free_those_that_ended(LinkTable& table) noexcept {
    LinkSlot* slot = std::exchange(table.closing_, nullptr);
    while (slot != nullptr) {
        LinkSlot* const next = slot->next_;
        bool ended = true;
        for (unsigned watch = 0; watch < LinkSlot::watches_max; ++watch) {
            ended = ended && !slot->watching(watch);
        }
        if (!ended) {
            slot->next_ = table.closing_;
            table.closing_ = slot;
        } else {
            for (unsigned watch = 0; watch < LinkSlot::watches_max; ++watch) {
                DescriptorEntry& entry = table.entry_of(*slot, watch);
                if (entry.fd < 0) continue;
                table.scheduler_->backend().forget(entry);
                Fd fd(std::exchange(entry.fd, -1));
                if (slot->kind_->on_close != nullptr) slot->kind_->on_close(*slot, watch, std::move(fd));
            }
            if (slot->kind_->on_free != nullptr) slot->kind_->on_free(*slot);
            slot->kind_ = nullptr;
            slot->next_ = table.free_;
            table.free_ = slot;
            --table.count_;
        }
        slot = next;
    }
}

}  // namespace weir
