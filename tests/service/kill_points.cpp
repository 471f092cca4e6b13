// SPDX-License-Identifier: MIT
//
// Both ports in memory that two processes share, driven as the ends of a service drive them: with calls, streams, cancels
// and rejections. What is awaited there is looped for here.
#include "service/kill_points.hpp"

#include <weir/ipc/service/client_port.hpp>
#include <weir/ipc/service/server_port.hpp>

#include <new>
#include <tuple>
#include <vector>

#include <sys/mman.h>

namespace weir::test {
namespace {

using namespace killing;
using namespace ipc::service;
using ipc::ring::Look;
using Words = ipc::ring::Words<MachineAtomics>;

// Long enough to be written in pieces.
struct Request {
    std::uint64_t number;
    std::uint64_t check[3];
};
struct Reply {
    std::uint64_t number;
    std::uint64_t part;
    std::uint64_t check[2];
};
constexpr Shape shape{
    .calls_max = 3, .window = 2, .request_size = sizeof(Request), .reply_size = sizeof(Reply)};
constexpr std::uint32_t calls_count = 24;
constexpr std::uint32_t parts_count = 5;

std::uint64_t check_of(std::uint64_t number) {
    return number * 0x9e37'79b9'7f4a'7c15 + 1;
}
// What becomes of a call, by its number.
enum class Fate : std::uint8_t { reply, stream, reject, cancel };
Fate fate_of(std::uint64_t number) {
    return static_cast<Fate>(number * 7 % 5 % 4);
}

template <class T>
const std::byte* bytes(const T& object) {
    return static_cast<const std::byte*>(static_cast<const void*>(&object));
}
template <class T>
std::byte* bytes(T& object) {
    return static_cast<std::byte*>(static_cast<void*>(&object));
}

constexpr std::size_t page = 4096;
constexpr std::size_t padded(std::uint64_t size) {
    return static_cast<std::size_t>((size + page - 1) / page * page);
}

class Scene {
public:
    Scene() : to_server(::eventfd(0, EFD_CLOEXEC)), to_client(::eventfd(0, EFD_CLOEXEC)) {
        void* const whole = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        memory_ = static_cast<std::byte*>(whole);
        ledger_ = ::new (whole) Ledger;
        client = memory_ + page;
        server = client + padded(shape.client_bytes());
        ::new (static_cast<void*>(client + Shape::client_writes)) Words();
        ::new (static_cast<void*>(client + Shape::client_reads)) Words();
        ::new (static_cast<void*>(server + Shape::server_writes)) Words();
        ::new (static_cast<void*>(server + Shape::server_reads)) Words();
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;
    ~Scene() {
        ::munmap(memory_, size);
        ::close(to_server);
        ::close(to_client);
    }
    [[nodiscard]] Ledger& ledger() const { return *ledger_; }

    int to_server;
    int to_client;
    std::byte* client = nullptr;
    std::byte* server = nullptr;

private:
    static constexpr std::size_t size = page + padded(shape.client_bytes()) + padded(shape.server_bytes());

    std::byte* memory_;
    Ledger* ledger_;
};

template <class Atomics>
void tell(EntryWriter<Atomics>& writer, int bell) {
    if (!writer.deferred()) return;
    const bool rung = writer.publish_lightly();
    if (rung) ring_bell<Atomics>(bell);
    // At the end of the turn.
    if (writer.peer_sleeps()) ring_bell<Atomics>(bell);
}

enum class Slept : std::uint8_t { awake, peer_gone, for_ever, broken };

/// Waits until there are entries to read.
template <class Atomics>
Slept wait(EntryReader<Atomics>& reader, int bell, int peer) {
    for (;;) {
        const bool gone = dead(peer);
        const Look look = reader.look(1);
        if (look == Look::corrupt) return Slept::broken;
        if (look == Look::ready) return Slept::awake;
        if (gone) return Slept::peer_gone;
        switch (reader.announce(reader.capacity() + 1)) {
            case Look::corrupt: return Slept::broken;
            case Look::ready: break;
            case Look::nothing:
                if (reader.known() == 0 && !sleep(bell, peer)) return Slept::for_ever;
                break;
        }
        reader.awake();
    }
}

// --- the client: three calls in flight, each of which goes its way

template <class Atomics>
class ClientRole {
public:
    ClientRole(Scene& scene, int peer)
        : scene_(scene), peer_(peer), port_(shape, scene.client, scene.server, slots_) {}

