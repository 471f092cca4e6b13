// SPDX-License-Identifier: MIT
//
// Records of one type through shared memory, from one process to another.
//
//     WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, "readings", {.slots = 64}));
//     WEIR_CO_TRY(auto slot, ring.reserve().within(1s));
//     *slot = {…};
//     slot.commit();
//
//     WEIR_CO_TRY(auto ring, RingReader<Reading>::open(scheduler, "readings").within(2s));
//     WEIR_CO_TRY(auto reading, ring.next());
//     use(reading->celsius);                     // in place; released at the end of the scope
//
// The writer serves the name; there is one reader at a time. A record is seen by the reader when it is committed, and
// its slot is free again when it is released. What was committed and not released stays for the next reader, whoever
// it is: a reader that dies in the middle of a record leaves that record. While there is work on both sides neither
// makes a system call.
//
// T is a portable record (types/layout.hpp), and needs no alignment beyond 64. A reader that trusts the writer (as one of
// the same user, see LinkTrust) reads in place: a record may change while it is read if its writer is broken, and only
// then. Another one reads copies.
#pragma once

#include "weir/ipc/ring/ring_end.hpp"
#include "weir/ipc/types/validity.hpp"

#include <algorithm>
#include <tuple>
#include <type_traits>

namespace weir::ipc {

/// The largest alignment that a record may need: the data begin on such a boundary.
inline constexpr std::size_t ring_record_alignment_max = 64;
static_assert(cache_line % ring_record_alignment_max == 0);

/// Two pointers side by side are moved in one piece. Done right after each was written by itself, that waits until
/// everything stored before has reached the cache, for a record's own lines too: so they lie apart.
inline constexpr std::size_t ring_apart = 2 * sizeof(void*);

/// What may be a record, if it is a PortableRecord too, or RecordTraits let it pass: the compiler says why it is not.
template <class T>
concept RingRecord = std::is_trivially_copyable_v<T> && alignof(T) <= ring_record_alignment_max;

struct RingOptions {
    std::uint32_t slots = 64;  ///< records that fit, a power of two
    LinkServerOptions link{};  ///< of the name: mode, owner, group, directory
};

/// The layout of a ring of T.
template <RingRecord T>
[[nodiscard]] constexpr RingShape ring_shape_of(std::uint32_t slots) noexcept {
    constexpr std::size_t aligned = alignof(T) < 8 ? 8 : alignof(T);
    return {.units = slots,
            .unit_bytes = static_cast<std::uint32_t>((sizeof(T) + aligned - 1) / aligned * aligned),
            .record_size = sizeof(T),
            .layout = record_layout<T>()};
}

/// The part of a reservation that does not depend on its type: dropping it abandons it.
template <class End>
class RingSlotBase {
public:
    RingSlotBase(RingSlotBase&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
    RingSlotBase& operator=(RingSlotBase&&) = delete;
    ~RingSlotBase() { abandon(); }

    /// Nothing was reserved. Also what dropping it does.
    void abandon() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->set_in_use(false);
    }

protected:
    explicit RingSlotBase(End& end) noexcept : end_(&end) { end.set_in_use(true); }
    void finish(std::uint32_t count, bool publish) noexcept {
        WEIR_ASSERT(end_ != nullptr && "a slot is committed twice");
        end_->machine.advance(count);
        end_->count_record(count);
        if (publish) end_->publish();
        abandon();
    }

private:
    End* end_;
};

/// One reserved record. Move-only; lives no longer than its RingWriter, which must not move meanwhile.
template <RingRecord T, class End = RingWriterEnd>
class [[nodiscard]] RingSlot : public RingSlotBase<End> {
public:
    RingSlot(End& end, T* value) noexcept : RingSlotBase<End>(end), value_(value) {}

