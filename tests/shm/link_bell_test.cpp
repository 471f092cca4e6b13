// SPDX-License-Identifier: MIT
//
// Bells that are packets: between two of whom one does not trust the other.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/run.hpp"
#include "support/skip.hpp"

#include <algorithm>

#include <linux/filter.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::BellKind;
using ipc::LinkState;
using ipc::LinkTrust;

const ipc::LinkServerOptions trusts_nobody{.trust = LinkTrust::nobody};

Task<ipc::LinkClient> open_one(Scheduler&, const ipc::RuntimeDirectory& directory) {
    const ipc::LinkOpenOptions options{.trust = LinkTrust::nobody, .directory = &directory};
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, options).within(5s));
    co_return client;
}

/// Rings until the token bucket withholds one.
std::uint64_t ring_all(ipc::Link& link) noexcept {
    std::uint64_t before = 0;
    do {
        before = link.bells_rung();
        link.ring_bell();
    } while (link.bells_rung() != before);
    return before;
}

Task<> withheld(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    WEIR_CO_TRY(auto client, open_one(scheduler, directory));
    SampleClient owner;
    client.set_owner(SampleClient::hooks, &owner);
    const std::uint64_t rung = ring_all(*server.link);
    for (int i = 0; i < 1'000; ++i) server.link->ring_bell();
    // Where a ring takes long, they are fewer.
    CHECK_IN_TASK(rung > 0);
    if (on_simulated()) CHECK_IN_TASK(rung == 64);
    CHECK_IN_TASK(server.link->bells_rung() == rung);
    // Those in the socket are heard a few at a time, and the one that was withheld comes behind them, alone.
    while (server.link->bells_rung() == rung) WEIR_CO_CHECK(sleep_for(100us));
    WEIR_CO_CHECK(sleep_for(30ms));
    client->arm_bell();
    while (owner.signals < 1) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(server.link->bells_rung() == rung + 1);
    CHECK_IN_TASK(client->state() == LinkState::attached);
}
TEST_CASE("a peer that is rung too often is rung less often, and a ring that was withheld is made up for") {
    in_directory(withheld);
}

/// Packets to this socket are dropped, after each of many instructions has dissected them.
bool make_slow(const Fd& socket) {
    std::array<sock_filter, 2'000> program{};
    program.fill(
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PAY_OFFSET)));
    program.back() = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog attached{.len = program.size(), .filter = program.data()};
    return ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof(attached)) == 0;
}
/// A slow socket of the test's own, and what one send to it took at least: the machine's speed changes while tests run.
class SlowSocket {
public:
    SlowSocket() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        from_ = Fd(ends[0]);
        to_ = Fd(ends[1]);
        slow_ = make_slow(to_);
    }
    /// Zero: it cannot be made slow.
    [[nodiscard]] Duration least() const { return slow_ ? least_ : Duration::zero(); }
    void send(int times) {
        for (int i = 0; i < times; ++i) {
            const Instant began = MonotonicClock::now();
            CHECK_IN_TASK(::send(from_.get(), &ipc::ring_packet, 1, MSG_DONTWAIT) == 1);
            least_ = std::min(least_, MonotonicClock::now() - began);
        }
    }

private:
    Fd from_;
    Fd to_;
    bool slow_ = false;
    Duration least_ = 1h;
};

Task<> rings_are_dear(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, SlowSocket& alike) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    ClientByHand slow(server.server.path());
    WEIR_CO_CHECK(slow.attach(scheduler, sample_terms, BellKind::packet));
    CHECK_IN_TASK(make_slow(slow.socket));
    const Instant began = scheduler.now();
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < 20; ++i) server.link->ring_bell();
        WEIR_CO_CHECK(sleep_for(1ms));
        alike.send(1);
    }
    // A twentieth of the time, the first that shows it, and one that begins when there is a token yet.
    const std::uint64_t rung = server.link->bells_rung();
    CHECK_IN_TASK(rung > 1);
    CHECK_IN_TASK(static_cast<std::int64_t>(rung) <=
                  3 + ((scheduler.now() - began) / 20 + 320us) / alike.least());
}
TEST_CASE("a peer that makes its rings dear is rung for a twentieth of the time at most") {
    if (on_simulated()) skip("the clock of the simulation stands still while a ring is sent");
    SlowSocket alike;
    alike.send(50);
    if (alike.least() < 50us) skip("a packet filter takes no time here");
    in_directory([&](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        return rings_are_dear(scheduler, directory, alike);
    });
}

