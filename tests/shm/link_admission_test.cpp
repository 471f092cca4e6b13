// SPDX-License-Identifier: MIT
//
// Who is let in, and how many of one user.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "io/files_used_up.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <algorithm>

#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::BellKind;
using ipc::LinkState;
using ipc::LinkTrust;

/// What the server tells of itself, asked by hand, since ask_link_stat() blocks.
Task<> ask_stat(Scheduler&, std::string_view path, ipc::LinkStat& stat) {
    const Fd socket = plain_client(path);
    const ipc::Hello hello{.request = ipc::Request::stat};
    CHECK_IN_TASK(::send(socket.get(), &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello));
    WEIR_CO_CHECK(readable(socket.get()));
    CHECK_IN_TASK(::recv(socket.get(), &stat, sizeof(stat), MSG_DONTWAIT) == sizeof(stat));
}

struct Admitted {
    ipc::LinkAdmission admission;
    bool admitted;
};
Task<> admitted_or_not(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, Admitted expected) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.admission = expected.admission}));
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    if (expected.admitted) {
        CHECK_IN_TASK(opened.has_value());
    } else {
        CHECK_IN_TASK(code_of(opened) == Errc::denied);
    }
    CHECK_IN_TASK(server.attached == (expected.admitted ? 1 : 0));
    // Who is denied may ask all the same.
    ipc::LinkStat stat;
    WEIR_CO_CHECK(ask_stat(scheduler, server.server.path(), stat));
    CHECK_IN_TASK(stat.denied == (expected.admitted ? 0 : 1));
    CHECK_IN_TASK((stat.refused == stat.denied && stat.turned_out == 0));
}
TEST_CASE("a server lets in the users, the groups, and those that its policy says, and tells the others") {
    int reports = 0;
    set_report([](std::string_view, void* context) noexcept { ++*static_cast<int*>(context); }, &reports);
    const std::array mine{std::uint32_t{::geteuid()}, std::uint32_t{4'711}};
    const std::array my_groups{std::uint32_t{4'711}, std::uint32_t{::getegid()}};
    const std::array others{std::uint32_t{4'711}};
    struct Asked {
        bool answer;
        int times;
    };
    Asked yes{true, 0};
    Asked no{false, 0};
    const auto policy = [](void* context, const Credentials& client) noexcept {
        auto& asked = *static_cast<Asked*>(context);
        ++asked.times;
        return client.pid == ::getpid() && client.uid == ::geteuid() && asked.answer;
    };
    const Admitted cases[] = {
        {{}, true},
        {{.uids = mine}, true},
        {{.gids = my_groups}, true},
        {{.uids = others}, false},
        {{.gids = others}, false},
        {{.uids = others, .gids = my_groups}, true},
        {{.policy = policy, .context = &yes}, true},
        {{.policy = policy, .context = &no}, false},
        {{.uids = mine, .policy = policy, .context = &no}, false},
        {{.uids = others, .policy = policy, .context = &yes}, false},
    };
    for (const Admitted& one : cases) {
        in_directory([&](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
            return admitted_or_not(scheduler, directory, one);
        });
    }
    set_report(nullptr, nullptr);
    CHECK((yes.times > 0 && no.times > 0));
    CHECK(reports > 0);
}

Task<> by_group(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, std::uint32_t group,
                bool* attached) {
    SampleServer server;
    const std::array groups{group};
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.admission = {.gids = groups}}));
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    *attached = opened.has_value();
}
// Whether the kernel tells a peer's supplementary groups: where it does not, nobody is let in for one. Asked for two, since
// an emulator that does not know the option answers as if it were a number.
bool tells_groups() {
    const auto end = run_in_child([] {
        const gid_t two[] = {4'710, 4'711};
        int ends[2];
        if (::setgroups(2, two) != 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 2;
        gid_t groups[256];
        socklen_t size = sizeof(groups);
        const bool told =
            ::getsockopt(ends[0], SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0 && size == sizeof(two);
        return told ? 0 : 1;
    });
    REQUIRE((end.exit_status == 0 || end.exit_status == 1));
    return end.exit_status == 0;
}
TEST_CASE("a client's supplementary groups count") {
    if (::geteuid() != 0) skip("needs root, to be in other groups");
    if (!tells_groups()) skip("SO_PEERGROUPS is not known here (an emulator)");
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    for (const bool member : {true, false}) {
        const auto end = run_in_child([&] {
            const gid_t groups[] = {4'710, 4'711};
            if (::setgroups(member ? 2 : 1, groups) != 0) return 2;
            Running running;
            bool attached = false;
            if (!running->run(by_group(*running, directory, 4'711, &attached))) return 3;
            return attached == member ? 0 : 1;
        });
        INFO(end.errors);
        CHECK(end.exit_status == 0);
    }
}

Task<> cap_of_links(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, LinkTrust trust) {
    SampleServer server;
    server.links_max = 3;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = trust, .links_per_user = 2}));
    std::array<ipc::LinkClient, 2> clients;
    for (auto& client : clients) {
        WEIR_CO_TRY(client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    }
    const auto third = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    ipc::LinkStat stat;
    WEIR_CO_CHECK(ask_stat(scheduler, server.server.path(), stat));
    if (trust != LinkTrust::nobody) {
        CHECK_IN_TASK((third.has_value() && stat.over_cap == 0));
        co_return;
    }
    CHECK_IN_TASK(code_of(third) == Errc::no_place);
    if (!third) CHECK_IN_TASK(third.error().b == 2);
    CHECK_IN_TASK((stat.over_cap == 1 && stat.refused == 1 && stat.peers == 2));
    // Those that are gone do not count.
    clients[0].close();
    WEIR_CO_TRY(auto fourth, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
}
TEST_CASE("a user that is not trusted may have so many links, and the next one learns how many") {
    for (const LinkTrust trust : {LinkTrust::nobody, LinkTrust::everyone}) {
        in_directory([=](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
            return cap_of_links(scheduler, directory, trust);
        });
    }
}

Task<> cap_of_handshakes(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 8;
    WEIR_CO_CHECK(
        server.serve(scheduler, directory,
                     {.handshake = 1h, .pending_max = 6, .trust = LinkTrust::nobody, .pending_per_user = 2}));
    // Two that were granted something and do not go on: they cannot be dropped for others.
    ClientByHand first(server.server.path());
    ClientByHand second(server.server.path());
    WEIR_CO_CHECK(first.ask(scheduler, sample_terms, BellKind::packet));
    WEIR_CO_CHECK(second.ask(scheduler, sample_terms, BellKind::packet));
    CHECK_IN_TASK(server.links == 2);
    ClientByHand third(server.server.path());
    WEIR_CO_CHECK(readable(third.socket.get()));
    char byte = 0;
    CHECK_IN_TASK(third.hear(byte) == 0);
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(20ms);
    CHECK_IN_TASK(code_of(opened) == Errc::timed_out);
    // One that goes on makes room: whoever waited comes in by itself.
    WEIR_CO_CHECK(first.acknowledge(scheduler));
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    ipc::LinkStat stat;
    WEIR_CO_CHECK(ask_stat(scheduler, server.server.path(), stat));
    CHECK_IN_TASK((stat.peers == 2 && stat.pending == 1 && stat.over_cap >= 2));
}
TEST_CASE("a user that is not trusted may have so many clients in their handshake") {
    in_directory(cap_of_handshakes);
}

/// Says hello, does not read the answer, and is gone as far as the server can see.
Task<> leave_unread(Scheduler&, SampleServer& server, ClientByHand& client) {
    const int lost = server.lost;
    CHECK_IN_TASK(client.say(ipc::Hello{.terms = sample_terms}) == sizeof(ipc::Hello));
    WEIR_CO_CHECK(readable(client.socket.get()));
    ::shutdown(client.socket.get(), SHUT_WR);
    while (server.lost == lost) WEIR_CO_CHECK(sleep_for(100us));
}
Task<> answers_unread(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, LinkTrust trust) {
    SampleServer server;
    server.links_max = 4;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = trust, .links_per_user = 2}));
    ClientByHand first(server.server.path());
    WEIR_CO_CHECK(leave_unread(scheduler, server, first));
    ClientByHand second(server.server.path());
    WEIR_CO_CHECK(leave_unread(scheduler, server, second));
    CHECK_IN_TASK(server.links == 0);
    if (trust != LinkTrust::nobody) {
        WEIR_CO_TRY(auto third, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
        co_return;
    }
    for (int i = 0; i < 3; ++i) {
        const auto next = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
        CHECK_IN_TASK(code_of(next) == Errc::no_place);
    }
    // Whoever reads its answer, or throws it away, makes room at once.
    ipc::Answer answer{};
    CHECK_IN_TASK((first.hear(answer) == sizeof(answer) && answer.verdict == ipc::Verdict::yes));
    WEIR_CO_TRY(auto third, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    const auto fourth = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s);
    CHECK_IN_TASK(code_of(fourth) == Errc::no_place);
    second.socket.close();
    WEIR_CO_TRY(auto fifth, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    third.close();
    while (server.ended == 0) WEIR_CO_CHECK(sleep_for(100us));
    // Its slot is given back without anybody else who comes.
    ClientByHand last(server.server.path());
    WEIR_CO_CHECK(leave_unread(scheduler, server, last));
    while (scheduler.usage().links > 4) WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(scheduler.usage().links == 4);  // the server's, both ends of the fifth, and this one's
    CHECK_IN_TASK(last.hear(answer) == sizeof(answer));
    while (scheduler.usage().links > 3) WEIR_CO_CHECK(sleep_for(1ms));
    // One is left to the server's end.
    ClientByHand left(server.server.path());
    WEIR_CO_CHECK(leave_unread(scheduler, server, left));
}
TEST_CASE("a client that is gone without having read its answer counts until it has") {
    for (const LinkTrust trust : {LinkTrust::nobody, LinkTrust::everyone}) {
        in_directory([=](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
            return answers_unread(scheduler, directory, trust);
        });
    }
}

Task<> connects_only(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 2;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
    const Instant began = scheduler.now();
    int connected = 0;
    while (connected < 150) {
        const bool there = static_cast<bool>(plain_client(server.server.path()));
        if (there) {
            ++connected;
        } else {
            WEIR_CO_CHECK(sleep_for(1ms));  // the backlog is full
        }
        WEIR_CO_CHECK(yield());
    }
    // 64 at once, 16 in the backlog, the rest at 250 a second.
    CHECK_IN_TASK(scheduler.now() - began >= 200ms);
    CHECK_IN_TASK(client->state() == LinkState::attached);
    WEIR_CO_TRY(auto other, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
}
TEST_CASE("who only connects and leaves is taken at a limited rate, and others get in all the same") {
    in_directory(connects_only);
}

Task<> attaches_again_and_again(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    server.links_max = 2;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.trust = LinkTrust::nobody}));
    const Instant began = scheduler.now();
    for (int i = 0; i < 17; ++i) {
        WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
        client.close();
        WEIR_CO_CHECK(sleep_for(1ms));
    }
    // 16 at once, the rest at one a second.
    CHECK_IN_TASK(scheduler.now() - began >= 950ms);
    CHECK_IN_TASK(server.attached == 17);
}
TEST_CASE("a user that is not trusted may begin its handshakes at a limited rate") {
    in_directory(attaches_again_and_again);
}

Task<> runs_out_of_files(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    SampleServer server;
    Log log;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    const Fd waits = plain_client(server.server.path());
    {
        const FilesUsedUp none;
        WEIR_CO_CHECK(sleep_for(30s));
    }
    {
        const HeapPermit permit;
        const auto lines = std::count(log.lines.begin(), log.lines.end(), '\n');
        CHECK((lines > 0 && lines <= 16 + 31));
    }
    // The one that waited says nothing, and keeps out nobody.
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(5s));
}
TEST_CASE("a server without descriptors looks again and again, but says so once a second") {
    if (!on_simulated()) skip("half a minute is too long to wait for");
    in_directory(runs_out_of_files);
}

}  // namespace
