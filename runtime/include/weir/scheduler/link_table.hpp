// SPDX-License-Identifier: MIT
//
// The link table: what a scheduler watches without a task.
//
// A slot is a place with an address that does not change: up to three descriptors that are watched by operations, a
// timer, and some bytes for the state of whoever took it. What happens is told to functions of the slot's kind, in the
// scheduler's thread, between tasks. The layers above make attachments to other processes of it, which have to be
// served however busy the tasks are.
//
// Closing a slot asks its operations to end; the slot is free again when they have, which takes until the backend has
// waited once more. run() and run_ready() see to that before they say that the root task is over.
//
// The descriptors of links have entries of their own besides Budget::descriptors.
#pragma once

#include "weir/backend/backend.hpp"
#include "weir/core/timer_wheel.hpp"
#include "weir/core/token_bucket.hpp"
#include "weir/sys/fd.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

namespace weir {

class LinkTable;
class LinkSlot;
class Scheduler;

/// What a slot is for.
struct LinkKind {
    /// A watch completed: `result` is what its operation gave, or the negative errno; it is not armed any more. Not
    /// called for those that end because the slot was closed.
    void (*on_event)(LinkSlot& slot, unsigned watch, long result) noexcept;
    /// The slot's timer fired. May be null where it is never armed.
    void (*on_timer)(LinkSlot& slot) noexcept;
    /// The slot is about to be free, its descriptors are closed: destroys the state. May be null.
    void (*on_free)(LinkSlot& slot) noexcept;
    /// Takes over the descriptor of a watch of a slot that was closed; nothing waits for it any more, and the state is still
    /// there. For those whose close(2) may take long. Null: they are closed on the spot.
    void (*on_close)(LinkSlot& slot, unsigned watch, Fd fd) noexcept = nullptr;
};

class LinkSlot : private Timer {
public:
    static constexpr unsigned watches_max = 3;
    static constexpr std::size_t state_size = 264;

    explicit LinkSlot(LinkTable& table) noexcept;
    LinkSlot(const LinkSlot&) = delete;
    LinkSlot& operator=(const LinkSlot&) = delete;
    ~LinkSlot() = default;

    /// Makes the state of the slot's user in it, once after it was taken.
    template <class T, class... A>
    T& make(A&&... arguments) noexcept {
        static_assert(fits(sizeof(T), alignof(T)));
        return *::new (static_cast<void*>(state_.data())) T(static_cast<A&&>(arguments)...);
    }
    template <class T>
    [[nodiscard]] T& state() noexcept {
        void* const bytes = state_.data();
        return *std::launder(static_cast<T*>(bytes));
    }

    /// Hands `fd`, close-on-exec and non-blocking, to watch number `watch`, which has none.
    void set_fd(unsigned watch, Fd fd) noexcept;
    [[nodiscard]] int fd(unsigned watch) const noexcept;
    /// Waits until the descriptor is readable or hung up; on_event then gets the poll events. Whoever is told reads
    /// until nothing is left (EAGAIN) before it watches again. 0, or the negative errno.
    long watch_readable(unsigned watch) noexcept;
    /// Waits for a counter (an eventfd) and takes it; on_event gets the bytes read, and counter() has it. It is not
    /// tried before it is waited for. 0, or the negative errno.
    long watch_counter(unsigned watch) noexcept;
    [[nodiscard]] bool watching(unsigned watch) const noexcept;
    /// What the last counter that was read held.
    [[nodiscard]] std::uint64_t counter() const noexcept { return counter_; }

    /// on_timer after `span`; an armed timer is set anew.
    void arm_timer(Duration span) noexcept;
    void disarm_timer() noexcept;
    [[nodiscard]] bool timer_armed() const noexcept { return armed(); }

