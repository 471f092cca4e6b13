// SPDX-License-Identifier: MIT
//
// What lies where in a topic's memory.
//
//     the publisher's region      TopicFacts · its words · a verdict for each subscriber · entries · slots
//     each subscriber's region    its words · TopicPlace
//
// All of it has fixed widths, and is the same for 32- and 64-bit processes.
#pragma once

#include "weir/ipc/shm/link.hpp"
#include "weir/ipc/topic/entries.hpp"
#include "weir/ipc/types/validity.hpp"

#include <bit>
#include <cstdint>
#include <new>
#include <optional>

namespace weir::ipc {

/// What becomes of a subscriber that does not keep up.
enum class TopicPolicy : std::uint32_t {
    overwrite_oldest = 1,  ///< it misses samples, and learns how many
    wait_for_slowest = 2,  ///< the publisher waits for it
    drop_subscriber = 3,   ///< it is dropped, and learns why
};

namespace topic {

inline constexpr std::uint32_t topic_object = 0x4350'4f54;  // "TOPC"
inline constexpr std::uint32_t subscribers_limit = 1'024;
inline constexpr std::uint32_t loans_limit = 1'024;
inline constexpr std::uint64_t region_bytes_max = std::uint64_t{1} << 31;

/// How a topic was made. In the publisher's region, where subscribers read it once.
struct TopicFacts {
    TopicPolicy policy;
    std::uint32_t depth;        ///< samples that are kept, a power of two
    std::uint32_t slots;        ///< places for samples
    std::uint32_t slot_bytes;   ///< from one slot to the next
    std::uint32_t subscribers;  ///< at one time
    std::uint32_t pins;         ///< samples that each of them may hold
    std::uint32_t reserved[2];
};
static_assert(sizeof(TopicFacts) == 32);

/// What the publisher says to one subscriber when it ends their connection: a number of the place's use, times four,
/// plus one of these. Whoever comes to a place later begins with the next number.
enum class Verdict : std::uint32_t {
    none = 0,
    too_slow = 1,  ///< by the policy
    corrupt = 2,   ///< it wrote what it must not
};

/// In the subscriber's region when it gets it.
struct TopicPlace {
    std::uint32_t index;       ///< which of the publisher's subscribers it is
    std::uint32_t generation;  ///< how often this place was used before
    std::uint64_t head;        ///< how many samples there were when it came
    std::uint64_t floor;       ///< the sequence number of the first of these that it may have
};
static_assert(sizeof(TopicPlace) == 24);

struct SubscriberRegion {
    SubscriberWords<MachineAtomics> words;
    alignas(cache_line) TopicPlace place;
};
static_assert(sizeof(SubscriberRegion) == 3 * cache_line);

[[nodiscard]] constexpr std::uint64_t aligned_to_line(std::uint64_t offset) noexcept {
    return (offset + cache_line - 1) / cache_line * cache_line;
}

/// Where the parts of the publisher's region lie, and that it can be.
struct TopicLayout {
    static constexpr std::uint64_t words = cache_line;
    static constexpr std::uint64_t verdicts = words + sizeof(PublisherWords<MachineAtomics>);
    std::uint64_t entries;
    std::uint64_t slots;
    std::uint64_t size;

    /// Nothing if the facts contradict themselves or are too large.
    [[nodiscard]] static constexpr std::optional<TopicLayout> of(const TopicFacts& facts) noexcept {
        if (!std::has_single_bit(facts.depth) || facts.depth > depth_max) return std::nullopt;
        if (facts.subscribers == 0 || facts.subscribers > subscribers_limit) return std::nullopt;
        if (facts.pins == 0 || facts.pins > pins_max) return std::nullopt;
        if (facts.slot_bytes == 0 || facts.slots <= facts.depth) return std::nullopt;
        if (facts.policy < TopicPolicy::overwrite_oldest || facts.policy > TopicPolicy::drop_subscriber)
            return std::nullopt;
        TopicLayout layout{};
        layout.entries = aligned_to_line(verdicts + facts.subscribers * sizeof(std::uint32_t));
        layout.slots =
            aligned_to_line(layout.entries + std::uint64_t{facts.depth} * sizeof(Entry<MachineAtomics>));
        layout.size = layout.slots + std::uint64_t{facts.slots} * facts.slot_bytes;
        if (layout.size > region_bytes_max) return std::nullopt;
        return layout;
    }
};

/// What a sample is to those who do not know its type.
struct SampleShape {
    std::uint64_t size;
    std::uint64_t alignment;
    std::uint64_t layout;  ///< what both sides have to agree on besides
    /// Whether the copy of a stranger's sample is one; null where all bytes are.
    bool (*valid)(const std::byte* sample) noexcept;

    /// From one sample to the next. Those of a cache line and more begin on one. A distance that is a multiple of the
    /// page would put the beginnings of all samples into the same few places of the caches: those are one line further
    /// apart, and large ones one page more, for the same of the TLB.
    [[nodiscard]] constexpr std::uint64_t stride() const noexcept {
        constexpr std::uint64_t line = 64;
        constexpr std::uint64_t page = 4096;
        const std::uint64_t step = size >= line ? line : std::max<std::uint64_t>(alignment, 8);
        const std::uint64_t packed = (size + step - 1) / step * step;
        if (packed == 0 || packed % page != 0) return packed;
        return packed + line + (packed % (16 * page) == 0 ? page : 0);
    }
    /// What publisher and subscriber say to each other first. A subscriber takes the depth that there is.
    [[nodiscard]] constexpr LinkTerms terms(std::uint64_t depth) const noexcept {
        constexpr std::uint32_t layout_version = 1;
        return {.object = topic_object,
                .version = layout_version,
                .layout = layout,
                .record_size = size,
                .depth = depth};
    }
};

template <PortableRecord T>
[[nodiscard]] constexpr SampleShape shape_of() noexcept {
    SampleShape shape{
        .size = sizeof(T), .alignment = alignof(T), .layout = layout_hash<T>(), .valid = nullptr};
    if constexpr (!always_valid<T>) {
        shape.valid = [](const std::byte* sample) noexcept {
            const void* const at = sample;
            return is_valid(*std::launder(static_cast<const T*>(at)));
        };
    }
    return shape;
}

/// Slots beyond those that are linked, out, or pinned at any time: so many samples are published between two scans of
/// the pins. Large samples do with a quarter of the depth.
[[nodiscard]] constexpr std::uint64_t spare_slots(std::uint64_t pins, std::uint64_t depth,
                                                  std::uint64_t slot_bytes) noexcept {
    constexpr std::uint64_t spare_bytes = 64 * 1024;
    constexpr std::uint64_t spare_min = 64;
    return std::min(std::max(pins, spare_min), std::max(spare_bytes / slot_bytes, depth / 4));
}

}  // namespace topic
}  // namespace weir::ipc
