// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Control groups with a memory limit, for processes of a test. A process is moved into one by itself, and from then on
/// the pages that it takes count for the group; what it took before stays where it was. Both versions of control groups
/// will do. A group is made beside or below that of the test, so a limit of the test's own holds on.

#include <cstdint>
#include <string>

namespace weir::test {

/// What code, stacks, page tables and a sanitizer's shadow may take while an object is in use. An object whose pages are
/// to be missed must be much larger.
inline constexpr std::size_t memory_headroom = 8 << 20;

class MemoryGroup {
public:
    /// Empty where groups can be made, else the reason. Looks once.
    static const std::string& why_none();

    /// A group without a limit; needs why_none() to be empty. REQUIREs that it is made. Those that dead processes left
    /// are removed first.
    MemoryGroup();
    MemoryGroup(const MemoryGroup&) = delete;
    MemoryGroup& operator=(const MemoryGroup&) = delete;
    /// Its processes must have been reaped.
    ~MemoryGroup();

    /// Moves this process into it, and lets the kernel choose it when the memory runs out. Takes no heap. Ends the
    /// process where that fails.
    void join() const noexcept;
    /// Limits the group to what it uses now and `bytes` more, none of it swapped. Takes no heap. Ends the process where
    /// that fails.
    void allow_more(std::size_t bytes) const noexcept;
    /// Takes pages until the kernel ends this process; returns if it does not. Takes no heap.
    void exceed() const noexcept;
    /// How many of its processes the kernel ended for want of memory.
    [[nodiscard]] std::uint64_t killed() const;

private:
    std::string folder_;
    std::string processes_;
    std::string limit_;
    std::string usage_;
    std::string events_;
};

/// Ends a test that needs a MemoryGroup, as skipped, where there can be none.
void skip_without_memory_groups();
/// Ends a test whose processes take private memory before they are limited, as skipped, where its pages come only when
/// they are touched: an emulator of user programs maps without MAP_POPULATE.
void skip_where_pages_come_late();

}  // namespace weir::test
