// SPDX-License-Identifier: MIT
#include <weir/ipc/names/name_watch.hpp>

#include "bound_socket.hpp"
#include "io/victim.hpp"
#include "shm/link_fixture.hpp"
#include "support/child.hpp"

#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::NameWatch;
using ipc::RuntimeDirectory;

constexpr Name pump{"plant/pump"};

/// Runs `body(scheduler, directory)` on each seed's scheduler, in a directory of its own.
template <class Body>
void on_each_in_directory(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory temporary;
        const auto directory = runtime_directory_at(temporary);
        Running running(seed);
        running.must_run(body(*running, directory));
        CHECK(running->usage().links == 0);
    });
}

Task<> serve_for(Scheduler& scheduler, const RuntimeDirectory& directory, Duration before, Duration span) {
    WEIR_CO_CHECK(sleep_for(before));
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    WEIR_CO_CHECK(sleep_for(span));
}

Task<> come_and_go(Scheduler& scheduler, const RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    WEIR_CO_CHECK(names.until_gone(sample_name));  // nobody serves it: at once
    const auto too_soon = co_await names.until_served(sample_name).within(1ms);
    CHECK_IN_TASK(code_of(too_soon) == Errc::timed_out);
    const auto follow = [](Scheduler&, NameWatch& watch) -> Task<> {
        WEIR_CO_TRY(const auto server, watch.until_served(sample_name));
        CHECK_IN_TASK(server.pid == ::getpid());
        CHECK_IN_TASK(server.uid == ::geteuid());
        const auto again = co_await watch.until_served(sample_name);  // still: at once
        CHECK_IN_TASK(again.has_value());
        const auto stays = co_await watch.until_gone(sample_name).within(1ms);
        CHECK_IN_TASK(code_of(stays) == Errc::timed_out);
        WEIR_CO_CHECK(watch.until_gone(sample_name));
    };
    const auto both = co_await all_of(follow(scheduler, names), serve_for(scheduler, directory, 5ms, 40ms));
    CHECK_IN_TASK(both.has_value());
}

Task<> several_wait(Scheduler& scheduler, const RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    const auto pump_server = [](Scheduler&, const RuntimeDirectory& where, int& stage) -> Task<> {
        std::optional<BoundSocket> server;
        WEIR_CO_CHECK(sleep_for(2ms));
        {
            const HeapPermit permit;
            server.emplace(where, pump);
        }
        WEIR_CO_CHECK(sleep_for(2ms));
        CHECK_IN_TASK(stage == 1);
        server->die();
        WEIR_CO_CHECK(sleep_for(2ms));
        CHECK_IN_TASK(stage == 2);
        const HeapPermit permit;
        std::filesystem::remove(server->path());
        server.reset();
    };
    const auto follow = [](Scheduler&, NameWatch& watch, int& stage) -> Task<> {
        WEIR_CO_TRY(const auto served, watch.until_served(pump));
        CHECK_IN_TASK(served.pid == ::getpid());
        stage = 1;
        WEIR_CO_CHECK(watch.until_gone(pump));
        stage = 2;
    };
    const auto other = [](Scheduler&, NameWatch& watch) -> Task<> {
        const auto waits = co_await watch.until_served("plant/other").within(20ms);
        CHECK_IN_TASK(code_of(waits) == Errc::timed_out);
    };
    int stage = 0;
    const auto all = co_await all_of(pump_server(scheduler, directory, stage),
                                     follow(scheduler, names, stage), other(scheduler, names));
    CHECK_IN_TASK(all.has_value());
}

Task<> replaced(Scheduler& scheduler, const RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    std::optional<BoundSocket> first;
    std::optional<BoundSocket> second;
    {
        const HeapPermit permit;
        first.emplace(directory, pump);
    }
    const auto swap = [](Scheduler&, const RuntimeDirectory& where, std::optional<BoundSocket>& old,
                         std::optional<BoundSocket>& fresh) -> Task<> {
        WEIR_CO_CHECK(sleep_for(2ms));
        const HeapPermit permit;
        old->die();
        fresh.emplace(where, pump);
    };
    const auto both =
        co_await all_of(names.until_gone(pump).within(10s), swap(scheduler, directory, first, second));
    CHECK_IN_TASK(both.has_value());
    const HeapPermit permit;
    second->close();
}

