// SPDX-License-Identifier: MIT
//
// Descriptors of a stranger whose close takes long: nobody waits for it.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"

#include <array>
#include <cerrno>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::BellKind;
using ipc::LinkTrust;
using ipc::Note;

// Far longer than any deadline below, and still an end where it is waited for after all.
constexpr int linger_seconds = 30;

void skip_where_descriptors_come_unseen() {
    skip_where_time_is_simulated();
    if (!kernel_tells_of_cut_descriptors())
        skip("recvmsg does not tell of descriptors that it dropped (an emulator)");
}

/// A TCP connection whose last close waits for a peer that does not read. The peer is the test's.
struct Lingering {
    Lingering() {
        const HeapPermit permit;
        const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* const at = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(listener.get(), at, size) == 0);
        REQUIRE(::listen(listener.get(), 1) == 0);
        REQUIRE(::getsockname(listener.get(), at, &size) == 0);
        socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(socket.get(), at, size) == 0);
        peer = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        REQUIRE(peer);
        const linger for_long{.l_onoff = 1, .l_linger = linger_seconds};
        REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &for_long, sizeof(for_long)) == 0);
        const std::vector<char> bytes(64 * 1024);
        while (::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {}
    }
    /// Goes with the packet; the sender keeps no copy.
    template <class T>
    void send_with(const Fd& to, const T& packet) {
        sys::DescriptorMessage message(&packet, sizeof(packet));
        const int descriptors[] = {socket.get()};
        message.attach(descriptors);
        CHECK_IN_TASK(sys::send_message(to.get(), message.header()) == static_cast<long>(sizeof(packet)));
        socket.close();
    }
    /// Whether nobody has waited for its end since it was made.
    [[nodiscard]] bool nobody_waited(Scheduler& scheduler) const {
        return scheduler.now() - made < std::chrono::seconds(linger_seconds) / 2;
    }
    Fd socket;
    Fd peer;
    Instant made = MonotonicClock::now();
};

// --- descriptors

Task<> hung_up_on(Scheduler&, const ClientByHand& client) {
    std::array<std::byte, sizeof(ipc::Answer)> rest;
    for (long heard = 1; heard != 0;) {
        WEIR_CO_CHECK(readable(client.socket.get()));
        while ((heard = client.hear(rest)) > 0) {}
        if (heard < 0 && errno == ECONNRESET) co_return;
    }
}

using Deed = Task<> (*)(Scheduler& scheduler, ClientByHand& client, Lingering& lingering);

