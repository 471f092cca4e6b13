// SPDX-License-Identifier: MIT
//
// Entries, cursors and pins: how one writes samples that many read, and never waits for them unless it wants to.
//
// The entries are a ring. Each stands for one sample: its *number*, which counts from 1 and never wraps, and the slot in
// which it lies. The sample with the sequence number n (from 0) has number n + 1, and the entry n modulo the depth. To
// publish is to take the oldest entry away from its sample and to give it to the new one:
//
//     number = 0         the old sample is gone; its slot is retired
//     slot   = new       release
//     number = n + 1     release: it can be taken
//     cursor = n + 1     release: how many there are, in 32 bits, for those who wait
//
// To take a sample is to read its entry, to *pin* its slot, to fence, and to read the entry again. Before a retired slot
// is used again the publisher fences and reads all pins. So either the publisher sees the pin, or the second look sees
// that the entry stands for something else. Without either fence, or without the second look, a sample could be
// overwritten under its reader.
//
// A sample whose entry was taken away before it was read is *missed*. Numbers tell exactly how many.
//
// Each side stores only into its own memory. The publisher reads of a subscriber its epoch and its pins, and where it
// waits for the slowest one its position: each once, and each is checked. None of them can make it run out of slots.
#pragma once

#include "weir/ipc/shm/cache_line.hpp"
#include "weir/ipc/topic/epochs.hpp"
#include "weir/ipc/topic/slots.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace weir::ipc::topic {

inline constexpr std::uint32_t depth_max = 1U << 24;
inline constexpr std::uint32_t pins_max = 31;

/// What stands for one sample.
template <class Word, class Long>
struct alignas(16) BasicEntry {
    Long number{0};  ///< 0: nothing, or something that is about to change
    Word slot{0};
};
template <class Atomics>
using Entry = BasicEntry<typename Atomics::Word, typename Atomics::Long>;

/// What the publisher alone writes, besides the entries.
template <class Word>
struct BasicPublisherWords {
    alignas(cache_line) Word cursor{0};
    alignas(cache_line) Word epoch{0};
};
template <class Atomics>
using PublisherWords = BasicPublisherWords<typename Atomics::Word>;

/// What one subscriber alone writes.
template <class Word>
struct BasicSubscriberWords {
    alignas(cache_line) Word epoch{0};
    alignas(cache_line) Word position{0};
    std::array<Word, pins_max> pins{};  ///< a slot plus one; 0: none
};
template <class Atomics>
using SubscriberWords = BasicSubscriberWords<typename Atomics::Word>;

static_assert(sizeof(Entry<MachineAtomics>) == 16);
static_assert(sizeof(PublisherWords<MachineAtomics>) == 2 * cache_line);
static_assert(sizeof(SubscriberWords<MachineAtomics>) == 2 * cache_line);

/// The publisher's side.
template <class Atomics>
class Writer {
public:
    Writer() noexcept = default;
    /// All words and entries are zero. `depth` is a power of two, at most depth_max. The first sample has the sequence
    /// number `head`, a multiple of the depth.
    Writer(PublisherWords<Atomics>& own, Entry<Atomics>* entries, std::uint32_t depth,
           std::uint64_t head = 0) noexcept
        : own_(&own), entries_(entries), depth_(depth), head_(head), unused_before_(head + depth) {}

    [[nodiscard]] std::uint32_t depth() const noexcept { return depth_; }
    /// Samples that were ever published, and so the sequence number of the next.
    [[nodiscard]] std::uint64_t head() const noexcept { return head_; }

    /// Publishes what lies in `slot`. Returns the slot whose sample is gone by it, to be retired, or no_slot. Those who
    /// wait have to be told.
    [[nodiscard]] std::uint32_t publish(std::uint32_t slot) noexcept {
        Entry<Atomics>& entry = entries_[head_ & (depth_ - 1)];
        const std::uint32_t gone = head_ < unused_before_ ? no_slot : Atomics::load_relaxed(entry.slot);
        Atomics::store_relaxed(entry.number, 0, Site::unlink);
        // Whoever sees the new slot sees the 0 as well, and does not take it for the old sample.
        Atomics::store_release(entry.slot, slot, Site::link_slot);
        ++head_;
        Atomics::store_release(entry.number, head_, Site::link);  // pairs with the first look of take()
        Atomics::store_release(own_->cursor, static_cast<std::uint32_t>(head_), Site::publish);
        return gone;
    }

private:
    PublisherWords<Atomics>* own_ = nullptr;
    Entry<Atomics>* entries_ = nullptr;
    std::uint32_t depth_ = 0;
    std::uint64_t head_ = 0;
    std::uint64_t unused_before_ = 0;  // up to there each entry is given its first sample
};