Task<> never_reads(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 2;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    ClientByHand deaf(server.server.path());
    WEIR_CO_CHECK(deaf.attach(scheduler, sample_terms, BellKind::packet));
    ipc::Link& link = *server.link;
    // More than its socket holds: what does not fit is a ring behind many others.
    for (int i = 0; i < 5; ++i) {
        ring_all(link);
        WEIR_CO_CHECK(sleep_for(5ms));
    }
    CHECK_IN_TASK((link.state() == LinkState::attached && server.lost == 0));
    // It finds them whenever it likes to, and others are rung as ever.
    WEIR_CO_TRY(auto client, open_one(scheduler, directory));
    SampleClient owner;
    client.set_owner(SampleClient::hooks, &owner);
    client->arm_bell();
    server.link->ring_bell();
    while (owner.signals == 0) WEIR_CO_CHECK(sleep_for(100us));
    int rings = 0;
    char ring = 0;
    while (deaf.hear(ring) == 1) ++rings;
    CHECK_IN_TASK((rings > 0 && ring == ipc::ring_packet));
    CHECK_IN_TASK(deaf.say(ipc::Note{.kind = ipc::Note::Kind::goodbye}) == sizeof(ipc::Note));
    while (server.ended == 0) WEIR_CO_CHECK(sleep_for(100us));
}
TEST_CASE("a peer that never reads cannot make its ringer wait") {
    in_directory(never_reads);
}

// An emulated board may be too slow to ring more often than a peer may.
bool too_slow = false;

