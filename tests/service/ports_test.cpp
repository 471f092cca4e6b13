// SPDX-License-Identifier: MIT
//
// Both ports against a peer that writes at random: whatever it writes, no index, place or count leaves its bounds. The
// memory of both sides ends where it ends, so that a sanitizer sees every step beyond.
#include <weir/ipc/service/client_port.hpp>
#include <weir/ipc/service/server_port.hpp>

#include "support/catch.hpp"

#include <cstdlib>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

namespace {

using namespace weir::ipc::service;
using weir::ipc::ring::Look;
using weir::ipc::ring::MachineAtomics;
using Words = weir::ipc::ring::Words<MachineAtomics>;

struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;
Memory memory_of(std::uint64_t size, std::initializer_list<std::size_t> words) {
    // Whole lines, as aligned_alloc wants it; what is beyond `size` is less than one.
    constexpr std::size_t line = weir::ipc::cache_line;
    const auto whole = static_cast<std::size_t>((size + line - 1) / line * line);
    Memory memory(static_cast<std::byte*>(std::aligned_alloc(line, whole)));
    for (std::size_t i = 0; i < size; ++i) memory.get()[i] = std::byte{0};
    for (const std::size_t offset : words) ::new (static_cast<void*>(memory.get() + offset)) Words();
    return memory;
}

class Random {
public:
    explicit Random(std::uint32_t seed) : random_(seed) {}
    std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
    bool one_in(std::uint32_t n) { return below(n) == 0; }

    /// Now and then something else than `right`, in one field or in all of them.
    Entry bent(Entry right) {
        switch (below(40)) {
            case 0: right.index = static_cast<std::uint16_t>(random_()); break;
            case 1: right.kind = static_cast<std::uint16_t>(below(8)); break;
            case 2: right.generation += below(5) - 2; break;
            case 3: right.value = one_in(2) ? below(5) : ~std::uint64_t{0}; break;
            case 4: {
                std::uint32_t raw[4];
                for (std::uint32_t& word : raw) word = static_cast<std::uint32_t>(random_());
                std::memcpy(&right, raw, sizeof(right));
                break;
            }
            default: break;
        }
        return right;
    }

private:
    std::mt19937 random_;
};

template <class Writer>
void write_one(Random& random, Writer& writer, const Entry& right) {
    std::ignore = writer.put(random.bent(right));
    if (random.one_in(200)) writer.advance(random.below(300));
    std::ignore = writer.publish_lightly();
}
// What a client may say now, of any call.
Entry say_as_client(Random& random, const ServerPort<MachineAtomics>& server, std::uint32_t index) {
    const ServerSlot& slot = server.slot(index);
    const auto entry = [&](FromClient kind, std::uint32_t generation, std::uint64_t value) {
        return Entry{.index = static_cast<std::uint16_t>(index),
                     .kind = static_cast<std::uint16_t>(kind),
                     .generation = generation,
                     .value = value};
    };
    if (slot.on_way > 0) return entry(FromClient::taken, slot.generation, 1 + random.below(slot.on_way));
    if (slot.active && !slot.cancelled) return entry(FromClient::cancel, slot.generation, 0);
    return entry(random.one_in(2) ? FromClient::request : FromClient::request_streamed, slot.generation + 1,
                 7);
}
// What a server may say now, of any call.
Entry say_as_server(Random& random, const ClientPort<MachineAtomics>& client, std::uint32_t index,
                    std::uint32_t window) {
    const ClientSlot& slot = client.slot(index);
    const bool has_place = slot.on_way < window;
    const FromServer kind = slot.streamed && has_place && !random.one_in(4) ? FromServer::part
                            : slot.streamed                                 ? FromServer::finish
                            : random.one_in(2)                              ? FromServer::reply
                                                                            : FromServer::reject;
    return {.index = static_cast<std::uint16_t>(index),
            .kind = static_cast<std::uint16_t>(kind),
            .generation = slot.generation,
            .value = 1};
}

Shape random_shape(Random& random) {
    return {.calls_max = 1 + random.below(5),
            .window = 1 + random.below(3),
            .request_size = 1 + random.below(40),
            .reply_size = 1 + random.below(40)};
}

// How far each got before it was broken off; at least some have to get somewhere.
struct Progress {
    std::uint64_t arrivals = 0;
    std::uint64_t breaches = 0;
};

void try_server(std::uint32_t seed, Progress& progress) {
    Random random(seed);
    const Shape shape = random_shape(random);
    const Memory own = memory_of(shape.server_bytes(), {Shape::server_writes, Shape::server_reads});
    const Memory theirs = memory_of(shape.client_bytes(), {Shape::client_writes, Shape::client_reads});
    std::vector<ServerSlot> slots(shape.calls_max);
    std::vector<ClientSlot> peer_slots(shape.calls_max);
    ServerPort<MachineAtomics> port(shape, own.get(), theirs.get(), slots);
    ClientPort<MachineAtomics> peer(shape, theirs.get(), own.get(), peer_slots);
    const std::vector<std::byte> reply(shape.reply_size);
    std::vector<std::byte> request(shape.request_size);
    using News = ServerPort<MachineAtomics>::News;
    for (int step = 0; step < 100; ++step) {
        write_one(random, peer.writer, say_as_client(random, port, random.below(shape.calls_max)));
        if (random.one_in(2)) {
            // Takes what it is told, or says so.
            std::ignore = peer.reader.look(1);
            peer.reader.advance(random.below(peer.reader.known() + 1));
            std::ignore = peer.reader.publish_lightly();
        }
        if (port.reader.look(1) == Look::corrupt) {
            ++progress.breaches;
            return;
        }
        for (std::uint32_t left = port.reader.known(); left > 0; --left) {
            const auto arrival = port.take();
            ++progress.arrivals;
            if (arrival.news == News::breach) {
                ++progress.breaches;
                return;
            }
            REQUIRE(arrival.index < shape.calls_max);
            REQUIRE(port.slot(arrival.index).on_way <= shape.window);
            if (arrival.news == News::request) port.copy_request(arrival.index, request.data());
        }
        std::ignore = port.reader.publish_lightly();
        const std::uint32_t index = random.below(shape.calls_max);
        if (!port.slot(index).active) continue;
        bool put = true;
        switch (random.below(3)) {
            case 0: put = port.reject(index, 1); break;
            case 1:
                if (port.has_place(index))
                    put = port.slot(index).streamed ? port.part(index, reply.data())
                                                    : port.reply(index, reply.data());
                break;
            default:
                if (port.slot(index).streamed) put = port.finish(index);
        }
        if (!put) {
            ++progress.breaches;
            return;
        }
        std::ignore = port.writer.publish_lightly();
    }
}

void try_client(std::uint32_t seed, Progress& progress) {
    Random random(seed);
    const Shape shape = random_shape(random);
    const Memory own = memory_of(shape.client_bytes(), {Shape::client_writes, Shape::client_reads});
    const Memory theirs = memory_of(shape.server_bytes(), {Shape::server_writes, Shape::server_reads});
    std::vector<ClientSlot> slots(shape.calls_max);
    std::vector<ServerSlot> peer_slots(shape.calls_max);
    ClientPort<MachineAtomics> port(shape, own.get(), theirs.get(), slots);
    ServerPort<MachineAtomics> peer(shape, theirs.get(), own.get(), peer_slots);
    const std::vector<std::byte> request(shape.request_size);
    std::vector<std::byte> reply(shape.reply_size);
    using News = ClientPort<MachineAtomics>::News;
    for (int step = 0; step < 100; ++step) {
        if (port.has_free()) {
            const auto index = port.begin(request.data(), random.one_in(2), no_deadline);
            if (!index) {
                ++progress.breaches;
                return;
            }
            if (random.one_in(4) && !port.cancel(*index)) return;
            std::ignore = port.writer.publish_lightly();
        }
        if (random.one_in(2)) {
            std::ignore = peer.reader.look(1);
            peer.reader.advance(random.below(peer.reader.known() + 1));
            std::ignore = peer.reader.publish_lightly();
        }
        write_one(random, peer.writer,
                  say_as_server(random, port, random.below(shape.calls_max), shape.window));
        if (port.reader.look(1) == Look::corrupt) {
            ++progress.breaches;
            return;
        }
        for (std::uint32_t left = port.reader.known(); left > 0; --left) {
            const auto arrival = port.take();
            ++progress.arrivals;
            if (arrival.news == News::breach) {
                ++progress.breaches;
                return;
            }
            REQUIRE(arrival.index < shape.calls_max);
            REQUIRE(port.slot(arrival.index).on_way <= shape.window);
            if (arrival.news == News::part || arrival.news == News::reply)
                port.copy_reply(arrival.index, arrival.number, reply.data());
            if (arrival.news == News::part) {
                if (random.one_in(2) && !port.taken(arrival.index, port.slot(arrival.index).on_way)) return;
            } else {
                port.give_back(arrival.index);
            }
        }
        std::ignore = port.reader.publish_lightly();
    }
}

}  // namespace

