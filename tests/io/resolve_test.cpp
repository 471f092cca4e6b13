// SPDX-License-Identifier: MIT
#include <weir/io/resolve.hpp>
#include <weir/io/udp.hpp>

#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

struct Started {
    StaticWorker<1, 2> worker;
    Started() { REQUIRE(worker.start().has_value()); }
};

bool is_loopback(const SocketAddress& address) {
    return address.with_port(0) == *SocketAddress::parse("127.0.0.1:0") ||
           address.with_port(0) == *SocketAddress::parse("[::1]:0");
}

Task<> finds_localhost(Scheduler&, Worker& worker) {
    WEIR_CO_TRY(const Resolved found, resolve(worker, "localhost", "4711"));
    CHECK_IN_TASK(!found.addresses.empty());
    for (const SocketAddress& address : found.addresses) {
        CHECK_IN_TASK(is_loopback(address));
        CHECK_IN_TASK(address.port() == 4711);
    }
    WEIR_CO_TRY(const Resolved v4, resolve(worker, "192.0.2.7", "80"));
    CHECK_IN_TASK(v4.addresses.size() == 1);
    CHECK_IN_TASK(v4.addresses[0] == *SocketAddress::parse("192.0.2.7:80"));
    WEIR_CO_TRY(const Resolved v6, resolve(worker, "2001:db8::7", "0", Transport::udp));
    CHECK_IN_TASK(v6.addresses.size() == 1);
    CHECK_IN_TASK(v6.addresses[0] == *SocketAddress::parse("[2001:db8::7]:0"));
    CHECK_IN_TASK(v6.left_out == 0);
    CHECK_IN_TASK(worker.calls() == 0);
}
TEST_CASE("localhost and numbers of both families are found, though the heap is guarded in this thread") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Started started;
        running.must_run(finds_localhost(*running, started.worker));
    });
}

Task<> finds_port(Scheduler&, Worker& worker, const char* name, Transport transport, std::uint16_t port) {
    WEIR_CO_TRY(const Resolved found, resolve(worker, "127.0.0.1", name, transport));
    CHECK_IN_TASK(found.addresses[0].port() == port);
}
TEST_CASE("a service is found by its name, for each transport") {
    Running running;
    Started started;
    // Some services exist for one transport only.
    for (const auto& [name, transport, text] :
         {std::tuple{"http", Transport::tcp, "tcp"}, std::tuple{"tftp", Transport::udp, "udp"}}) {
        const servent* const known = ::getservbyname(name, text);
        if (known == nullptr) skip("this machine knows no services by name");
        const std::uint16_t port = ntohs(static_cast<std::uint16_t>(known->s_port));
        running.must_run(finds_port(*running, started.worker, name, transport, port));
    }
}

Task<> fails(Scheduler&, Worker& worker, std::string_view host, std::string_view service,
             std::optional<Error>& seen) {
    const auto found = co_await resolve(worker, host, service);
    if (!found) seen = found.error();
}
TEST_CASE("names that nobody has, and names that cannot be, are different errors") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Started started;
        const auto error_for = [&](std::string_view host, std::string_view service) {
            std::optional<Error> seen;
            running.must_run(fails(*running, started.worker, host, service, seen));
            REQUIRE(seen.has_value());
            return *seen;
        };
        // The empty label lets no name server be asked.
        CHECK(error_for("no..such.invalid", "80") == Errc::not_found);
        const Error service = error_for("127.0.0.1", "no-such-service");
        CHECK(service == Errc::not_found);
        CHECK(std::string_view(service.operation) == "resolve, service");
        const std::string longest(host_name_size_max, 'a');
        CHECK(error_for(longest, "80") == Errc::not_found);  // no label is that long
        const Error host = error_for(longest + 'a', "80");
        CHECK(host == Errc::too_large);
        CHECK((host.a == 254 && host.b == 253));
        const Error large = error_for("127.0.0.1", std::string(service_name_size_max + 1, '1'));
        CHECK(large == Errc::too_large);
        CHECK((large.a == 33 && large.b == 32));
        CHECK(error_for("", "80") == Errc::invalid);
        CHECK(error_for("localhost", "") == Errc::invalid);
        CHECK(error_for(std::string_view("local\0host", 10), "80") == Errc::invalid);
        CHECK(started.worker.calls() == 0);
    });
}

/// Keeps a thread of the worker until the test opens it.
struct Gate {
    std::atomic<bool> open{false};
    void pass() const {
        while (!open) std::this_thread::yield();
    }
};
Task<> holds(Scheduler&, Worker& worker, Gate& gate) {
    const Gate* const to_pass = &gate;
    WEIR_CO_CHECK(worker.call([to_pass] { to_pass->pass(); }));
}
Task<> meets_limits(Scheduler&, Worker& worker, Worker& full, Gate& gate) {
    const auto refused = co_await resolve(full, "localhost", "80");
    const auto late = co_await resolve(worker, "localhost", "80").within(1ms);
    gate.open = true;
    CHECK_IN_TASK(code_of(refused) == Errc::overflow);
    CHECK_IN_TASK(refused.error().b == 1);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
}
TEST_CASE("a look-up without a slot is an overflow, and one that no thread begins ends at its deadline") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Started started;
        StaticWorker<1, 1> full;
        REQUIRE(full.start().has_value());
        Gate gate;
        running.must_run([](Scheduler& scheduler, Worker& worker, Worker& none, Gate& shared) -> Task<> {
            WEIR_CO_CHECK(all_of(holds(scheduler, worker, shared), holds(scheduler, none, shared),
                                 meets_limits(scheduler, worker, none, shared)));
        }(*running, started.worker, full, gate));
    });
}

