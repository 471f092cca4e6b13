// SPDX-License-Identifier: MIT
//
// Calls that a stranger makes last: nobody but itself waits for them.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "shm/slow_calls.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"
#include "support/stranger.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <mutex>
#include <thread>
#include <vector>

#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::BellKind;
using ipc::LinkTrust;
using ipc::Note;
using ipc::SlowCalls;

// Far longer than any deadline below, and still an end where it is waited for after all.
constexpr int linger_seconds = 30;

void skip_where_time_is_simulated() {
    if (on_simulated()) skip("where time is simulated there are no strangers, and no other threads");
}
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

// --- sealing

/// Memory that is not there until it is given. A write(2) from it waits, and holds what it writes to.
class AbsentPage {
public:
    AbsentPage() : fault_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC))) {
        uffdio_api api{};
        api.api = UFFD_API;
        data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uffdio_register range{};
        range.range = {reinterpret_cast<std::uintptr_t>(data), size};
        range.mode = UFFDIO_REGISTER_MODE_MISSING;
        ready_ = ::ioctl(fault_.get(), UFFDIO_API, &api) == 0 && data != MAP_FAILED &&
                 ::ioctl(fault_.get(), UFFDIO_REGISTER, &range) == 0;
    }
    AbsentPage(const AbsentPage&) = delete;
    AbsentPage& operator=(const AbsentPage&) = delete;
    ~AbsentPage() { ::munmap(data, size); }
    [[nodiscard]] bool ready() const { return ready_; }
    /// Blocks until somebody waits for it.
    [[nodiscard]] bool wait_for_a_reader() const {
        uffd_msg message{};
        return ::read(fault_.get(), &message, sizeof(message)) == sizeof(message);
    }
    void give() const {
        uffdio_zeropage page{};
        page.range = {reinterpret_cast<std::uintptr_t>(data), size};
        ::ioctl(fault_.get(), UFFDIO_ZEROPAGE, &page);
    }
    static constexpr std::size_t size = SampleServer::client_size;
    void* data;

private:
    Fd fault_;
    bool ready_ = false;
};

/// A child process, and a channel on which both sides say single letters.
class Other {
public:
    template <class Body>
    explicit Other(Body body) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(ends[0]);
            body(ends[1]);
            ::_exit(0);
        }
        ::close(ends[1]);
        channel = Fd(ends[0]);
    }
    Other(const Other&) = delete;
    Other& operator=(const Other&) = delete;
    ~Other() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    void say(char letter) const { CHECK_IN_TASK(::send(channel.get(), &letter, 1, MSG_NOSIGNAL) == 1); }
    /// What it says next, 0 if it ended.
    Task<char> hear(Scheduler&) const {
        WEIR_CO_CHECK(readable(channel.get()));
        char letter = 0;
        if (::recv(channel.get(), &letter, 1, MSG_DONTWAIT) < 1) letter = 0;
        co_return letter;
    }
    Fd channel;

private:
    pid_t pid_ = -1;
};

// In a child: plain calls, which wait.
char told(int channel, int patience_ms = -1) {
    pollfd one{.fd = channel, .events = POLLIN, .revents = 0};
    char letter = 0;
    if (::poll(&one, 1, patience_ms) <= 0 || ::recv(channel, &letter, 1, 0) < 1) return 0;
    return letter;
}
void tell(int channel, char letter) {
    if (::send(channel, &letter, 1, MSG_NOSIGNAL) != 1) ::_exit(3);
}
void wait_for(const Fd& socket) {
    pollfd one{.fd = socket.get(), .events = POLLIN, .revents = 0};
    ::poll(&one, 1, -1);
}
/// Asks and takes the answer: false if it was no yes.
bool ask(ClientByHand& client) {
    if (client.say(ipc::Hello{.bell = BellKind::packet, .terms = sample_terms}) < 0) return false;
    wait_for(client.socket);
    sys::DescriptorMessage message(&client.answer, sizeof(client.answer));
    message.make_room(client.descriptors.size());
    if (sys::receive_message(client.socket.get(), message.header()) != sizeof(client.answer)) return false;
    client.descriptors_count = message.take(client.descriptors);
    return client.answer.verdict == ipc::Verdict::yes;
}
bool acknowledge(const ClientByHand& client) {
    return client.say(Note{.kind = Note::Kind::mapped}) == static_cast<long>(sizeof(Note));
}
/// 'a' if it is attached, 'e' if it is hung up on.
char fate(const ClientByHand& client) {
    wait_for(client.socket);
    Note note{};
    return client.hear(note) == static_cast<long>(sizeof(note)) && note.kind == Note::Kind::attached ? 'a'
                                                                                                     : 'e';
}