    /// What lies there is what an earlier record left.
    [[nodiscard]] T& operator*() const noexcept { return *value_; }
    [[nodiscard]] T* operator->() const noexcept { return value_; }
    /// Gives it to the reader, with all that was deferred before it. One store, one load of the reader's line, and a
    /// system call only if the reader sleeps.
    void commit() noexcept { this->finish(1, true); }
    /// It is finished, and the reader gets it with the next commit(), or when the writer has to wait.
    void defer() noexcept { this->finish(1, false); }

private:
    alignas(ring_apart) T* value_;
};

/// Several reserved records that lie side by side.
template <RingRecord T, class End = RingWriterEnd>
class [[nodiscard]] RingSlots : public RingSlotBase<End> {
public:
    RingSlots(End& end, std::byte* first, std::uint32_t stride, std::uint32_t count) noexcept
        : RingSlotBase<End>(end), first_(first), stride_(stride), size_(count) {}

    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    [[nodiscard]] T& operator[](std::uint32_t index) const noexcept {
        void* const at = first_ + std::size_t{index} * stride_;
        return *static_cast<T*>(at);
    }
    /// Gives the first `count` of them to the reader at once; the others were never reserved.
    void commit(std::uint32_t count) noexcept {
        WEIR_ASSERT(count <= size_ && "more slots are committed than were reserved");
        this->finish(count, true);
    }
    void commit() noexcept { commit(size_); }

private:
    std::byte* first_;
    std::uint32_t stride_;
    std::uint32_t size_;
};

/// The part of a record in use that does not depend on its type: dropping it releases it.
template <class End>
class RingItemBase {
public:
    RingItemBase(RingItemBase&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
    RingItemBase& operator=(RingItemBase&&) = delete;
    ~RingItemBase() {
        if (end_ != nullptr) release();
    }
    /// Gives the place back to the writer, with all that was deferred before it.
    void release() noexcept {
        WEIR_ASSERT(end_ != nullptr && "a record is released twice");
        end_->publish();
        done();
    }
    /// It was read; the writer gets its place with the next release, or when the reader has to wait. A reader that dies
    /// before that leaves it to its successor.
    void defer() noexcept {
        WEIR_ASSERT(end_ != nullptr && "a record is released twice");
        done();
    }

protected:
    /// Its place was passed already.
    explicit RingItemBase(End& end) noexcept : end_(&end) { end.set_in_use(true); }

private:
    void done() noexcept { std::exchange(end_, nullptr)->set_in_use(false); }

    End* end_;
};

/// Whether copies of T are looked at: not all bytes are a T. Of types that only one build understands
/// (RecordTraits<T>::same_build) nothing is known.
template <class T>
inline constexpr bool ring_checks = false;
template <PortableRecord T>
inline constexpr bool ring_checks<T> = !always_valid<T>;
/// What taking a record gives: it can go wrong where it is looked at.
template <class T, class Value>
using RingTaken = std::conditional_t<ring_checks<T>, Result<Value>, Value>;
/// Whether `count` records at `first` are Ts, where they are copies; what a trusted writer wrote is not looked at. If not,
/// the writer is turned out.
template <RingRecord T, class End>
[[nodiscard]] bool ring_valid(End& end, const void* first, std::uint32_t count) noexcept {
    if (!end.copies()) return true;
    for (std::uint32_t i = 0; i < count; ++i) {
        const void* const at =
            static_cast<const std::byte*>(first) + std::size_t{i} * ring_shape_of<T>(1).unit_bytes;
        if (is_valid(*static_cast<const T*>(at))) continue;
        end.set_broken();
        return false;
    }
    return true;
}

/// One record: in place where the writer is trusted, and so liable to change if it is broken; else a copy of our own,
/// which is a valid T (types/validity.hpp) if T is a portable record, and stays until the next one is taken.
/// Move-only; lives no longer than its RingReader, which must not move meanwhile.
template <RingRecord T, class End = RingReaderEnd>
class [[nodiscard]] RingItem : public RingItemBase<End> {
public:
    RingItem(End& end, const T* value) noexcept : RingItemBase<End>(end), value_(value) {}
    [[nodiscard]] const T& operator*() const noexcept { return *value_; }
    [[nodiscard]] const T* operator->() const noexcept { return value_; }

private:
    alignas(ring_apart) const T* value_;
};

/// Several records, in place or copied as one is, released together.
template <RingRecord T, class End = RingReaderEnd>
class [[nodiscard]] RingItems : public RingItemBase<End> {
public:
    RingItems(End& end, const std::byte* first, std::uint32_t stride, std::uint32_t count) noexcept
        : RingItemBase<End>(end), first_(first), stride_(stride), size_(count) {}
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    [[nodiscard]] const T& operator[](std::uint32_t index) const noexcept {
        const void* const at = first_ + std::size_t{index} * stride_;
        return *static_cast<const T*>(at);
    }

private:
    const std::byte* first_;
    std::uint32_t stride_;
    std::uint32_t size_;
};

/// What a task gets of one end: Take says how the value is made of the end once it is there.
template <class End, class Take>
class [[nodiscard]] RingAwait : public Awaitable<RingAwait<End, Take>> {
public:
    using Outcome = Result<typename Take::Value>;
    explicit RingAwait(End& end, Take take = {}) noexcept : end_(&end), take_(take) {}

