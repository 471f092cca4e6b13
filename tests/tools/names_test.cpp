// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "printed.hpp"

#include "support/child.hpp"
#include "support/skip.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Scheduler;
using weir::Task;
using weir::test::Printed;

namespace {

constexpr weir::ipc::LinkTerms terms{
    .object = 0x676e'6972, .version = 1, .layout = 0xabc, .record_size = 16, .depth = 64};  // "ring"

/// A server in a process of its own: counts a thousand records of 16 bytes more each time that it is asked.
class ServerOwner {
public:
    ServerOwner() {
        auto made = weir::ipc::Region::create(4096, "weir tools test");
        if (!made) std::abort();
        region_ = std::move(*made);
        auto mapped = region_.map_writable();
        if (!mapped || !region_.seal()) std::abort();
        mapping_ = std::move(*mapped);
    }
    static const weir::ipc::LinkHooks hooks;

private:
    weir::ipc::Region region_;
    weir::ipc::Mapping mapping_;
    std::uint64_t asked_ = 0;
};

const weir::ipc::LinkHooks ServerOwner::hooks{
    .on_admit = [](void* owner, weir::ipc::Link&) noexcept -> weir::Result<weir::ipc::LinkGrant> {
        auto& self = *static_cast<ServerOwner*>(owner);
        return weir::ipc::LinkGrant{.region = &self.region_,
                                    .own = {self.mapping_.data(), self.mapping_.size()},
                                    .client_size = 4096};
    },
    .on_signal = [](void*, weir::ipc::Link& link) noexcept { link.close(); },
    .fill_stat =
        [](void* owner, weir::ipc::LinkStat& stat) noexcept {
            const std::uint64_t asked = ++static_cast<ServerOwner*>(owner)->asked_;
            stat.region_bytes = 4096;
            stat.records = asked * 1000;
            stat.bytes = asked * 16'000;
            stat.sleeps = asked;
            stat.fill = 3;
            stat.peer[0].fill = 2;
            stat.peer[0].sleeps = 10 * asked;
        },
};

Task<> serve(Scheduler& scheduler, weir::Name name, mode_t mode, bool has_client, int say_to) {
    ServerOwner owner;
    WEIR_CO_TRY(auto server, weir::ipc::LinkServer::create(scheduler, name, terms, ServerOwner::hooks, &owner,
                                                           {.mode = mode}));
    weir::ipc::LinkClient client;
    if (has_client) {
        WEIR_CO_TRY(client, weir::ipc::open_link(name, terms).within(30s));
    }
    if (::write(say_to, "y", 1) != 1) co_return;
    WEIR_CO_CHECK(weir::sleep_for(1h));
}

Task<> fill_a_ring(Scheduler& scheduler, int say_to) {
    WEIR_CO_TRY(auto ring, weir::ipc::RingWriter<std::uint64_t>::create(scheduler, weir::Name("readings"),
                                                                        {.slots = 16}));
    for (std::uint64_t i = 0; i < 5; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        *slot = i;
        slot.commit();
    }
    if (::write(say_to, "y", 1) != 1) co_return;
    WEIR_CO_CHECK(weir::sleep_for(1h));
}

Task<> publish_a_topic(Scheduler& scheduler, int say_to) {
    constexpr weir::ipc::TopicName name{"pose"};
    WEIR_CO_TRY(auto publisher, weir::ipc::Publisher<std::uint64_t>::create(scheduler, name, {.depth = 16}));
    WEIR_CO_TRY(auto subscriber, weir::ipc::Subscriber<std::uint64_t>::open(scheduler, name).within(30s));
    for (std::uint64_t i = 0; i < 5; ++i) {
        WEIR_CO_TRY(auto sample, publisher.loan());
        *sample = i;
        sample.publish();
    }
    { WEIR_CO_TRY(auto sample, subscriber.next()); }
    if (::write(say_to, "y", 1) != 1) co_return;
    WEIR_CO_CHECK(weir::sleep_for(1h));
}

using Doubler = weir::ipc::Service<std::uint64_t, std::uint64_t>;

Task<> double_it(Scheduler&, Doubler::Client& client) {
    WEIR_CO_CHECK(client.call(2));
}
Task<> answer_calls(Scheduler& scheduler, int say_to) {
    constexpr weir::ipc::ServiceName name{"doubler"};
    WEIR_CO_TRY(auto server, Doubler::Server::create(scheduler, name, {.calls_max = 4}));
    WEIR_CO_TRY(auto client, Doubler::Client::open(scheduler, name).within(30s));
    const auto answers = [](Scheduler&, Doubler::Server& of, int told) -> Task<> {
        for (int i = 0; i < 2; ++i) {
            WEIR_CO_TRY(auto call, of.next());
            call.reply(*call * 2);
        }
        WEIR_CO_TRY(const auto in_hand, of.next());
        if (::write(told, "y", 1) != 1) co_return;
        WEIR_CO_CHECK(weir::sleep_for(1h));
    };
    WEIR_CO_CHECK(weir::all_of(double_it(scheduler, client), double_it(scheduler, client),
                               double_it(scheduler, client), answers(scheduler, server, say_to)));
}

struct alignas(16) Storage {
    std::byte bytes[16];
};

/// A runtime directory, and servers in it.
class Place {
public:
    Place() {
        REQUIRE(::mkdtemp(path_) != nullptr);
        REQUIRE(::chmod(path_, 0755) == 0);
        ::setenv("WEIR_RUNTIME_DIR", path_, 1);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
        for (const pid_t pid : std::vector<pid_t>(servers_)) end(pid, SIGKILL);
        std::filesystem::remove_all(path_);
        ::unsetenv("WEIR_RUNTIME_DIR");
    }
    [[nodiscard]] const char* path() const { return path_; }

    pid_t start(weir::Name name, bool has_client = false, mode_t mode = 0600, uid_t user = ::geteuid(),
                std::uint32_t links = 4) {
        return run([=](Scheduler& of, int say_to) { return serve(of, name, mode, has_client, say_to); }, user,
                   links);
    }
    /// Runs a task in a process of its own, and returns when it has said that it serves.
    template <class Make>
    pid_t run(Make make, uid_t user = ::geteuid(), std::uint32_t links = 4) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        const pid_t pid = ::fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
            ::close(ends[0]);
            if (user != ::geteuid() && ::setresuid(user, user, user) != 0) ::_exit(3);
            const weir::Budget budget{.frame_bytes = 16 * 1024, .descriptors = 16, .links = links};
            const auto storage =
                std::make_unique<Storage[]>(weir::storage_layout(budget).size / sizeof(Storage) + 1);
            const auto scheduler = std::make_unique<Scheduler>(budget, storage[0].bytes);
            if (!scheduler->start({.backend = weir::BackendChoice::epoll})) ::_exit(2);
            const auto outcome = scheduler->run(make(*scheduler, ends[1]));
            if (!outcome) weir::report(outcome.error());
            ::_exit(1);
        }
        servers_.push_back(pid);
        ::close(ends[1]);
        char said = 0;
        const auto size = ::read(ends[0], &said, 1);
        ::close(ends[0]);
        REQUIRE(size == 1);
        return pid;
    }
    void end(pid_t pid, int signal) {
        ::kill(pid, signal);
        ::waitpid(pid, nullptr, 0);
        servers_.erase(std::find(servers_.begin(), servers_.end(), pid));
    }

private:
    char path_[32] = "/tmp/weir-tools-XXXXXX";
    std::vector<pid_t> servers_;
};

