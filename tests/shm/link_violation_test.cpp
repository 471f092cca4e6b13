// SPDX-License-Identifier: MIT
//
// Clients that do what is beyond their rights: each is turned out, counted and reported, and the one beside it does
// not notice.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"

#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::BellKind;
using ipc::LinkState;
using ipc::LinkTrust;
using ipc::LinkViolation;
using ipc::Note;

Task<ipc::LinkStat> stat_of(Scheduler&, const SampleServer& server) {
    const Fd socket = plain_client(server.server.path());
    const ipc::Hello hello{.request = ipc::Request::stat};
    CHECK_IN_TASK(::send(socket.get(), &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello));
    WEIR_CO_CHECK(readable(socket.get()));
    ipc::LinkStat stat;
    CHECK_IN_TASK(::recv(socket.get(), &stat, sizeof(stat), MSG_DONTWAIT) == sizeof(stat));
    co_return stat;
}

/// What a client does beyond its rights, and how far it goes before.
struct Deed {
    LinkViolation violation;
    enum class After { connecting, asking, attaching } after;
    void (*act)(ClientByHand& client);
    BellKind bell = BellKind::packet;
};

Task<> turned_out(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, const Deed& deed) {
    SampleServer server;
    server.links_max = 2;
    const LinkTrust trust = deed.bell == BellKind::eventfd ? LinkTrust::everyone : LinkTrust::nobody;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = trust}));
    WEIR_CO_TRY(auto honest, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    SampleClient owner;
    honest.set_owner(SampleClient::hooks, &owner);
    ipc::Link* const beside = server.link;
    ClientByHand client(server.server.path());
    if (deed.after == Deed::After::asking) WEIR_CO_CHECK(client.ask(scheduler, sample_terms, deed.bell));
    if (deed.after == Deed::After::attaching)
        WEIR_CO_CHECK(client.attach(scheduler, sample_terms, deed.bell));
    {
        const HeapPermit permit;
        deed.act(client);
    }
    // It is hung up on, and the owner of the link is told if it knew of it.
    std::array<std::byte, sizeof(ipc::Answer)> rest;
    long heard = 1;
    while (heard != 0) {
        WEIR_CO_CHECK(readable(client.socket.get()));
        while ((heard = client.hear(rest)) > 0) {}
    }
    WEIR_CO_TRY(const auto stat, stat_of(scheduler, server));
    CHECK_IN_TASK((stat.turned_out == 1 && stat.violation == deed.violation));
    CHECK_IN_TASK((stat.violator_pid == ::getpid() && stat.violator_uid == ::geteuid()));
    CHECK_IN_TASK(stat.violated_ns >= stat.started_ns);
    CHECK_IN_TASK(server.lost == (deed.after == Deed::After::connecting ? 0 : 1));
    CHECK_IN_TASK((stat.peers == 1 && server.links == 1 && beside->state() == LinkState::attached));
    honest->arm_bell();
    beside->ring_bell();
    while (owner.signals == 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK((honest->state() == LinkState::attached && honest->violation() == LinkViolation::none));
}

void must_turn_out(const Deed& deed) {
    Log log;
    in_directory([&](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        return turned_out(scheduler, directory, deed);
    });
    INFO(log.lines);
    char expected[80];
    std::snprintf(expected, sizeof(expected), "weir: client %d of user %u at ", ::getpid(), ::geteuid());
    CHECK(log.lines.find(expected) != std::string::npos);
    CHECK(log.lines.find("/sample~link.weir was turned out: it ") != std::string::npos);
    CHECK(log.lines.find(text(deed.violation)) != std::string::npos);
}

TEST_CASE("a client that does not speak the protocol is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::connecting,
                   [](ClientByHand& client) { CHECK(client.say("GET / HTTP/1.1") > 0); }});
}
TEST_CASE("a client that says hello twice is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::asking,
                   [](ClientByHand& client) { CHECK(client.say(ipc::Hello{.terms = sample_terms}) > 0); }});
}
TEST_CASE("a client that says goodbye before it is attached is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::asking,
                   [](ClientByHand& client) { CHECK(client.say(Note{.kind = Note::Kind::goodbye}) > 0); }});
}
TEST_CASE("an attached client that says hello again is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::attaching,
                   [](ClientByHand& client) { CHECK(client.say(ipc::Hello{.terms = sample_terms}) > 0); }});
}
TEST_CASE("an attached client that sends a note of no known kind is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::attaching, [](ClientByHand& client) {
                       CHECK(client.say(Note{.kind = static_cast<Note::Kind>(99)}) > 0);
                   }});
}
TEST_CASE("an attached client that sends more than any packet has is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::attaching,
                   [](ClientByHand& client) { CHECK(client.say(std::array<char, 3'000>{}) > 0); }});
}
TEST_CASE("a client that rings by packet where bells are eventfds is turned out") {
    must_turn_out({LinkViolation::packet, Deed::After::attaching,
                   [](ClientByHand& client) { CHECK(client.say(ipc::ring_packet) == 1); },
                   BellKind::eventfd});
}

// One packet with a descriptor beside it.
template <class T>
void send_with_descriptor(const ClientByHand& client, const T& packet) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd reading(ends[0]);
    const Fd writing(ends[1]);
    sys::DescriptorMessage message(&packet, sizeof(packet));
    const int descriptors[] = {reading.get()};
    message.attach(descriptors);
    CHECK(sys::send_message(client.socket.get(), message.header()) == sizeof(packet));
}
TEST_CASE("descriptors from a client are not taken, and it is turned out, at any time") {
    if (!kernel_tells_of_cut_descriptors())
        skip("recvmsg does not tell of descriptors that it dropped (an emulator)");
    const auto descriptors_before = open_descriptors();
    must_turn_out({LinkViolation::descriptors, Deed::After::connecting, [](ClientByHand& client) {
                       send_with_descriptor(client, ipc::Hello{.terms = sample_terms});
                   }});
    must_turn_out({LinkViolation::descriptors, Deed::After::asking, [](ClientByHand& client) {
                       send_with_descriptor(client, Note{.kind = Note::Kind::mapped});
                   }});
    must_turn_out({LinkViolation::descriptors, Deed::After::attaching,
                   [](ClientByHand& client) { send_with_descriptor(client, ipc::ring_packet); }});
    CHECK(open_descriptors() == descriptors_before);
}

TEST_CASE("a client that seals its region itself is turned out") {
    must_turn_out({LinkViolation::region, Deed::After::asking, [](ClientByHand& client) {
                       const int region = client.descriptors[ipc::client_region].get();
                       CHECK(::fcntl(region, F_ADD_SEALS, F_SEAL_SEAL) == 0);
                       CHECK(client.say(Note{.kind = Note::Kind::mapped}) > 0);
                   }});
}
TEST_CASE("a client that punches holes into its region is turned out") {
    must_turn_out({LinkViolation::region, Deed::After::asking, [](ClientByHand& client) {
                       const int region = client.descriptors[ipc::client_region].get();
                       CHECK(::fallocate(region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                         SampleServer::client_size) == 0);
                       CHECK(client.say(Note{.kind = Note::Kind::mapped}) > 0);
                   }});
}

Task<> keeps_memory(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.closes = false;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    ClientByHand client(server.server.path());
    WEIR_CO_CHECK(client.attach(scheduler, sample_terms, BellKind::packet));
    ipc::Link& link = *server.link;
    // The region is what it may write; once it is attached nothing else of it can be had.
    const int region = client.descriptors[ipc::client_region].get();
    {
        const HeapPermit permit;
        CHECK(::mmap(nullptr, 4'096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0) == MAP_FAILED);
        CHECK(::fallocate(region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4'096) < 0);
        CHECK(::ftruncate(region, 0) < 0);
        const int server_region = client.descriptors[ipc::server_region].get();
        CHECK(::mmap(nullptr, 4'096, PROT_READ | PROT_WRITE, MAP_SHARED, server_region, 0) == MAP_FAILED);
        CHECK(::pwrite(server_region, "x", 1, 0) < 0);
        CHECK(::fallocate(server_region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4'096) < 0);
    }
    CHECK_IN_TASK(client.say(Note{.kind = Note::Kind::mapped}) > 0);
    while (server.lost == 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK((link.state() == LinkState::lost && link.violation() == LinkViolation::packet));
    CHECK_IN_TASK((link.peer().size() == SampleServer::client_size && link.peer()[1] == std::byte{17}));
    link.close();
}
TEST_CASE("the memory of a client that was turned out stays until its owner closes the link") {
    const Log log;
    in_directory(keeps_memory);
}

Task<> found_by_the_owner(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    SampleClient owner;
    client.set_owner(SampleClient::hooks, &owner);
    ipc::Link& link = *server.link;
    link.turn_out(LinkViolation::memory);
    link.turn_out(LinkViolation::region);
    CHECK_IN_TASK((link.state() == LinkState::lost && link.violation() == LinkViolation::memory));
    CHECK_IN_TASK((server.lost == 0 && link.peer()[1] == std::byte{17}));
    while (owner.signals == 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(client->state() == LinkState::lost);
    link.close();
    --server.links;
    WEIR_CO_TRY(const auto stat, stat_of(scheduler, server));
    CHECK_IN_TASK((stat.turned_out == 1 && stat.violation == LinkViolation::memory && stat.peers == 0));
}
TEST_CASE("the owner of a link turns out a peer whose memory is impossible, and is not told of it") {
    const Log log;
    in_directory(found_by_the_owner);
}

Task<> fills_no_log(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    for (int i = 0; i < 60; ++i) {
        ClientByHand client(server.server.path());
        CHECK_IN_TASK(client.say("nonsense") > 0);
        WEIR_CO_CHECK(readable(client.socket.get()));
    }
    WEIR_CO_TRY(const auto stat, stat_of(scheduler, server));
    CHECK_IN_TASK(stat.turned_out == 60);
}
TEST_CASE("what clients do wrong is always counted, and reported at a limited rate") {
    for_each_seed([&](std::uint64_t seed) {
        const Log log;
        const TemporaryDirectory temporary;
        const auto directory = directory_of(temporary);
        Running running(seed);
        const Instant began = running->now();
        running.must_run(fills_no_log(*running, directory));
        const auto lines = std::count(log.lines.begin(), log.lines.end(), '\n');
        const auto seconds = (running->now() - began) / 1s;
        CHECK((lines >= 16 && lines <= 17 + seconds));
    });
}

}  // namespace
