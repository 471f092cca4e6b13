// SPDX-License-Identifier: MIT
#include "weir/backend/descriptor_table.hpp"

#include "weir/core/assert.hpp"

namespace weir {

void DescriptorTable::start(std::span<DescriptorEntry> entries, std::size_t reserved) noexcept {
    WEIR_ASSERT(count_ == 0 && reserved <= entries.size());
    entries_ = entries;
    reserved_ = reserved;
    free_ = nullptr;
    for (std::size_t i = capacity(); i > 0; --i) {
        entries[i - 1].next_free = free_;
        free_ = &entries[i - 1];
    }
}

DescriptorEntry* DescriptorTable::take(int fd, bool nonblocking) noexcept {
    WEIR_ASSERT(fd >= 0);
    if (foreign_count_ > 0) [[unlikely]] {
        DescriptorEntry* const shared = find_fd(fd);
        if (shared != nullptr && shared->foreign) {
            shared->foreign = false;
            shared->nonblocking = nonblocking;
            --foreign_count_;
            return shared;
        }
    }
    DescriptorEntry* const entry = free_;
    if (entry == nullptr) return nullptr;
    free_ = entry->next_free;
    entry->begin(fd, nonblocking);
    if (++count_ > peak_) peak_ = count_;
    return entry;
}

DescriptorEntry* DescriptorTable::share(int fd) noexcept {
    DescriptorEntry* entry = find_fd(fd);
    if (entry == nullptr) {
        entry = take(fd, true);
        if (entry == nullptr) return nullptr;
        entry->foreign = true;
        ++foreign_count_;
    }
    ++entry->sharers;
    return entry;
}

bool DescriptorTable::unshare(DescriptorEntry& entry) noexcept {
    WEIR_ASSERT(entry.sharers > 0);
    return --entry.sharers == 0 && entry.foreign;
}

DescriptorEntry* DescriptorTable::find_fd(int fd) noexcept {
    for (DescriptorEntry& entry : entries_) {
        if (entry.fd == fd) return &entry;
    }
    return nullptr;
}

void DescriptorTable::give_back(DescriptorEntry& entry) noexcept {
    WEIR_ASSERT(!entry.busy() && count_ > 0);
    if (entry.foreign) --foreign_count_;
    entry.foreign = false;
    entry.fd = -1;
    entry.next_free = free_;
    free_ = &entry;
    --count_;
}

}  // namespace weir
