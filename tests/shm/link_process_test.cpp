// SPDX-License-Identifier: MIT
//
// Attaching between two processes: deaths at each stage, users, limits.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <weir/sys/message.hpp>

#include "shm/protocol.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <vector>
#include <grp.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::LinkState;

// Children run on the backend of this run, too, with schedulers of their own.
void skip_where_simulated() {
    if (on_simulated()) skip("other processes have no place in simulated time");
}

/// What a child does in a scheduler of its own; true if it succeeded.
template <class Make>
bool ran(Make make) {
    Running running;
    const auto outcome = running->run(make(*running));
    if (!outcome) std::fprintf(stderr, "%s\n", Running::text_of_error(outcome).c_str());
    return outcome.has_value();
}

/// A child process that attaches or serves, says so through a pipe, and then lives until it is told to go or killed.
class Peer {
public:
    template <class Make>
    explicit Peer(Make make) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(ends[0]);
            ::_exit(ran([&](Scheduler& scheduler) { return make(scheduler, ends[1]); }) ? 0 : 1);
        }
        ::close(ends[1]);
        told_ = Fd(ends[0]);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { kill(); }

    void wait_until_it_says() {
        char said = 0;
        REQUIRE(::read(told_.get(), &said, 1) == 1);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
    int join() {
        int status = 0;
        REQUIRE(::waitpid(std::exchange(pid_, -1), &status, 0) > 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t pid_ = -1;
    Fd told_;
};

void say(int fd) {
    CHECK_IN_TASK(::write(fd, "y", 1) == 1);
}

Task<> attach_and_stay(Scheduler&, int say_to, const ipc::RuntimeDirectory& directory, bool forks) {
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    if (forks && ::fork() == 0) {
        // Holds the socket until the test kills it.
        for (;;) ::pause();
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}
Task<> wait_for_loss(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, SampleServer& server,
                     Peer& peer) {
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    while (server.attached == 0) WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(server.link->credentials().pid == peer.pid());
    {
        const HeapPermit permit;
        peer.wait_until_it_says();
    }
    peer.kill();
    while (server.lost == 0) WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(server.ended == 0);
    // Its successor is let in.
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    CHECK_IN_TASK(server.attached == 2);
}
TEST_CASE("a killed client is lost, and its successor let in") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    Peer peer([&](Scheduler& child, int fd) { return attach_and_stay(child, fd, directory, false); });
    Running running;
    SampleServer server;
    running.must_run(wait_for_loss(*running, directory, server, peer));
}
TEST_CASE("a client's death is noticed although a child of it holds the socket") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    Peer peer([&](Scheduler& child, int fd) {
        ::setpgid(0, 0);
        return attach_and_stay(child, fd, directory, true);
    });
    const pid_t group = peer.pid();
    Running running;
    SampleServer server;
    running.must_run(wait_for_loss(*running, directory, server, peer));
    CHECK(::kill(-group, SIGKILL) == 0);  // the holder was alive until now
}

Task<> serve_and_stay(Scheduler& scheduler, int say_to, const ipc::RuntimeDirectory& directory,
                      SampleServer& server) {
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}
Task<> lose_server(Scheduler&, const ipc::RuntimeDirectory& directory, Peer& first, SampleClient& owner,
                   LinkState& seen) {
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    client.set_owner(SampleClient::hooks, &owner);
    CHECK_IN_TASK(client->credentials().pid == first.pid());
    client->arm_bell();
    first.kill();
    while (client->state() == LinkState::attached) WEIR_CO_CHECK(sleep_for(1ms));
    seen = client->state();
    CHECK_IN_TASK(client->peer()[0] == std::byte{42});
}
Task<> reattach(Scheduler&, const ipc::RuntimeDirectory& directory, pid_t pid) {
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    CHECK_IN_TASK(client->credentials().pid == pid);
}
TEST_CASE("a killed server is lost, and its successor takes its name over") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    SampleServer server;
    const auto serve = [&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, server); };
    Peer first(serve);
    first.wait_until_it_says();
    Running running;
    const auto rival = server.serve(*running, directory);
    REQUIRE(code_of(rival) == Errc::in_use);
    CHECK(rival.error().a == static_cast<std::uint64_t>(first.pid()));
    SampleClient owner;
    LinkState seen = LinkState::attached;
    running.must_run(lose_server(*running, directory, first, owner, seen));
    CHECK(seen == LinkState::lost);
    CHECK(owner.signals == 1);
    Peer second(serve);
    second.wait_until_it_says();
    running.must_run(reattach(*running, directory, second.pid()));
}

