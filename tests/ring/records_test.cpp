// SPDX-License-Identifier: MIT
#include <weir/ipc/ring/records.hpp>

#include "memory_ring.hpp"
#include "support/catch.hpp"
#include "support/run.hpp"

#include <atomic>
#include <cstring>
#include <random>
#include <vector>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace {

using namespace weir::test;

// What record `number` holds: its number over and over, cut to its size.
void fill(std::byte* to, std::uint32_t size, std::uint32_t number) {
    for (std::uint32_t i = 0; i < size; ++i) to[i] = static_cast<std::byte>(number * 7 + i);
}
bool filled(const std::byte* from, std::uint32_t size, std::uint32_t number) {
    for (std::uint32_t i = 0; i < size; ++i)
        if (from[i] != static_cast<std::byte>(number * 7 + i)) return false;
    return true;
}

template <class P>
bool put(P& producer, std::byte* data, std::uint32_t size, std::uint32_t number) {
    if (producer.need(producer.needed(size)) != Look::ready) return false;
    fill(data + producer.payload_offset(size), size, number);
    producer.finish(size, size);
    return true;
}

}  // namespace

TEST_CASE("records of every length up to half the ring come out whole and in order") {
    MemoryRing ring(256);
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    const std::uint32_t longest = record_size_max(256);
    CHECK(longest == 120);
    std::uint32_t sent = 0;
    std::uint32_t got = 0;
    // Coprime with the lengths, so that each one meets each place of the ring.
    for (std::uint32_t round = 0; round < 20'000; ++round) {
        const std::uint32_t size = (round * 37) % (longest + 1);
        while (!put(producer, ring.data.data(), size, sent)) {
            RecordConsumer<MachineAtomics>::Record record{};
            REQUIRE(consumer.need(1) == Look::ready);
            REQUIRE(consumer.take(record));
            REQUIRE(record.size == (got * 37) % (longest + 1));
            REQUIRE(filled(ring.data.data() + record.offset, record.size, got));
            ++got;
            std::ignore = tell(consumer);
        }
        ++sent;
        std::ignore = tell(producer);
    }
    CHECK(got > 19'000);
}

TEST_CASE("the longest record always fits into an empty ring, wherever the last one ended") {
    for (std::uint32_t before = 0; before <= record_size_max(128); ++before) {
        MemoryRing ring(128);
        auto producer = ring.producer();
        auto consumer = ring.consumer();
        RecordConsumer<MachineAtomics>::Record record{};
        for (const std::uint32_t size : {before, record_size_max(128), record_size_max(128)}) {
            REQUIRE(put(producer, ring.data.data(), size, 1));
            std::ignore = tell(producer);
            REQUIRE(consumer.need(1) == Look::ready);
            REQUIRE(consumer.take(record));
            REQUIRE(record.size == size);
            REQUIRE(record.offset % 8 == 0);
            REQUIRE(record.offset + record.size <= 128);
            std::ignore = tell(consumer);
            REQUIRE(consumer.need(1) == Look::nothing);
        }
    }
}

TEST_CASE("a record that was not finished is not there, and its place is used again") {
    MemoryRing ring(128);
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    fill(ring.data.data() + producer.payload_offset(40), 40, 9);
    std::ignore = tell(producer);
    CHECK(consumer.need(1) == Look::nothing);
    REQUIRE(put(producer, ring.data.data(), 8, 1));
    std::ignore = tell(producer);
    RecordConsumer<MachineAtomics>::Record record{};
    REQUIRE(consumer.need(1) == Look::ready);
    REQUIRE(consumer.take(record));
    CHECK(record.size == 8);
    CHECK(filled(ring.data.data() + record.offset, 8, 1));
}

TEST_CASE("a record may turn out shorter than its reservation") {
    MemoryRing ring(128);
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    RecordConsumer<MachineAtomics>::Record record{};
    std::uint32_t number = 0;
    for (const std::uint32_t size : {0U, 3U, 56U, 1U, 55U, 40U, 8U}) {
        REQUIRE(producer.need(producer.needed(56)) == Look::ready);
        fill(ring.data.data() + producer.payload_offset(56), size, number);
        producer.finish(56, size);
        std::ignore = tell(producer);
        REQUIRE(consumer.need(1) == Look::ready);
        REQUIRE(consumer.take(record));
        CHECK(record.size == size);
        CHECK(filled(ring.data.data() + record.offset, size, number));
        std::ignore = tell(consumer);
        ++number;
    }
}

TEST_CASE("a reader that comes after one which died reads again what was not released") {
    MemoryRing ring(256);
    auto producer = ring.producer();
    RecordConsumer<MachineAtomics>::Record record{};
    for (std::uint32_t i = 0; i < 4; ++i) REQUIRE(put(producer, ring.data.data(), 20, i));
    std::ignore = tell(producer);
    {
        auto consumer = ring.consumer();
        REQUIRE(consumer.need(1) == Look::ready);
        REQUIRE(consumer.take(record));
        std::ignore = tell(consumer);
        REQUIRE(consumer.take(record));  // in use when its reader goes
    }
    auto successor = ring.consumer();
    for (std::uint32_t i = 1; i < 4; ++i) {
        REQUIRE(successor.need(1) == Look::ready);
        REQUIRE(successor.take(record));
        CHECK(filled(ring.data.data() + record.offset, record.size, i));
    }
    CHECK(successor.need(1) == Look::nothing);
}

namespace {

struct NotedClaims : MachineAtomics {
    static inline std::vector<std::size_t> offsets;
    static void claim(Data data, std::size_t offset, Site site) noexcept {
        offsets.push_back(offset);
        MachineAtomics::claim(data, offset, site);
    }
};

}  // namespace

TEST_CASE("claiming lines ahead leaves all bytes as they are, and touches none that the reader may read") {
    MemoryRing ring(2'048);
    for (std::size_t i = 0; i < ring.data.size(); ++i) ring.data[i] = static_cast<std::byte>(i * 31);
    const std::vector<std::byte> before = ring.data;
    RecordProducer<NotedClaims> producer(ring.writer, ring.reader, ring.data.data(), ring.size());
    auto consumer = ring.consumer();
    std::minstd_rand random(5);
    std::size_t claims = 0;
    for (int round = 0; round < 2'000; ++round) {
        const std::uint32_t units = 8 * (1 + static_cast<std::uint32_t>(random()) % 48);
        NotedClaims::offsets.clear();
        if (producer.need(units) == Look::ready && units <= producer.to_end()) {
            producer.claim(1, units);
            for (const std::size_t offset : NotedClaims::offsets) {
                const auto ahead = static_cast<std::uint32_t>(offset) - producer.offset();
                REQUIRE(ahead < producer.known());
                REQUIRE(offset < ring.size());
            }
            claims += NotedClaims::offsets.size();
            producer.advance(units);
            std::ignore = producer.publish_lightly();
        } else {
            const std::uint32_t some = std::min(units, producer.to_end());
            if (producer.need(some) == Look::ready) producer.advance(some);
            std::ignore = producer.publish_lightly();
        }
        if (random() % 3 == 0 && consumer.look(1) == Look::ready) {
            consumer.advance(consumer.known());
            std::ignore = consumer.publish_lightly();
        }
    }
    CHECK(claims > 1'000);
    CHECK(ring.data == before);
}

TEST_CASE("neighbouring records are claimed once, several at a time") {
    MemoryRing ring(4'096);
    RecordProducer<NotedClaims> producer(ring.writer, ring.reader, ring.data.data(), ring.size() / 64);
    NotedClaims::offsets.clear();
    REQUIRE(producer.need(1) == Look::ready);
    for (std::uint32_t i = 0; i < ring.size() / 64; ++i) {
        producer.claim(64, 1);
        REQUIRE(NotedClaims::offsets.size() > i);
        producer.advance(1);
    }
    std::vector<std::size_t> lines;
    for (std::size_t at = 0; at < ring.size(); at += 64) lines.push_back(at);
    CHECK(NotedClaims::offsets == lines);
}

TEST_CASE("whatever a writer puts into headers, nothing outside of what it committed is handed out") {
    std::mt19937 engine(1);
    const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
    std::uint32_t refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        MemoryRing ring(128);
        auto consumer = ring.consumer();
        const std::uint32_t committed = random() % 136 & ~7U;
        for (std::uint32_t at = 0; at < 128; at += 8) {
            RecordHeader header{random() % 140, at | (random() % 4)};
            if (random() % 8 == 0) header.mark = random();
            if (random() % 8 == 0) header.size = random();
            if (random() % 8 == 0) header.size = 128 - at - 8;
            std::memcpy(ring.data.data() + at, &header, sizeof(header));
        }
        ring.writer.cursor = committed;
        std::uint32_t taken = 0;
        while (consumer.need(1) == Look::ready) {
            RecordConsumer<MachineAtomics>::Record record{};
            if (!consumer.take(record)) {
                ++refused;
                break;
            }
            REQUIRE(record.offset >= 8);
            REQUIRE(record.offset + record.size <= committed);
            taken += record_units(record.size);
            REQUIRE(taken <= committed);
        }
    }
    CHECK(refused > 1'000);
}

TEST_CASE("two threads that sleep and wake each other lose nothing, and nobody sleeps for ever") {
    MemoryRing ring(512);
    const int items = ::eventfd(0, EFD_CLOEXEC);
    const int space = ::eventfd(0, EFD_CLOEXEC);
    const auto ring_bell = [](int bell) { REQUIRE(::eventfd_write(bell, 1) == 0); };
    // A sleep that the bell does not end is a lost wake-up; the limit only keeps the test from hanging.
    const auto sleep = [](int bell) {
        pollfd one{.fd = bell, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&one, 1, 20'000);
        eventfd_t value = 0;
        return ready == 1 && ::eventfd_read(bell, &value) == 0;
    };
    const std::uint32_t count = repeats(50'000);
    std::atomic<bool> lost = false;
    std::thread writer([&] {
        auto producer = ring.producer();
        std::minstd_rand random(3);
        for (std::uint32_t i = 0; i < count && !lost; ++i) {
            const std::uint32_t size = 4 + static_cast<std::uint32_t>(random()) % 200;
            const std::uint32_t units = producer.needed(size);
            if (producer.need(units) != Look::ready) {
                if (tell(producer)) ring_bell(items);
                while (!lost && producer.announce(units) == Look::nothing)
                    if (!sleep(space)) lost = true;
                if (lost) break;
            }
            std::memcpy(ring.data.data() + producer.payload_offset(size), &i, sizeof(i));
            producer.finish(size, size);
            if (random() % 4 != 0 && producer.publish_lightly()) ring_bell(items);
        }
        if (tell(producer)) ring_bell(items);
    });
    auto consumer = ring.consumer();
    std::uint32_t wrong = 0;
    for (std::uint32_t i = 0; i < count && !lost; ++i) {
        if (consumer.need(1) != Look::ready) {
            if (tell(consumer)) ring_bell(space);
            while (!lost && consumer.announce(1) == Look::nothing)
                if (!sleep(items)) lost = true;
            if (lost) break;
        }
        RecordConsumer<MachineAtomics>::Record record{};
        if (!consumer.take(record)) ++wrong;
        std::uint32_t number = 0;
        std::memcpy(&number, ring.data.data() + record.offset, sizeof(number));
        if (number != i) ++wrong;
        if (i % 3 != 0 && consumer.publish_lightly()) ring_bell(space);
    }
    if (tell(consumer)) ring_bell(space);
    writer.join();
    CHECK_FALSE(lost);
    CHECK(wrong == 0);
    ::close(items);
    ::close(space);
}