    /// What a wait would find first.
    [[nodiscard]] bool ready_at_once() const noexcept { return end_->idle() && end_->ready(1); }
    [[nodiscard]] Outcome take_at_once() const noexcept { return take_(*end_); }

    class Wait : public RingWait<End> {
    public:
        explicit Wait(RingAwait&& description) noexcept
            : RingWait<End>(kind, *description.end_, 1), take_(description.take_) {}
        Outcome take() noexcept {
            if (!this->arrived()) [[unlikely]]
                return this->failed();
            this->found(this->end().machine.known() > 1);
            return take_(this->end());
        }

    private:
        static constexpr Pending::Kind kind{End::waiting_for, nullptr};
        [[no_unique_address]] Take take_;
    };

private:
    End* end_;
    [[no_unique_address]] Take take_;
};

/// Waits until everything was taken.
class [[nodiscard]] RingDrain : public Awaitable<RingDrain> {
public:
    using Outcome = Result<void>;
    explicit RingDrain(RingWriterEnd& end) noexcept : end_(&end) {}

    class Wait : public RingWait<RingWriterEnd> {
    public:
        explicit Wait(RingDrain&& drain) noexcept
            : RingWait<RingWriterEnd>(kind, *drain.end_, drain.end_->machine.capacity()) {
            drains_ = true;
        }
        Result<void> take() noexcept {
            if (!arrived()) return failed();
            end().shut();
            return {};
        }

    private:
        static constexpr Pending::Kind kind{"ring close", nullptr};
    };

private:
    RingWriterEnd* end_;
};

/// Writing records of T at an End, whatever its ring is made of.
template <RingRecord T, class End>
class RingWriting {
    static constexpr std::uint32_t stride = ring_shape_of<T>(1).unit_bytes;
    static T* at(End& end) noexcept {
        void* const place = end.data() + std::size_t{end.machine.offset()} * stride;
        return static_cast<T*>(place);
    }
    struct TakeOne {
        using Value = RingSlot<T, End>;
        Value operator()(End& end) const noexcept {
            end.machine.claim(stride, 1);
            return Value(end, at(end));
        }
    };
    struct TakeSome {
        using Value = RingSlots<T, End>;
        std::uint32_t most;
        Value operator()(End& end) const noexcept {
            const std::uint32_t count = std::min({most, end.machine.known(), end.machine.to_end()});
            end.machine.claim(stride, count);
            return Value(end, end.data() + std::size_t{end.machine.offset()} * stride, stride, count);
        }
    };

public:
    /// Waits for a free slot; the value is to be filled and committed. Completes at once while there is space. Errors:
    /// cancelled, timed_out, busy (another task waits, or a slot is in use), closed, corrupt (the reader wrote
    /// nonsense). Takes no frame.
    [[nodiscard]] auto reserve() noexcept { return RingAwait<End, TakeOne>(end_); }
    /// The same for 1 to `most` slots that lie side by side: as many as are free before the end of the ring.
    [[nodiscard]] auto reserve_some(std::uint32_t most) noexcept {
        return RingAwait<End, TakeSome>(end_, {most > 0 ? most : 1});
    }
    /// Without waiting: would_block where reserve() would wait. Costs no credit of the task.
    [[nodiscard]] Result<RingSlot<T, End>> try_reserve() noexcept {
        if (!end_.idle()) [[unlikely]]
            return failure(Errc::busy, End::waiting_for);
        if (!end_.ready(1)) [[unlikely]] {
            if (!end_.open()) return failure(Errc::closed, End::waiting_for);
            if (end_.machine.look(1) != ring::Look::ready)
                return failure(Errc::would_block, End::waiting_for);
        }
        return TakeOne{}(end_);
    }
    /// Gives the reader what was deferred.
    void commit() noexcept { end_.flush(); }