/// The words of a line.
std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> found;
    for (std::string word; stream >> word;) found.push_back(word);
    return found;
}
using Words = std::vector<std::string>;

std::string text_of_uid(uid_t uid) {
    return std::to_string(uid);
}

}  // namespace

TEST_CASE("ls shows each name with what is attached, its server and its peers") {
    Place place;
    const pid_t first = place.start("vehicle/pose", true);
    const pid_t second = place.start("alarms");
    const Printed printed;
    CHECK(weir::tool::list(printed.file()) == 0);
    const auto lines = printed.lines();
    REQUIRE(lines.size() == 3);
    const std::string uid = text_of_uid(::geteuid());
    CHECK(words(lines[0]) == Words{"NAME", "KIND", "STATE", "PID", "UID", "PEERS"});
    CHECK(words(lines[1]) == Words{"alarms", "ring", "live", std::to_string(second), uid, "0"});
    CHECK(words(lines[2]) == Words{"vehicle/pose", "ring", "live", std::to_string(first), uid, "1"});
}

TEST_CASE("ls shows what a killed server left as stale, and that it is taken over") {
    Place place;
    place.end(place.start("pump"), SIGKILL);
    const Printed printed;
    CHECK(weir::tool::list(printed.file()) == 0);
    CHECK(words(printed.line("pump")) == Words{"pump", "-", "stale", "-", text_of_uid(::geteuid()), "-"});

    const pid_t successor = place.start("pump");
    const Printed again;
    CHECK(weir::tool::list(again.file()) == 0);
    CHECK(words(again.line("pump")) ==
          Words{"pump", "ring", "live", std::to_string(successor), text_of_uid(::geteuid()), "0"});
}

