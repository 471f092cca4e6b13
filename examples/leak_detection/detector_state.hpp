// SPDX-License-Identifier: MIT
//
// The detector's memory as bytes, so that a successor continues where a killed detector was.
//
// An image is fixed-width little-endian fields: a header (magic, version, length, checksum), the place in the
// stream of samples with what was counted up to there, and the whole DetectorState bit by bit. The learning window is part of it only while the
// model learns, as many samples as there are: an image is at most `image_bytes_max`, and
// `image_bytes_watching` from then on, so that it can be saved after each sample. What decode_state accepts
// has the right length, version and checksum and only values that a model can have; anything else is an
// error, never a model in disorder.
//
// A store is two slots of `slot_bytes` in one file. Each save goes into the slot that does not hold the
// newest image, with the next generation number; a kill in the middle of writing spoils that slot alone, its
// checksum tells, and the other one still holds the image before. This protects against the death of the
// process, not of the machine: nothing is forced to disk.
#pragma once

#include "detector_model.hpp"
#include "score.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace leak {

/// Which sample of which recording a detector has come to.
struct StreamPlace {
    std::uint32_t recording = 0;      // counted by acquisition; each recording is learned afresh
    std::uint64_t next_sequence = 0;  // the first sample that is not in the state

    friend bool operator==(const StreamPlace&, const StreamPlace&) = default;
};

/// What is saved beside the model: the place, and the verdicts on this recording against its labels. They are
/// saved in one image, so a successor never counts a sample twice, nor not at all.
struct Progression {
    StreamPlace place;
    Counts counts;

    friend bool operator==(const Progression&, const Progression&) = default;
};

// magic 4, version 2, reserved 2, length 4, checksum 4
inline constexpr std::size_t image_header_bytes = 16;
// recording 4, alarm 1, verdict's phase, anomaly, alarm, change 4 x 1, reserved 3, alarm's samples in row 4,
// next sequence 8, counts 4 x 8, samples 8, factor 8, percentile 8, verdict's statistic 8 and threshold 8,
// smoothed, mean, deviation 3 x 64, factor of the correlation 512
inline constexpr std::size_t image_bytes_watching =
    image_header_bytes + 16 + 10 * 8 + 3 * 8 * signals_count + 8 * signals_count * signals_count;
inline constexpr std::size_t image_bytes_max =
    image_bytes_watching + std::size_t{8} * signals_count * learning_samples;
static_assert(image_bytes_watching == 816);
static_assert(image_bytes_max == 26'416);

enum class StateError : std::uint8_t {
    none,
    too_short,     // fewer bytes than the header says, or than a header
    not_an_image,  // no magic at its start
    other_version,
    wrong_checksum,
    impossible,  // the checksum is right, but no model has such values
};

/// `wrong checksum` and so on.
std::string_view text_of(StateError error);

/// Writes an image; gives its size, or 0 if `bytes` is smaller than the image.
std::size_t encode_state(const DetectorState& state, const Progression& progression,
                         std::span<std::byte> bytes);

/// Reads the image at the start of `bytes`; what follows it is not looked at. `state` and
/// `progression` are written only if all is well.
StateError decode_state(std::span<const std::byte> bytes, DetectorState& state, Progression& progression);

/// Two slots in a file that the caller has opened for reading and writing; the descriptor stays the caller's.
/// Its calls are pread and pwrite on a regular file. Buffers are members: about 28 KiB.
class StateStore {
public:
    // generation 8, checksum of the generation and the image's header 4, reserved 4, then the image
    static constexpr std::size_t slot_header_bytes = 16;
    static constexpr std::size_t slot_bytes = 28 * 1'024;
    static_assert(slot_header_bytes + image_bytes_max <= slot_bytes);

    enum class Loaded : std::uint8_t {
        state,    // `state` and `progression` were written
        nothing,  // the file is empty: a first start
        damaged,  // there are bytes, but neither slot holds an image: damage() says why of the first
        failed,   // the file could not be read: errno says why
    };

    explicit StateStore(int fd) : fd_(fd) {}

    /// The newest whole image. Must be called before the first save.
    Loaded load(DetectorState& state, Progression& progression);

    /// Saves into the older slot. False if it could not be written: errno says why (EIO for a short write).
    bool save(const DetectorState& state, const Progression& progression);

    StateError damage() const { return damage_; }
    std::uint64_t generation() const { return generation_; }

private:
    Loaded load_slot(std::size_t slot, DetectorState& state, Progression& progression);

    int fd_;
    std::uint64_t generation_ = 0;  // of the newest image; even ones are in slot 0, odd ones in slot 1
    StateError damage_ = StateError::none;
    std::array<std::byte, slot_bytes> bytes_{};
};

}  // namespace leak