// --- a client by hand, which stops where it is told

enum class Stage { connected, hello, answer, mapped };

int by_hand(const std::string& path, Stage last, int descriptors_max) {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) return 1;
    if (last == Stage::connected) return 0;
    const ipc::Hello hello{.terms = sample_terms};
    if (::send(fd.get(), &hello, sizeof(hello), 0) != sizeof(hello)) return 2;
    if (last == Stage::hello) return 0;
    pollfd one{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, -1) != 1) return 3;
    ipc::Answer answer{};
    sys::DescriptorMessage message(&answer, sizeof(answer));
    message.make_room(static_cast<std::size_t>(descriptors_max));
    if (sys::receive_message(fd.get(), message.header()) != sizeof(answer)) return 4;
    std::array<Fd, 4> taken;
    if (message.take(taken) != static_cast<std::size_t>(descriptors_max)) return 5;
    if (last == Stage::answer) return 0;
    const ipc::Note note{.kind = ipc::Note::Kind::mapped};
    if (::send(fd.get(), &note, sizeof(note), 0) != sizeof(note)) return 6;
    // Once it is attached, only the mapping that was made before writes, and nobody changes the size.
    ipc::Note attached{};
    if (::recv(fd.get(), &attached, sizeof(attached), 0) != sizeof(attached)) return 7;
    constexpr int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    return (::fcntl(taken[ipc::client_region].get(), F_GET_SEALS) & wanted) == wanted ? 0 : 8;
}

Task<> outlive(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, SampleServer& server) {
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    int lost = 0;
    for (const Stage last : {Stage::connected, Stage::hello, Stage::answer, Stage::mapped}) {
        pid_t child = 0;
        {
            const HeapPermit permit;
            const std::string path(server.server.path());
            child = ::fork();
            if (child == 0) {
                if (by_hand(path, last, 4) != 0) ::_exit(1);
                ::kill(::getpid(), SIGKILL);
            }
        }
        for (;;) {
            int status = 0;
            if (::waitpid(child, &status, WNOHANG) == child) {
                CHECK_IN_TASK(WIFSIGNALED(status));
                break;
            }
            WEIR_CO_CHECK(sleep_for(1ms));
        }
        // From the hello on it had a grant, whose end is told.
        if (last != Stage::connected) ++lost;
        while (server.lost < lost) WEIR_CO_CHECK(sleep_for(1ms));
        while (scheduler.usage().links > 1) WEIR_CO_CHECK(sleep_for(1ms));
        CHECK_IN_TASK(server.links == 0);
    }
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    CHECK_IN_TASK(server.ended == 0);
}
TEST_CASE("a client that is killed at any stage of the handshake leaves nothing behind") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    Running running;
    SampleServer server;
    running.must_run(outlive(*running, directory, server));
}

// --- users and limits

Task<> as_nobody(Scheduler&, const ipc::RuntimeDirectory& directory, Errc* seen) {
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s);
    *seen = opened ? Errc::system : opened.error().code;
}
Task<> until_gone(Scheduler&, pid_t child, int* status) {
    while (::waitpid(child, status, WNOHANG) == 0) WEIR_CO_CHECK(sleep_for(1ms));
}
Errc opened_in_child(const ipc::RuntimeDirectory& directory) {
    Errc seen = Errc::system;
    ran([&](Scheduler& scheduler) { return as_nobody(scheduler, directory, &seen); });
    return seen;
}
TEST_CASE("a server of another user that is not root is not trusted, and the path's mode keeps others out") {
    skip_where_simulated();
    if (::geteuid() != 0) skip("needs root, to be two users");
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    SampleServer server;
    {
        // A server of nobody's, and a client of root's.
        Peer peer([&](Scheduler& child, int fd) {
            if (::setresgid(nobody_gid, nobody_gid, nobody_gid) != 0 ||
                ::setresuid(nobody_uid, nobody_uid, nobody_uid) != 0)
                ::_exit(2);
            return serve_and_stay(child, fd, directory, server);
        });
        peer.wait_until_it_says();
        CHECK(opened_in_child(directory) == Errc::denied);
    }
    std::filesystem::remove(temporary / "sample~link.weir.lock");
    std::filesystem::remove(temporary / "sample~link.weir");
    Peer peer([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, server); });
    peer.wait_until_it_says();
    const auto end = run_unprivileged([&] { return opened_in_child(directory) == Errc::denied ? 0 : 1; });
    CHECK(end.exit_status == 0);
}

