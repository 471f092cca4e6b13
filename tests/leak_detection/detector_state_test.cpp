// SPDX-License-Identifier: MIT
#include "detector_state.hpp"

#include "loop_model.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <stdlib.h>
#include <unistd.h>

using namespace leak;

namespace {

DetectorModel after(std::uint64_t samples, std::uint64_t seed = 11) {
    LoopModel loop{{.seed = seed, .leak_at_s = 430}};
    DetectorModel detector;
    for (std::uint64_t i = 0; i < samples; ++i) detector.observe(loop.next().values);
    return detector;
}

std::vector<std::byte> image_of(const DetectorModel& detector, const Progression& progression = {}) {
    std::vector<std::byte> bytes(image_bytes_max);
    bytes.resize(encode_state(detector.state(), progression, bytes));
    return bytes;
}

/// An unlinked file.
class File {
public:
    File() {
        char path[] = "/tmp/weir_state_XXXXXX";
        fd_ = ::mkstemp(path);
        REQUIRE(fd_ >= 0);
        ::unlink(path);
    }
    ~File() { ::close(fd_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    int fd() const { return fd_; }

    void spoil(std::size_t offset) const {
        std::byte byte{};
        REQUIRE(::pread(fd_, &byte, 1, static_cast<off_t>(offset)) == 1);
        byte ^= std::byte{0x10};
        REQUIRE(::pwrite(fd_, &byte, 1, static_cast<off_t>(offset)) == 1);
    }

private:
    int fd_ = -1;
};

}  // namespace

TEST_CASE("a successor from any moment's image judges every later sample as the detector would have") {
    constexpr int seconds = 520;
    LoopModel loop{{.seed = 11, .leak_at_s = 430}};
    DetectorModel detector;
    DetectorModel successor;
    std::vector<std::byte> bytes(image_bytes_max);
    for (std::uint64_t second = 0; second < seconds; ++second) {
        const Progression place{.place = {.recording = 7, .next_sequence = second},
                                .counts = {1, 2, second, 1ull << 40}};
        const auto size = encode_state(successor.state(), place, bytes);
        REQUIRE(size > 0);
        REQUIRE((second < learning_samples || size == image_bytes_watching));
        DetectorState state;
        Progression loaded;
        REQUIRE(decode_state(std::span{bytes}.first(size), state, loaded) == StateError::none);
        REQUIRE(loaded == place);
        successor = DetectorModel{state};  // killed and replaced before every sample

        const auto values = loop.next().values;
        REQUIRE(successor.observe(values) == detector.observe(values));
        REQUIRE(successor.last() == detector.last());
    }
    CHECK(detector.last().alarm);
    CHECK(image_of(successor) == image_of(detector));
}

TEST_CASE("an image's bytes are the same on every machine") {
    DetectorState state;
    state.samples_count = 1;
    state.window[0][0] = 1.0;
    std::vector<std::byte> bytes(image_bytes_max);
    const auto size =
        encode_state(state, {.place = {.recording = 0x01020304, .next_sequence = 5}, .counts = {}}, bytes);
    CHECK(size == image_bytes_watching + 64);
    const std::array<unsigned, 12> start{0x6c, 0x65, 0x61, 0x6b, 2, 0, 0, 0, 0x70, 0x03, 0, 0};
    for (std::size_t i = 0; i < start.size(); ++i) CHECK(std::to_integer<unsigned>(bytes[i]) == start[i]);
    CHECK(bytes[16] == std::byte{4});
    CHECK(bytes[19] == std::byte{1});
    CHECK(bytes[image_bytes_watching + 7] == std::byte{0x3f});
    CHECK(encode_state(state, {}, std::span{bytes}.first(size - 1)) == 0);
}

TEST_CASE("a spoiled or cut image is an error and leaves state and place as they were") {
    for (const std::uint64_t samples : {0u, 3u, 450u}) {
        const auto whole = image_of(after(samples));
        DetectorState state;
        state.samples_count = 123'456;
        Progression place{.place = {.recording = 9, .next_sequence = 9}, .counts = {}};
        for (std::size_t i = 0; i < whole.size(); ++i) {
            auto bytes = whole;
            bytes[i] ^= static_cast<std::byte>(1u << (i % 8));
            REQUIRE(decode_state(bytes, state, place) != StateError::none);
        }
        for (std::size_t size = 0; size < whole.size(); ++size) {
            REQUIRE(decode_state(std::span{whole}.first(size), state, place) == StateError::too_short);
        }
        CHECK(state.samples_count == 123'456);
        CHECK(place.place == StreamPlace{.recording = 9, .next_sequence = 9});
        CHECK(decode_state(whole, state, place) == StateError::none);
    }
}

TEST_CASE("an image with a right checksum and impossible values is refused") {
    auto detector = after(450);
    const auto refused = [](const DetectorState& changed) {
        std::vector<std::byte> bytes(image_bytes_max);
        encode_state(changed, {}, bytes);
        DetectorState state;
        Progression place;
        return decode_state(bytes, state, place) == StateError::impossible;
    };
    CHECK(!refused(detector.state()));
    auto state = detector.state();
    state.factor = 0;
    CHECK(refused(state));
    state = detector.state();
    state.mean[3] = std::numeric_limits<double>::quiet_NaN();
    CHECK(refused(state));
    state = detector.state();
    state.factor_of_correlation[2][2] = 0;
    CHECK(refused(state));
    state = detector.state();
    state.alarm.in_row = AlarmLogic::clear_samples;
    CHECK(refused(state));
}

TEST_CASE("a store gives back the newest state, and the one before when that is spoiled") {
    const File file;
    auto loaded = std::make_unique<DetectorState>();
    Progression place;
    {
        StateStore store{file.fd()};
        CHECK(store.load(*loaded, place) == StateStore::Loaded::nothing);
        for (std::uint64_t samples = 1; samples <= 5; ++samples) {
            REQUIRE(store.save(after(samples).state(),
                               {.place = {.recording = 1, .next_sequence = samples}, .counts = {}}));
        }
    }
    StateStore store{file.fd()};
    CHECK(store.load(*loaded, place) == StateStore::Loaded::state);
    CHECK(place.place == StreamPlace{.recording = 1, .next_sequence = 5});
    CHECK(loaded->samples_count == 5);
    CHECK(store.generation() == 5);

    // Generation 5 is in slot 1. Whatever byte of it a kill left undone, slot 0 has generation 4.
    for (const std::size_t offset : {0u, 8u, 16u, 28u, 40u, 900u}) {
        file.spoil(StateStore::slot_bytes + offset);
        StateStore again{file.fd()};
        CHECK(again.load(*loaded, place) == StateStore::Loaded::state);
        CHECK(place.place.next_sequence == 4);
        file.spoil(StateStore::slot_bytes + offset);
    }
    file.spoil(StateStore::slot_bytes + 100);
    StateStore survivor{file.fd()};
    CHECK(survivor.load(*loaded, place) == StateStore::Loaded::state);
    REQUIRE(survivor.save(after(6).state(), {.place = {.recording = 1, .next_sequence = 6}, .counts = {}}));
    StateStore successor{file.fd()};
    CHECK(successor.load(*loaded, place) == StateStore::Loaded::state);
    CHECK(place.place.next_sequence == 6);

    file.spoil(100);
    file.spoil(StateStore::slot_bytes + 100);
    StateStore lost{file.fd()};
    CHECK(lost.load(*loaded, place) == StateStore::Loaded::damaged);
    CHECK(lost.damage() == StateError::wrong_checksum);
    CHECK(lost.save(after(1).state(), {.place = {.recording = 2, .next_sequence = 1}, .counts = {}}));
    CHECK(lost.load(*loaded, place) == StateStore::Loaded::state);
    CHECK(place.place.recording == 2);
}

TEST_CASE("a store that a kill cut at any byte gives the state before") {
    const File file;
    const auto older = after(399);
    const auto newer = after(400);
    const auto image = image_of(older, {.place = {.recording = 0, .next_sequence = 399}, .counts = {}});
    // Both images one after the other into the same slot: every cut is a prefix of the newer over the older.
    std::vector<std::byte> before(StateStore::slot_bytes);
    std::vector<std::byte> complete(StateStore::slot_bytes);
    StateStore store{file.fd()};
    REQUIRE(store.save(older.state(), {.place = {.recording = 0, .next_sequence = 398}, .counts = {}}));
    REQUIRE(store.save(older.state(), {.place = {.recording = 0, .next_sequence = 399}, .counts = {}}));
    REQUIRE(::pread(file.fd(), before.data(), before.size(), StateStore::slot_bytes) > 0);
    REQUIRE(store.save(newer.state(), {.place = {.recording = 0, .next_sequence = 400}, .counts = {}}));
    REQUIRE(::pread(file.fd(), complete.data(), complete.size(), StateStore::slot_bytes) > 0);
    auto loaded = std::make_unique<DetectorState>();
    for (std::size_t cut = 0; cut <= StateStore::slot_header_bytes + image_bytes_watching; ++cut) {
        auto slot = before;
        std::copy_n(complete.begin(), cut, slot.begin());
        REQUIRE(::pwrite(file.fd(), slot.data(), slot.size(), StateStore::slot_bytes) ==
                static_cast<ssize_t>(slot.size()));
        StateStore successor{file.fd()};
        Progression place;
        REQUIRE(successor.load(*loaded, place) == StateStore::Loaded::state);
        REQUIRE((place.place.next_sequence == 399 || place.place.next_sequence == 400));
        const bool same =
            std::equal(slot.begin(), slot.begin() + StateStore::slot_header_bytes + image_bytes_watching,
                       complete.begin());
        REQUIRE((place.place.next_sequence == 400) == same);
    }
}

TEST_CASE("a store that cannot be written or read says so") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    StateStore store{ends[0]};
    auto loaded = std::make_unique<DetectorState>();
    Progression place;
    CHECK(store.load(*loaded, place) == StateStore::Loaded::failed);
    CHECK(!store.save(*loaded, place));
    ::close(ends[0]);
    ::close(ends[1]);
}
