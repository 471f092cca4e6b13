// SPDX-License-Identifier: MIT
#include <weir/ipc/topic/entries.hpp>

#include "support/catch.hpp"

#include <deque>
#include <memory>
#include <vector>

namespace {

using namespace weir::ipc::topic;

// A publisher and its subscribers inside one thread, with a number in each slot in the place of a sample.
class Topic {
public:
    Topic(std::uint32_t depth, std::uint32_t subscribers, std::uint32_t pins, std::uint64_t head = 0)
        : slots(depth + 1 + subscribers * pins),
          pins_(pins),
          entries(depth),
          samples(slots),
          writer(publisher, entries.data(), depth, head),
          pool_words_(SlotPool::words_of(slots)),
          pool(pool_words_.data(), slots) {
        publisher.cursor = static_cast<std::uint32_t>(head);
        for (std::uint32_t i = 0; i < subscribers; ++i) {
            subscriber.emplace_back().position = static_cast<std::uint32_t>(head);
            peers.emplace_back(subscriber.back(), head);
        }
    }

    void publish(std::uint32_t count = 1) {
        for (; count > 0; --count) {
            if (pool.empty()) {
                reclaim<MachineAtomics>(pool, [&](SlotPool& marked) {
                    for (const auto& peer : peers) pins_sound = peer.keep_pins(marked, pins_) && pins_sound;
                });
            }
            REQUIRE_FALSE(pool.empty());
            const std::uint32_t slot = pool.take();
            samples[slot] = writer.head();
            const std::uint32_t gone = writer.publish(slot);
            if (gone != no_slot) pool.retire(gone);
        }
    }
    [[nodiscard]] Reader<MachineAtomics> reader(std::uint32_t which, std::uint32_t keep = 0) {
        return {subscriber[which],
                publisher,
                entries.data(),
                {.depth = writer.depth(), .slots = slots, .keep = keep == 0 ? writer.depth() : keep}};
    }

    std::uint32_t slots;

private:
    std::uint32_t pins_;

public:
    PublisherWords<MachineAtomics> publisher;
    std::deque<SubscriberWords<MachineAtomics>> subscriber;
    std::vector<Entry<MachineAtomics>> entries;
    std::vector<std::uint64_t> samples;
    Writer<MachineAtomics> writer;
    std::vector<Peer<MachineAtomics>> peers;
    bool pins_sound = true;

private:
    std::vector<std::uint32_t> pool_words_;

public:
    SlotPool pool;
};

void expect(Topic& topic, Reader<MachineAtomics>& reader, std::uint64_t sequence, std::uint64_t missed = 0) {
    Taken taken{};
    REQUIRE(reader.take(0, taken) == Found::sample);
    CHECK(taken.sequence == sequence);
    CHECK(taken.missed == missed);
    CHECK(topic.samples[taken.slot] == sequence);
    reader.release(taken.pin);
}
void expect_nothing(Reader<MachineAtomics>& reader) {
    Taken taken{};
    CHECK(reader.take(0, taken) == Found::nothing);
}

}  // namespace

TEST_CASE("samples come to every subscriber in the order in which they were published") {
    Topic topic(4, 2, 1);
    auto one = topic.reader(0);
    auto other = topic.reader(1);
    expect_nothing(one);
    for (std::uint64_t i = 0; i < 20; i += 2) {
        topic.publish(2);
        expect(topic, one, i);
        expect(topic, one, i + 1);
        expect_nothing(one);
        expect(topic, other, i);
        expect(topic, other, i + 1);
    }
}

TEST_CASE(
    "a subscriber that is overtaken goes on with the oldest sample that is there, and knows how many it "
    "missed") {
    Topic topic(4, 1, 1);
    auto reader = topic.reader(0);
    topic.publish(4);
    expect(topic, reader, 0);
    topic.publish(1);
    expect(topic, reader, 1);
    topic.publish(9);  // 14 in all, of which the last 4 are there
    expect(topic, reader, 10, 8);
    topic.publish(3);
    expect(topic, reader, 13, 2);
    expect(topic, reader, 14);
    expect(topic, reader, 15);
    expect(topic, reader, 16);
    expect_nothing(reader);
}