Task<> rings_too_often(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 2;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    WEIR_CO_TRY(auto client, open_one(scheduler, directory));
    ClientByHand noisy(server.server.path());
    WEIR_CO_CHECK(noisy.attach(scheduler, sample_terms, BellKind::packet));
    constexpr int most = 1 << 20;
    ::setsockopt(noisy.socket.get(), SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
    const Instant began = scheduler.now();
    std::int64_t rung = 0;
    while (server.lost == 0) {
        while (noisy.say(ipc::ring_packet) == 1) ++rung;
        WEIR_CO_CHECK(sleep_for(500us));
        const Duration span = scheduler.now() - began;
        too_slow = span > 2s && rung < span / 500us;
        if (too_slow) co_return;
    }
    CHECK_IN_TASK((client->state() == LinkState::attached && server.links == 1));
}
TEST_CASE("a peer that goes on ringing for nothing is turned out, and nobody else notices") {
    const Log log;
    in_directory(rings_too_often);
    if (too_slow) skip("this machine cannot ring 2,000 times a second");
    CHECK(log.lines.find(text(ipc::LinkViolation::rings)) != std::string::npos);
}

/// How many of 500 rings, one in every 400 us, are heard while the server waits for each.
Task<int> heard_of_many(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, bool bring_news) {
    SampleServer server;
    server.arms_again = true;
    server.brings_news = bring_news;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    ClientByHand client(server.server.path());
    WEIR_CO_CHECK(client.attach(scheduler, sample_terms, BellKind::packet));
    server.link->arm_bell();
    for (int i = 0; i < 500; ++i) {
        CHECK_IN_TASK(client.say(ipc::ring_packet) == 1);
        WEIR_CO_CHECK(sleep_for(400us));
    }
    // The last one is heard whatever was before it.
    const int before = server.rang;
    WEIR_CO_CHECK(sleep_for(5ms));
    CHECK_IN_TASK((server.rang - before <= 1 && server.link != nullptr));
    CHECK_IN_TASK(client.say(ipc::Note{.kind = ipc::Note::Kind::goodbye}) == sizeof(ipc::Note));
    while (server.links > 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(server.ended == 1);
    co_return server.rang;
}
Task<> heard_at_once(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_TRY(const int heard, heard_of_many(scheduler, directory, true));
    CHECK_IN_TASK(heard == 500);
}
TEST_CASE("rings that bring news are heard at once, however many there are") {
    if (!on_simulated()) skip("counts what happens in two tenths of a second, to the microsecond");
    in_directory(heard_at_once);
}
TEST_CASE("rings that bring nothing are heard once a millisecond, after the first few") {
    if (!on_simulated()) skip("counts what happens in two tenths of a second, to the microsecond");
    in_directory([](Scheduler& in, const ipc::RuntimeDirectory& at) -> Task<> {
        WEIR_CO_TRY(const int heard, heard_of_many(in, at, false));
        // In 200 ms, and those that there is patience for.
        CHECK_IN_TASK((heard >= 150 && heard <= 200 + 2 * 32));
    });
}

/// Fifty at once: more than are read in one look, and less than turn a peer out.
Task<> rings_at_once(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.arms_again = true;
    server.brings_news = false;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    ClientByHand client(server.server.path());
    WEIR_CO_CHECK(client.attach(scheduler, sample_terms, BellKind::packet));
    constexpr int most = 1 << 20;
    ::setsockopt(client.socket.get(), SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
    server.link->arm_bell();
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 50; ++i) CHECK_IN_TASK(client.say(ipc::ring_packet) == 1);
        int unread = 0;
        do {
            WEIR_CO_CHECK(sleep_for(1ms));
        } while (server.link != nullptr && ::ioctl(client.socket.get(), SIOCOUTQ, &unread) == 0 &&
                 unread > 0);
        CHECK_IN_TASK((server.link != nullptr && server.lost == 0));
        if (server.link == nullptr) break;
    }
    // Each look reads four, and tells of them together.
    CHECK_IN_TASK(server.rang >= 20);
    if (on_simulated()) CHECK_IN_TASK(server.rang <= 20 * 14);
    CHECK_IN_TASK(client.say(ipc::Note{.kind = ipc::Note::Kind::goodbye}) == sizeof(ipc::Note));
    while (server.links > 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(server.ended == 1);
}
TEST_CASE("many rings at once are read a few at a time, and those behind them later") {
    in_directory(rings_at_once);
}

Task<> goodbye_behind_rings(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    WEIR_CO_TRY(auto client, open_one(scheduler, directory));
    for (int i = 0; i < 8; ++i) server.link->ring_bell();
    server.server.close();
    while (client->state() == LinkState::attached) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(client->state() == LinkState::ended);
    client->ring_bell();
    client->arm_bell();
    CHECK_IN_TASK(!client->bell_armed());
}
TEST_CASE("a goodbye behind rings that nobody waits for is a goodbye") {
    in_directory(goodbye_behind_rings);
}

Task<> half_closed(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    for (const int direction : {SHUT_WR, SHUT_RDWR}) {
        ClientByHand client(server.server.path());
        WEIR_CO_CHECK(client.attach(scheduler, sample_terms, BellKind::packet));
        ::shutdown(client.socket.get(), direction);
        const int lost = server.lost;
        while (server.lost == lost) WEIR_CO_CHECK(sleep_for(100us));
    }
    ClientByHand deaf(server.server.path());
    WEIR_CO_CHECK(deaf.attach(scheduler, sample_terms, BellKind::packet));
    ::shutdown(deaf.socket.get(), SHUT_RD);
    server.link->ring_bell();
    server.link->arm_bell();
    CHECK_IN_TASK(deaf.say(ipc::ring_packet) == 1);
    while (server.rang == 0) WEIR_CO_CHECK(sleep_for(100us));
}
TEST_CASE("a peer that closes one direction is gone, or merely deaf") {
    in_directory(half_closed);
}

Task<> half_trust(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, trusts_nobody));
    ClientByHand client(server.server.path());
    WEIR_CO_CHECK(client.ask(scheduler, sample_terms, BellKind::eventfd));
    CHECK_IN_TASK(client.answer.bell == BellKind::packet);
    CHECK_IN_TASK(client.descriptors_count == ipc::descriptors_of(BellKind::packet));
}
TEST_CASE("a client that is not trusted gets no eventfd, even if it asks for one") {
    in_directory(half_trust);
}

}  // namespace
