// SPDX-License-Identifier: MIT
//
// usage: hostile_soak [SECONDS [DEED…]]
//
// DEED: reach, scribble, announce, ring, babble; all of them without a name. (None at all is `attach`.)
//
// A server of a topic, a service and two rings, an honest client of all but one ring, and processes of two other users
// that know the source and do what they can. One attaches everywhere, again and again, and scribbles on all that it can
// map, with nonsense and with what is nearly right; announces sleep and rings without end; never reads; tries to get write
// access to what it may only read; parks waiters on shared words and requeues those of others. The other one says random
// hellos, hands over odd descriptors, closes half-way and at once.
//
// The honest stream has to be unbroken: each call answered with its own answer, each sample and each record taken in its
// turn. How long they take is measured in turns with the strangers at work and with another process in their place that
// only computes, so that the machine is equally busy. On two cores the strangers have one and the others the other one.
// Prints
//
//     hostile: S s, strangers turned out N, lost 0; p99 of calls, samples, records beside them A, B, C us, without D, E, F us
//     hostile: each p99 is to be at most twice as long beside them: held
//     hostile: the server took A % of its core and slept B times a second beside them, C % and D without
//
// or `missed`. Fails if something was lost, or the stranger got hold of what it must not; what a p99 is on a machine that
// others share fails nothing.
#include <weir/ipc/ring/ring.hpp>
#include <weir/ipc/service/service.hpp>
#include <weir/ipc/topic/topic.hpp>
#include <weir/sys/message.hpp>
#include <weir/weir.hpp>

#include "shm/protocol.hpp"
#include "support/killed_processes.hpp"
#include "support/stranger.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::LinkState;

struct Numbered {
    std::uint64_t number;
    std::uint64_t sent_ns;
};
using Echo = ipc::Service<Numbered, Numbered>;
constexpr ipc::ServiceName echo_name{"echo"};
constexpr ipc::TopicName topic_name{"topic"};
constexpr ipc::RingName ring_name{"ring"};  // the honest one's
constexpr ipc::RingName prey_name{"prey"};  // the stranger's
constexpr std::uint32_t calls_max = 4;

/// How often what took how long: four steps for each doubling of microseconds.
struct Histogram {
    static constexpr std::size_t steps = 4;
    std::array<std::uint64_t, 32 * steps> counts{};
    void add(std::uint64_t ns) noexcept {
        const double us = static_cast<double>(ns) / 1'000 + 1;
        const auto index = static_cast<std::size_t>(std::log2(us) * steps);
        ++counts[std::min(index, counts.size() - 1)];
    }
    [[nodiscard]] double quantile_us(double share) const noexcept {
        std::uint64_t sum = 0;
        for (const std::uint64_t count : counts) sum += count;
        auto rest = static_cast<double>(sum) * share;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            rest -= static_cast<double>(counts[i]);
            if (rest < 0) return std::exp2(static_cast<double>(i + 1) / steps) - 1;
        }
        return 0;
    }
};

enum Phase : std::size_t { beside_nobody, beside_stranger, between, phases };
enum Stream : std::size_t { calls, samples, records, streams };

struct Ledger {
    std::atomic<std::size_t> phase{between};
    std::atomic<bool> enough{false};
    std::atomic<bool> over{false};  // for the server: the honest client has ended
    std::atomic<bool> ready{false};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> got_hold{0};  // what the stranger must not have
    std::atomic<std::uint64_t> attached{0};  // times that the stranger was
    std::atomic<std::uint64_t> deeds{0};
    std::array<std::array<Histogram, streams>, phases> took{};  // the honest client's
};
Ledger* ledger = nullptr;
const ipc::RuntimeDirectory* directory = nullptr;

