// SPDX-License-Identifier: MIT
//
// A reader whose writer's memory is hostile, and a writer whose reader's is: whatever is in the words and the data, and
// whenever it changes, nothing outside of the ring is handed out, and no more than was committed.
#include "fuzz/target.hpp"

#include <weir/ipc/ring/records.hpp>

#include <atomic>
#include <memory>

namespace weir::fuzz {
namespace {

using namespace weir::ipc::ring;

enum : std::uint8_t {
    peer_cursor,       // any
    peer_moves,        // a little, from where it is
    peer_epoch,        // any
    data_anywhere,     // bytes, somewhere
    data_next_header,  // nearly a header, where one is expected
    work,              // of the honest side, one record
    tell,
    sleep,
    deeds,
};

struct Memory {
    /// Of a size, and with both cursors at a place, that the input chooses.
    explicit Memory(Input& in) : bytes(64U << in.below(5)), data(new std::byte[bytes]()) {
        const std::uint32_t begin = in.take<std::uint32_t>() & ~7U;
        reader.cursor = begin;
        writer.cursor = begin;
    }
    std::uint32_t bytes;
    std::unique_ptr<std::byte[]> data;  // of its own, so that the sanitizer sees what is beyond it
    Words<MachineAtomics> writer;
    Words<MachineAtomics> reader;
};

volatile std::uint32_t used;

void write(Memory& memory, std::uint32_t at, ConstBytes bytes) {
    for (const std::byte byte : bytes) memory.data[at++ % memory.bytes] = byte;
}

template <class End>
void be_hostile(std::uint32_t deed, Input& in, Memory& memory, Words<MachineAtomics>& peer, End& end) {
    switch (deed) {
        case peer_cursor: peer.cursor = in.take<std::uint32_t>(); break;
        case peer_moves: peer.cursor += in.byte(); break;
        case peer_epoch: peer.epoch = in.take<std::uint32_t>(); break;
        case data_anywhere: {
            const std::uint32_t at = in.take<std::uint16_t>();
            write(memory, at, in.some(16));
            break;
        }
        case data_next_header: {
            const std::uint32_t size = in.take<std::uint16_t>();
            const std::uint32_t mark = end.position() + in.below(16);
            const RecordHeader header{.size = size, .mark = mark};
            std::memcpy(memory.data.get() + end.offset() / 8 * 8, &header, sizeof(header));
            break;
        }
        case tell:
            std::ignore = end.publish_lightly();
            std::ignore = end.peer_sleeps();
            break;
        default: std::ignore = end.announce(1); end.awake();
    }
}

void read_all(Input& in) {
    Memory memory(in);
    RecordConsumer<MachineAtomics> consumer(memory.reader, memory.writer, memory.data.get(), memory.bytes);
    std::uint32_t sum = 0;
    while (!in.empty()) {
        const std::uint32_t deed = in.below(deeds);
        if (deed != work) {
            be_hostile(deed, in, memory, memory.writer, consumer);
            continue;
        }
        const Look found = consumer.need(1);
        must(consumer.seen() - consumer.cursor() <= memory.bytes, "more is committed than fits");
        if (found == Look::corrupt) return;
        if (found == Look::nothing) continue;
        const std::uint32_t before = consumer.position();
        const std::uint32_t known = consumer.known();
        RecordConsumer<MachineAtomics>::Record record{};
        if (!consumer.take(record)) return;
        must(consumer.position() - before <= known, "a record beyond what was committed");
        must(record.offset <= memory.bytes && record.size <= memory.bytes - record.offset,
             "a record beyond the data");
        must(record.offset % 8 == 0, "a record that is not aligned");
        for (std::uint32_t i = 0; i < record.size; ++i)
            sum += std::to_integer<std::uint32_t>(memory.data[record.offset + i]);
    }
    used = sum;
}

void write_all(Input& in) {
    Memory memory(in);
    RecordProducer<MachineAtomics> producer(memory.writer, memory.reader, memory.data.get(), memory.bytes);
    const std::vector<std::byte> payload(record_size_max(memory.bytes), std::byte{7});
    while (!in.empty()) {
        const std::uint32_t deed = in.below(deeds);
        if (deed != work) {
            be_hostile(deed, in, memory, memory.reader, producer);
            continue;
        }
        const std::uint32_t reserved = in.take<std::uint16_t>() % (record_size_max(memory.bytes) + 1);
        const std::uint32_t size = reserved - std::min(reserved, in.byte());
        const std::uint32_t needed = producer.needed(reserved);
        must(needed <= memory.bytes, "a record that never fits");
        const Look found = producer.need(needed);
        if (found == Look::corrupt) return;
        if (found == Look::nothing) continue;
        const std::uint32_t at = producer.payload_offset(reserved);
        must(at <= memory.bytes && reserved <= memory.bytes - at, "a place beyond the data");
        producer.fill(payload.data(), reserved);
        producer.finish(reserved, size);
        must(producer.position() - producer.seen() <= memory.bytes,
             "more was written than there is room for");
    }
}

void try_one(ConstBytes input) {
    Input in(input);
    if (in.below(2) == 0) {
        read_all(in);
    } else {
        write_all(in);
    }
}

std::vector<Seed> seeds() {
    using U8 = std::uint8_t;
    using U16 = std::uint16_t;
    const std::uint32_t begin = 0xffff'ffc0;
    Seed records = seed_of(U8{0}, U8{0}, begin);
    for (const U16 size : {U16{8}, U16{0}, U16{3}, U16{20}, U16{24}})
        add(records, data_next_header, size, U8{record_kind}, peer_moves, U8(record_units(size)), work, tell,
            sleep);
    Seed pads = seed_of(U8{0}, U8{1}, begin);
    // A record of 40, and then a pad of 16 with one of 8 behind it.
    add(pads, data_next_header, U16{40}, U8{record_kind}, peer_moves, U8{48}, work, tell);
    for (int i = 0; i < 3; ++i)
        add(pads, data_next_header, U16(72 - i * 8), U8{pad_kind}, peer_moves, U8(128), work, tell);
    Seed writes = seed_of(U8{1}, U8{0}, begin);
    for (const U16 size : {U16{8}, U16{0}, U16{3}, U16{20}, U16{24}})
        add(writes, work, size, U8{0}, tell, peer_moves, U8(record_units(size)), sleep);
    return {records, pads, writes, seed_of(U8{0}, U8{4}, begin, peer_cursor, ~begin, work)};
}

}  // namespace

const Target ring{"ring", try_one, seeds};

}  // namespace weir::fuzz
