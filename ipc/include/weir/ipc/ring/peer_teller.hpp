// SPDX-License-Identifier: MIT
//
// Telling a peer, through shared memory, of what was finished for it, and ringing it if it sleeps.
//
// That it sleeps is seen for sure only behind a full fence, which is dearer than a record. So the fence is made once for
// many of them: after some, at the end of the turn, and before the one who tells sleeps itself.
#pragma once

#include "weir/scheduler/scheduler.hpp"

#include <cstdint>

namespace weir::ipc {

/// End, which derives from it, has scheduler(), ring(), which wakes the peer, and outgoing(), what it tells of: something
/// with publish_lightly(), deferred() and peer_sleeps(), as a ring::End has them.
template <class End>
class PeerTeller : TurnEnd {
public:
    /// Tells the peer of all that is finished, and rings it if it sleeps. One that is just falling asleep may be missed:
    /// it is rung when this end waits, at the end of the turn, or after some more of these, whatever comes first.
    void publish() noexcept {
        if (end().outgoing().publish_lightly()) [[unlikely]]
            end().ring();
        if (++unsure_ >= unsure_max) [[unlikely]]
            make_sure();
        else if (!TurnEnd::linked()) [[unlikely]]
            end().scheduler().at_turn_end(*this);
    }
    /// Tells it of what was deferred, and makes sure.
    void flush() noexcept {
        if (end().outgoing().deferred()) publish();
        if (unsure_ > 0) make_sure();
    }

protected:
    PeerTeller() noexcept : TurnEnd(turn_ended) {}
    ~PeerTeller() = default;
    /// Before it moves or ends: nothing is left to be done at the end of the turn.
    void settle() noexcept {
        if (TurnEnd::linked()) TurnEnd::unlink();
        if (unsure_ > 0) make_sure();
    }

private:
    static constexpr std::uint32_t unsure_max = 32;

    End& end() noexcept { return static_cast<End&>(*this); }
    void make_sure() noexcept {
        unsure_ = 0;
        if (end().outgoing().peer_sleeps()) [[unlikely]]
            end().ring();
    }
    static void turn_ended(TurnEnd& self) noexcept {
        auto& teller = static_cast<PeerTeller&>(self);
        if (teller.unsure_ > 0) teller.make_sure();
    }

    std::uint32_t unsure_ = 0;  // how often it told the peer since it was last sure
};

}  // namespace weir::ipc