/// A stranger: once it is told, a write into its region lasts until it is told again, or half a minute, and it says that
/// it has mapped the region meanwhile; with a second region, if it has two, it does so without a write. Says 'w' then, and at
/// the end what became of each.
void write_for_long(int channel, const std::string& path, bool twice) {
    const AbsentPage page;
    if (!page.ready()) return;
    become_a_stranger();
    if (told(channel) == 0) return;
    ClientByHand client(path);
    const std::string_view nowhere;
    ClientByHand second(twice ? std::string_view(path) : nowhere);
    if (!ask(client) || (twice && !ask(second))) return;
    const int region = client.descriptors[ipc::client_region].get();
    std::thread writer([&] { std::ignore = ::pwrite(region, page.data, AbsentPage::size, 0); });
    if (page.wait_for_a_reader() && acknowledge(client) && (!twice || acknowledge(second))) {
        tell(channel, 'w');
        told(channel, linger_seconds * 1'000);
    }
    page.give();
    writer.join();
    tell(channel, fate(client));
    if (twice) tell(channel, fate(second));
    told(channel);
}

/// Another stranger, which attaches when it is told, and says how it went.
void attach_when_told(int channel, const std::string& path) {
    become_a_stranger(stranger_uid - 1);
    if (told(channel) == 0) return;
    ClientByHand client(path);
    tell(channel, ask(client) && acknowledge(client) ? fate(client) : 'e');
    told(channel);
}

bool write_can_be_held() {
    const AbsentPage page;
    return page.ready();
}

Task<> serve_others(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, const Other& holder,
                    const Other& stranger) {
    SampleServer server;
    server.links_max = 4;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.mode = 0666, .handshake = 60s}));
    holder.say('c');
    WEIR_CO_TRY(const char began, holder.hear(scheduler).within(10s));
    CHECK_IN_TASK(began == 'w');
    WEIR_CO_TRY(auto own, ipc::open_link(sample_name, sample_terms, opened_in(directory)).within(10s));
    stranger.say('c');
    WEIR_CO_TRY(const char attached, stranger.hear(scheduler).within(10s));
    CHECK_IN_TASK(attached == 'a');
    // The second may have come before the first, or waits for it.
    CHECK_IN_TASK((server.attached == 2 || server.attached == 3));
    CHECK_IN_TASK(server.lost == 0);
    holder.say('g');
    WEIR_CO_TRY(const char first, holder.hear(scheduler).within(10s));
    WEIR_CO_TRY(const char second, holder.hear(scheduler).within(10s));
    CHECK_IN_TASK((first == 'a' && second == 'a'));
    CHECK_IN_TASK((server.attached == 4 && server.lost == 0));
}
void skip_where_no_write_can_be_held() {
    skip_where_time_is_simulated();
    if (::geteuid() != 0) skip("needs root, to be three users");
    if (!write_can_be_held()) skip("userfaultfd cannot be had here");
}
TEST_CASE("a stranger that writes into its region while it is sealed keeps nobody else waiting") {
    skip_where_no_write_can_be_held();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    const auto path = directory.path_of(sample_name, ipc::link_suffix);
    const std::string name(path->view());
    const Other holder([&](int channel) { write_for_long(channel, name, true); });
    const Other stranger([&](int channel) { attach_when_told(channel, name); });
    Running running;
    running.must_run(serve_others(*running, directory, holder, stranger));
}

