// SPDX-License-Identifier: MIT
//
// The two ends of a ring between processes: what does not depend on the type of a record.
//
// The writer serves the ring's name and owns the memory that the records lie in; a reader attaches to it, gets that
// memory read-only, and writes only its own two words. One reader at a time. Without a reader, records stay, and a
// writer that finds the ring full waits for one to come; the next reader begins with the first record that was not
// released. Reading is in place where the reader trusts the writer, and else in a private copy.
//
// A wait that cannot end at once lets the scheduler look at the peer's cursor; only when the thread is about to block is
// sleep announced and the bell armed. It ends by that look, by the bell, by news of the link, or by a stop, and each
// time the memory decides: whatever is there is given out before any error is told.
#pragma once

#include "weir/core/name.hpp"
#include "weir/ipc/ring/pace.hpp"
#include "weir/ipc/ring/peer_teller.hpp"
#include "weir/ipc/ring/records.hpp"
#include "weir/ipc/shm/link.hpp"

#include <optional>

namespace weir::ipc {

/// The name of a ring. Its socket is in the runtime directory.
using RingName = Name;

/// What a ring looks like from outside.
struct RingShape {
    std::uint32_t units = 0;        ///< what cursors count to: slots, or bytes of records. A power of two
    std::uint32_t unit_bytes = 1;   ///< what each of them takes
    std::uint64_t record_size = 0;  ///< 0: records of any size
    std::uint64_t layout = 0;       ///< what both sides have to agree on besides

    [[nodiscard]] std::uint64_t bytes() const noexcept { return std::uint64_t{units} * unit_bytes; }
    [[nodiscard]] LinkTerms terms() const noexcept;
};

/// How far a wait has come.
enum class RingProgress : std::uint8_t { ready, waiting, failed };

class RingWaiter;

/// What both ends have: one wait at a time, one record in use at a time.
class RingEnd {
public:
    RingEnd() noexcept = default;
    RingEnd(RingEnd&& other) noexcept;
    RingEnd& operator=(RingEnd&& other) noexcept;
    ~RingEnd() { WEIR_ASSERT(idle()); }

    /// Nobody waits, and no record or slot of it is in use.
    [[nodiscard]] bool idle() const noexcept { return waiter_ == nullptr && !in_use_; }
    /// How often it announced that it sleeps.
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return sleeps_; }

    // --- for slots and records
    void set_in_use(bool in_use) noexcept { in_use_ = in_use; }
    void count_record(std::uint32_t records = 1) noexcept { records_ += records; }

protected:
    template <class>
    friend class RingWait;

    RingWaiter* waiter_ = nullptr;
    std::uint64_t sleeps_ = 0;
    std::uint64_t records_ = 0;  // that a writer finished
    ring::Pace pace_;
    bool in_use_ = false;
};

/// An end that tells its peer. What it tells does not move with it: it settles before.
template <class End>
class TellingRingEnd : public RingEnd, public PeerTeller<End> {
protected:
    TellingRingEnd() noexcept = default;
    TellingRingEnd(TellingRingEnd&& other) noexcept : RingEnd(static_cast<RingEnd&&>(other)) {}
    TellingRingEnd& operator=(TellingRingEnd&& other) noexcept {
        RingEnd::operator=(static_cast<RingEnd&&>(other));
        return *this;
    }
    ~TellingRingEnd() = default;
};

/// A wait at one end of a ring. Derived ones say what to take when it is there.
class RingWaiter : public Leaf {
public:
    void refuse(Errc code) noexcept { error_ = Error{.code = code, .operation = name()}; }
    /// Something may have changed.
    void look_again() noexcept { look_again_(*this); }
    [[nodiscard]] std::uint32_t units() const noexcept { return units_; }
    /// It is a close(), which a lost reader ends.
    [[nodiscard]] bool drains() const noexcept { return drains_; }

protected:
    using LookAgain = void (*)(RingWaiter&) noexcept;
    RingWaiter(const Kind& kind_of, Stop function, LookAgain looks) noexcept
        : Leaf(kind_of, function), watch_(*this), look_again_(looks) {}
    ~RingWaiter() = default;