TEST_CASE("a server whose link table is full answers one who asks, and keeps its client") {
    Place place;
    // One place for the server, and for its client one at each end.
    const pid_t pid = place.start("narrow", true, 0600, ::geteuid(), 3);
    for (int i = 0; i < 20; ++i) {
        const Printed printed;
        CHECK(weir::tool::list(printed.file()) == 0);
        CHECK(words(printed.line("narrow")) ==
              Words{"narrow", "ring", "live", std::to_string(pid), text_of_uid(::geteuid()), "1"});
    }
}

TEST_CASE("ls shows a server that does not answer as silent, with the pid in its lock") {
    Place place;
    const pid_t stopped = place.start("valve");
    REQUIRE(::kill(stopped, SIGSTOP) == 0);
    const Printed printed;
    CHECK(weir::tool::list(printed.file()) == 0);
    CHECK(words(printed.line("valve")) ==
          Words{"valve", "-", "silent", std::to_string(stopped), text_of_uid(::geteuid()), "-"});
}

TEST_CASE("ls shows whose a server of another user is") {
    if (::geteuid() != 0) weir::test::skip("needs root to become another user");
    Place place;
    REQUIRE(::chown(place.path(), weir::test::nobody_uid, weir::test::nobody_gid) == 0);
    const pid_t pid = place.start("theirs", false, 0666, weir::test::nobody_uid);
    const Printed printed;
    CHECK(weir::tool::list(printed.file()) == 0);
    CHECK(words(printed.line("theirs")) ==
          Words{"theirs", "ring", "live", std::to_string(pid), text_of_uid(weir::test::nobody_uid), "0"});
}

TEST_CASE("ls shows a name that we may not ask as denied, with its owner") {
    if (::geteuid() != 0) weir::test::skip("needs root to become another user");
    Place place;
    place.start("private");
    const Printed printed;
    const auto end = weir::test::run_unprivileged([&] {
        const int status = weir::tool::list(printed.file());
        std::fflush(printed.file());
        return status;
    });
    CHECK(end.exit_status == 0);
    CHECK(words(printed.line("private")) == Words{"private", "-", "denied", "-", "0", "-"});
}

TEST_CASE("ls prints nothing where no server ever was, and says where it looked if there is no such place") {
    const Place place;
    const Printed empty;
    const Printed no_errors;
    CHECK(weir::tool::list(empty.file(), no_errors.file()) == 0);
    CHECK(empty.lines().empty());
    CHECK(no_errors.lines().empty());
    ::setenv("WEIR_RUNTIME_DIR", "/tmp/weir-tools-there-is-no-such-place", 1);
    const Printed absent;
    const Printed told;
    CHECK(weir::tool::list(absent.file(), told.file()) == 0);
    CHECK(absent.lines().empty());
    CHECK(told.line("weir: there is no /tmp/weir-tools-there-is-no-such-place (").find("WEIR_RUNTIME_DIR") !=
          std::string::npos);
}