Task<> any_change(Scheduler& scheduler, const RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    const auto nothing = co_await names.change().within(1ms);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    std::optional<BoundSocket> server;
    const auto serve = [](std::optional<BoundSocket>& place, const RuntimeDirectory& where) {
        const HeapPermit permit;
        place.emplace(where, pump);
    };
    // What happened between two calls is told by the second.
    serve(server, directory);
    WEIR_CO_CHECK(names.change());
    const auto told = co_await names.change().within(1ms);
    CHECK_IN_TASK(code_of(told) == Errc::timed_out);
    {
        // What nobody serves is none of its business.
        const HeapPermit permit;
        std::ofstream(std::string(directory.path()) + "/notes") << "x";
        std::ofstream(std::string(directory.path()) + "/notes.weir") << "x";
    }
    const auto notes = co_await names.change().within(5ms);
    CHECK_IN_TASK(code_of(notes) == Errc::timed_out);
    const auto die_later = [](Scheduler&, std::optional<BoundSocket>& whom) -> Task<> {
        WEIR_CO_CHECK(sleep_for(2ms));
        whom->die();
    };
    // Two that wait at the same time are both told.
    const auto all = co_await all_of(names.change(), names.change(), die_later(scheduler, server));
    CHECK_IN_TASK(all.has_value());
    serve(server, directory);
    WEIR_CO_CHECK(names.change());
    server->close();
    serve(server, directory);  // another socket
    WEIR_CO_CHECK(names.change());
    server->close();
    WEIR_CO_CHECK(names.change());
}

Task<> directory_comes_and_goes(Scheduler& scheduler, const RuntimeDirectory& directory) {
    const auto below = RuntimeDirectory::at([&] {
        const HeapPermit permit;
        static std::string path;
        path = std::string(directory.path()) + "/later";
        return std::string_view(path);
    }());
    CHECK_IN_TASK(below.has_value());
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &*below));
    const auto make_and_serve = [](Scheduler& of, const RuntimeDirectory& where) -> Task<> {
        for (int round = 0; round < 2; ++round) {
            WEIR_CO_CHECK(sleep_for(2ms));
            WEIR_CO_CHECK(where.make());
            WEIR_CO_CHECK(serve_for(of, where, 2ms, 5ms));
            CHECK_IN_TASK(::rmdir(where.c_str()) == 0);
        }
    };
    const auto follow = [](Scheduler&, NameWatch& watch) -> Task<> {
        for (int round = 0; round < 2; ++round) {
            WEIR_CO_TRY(const auto server, watch.until_served(sample_name));
            CHECK_IN_TASK(server.pid == ::getpid());
            WEIR_CO_CHECK(watch.until_gone(sample_name));
        }
    };
    const auto both = co_await all_of(follow(scheduler, names), make_and_serve(scheduler, *below));
    CHECK_IN_TASK(both.has_value());
}

Task<> mistakes(Scheduler& scheduler, const RuntimeDirectory& directory) {
    NameWatch none;
    const auto served = co_await none.until_served(pump);
    CHECK_IN_TASK(code_of(served) == Errc::closed);
    const auto gone = co_await none.until_gone(pump);
    CHECK_IN_TASK(code_of(gone) == Errc::closed);
    const auto changed = co_await none.change();
    CHECK_IN_TASK(code_of(changed) == Errc::closed);
    const auto nowhere = RuntimeDirectory::at("/tmp/weir-there-is/no-such-place");
    CHECK_IN_TASK(nowhere.has_value());
    const auto opened = NameWatch::open(scheduler, &*nowhere);
    CHECK_IN_TASK(code_of(opened) == Errc::not_found);
    // A watch moves while nobody waits.
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    none = std::move(names);
    const auto both = co_await all_of(none.until_served(sample_name).within(10s),
                                      serve_for(scheduler, directory, 2ms, 2ms));
    CHECK_IN_TASK(both.has_value());
    none.close();
    const auto closed = co_await none.until_served(pump);
    CHECK_IN_TASK(code_of(closed) == Errc::closed);
}

