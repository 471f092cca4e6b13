// SPDX-License-Identifier: MIT
//
// A word in shared memory whose change ends an await.
//
// Who awaits such a word links a Watch into the scheduler with Scheduler::watch(). Linked, it costs no system call: the
// word is compared in every turn, and when nothing is ready, for a bounded time more (Budget::spin_us) before the
// scheduler blocks. Only then, and once for each sleep, the owner is told that the thread is about to sleep. It
// announces that to whoever changes the word, so that it be woken through a descriptor that the backend waits for.
//
//     watch() ── every turn: word != seen? ──► changed()
//        └────── about to block, and not asleep: asleep = true, sleeps()
//
// Both functions are called between tasks. They may unlink their own watch and queue ready items, no more.
#pragma once

#include "weir/core/list.hpp"

#include <atomic>
#include <cstdint>

namespace weir {

struct Watches;  // the list tag

/// Lives in the awaiter; unlink() ends it. Pinned while linked.
class Watch : public ListNode<Watches> {
public:
    using Word = std::atomic<std::uint32_t>;
    static_assert(Word::is_always_lock_free);

    struct Kind {
        /// The word is not `seen` any more. The owner takes what it finds and unlinks, or sets `seen` anew.
        void (*changed)(Watch&) noexcept;
        /// The thread is about to block. The owner announces it, then looks once more (with the fence that this takes)
        /// and unlinks if it has found something.
        void (*sleeps)(Watch&) noexcept;
    };

    /// `word` outlives the link.
    void set(const Kind& kind_of, const Word& to_compare, std::uint32_t value_seen) noexcept {
        kind_ = &kind_of;
        word_ = &to_compare;
        seen = value_seen;
        asleep = false;
    }

    /// True if it was called to take something.
    bool look() noexcept {
        if (word_->load(std::memory_order_relaxed) == seen) [[likely]]
            return false;
        kind_->changed(*this);
        return true;
    }
    void fall_asleep() noexcept {
        if (asleep) return;
        asleep = true;
        kind_->sleeps(*this);
    }

    std::uint32_t seen = 0;
    /// sleeps() was called. The owner clears it when its announcement was answered and it found nothing.
    bool asleep = false;

private:
    const Kind* kind_ = nullptr;
    const Word* word_ = nullptr;
};

}  // namespace weir