    struct CursorWatch : Watch {
        explicit CursorWatch(RingWaiter& owner) noexcept : waiter(owner) {}
        RingWaiter& waiter;
    };

    CursorWatch watch_;
    LookAgain look_again_;
    std::optional<Error> error_;
    std::uint32_t units_ = 0;
    bool over_ = false;  // completed, but its task has not run yet
    bool drains_ = false;
};

class RingWriterEnd : public TellingRingEnd<RingWriterEnd> {
public:
    using Machine = ring::RecordProducer<ring::MachineAtomics>;
    static constexpr const char* waiting_for = "ring reserve";

    RingWriterEnd() noexcept = default;
    RingWriterEnd(RingWriterEnd&& other) noexcept;
    RingWriterEnd& operator=(RingWriterEnd&& other) noexcept;
    ~RingWriterEnd() { shut(); }

    /// Makes the memory and serves the name. Errors: invalid (a shape that cannot be), and those of LinkServer::create
    /// and Region::create.
    Result<void> create(Scheduler& scheduler, const Name& name, const RingShape& shape,
                        const LinkServerOptions& options) noexcept;
    [[nodiscard]] bool open() const noexcept { return static_cast<bool>(server_); }
    /// A reader is attached.
    [[nodiscard]] bool has_reader() const noexcept { return attached_; }
    void shut() noexcept;

    Machine machine;
    [[nodiscard]] Machine& outgoing() noexcept { return machine; }
    [[nodiscard]] std::byte* data() const noexcept { return data_; }

    /// Whether `units` are free; the fast half of a wait.
    [[nodiscard]] bool ready(std::uint32_t units) const noexcept {
        return machine.known() >= units && open();
    }
    /// Looks at the reader, without more than that.
    [[nodiscard]] RingProgress progress(std::uint32_t units, std::optional<Errc>& error) noexcept;
    /// Announces sleep and arms the bell.
    [[nodiscard]] RingProgress sleep(std::uint32_t units, std::optional<Errc>& error) noexcept;
    /// The word that changes when there is more.
    [[nodiscard]] const Watch::Word& watched() const noexcept {
        return attached_ ? *reader_cursor_ : stand_in().cursor;
    }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
    void ring() noexcept { link_->ring_bell(); }

private:
    static const LinkHooks hooks;
    static Result<LinkGrant> on_admit(void* owner, Link& link) noexcept;
    static void fill_region(void* owner, Link& link, Bytes region) noexcept;
    static void on_attached(void* owner, Link& link) noexcept;
    static void on_signal(void* owner, Link& link) noexcept;
    static std::uint32_t news(void* owner, const Link& link) noexcept;
    static void fill_stat(void* owner, LinkStat& stat) noexcept;
    /// Keeps what the reader released, and lets the next one come.
    void forget(Link& link) noexcept;
    void take_from(RingWriterEnd& other) noexcept;
    /// After a look: whether a reader that is not trusted stands between two records.
    [[nodiscard]] ring::Look checked(ring::Look found) noexcept;

    // In our own region, since it must not move: the reader's words while there is no reader.
    [[nodiscard]] ring::Words<ring::MachineAtomics>& stand_in() const noexcept;

    Scheduler* scheduler_ = nullptr;
    LinkServer server_;
    Region region_;
    Mapping mapping_;
    Link* link_ = nullptr;  // the reader that is attached, or about to be
    const Watch::Word* reader_cursor_ = nullptr;
    std::byte* data_ = nullptr;
    std::uint32_t boundary_ = 0;  // where it walks: the last beginning of a record that was released up to
    bool of_bytes_ = false;
    bool walks_ = false;
    bool attached_ = false;
    bool reader_died_ = false;  // just now, for a wait that ends by it
};

class RingReaderEnd : public TellingRingEnd<RingReaderEnd> {
public:
    using Machine = ring::RecordConsumer<ring::MachineAtomics>;
    static constexpr const char* waiting_for = "ring next";

    RingReaderEnd() noexcept = default;
    RingReaderEnd(RingReaderEnd&& other) noexcept;
    RingReaderEnd& operator=(RingReaderEnd&& other) noexcept;
    ~RingReaderEnd() { shut(); }