TEST_CASE("whatever a client writes, its server's port stays within its bounds") {
    Progress progress;
    for (std::uint32_t seed = 0; seed < 3'000; ++seed) try_server(seed, progress);
    CHECK(progress.breaches > 1'000);
    CHECK(progress.arrivals > 10'000);
}

TEST_CASE("whatever a server writes, its client's port stays within its bounds") {
    Progress progress;
    for (std::uint32_t seed = 0; seed < 3'000; ++seed) try_client(seed, progress);
    CHECK(progress.breaches > 1'000);
    CHECK(progress.arrivals > 10'000);
}

TEST_CASE("places of one call do not overlap, and end within the regions") {
    for (const std::uint32_t calls_max : {1U, 3U, 16U, 100U}) {
        for (const std::uint32_t window : {1U, 3U, 4U}) {
            for (const std::uint32_t size : {1U, 8U, 24U, 1'000U}) {
                const Shape shape{
                    .calls_max = calls_max, .window = window, .request_size = size, .reply_size = size};
                std::size_t end = Shape::client_entries + shape.entries_of_client() * sizeof(Entry);
                for (std::uint32_t index = 0; index < calls_max; ++index) {
                    REQUIRE(shape.request_place(index) >= end);
                    end = shape.request_place(index) + size;
                }
                CHECK(end <= shape.client_bytes());
                end = Shape::server_entries + shape.entries_of_server() * sizeof(Entry);
                for (std::uint32_t index = 0; index < calls_max; ++index) {
                    for (std::uint32_t number = 0; number < window; ++number) {
                        REQUIRE(shape.reply_place(index, number) >= end);
                        end = shape.reply_place(index, number) + size;
                    }
                    CHECK(shape.reply_place(index, window) == shape.reply_place(index, 0));
                }
                CHECK(end <= shape.server_bytes());
            }
        }
    }
}