// What another user's client has in its hands once it is attached, and what it can do with it.
int try_everything(ipc::Link& link) {
    if (link.trusted() || link.bell() != ipc::BellKind::packet) return 1;
    if (link.peer()[0] != std::byte{42} || link.own()[1] != std::byte{17}) return 2;
    void* const theirs = const_cast<std::byte*>(link.peer().data());
    if (::mprotect(theirs, link.peer().size(), PROT_READ | PROT_WRITE) == 0) return 3;
    // By the name that the kernel gives the mapping; where that cannot be opened there is nothing to try.
    char path[80];
    const auto from = reinterpret_cast<std::uintptr_t>(theirs);
    std::snprintf(path, sizeof(path), "/proc/self/map_files/%zx-%zx", static_cast<std::size_t>(from),
                  static_cast<std::size_t>(from) + link.peer().size());
    const Fd again(::open(path, O_RDWR | O_CLOEXEC));
    if (again && ::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, again.get(), 0) != MAP_FAILED) return 4;
    if (again && ::fallocate(again.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0) return 5;
    // Its own: no holes, although it may write every byte. (An emulator may ignore the advice and report success.)
    ::madvise(link.own().data(), link.own().size(), MADV_REMOVE);
    if (link.own()[1] != std::byte{17}) return 6;
    return 0;
}
Task<> as_another_user(Scheduler&, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    SampleClient owner;
    client.set_owner(SampleClient::hooks, &owner);
    if (const int went_wrong = try_everything(*client); went_wrong != 0)
        co_return co_await fail(Errc::denied, "what must not be possible", 0,
                                static_cast<std::uint64_t>(went_wrong));
    for (int round = 1; round <= 3; ++round) {
        client->ring_bell();
        client->arm_bell();
        while (owner.signals < round) WEIR_CO_CHECK(sleep_for(1ms));
    }
}
Task<> serve_another_user(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, SampleServer& server,
                          uid_t uid) {
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.mode = 0666}));
    while (server.attached == 0) WEIR_CO_CHECK(sleep_for(1ms));
    ipc::Link& link = *server.link;
    CHECK_IN_TASK((link.credentials().uid == uid && !link.trusted()));
    CHECK_IN_TASK(link.bell() == ipc::BellKind::packet);
    while (server.ended + server.lost == 0) {
        if (!link.bell_armed() && server.link == &link) {
            link.ring_bell();
            link.arm_bell();
        }
        WEIR_CO_CHECK(sleep_for(1ms));
    }
    CHECK_IN_TASK((server.ended == 1 && server.lost == 0));
}
TEST_CASE(
    "a client of another user is not trusted, is rung by packets, and can write to nothing but its own") {
    skip_where_simulated();
    if (::geteuid() != 0) skip("needs root, to be two users");
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    constexpr uid_t uid = 4'711;
    const pid_t child = ::fork();
    if (child == 0) {
        const bool dropped = ::setgroups(0, nullptr) == 0 && ::setresgid(uid, uid, uid) == 0 &&
                             ::setresuid(uid, uid, uid) == 0;
        ::_exit(dropped && ran([&](Scheduler& of) { return as_another_user(of, directory); }) ? 0 : 1);
    }
    Running running;
    SampleServer server;
    running.must_run(serve_another_user(*running, directory, server, uid));
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

Task<> open_without_files(Scheduler&, const ipc::RuntimeDirectory& directory, int spare, Errc* seen) {
    std::array<Fd, 64> taken;
    std::size_t count = 0;
    while (count < taken.size()) {
        Fd fd(::dup(STDERR_FILENO));
        if (!fd) break;
        taken[count++] = std::move(fd);
    }
    for (int i = 0; i < spare && count > 0; ++i) taken[--count].close();
    const auto opened = co_await ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s);
    *seen = opened ? Errc::system : opened.error().code;
}
TEST_CASE("a client without descriptors fails with no_files at each of them, and the server goes on") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    SampleServer server;
    Peer peer([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, server); });
    peer.wait_until_it_says();
    // The socket, the pidfd, two regions, two bells.
    for (int spare = 0; spare < 6; ++spare) {
        const auto end = run_in_child([&] {
            const rlimit few{40, 40};
            ::setrlimit(RLIMIT_NOFILE, &few);
            Errc seen = Errc::system;
            ran([&](Scheduler& scheduler) { return open_without_files(scheduler, directory, spare, &seen); });
            return seen == Errc::no_files ? 0 : 1;
        });
        INFO("spare " << spare << ' ' << end.errors);
        CHECK(end.exit_status == 0);
    }
    CHECK(run_in_child([&] { return opened_in_child(directory) == Errc::system ? 0 : 1; }).exit_status == 0);
}
TEST_CASE("a client that may map no more fails with no_memory, and the server goes on") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    SampleServer server;
    Peer peer([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, server); });
    peer.wait_until_it_says();
    std::size_t pages = 0;
    if (std::FILE* const statm = std::fopen("/proc/self/statm", "r"); statm != nullptr) {
        if (std::fscanf(statm, "%zu", &pages) != 1) pages = 0;
        std::fclose(statm);
    }
    if (std::uint64_t{pages} * 4096 > (std::uint64_t{1} << 40))
        skip("a sanitizer's address space has no limit to set");
    const auto end = run_in_child([&] {
        Errc seen = Errc::system;
        ran([&](Scheduler& scheduler) {
            const rlimit none{4096, 4096};
            ::setrlimit(RLIMIT_AS, &none);
            if (::mmap(nullptr, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
                ::_exit(77);
            return as_nobody(scheduler, directory, &seen);
        });
        return seen == Errc::no_memory ? 0 : 1;
    });
    if (end.exit_status == 77) skip("RLIMIT_AS has no effect here (an emulator)");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    CHECK(run_in_child([&] { return opened_in_child(directory) == Errc::system ? 0 : 1; }).exit_status == 0);
}

// --- asking

TEST_CASE("who asks a server that many wait for asks again, and is answered when there is room") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    SampleServer server;
    Peer peer([&](Scheduler& child, int fd) { return serve_and_stay(child, fd, directory, server); });
    peer.wait_until_it_says();
    REQUIRE(::kill(peer.pid(), SIGSTOP) == 0);
    REQUIRE(::waitpid(peer.pid(), nullptr, WUNTRACED) == peer.pid());
    const std::string path = temporary / "sample~link.weir";
    std::vector<Fd> waiting;
    do {
        waiting.push_back(plain_client(path));
    } while (waiting.back());
    CHECK(code_of(ipc::ask_link_stat(directory, sample_name, 20ms)) == Errc::busy);
    REQUIRE(::kill(peer.pid(), SIGCONT) == 0);
    CHECK(ipc::ask_link_stat(directory, sample_name, 30s).has_value());
}