    [[nodiscard]] std::uint32_t slots() const noexcept { return end_.machine.capacity(); }
    /// Finished and not yet released. Looks at the reader.
    [[nodiscard]] std::uint32_t fill() noexcept {
        if (!end_.open()) return 0;
        std::ignore = end_.machine.look(1);  // what is impossible is left for reserve() to find
        return slots() - end_.machine.known();
    }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

protected:
    End end_;
};

/// The writing end of a ring of T. Move-only, while no slot of it is in use and nobody waits; belongs to one
/// scheduler's thread. Takes two slots of the link table. A reader that wrote nonsense is turned out when a reserve()
/// finds it, which fails with `corrupt`; the records wait for another one.
template <RingRecord T>
class RingWriter : public RingWriting<T, RingWriterEnd> {
public:
    RingWriter() noexcept = default;

    /// Makes the memory, which is all there from then on, and serves `name`. Errors: invalid (slots not a power of
    /// two), too_large (beyond 1 GiB), no_memory, no_files, unsupported (no memfd), in_use (the holder's pid), no_link,
    /// denied, not_found (no runtime directory).
    static Result<RingWriter> create(Scheduler& scheduler, const RingName& name,
                                     const RingOptions& options = {}) noexcept {
        RingWriter writer;
        const auto created =
            writer.end_.create(scheduler, name, ring_shape_of<T>(options.slots), options.link);
        if (!created) return failure(created.error());
        return writer;
    }
    /// Waits until the reader has released everything, then closes: it learns `ended`. Errors: those of reserve(), and
    /// peer_lost if the reader dies with records left. After an error the ring is still open. Dropping the writer
    /// closes without waiting: a reader that is attached still gets all that was committed, then `ended`.
    [[nodiscard]] RingDrain close() noexcept { return RingDrain(this->end_); }