TEST_CASE("stat shows sizes, counters and each peer") {
    Place place;
    const pid_t pid = place.start("vehicle/pose", true);
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "vehicle/pose", {}) == 0);
    CHECK(printed.line("name: ") == "name: vehicle/pose");
    CHECK(printed.line("kind: ") == "kind: ring");
    CHECK(printed.line("server: ").rfind("server: pid " + std::to_string(pid) + ", uid ", 0) == 0);
    CHECK(printed.line("depth: ") == "depth: 64");
    CHECK(printed.line("record size: ") == "record size: 16");
    CHECK(printed.line("layout: ") == "layout: 0000000000000abc");
    CHECK(printed.line("region bytes: ") == "region bytes: 4096");
    CHECK(printed.line("records: ") == "records: 1000");
    CHECK(printed.line("bytes: ") == "bytes: 16000");
    CHECK(printed.line("fill: ") == "fill: 3 of 64");
    CHECK(printed.line("sleeps: ") == "sleeps: 1");
    CHECK(printed.line("admitted: ") == "admitted: 1");
    CHECK(printed.line("peers: ") == "peers: 1");
    const std::string peer = printed.line("peer: ");
    INFO(peer);
    CHECK(peer.rfind("peer: pid " + std::to_string(pid) + ", uid ", 0) == 0);
    CHECK(peer.find(", fill 2, records 0, ") != std::string::npos);
}

TEST_CASE("stat of a ring shows what was written and not taken yet") {
    Place place;
    const pid_t pid =
        place.run([](Scheduler& scheduler, int say_to) { return fill_a_ring(scheduler, say_to); });
    const Printed listed;
    CHECK(weir::tool::list(listed.file()) == 0);
    CHECK(words(listed.line("readings")) ==
          Words{"readings", "ring", "live", std::to_string(pid), text_of_uid(::geteuid()), "0"});
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "readings", {}) == 0);
    CHECK(printed.line("record size: ") == "record size: 8");
    CHECK(printed.line("records: ") == "records: 5");
    CHECK(printed.line("bytes: ") == "bytes: 40");
    CHECK(printed.line("fill: ") == "fill: 5 of 16");
    CHECK(printed.line("peers: ") == "peers: 0");
}

TEST_CASE("stat of a topic shows what was published, and how far behind each subscriber is") {
    Place place;
    place.run(publish_a_topic);
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "pose", {}) == 0);
    CHECK(printed.line("kind: ") == "kind: topic");
    CHECK(printed.line("record size: ") == "record size: 8");
    CHECK(printed.line("records: ") == "records: 5");
    CHECK(printed.line("bytes: ") == "bytes: 40");
    CHECK(printed.line("peers: ") == "peers: 1");
    CHECK(printed.line("peer: ").find(", fill 4,") != std::string::npos);
}

TEST_CASE("stat of a service shows what was answered, and the calls that each client has") {
    Place place;
    place.run(answer_calls);
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "doubler", {}) == 0);
    CHECK(printed.line("kind: ") == "kind: service");
    CHECK(printed.line("depth: ") == "depth: 4");
    CHECK(printed.line("record size: ") == "record size: 8");
    CHECK(printed.line("records: ") == "records: 2");
    CHECK(printed.line("bytes: ") == "bytes: 32");
    CHECK(printed.line("fill: ") == "fill: 1 of 4");
    CHECK(printed.line("peers: ") == "peers: 1");
    CHECK(printed.line("peer: ").find(", fill 1, records 2, bytes 32,") != std::string::npos);
}

