// SPDX-License-Identifier: MIT
//
// The handshake of links, from both sides: clients that say anything to a server, in any order, and a server that says
// anything to a client and hands over odd descriptors. Afterwards an honest client gets in and hears its bell; and whoever
// was let in has memory of the size that was agreed on, which nobody can take away again.
#include "fuzz/target.hpp"

#include <weir/ipc/shm/link.hpp>
#include <weir/sys/message.hpp>
#include <weir/weir.hpp>

#include "shm/protocol.hpp"

#include <array>
#include <thread>
#include <tuple>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir::fuzz {
namespace {

using namespace std::chrono_literals;
using namespace weir::ipc;

constexpr LinkTerms terms{.object = 7, .version = 1, .layout = 77, .record_size = 16, .depth = 64};
constexpr Name name{"fuzzed"};
constexpr std::size_t server_size = 8'192;
constexpr std::size_t client_size = 4'096;
constexpr Budget budget{.frame_bytes = 64 * 1024, .descriptors = 32, .links = 12};

/// All that inputs share: simulated time, so that deadlines cost none.
struct World {
    World() {
        must(::mkdtemp(folder) != nullptr, "a folder");
        directory = *RuntimeDirectory::at(folder);
        path = *directory.path_of(name, link_suffix);
        must(scheduler.start({.backend = BackendChoice::simulated, .environment = false}).has_value(),
             "a scheduler");
        set_report([](std::string_view, void*) noexcept {}, nullptr);
    }
    ~World() { ::rmdir(folder); }
    char folder[32] = "/tmp/weir-fuzz-XXXXXX";
    RuntimeDirectory directory = *RuntimeDirectory::at("/");
    RuntimePath path;
    StaticScheduler<budget> scheduler;
};
World& world() {
    static World only;
    return only;
}

// --- the server that hostile clients talk to

struct Server {
    Server() : region(*Region::create(server_size, "fuzzed")), mapping(*region.map_writable()) {
        must(region.seal().has_value(), "a seal");
    }
    Region region;
    Mapping mapping;
    LinkServer server;
    Link* link = nullptr;  // attached last
    std::uint32_t rang = 0;
};
constexpr LinkHooks server_hooks{
    .on_admit = [](void* owner, Link&) noexcept -> Result<LinkGrant> {
        auto& self = *static_cast<Server*>(owner);
        return LinkGrant{.region = &self.region,
                         .own = {self.mapping.data(), self.mapping.size()},
                         .client_size = client_size};
    },
    .fill_region = [](void*, Link&, Bytes bytes) noexcept { bytes[1] = std::byte{17}; },
    .on_attached =
        [](void* owner, Link& one) noexcept {
            static_cast<Server*>(owner)->link = &one;
            must(one.peer().size() == client_size, "the size of a client's region");
            must(one.peer().back() == std::byte{0}, "a client's region");
            one.arm_bell();
        },
    .on_signal =
        [](void* owner, Link& one) noexcept {
            auto& self = *static_cast<Server*>(owner);
            if (one.state() == LinkState::attached) {
                ++self.rang;
                one.arm_bell();
                return;
            }
            if (self.link == &one) self.link = nullptr;
            one.close();
        },
};
constexpr LinkHooks client_hooks{
    .on_signal = [](void* owner, Link&) noexcept { ++*static_cast<std::uint32_t*>(owner); }};

Fd plain_socket() {
    return Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}
sockaddr_un address() {
    sockaddr_un result{};
    result.sun_family = AF_UNIX;
    world().path.view().copy(result.sun_path, sizeof(result.sun_path) - 1);
    return result;
}
Fd plain_client() {
    Fd fd = plain_socket();
    const sockaddr_un where = address();
    std::ignore = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where));
    return fd;
}
void say(const Fd& socket, const void* data, std::size_t size) {
    std::ignore = ::send(socket.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}
void hear_all(const Fd& socket) {
    for (;;) {
        std::array<std::byte, 256> packet;
        std::array<Fd, 8> descriptors;
        sys::DescriptorMessage message(packet.data(), packet.size());
        message.make_room(descriptors.size());
        if (sys::receive_message(socket.get(), message.header()) <= 0) return;
        std::ignore = message.take(descriptors);
    }
}

enum : std::uint8_t {
    connects,
    says_hello,  // with one byte changed
    says_anything,
    says_note,
    rings,
    hangs_up,
    shuts_down,
    hears,
    sends_descriptor,
    sleeps,
    client_deeds,
};
constexpr std::uint32_t clients_max = 3;

Task<> talk_to_server(Scheduler& scheduler, Input in, Server& server) {
    LinkServerOptions options;
    options.trust = in.below(2) == 0 ? LinkTrust::same_user : LinkTrust::nobody;
    options.directory = &world().directory;
    WEIR_CO_TRY(server.server, LinkServer::create(scheduler, name, terms, server_hooks, &server, options));
    {
        std::array<Fd, clients_max> clients;
        while (!in.empty()) {
            const std::uint32_t what = in.byte();
            Fd& client = clients[what / client_deeds % clients_max];
            switch (what % client_deeds) {
                case connects: client = plain_client(); break;
                case says_hello: {
                    std::array<std::byte, sizeof(Hello)> packet;
                    const Hello hello{.bell = in.below(2) == 0 ? BellKind::eventfd : BellKind::packet,
                                      .terms = terms};
                    std::memcpy(packet.data(), &hello, sizeof(hello));
                    const std::uint32_t at = in.byte();
                    const auto value = in.take<std::byte>();
                    if (at < packet.size()) packet[at] = value;
                    say(client, packet.data(), packet.size());
                    break;
                }
                case says_anything: {
                    const auto packet = in.some(in.byte());
                    say(client, packet.data(), packet.size());
                    break;
                }
                case says_note: {
                    const Note note{.kind = static_cast<Note::Kind>(in.below(5))};
                    say(client, &note, sizeof(note));
                    break;
                }
                case rings:
                    for (std::uint32_t i = in.byte(); i > 0; --i) say(client, &ring_packet, 1);
                    break;
                case hangs_up: client.close(); break;
                case shuts_down: ::shutdown(client.get(), in.below(2) == 0 ? SHUT_RD : SHUT_WR); break;
                case hears: hear_all(client); break;
                case sends_descriptor: {
                    const Fd odd(::eventfd(0, EFD_CLOEXEC));
                    const auto packet = in.some(in.byte());
                    sys::DescriptorMessage message(packet.data(), packet.size());
                    const int descriptors[] = {odd.get()};
                    message.attach(descriptors);
                    std::ignore = sys::send_message(client.get(), message.header());
                    break;
                }
                default: WEIR_CO_CHECK(sleep_for(std::chrono::milliseconds(1 << in.below(11))));
            }
            WEIR_CO_CHECK(sleep_for(1us));
        }
        WEIR_CO_CHECK(sleep_for(1ms));
    }
    WEIR_CO_TRY(auto honest, open_link(name, terms, {.directory = &world().directory}).within(10s));
    must(honest->peer().size() == server_size && honest->own()[1] == std::byte{17},
         "the honest client's memory");
    // Those that left are taken note of by now.
    std::uint32_t heard = 0;
    honest.set_owner(client_hooks, &heard);
    honest->arm_bell();
    must(server.link != nullptr && server.link->credentials().pid == ::getpid(), "the honest client's link");
    const std::uint32_t rang = server.rang;
    server.link->ring_bell();
    honest->ring_bell();
    while (heard == 0 || server.rang == rang) WEIR_CO_CHECK(sleep_for(1ms));
    must(honest->state() == LinkState::attached, "the honest client is attached");
}

// --- the client that a hostile server talks to

enum : std::uint8_t {
    region_of_server,  // as it should be
    region_of_client,
    bell,
    region_unsealed,
    region_small,
    region_sealed_first,  // a client's region that nobody may write to
    region_with_hole,
    device,
    folder_itself,
    pipe_end,
    descriptor_kinds,
};

Fd memory(std::size_t size, int seals, bool hole = false) {
    Fd fd(::memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    std::ignore = ::ftruncate(fd.get(), static_cast<off_t>(size));
    if (!hole) std::ignore = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(size));
    std::ignore = ::fcntl(fd.get(), F_ADD_SEALS, seals);
    return fd;
}
Fd odd_descriptor(std::uint32_t kind) {
    constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;
    constexpr int all_seals = size_seals | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    switch (kind) {
        case region_of_server: return memory(server_size, all_seals);
        case region_of_client: return memory(client_size, size_seals);
        case bell: return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        case region_unsealed: return memory(server_size, 0);
        case region_small: return memory(client_size, all_seals);
        case region_sealed_first: return memory(client_size, all_seals | F_SEAL_WRITE);
        case region_with_hole: return memory(server_size, all_seals, true);
        case device: return Fd(::open("/dev/zero", O_RDWR | O_CLOEXEC));
        case folder_itself: return Fd(::open(world().folder, O_PATH | O_CLOEXEC));
        default: {
            int ends[2];
            if (::pipe2(ends, O_CLOEXEC) != 0) return {};
            ::close(ends[1]);
            return Fd(ends[0]);
        }
    }
}

enum : std::uint8_t {
    answers,
    server_says_note,
    server_says_anything,
    server_hangs_up,
    server_waits,
    server_deeds
};

struct Listener {
    Listener() : socket(plain_socket()) {
        const sockaddr_un where = address();
        must(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0, "a bind");
        must(::listen(socket.get(), 4) == 0, "a listen");
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() { ::unlink(address().sun_path); }
    Fd socket;
};

Task<> be_hostile_server(Scheduler&, Input in, const Listener& listener, std::array<Fd, 8>& given) {
    Fd client;
    for (int tries = 0; tries < 20 && client.get() < 0; ++tries) {
        WEIR_CO_CHECK(sleep_for(1ms));
        client = Fd(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    }
    std::size_t count = 0;
    while (!in.empty()) {
        switch (in.below(server_deeds)) {
            case answers: {
                std::array<std::byte, sizeof(Answer)> packet;
                const Answer answer{.bell = in.below(2) == 0 ? BellKind::eventfd : BellKind::packet,
                                    .terms = terms,
                                    .server_size = server_size,
                                    .client_size = client_size};
                std::memcpy(packet.data(), &answer, sizeof(answer));
                const std::uint32_t at = in.byte();
                const auto value = in.take<std::byte>();
                if (at < packet.size()) packet[at] = value;
                sys::DescriptorMessage message(packet.data(), packet.size());
                std::array<int, 6> sent{};
                std::array<Fd, 6> odd;
                const std::size_t number = in.below(7);
                for (std::size_t i = 0; i < number; ++i) {
                    odd[i] = odd_descriptor(in.below(descriptor_kinds));
                    sent[i] = odd[i].get();
                }
                if (number > 0) message.attach(std::span<const int>(sent.data(), number));
                std::ignore = sys::send_message(client.get(), message.header());
                for (std::size_t i = 0; i < number; ++i) given[count++ % given.size()] = std::move(odd[i]);
                break;
            }
            case server_says_note: {
                const Note note{.kind = static_cast<Note::Kind>(in.below(5))};
                say(client, &note, sizeof(note));
                break;
            }
            case server_says_anything: {
                const auto packet = in.some(in.byte());
                say(client, packet.data(), packet.size());
                break;
            }
            case server_hangs_up: client.close(); break;
            default: WEIR_CO_CHECK(sleep_for(std::chrono::milliseconds(in.byte())));
        }
        WEIR_CO_CHECK(sleep_for(1us));
    }
    WEIR_CO_CHECK(sleep_for(1ms));
}
Task<> be_client(Scheduler&, bool trusts, LinkClient& client) {
    LinkOpenOptions options;
    options.trust = trusts ? LinkTrust::same_user : LinkTrust::nobody;
    options.directory = &world().directory;
    auto opened = co_await open_link(name, terms, options).within(1s);
    if (opened) client = std::move(*opened);
}
Task<> talk_to_client(Scheduler& scheduler, Input in, const Listener& listener) {
    std::array<Fd, 8> given;
    LinkClient client;
    const bool trusts = in.below(2) == 0;
    WEIR_CO_CHECK(
        all_of(be_client(scheduler, trusts, client), be_hostile_server(scheduler, in, listener, given)));
    if (!client) co_return;
    // It was let in: then its memory is there to stay.
    must(client->peer().size() == server_size && client->own().size() == client_size, "the sizes of regions");
    for (const Fd& fd : given) {
        std::ignore = ::ftruncate(fd.get(), 0);
        std::ignore = ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, server_size);
    }
    std::uint32_t sum = 0;
    for (const std::byte byte : client->peer()) sum += std::to_integer<std::uint32_t>(byte);
    for (std::byte& byte : client->own()) byte = static_cast<std::byte>(sum);
    client->ring_bell();
    std::uint32_t heard = 0;
    client.set_owner(client_hooks, &heard);
    client->arm_bell();
    WEIR_CO_CHECK(sleep_for(1ms));
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for (int fd = 0; fd < 128; ++fd)
        if (::fcntl(fd, F_GETFD) >= 0) ++count;
    return count;
}

void try_one(ConstBytes input) {
    Scheduler& scheduler = world().scheduler;
    const std::size_t descriptors = open_descriptors();
    Input in(input);
    if (in.below(2) == 0) {
        Server server;
        const auto outcome = scheduler.run(talk_to_server(scheduler, in, server));
        must(outcome.has_value(), "an honest client is let in");
    } else {
        const Listener listener;
        const auto outcome = scheduler.run(talk_to_client(scheduler, in, listener));
        must(outcome.has_value(), "a client that a server is hostile to");
    }
    // Slots are free when the scheduler has waited once more.
    const auto waited = scheduler.run([](Scheduler&) -> Task<> { WEIR_CO_CHECK(sleep_for(1ms)); }(scheduler));
    must(waited.has_value() && scheduler.usage().links == 0, "slots of the link table are left");
    // The threads for slow calls close what they were given in their own time.
    const Instant until = MonotonicClock::now() + 20s;
    while (open_descriptors() != descriptors && MonotonicClock::now() < until) std::this_thread::yield();
    must(open_descriptors() == descriptors, "descriptors are left");
}

std::vector<Seed> seeds() {
    using U8 = std::uint8_t;
    constexpr U8 nothing_changed = 255;
    constexpr U8 second = client_deeds;
    Seed attaches = seed_of(U8{0}, U8{0}, connects, says_hello, U8{0}, nothing_changed, U8{0}, hears,
                            says_note, U8{1}, hears, rings, U8{1}, says_note, U8{3}, hangs_up);
    Seed rings_much = seed_of(U8{0}, U8{1}, connects, says_hello, U8{1}, nothing_changed, U8{0}, hears,
                              says_note, U8{1}, rings, U8{200}, rings, U8{255}, sleeps, U8{4});
    Seed two = seed_of(U8{0}, U8{1}, connects, U8(connects + second), U8(says_hello + second), U8{1}, U8{16},
                       U8{9}, says_hello, U8{0}, nothing_changed, U8{0}, shuts_down, U8{1}, sleeps, U8{10},
                       sends_descriptor, U8{8});
    Seed served = seed_of(U8{1}, U8{0}, answers, U8{0}, nothing_changed, U8{0}, U8{4}, region_of_server,
                          region_of_client, bell, bell, server_says_note, U8{2}, server_waits, U8{2});
    Seed served_by_packets = seed_of(U8{1}, U8{1}, answers, U8{1}, nothing_changed, U8{0}, U8{2},
                                     region_of_server, region_of_client, server_says_note, U8{2},
                                     server_says_anything, U8{1}, 'r', server_says_note, U8{3});
    std::vector<Seed> all{attaches, rings_much, two, served, served_by_packets};
    // Each odd descriptor in the place of either region, and of a bell.
    for (U8 place = 0; place < 3; ++place) {
        for (U8 odd = 0; odd < descriptor_kinds; ++odd) {
            std::array<U8, 4> handed{region_of_server, region_of_client, bell, bell};
            handed[place] = odd;
            all.push_back(seed_of(U8{1}, U8{0}, answers, U8{0}, nothing_changed, U8{0}, U8{4}, handed,
                                  server_says_note, U8{2}));
        }
    }
    return all;
}

}  // namespace

const Target hello{"hello", try_one, seeds};

}  // namespace weir::fuzz
