// SPDX-License-Identifier: MIT
//
// A port over a link: looking at the entries of the peer, sleeping until there are some, and telling it of ours.
//
// While its watch is linked the scheduler looks at the peer's cursor in every turn. When the thread is about to block,
// sleep is announced once and the bell armed; the announcement holds until the bell rings or a look finds something,
// and is made anew for the next sleep. Nobody sleeps for room, so only the reader of entries announces anything.
#pragma once

#include "weir/ipc/ring/peer_teller.hpp"
#include "weir/ipc/service/protocol.hpp"
#include "weir/ipc/shm/link.hpp"

namespace weir::ipc::service {

/// Owner has take_entry(), which acts on the next entry of the port's reader and says whether more may be taken, and
/// break_off(), for a peer that cannot be believed any more. Both may end the attachment.
template <class Owner, class Port>
class PortLink : public PeerTeller<Owner> {
public:
    [[nodiscard]] EntryWriter<ring::MachineAtomics>& outgoing() noexcept { return port.writer; }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return link_->scheduler(); }
    void ring() noexcept { link_->ring_bell(); }
    [[nodiscard]] bool attached() const noexcept { return attached_; }
    [[nodiscard]] Link& link() const noexcept { return *link_; }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return sleeps_; }

    /// Acts on what has come.
    void look() noexcept {
        if (!attached_) return;
        if (port.reader.look(1) == ring::Look::corrupt) {
            owner().break_off();
            return;
        }
        act();
    }

    Port port;

protected:
    PortLink() noexcept : watch_(*this) {}
    ~PortLink() = default;

    /// The port was made for this link. `cursor` is that of the peer's entries.
    void begin(Link& link, const Watch::Word& cursor) noexcept {
        link_ = &link;
        cursor_ = &cursor;
        attached_ = true;
        link.ring_bell();
    }
    /// Nothing of the link is used any more. What was put is told before.
    void end() noexcept {
        if (!attached_) return;
        attached_ = false;
        set_watched(false);
        this->settle();
    }

    /// Whether news of the peer is of interest.
    void set_watched(bool watched) noexcept {
        if (watched == watch_.linked()) return;
        if (!watched) {
            watch_.unlink();
            port.reader.awake();
            return;
        }
        watch_.set(watching, *cursor_, port.reader.seen());
        scheduler().watch(watch_);
    }
    /// The bell rang.
    void wake() noexcept {
        if (!attached_) return;
        port.reader.awake();
        watch_.asleep = false;
        look();
    }

private:
    struct EntryWatch : Watch {
        explicit EntryWatch(PortLink& owner) noexcept : of(owner) {}
        PortLink& of;
    };

    Owner& owner() noexcept { return static_cast<Owner&>(*this); }
    // No more than what was there at the look: a peer that goes on writing does not hold this thread.
    void act() noexcept {
        std::uint32_t left = port.reader.known();
        if (left == 0) return;
        while (left-- > 0) {
            if (!owner().take_entry()) return;
        }
        // It waits for no room, so it is not rung.
        std::ignore = port.reader.publish_lightly();
        watch_.seen = port.reader.seen();
    }
    void about_to_sleep() noexcept {
        ++sleeps_;
        // More than can be there: it stays announced whatever the look finds, which need not make anything ready.
        if (port.reader.announce(port.reader.capacity() + 1) == ring::Look::corrupt) {
            owner().break_off();
            return;
        }
        act();
        make_sure_now();
        if (!attached_ || !watch_.linked()) return;
        if (scheduler().ready.empty()) {
            link_->arm_bell();
            return;
        }
        port.reader.awake();
        watch_.asleep = false;
    }
    static void changed(Watch& watch) noexcept {
        PortLink& self = static_cast<EntryWatch&>(watch).of;
        self.port.reader.awake();
        watch.asleep = false;
        self.look();
        self.make_sure_now();
    }
    // Watches are looked at after the end of a turn: the thread may block before there is another one.
    void make_sure_now() noexcept {
        if (attached_) this->flush();
    }
    static void sleeps(Watch& watch) noexcept { static_cast<EntryWatch&>(watch).of.about_to_sleep(); }
    static constexpr Watch::Kind watching{changed, sleeps};

    EntryWatch watch_;
    Link* link_ = nullptr;
    const Watch::Word* cursor_ = nullptr;
    std::uint64_t sleeps_ = 0;
    bool attached_ = false;
};

}  // namespace weir::ipc::service