    /// Ends everything; descriptors stay open, and the state stays, until the operations have ended. Nothing is told
    /// any more but on_free. Idempotent. Never calls on_free itself, so that it may be called from anywhere.
    void close() noexcept;
    [[nodiscard]] bool closing() const noexcept { return closing_; }
    [[nodiscard]] Scheduler& scheduler() noexcept;

private:
    friend LinkTable;
    static constexpr bool fits(std::size_t size, std::size_t alignment) noexcept {
        return size <= state_size && alignment <= 8;
    }
    struct Watch : Operation {
        Watch() noexcept : Operation(Verb::readable) {}
        [[nodiscard]] LinkSlot& slot() noexcept {
            void* const bytes = reinterpret_cast<std::byte*>(this) - offset;
            return *std::launder(static_cast<LinkSlot*>(bytes));
        }
        std::uint16_t offset = 0;  // of it in its slot
    };
    static void done(Operation& operation) noexcept;
    static void fired(Timer& timer) noexcept;
    long submit(unsigned watch) noexcept;

    std::array<Watch, watches_max> watches_;
    LinkTable* table_;
    const LinkKind* kind_ = nullptr;  // null while it is free
    LinkSlot* next_ = nullptr;        // of the free ones, or of those that close
    std::uint64_t counter_ = 0;
    bool closing_ = false;
    alignas(8) std::array<std::byte, state_size> state_;
};

/// A fixed number of slots in memory given at start. What it does is linked into those programs that take a slot.
class LinkTable {
public:
    constexpr LinkTable() noexcept = default;
    LinkTable(const LinkTable&) = delete;
    LinkTable& operator=(const LinkTable&) = delete;

    /// Descriptor entries that `links` slots need.
    [[nodiscard]] static constexpr std::size_t entries_of(std::size_t links) noexcept {
        return links * LinkSlot::watches_max;
    }
    /// `slots` is memory for them, which take() makes; `entries` are entries_of(slots.size()) of the scheduler's table that
    /// nobody else takes.
    void start(Scheduler& scheduler, std::span<LinkSlot> slots, std::span<DescriptorEntry> entries) noexcept {
        WEIR_ASSERT(entries.size() == entries_of(slots.size()));
        scheduler_ = &scheduler;
        slots_ = slots;
        entries_ = entries;
    }

    /// A free slot, or null: all are taken, or are still closing (then ask again after the next wait).
    [[nodiscard]] LinkSlot* take(const LinkKind& kind) noexcept;
    /// Whether take() would give one.
    [[nodiscard]] bool has_free() const noexcept { return free_ != nullptr || made_ < slots_.size(); }
    /// Frees the slots that were closed and whose operations have ended; called in every turn.
    void free_closed() noexcept {
        if (closing_ != nullptr) [[unlikely]]
            free_ended_(*this);
    }
    [[nodiscard]] bool closing() const noexcept { return closing_ != nullptr; }
    /// Operations in flight, of slots that are closing too: no task waits for these.
    [[nodiscard]] std::size_t watching() const noexcept { return watching_; }

    /// Whether one more line may be reported of what a peer did: once a second, 16 at once, or peers fill the log.
    [[nodiscard]] bool may_report(Instant now) noexcept { return reports_.take(now); }

    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t peak() const noexcept { return peak_; }

private:
    friend LinkSlot;
    static void free_those_that_ended(LinkTable& table) noexcept;
    [[nodiscard]] DescriptorEntry& entry_of(const LinkSlot& slot, unsigned watch) noexcept;

    std::span<LinkSlot> slots_;
    std::span<DescriptorEntry> entries_;
    Scheduler* scheduler_ = nullptr;
    LinkSlot* free_ = nullptr;
    LinkSlot* closing_ = nullptr;
    void (*free_ended_)(LinkTable&) noexcept = nullptr;  // there when anything closes
    std::size_t made_ = 0;                               // slots that were taken at some time
    std::size_t count_ = 0;
    std::size_t peak_ = 0;
    std::size_t watching_ = 0;
    TokenBucket<1'000'000'000, 16> reports_;
};

}  // namespace weir