Task<> does_not_matter(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, Deed deed) {
    SampleServer server;
    server.links_max = 2;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    let_all_descriptors_in();
    Lingering lingering;
    ClientByHand client(server.server.path());
    WEIR_CO_CHECK(deed(scheduler, client, lingering));
    WEIR_CO_CHECK(hung_up_on(scheduler, client).within(5s));
    client.socket.close();
    // Once more when it is closed altogether.
    while (scheduler.usage().links > 1) WEIR_CO_CHECK(sleep_for(100us));
    WEIR_CO_TRY(auto honest, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    SampleClient owner;
    honest.set_owner(SampleClient::hooks, &owner);
    honest->arm_bell();
    server.link->ring_bell();
    while (owner.signals == 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(lingering.nobody_waited(scheduler));
}
void must_not_matter(Deed deed) {
    skip_where_descriptors_come_unseen();
    const Log log;
    in_directory([&](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        return does_not_matter(scheduler, directory, deed);
    });
}

Task<> with_the_hello(Scheduler&, ClientByHand& client, Lingering& lingering) {
    lingering.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
    co_return;
}
TEST_CASE("a descriptor that lingers beside a hello keeps nobody waiting") {
    must_not_matter(with_the_hello);
}
Task<> with_its_mapping(Scheduler& scheduler, ClientByHand& client, Lingering& lingering) {
    WEIR_CO_CHECK(client.ask(scheduler, sample_terms, BellKind::packet));
    lingering.send_with(client.socket, Note{.kind = Note::Kind::mapped});
}
TEST_CASE("a descriptor that lingers beside the word that a region is mapped keeps nobody waiting") {
    must_not_matter(with_its_mapping);
}
Task<> with_a_ring(Scheduler& scheduler, ClientByHand& client, Lingering& lingering) {
    WEIR_CO_CHECK(client.attach(scheduler, sample_terms, BellKind::packet));
    lingering.send_with(client.socket, ipc::ring_packet);
}
TEST_CASE("a descriptor that lingers beside a ring keeps nobody waiting") {
    must_not_matter(with_a_ring);
}
Task<> behind_nonsense(Scheduler&, ClientByHand& client, Lingering& lingering) {
    CHECK_IN_TASK(client.say("nonsense") > 0);
    lingering.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
    co_return;
}
TEST_CASE("a descriptor that lingers in a packet that is never read keeps nobody waiting") {
    must_not_matter(behind_nonsense);
}
Task<> after_an_empty_packet(Scheduler&, ClientByHand& client, Lingering& lingering) {
    CHECK_IN_TASK(::send(client.socket.get(), "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) == 0);
    lingering.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
    co_return;
}
TEST_CASE("a descriptor that lingers behind an empty packet keeps nobody waiting") {
    must_not_matter(after_an_empty_packet);
}

const LinkKind idle{
    .on_event = [](LinkSlot&, unsigned, long) noexcept {}, .on_timer = nullptr, .on_free = nullptr};

Task<> without_a_slot(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    let_all_descriptors_in();
    std::array<LinkSlot*, running_budget.links> taken{};
    for (LinkSlot*& slot : taken) slot = scheduler.links().take(idle);
    Lingering lingering;
    const ClientByHand client(server.server.path());
    lingering.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
    WEIR_CO_CHECK(readable(client.socket.get()).within(5s));
    ipc::Answer answer{};
    CHECK_IN_TASK(client.hear(answer) == sizeof(answer));
    CHECK_IN_TASK(answer.verdict == ipc::Verdict::no_link);
    WEIR_CO_CHECK(hung_up_on(scheduler, client).within(5s));
    for (LinkSlot* const slot : taken) {
        if (slot != nullptr) slot->close();
    }
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_TRY(auto honest, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    CHECK_IN_TASK(lingering.nobody_waited(scheduler));
}
TEST_CASE(
    "a descriptor that lingers in the socket of a client for which there is no slot keeps nobody waiting") {
    skip_where_descriptors_come_unseen();
    const Log log;
    in_directory(without_a_slot);
}

Task<> beyond_its_rate(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    let_all_descriptors_in();
    std::array<Lingering, 24> lingering;
    for (Lingering& one : lingering) {
        const ClientByHand client(server.server.path());
        if (!client.socket) break;  // the backlog is full
        one.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
        WEIR_CO_CHECK(hung_up_on(scheduler, client).within(5s));
    }
    // One a second: another user would be let in at once.
    WEIR_CO_TRY(auto honest, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(10s));
    CHECK_IN_TASK(lingering.front().nobody_waited(scheduler));
}
TEST_CASE("descriptors that linger in the sockets of clients that come too often keep nobody waiting") {
    skip_where_descriptors_come_unseen();
    const Log log;
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    Running running;
    running.must_run(beyond_its_rate(*running, directory));
}

Task<> never_taken(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    Lingering lingering;
    {
        SampleServer server;
        WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
        let_all_descriptors_in();
        const ClientByHand client(server.server.path());
        lingering.send_with(client.socket, ipc::Hello{.bell = BellKind::packet, .terms = sample_terms});
    }
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    WEIR_CO_TRY(auto honest, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    CHECK_IN_TASK(lingering.nobody_waited(scheduler));
}
TEST_CASE(
    "a descriptor that lingers in a connection that nobody took keeps nobody waiting when its server ends") {
    skip_where_descriptors_come_unseen();
    in_directory(never_taken);
}

}  // namespace
