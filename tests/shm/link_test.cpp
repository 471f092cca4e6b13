// SPDX-License-Identifier: MIT
//
// Attaching, ringing and parting within one process, on every backend.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/child.hpp"
#include "support/skip.hpp"

#include <filesystem>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::LinkState;
using ipc::LinkTrust;

Task<> attach_and_ring(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, LinkTrust at_server,
                       LinkTrust at_client) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = at_server}));
    SampleClient owner;
    const ipc::LinkOpenOptions options{.trust = at_client, .directory = &directory};
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, options).within(5s));
    client.set_owner(SampleClient::hooks, &owner);
    const bool both = at_server != LinkTrust::nobody && at_client != LinkTrust::nobody;
    CHECK_IN_TASK(client->bell() == (both ? ipc::BellKind::eventfd : ipc::BellKind::packet));
    CHECK_IN_TASK(server.link->bell() == client->bell());
    CHECK_IN_TASK((client->state() == LinkState::attached && !client->is_server()));
    CHECK_IN_TASK(server.attached == 1);
    CHECK_IN_TASK((server.link != nullptr && server.link->is_server()));
    CHECK_IN_TASK(client->terms() == sample_terms);
    CHECK_IN_TASK(client->credentials().pid == ::getpid());
    CHECK_IN_TASK(server.link->credentials().uid == ::geteuid());
    // Both directions of memory.
    CHECK_IN_TASK(client->peer().size() == SampleServer::region_size);
    CHECK_IN_TASK(client->own().size() == SampleServer::client_size);
    CHECK_IN_TASK(client->peer()[0] == std::byte{42});
    CHECK_IN_TASK(client->own()[1] == std::byte{17});
    server.link->own()[5] = std::byte{1};
    client->own()[7] = std::byte{2};
    CHECK_IN_TASK(client->peer()[5] == std::byte{1});
    CHECK_IN_TASK(server.link->peer()[7] == std::byte{2});
    // Both bells, several times; what was rung before the bell was armed is heard, too.
    for (int round = 1; round <= 3; ++round) {
        client->ring_bell();
        server.link->arm_bell();
        while (server.rang < round) WEIR_CO_CHECK(sleep_for(100us));
        CHECK_IN_TASK(!server.link->bell_armed());
        client->arm_bell();
        client->arm_bell();
        CHECK_IN_TASK(client->bell_armed());
        server.link->ring_bell();
        while (owner.signals < round) WEIR_CO_CHECK(sleep_for(100us));
    }
    CHECK_IN_TASK(client->bells_rung() == 3);
    CHECK_IN_TASK(client->bells_heard() == 3);
    client.close();
    while (server.ended == 0) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(server.lost == 0);
}
TEST_CASE("a client attaches, both see each other's memory and hear each other's bells, and part") {
    for (const LinkTrust at_server : {LinkTrust::everyone, LinkTrust::nobody}) {
        for (const LinkTrust at_client : {LinkTrust::everyone, LinkTrust::nobody}) {
            in_directory([=](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
                return attach_and_ring(scheduler, directory, at_server, at_client);
            });
        }
    }
}

Task<> server_closes(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    SampleClient owner;
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    client.set_owner(SampleClient::hooks, &owner);
    server.server.close();
    while (client->state() == LinkState::attached) WEIR_CO_CHECK(sleep_for(100us));
    CHECK_IN_TASK(client->state() == LinkState::ended);
    CHECK_IN_TASK(owner.signals == 1);
    CHECK_IN_TASK(client->peer()[0] == std::byte{42});  // still there until the client closes
    client->ring_bell();
    client->arm_bell();
    CHECK_IN_TASK(!client->bell_armed());
}
TEST_CASE("a server that closes ends its clients, whose memory stays until they close") {
    in_directory(server_closes);
}