    /// What went wrong, or null; `gone` says whether the server was lost.
    const char* run(bool& gone) {
        gone = false;
        std::uint64_t next = 0;
        while (answered_ < calls_count) {
            while (next < calls_count && port_.has_free()) {
                if (const char* const failure = call(next++); failure != nullptr) return failure;
            }
            tell(port_.writer, scene_.to_server);
            switch (wait(port_.reader, scene_.to_client, peer_)) {
                case Slept::awake: break;
                case Slept::peer_gone: gone = true; return nullptr;
                case Slept::for_ever: return "the client sleeps for ever";
                case Slept::broken: return "the client refused the server's cursor";
            }
            while (port_.reader.known() > 0) {
                if (const char* const failure = arrive(); failure != nullptr) return failure;
            }
            std::ignore = port_.reader.publish_lightly();
        }
        return nullptr;
    }

private:
    const char* call(std::uint64_t number) {
        const Request request{number, {check_of(number), number, check_of(number)}};
        const auto index = port_.begin(bytes(request), fate_of(number) == Fate::stream, no_deadline);
        if (!index) return "the server left no room for a request";
        numbers_[*index] = number;
        parts_[*index] = 0;
        if (fate_of(number) == Fate::cancel && !port_.cancel(*index))
            return "the server left no room for a cancel";
        return nullptr;
    }
    const char* arrive() {
        using News = typename ClientPort<Atomics>::News;
        const auto arrival = port_.take();
        if (arrival.news == News::breach) return "the client saw what a server must not write";
        const std::uint64_t number = numbers_[arrival.index];
        const bool part = arrival.news == News::part;
        if (part || arrival.news == News::reply) {
            Reply reply{};
            port_.copy_reply(arrival.index, arrival.number, bytes(reply));
            if (reply.number != number || reply.part != parts_[arrival.index] ||
                reply.check[0] != check_of(number) || reply.check[1] != check_of(number))
                return "a reply is broken";
        }
        if (part) {
            ++parts_[arrival.index];
            return port_.taken(arrival.index, 1) ? nullptr : "the server left no room for what was taken";
        }
        const Fate fate = fate_of(number);
        const bool right =
            fate == Fate::reply    ? arrival.news == News::reply
            : fate == Fate::stream ? arrival.news == News::finish && parts_[arrival.index] == parts_count
            : fate == Fate::reject ? arrival.news == News::reject && arrival.value == number + 1
                                   : true;
        if (!right) return "a call ended in another way than the server ended it";
        port_.give_back(arrival.index);
        ++answered_;
        if constexpr (std::is_same_v<Atomics, KillAtomics>) scene_.ledger().finished = answered_;
        return nullptr;
    }

    Scene& scene_;
    int peer_;
    std::array<ClientSlot, shape.calls_max> slots_{};
    std::array<std::uint64_t, shape.calls_max> numbers_{};
    std::array<std::uint64_t, shape.calls_max> parts_{};
    std::uint32_t answered_ = 0;
    ClientPort<Atomics> port_;
};

// --- the server

template <class Atomics>
class ServerRole {
public:
    ServerRole(Scene& scene, int peer)
        : scene_(scene), peer_(peer), port_(shape, scene.server, scene.client, slots_) {}

