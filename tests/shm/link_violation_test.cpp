// SPDX-License-Identifier: MIT
//
// Clients that do what is beyond their rights: each is turned out, counted and reported, and the one beside it does
// not notice.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "names/bound_name.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"

#include <cerrno>
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
    bool old_kernel = false;  // that lets descriptors in
};

Task<> turned_out(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, const Deed& deed) {
    SampleServer server;
    server.links_max = 2;
    const LinkTrust trust = deed.bell == BellKind::eventfd ? LinkTrust::everyone : LinkTrust::nobody;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = trust}));
    if (deed.old_kernel) let_all_descriptors_in();
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

// One packet with a descriptor beside it: what sending it came to.
template <class T>
long try_with_descriptor(const Fd& socket, const T& packet) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd reading(ends[0]);
    const Fd writing(ends[1]);
    sys::DescriptorMessage message(&packet, sizeof(packet));
    const int descriptors[] = {reading.get()};
    message.attach(descriptors);
    return sys::send_message(socket.get(), message.header());
}
template <class T>
void send_with_descriptor(const ClientByHand& client, const T& packet) {
    CHECK(try_with_descriptor(client.socket, packet) == sizeof(packet));
}
TEST_CASE(
    "descriptors from a client that the kernel lets in are not taken, and it is turned out, at any time") {
    if (!kernel_tells_of_cut_descriptors())
        skip("recvmsg does not tell of descriptors that it dropped (an emulator)");
    const auto descriptors_before = open_descriptors();
    must_turn_out(
        {LinkViolation::descriptors, Deed::After::connecting,
         [](ClientByHand& client) { send_with_descriptor(client, ipc::Hello{.terms = sample_terms}); },
         BellKind::packet, true});
    must_turn_out(
        {LinkViolation::descriptors, Deed::After::asking,
         [](ClientByHand& client) { send_with_descriptor(client, Note{.kind = Note::Kind::mapped}); },
         BellKind::packet, true});
    must_turn_out({LinkViolation::descriptors, Deed::After::attaching,
                   [](ClientByHand& client) { send_with_descriptor(client, ipc::ring_packet); },
                   BellKind::packet, true});
    CHECK(back_to_descriptors(descriptors_before));
}

Task<> client_keeps_them(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    ClientByHand client(server.server.path());
    CHECK_IN_TASK(try_with_descriptor(client.socket, ipc::Hello{.terms = sample_terms}) == -EPERM);
    WEIR_CO_CHECK(client.ask(scheduler, sample_terms, BellKind::packet));
    CHECK_IN_TASK(try_with_descriptor(client.socket, Note{.kind = Note::Kind::mapped}) == -EPERM);
    WEIR_CO_CHECK(client.acknowledge(scheduler));
    CHECK_IN_TASK(try_with_descriptor(client.socket, ipc::ring_packet) == -EPERM);
    WEIR_CO_TRY(const auto stat, stat_of(scheduler, server));
    CHECK_IN_TASK((stat.peers == 1 && stat.turned_out == 0));
}
TEST_CASE("a client keeps the descriptors that it sends, where the kernel can see to it") {
    if (!kernel_keeps_descriptors_out()) skip("SO_PASSRIGHTS is not known here: before Linux 6.16");
    in_directory(client_keeps_them);
}

Task<> serve_by_hand(Scheduler&, const Fd& listener) {
    const SampleServer memory;
    WEIR_CO_CHECK(readable(listener.get()));
    const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    WEIR_CO_CHECK(readable(socket.get()));
    ipc::Hello hello{};
    CHECK_IN_TASK(::recv(socket.get(), &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello));
    WEIR_CO_TRY(const auto region, ipc::Region::create(SampleServer::client_size, "test client"));
    const ipc::Answer answer{.terms = sample_terms,
                             .server_size = SampleServer::region_size,
                             .client_size = SampleServer::client_size};
    const int descriptors[] = {memory.region.fd(), region.fd()};
    sys::DescriptorMessage message(&answer, sizeof(answer));
    message.attach(descriptors);
    CHECK_IN_TASK(sys::send_message(socket.get(), message.header()) == sizeof(answer));
    WEIR_CO_CHECK(readable(socket.get()));
    Note note{};
    CHECK_IN_TASK(::recv(socket.get(), &note, sizeof(note), MSG_DONTWAIT) == sizeof(note));
    const Note attached{.kind = Note::Kind::attached};
    CHECK_IN_TASK(try_with_descriptor(socket, attached) == -EPERM);
    CHECK_IN_TASK(::send(socket.get(), &attached, sizeof(attached), MSG_NOSIGNAL) == sizeof(attached));
}
Task<> server_keeps_them(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_TRY(const auto path, directory.path_of(sample_name, ipc::link_suffix));
    WEIR_CO_TRY(const auto bound,
                ipc::bind_name(path, {.mode = 0600, .owner = -1, .group = -1, .backlog = 2}));
    const ipc::LinkOpenOptions options{.trust = LinkTrust::nobody, .directory = &directory};
    auto both = co_await all_of(ipc::open_link(sample_name, sample_terms, options).within(5s),
                                serve_by_hand(scheduler, bound.listener));
    CHECK_IN_TASK(both.has_value());
    ipc::remove_name(path);
}
TEST_CASE("after its answer a server keeps its descriptors, too") {
    if (!kernel_keeps_descriptors_out()) skip("SO_PASSRIGHTS is not known here: before Linux 6.16");
    in_directory(server_keeps_them);
}

Task<> maps_unread(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    ClientByHand client(server.server.path());
    CHECK_IN_TASK(client.say(ipc::Hello{.bell = BellKind::packet, .terms = sample_terms}) > 0);
    WEIR_CO_CHECK(readable(client.socket.get()));
    CHECK_IN_TASK(client.say(Note{.kind = Note::Kind::mapped}) > 0);
    while (server.lost + server.attached == 0) WEIR_CO_CHECK(sleep_for(100us));
    WEIR_CO_TRY(const auto stat, stat_of(scheduler, server));
    CHECK_IN_TASK((stat.turned_out == 1 && stat.violation == LinkViolation::packet));
    CHECK_IN_TASK(server.attached == 0);
}
TEST_CASE("a client that says it has mapped what it has not even read is turned out") {
    const Log log;
    in_directory(maps_unread);
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
/// What is done wrong again and again is reported 16 times at once, then once a second.
void check_reports_limited(Task<> (*does)(Scheduler&, const ipc::RuntimeDirectory&)) {
    for_each_seed([&](std::uint64_t seed) {
        const Log log;
        const TemporaryDirectory temporary;
        const auto directory = directory_of(temporary);
        Running running(seed);
        const Instant began = running->now();
        running.must_run(does(*running, directory));
        const auto lines = std::count(log.lines.begin(), log.lines.end(), '\n');
        const auto seconds = (running->now() - began) / 1s;
        CHECK((lines >= 16 && lines <= 17 + seconds));
    });
}
TEST_CASE("what clients do wrong is always counted, and reported at a limited rate") {
    check_reports_limited(fills_no_log);
}

Task<> servers_fill_no_log(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 40;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    for (int i = 0; i < 40; ++i) {
        WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
        say_nonsense_to_clients();
        while (client->state() == LinkState::attached) WEIR_CO_CHECK(sleep_for(100us));
        CHECK_IN_TASK(client->violation() == LinkViolation::packet);
    }
}
TEST_CASE("what servers do wrong is reported at a limited rate by the client") {
    check_reports_limited(servers_fill_no_log);
}

}  // namespace