Task<> many_times(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    std::size_t descriptors_before = 0;
    const int rounds = on_simulated() ? 20 : 100;
    for (int round = 0; round < rounds; ++round) {
        {
            WEIR_CO_TRY(auto client,
                        ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
            client->arm_bell();
        }
        while (server.ended == round || scheduler.usage().links > 1) WEIR_CO_CHECK(sleep_for(100us));
        const HeapPermit permit;
        if (round == 0) descriptors_before = open_descriptors();
        CHECK(open_descriptors() == descriptors_before);
    }
    CHECK_IN_TASK(server.attached == rounds);
    CHECK_IN_TASK(server.lost == 0);
}
TEST_CASE("attaching again and again leaves nothing behind") {
    in_directory(many_times);
}

template <class Change>
Task<> mismatch(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, Change change,
                std::uint64_t ours, std::uint64_t theirs) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    ipc::LinkTerms terms = sample_terms;
    change(terms);
    const auto opened = co_await ipc::open_link(sample_name, terms, opened_in(directory)).within(5s);
    CHECK_IN_TASK(code_of(opened) == Errc::mismatch);
    if (!opened) CHECK_IN_TASK((opened.error().a == ours && opened.error().b == theirs));
    CHECK_IN_TASK(server.attached + server.lost == 0);
}
TEST_CASE(
    "terms that differ are an error at the client, with both sides' values, and a report at the server") {
    int reports = 0;
    set_report([](std::string_view, void* context) noexcept { ++*static_cast<int*>(context); }, &reports);
    const auto differs = [](auto change, std::uint64_t ours, std::uint64_t theirs) {
        in_directory([=](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
            return mismatch(scheduler, directory, change, ours, theirs);
        });
    };
    differs([](ipc::LinkTerms& terms) { terms.object = 1; }, 1, sample_terms.object);
    differs([](ipc::LinkTerms& terms) { terms.version = 4; }, 4, 3);
    differs([](ipc::LinkTerms& terms) { terms.layout = 5; }, 5, 0xabcdef);
    differs([](ipc::LinkTerms& terms) { terms.record_size = 24; }, 24, 16);
    differs([](ipc::LinkTerms& terms) { terms.depth = 32; }, 32, 64);
    set_report(nullptr, nullptr);
    CHECK(reports >= 5);
}

Task<> second_client(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    ipc::LinkTerms any_depth = sample_terms;
    any_depth.depth = 0;
    WEIR_CO_TRY(auto first, ipc::open_link(sample_name, any_depth, opened_in(directory)).within(5s));
    CHECK_IN_TASK(first->terms().depth == 64);
    const auto second = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    CHECK_IN_TASK(code_of(second) == Errc::in_use);
    if (!second) CHECK_IN_TASK(second.error().a == static_cast<std::uint64_t>(::getpid()));
    first.close();  // its successor may come before the server has heard of that
    WEIR_CO_TRY(auto third, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    CHECK_IN_TASK((server.attached == 2 && server.ended == 1));
}
TEST_CASE("the object's refusal reaches the client as it is, and a successor is let in at once") {
    in_directory(second_client);
}

Task<> open_early(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    const auto nobody = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5ms);
    CHECK_IN_TASK(code_of(nobody) == Errc::timed_out);
    const auto none = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(0s);
    CHECK_IN_TASK(code_of(none) == Errc::timed_out);
    CHECK_IN_TASK(scheduler.usage().links == 0);
}
TEST_CASE("opening a name that nobody serves waits until the deadline") {
    in_directory(open_early);
}

Task<> serve_later(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, SampleServer& server) {
    WEIR_CO_CHECK(sleep_for(5ms));
    WEIR_CO_CHECK(server.serve(scheduler, directory));
}
Task<ipc::LinkClient> open_one(Scheduler&, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    co_return client;
}
Task<> open_before_served(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(all_of(open_one(scheduler, directory), serve_later(scheduler, directory, server)));
    CHECK_IN_TASK(server.attached == 1);
}
TEST_CASE("a client may open a name before it is served") {
    in_directory(open_before_served);
}

Task<> successor_of_one_granted(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    for (int round = 0; round < 4; ++round) {
        Fd leaves;
        {
            const HeapPermit permit;
            leaves = plain_client(server.server.path());
        }
        const ipc::Hello hello{.terms = sample_terms};
        CHECK_IN_TASK(::send(leaves.get(), &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello));
        WEIR_CO_CHECK(readable(leaves.get()));  // the answer, which it does not acknowledge
        CHECK_IN_TASK(server.links == 1);
        leaves.close();
        WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
        CHECK_IN_TASK(server.attached == round + 1);
    }
}
TEST_CASE("a client that leaves in the middle of its handshake is not in its successor's way") {
    in_directory(successor_of_one_granted);
}

Task<> silent_clients(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.handshake = 1h, .pending_max = 2}));
    std::array<Fd, 8> silent;
    {
        const HeapPermit permit;
        for (Fd& fd : silent) fd = plain_client(server.server.path());
        for (const Fd& fd : silent) CHECK(fd);
    }
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    CHECK_IN_TASK(server.attached == 1);
}
TEST_CASE("clients that say nothing keep nobody out") {
    in_directory(silent_clients);
}