    const char* run(bool& gone) {
        gone = false;
        while (ended_ < calls_count) {
            tell(port_.writer, scene_.to_client);
            switch (wait(port_.reader, scene_.to_server, peer_)) {
                case Slept::awake: break;
                case Slept::peer_gone: gone = true; return nullptr;
                case Slept::for_ever: return "the server sleeps for ever";
                case Slept::broken: return "the server refused the client's cursor";
            }
            while (port_.reader.known() > 0) {
                if (const char* const failure = arrive(); failure != nullptr) return failure;
            }
            std::ignore = port_.reader.publish_lightly();
        }
        tell(port_.writer, scene_.to_client);
        return nullptr;
    }
    /// Calls that began here.
    [[nodiscard]] std::uint32_t begun() const { return static_cast<std::uint32_t>(seen_.size()); }

private:
    const char* arrive() {
        using News = typename ServerPort<Atomics>::News;
        const auto arrival = port_.take();
        switch (arrival.news) {
            case News::breach: return "the server saw what a client must not write";
            case News::nothing: return nullptr;
            case News::cancel: return end(port_.reject(arrival.index, 0));
            case News::taken: return stream(arrival.index);
            case News::request: break;
        }
        Request request{};
        port_.copy_request(arrival.index, bytes(request));
        if (request.number >= calls_count || request.check[0] != check_of(request.number) ||
            request.check[1] != request.number || request.check[2] != check_of(request.number))
            return "a request is broken";
        for (const std::uint64_t seen : seen_)
            if (seen == request.number) return "a request came twice";
        seen_.push_back(request.number);
        numbers_[arrival.index] = request.number;
        parts_[arrival.index] = 0;
        const Reply reply = reply_to(arrival.index);
        switch (fate_of(request.number)) {
            case Fate::reply: return end(port_.reply(arrival.index, bytes(reply)));
            case Fate::reject:
                return end(port_.reject(arrival.index, static_cast<std::uint32_t>(request.number) + 1));
            case Fate::stream: return stream(arrival.index);
            case Fate::cancel: return nullptr;  // until it comes
        }
        return nullptr;
    }
    [[nodiscard]] Reply reply_to(std::uint32_t index) const {
        const std::uint64_t number = numbers_[index];
        return {number, parts_[index], {check_of(number), check_of(number)}};
    }
    const char* stream(std::uint32_t index) {
        while (parts_[index] < parts_count && port_.has_place(index)) {
            const Reply reply = reply_to(index);
            if (!port_.part(index, bytes(reply))) return "the client left no room for a part";
            ++parts_[index];
        }
        return parts_[index] == parts_count ? end(port_.finish(index)) : nullptr;
    }
    const char* end(bool put) {
        ++ended_;
        return put ? nullptr : "the client left no room for an answer";
    }

    Scene& scene_;
    int peer_;
    std::array<ServerSlot, shape.calls_max> slots_{};
    std::array<std::uint64_t, shape.calls_max> numbers_{};
    std::array<std::uint64_t, shape.calls_max> parts_{};
    std::vector<std::uint64_t> seen_;
    std::uint32_t ended_ = 0;
    ServerPort<Atomics> port_;
};

template <template <class> class Role>
[[noreturn]] void be(Scene& scene) {
    bool gone = false;
    Role<KillAtomics> role(scene, -1);
    ::_exit(role.run(gone) == nullptr && !gone ? 0 : 3);
}

// The child ends by its own hand, at its point or after all its work.
const char* wait_for_its_end(int child) {
    pollfd one{.fd = child, .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, patience_ms) == 1 ? nullptr : "the child sleeps for ever";
}

const char* check_server(Scene& scene, int child) {
    bool gone = false;
    ServerRole<MachineAtomics> server(scene, child);
    if (const char* const failure = server.run(gone); failure != nullptr) return failure;
    if (const char* const failure = wait_for_its_end(child); failure != nullptr) return failure;
    if (gone && server.begun() < scene.ledger().finished)
        return "the client has answers to calls that nobody saw";
    return nullptr;
}
const char* check_client(Scene& scene, int child) {
    bool gone = false;
    ClientRole<MachineAtomics> client(scene, child);
    if (const char* const failure = client.run(gone); failure != nullptr) return failure;
    return wait_for_its_end(child);
}

}  // namespace

KillCounts kill_service_clients() {
    return kill_at_every_store<Scene>([](Scene& scene) { be<ClientRole>(scene); }, check_server);
}
KillCounts kill_service_servers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be<ServerRole>(scene); }, check_client);
}

}  // namespace weir::test