Task<> asks_narrow(Scheduler&, Worker& closed, Worker& narrow) {
    const auto from_closed = co_await resolve(closed, "localhost", "80");
    CHECK_IN_TASK(code_of(from_closed) == Errc::closed);
    const auto from_narrow = co_await resolve(narrow, "localhost", "80");
    CHECK_IN_TASK(code_of(from_narrow) == Errc::too_large);
    CHECK_IN_TASK(from_narrow.error().b == 512);
}
TEST_CASE("a worker that is not started, or whose slots are too small, says so") {
    Running running;
    StaticWorker<1, 1> closed;
    StaticWorker<1, 1, 512> narrow;
    REQUIRE(narrow.start().has_value());
    running.must_run(asks_narrow(*running, closed, narrow));
}

// --- with name servers and files of our own

constexpr int cannot = 77;

/// In a child: no network but an own loopback, and own files in the place of the system's. False where the system
/// forbids that.
bool move_into(const TemporaryDirectory& directory, bool loopback_up) {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) return false;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return false;
    for (const char* const name : {"nsswitch.conf", "resolv.conf", "hosts"}) {
        const std::string place = std::string("/etc/") + name;
        if (::mount((directory / name).c_str(), place.c_str(), nullptr, MS_BIND, nullptr) < 0) return false;
    }
    if (!loopback_up) return true;
    const Fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    request.ifr_flags = IFF_UP;
    return ::ioctl(any.get(), SIOCSIFFLAGS, &request) == 0;
}

void write_files(const TemporaryDirectory& directory, const std::string& hosts) {
    std::ofstream(directory / "nsswitch.conf") << "hosts: files dns\nservices: files\n";
    std::ofstream(directory / "resolv.conf") << "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n";
    std::ofstream(directory / "hosts") << hosts;
}

/// Runs `make(scheduler, worker)` there; its status must be 0.
template <class Make>
void run_apart(const std::string& hosts, bool loopback_up, Make make) {
    const TemporaryDirectory directory;
    write_files(directory, hosts);
    const auto end = run_in_child([&] {
        if (!move_into(directory, loopback_up)) return cannot;
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name()), .environment = false})) return 2;
        StaticWorker<1, 2> worker;
        if (!worker.start()) return 3;
        const Result<int> status = scheduler->run(make(*scheduler, worker));
        return status ? *status : 4;
    });
    if (end.exit_status == cannot) skip("namespaces of one's own are not allowed here");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

Task<int> asks_nobody(Scheduler&, Worker& worker) {
    const auto found = co_await resolve(worker, "somebody.invalid", "80");
    co_return code_of(found) == Errc::unreachable ? 0 : 10;
}
Task<int> counts_many(Scheduler&, Worker& worker) {
    WEIR_CO_TRY(const Resolved found, resolve(worker, "many.example", "80"));
    if (found.addresses.size() != resolved_max) co_return 11;
    if (found.left_out != 3) co_return 12;
    co_return 0;
}
TEST_CASE("a name server that cannot be reached is unreachable, and not a host that does not exist") {
    run_apart("", false, asks_nobody);
}
TEST_CASE("of more addresses than there is room for the best are given, and the others counted") {
    std::string hosts;
    for (std::size_t i = 1; i <= resolved_max + 3; ++i)
        hosts += "192.0.2." + std::to_string(i) + " many.example\n";
    run_apart(hosts, true, counts_many);
}

// A name server: it says of every name that it does not exist.
Task<> denies(Scheduler&, UdpSocket& server, bool& asked) {
    std::array<std::byte, 512> buffer;
    for (int answers = 0; answers < 2; ++answers) {  // for IPv4 and for IPv6
        WEIR_CO_TRY(const auto query, server.receive_from(buffer));
        asked = true;
        buffer[2] |= std::byte{0x80};  // a response
        buffer[3] = std::byte{0x83};   // recursion available, NXDOMAIN
        WEIR_CO_CHECK(server.send_to(query.bytes, query.from));
    }
}
Task<> looks_up(Scheduler&, Worker& worker, std::optional<Errc>& seen) {
    const auto found = co_await resolve(worker, "somebody.invalid.", "80");
    seen = code_of(found);
}
Task<int> is_denied(Scheduler& scheduler, Worker& worker) {
    WEIR_CO_TRY(auto server, UdpSocket::bind(*SocketAddress::parse("127.0.0.1:53")));
    bool asked = false;
    std::optional<Errc> seen;
    WEIR_CO_CHECK(all_of(denies(scheduler, server, asked), looks_up(scheduler, worker, seen)));
    co_return asked&& seen == Errc::not_found ? 0 : 13;
}
Task<int> gives_up(Scheduler& scheduler, Worker& worker) {
    WEIR_CO_TRY(auto server, UdpSocket::bind(*SocketAddress::parse("127.0.0.1:53")));
    const auto late = co_await resolve(worker, "somebody.invalid.", "80").within(1ms);
    if (code_of(late) != Errc::timed_out) co_return 14;
    // Unless no thread had begun it, the thread still waits for the answer.
    bool asked = false;
    if (worker.calls() == 1) WEIR_CO_CHECK(denies(scheduler, server, asked));
    while (worker.calls() > 0) WEIR_CO_CHECK(sleep_for(100us));
    co_return 0;
}
TEST_CASE("a name that its server denies is not_found") {
    if (on_simulated()) skip("the name server answers in real time");
    run_apart("", true, is_denied);
}
TEST_CASE("a look-up that a name server keeps waiting ends at its deadline, and its slot when it answers") {
    if (on_simulated()) skip("the name server answers in real time");
    run_apart("", true, gives_up);
}

}  // namespace