TEST_CASE("ls and stat show named rings, open or not, and what is in them") {
    Place place;
    const auto stays = [](Scheduler& scheduler, int say_to) -> Task<> {
        WEIR_CO_TRY(auto ring, weir::ipc::NamedRingWriter<std::uint64_t>::open(
                                   scheduler, weir::Name("log/kept"), {.slots = 16}));
        for (std::uint64_t i = 0; i < 5; ++i) {
            WEIR_CO_TRY(auto slot, ring.reserve());
            *slot = i;
            slot.commit();
        }
        if (::write(say_to, "y", 1) != 1) co_return;
        WEIR_CO_CHECK(weir::sleep_for(1h));
    };
    const pid_t pid = place.run(stays);
    const std::string uid = text_of_uid(::geteuid());
    const Printed listed;
    CHECK(weir::tool::list(listed.file()) == 0);
    CHECK(words(listed.line("log/kept")) ==
          Words{"log/kept", "named-ring", "live", std::to_string(pid), uid, "1"});
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "log/kept", {}) == 0);
    CHECK(printed.line("kind: ") == "kind: named-ring");
    CHECK(printed.line("depth: ") == "depth: 16");
    CHECK(printed.line("record size: ") == "record size: 8");
    CHECK(printed.line("file bytes: ") == "file bytes: " + std::to_string(1024 + 16 * 8));
    CHECK(printed.line("written: ") == "written: 5");
    CHECK(printed.line("fill: ") == "fill: 5 of 16");
    CHECK(printed.line("writer: ") == "writer: pid " + std::to_string(pid) + ", taken 1 times, sleeps 0");
    CHECK(printed.line("reader: ") == "reader: nobody, taken 0 times, sleeps 0");
    const Printed rates;
    CHECK(weir::tool::stat(rates.file(), "log/kept", {.every_ns = 5'000'000, .lines = 1}) == 0);
    CHECK(rates.lines() == std::vector<std::string>{"written/s 0  read/s 0  sleeps/s 0  fill 5/16  peers 1"});

    place.end(pid, SIGKILL);
    const Printed idle;
    CHECK(weir::tool::list(idle.file()) == 0);
    CHECK(words(idle.line("log/kept")) == Words{"log/kept", "named-ring", "idle", "-", uid, "0"});
    const std::string path = std::string(place.path()) + "/log~kept.ring";
    std::filesystem::resize_file(path, 100);
    const Printed damaged;
    CHECK(weir::tool::list(damaged.file()) == 0);
    CHECK(words(damaged.line("log/kept")) == Words{"log/kept", "named-ring", "other", "-", uid, "-"});
    const auto said =
        weir::test::run_in_child([&] { return weir::tool::stat(damaged.file(), "log/kept", {}); });
    CHECK(said.exit_status == 1);
    CHECK(said.errors.rfind("weir: log/kept: other: named ring, size of its file", 0) == 0);
}

TEST_CASE("stat at intervals shows rates") {
    Place place;
    place.start("flow");
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "flow", {.every_ns = 5'000'000, .lines = 3}) == 0);
    const auto lines = printed.lines();
    REQUIRE(lines.size() == 3);
    for (const std::string& line : lines) {
        INFO(line);
        const Words shown = words(line);
        REQUIRE(shown.size() == 12);
        // A thousand records of 16 bytes in at least five milliseconds.
        const double records = std::stod(shown[1]);
        CHECK(records > 0);
        CHECK(records <= 200'000);
        CHECK(std::abs(std::stod(shown[3]) - 16 * records) <= 17);
        CHECK(shown[9] == "3/64");
        CHECK(shown[11] == "0");
    }
}

TEST_CASE("the rate of sleeps counts those of the server and of its peers") {
    Place place;
    place.start("flow", true);
    const Printed printed;
    CHECK(weir::tool::stat(printed.file(), "flow", {.every_ns = 5'000'000, .lines = 1}) == 0);
    const auto lines = printed.lines();
    REQUIRE(lines.size() == 1);
    const Words shown = words(lines[0]);
    REQUIRE(shown.size() == 12);
    // For each thousand records the server slept once, and its client ten times.
    CHECK(std::abs(std::stod(shown[5]) - 0.011 * std::stod(shown[1])) <= 1);
}

TEST_CASE("stat of what nobody serves fails, and says what became of it") {
    Place place;
    place.end(place.start("pump"), SIGKILL);
    const Printed printed;
    const auto said = [&](const char* name) {
        return weir::test::run_in_child([&] { return weir::tool::stat(printed.file(), name, {}); });
    };
    const auto stale = said("pump");
    CHECK(stale.exit_status == 1);
    CHECK(stale.errors == "weir: pump: stale: a killed server left it; the next one takes it over\n");
    const auto absent = said("well");
    CHECK(absent.exit_status == 1);
    CHECK(absent.errors.rfind("weir: well: absent: ", 0) == 0);
    const auto invalid = said("../etc");
    CHECK(invalid.exit_status == 1);
    CHECK(!invalid.errors.empty());
    CHECK(printed.lines().empty());
}

TEST_CASE("spans of time are a number and a unit") {
    CHECK(weir::tool::span_ns("1s") == 1'000'000'000);
    CHECK(weir::tool::span_ns("250ms") == 250'000'000);
    for (const char* const wrong : {"", "1", "s", "0s", "-1s", "1h", "1 s", "99999999999999999999s"}) {
        INFO(wrong);
        CHECK(!weir::tool::span_ns(wrong));
    }
}