TEST_CASE("a subscriber that was overtaken since it looked last counts each sample once") {
    Topic topic(4, 1, 1);
    auto reader = topic.reader(0);
    topic.publish(4);
    std::uint64_t taken_count = 0;
    std::uint64_t missed_count = 0;
    // It looks only when it knows of no more, and is overtaken in between by every distance.
    for (std::uint32_t step = 0; step < 30; ++step) {
        Taken taken{};
        REQUIRE(reader.take(0, taken) == Found::sample);
        ++taken_count;
        missed_count += taken.missed;
        CHECK(taken_count + missed_count == taken.sequence + 1);
        CHECK(topic.samples[taken.slot] == taken.sequence);
        reader.release(taken.pin);
        topic.publish(step % 11 + 1);
    }
    CHECK(missed_count > 0);
}

TEST_CASE("one that wants only the last few has older ones count as missed") {
    Topic topic(8, 1, 1);
    auto reader = topic.reader(0, 2);
    topic.publish(5);
    expect(topic, reader, 3, 3);
    expect(topic, reader, 4);
    topic.publish(2);
    expect(topic, reader, 5);
}

TEST_CASE("who joins late begins with the history that it asks for, as far as that is there") {
    // It came when `came_at` of the samples were published.
    const auto first_of = [](std::uint32_t published, std::uint64_t floor, std::uint64_t came_at,
                             std::uint32_t history) {
        Topic topic(8, 1, 1);
        topic.publish(published);
        auto reader = topic.reader(0);
        reader.begin(floor, came_at, history);
        CHECK(topic.subscriber[0].position == static_cast<std::uint32_t>(reader.position()));
        if (reader.position() == published) topic.publish(1);
        Taken taken{};
        REQUIRE(reader.take(0, taken) == Found::sample);
        CHECK(taken.missed == 0);
        return taken.sequence;
    };
    CHECK(first_of(5, 5, 5, 0) == 5);
    CHECK(first_of(5, 0, 5, 0) == 5);
    CHECK(first_of(5, 0, 5, 3) == 2);
    CHECK(first_of(5, 4, 5, 3) == 4);
    CHECK(first_of(5, 0, 5, 100) == 0);
    CHECK(first_of(20, 15, 20, 3) == 17);
    CHECK(first_of(20, 15, 20, 7) == 15);
    CHECK(first_of(0, 0, 0, 7) == 0);
    // Others came since: they are its own.
    CHECK(first_of(20, 12, 17, 0) == 17);
    CHECK(first_of(20, 8, 16, 100) == 12);
    CHECK(first_of(40, 8, 16, 100) == 32);
}

TEST_CASE("the newest sample can be had at any time, and what lies before it has been missed") {
    Topic topic(4, 1, 2);
    auto reader = topic.reader(0);
    Taken taken{};
    CHECK(reader.take_newest(0, taken) == Found::nothing);
    topic.publish(3);
    REQUIRE(reader.take_newest(0, taken) == Found::sample);
    CHECK(taken.sequence == 2);
    CHECK(taken.missed == 2);
    reader.release(0);
    SECTION("it comes again as long as it is the newest, and then next has what came after it") {
        REQUIRE(reader.take_newest(0, taken) == Found::sample);
        CHECK(taken.sequence == 2);
        CHECK(taken.missed == 0);
        reader.release(0);
        expect_nothing(reader);
        topic.publish(2);
        expect(topic, reader, 3);
    }
    SECTION("a lap later it is another one") {
        topic.publish(9);
        REQUIRE(reader.take_newest(0, taken) == Found::sample);
        CHECK(taken.sequence == 11);
        CHECK(taken.missed == 8);
        CHECK(topic.samples[taken.slot] == 11);
    }
}

TEST_CASE("a sample that is pinned stays as it is, however many are published meanwhile") {
    Topic topic(2, 1, 2);
    auto reader = topic.reader(0);
    topic.publish(2);
    Taken held{};
    REQUIRE(reader.take(0, held) == Found::sample);
    Taken second{};
    REQUIRE(reader.take(1, second) == Found::sample);
    topic.publish(50);
    CHECK(topic.samples[held.slot] == 0);
    CHECK(topic.samples[second.slot] == 1);
    reader.release(0);
    topic.publish(20);
    CHECK(topic.samples[held.slot] != 0);
    CHECK(topic.samples[second.slot] == 1);
}

TEST_CASE("whatever a subscriber pins, the publisher has slots and the others get their samples") {
    Topic topic(4, 2, 3);
    auto honest = topic.reader(0);
    std::uint64_t next = 0;
    for (std::uint32_t round = 0; round < 200; ++round) {
        for (std::uint32_t i = 0; i < pins_max; ++i)
            topic.subscriber[1].pins[i] = (round * 7 + i * 3) % (topic.slots + 1);
        topic.publish(1);
        expect(topic, honest, next++);
    }
    CHECK(topic.pins_sound);
    SECTION("one that cannot be is noticed") {
        topic.subscriber[1].pins[2] = topic.slots + 1;
        topic.publish(topic.slots);
        CHECK_FALSE(topic.pins_sound);
    }
}