Task<> attached_and_asked(Scheduler& scheduler, const ipc::RuntimeDirectory& directory,
                          SampleServer& server) {
    WEIR_CO_CHECK(server.serve(scheduler, directory));
    WEIR_CO_TRY(auto client, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(30s));
    server.link->ring_bell();
    int ends[2];
    CHECK_IN_TASK(::pipe(ends) == 0);
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        const HeapPermit permit;
        const auto asked = ipc::ask_link_stat(directory, sample_name, 30s);
        ::_exit(asked && ::write(writing.get(), &*asked, sizeof(*asked)) == sizeof(*asked) ? 0 : 1);
    }
    int status = -1;
    WEIR_CO_CHECK(until_gone(scheduler, child, &status));
    CHECK_IN_TASK(status == 0);
    ipc::LinkStat stat;
    CHECK_IN_TASK(::read(reading.get(), &stat, sizeof(stat)) == sizeof(stat));
    CHECK_IN_TASK((stat.pid == ::getpid() && stat.uid == ::geteuid() && stat.depth == 64));
    CHECK_IN_TASK((stat.peers == 1 && stat.pending == 0 && stat.admitted == 1 && stat.records == 99));
    CHECK_IN_TASK((stat.peer[0].pid == ::getpid() && stat.peer[0].bells_rung == 1));
    CHECK_IN_TASK(stat.now_ns >= stat.peer[0].attached_ns);
    CHECK_IN_TASK((server.attached == 1 && server.lost == 0));
}
TEST_CASE("a live server answers who it is, who is attached and what it counted") {
    skip_where_simulated();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    CHECK(code_of(ipc::ask_link_stat(directory, sample_name, 1s)) == Errc::not_found);
    Running running;
    SampleServer server;
    running.must_run(attached_and_asked(*running, directory, server));
}

}  // namespace