Task<> no_slot_left(Scheduler& scheduler, const RuntimeDirectory& directory) {
    std::optional<BoundSocket> server;
    {
        const HeapPermit permit;
        server.emplace(directory, pump);
    }
    std::array<NameWatch, running_budget.links> watches;
    for (NameWatch& watch : watches) {
        WEIR_CO_TRY(watch, NameWatch::open(scheduler, &directory));
    }
    const auto another = NameWatch::open(scheduler, &directory);
    CHECK_IN_TASK(code_of(another) == Errc::no_link);
    const auto gone = co_await watches[0].until_gone(pump);
    CHECK_IN_TASK(code_of(gone) == Errc::no_link);
    WEIR_CO_TRY(const auto found, watches[0].until_served(pump));
    CHECK_IN_TASK(found.pid == ::getpid());
    // A slot that is just closing is waited for.
    watches[1].close();
    const auto stays = co_await watches[0].until_gone(pump).within(5ms);
    CHECK_IN_TASK(code_of(stays) == Errc::timed_out);
    const HeapPermit permit;
    server->close();
}

// --- with other processes

Task<> serve_and_stay(Scheduler& scheduler, int say_to, const RuntimeDirectory& directory, bool forks) {
    SampleServer server;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.mode = 0666}));
    if (forks && ::fork() == 0) {
        for (;;) ::pause();  // holds lock and socket until the test kills it
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> kill_soon(Scheduler&, Victim& whom) {
    WEIR_CO_CHECK(sleep_for(5ms));
    whom.kill();
}

Task<> see_it_killed(Scheduler& scheduler, const RuntimeDirectory& directory, Victim& server) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    WEIR_CO_TRY(const auto found, names.until_served(sample_name).within(30s));
    CHECK_IN_TASK(found.pid == server.pid());
    const auto gone =
        co_await all_of(names.until_gone(sample_name).within(30s), kill_soon(scheduler, server));
    CHECK_IN_TASK(gone.has_value());
    // The path is still there, and perhaps the socket, but nobody serves it.
    CHECK_IN_TASK(::access(directory.path_of(sample_name, ipc::link_suffix)->c_str(), F_OK) == 0);
    const auto nobody = co_await names.until_served(sample_name).within(20ms);
    CHECK_IN_TASK(code_of(nobody) == Errc::timed_out);
}

Task<> see_change(Scheduler& scheduler, const RuntimeDirectory& directory, Victim& server) {
    WEIR_CO_TRY(auto names, NameWatch::open(scheduler, &directory));
    const auto gone = co_await all_of(names.change().within(30s), kill_soon(scheduler, server));
    CHECK_IN_TASK(gone.has_value());
    WEIR_CO_TRY(const auto state, ipc::look_at_name(directory, sample_name));
    CHECK_IN_TASK(state == ipc::NameState::stale);
}

long sleeps_of_this_thread() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

}  // namespace

TEST_CASE("a task waits until a name is served, and until it is not any more") {
    on_each_in_directory(come_and_go);
}
TEST_CASE("several tasks wait on one watch, each for its own name") {
    on_each_in_directory(several_wait);
}
TEST_CASE("a server whose place another one took is gone") {
    on_each_in_directory(replaced);
}
TEST_CASE("any change of what is served is told once, and none is missed between two calls") {
    on_each_in_directory(any_change);
}
TEST_CASE("a watch waits for its directory, and for another one after that was removed") {
    on_each_in_directory(directory_comes_and_goes);
}
TEST_CASE("a watch that is closed, or of nothing, says so, and one that moved goes on") {
    on_each_in_directory(mistakes);
}
TEST_CASE("a watch and whoever waits for a server's end need a slot of the link table") {
    on_each_in_directory(no_slot_left);
}