TEST_CASE("a position may neither go back nor beyond what was published") {
    Topic topic(8, 1, 1);
    topic.publish(5);
    auto& peer = topic.peers[0];
    const auto look = [&](std::uint32_t position) {
        topic.subscriber[0].position = position;
        return peer.look(topic.writer.head());
    };
    CHECK(look(0));
    CHECK(look(3));
    CHECK(peer.position() == 3);
    CHECK_FALSE(look(2));
    CHECK_FALSE(look(6));
    CHECK_FALSE(look(0xffff'ffff));
    CHECK(peer.position() == 3);
    CHECK(look(5));
}

TEST_CASE("a publisher that died while it published leaves one sample less and nothing broken") {
    Topic topic(4, 1, 1);
    auto reader = topic.reader(0);
    topic.publish(6);
    topic.entries[6 % 4].number = 0;  // number 3 was about to become number 7
    expect(topic, reader, 3, 3);
    expect(topic, reader, 4);
    expect(topic, reader, 5);
    expect_nothing(reader);
}

TEST_CASE("a publisher that writes what it must not is found out") {
    Topic topic(4, 1, 1);
    auto reader = topic.reader(0);
    Taken taken{};
    topic.publish(2);
    const auto finds = [&] { return reader.take(0, taken); };
    SECTION("a number that belongs to another entry") {
        topic.entries[0].number = 3;
    }
    SECTION("an entry that is older than it should be") {
        expect(topic, reader, 0);
        topic.entries[1].number = 1;
    }
    SECTION("a slot that is not there") {
        topic.entries[0].slot = topic.slots;
    }
    SECTION("a cursor that goes back") {
        expect(topic, reader, 0);
        expect(topic, reader, 1);
        topic.publisher.cursor = 0;
    }
    CHECK(finds() == Found::corrupt);
    CHECK(topic.subscriber[0].pins[0] == 0);
}

TEST_CASE("samples are counted beyond what 32 bits hold") {
    constexpr std::uint64_t start = (std::uint64_t{1} << 32) - 8;
    Topic topic(4, 2, 1, start);
    auto reader = topic.reader(0);
    auto slow = topic.reader(1);
    reader.begin(start, start, 0);
    slow.begin(start, start, 0);
    for (std::uint64_t i = 0; i < 20; ++i) {
        topic.publish(1);
        expect(topic, reader, start + i);
        Taken newest{};
        REQUIRE(reader.take_newest(0, newest) == Found::sample);
        CHECK(newest.sequence == start + i);
        reader.release(0);
        CHECK(topic.peers[0].look(topic.writer.head()));
        CHECK(topic.peers[0].position() == start + i + 1);
    }
    expect(topic, slow, start + 16, 16);
}

TEST_CASE("a subscriber that was stopped for a whole lap of the cursor still counts what it missed") {
    Topic topic(4, 1, 1);
    auto reader = topic.reader(0);
    topic.publish(2);
    expect(topic, reader, 0);
    expect(topic, reader, 1);
    // As if 2^32 samples had been published: the cursor is the same again.
    constexpr std::uint64_t lap = std::uint64_t{1} << 32;
    for (std::uint64_t i = 0; i < 4; ++i) {
        auto& entry = topic.entries[(2 + i) % 4];
        topic.samples[static_cast<std::size_t>(i)] = lap + i - 2;
        entry.slot = static_cast<std::uint32_t>(i);
        entry.number = lap + i - 1;
    }
    expect(topic, reader, lap - 2, lap - 4);
    expect(topic, reader, lap - 1);
    expect(topic, reader, lap);
    expect(topic, reader, lap + 1);
    expect_nothing(reader);
}

TEST_CASE("a sleeper is rung once for each of its sleeps") {
    Topic topic(4, 1, 1);
    Sleeper<MachineAtomics> sleeper(topic.subscriber[0].epoch);
    auto& peer = topic.peers[0];
    CHECK_FALSE(peer.asleep());
    sleeper.announce();
    CHECK(peer.asleep());
    CHECK_FALSE(peer.asleep());
    sleeper.announce();  // again, without having been awake
    CHECK(peer.asleep());
    sleeper.withdraw();
    CHECK_FALSE(peer.asleep());
    sleeper.withdraw();
    CHECK(topic.subscriber[0].epoch == 4);
}
