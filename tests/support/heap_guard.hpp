// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Proof that nothing is allocated. While the guard is armed on a thread, any allocation on that thread — malloc and
/// its kin, operator new, a library deep below — says so on stderr with a backtrace and aborts the program. Freeing is
/// allowed: what start-up took may be given back. So is starting a thread, for which the C library allocates.
///
/// It is in every test program. Without a sanitizer it stands in for malloc; under AddressSanitizer it listens to the
/// sanitizer's own allocation hook.

namespace weir::test {

namespace heap_guard {

/// Arms and disarms the calling thread. Calls nest: the thread is armed while arms outnumber disarms.
void arm() noexcept;
void disarm() noexcept;
[[nodiscard]] bool armed() noexcept;

}  // namespace heap_guard

/// Armed from here to the end of the scope.
class HeapGuard {
public:
    HeapGuard() noexcept { heap_guard::arm(); }
    ~HeapGuard() { heap_guard::disarm(); }
    HeapGuard(const HeapGuard&) = delete;
    HeapGuard& operator=(const HeapGuard&) = delete;
};

/// Allocation is allowed from here to the end of the scope, however deeply armed: around assertions of a test that
/// run while the guard is armed.
class HeapPermit {
public:
    HeapPermit() noexcept;
    ~HeapPermit();
    HeapPermit(const HeapPermit&) = delete;
    HeapPermit& operator=(const HeapPermit&) = delete;

private:
    int depth_;
};

}  // namespace weir::test
