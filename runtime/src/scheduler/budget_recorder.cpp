// SPDX-License-Identifier: MIT
#include "scheduler/budget_recorder.hpp"

#include "weir/core/report.hpp"
#include "weir/scheduler/scheduler.hpp"
#include "weir/sys/fd.hpp"

#include "sys/stack.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir {
namespace {

using StackWord = std::uint32_t;
constexpr StackWord mark = 0x5bad'57ac;
// What whoever marks and measures uses itself.
constexpr std::uintptr_t own_stack_max = 1'024;
constexpr std::size_t unlimited_stack_measured = 256 * 1024;

// Below the stack's end lies nothing that the compiler, or a sanitizer, knows of.
[[gnu::noinline, gnu::no_sanitize_address]] void set_marks(std::uintptr_t low, std::uintptr_t high) noexcept {
    // Downwards: that is how a stack grows.
    for (std::uintptr_t at = high; at > low;) {
        at -= sizeof(StackWord);
        *reinterpret_cast<volatile StackWord*>(at) = mark;
    }
}

[[gnu::noinline, gnu::no_sanitize_address]] std::uintptr_t lowest_without_mark(std::uintptr_t low,
                                                                               std::uintptr_t high) noexcept {
    while (low < high && *reinterpret_cast<const volatile StackWord*>(low) == mark) low += sizeof(StackWord);
    return low;
}

constexpr const char* operation = "the file that WEIR_BUDGET names";

Result<BudgetFile*> map_file(const char* path) noexcept {
    const auto failed = [] { return failure(Error::from_errno(operation, errno)); };
    const Fd fd(::open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd) return failed();
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return failed();
    if (!S_ISREG(status.st_mode)) return failure(Errc::wrong_kind, operation);
    if (status.st_size < static_cast<off_t>(sizeof(BudgetFile)) &&
        ::ftruncate(fd.get(), sizeof(BudgetFile)) != 0)
        return failed();
    void* const mapped = ::mmap(nullptr, sizeof(BudgetFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (mapped == MAP_FAILED) return failed();
    return static_cast<BudgetFile*>(mapped);
}

// Whose record it is, and what that program may use.
void describe(const Budget& budget, BudgetRecord& record) noexcept {
    record.pid = ::getpid();
    std::snprintf(record.program.data(), record.program.size(), "%s", program_invocation_short_name);
    record.frame_bytes = budget.frame_bytes;
    record.submissions = budget.submissions;
    record.descriptors = budget.descriptors;
    record.links = budget.links;
    record.timer_slots = budget.timer_slots;
    record.spin_us = budget.spin_us;
    record.grace_ms = budget.grace_ms;
    record.hold_warning_ms = budget.hold_warning_ms;
    for (const FrameClass& wanted : budget.frame_classes) {
        if (wanted.count > 0) record.has_frame_classes = 1;
    }
    record.stack_bytes = budget.stack_bytes;
}

}  // namespace

BudgetRecorder::BudgetRecorder(Scheduler& scheduler, BudgetFile& file, BudgetRecord& record) noexcept
    : scheduler_(scheduler),
      file_(file),
      record_(record),
      census_(
          record.tasks, [](void* self) noexcept { static_cast<BudgetRecorder*>(self)->note(); }, this) {}

Result<BudgetRecorder*> BudgetRecorder::begin_where_asked(Scheduler& scheduler) noexcept {
    const char* const path = std::getenv("WEIR_BUDGET");
    if (path == nullptr || path[0] == '\0' || ::getauxval(AT_SECURE) != 0) return nullptr;
    return begin(path, scheduler);
}

Result<BudgetRecorder*> BudgetRecorder::begin(const char* path, Scheduler& scheduler) noexcept {
    WEIR_TRY(BudgetFile* const file, map_file(path));
    std::uint64_t there = 0;
    const bool usable =
        file->magic.compare_exchange_strong(there, BudgetFile::layout) || there == BudgetFile::layout;
    const std::uint32_t index = usable ? file->claimed.fetch_add(1) : 0;
    if (!usable || index >= BudgetFile::records_max) {
        ::munmap(file, sizeof(BudgetFile));
        if (usable) return nullptr;
        return failure(Errc::mismatch, operation, BudgetFile::layout, there);
    }
    // Its own memory: what a peer could write into the file must not lead anywhere.
    void* const own =
        ::mmap(nullptr, sizeof(BudgetRecorder), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (own == MAP_FAILED) {
        const auto error = Error::from_errno(operation, errno);
        ::munmap(file, sizeof(BudgetFile));
        return failure(error);
    }
    auto* const recorder = ::new (own) BudgetRecorder(scheduler, *file, file->records[index]);
    describe(scheduler.budget(), recorder->record_);
    scheduler.frames.tell(&recorder->census_);
    recorder->note();
    recorder->record_.state.store(BudgetRecord::running, std::memory_order_release);
    return recorder;
}

void BudgetRecorder::mark_stack(std::uintptr_t floor) noexcept {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    stack_base_ = floor + scheduler_.budget().stack_bytes;  // as the limit counts
    if (floor == 0) {
        stack_base_ = here;
        floor = here - unlimited_stack_measured;
    }
    // Nothing says that the thread has what its budget allows. An eighth is left for who came before.
    const std::size_t left = sys::stack_left();
    if (here - floor > left - left / 8) floor = here - (left - left / 8);
    stack_high_ = (here - own_stack_max) / sizeof(StackWord) * sizeof(StackWord);
    stack_low_ = (floor + sizeof(StackWord) - 1) / sizeof(StackWord) * sizeof(StackWord);
    if (stack_low_ < stack_high_) set_marks(stack_low_, stack_high_);
}

void BudgetRecorder::measure_stack() noexcept {
    if (stack_low_ == 0) return;
    const std::uintptr_t used_to =
        stack_low_ < stack_high_ ? lowest_without_mark(stack_low_, stack_high_) : stack_low_;
    record_.stack_measured = stack_base_ - stack_low_;
    record_.stack_peak = std::max<std::uint64_t>(record_.stack_peak, stack_base_ - used_to);
    stack_low_ = 0;
}

void BudgetRecorder::note() noexcept {
    const Usage usage = scheduler_.usage();
    record_.frame_bytes_cut = usage.frame_bytes;
    record_.descriptors_peak = static_cast<std::uint32_t>(usage.descriptors_peak);
    record_.links_peak = static_cast<std::uint32_t>(usage.links_peak);
    for (std::size_t i = 0; i < usage.classes.size(); ++i)
        record_.classes[i] = {usage.classes[i].size, usage.classes[i].peak};
}

void BudgetRecorder::end() noexcept {
    census_.settle();
    scheduler_.frames.tell(nullptr);
    end_in_the_middle();
    ::munmap(&file_, sizeof(BudgetFile));
    ::munmap(this, sizeof(BudgetRecorder));
}

void BudgetRecorder::note_end_of_root() noexcept {
    measure_stack();
    note();
}

void BudgetRecorder::end_in_the_middle() noexcept {
    note_end_of_root();
    record_.state.store(BudgetRecord::ended, std::memory_order_release);
}

}  // namespace weir
