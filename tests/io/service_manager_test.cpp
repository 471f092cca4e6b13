// SPDX-License-Identifier: MIT
//
// The manager is this test: a datagram socket that it reads, and words in the environment.
#include <weir/io/service_manager.hpp>

#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// The environment of a service, put back at the end.
class Environment {
public:
    Environment() { clear(); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() { clear(); }
    static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

private:
    static void clear() {
        for (const char* name : {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                 "WATCHDOG_USEC", "WATCHDOG_PID"}) {
            ::unsetenv(name);
        }
    }
};

/// Where a service tells its manager what it has to tell.
class FakeManager {
public:
    /// `address` as NOTIFY_SOCKET has it.
    explicit FakeManager(const std::string& address)
        : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        REQUIRE(fd_ >= 0);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, address.data(), address.size());
        if (address[0] == '@') name.sun_path[0] = '\0';
        const void* const bytes = &name;
        REQUIRE(::bind(fd_, static_cast<const sockaddr*>(bytes),
                       static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size())) == 0);
        Environment::set("NOTIFY_SOCKET", address);
    }
    FakeManager(const FakeManager&) = delete;
    FakeManager& operator=(const FakeManager&) = delete;
    ~FakeManager() { ::close(fd_); }

    /// The next thing told, if any was.
    [[nodiscard]] std::string heard() const {
        std::array<char, 512> text;
        const auto size = ::recv(fd_, text.data(), text.size(), 0);
        return size < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(size));
    }
    /// The same, waiting for it.
    [[nodiscard]] std::string hears(int patience_ms = -1) const {
        pollfd one{.fd = fd_, .events = POLLIN, .revents = 0};
        static_cast<void>(::poll(&one, 1, patience_ms));
        return heard();
    }

private:
    int fd_;
};

template <class T>
Errc code(const Result<T>& result) {
    REQUIRE(!result);
    return result.error().code;
}

constexpr int first_socket = 3;
constexpr int no_room_status = 77;

/// What of /proc/self/fd is inherited cannot be arranged in the test itself: `body` runs in a child with `fds` from 3 on.
template <class Body>
ChildEnd with_inherited(const std::vector<int>& fds, const char* names, Body body) {
    return run_in_child([&] {
        std::vector<int> high;
        for (const int fd : fds) high.push_back(::fcntl(fd, F_DUPFD, 100));
        for (std::size_t i = 0; i < high.size(); ++i) {
            const int target = first_socket + static_cast<int>(i);
            if (high[i] < 0 || ::dup2(high[i], target) != target) return no_room_status;
        }
        Environment::set("LISTEN_FDS", std::to_string(fds.size()));
        Environment::set("LISTEN_PID", std::to_string(::getpid()));
        if (names != nullptr) Environment::set("LISTEN_FDNAMES", names);
        return body();
    });
}

Task<> sees_two_feeds(Scheduler& scheduler, FakeManager& manager, Instant before, Duration at_least) {
    for (int feeds = 0; feeds < 3;) {
        std::string heard;
        {
            const HeapPermit permit;
            heard = manager.heard();
            if (heard == "WATCHDOG=1") ++feeds;
        }
        WEIR_CO_CHECK(sleep_for(1ms));
    }
    CHECK_IN_TASK(scheduler.now() - before >= at_least);
}
Task<> feeds_while(Scheduler& scheduler, ServiceManager& service, FakeManager& manager, Duration at_least) {
    const Instant before = scheduler.now();  // it may be fed long before somebody looks
    const auto outcome = co_await first_of(feed_watchdog(scheduler, service),
                                           sees_two_feeds(scheduler, manager, before, at_least));
    CHECK_IN_TASK(outcome.index() == 1);
    CHECK_IN_TASK(static_cast<bool>(outcome));
}

}  // namespace

TEST_CASE("a service tells its manager that it is ready, what it does, and that it ends") {
    const Environment environment;
    const TemporaryDirectory directory;
    for (const std::string& address :
         {directory / "notify", "@weir-service-manager-test-" + std::to_string(::getpid())}) {
        INFO(address);
        const FakeManager manager(address);
        auto service = ServiceManager::from_environment();
        REQUIRE(service.has_value());
        CHECK(service->present());
        CHECK(manager.heard() == "nothing");
        CHECK(service->ready().has_value());
        CHECK(manager.heard() == "READY=1");
        CHECK(service->status("3 sensors, no leak").has_value());
        CHECK(manager.heard() == "STATUS=3 sensors, no leak");
        CHECK(service->feed().has_value());
        CHECK(manager.heard() == "WATCHDOG=1");
        CHECK(service->stopping().has_value());
        CHECK(manager.heard() == "STOPPING=1");
        CHECK(code(service->status("two\nREADY=1")) == Errc::invalid);
        CHECK(code(service->status(std::string(257, 'x'))) == Errc::too_large);
        CHECK(manager.heard() == "nothing");
    }
}