constexpr Budget budget{.frame_bytes = 256 * 1024, .submissions = 64, .descriptors = 64, .links = 40};
constinit StaticScheduler<budget> scheduler;

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(to_ns(scheduler.now()));
}
void took(Stream stream, std::uint64_t sent_ns) {
    const std::uint64_t now = now_ns();
    ledger->took[ledger->phase.load()][stream].add(now > sent_ns ? now - sent_ns : 0);
}
Numbered numbered(std::uint64_t number) {
    return {.number = number, .sent_ns = now_ns()};
}
void expect(bool holds) {
    if (!holds) ledger->lost.fetch_add(1);
}

// --- the server

ipc::LinkServerOptions open_to_all() {
    // Where there is no other user to be, the stranger is one all the same.
    return {.mode = 0666,
            .trust = ::geteuid() == 0 ? ipc::LinkTrust::same_user : ipc::LinkTrust::nobody,
            .directory = directory};
}

Task<> answer(Scheduler&, Echo::Server& server) {
    while (!ledger->over) {
        auto call = co_await server.next().within(100ms);
        if (!call) continue;
        call->reply(**call);
    }
}
Task<> publish(Scheduler& on) {
    // Deep enough for an honest subscriber that the machine keeps waiting for some seconds.
    ipc::PublisherOptions options{.depth = 4'096, .subscribers_max = 6, .link = open_to_all()};
    WEIR_CO_TRY(auto publisher, ipc::Publisher<Numbered>::create(on, topic_name, options));
    ledger->ready = true;
    for (std::uint64_t number = 0; !ledger->over;) {
        WEIR_CO_CHECK(sleep_for(500us));
        WEIR_CO_TRY(auto sample, publisher.loan());
        *sample = numbered(number++);
        sample.publish();
    }
}
Task<> write_records(Scheduler& on, ipc::RingName name, bool for_stranger) {
    ipc::RingOptions options{.slots = 4'096, .link = open_to_all()};
    if (!for_stranger) options.link.mode = 0600;
    WEIR_CO_TRY(auto ring, ipc::RingWriter<Numbered>::create(on, name, options));
    for (std::uint64_t number = 0; !ledger->over;) {
        WEIR_CO_CHECK(sleep_for(500us));
        // The stranger leaves no room, or makes nonsense of it.
        auto reserved = co_await ring.reserve().within(for_stranger ? 1ms : 10s);
        if (!reserved && for_stranger) continue;
        WEIR_CO_TRY(auto slot, std::move(reserved));
        *slot = numbered(number++);
        slot.commit();
    }
}
Task<> serve(Scheduler& on) {
    const ipc::ServiceOptions options{.clients_max = 6, .calls_max = calls_max, .link = open_to_all()};
    WEIR_CO_TRY(auto server, Echo::Server::create(on, echo_name, options));
    WEIR_CO_CHECK(all_of(answer(on, server), answer(on, server), publish(on),
                         write_records(on, ring_name, false), write_records(on, prey_name, true)));
}

// --- the honest client

Task<> call(Scheduler& on) {
    ipc::ServiceClientOptions options;
    options.link.directory = directory;
    WEIR_CO_TRY(auto client, Echo::Client::open(on, echo_name, options).within(10s));
    for (std::uint64_t number = 0; !ledger->enough; ++number) {
        const std::uint64_t sent = now_ns();
        WEIR_CO_TRY(const auto reply, client.call(numbered(number)).within(20s));
        took(calls, sent);
        expect(reply.number == number);
        WEIR_CO_CHECK(sleep_for(300us));
    }
}
Task<> subscribe(Scheduler& on) {
    ipc::SubscriberOptions options;
    options.link.directory = directory;
    WEIR_CO_TRY(auto subscriber, ipc::Subscriber<Numbered>::open(on, topic_name, options).within(10s));
    std::uint64_t next = 0;
    for (bool first = true; !ledger->enough; first = false) {
        WEIR_CO_TRY(const auto sample, subscriber.next().within(20s));
        took(samples, sample->sent_ns);
        expect(first || (sample->number == next && sample.missed() == 0));
        next = sample->number + 1;
    }
}
Task<> read_records(Scheduler& on) {
    WEIR_CO_TRY(auto ring,
                ipc::RingReader<Numbered>::open(on, ring_name, {.directory = directory}).within(10s));
    for (std::uint64_t next = 0; !ledger->enough; ++next) {
        WEIR_CO_TRY(const auto record, ring.next().within(20s));
        took(records, record->sent_ns);
        expect(record->number == next);
    }
}
Task<> be_honest(Scheduler& on) {
    WEIR_CO_CHECK(all_of(call(on), subscribe(on), read_records(on)));
}

// --- the stranger

/// What it does besides attaching, again and again.
struct Deeds {
    bool reach = false;     // for what it must not have
    bool scribble = false;  // on what it may write to
    bool announce = false;  // sleep, at every step
    bool ring = false;
    bool babble = false;
    bool take(std::string_view name) noexcept {
        const std::pair<std::string_view, bool*> known[] = {{"reach", &reach},
                                                            {"scribble", &scribble},
                                                            {"announce", &announce},
                                                            {"ring", &ring},
                                                            {"babble", &babble}};
        for (const auto& [known_name, deed] : known)
            if (name == known_name) return *deed = true;
        return name == "attach";
    }
};
Deeds deeds;

std::minstd_rand random_numbers(3);
std::uint32_t draw(std::uint32_t below) {
    return static_cast<std::uint32_t>(random_numbers() % below);
}

long futex(const std::byte* word, int operation, std::uint32_t value, const void* more,
           const std::byte* other, std::uint32_t other_value) {
    return ::syscall(SYS_futex, word, operation, value, more, other, other_value);
}

/// What it may only read must stay so, and nobody waits where others can be requeued.
void reach_out(const ipc::Link& link) {
    const ConstBytes theirs = link.peer();
    const std::byte* const page = theirs.data();
    if (::mprotect(const_cast<std::byte*>(page), theirs.size(), PROT_READ | PROT_WRITE) == 0)
        ledger->got_hold.fetch_add(1);
    for (int fd = 3; fd < 64; ++fd) {
        char path[32];
        std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        struct stat status {};
        if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        const Fd again(::open(path, O_RDWR | O_CLOEXEC));
        if (again.get() < 0 || static_cast<std::size_t>(status.st_size) != theirs.size()) continue;
        if (::mmap(nullptr, theirs.size(), PROT_READ | PROT_WRITE, MAP_SHARED, again.get(), 0) !=
                MAP_FAILED &&
            theirs.size() != link.own().size())
            ledger->got_hold.fetch_add(1);
    }
    for (std::size_t at = 0; at < std::min<std::size_t>(theirs.size(), 2'048); at += 64) {
        const std::byte* const word = page + at;
        std::uint32_t value = 0;
        std::memcpy(&value, word, sizeof(value));
        futex(word, FUTEX_CMP_REQUEUE, 0, reinterpret_cast<const void*>(~std::uintptr_t{0} >> 1),
              link.own().data(), value);
        futex(word, FUTEX_WAKE, 1'000, nullptr, nullptr, 0);
    }
}

void scribble(ipc::Link& link) {
    const Bytes own = link.own();
    const auto words = static_cast<std::uint32_t>(own.size() / sizeof(std::uint32_t));
    const auto at = [&](std::uint32_t index) -> std::atomic<std::uint32_t>& {
        void* const place = own.data() + index * sizeof(std::uint32_t);
        return *static_cast<std::atomic<std::uint32_t>*>(place);
    };
    // The words that a peer looks at lie at the beginning.
    const std::uint32_t index = draw(2) == 0 ? draw(words) : draw(std::min(words, 256U));
    switch (draw(6)) {
        case 0: own[draw(static_cast<std::uint32_t>(own.size()))] = static_cast<std::byte>(draw(256)); break;
        case 1: at(index) = draw(32); break;
        case 2: at(index).fetch_add(1); break;
        case 3: at(index) = static_cast<std::uint32_t>(random_numbers()); break;
        case 4: at(index).fetch_add(draw(64)); break;
        default: at(index).fetch_xor(1U << draw(32));
    }
}

/// Only says that it sleeps, at every step, in all the words of the first lines; or never does anything.
void announce_sleep(ipc::Link& link) {
    for (std::size_t line = 128; line < std::min<std::size_t>(link.own().size(), 1'024); line += 256) {
        void* const place = link.own().data() + line;
        static_cast<std::atomic<std::uint32_t>*>(place)->fetch_add(1);
    }
}

Task<> misuse(Scheduler& on, const Name& name, const ipc::LinkTerms& terms) {
    while (!ledger->enough) {
        auto opened = co_await ipc::open_link(name, terms, {.directory = directory}).within(100ms);
        if (!opened) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        ledger->attached.fetch_add(1);
        ipc::LinkClient client = std::move(*opened);
        const std::uint32_t manner = draw(5);
        if (manner == 0 && deeds.reach) reach_out(*client);
        // To attach is what it may not do often, so mostly it makes the best of it.
        const Instant until = after(on.now(), std::chrono::milliseconds(draw(draw(4) == 0 ? 30 : 1'000)));
        while (client->state() == LinkState::attached && on.now() < until) {
            for (int i = 0; i < 50; ++i) {
                ledger->deeds.fetch_add(1, std::memory_order_relaxed);
                if (manner == 1) continue;  // it neither reads nor writes
                if (manner == 2 && deeds.announce) announce_sleep(*client);
                if (manner != 2 && deeds.scribble) scribble(*client);
                if (deeds.ring && draw(4) == 0) client->ring_bell();
            }
            WEIR_CO_CHECK(yield());
        }
    }
}

sockaddr_un address_of(const Name& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory->path_of(name, ipc::link_suffix)->view().copy(address.sun_path, sizeof(address.sun_path) - 1);
    return address;
}
Fd odd_descriptor() {
    switch (draw(5)) {
        case 0: return Fd(::eventfd(0, EFD_CLOEXEC));
        case 1: return Fd(::memfd_create("odd", MFD_CLOEXEC));
        case 2: return Fd(::open("/dev/zero", O_RDWR | O_CLOEXEC));
        case 3: return Fd(::open("/", O_PATH | O_CLOEXEC));
        default: return Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    }
}
/// The handshake by hand, and out of it.
Task<> babble(Scheduler&, const Name& name, const ipc::LinkTerms& terms) {
    const sockaddr_un address = address_of(name);
    while (!ledger->enough && deeds.babble) {
        const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        std::ignore = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
        for (std::uint32_t packets = draw(6); packets > 0; --packets) {
            ledger->deeds.fetch_add(1, std::memory_order_relaxed);
            std::array<std::byte, 3'000> packet{};
            std::size_t size = draw(8) == 0 ? draw(packet.size()) : sizeof(ipc::Hello);
            if (draw(3) == 0) {
                const ipc::Note note{.kind = static_cast<ipc::Note::Kind>(draw(5))};
                size = sizeof(note);
                std::memcpy(packet.data(), &note, size);
            } else {
                const ipc::Hello hello{.bell = ipc::BellKind::packet, .terms = terms};
                std::memcpy(packet.data(), &hello, sizeof(hello));
                if (draw(2) == 0) packet[draw(sizeof(hello))] = static_cast<std::byte>(draw(256));
            }
            const Fd odd = draw(4) == 0 ? odd_descriptor() : Fd();
            const int descriptors[] = {odd.get()};
            sys::DescriptorMessage message(packet.data(), size);
            if (odd.get() >= 0) message.attach(descriptors);
            std::ignore = sys::send_message(socket.get(), message.header());
            switch (draw(4)) {
                case 0: ::shutdown(socket.get(), draw(2) == 0 ? SHUT_RD : SHUT_WR); break;
                case 1: WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(draw(2'000)))); break;
                case 2: std::ignore = ::recv(socket.get(), packet.data(), packet.size(), MSG_DONTWAIT); break;
                default: break;
            }
        }
        WEIR_CO_CHECK(yield());
    }
}
Task<> be_hostile(Scheduler& on) {
    const ipc::LinkTerms service = Echo::terms(0);
    const ipc::LinkTerms topic = ipc::topic::shape_of<Numbered>().terms(0);
    const ipc::LinkTerms ring = ipc::ring_shape_of<Numbered>(0).terms();
    WEIR_CO_CHECK(all_of(misuse(on, echo_name, service), misuse(on, echo_name, service),
                         misuse(on, topic_name, topic), misuse(on, topic_name, topic),
                         misuse(on, prey_name, ring)));
}
Task<> be_incomprehensible(Scheduler& on) {
    WEIR_CO_CHECK(all_of(babble(on, echo_name, Echo::terms(0)),
                         babble(on, topic_name, ipc::topic::shape_of<Numbered>().terms(0)),
                         babble(on, prey_name, ipc::ring_shape_of<Numbered>(0).terms())));
}

// --- the run

int run_task(Task<> (*make)(Scheduler&)) {
    if (!scheduler.start()) return 2;
    const auto outcome = scheduler.run(make(scheduler));
    if (outcome) return 0;
    char said[200];
    outcome.error().message(said);
    std::fprintf(stderr, "%s\n", said);
    return 1;
}
int serve_all() {
    set_report([](std::string_view, void*) noexcept {}, nullptr);  // whom it turns out
    return run_task(serve);
}
int be_honest_all() {
    return run_task(be_honest);
}
int be_hostile_all() {
    become_a_stranger(stranger_uid);
    return run_task(be_hostile);
}
// Another user, who would spend the first one's handshakes else.
int be_incomprehensible_all() {
    become_a_stranger(stranger_uid - 1);
    return run_task(be_incomprehensible);
}
int compute() {
    while (!ledger->enough) std::atomic_signal_fence(std::memory_order_seq_cst);
    return 0;
}

pid_t start(int (*play)(), unsigned core) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (std::thread::hardware_concurrency() > 1) std::ignore = ::sched_setaffinity(0, sizeof(cores), &cores);
    ::_exit(play());
}
bool ended_well(pid_t child) {
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
void pause_for(std::chrono::milliseconds span) {
    std::this_thread::sleep_for(span);
}
/// What a process took of its core, and how often it slept.
struct Took {
    double cpu_s = 0;
    std::uint64_t sleeps = 0;
    Took& operator+=(const Took& more) noexcept {
        cpu_s += more.cpu_s;
        sleeps += more.sleeps;
        return *this;
    }
};
Took took_so_far(pid_t process) {
    Took took;
    std::ifstream schedstat("/proc/" + std::to_string(process) + "/schedstat");
    if (double ns = 0; schedstat >> ns) took.cpu_s = ns / 1e9;
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string word; status >> word;)
        if (word == "voluntary_ctxt_switches:") status >> took.sleeps;
    return took;
}
/// Some go on, others are stopped, and what was begun before is not counted.
Took change(Phase phase, std::span<const pid_t> work, std::span<const pid_t> rest, pid_t server) {
    ledger->phase = between;
    for (const pid_t each : rest) ::kill(each, SIGSTOP);
    for (const pid_t each : work) ::kill(each, SIGCONT);
    pause_for(10ms);
    ledger->phase = phase;
    const Took before = took_so_far(server);
    pause_for(240ms);
    const Took after = took_so_far(server);
    return {.cpu_s = after.cpu_s - before.cpu_s, .sleeps = after.sleeps - before.sleeps};
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 60;
    if (argc <= 2) deeds = {.reach = true, .scribble = true, .announce = true, .ring = true, .babble = true};
    for (int i = 2; i < argc; ++i) {
        if (deeds.take(argv[i])) continue;
        std::fprintf(stderr, "hostile_soak: no deed is called %s\n", argv[i]);
        return 2;
    }
    const KilledFolder folder;
    ::chmod(folder.path(), 0755);
    const auto found = ipc::RuntimeDirectory::at(folder.path());
    if (!found) return 2;
    directory = &*found;
    ledger = ::new (shared_memory(sizeof(Ledger))) Ledger;
    if (::geteuid() != 0)
        std::fprintf(stderr, "the stranger is of the same user: only root has another one to be\n");

    const pid_t server = start(serve_all, 0);
    while (!ledger->ready) pause_for(1ms);
    const pid_t honest = start(be_honest_all, 0);
    pause_for(100ms);
    const std::array strangers{start(be_hostile_all, 1), start(be_incomprehensible_all, 1)};
    const std::array busy{start(compute, 1)};
    std::array<Took, phases> of_server{};
    double phase_s = 0;
    for (; phase_s < seconds / 2; phase_s += 0.25) {
        of_server[beside_nobody] += change(beside_nobody, busy, strangers, server);
        of_server[beside_stranger] += change(beside_stranger, strangers, busy, server);
    }
    std::uint64_t turned_out = 0;
    for (const Name& name : {Name(echo_name), Name(topic_name), Name(prey_name)}) {
        const auto stat = ipc::ask_link_stat(*directory, name, 5s);
        if (stat) turned_out += stat->turned_out;
    }
    ledger->enough = true;
    ::kill(busy[0], SIGCONT);
    bool good = ended_well(honest);
    ledger->over = true;
    for (const pid_t each : {server, strangers[0], strangers[1], busy[0]}) good = ended_well(each) && good;

    const std::uint64_t left = folder.count();
    bool doubled = false;
    std::array<std::array<double, streams>, 2> p99{};
    for (std::size_t stream = 0; stream < streams; ++stream) {
        for (const Phase phase : {beside_nobody, beside_stranger})
            p99[phase][stream] = ledger->took[phase][stream].quantile_us(0.99);
        doubled = doubled || p99[beside_stranger][stream] > 2 * p99[beside_nobody][stream];
    }
    std::printf("hostile: %.0f s, strangers attached %" PRIu64 ", did %" PRIu64 ", turned out %" PRIu64
                ", lost %" PRIu64 ", left %" PRIu64
                "; p99 of calls, samples, records beside them %.0f, %.0f, %.0f us, "
                "without %.0f, %.0f, %.0f us\n",
                seconds, ledger->attached.load(), ledger->deeds.load(), turned_out, ledger->lost.load(), left,
                p99[beside_stranger][calls], p99[beside_stranger][samples], p99[beside_stranger][records],
                p99[beside_nobody][calls], p99[beside_nobody][samples], p99[beside_nobody][records]);
    std::printf("hostile: each p99 is to be at most twice as long beside them: %s\n",
                doubled ? "missed" : "held");
    const auto share = [&](Phase phase) { return 100 * of_server[phase].cpu_s / (phase_s * 0.96); };
    const auto rate = [&](Phase phase) {
        return static_cast<double>(of_server[phase].sleeps) / (phase_s * 0.96);
    };
    std::printf(
        "hostile: the server took %.0f %% of its core and slept %.0f times a second beside them, "
        "%.0f %% and %.0f without\n",
        share(beside_stranger), rate(beside_stranger), share(beside_nobody), rate(beside_nobody));
    const bool breaks_rules = deeds.scribble || deeds.babble;
    const bool passed =
        good && ledger->lost == 0 && left == 0 && ledger->got_hold == 0 && (turned_out > 0 || !breaks_rules);
    if (ledger->got_hold > 0) std::fprintf(stderr, "the stranger got write access to what is not its\n");
    if (!good) std::fprintf(stderr, "a process did not end well\n");
    if (const char* const suite = std::getenv("WEIR_SUITE"); suite != nullptr)
        std::printf("suite %s: %d passed, %d failed, 0 skipped\n", suite, passed ? 1 : 0, passed ? 0 : 1);
    return passed ? 0 : 1;
}