TEST_CASE("a stop ends a wait for a name") {
    on_each_in_directory([](Scheduler& of, const RuntimeDirectory& directory) -> Task<> {
        WEIR_CO_TRY(auto names, NameWatch::open(of, &directory));
        const auto first = co_await first_of(names.until_served(pump), names.change(), sleep_for(2ms));
        CHECK_IN_TASK(first.index() == 2);
    });
}

TEST_CASE("a killed server is gone at once") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    Victim server([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, false); });
    server.wait_until_it_says();
    Running running;
    running.must_run(see_it_killed(*running, directory, server));
}

TEST_CASE("a killed server is gone although a child of it holds lock and socket") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    Victim server([&](Scheduler& child, int fd) {
        ::setpgid(0, 0);
        return serve_and_stay(child, fd, directory, true);
    });
    server.wait_until_it_says();
    const pid_t group = server.pid();
    Running running;
    running.must_run(see_it_killed(*running, directory, server));
    CHECK(::kill(-group, SIGKILL) == 0);  // the holder was alive until now
}

TEST_CASE("that a server was killed is a change") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    Victim server([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, false); });
    server.wait_until_it_says();
    Running running;
    running.must_run(see_change(*running, directory, server));
}

TEST_CASE("a user learns of the end of another user's server") {
    skip_where_simulated();
    if (::geteuid() != 0) skip("needs root to become another user");
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    int told[2];
    REQUIRE(::pipe(told) == 0);
    // It kills itself when the watcher says so, who may not.
    Victim server([&](Scheduler& child, int fd) {
        return [](Scheduler& of, int say_to, const RuntimeDirectory& where, int listen_to) -> Task<> {
            const auto either =
                co_await first_of(serve_and_stay(of, say_to, where, false), readable(listen_to));
            CHECK_IN_TASK(either.index() == 1);
            ::kill(::getpid(), SIGKILL);
        }(child, fd, directory, told[0]);
    });
    server.wait_until_it_says();
    const auto end = run_unprivileged([&] {
        Running running;
        const auto outcome =
            running->run([](Scheduler& of, const RuntimeDirectory& where, int tell) -> Task<> {
                WEIR_CO_TRY(auto names, NameWatch::open(of, &where));
                WEIR_CO_TRY(const auto found, names.until_served(sample_name).within(30s));
                if (found.uid != 0) co_return co_await fail(Errc::mismatch, "its user", 0, found.uid);
                const auto tells = [](Scheduler&, int fd) -> Task<> {
                    WEIR_CO_CHECK(sleep_for(5ms));
                    say(fd);
                };
                WEIR_CO_CHECK(all_of(names.until_gone(sample_name).within(30s), tells(of, tell)));
            }(*running, directory, told[1]));
        if (outcome) return 0;
        std::fprintf(stderr, "%s\n", Running::text_of_error(outcome).c_str());
        return 1;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    ::close(told[0]);
    ::close(told[1]);
}

TEST_CASE("who may not open a name is denied, not kept waiting") {
    if (::geteuid() != 0) skip("needs root to become another user");
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket server(directory, pump, 0600);
    const auto end = run_unprivileged([&] {
        Running running;
        bool denied = false;
        const auto outcome =
            running->run([](Scheduler& of, const RuntimeDirectory& where, bool& both) -> Task<> {
                WEIR_CO_TRY(auto names, NameWatch::open(of, &where));
                const auto served = co_await names.until_served(pump);
                const auto gone = co_await names.until_gone(pump);
                both = code_of(served) == Errc::denied && code_of(gone) == Errc::denied;
            }(*running, directory, denied));
        return outcome && denied ? 0 : 1;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("whoever waits for a name sleeps") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    Running running;
    running.must_run([](Scheduler& of, const RuntimeDirectory& where) -> Task<> {
        WEIR_CO_TRY(auto names, NameWatch::open(of, &where));
        const long before = sleeps_of_this_thread();
        const auto waited = co_await names.until_served(pump).within(500ms);
        CHECK_IN_TASK(code_of(waited) == Errc::timed_out);
        // One sleep, and what the machine adds.
        CHECK_IN_TASK(sleeps_of_this_thread() - before < 6);
    }(*running, directory));
}
