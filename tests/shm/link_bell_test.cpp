// SPDX-License-Identifier: MIT
//
// Bells that are packets: between two of whom one does not trust the other.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/run.hpp"
#include "support/skip.hpp"

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
    CHECK_IN_TASK(rung >= 64);
    CHECK_IN_TASK(server.link->bells_rung() == rung);
    // Those in the socket are one call together, since they were all there at once.
    client->arm_bell();
    while (owner.signals < 1) WEIR_CO_CHECK(sleep_for(100us));
    client->arm_bell();
    while (owner.signals < 2) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(server.link->bells_rung() == rung + 1);
    CHECK_IN_TASK(client->state() == LinkState::attached);
}
TEST_CASE("a peer that is rung too often is rung less often, and a ring that was withheld is made up for") {
    in_directory(withheld);
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
        WEIR_CO_CHECK(yield());
        const Duration span = scheduler.now() - began;
        too_slow = span > 2s && rung < span / 50us;
        if (too_slow) co_return;
    }
    CHECK_IN_TASK((client->state() == LinkState::attached && server.links == 1));
}
TEST_CASE("a peer that rings too often is turned out, and nobody else notices") {
    const Log log;
    in_directory(rings_too_often);
    if (too_slow) skip("this machine cannot ring 20,000 times a second");
    CHECK(log.lines.find(text(ipc::LinkViolation::rings)) != std::string::npos);
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