TEST_CASE("a manager that does not read, or is gone, is an error and keeps nobody waiting") {
    const Environment environment;
    const TemporaryDirectory directory;
    auto manager = std::make_unique<FakeManager>(directory / "notify");
    auto service = ServiceManager::from_environment();
    REQUIRE(service.has_value());
    Result<void> told;
    for (int i = 0; told && i < 100'000; ++i) told = service->feed();
    CHECK(code(told) == Errc::would_block);
    manager.reset();
    CHECK(code(service->ready()) == Errc::refused);
    std::filesystem::remove(directory / "notify");
    CHECK(code(service->ready()) == Errc::not_found);
}

TEST_CASE("without a manager there are no sockets and no watchdog, and telling succeeds") {
    const Environment environment;
    auto service = ServiceManager::from_environment();
    REQUIRE(service.has_value());
    CHECK_FALSE(service->present());
    CHECK(service->ready().has_value());
    CHECK(service->watchdog() == Duration::zero());
    CHECK(service->sockets() == 0);
    CHECK(code(service->adopt<UnixListener>()) == Errc::not_found);
}

TEST_CASE("what the environment says wrongly is an error that names the variable") {
    const TemporaryDirectory directory;
    struct Wrong {
        const char* name;
        std::string value;
        Errc code;
    };
    for (const Wrong& wrong :
         {Wrong{"NOTIFY_SOCKET", "relative/path", Errc::unsupported},
          Wrong{"NOTIFY_SOCKET", "vsock:2:1234", Errc::unsupported},
          Wrong{"NOTIFY_SOCKET", "@", Errc::invalid},
          Wrong{"NOTIFY_SOCKET", "/" + std::string(107, 'x'), Errc::too_large},
          Wrong{"WATCHDOG_USEC", "10s", Errc::invalid}, Wrong{"WATCHDOG_USEC", "-1", Errc::invalid},
          Wrong{"WATCHDOG_PID", "us", Errc::invalid}, Wrong{"LISTEN_FDS", "many", Errc::invalid},
          Wrong{"LISTEN_FDS", "33", Errc::too_large}, Wrong{"LISTEN_PID", "1x", Errc::invalid}}) {
        INFO(wrong.name << "=" << wrong.value);
        const Environment environment;
        Environment::set("LISTEN_PID", std::to_string(::getpid()));
        Environment::set(wrong.name, wrong.value);
        const auto service = ServiceManager::from_environment();
        CHECK(code(service) == wrong.code);
        CHECK(std::string(service.error().operation) == wrong.name);
    }
}

TEST_CASE("what is meant for another process is as good as absent") {
    const Environment environment;
    Environment::set("LISTEN_FDS", "1");
    Environment::set("WATCHDOG_USEC", "1000");
    Environment::set("WATCHDOG_PID", std::to_string(::getppid()));
    for (const char* other : {"", "1"}) {
        Environment::set("LISTEN_PID", other);
        const auto service = ServiceManager::from_environment();
        REQUIRE(service.has_value());
        CHECK(service->sockets() == 0);
        CHECK(service->watchdog() == Duration::zero());
    }
}

TEST_CASE("inherited sockets are adopted by name, each once, and are no child's business") {
    const TemporaryDirectory directory;
    auto alarms = UnixListener::bind(directory / "alarms");
    auto control = UnixSeqpacketListener::bind(directory / "control");
    auto more = UnixListener::bind(directory / "more");
    REQUIRE((alarms && control && more));
    const auto end = with_inherited({alarms->fd(), control->fd(), more->fd()}, "alarms:control:alarms", [] {
        auto service = ServiceManager::from_environment();
        if (!service || service->sockets() != 3) return 1;
        for (int fd = first_socket; fd < first_socket + 3; ++fd) {
            if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) return 2;
        }
        // One of another kind stays for who asks rightly.
        const auto wrong = service->adopt<UnixListener>("control");
        if (wrong || wrong.error() != Errc::wrong_kind || service->sockets() != 3) return 3;
        const auto right = service->adopt<UnixSeqpacketListener>("control");
        if (!right || right->fd() != first_socket + 1) return 4;
        const auto first = service->adopt<UnixListener>("alarms");
        const auto second = service->adopt<UnixListener>();
        if (!first || !second || first->fd() != first_socket || second->fd() != first_socket + 2) return 5;
        const auto none = service->adopt<UnixListener>("alarms");
        return !none && none.error() == Errc::not_found && service->sockets() == 0 ? 0 : 6;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("sockets that nobody adopts are closed with the manager, and a missing one is an error") {
    const TemporaryDirectory directory;
    auto listener = UnixListener::bind(directory / "alarms");
    REQUIRE(listener.has_value());
    const auto end = with_inherited({listener->fd()}, nullptr, [] {
        {
            auto service = ServiceManager::from_environment();
            if (!service || service->sockets() != 1) return 1;
            const auto named = service->adopt<UnixListener>("alarms");  // there are no names
            if (named || named.error() != Errc::not_found) return 2;
        }
        if (::fcntl(first_socket, F_GETFD) >= 0) return 3;
        const auto again = ServiceManager::from_environment();
        return !again && again.error() == Errc::closed ? 0 : 4;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("the watchdog is fed twice in its time, and nobody feeds where there is none") {
    for_each_seed([](std::uint64_t seed) {
        const Environment environment;
        const TemporaryDirectory directory;
        FakeManager manager(directory / "notify");
        Environment::set("WATCHDOG_USEC", "20000");
        Environment::set("WATCHDOG_PID", std::to_string(::getpid()));
        auto service = ServiceManager::from_environment();
        REQUIRE(service.has_value());
        CHECK(service->watchdog() == 20ms);
        Running running(seed);
        // At once, and then every 10 ms or a little later.
        running.must_run(feeds_while(*running, *service, manager, 20ms));

        ::unsetenv("WATCHDOG_USEC");
        auto unwatched = ServiceManager::from_environment();
        REQUIRE(unwatched.has_value());
        const auto waits = [](Scheduler& scheduler, ServiceManager& nothing) -> Task<> {
            const auto fed = co_await feed_watchdog(scheduler, nothing).within(30ms);
            CHECK_IN_TASK(code_of(fed) == Errc::timed_out);
        };
        while (manager.heard() != "nothing") {}
        running.must_run(waits(*running, *unwatched));
        CHECK(manager.heard() == "nothing");
    });
}

TEST_CASE("a task that holds the thread keeps the watchdog from being fed until it lets go") {
    if (on_simulated()) skip("simulated time does not pass while a task holds the thread");
    const Environment environment;
    const TemporaryDirectory directory;
    FakeManager manager(directory / "notify");
    Environment::set("WATCHDOG_USEC", "20000");
    int let_go[2];
    REQUIRE(::pipe(let_go) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto service = ServiceManager::from_environment();
        const auto holds = [](Scheduler&, ServiceManager& of, int until) -> Task<> {
            WEIR_CO_CHECK(sleep_for(30ms));
            WEIR_CO_CHECK(of.status("stuck"));
            char byte;
            if (::read(until, &byte, 1) != 1) co_return co_await fail(Errc::invalid, "read");
            WEIR_CO_CHECK(of.status("free"));
            WEIR_CO_CHECK(sleep_for(1h));
        };
        StaticScheduler<running_budget> scheduler;
        const auto choice = backend_choice(backend_name());
        if (!service || !scheduler.start({.backend = *choice, .environment = false})) ::_exit(2);
        const auto root = [](Scheduler& of, ServiceManager& told, int until, auto hold) -> Task<> {
            WEIR_CO_CHECK(all_of(feed_watchdog(of, told), hold(of, told, until)));
        };
        static_cast<void>(scheduler.run(root(scheduler, *service, let_go[0], holds)));
        ::_exit(3);
    }
    int fed_before = 0;
    std::string heard = manager.hears();
    for (; heard == "WATCHDOG=1"; heard = manager.hears()) ++fed_before;
    CHECK(heard == "STATUS=stuck");
    CHECK(fed_before >= 1);
    // Several times the watchdog's time: a manager would have acted.
    CHECK(manager.hears(100) == "nothing");
    CHECK(::write(let_go[1], "x", 1) == 1);
    CHECK(manager.hears() == "STATUS=free");
    CHECK(manager.hears() == "WATCHDOG=1");
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(let_go[0]);
    ::close(let_go[1]);
}
