// SPDX-License-Identifier: MIT
#include "wire.hpp"

#include "noise.hpp"
#include "support/catch.hpp"
#include "support/totals.hpp"

#include <cstring>
#include <limits>
#include <vector>

using namespace leak;

namespace {

const std::vector<Record>& one_of_each() {
    static const std::vector<Record> records{
        Reading{.signal = Signal::flow,
                .labels = {true, false},
                .sequence = 1ull << 40,
                .time_s = -7,
                .value = 76.25},
        StreamEnd{.signal = Signal::pressure, .readings_count = 1'137},
        StreamFailure{
            .signal = Signal::current,
            .text =
                BoundedText<StreamFailure::text_bytes_max>{"a.csv:17:5: Pressure: \"abc\" is not a number"}},
        JoinedSample{.recording = 3,
                     .sequence = 511,
                     .sample = {1'583'077'446, {1, 2, 3, 4, 5, 6, 7, 8}, {false, true}},
                     .missing = 0x81},
        Acknowledgement{.recording = 3,
                        .unqueued_count = 2,
                        .sequence = 511,
                        .time_s = 1'583'077'446,
                        .verdict = {Phase::watching, true, true, AlarmLogic::Change::raised, 141.5, 59.25}},
        Resume{.place = {3, 512}, .learned_before = true},
        Setting{.factor = 2.5},
        RecordingEnd{.recording = 3, .samples_count = 1'137},
        Figures{.recording = 3, .samples_count = 1'137, .counts = {387, 22, 11, 317}},
        Announcement{.recording = 3,
                     .kind = Announcement::Kind::cleared,
                     .ignored_signals = 0x81,
                     .sequence = 511,
                     .time_s = 1'583'077'446,
                     .statistic = 141.5,
                     .threshold = 59.25},
        Notice{.kind = Notice::Kind::trouble,
               .text = BoundedText<Notice::text_bytes_max>{"acquisition is started again"}},
        Progress{.recording = 3,
                 .paused = true,
                 .phase = Phase::watching,
                 .alarm = true,
                 .samples_count = 512,
                 .time_s = -7,
                 .statistic = 141.5,
                 .threshold = 59.25},
        Operation{.paused = true, .factor = 2.5},
        ClientLimit{.clients_max = 4},
        Point{.recording = 3,
              .phase = Phase::watching,
              .alarm = true,
              .unqueued_count = 2,
              .sequence = 511,
              .time_s = -7,
              .statistic = 141.5,
              .threshold = 59.25},
        TakenUpTo{.position = 1ull << 40},
    };
    return records;
}

std::vector<std::byte> bytes_of(const Record& record) {
    std::vector<std::byte> bytes(record_bytes_max);
    bytes.resize(encode(record, bytes));
    return bytes;
}

Decoded outcome_of(std::span<const std::byte> bytes) {
    Record record;
    std::size_t size = 0;
    return decode(bytes, record, size);
}

}  // namespace

TEST_CASE("each kind of record comes back as it was") {
    for (const Record& record : one_of_each()) {
        CAPTURE(record.index());
        const auto bytes = bytes_of(record);
        REQUIRE(!bytes.empty());
        Record taken;
        std::size_t size = 0;
        CHECK(decode(bytes, taken, size) == Decoded::record);
        CHECK(size == bytes.size());
        CHECK(taken == record);
        std::vector<std::byte> too_small(bytes.size() - 1);
        CHECK(encode(record, too_small) == 0);
    }
}

TEST_CASE("a record's bytes are the same on every machine") {
    const auto bytes = bytes_of(Setting{.factor = 3.0});
    const std::array<unsigned, 16> expected{16, 0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x40};
    REQUIRE(bytes.size() == expected.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i < 4 || i >= record_header_bytes) CHECK(std::to_integer<unsigned>(bytes[i]) == expected[i]);
    }
}

TEST_CASE("every changed bit of a record is an error, and every cut is incomplete") {
    for (const Record& record : one_of_each()) {
        const auto whole = bytes_of(record);
        for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
            auto bytes = whole;
            bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
            REQUIRE(outcome_of(bytes) != Decoded::record);
        }
        for (std::size_t size = 0; size < whole.size(); ++size) {
            REQUIRE(outcome_of(std::span{whole}.first(size)) == Decoded::incomplete);
        }
    }
    CHECK(outcome_of(std::vector<std::byte>(100)) == Decoded::unknown_kind);
}

TEST_CASE("a value out of range is an error even with a right checksum") {
    const double infinity = std::numeric_limits<double>::infinity();
    Reading reading;
    CHECK(outcome_of(bytes_of(reading)) == Decoded::record);
    reading.signal = static_cast<Signal>(signals_count);
    CHECK(outcome_of(bytes_of(reading)) == Decoded::impossible);
    reading = {};
    reading.value = infinity;
    CHECK(outcome_of(bytes_of(reading)) == Decoded::impossible);
    JoinedSample joined;
    joined.sample.values[7] = -infinity;
    CHECK(outcome_of(bytes_of(joined)) == Decoded::impossible);
    CHECK(outcome_of(bytes_of(Setting{.factor = 0})) == Decoded::impossible);
    CHECK(outcome_of(bytes_of(Setting{.factor = -infinity})) == Decoded::impossible);
    CHECK(outcome_of(bytes_of(Operation{.paused = false, .factor = 0})) == Decoded::record);
    CHECK(outcome_of(bytes_of(Operation{.paused = false, .factor = -1})) == Decoded::impossible);
    CHECK(outcome_of(bytes_of(Progress{.recording = 0, .statistic = infinity})) == Decoded::impossible);
    Announcement announcement;
    announcement.kind = static_cast<Announcement::Kind>(3);
    CHECK(outcome_of(bytes_of(announcement)) == Decoded::impossible);
    Point point;
    point.statistic = infinity;
    CHECK(outcome_of(bytes_of(point)) == Decoded::impossible);
}

TEST_CASE("a reader cuts a stream into records, however it arrives") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        weir::test::totals().note_seed();
        Noise noise{seed};
        std::vector<Record> sent;
        std::vector<std::byte> stream;
        for (int i = 0; i < 60; ++i) {
            sent.push_back(one_of_each()[noise.index(one_of_each().size())]);
            const auto bytes = bytes_of(sent.back());
            stream.insert(stream.end(), bytes.begin(), bytes.end());
        }
        RecordReader reader;
        std::vector<Record> received;
        Record record;
        std::span<const std::byte> rest{stream};
        while (!rest.empty()) {
            const auto room = reader.room();
            const auto size = std::min({room.size(), rest.size(), 1 + noise.index(1'500)});
            REQUIRE(size > 0);
            std::memcpy(room.data(), rest.data(), size);
            reader.filled(size);
            rest = rest.subspan(size);
            while (reader.next(record) == Decoded::record) received.push_back(record);
        }
        CHECK(received == sent);
        CHECK(reader.rest() == 0);
    }
}

TEST_CASE("a reader's error is final") {
    RecordReader reader;
    const auto bytes = bytes_of(Setting{});
    auto spoiled = bytes;
    spoiled.at(record_header_bytes) ^= std::byte{1};
    for (const auto& part : {spoiled, bytes}) {
        std::memcpy(reader.room().data(), part.data(), part.size());
        reader.filled(part.size());
    }
    Record record;
    CHECK(reader.next(record) == Decoded::wrong_checksum);
    CHECK(reader.next(record) == Decoded::wrong_checksum);
    CHECK(text_of(Decoded::wrong_checksum) == "a record's checksum is wrong");
}

TEST_CASE("random bytes never become a record") {
    Noise noise{1};
    std::vector<std::byte> bytes(record_bytes_max);
    for (int i = 0; i < 20'000; ++i) {
        for (std::size_t k = 0; k < 64; ++k) bytes[k] = static_cast<std::byte>(noise.next());
        if (i % 2 == 0) {  // a plausible header
            const auto& record = one_of_each()[static_cast<std::size_t>(i / 2) % one_of_each().size()];
            const auto plausible = bytes_of(record);
            std::memcpy(bytes.data(), plausible.data(), 4);
        }
        REQUIRE(outcome_of(bytes) != Decoded::record);
    }
}