    /// Takes over an attachment. Errors: mismatch (memory that does not fit its terms), no_memory (for copies).
    Result<void> attach(LinkClient client, std::uint32_t unit_bytes) noexcept;
    [[nodiscard]] bool open() const noexcept { return static_cast<bool>(link_); }
    void shut() noexcept;

    Machine machine;
    [[nodiscard]] Machine& outgoing() noexcept { return machine; }
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    /// Records are copied before they are given out, since the writer is not trusted.
    [[nodiscard]] bool copies() const noexcept { return copies_; }
    /// Memory for copies of `size` bytes, if it copies and has not got it yet. Error: no_memory.
    Result<void> make_copy_room(std::size_t size) noexcept;
    [[nodiscard]] std::size_t copy_room() const noexcept { return copy_.size(); }
    /// `size` bytes at `offset` of the data, to be read: there, or where they were copied to, where the copy before is
    /// gone then.
    [[nodiscard]] const std::byte* readable(std::size_t offset, std::size_t size) noexcept {
        if (copies_) [[unlikely]]
            return copied(offset, size);
        return data_ + offset;
    }

    [[nodiscard]] bool ready(std::uint32_t units) const noexcept {
        return machine.known() >= units && believed_;
    }
    [[nodiscard]] RingProgress progress(std::uint32_t units, std::optional<Errc>& error) noexcept;
    [[nodiscard]] RingProgress sleep(std::uint32_t units, std::optional<Errc>& error) noexcept;
    [[nodiscard]] const Watch::Word& watched() const noexcept { return *writer_cursor_; }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
    void ring() noexcept { link_->ring_bell(); }
    /// The writer broke the memory: nothing after it can be believed.
    void set_broken() noexcept {
        believed_ = false;
        link_->turn_out(LinkViolation::memory);
    }

private:
    static const LinkHooks hooks;
    static void on_signal(void* owner, Link& link) noexcept;
    void take_from(RingReaderEnd& other) noexcept;
    [[nodiscard]] const std::byte* copied(std::size_t offset, std::size_t size) const noexcept;

    Scheduler* scheduler_ = nullptr;
    LinkClient link_;
    Mapping copy_;  // private
    const Watch::Word* writer_cursor_ = nullptr;
    const std::byte* data_ = nullptr;
    bool copies_ = false;
    bool believed_ = false;  // it is open, and the writer has not broken the memory
};

/// The Wait of one end until a number of units is there.
template <class End>
class RingWait : public RingWaiter {
public:
    bool start(const Start& start) noexcept {
        if (!end_.idle()) {
            refuse(Errc::busy);
            return true;
        }
        end_.waiter_ = this;  // up to take(): a task that is out of credit has others run before that
        if (end_.ready(units_)) [[likely]]
            return over_ = true;
        return start_slowly(start);
    }

protected:
    RingWait(const Kind& kind_of, End& end, std::uint32_t units) noexcept
        : RingWaiter(kind_of, stopped, looked), end_(end) {
        units_ = units;
    }
    ~RingWait() = default;
    [[nodiscard]] End& end() const noexcept { return end_; }
    /// Ends the await: true if what it waited for is there. Until then nobody else can take that.
    [[nodiscard]] bool arrived() noexcept {
        if (end_.waiter_ == this) end_.waiter_ = nullptr;
        return !error_;
    }
    /// Besides what it waited for there is `more`, or not.
    void found(bool more) noexcept { end_.pace_.found(more); }
    [[nodiscard]] tl::unexpected<Error> failed() const noexcept { return failure(*error_); }

private:
    bool start_slowly(const Start& start) noexcept;
    [[nodiscard]] RingProgress progress(bool sleeps) noexcept;
    void end_if(RingProgress progressed) noexcept;
    void watch() noexcept;
    static void stopped(Stoppable& self) noexcept;
    static void looked(RingWaiter& self) noexcept;
    static void cursor_changed(Watch& watch) noexcept;
    static void about_to_sleep(Watch& watch) noexcept;
    static constexpr Watch::Kind watching{cursor_changed, about_to_sleep};

    End& end_;
};

extern template class RingWait<RingWriterEnd>;
extern template class RingWait<RingReaderEnd>;

}  // namespace weir::ipc