Task<> silent_for_too_long(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.handshake = 2ms}));
    Fd silent;
    {
        const HeapPermit permit;
        silent = plain_client(server.server.path());
    }
    WEIR_CO_CHECK(readable(silent.get()));
    char byte;
    CHECK_IN_TASK(::recv(silent.get(), &byte, 1, MSG_DONTWAIT) == 0);
    CHECK_IN_TASK(server.lost == 0);  // it was never granted anything
}
TEST_CASE("a client that says nothing is dropped when its time is over") {
    in_directory(silent_for_too_long);
}

Task<> nonsense(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    for (const std::string_view text :
         {"x", "weir", "GET / HTTP/1.1", "0123456789012345678901234567890123456789012345678901234567890"}) {
        Fd fd;
        {
            const HeapPermit permit;
            fd = plain_client(server.server.path());
        }
        CHECK_IN_TASK(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0);
        WEIR_CO_CHECK(readable(fd.get()));
    }
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    CHECK_IN_TASK((server.attached == 1 && server.lost == 0));
}
TEST_CASE("nonsense instead of a hello is turned away") {
    set_report([](std::string_view, void*) noexcept {}, nullptr);
    in_directory(nonsense);
    set_report(nullptr, nullptr);
}

Task<> name_in_use(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.mode = 0660}));
    {
        const HeapPermit permit;
        CHECK(mode_of(std::string(server.server.path())) == 0660);
    }
    SampleServer rival;
    const auto served = rival.serve(scheduler, directory);
    CHECK_IN_TASK(code_of(served) == Errc::in_use);
    if (!served) CHECK_IN_TASK(served.error().a == static_cast<std::uint64_t>(::getpid()));
    server.server.close();
    while (scheduler.usage().links > 0) WEIR_CO_CHECK(yield());
    WEIR_CO_CHECK(rival.serve(scheduler, directory));
}
TEST_CASE("a name has one server, and the other one learns its pid") {
    in_directory(name_in_use);
}

Task<> no_link_left(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 10;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    // The budget has two: the server's and one for either end of a link.
    const Log log;
    server.server.expect_clients(1);
    CHECK_IN_TASK(log.lines.empty());
    server.server.expect_clients(8);
    CHECK_IN_TASK(log.lines ==
                  "weir: " + std::string(sample_name.view()) +
                      ": clients can be refused for want of a link (Budget::links is 2, the name with "
                      "its 8 clients takes 9)\n");
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    CHECK_IN_TASK(code_of(opened) == Errc::no_link);
    if (!opened) CHECK_IN_TASK(opened.error().b == 2);
}
TEST_CASE("a full link table is an error that names the limit") {
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory temporary;
        const auto directory = directory_of(temporary);
        static constexpr Budget two{.frame_bytes = 64 * 1024, .links = 2};
        const auto scheduler = std::make_unique<StaticScheduler<two>>();
        REQUIRE(scheduler->start({.backend = *backend_choice(backend_name()), .simulation = {.seed = seed}})
                    .has_value());
        const auto outcome = scheduler->run(no_link_left(*scheduler, directory));
        CHECK(outcome.has_value());
        CHECK(scheduler->usage().links == 0);
    });
}

Task<> untrusted(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    const ipc::LinkOpenOptions options{.server_uid = 12'345, .directory = &directory};
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, options).within(5s);
    CHECK_IN_TASK(code_of(opened) == Errc::denied);
    if (!opened) CHECK_IN_TASK(opened.error().a == ::geteuid());
    CHECK_IN_TASK(server.attached + server.lost == 0);
}
TEST_CASE("a server of another user than the one trusted is left alone") {
    in_directory(untrusted);
}

Task<> trust_as_chosen(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, ipc::LinkTrust at_server,
                       ipc::LinkTrust at_client) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = at_server}));
    const ipc::LinkOpenOptions options{.trust = at_client, .directory = &directory};
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, options).within(5s));
    CHECK_IN_TASK(client->trusted() == (at_client != ipc::LinkTrust::nobody));
    CHECK_IN_TASK(server.link->trusted() == (at_server != ipc::LinkTrust::nobody));
}
TEST_CASE("each side trusts its own user, or whom it was told to") {
    if (::geteuid() == 65'534) skip("this user can be anybody");
    for (const LinkTrust at_server : {LinkTrust::nobody, LinkTrust::same_user, LinkTrust::everyone}) {
        for (const LinkTrust at_client : {LinkTrust::nobody, LinkTrust::same_user}) {
            in_directory([=](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
                return trust_as_chosen(scheduler, directory, at_server, at_client);
            });
        }
    }
}

}  // namespace