Task<> hold_a_place(Scheduler& scheduler, const ipc::RuntimeDirectory& directory, const Other& holder) {
    SampleServer server;
    server.links_max = 4;
    WEIR_CO_CHECK(server.serve(scheduler, directory, {.mode = 0666, .handshake = 2s}));
    holder.say('c');
    WEIR_CO_TRY(const char began, holder.hear(scheduler).within(10s));
    CHECK_IN_TASK(began == 'w');
    while (server.lost < 1) WEIR_CO_CHECK(sleep_for(1ms).within(10s));
    CHECK_IN_TASK((server.attached == 0 && server.links == 0));
    // Its owner has forgotten it, but its place is not free: of the server, and of the one whose sealing goes on.
    WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(scheduler.usage().links == 2);
    holder.say('g');
    WEIR_CO_TRY(const char became, holder.hear(scheduler).within(10s));
    CHECK_IN_TASK(became == 'e');
    while (scheduler.usage().links > 1) WEIR_CO_CHECK(sleep_for(1ms));
}
TEST_CASE("a stranger whose region cannot be sealed in time keeps its place until it can") {
    skip_where_no_write_can_be_held();
    const TemporaryDirectory temporary;
    const auto directory = directory_of(temporary);
    const auto path = directory.path_of(sample_name, ipc::link_suffix);
    const std::string name(path->view());
    const Other holder([&](int channel) { write_for_long(channel, name, false); });
    Running running;
    running.must_run(hold_a_place(*running, directory, holder));
}

// --- the threads themselves

void closes_a_socket(std::uint32_t uid) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    const Fd ours(ends[0]);
    REQUIRE(SlowCalls::close(uid, Fd(ends[1])));
    char byte = 0;
    CHECK(::recv(ours.get(), &byte, 1, 0) == 0);
    while (::fcntl(ends[1], F_GETFD) >= 0) std::this_thread::yield();
}
TEST_CASE("slow calls are made for whoever begins, and again") {
    for (int round = 0; round < 3; ++round) {
        REQUIRE(SlowCalls::begin().has_value());
        closes_a_socket(1'000);
        closes_a_socket(1'001);
        SlowCalls::end();
    }
}

// In a child that was forked beside threads qemu's user mode may fail when that starts threads of its own.
bool forked_child_can_start_threads() {
    const auto end = run_in_child([] {
        std::mutex both_started;
        std::unique_lock lock(both_started);
        const auto waits = [&both_started] { const std::lock_guard until(both_started); };
        std::thread one(waits);
        std::thread other(waits);
        lock.unlock();
        one.join();
        other.join();
        return 0;
    });
    return end.exit_status == 0;
}
TEST_CASE("slow calls are made in a child that was forked meanwhile") {
    REQUIRE(SlowCalls::begin().has_value());
    closes_a_socket(1'000);
    const bool possible = forked_child_can_start_threads();
    const auto end = run_in_child([possible] {
        if (!possible) return 0;
        REQUIRE(SlowCalls::begin().has_value());
        closes_a_socket(1'000);
        SlowCalls::end();
        return 0;
    });
    SlowCalls::end();
    if (!possible) skip("a child that was forked beside threads cannot start any here (an emulator)");
    CHECK(end.exit_status == 0);
}
TEST_CASE("what was asked for is done when its server has gone, and a region that is no memory is refused") {
    const Fd done(::eventfd(0, EFD_CLOEXEC));
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd writing(ends[1]);
    REQUIRE(SlowCalls::begin().has_value());
    REQUIRE(SlowCalls::seal(1'000, Fd(ends[0]), 4'096, Fd(::dup(done.get()))));
    SlowCalls::end();
    std::uint64_t verdict = 0;
    REQUIRE(::read(done.get(), &verdict, sizeof(verdict)) == sizeof(verdict));
    CHECK(verdict == static_cast<std::uint64_t>(SlowCalls::Verdict::refused));
}

}  // namespace
