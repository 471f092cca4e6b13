// SPDX-License-Identifier: MIT
#include <weir/ipc/ring/cursors.hpp>

#include "memory_ring.hpp"
#include "support/catch.hpp"

namespace {

using namespace weir::test;

struct Pair {
    explicit Pair(std::uint32_t capacity, std::uint32_t start = 0) {
        words[0].cursor = start;
        words[1].cursor = start;
        producer = Producer<MachineAtomics>(words[0], words[1], capacity);
        consumer = Consumer<MachineAtomics>(words[1], words[0], capacity);
    }
    Words<MachineAtomics> words[2];
    Producer<MachineAtomics> producer;
    Consumer<MachineAtomics> consumer;
};

}  // namespace

TEST_CASE("an empty ring has all its space and no items") {
    Pair ring(8);
    CHECK(ring.producer.need(8) == Look::ready);
    CHECK(ring.producer.need(9) == Look::nothing);
    CHECK(ring.consumer.need(1) == Look::nothing);
}

TEST_CASE("what is published is there for the other side, what is deferred is not") {
    Pair ring(8);
    REQUIRE(ring.producer.need(3) == Look::ready);
    ring.producer.advance(3);
    CHECK(ring.producer.deferred());
    CHECK(ring.consumer.need(1) == Look::nothing);
    CHECK_FALSE(tell(ring.producer));  // nobody sleeps
    CHECK_FALSE(ring.producer.deferred());
    CHECK(ring.consumer.need(3) == Look::ready);
    CHECK(ring.consumer.need(4) == Look::nothing);
    CHECK(ring.producer.need(6) == Look::nothing);
    ring.consumer.advance(2);
    CHECK(ring.producer.need(6) == Look::nothing);
    CHECK_FALSE(tell(ring.consumer));
    CHECK(ring.producer.need(7) == Look::ready);
}

TEST_CASE("cursors run through zero") {
    Pair ring(4, 0xffff'fffeU);
    for (int i = 0; i < 10; ++i) {
        REQUIRE(ring.producer.need(3) == Look::ready);
        ring.producer.advance(3);
        REQUIRE_FALSE(tell(ring.producer));
        REQUIRE(ring.consumer.need(3) == Look::ready);
        REQUIRE(ring.consumer.look(4) == Look::nothing);
        ring.consumer.advance(3);
        REQUIRE_FALSE(tell(ring.consumer));
    }
}

TEST_CASE("a sleeper is rung once for each sleep") {
    Pair ring(8);
    REQUIRE(ring.consumer.announce(1) == Look::nothing);
    CHECK(ring.consumer.announced());
    ring.producer.advance(1);
    CHECK(tell(ring.producer));
    ring.producer.advance(1);
    CHECK_FALSE(tell(ring.producer));
    ring.consumer.awake();
    CHECK_FALSE(ring.consumer.announced());
    ring.producer.advance(1);
    CHECK_FALSE(tell(ring.producer));
    REQUIRE(ring.consumer.announce(4) == Look::nothing);
    ring.producer.advance(1);
    CHECK(tell(ring.producer));
}

TEST_CASE("each announcement is a new one, also without a time awake between") {
    Pair ring(8);
    REQUIRE(ring.producer.need(8) == Look::ready);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(ring.consumer.announce(5) == Look::nothing);
        ring.producer.advance(1);
        CHECK(tell(ring.producer));
    }
    REQUIRE(ring.consumer.announce(3) == Look::ready);
    CHECK_FALSE(ring.consumer.announced());
    ring.producer.advance(1);
    CHECK_FALSE(tell(ring.producer));
}

TEST_CASE("space is waited for like items") {
    Pair ring(2);
    REQUIRE(ring.producer.need(2) == Look::ready);
    ring.producer.advance(2);
    CHECK_FALSE(tell(ring.producer));
    REQUIRE(ring.producer.announce(1) == Look::nothing);
    REQUIRE(ring.consumer.need(2) == Look::ready);
    ring.consumer.advance(1);
    CHECK(tell(ring.consumer));
    ring.consumer.advance(1);
    CHECK_FALSE(tell(ring.consumer));
    CHECK(ring.producer.announce(2) == Look::ready);
    CHECK_FALSE(ring.producer.announced());
}

TEST_CASE("epochs go on from the stored value, and a new peer is rung for a sleep that began before it") {
    Pair ring(8);
    REQUIRE(ring.consumer.announce(1) == Look::nothing);
    REQUIRE(ring.producer.need(8) == Look::ready);
    ring.producer.advance(1);
    REQUIRE(tell(ring.producer));
    Producer<MachineAtomics> successor(ring.words[0], ring.words[1], 8);
    CHECK(successor.known() == 0);
    CHECK(successor.need(7) == Look::ready);
    successor.advance(1);
    CHECK(tell(successor));
    Consumer<MachineAtomics> next_reader(ring.words[1], ring.words[0], 8);
    CHECK(next_reader.need(2) == Look::ready);
    const std::uint32_t before = ring.words[1].epoch;
    REQUIRE(next_reader.announce(3) == Look::nothing);
    CHECK(ring.words[1].epoch == before + 2);
    successor.advance(1);
    CHECK(tell(successor));
}

TEST_CASE("a peer's cursor that goes back or too far is refused, and nothing of it is kept") {
    Pair ring(8, 100);
    ring.producer.advance(0);
    REQUIRE(ring.producer.need(8) == Look::ready);
    ring.producer.advance(4);
    REQUIRE_FALSE(tell(ring.producer));
    REQUIRE(ring.consumer.need(4) == Look::ready);

    for (const std::uint32_t bad : {103U, 99U, 109U, 100U + 0x8000'0000U, 0U}) {
        ring.words[0].cursor = bad;
        CHECK(ring.consumer.look(1) == Look::corrupt);
        CHECK(ring.consumer.known() == 4);
    }
    ring.words[0].cursor = 108;  // as far as there is room
    CHECK(ring.consumer.look(8) == Look::ready);

    for (const std::uint32_t bad : {99U, 105U, 0xffff'ffffU}) {
        ring.words[1].cursor = bad;  // more than was ever committed, or less than was released
        CHECK(ring.producer.look(1) == Look::corrupt);
        CHECK(ring.producer.known() == 4);
    }
    ring.words[1].cursor = 104;
    CHECK(ring.producer.look(8) == Look::ready);
}