/// One subscriber as the publisher sees it. False from any of these: it wrote what it must not.
template <class Atomics>
class Peer {
public:
    Peer() noexcept = default;
    /// Its position was `position` when it got its memory.
    Peer(const SubscriberWords<Atomics>& words, std::uint64_t position) noexcept
        : words_(&words), waker_(words.epoch), position_(position) {}

    [[nodiscard]] bool asleep() noexcept { return waker_.asleep(); }
    /// Where it was when it was last looked at.
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] bool look(std::uint64_t head) noexcept {
        // Pairs with the store in take(): what was taken may be replaced.
        const std::uint32_t now = Atomics::load_acquire(words_->position);
        const std::uint32_t step = now - static_cast<std::uint32_t>(position_);
        if (step > head - position_) return false;
        position_ += step;
        return true;
    }
    [[nodiscard]] bool keep_pins(SlotPool& pool, std::uint32_t pins) const noexcept {
        for (std::uint32_t i = 0; i < pins; ++i) {
            // Pairs with the store in release(): what was read before it may be overwritten.
            const std::uint32_t pin = Atomics::load_acquire(words_->pins[i]);
            if (pin == 0) continue;
            if (pin > pool.size()) return false;
            pool.keep(pin - 1);
        }
        return true;
    }

private:
    const SubscriberWords<Atomics>* words_ = nullptr;
    Waker<Atomics> waker_;
    std::uint64_t position_ = 0;
};

enum class Found : std::uint8_t {
    sample,
    nothing,  ///< not yet: one has to wait
    corrupt,  ///< the publisher wrote what it must not
};

/// A sample that was taken. Its slot stays as it is until release(pin).
struct Taken {
    std::uint64_t sequence;
    std::uint64_t missed;  ///< samples between the one taken before and this one
    std::uint32_t slot;
    std::uint32_t pin;
};

struct ReaderShape {
    std::uint32_t depth;  ///< entries, a power of two
    std::uint32_t slots;
    std::uint32_t keep;  ///< samples that it wants at most, up to `depth`: older ones count as missed
};

/// The subscriber's side.
template <class Atomics>
class Reader {
public:
    Reader() noexcept = default;
    Reader(SubscriberWords<Atomics>& own, const PublisherWords<Atomics>& publisher,
           const Entry<Atomics>* entries, const ReaderShape& shape) noexcept
        : own_(&own), publisher_(&publisher), entries_(entries), shape_(shape) {}

    /// Begins `history` samples before `head`, which was the publisher's head a moment ago: as far as they are there, and
    /// not before `floor`.
    void begin(std::uint64_t floor, std::uint64_t head, std::uint64_t history) noexcept {
        position_ = head - std::min(history, head - floor);
        head_ = position_;
        std::ignore = look();
        while (position_ < head_ && Atomics::load_relaxed(entry(position_).number) != position_ + 1)
            ++position_;
        missed_ = 0;
        tell();
    }

