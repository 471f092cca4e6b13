// SPDX-License-Identifier: MIT
//
// The two ends of a named ring: what does not depend on the type of a record.
//
// The algorithm is the ring's own. What is different: both sides' words and the records lie in one file, which both map
// writable; there is no link, and so no end that either side could tell the other. A wait ends by a look at the other's
// cursor, by the bell, by a stop, or because the other side died: then the bell has an end, and what the dead had
// stored and not rung for is found.
#pragma once

#include "weir/ipc/ring/named_ring_file.hpp"
#include "weir/ipc/ring/ring_end.hpp"
#include "weir/scheduler/link_table.hpp"

namespace weir::ipc {

/// Machine is the algorithm's producer or consumer.
template <class Side>
class NamedRingEnd : public TellingRingEnd<NamedRingEnd<Side>> {
    using Base = TellingRingEnd<NamedRingEnd<Side>>;

public:
    using Machine = Side;
    static constexpr RingSide side = std::is_same_v<Machine, ring::RecordProducer<ring::MachineAtomics>>
                                         ? RingSide::writer
                                         : RingSide::reader;
    static constexpr const char* waiting_for =
        side == RingSide::writer ? "named ring reserve" : "named ring next";

    NamedRingEnd() noexcept = default;
    NamedRingEnd(NamedRingEnd&& other) noexcept;
    NamedRingEnd& operator=(NamedRingEnd&& other) noexcept;
    ~NamedRingEnd() { shut(); }

    /// Takes this side. Errors: see NamedRingWriter::open().
    Result<void> attach(Scheduler& scheduler, const Name& name, const RingShape& shape,
                        const NamedRingAccess& access) noexcept;
    [[nodiscard]] bool open() const noexcept { return slot_ != nullptr; }
    void shut() noexcept;

    Machine machine;
    [[nodiscard]] Machine& outgoing() noexcept { return machine; }
    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] const NamedRingFile& file() const noexcept { return file_; }

    // --- as a RingReaderEnd: both sides trust each other, so there are no copies
    [[nodiscard]] static constexpr bool copies() noexcept { return false; }
    [[nodiscard]] static constexpr std::size_t copy_room() noexcept { return 0; }
    static Result<void> make_copy_room(std::size_t) noexcept { return {}; }
    [[nodiscard]] const std::byte* readable(std::size_t offset, std::size_t) const noexcept {
        return data_ + offset;
    }

    /// Whether `units` are there; the fast half of a wait.
    [[nodiscard]] bool ready(std::uint32_t units) const noexcept {
        return machine.known() >= units && open();
    }
    [[nodiscard]] RingProgress progress(std::uint32_t units, std::optional<Errc>& error) noexcept;
    /// Announces sleep and waits for the bell.
    [[nodiscard]] RingProgress sleep(std::uint32_t units, std::optional<Errc>& error) noexcept;
    [[nodiscard]] const Watch::Word& watched() const noexcept { return *peer_cursor_; }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return slot_->scheduler(); }
    void ring() noexcept { file_.ring(); }
    /// What lies there is no record: nothing after it can be believed.
    void set_broken() noexcept { broken_ = true; }

private:
    struct Seat {
        NamedRingEnd* owner;
    };
    static const LinkKind kind;
    void take_from(NamedRingEnd& other) noexcept;
    void on_bell() noexcept;
    [[nodiscard]] Result<void> empty_bell() noexcept;

    NamedRingFile file_;
    LinkSlot* slot_ = nullptr;  // which has the bell
    Fd held_bell_;              // keeps the bell without an end, while nobody is known to ring it
    const Watch::Word* peer_cursor_ = nullptr;
    std::byte* data_ = nullptr;
    bool broken_ = false;
};

extern template class NamedRingEnd<ring::RecordProducer<ring::MachineAtomics>>;
extern template class NamedRingEnd<ring::RecordConsumer<ring::MachineAtomics>>;
using NamedRingWriterEnd = NamedRingEnd<ring::RecordProducer<ring::MachineAtomics>>;
using NamedRingReaderEnd = NamedRingEnd<ring::RecordConsumer<ring::MachineAtomics>>;

extern template class RingWait<NamedRingWriterEnd>;
extern template class RingWait<NamedRingReaderEnd>;

}  // namespace weir::ipc
