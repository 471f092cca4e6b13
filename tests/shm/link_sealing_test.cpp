// SPDX-License-Identifier: MIT
//
// A stranger that holds the lock that sealing its region takes, by a write(2) that lasts: nobody else waits for it.
#include "client_by_hand.hpp"
#include "link_fixture.hpp"

#include "support/skip.hpp"
#include "support/stranger.hpp"

#include <array>
#include <fcntl.h>
#include <string>
#include <thread>
#include <tuple>

#include <linux/userfaultfd.h>
#include <poll.h>
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
using ipc::Note;

// Far longer than any deadline below, and still an end where it is waited for after all.
constexpr int hold_seconds = 30;

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
        told(channel, hold_seconds * 1'000);
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
/// A place for a server, and where its clients find it.
struct Served {
    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory = directory_of(temporary);
    std::string name{directory.path_of(sample_name, ipc::link_suffix)->view()};
};
TEST_CASE("a stranger that writes into its region while it is sealed keeps nobody else waiting") {
    skip_where_no_write_can_be_held();
    const Served place;
    const Other holder([&](int channel) { write_for_long(channel, place.name, true); });
    const Other stranger([&](int channel) { attach_when_told(channel, place.name); });
    Running running;
    running.must_run(serve_others(*running, place.directory, holder, stranger));
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
    const Served place;
    const Other holder([&](int channel) { write_for_long(channel, place.name, false); });
    Running running;
    running.must_run(hold_a_place(*running, place.directory, holder));
}

}  // namespace