    /// The next sample is `position`, and so many are known to be published.
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] std::uint64_t head() const noexcept { return head_; }
    [[nodiscard]] bool knows_more() const noexcept { return head_ > position_; }

    /// Takes the next sample with a pin that is not in use. `nothing` although knows_more() says that the publisher
    /// overtook it again and again; who announced sleep before and looked since will be rung.
    [[nodiscard]] Found take(std::uint32_t pin, Taken& taken) noexcept {
        for (int attempt = 0; attempt < attempts_max; ++attempt) {
            if (!knows_more() && !look()) return Found::nothing;
            const Entry<Atomics>& at = entry(position_);
            const std::uint64_t number = Atomics::load_acquire(at.number);  // pairs with Site::link
            if (number != position_ + 1) [[unlikely]] {
                if (!pass(number)) return Found::corrupt;
                continue;
            }
            switch (hold(at, number, pin, taken)) {
                case Found::sample: break;
                case Found::nothing: continue;
                case Found::corrupt: return Found::corrupt;
            }
            position_ = number;
            taken.missed = std::exchange(missed_, 0);
            tell();
            return Found::sample;
        }
        return Found::nothing;
    }

    /// Takes the newest sample, also if it was taken before; next is what comes after it. What lies between counts as
    /// missed. `nothing` if none was ever published, or the publisher overtook it again and again.
    [[nodiscard]] Found take_newest(std::uint32_t pin, Taken& taken) noexcept {
        for (int attempt = 0; attempt < attempts_max; ++attempt) {
            const std::uint32_t cursor = Atomics::load_acquire(publisher_->cursor);
            const Entry<Atomics>& at = entry(std::uint64_t{cursor} - 1);
            const std::uint64_t number = Atomics::load_acquire(at.number);
            if (number == 0) continue;
            const std::uint32_t ahead = static_cast<std::uint32_t>(number) - cursor;
            if (ahead % shape_.depth != 0) return Found::corrupt;
            if (ahead != 0) continue;
            switch (hold(at, number, pin, taken)) {
                case Found::sample: break;
                case Found::nothing: continue;
                case Found::corrupt: return Found::corrupt;
            }
            taken.missed = 0;
            if (number <= position_) return Found::sample;
            skip_to(number - 1);
            position_ = number;
            head_ = std::max(head_, number);
            taken.missed = std::exchange(missed_, 0);
            tell();
            return Found::sample;
        }
        return Found::nothing;
    }

    /// The slot may be used again.
    void release(std::uint32_t pin) noexcept {
        Atomics::store_release(own_->pins[pin], 0, Site::unpin);  // pairs with keep_pins()
    }

    /// Asks the publisher how many samples there are; true if there are more than were taken.
    [[nodiscard]] bool look() noexcept {
        const std::uint32_t cursor = Atomics::load_acquire(publisher_->cursor);
        std::uint64_t ahead = cursor - static_cast<std::uint32_t>(position_);
        // A number is seen a moment before the cursor that follows it.
        constexpr std::uint32_t one_behind = 0xffff'ffff;
        if (ahead == 0 || ahead == one_behind) [[unlikely]]
            ahead = laps();
        head_ = std::max(head_, position_ + ahead);
        if (ahead > shape_.keep) skip_to(head_ - shape_.keep);
        return knows_more();
    }

private:
    static constexpr int attempts_max = 8;

    [[nodiscard]] const Entry<Atomics>& entry(std::uint64_t sequence) const noexcept {
        return entries_[sequence & (shape_.depth - 1)];
    }
    // The cursor says that there is nothing; unless 2^32 samples came since.
    [[nodiscard]] std::uint64_t laps() const noexcept {
        if (position_ == 0) return 0;
        const std::uint64_t number = Atomics::load_acquire(entry(position_ - 1).number);
        return number > position_ ? number - position_ : 0;
    }
    void skip_to(std::uint64_t position) noexcept {
        missed_ += position - position_;
        position_ = position;
    }
    // The entry stands for something newer than the sample that is due, which is gone.
    [[nodiscard]] bool pass(std::uint64_t number) noexcept {
        if (number == 0) {
            skip_to(position_ + 1);
        } else {
            const std::uint64_t due = position_ + 1;
            if (number < due || (number - due) % shape_.depth != 0) return false;
            skip_to(number - shape_.depth);
            head_ = std::max(head_, number);
        }
        std::ignore = look();
        return true;
    }
    // Pins what the entry stands for, if it still is this number then.
    [[nodiscard]] Found hold(const Entry<Atomics>& at, std::uint64_t number, std::uint32_t pin,
                             Taken& taken) noexcept {
        const std::uint32_t slot = Atomics::load_relaxed(at.slot);
        if (slot >= shape_.slots) return Found::corrupt;
        Atomics::store_release(own_->pins[pin], slot + 1, Site::pin);
        Atomics::fence(Fence::after_pin);  // pairs with after_unlink in the publisher
        if (Atomics::load_again(at.number, number) != number) [[unlikely]] {
            release(pin);
            return Found::nothing;
        }
        taken.sequence = number - 1;
        taken.slot = slot;
        taken.pin = pin;
        return Found::sample;
    }
    void tell() noexcept {
        Atomics::store_release(own_->position, static_cast<std::uint32_t>(position_), Site::position);
    }

    SubscriberWords<Atomics>* own_ = nullptr;
    const PublisherWords<Atomics>* publisher_ = nullptr;
    const Entry<Atomics>* entries_ = nullptr;
    ReaderShape shape_{};
    std::uint64_t position_ = 0;
    std::uint64_t head_ = 0;    // of the publisher, at least
    std::uint64_t missed_ = 0;  // since the last sample that was taken
};

}  // namespace weir::ipc::topic
