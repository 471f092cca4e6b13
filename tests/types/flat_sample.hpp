// SPDX-License-Identifier: MIT
//
// A record of tables, strings and vectors of every kind, and reading all of it.
#pragma once

#include <weir/ipc/types/bounded_vector.hpp>
#include <weir/ipc/types/flat.hpp>

#include "flat_sample_generated.h"

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#include <tuple>

namespace weir::test {

using namespace weir::ipc;

struct alignas(flat_alignment) Buffer {
    std::byte bytes[8192];
    [[nodiscard]] Bytes first(std::size_t size) { return Bytes(bytes).first(size); }
};

inline constexpr float outline[] = {1, 2, 3.5F, 4, 5};
inline constexpr std::uint64_t stamps[] = {1'000'000'000'000, 2};
inline constexpr bool flags[] = {true, false, true};
inline constexpr std::byte raw[] = {std::byte{7}, std::byte{8}};
inline constexpr sample::Kind kinds[] = {sample::Kind::person, sample::Kind::wall};

/// Something of every kind.
inline Result<std::size_t> write_sample(Bytes into) {
    FlatWriter writer(into);
    const sample::Pose poses[] = {{1, 2, 3}, {4, 5, 6}};
    std::array<flatbuffers::Offset<sample::Obstacle>, 3> obstacles;
    for (auto& obstacle : obstacles) {
        const auto name = writer.string("obstacle");
        obstacle = writer.table(sample::CreateObstacle, name, sample::Kind::person, writer.vector(outline),
                                false, 7U);
    }
    const std::array names{writer.string("first"), writer.string("")};
    const auto note = writer.table(sample::CreateNote, writer.string(std::string_view("a\0b", 3)));
    const auto end = writer.table(sample::CreateNode, 3U, {}, {});
    const std::array children{end, writer.table(sample::CreateNode, 4U, {}, {})};
    const auto list = writer.table(sample::CreateNode, 2U, end, writer.vector(children));
    BoundedVector<float, 4> ranges;
    std::ignore = ranges.push_back(0.25F);
    const auto scan =
        writer.table(sample::CreateScan, 42U, &poses[1], writer.vector(ranges), writer.vector(obstacles),
                     writer.vector(names), writer.vector(kinds), writer.vector(flags), writer.vector(raw),
                     writer.vector(poses), writer.vector(stamps), sample::Extra::Note, note.Union(), list);
    return writer.finish(scan, sample::ScanIdentifier());
}

inline std::uint64_t sum_of(const sample::Node* node) {
    if (node == nullptr) return 1;
    std::uint64_t sum = node->number() + sum_of(node->next());
    for (const sample::Node* child : flat_items(node->children())) sum += sum_of(child);
    return sum;
}
inline std::uint64_t sum_of(std::string_view text) {
    std::uint64_t sum = text.size();
    for (const char letter : text) sum += static_cast<unsigned char>(letter);
    return sum;
}
inline std::uint64_t bits_of(double value) {
    return std::bit_cast<std::uint64_t>(value);
}
/// Touches every byte that an accessor leads to.
inline std::uint64_t sum_of(const sample::Scan& scan) {
    std::uint64_t sum = scan.taken_ns();
    if (scan.pose() != nullptr) sum += bits_of(scan.pose()->x_m());
    for (const float range : flat_items(scan.ranges_m())) sum += std::bit_cast<std::uint32_t>(range);
    for (const sample::Obstacle* obstacle : flat_items(scan.obstacles())) {
        sum += sum_of(flat_text(obstacle->name())) + static_cast<std::uint64_t>(obstacle->kind());
        for (const float point : flat_items(obstacle->outline_m()))
            sum += std::bit_cast<std::uint32_t>(point);
        sum += std::uint64_t{obstacle->moves()};
        sum += obstacle->age_s().value_or(0);
    }
    for (const flatbuffers::String* name : flat_items(scan.names())) sum += sum_of(flat_text(name));
    for (const sample::Kind kind : flat_items(scan.kinds())) sum += static_cast<std::uint64_t>(kind);
    for (const std::uint8_t flag : flat_items(scan.flags())) sum += flag;
    for (const std::uint8_t byte : flat_items(scan.raw())) sum += byte;
    for (const sample::Pose pose : flat_items(scan.poses())) sum += bits_of(pose.y_m());
    for (const std::uint64_t stamp : flat_items(scan.stamps_ns())) sum += stamp;
    if (const sample::Note* note = scan.extra_as_Note()) sum += sum_of(flat_text(note->text()));
    return sum + sum_of(scan.list());
}

}  // namespace weir::test