    [[nodiscard]] bool has_reader() const noexcept { return this->end_.has_reader(); }
};

/// Reading records of T at an End, whatever its ring is made of.
template <RingRecord T, class End>
class RingReading {
protected:
    static constexpr std::uint32_t stride = ring_shape_of<T>(1).unit_bytes;

private:
    struct TakeOne {
        using Value = RingItem<T, End>;
        RingTaken<T, Value> operator()(End& end) const noexcept {
            const void* const place = end.readable(std::size_t{end.machine.offset()} * stride, sizeof(T));
            if constexpr (ring_checks<T>) {
                if (!ring_valid<T>(end, place, 1)) [[unlikely]]
                    return failure(Errc::corrupt, End::waiting_for);
            }
            end.machine.advance(1);
            return Value(end, static_cast<const T*>(place));
        }
    };
    struct TakeSome {
        using Value = RingItems<T, End>;
        std::uint32_t most;
        RingTaken<T, Value> operator()(End& end) const noexcept {
            std::uint32_t count = std::min({most, end.machine.known(), end.machine.to_end()});
            if (end.copies()) [[unlikely]]
                count = std::min(count, static_cast<std::uint32_t>(end.copy_room() / stride));
            const std::byte* const first =
                end.readable(std::size_t{end.machine.offset()} * stride, std::size_t{count} * stride);
            if constexpr (ring_checks<T>) {
                if (!ring_valid<T>(end, first, count)) [[unlikely]]
                    return failure(Errc::corrupt, End::waiting_for);
            }
            end.machine.advance(count);
            return Value(end, first, stride, count);
        }
    };

public:
    /// Waits for the next record, to be used in place or in a copy: see RingItem. Completes at once while there are any.
    /// Errors: cancelled, timed_out, busy (another task waits, or a record is in use), closed, corrupt (the writer wrote
    /// nonsense), and those by which the ring ends. Takes no frame.
    [[nodiscard]] auto next() noexcept { return RingAwait<End, TakeOne>(end_); }
    /// The same for 1 to `most` records that lie side by side: as many as are there before the end of the ring, and of
    /// copies no more than there are in a page.
    [[nodiscard]] auto next_some(std::uint32_t most) noexcept {
        return RingAwait<End, TakeSome>(end_, {most > 0 ? most : 1});
    }
    /// Without waiting: would_block where next() would wait or tell of an end. Costs no credit of the task.
    [[nodiscard]] Result<RingItem<T, End>> try_next() noexcept {
        if (!end_.idle()) [[unlikely]]
            return failure(Errc::busy, End::waiting_for);
        if (!end_.ready(1)) [[unlikely]] {
            if (!end_.open()) return failure(Errc::closed, End::waiting_for);
            if (end_.machine.look(1) != ring::Look::ready || !end_.ready(1))
                return failure(Errc::would_block, End::waiting_for);
        }
        return TakeOne{}(end_);
    }
    /// Gives the writer back what was deferred.
    void release() noexcept { end_.flush(); }
    /// Leaves at once. What was not released is the next reader's.
    void close() noexcept { end_.shut(); }

    [[nodiscard]] std::uint32_t slots() const noexcept { return end_.machine.capacity(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

protected:
    End end_;
};

/// The reading end of a ring of T. Move-only, while no record of it is in use and nobody waits; belongs to one
/// scheduler's thread. Takes one slot of the link table, and where it copies a page or a record of memory. It ends with
/// `ended` (the writer closed) or peer_lost (it died), both only after its last committed record.
template <RingRecord T>
class RingReader : public RingReading<T, RingReaderEnd> {
public:
    RingReader() noexcept = default;

    /// What open() returns: see there.
    class [[nodiscard]] Open : public Awaitable<Open> {
    public:
        using Outcome = Result<RingReader>;
        explicit Open(const OpenLink& link) noexcept : link_(link) {}
        class Wait : public OpenLink::Wait {
        public:
            explicit Wait(Open&& open) noexcept : OpenLink::Wait(std::move(open.link_)) {}
            Result<RingReader> take() noexcept {
                WEIR_TRY(LinkClient client, OpenLink::Wait::take());
                RingReader reader;
                const auto attached = reader.end_.attach(std::move(client), RingReader::stride);
                if (!attached) return failure(attached.error());
                return reader;
            }
        };

    private:
        OpenLink link_;
    };

    /// Waits until `name` is served and attaches to it. Errors: those of open_link(): in_use (another reader, its pid),
    /// mismatch (another type of record), denied, no_link, no_memory, no_files, cancelled, timed_out.
    [[nodiscard]] static Open open(Scheduler&, const RingName& name,
                                   const LinkOpenOptions& options = {}) noexcept {
        return Open(open_link(name, ring_shape_of<T>(0).terms(), options));
    }
};

}  // namespace weir::ipc
