// SPDX-License-Identifier: MIT
#include <weir/ipc/types/bounded_vector.hpp>
#include <weir/ipc/types/flat.hpp>

#include "flat_sample.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/heap_guard.hpp"

#include <array>
#include <bit>
#include <csignal>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using namespace weir;
using namespace weir::ipc;
using namespace weir::test;

namespace {

/// A list of `length` nodes.
Result<std::size_t> write_list(Bytes into, std::uint32_t length) {
    FlatWriter writer(into);
    flatbuffers::Offset<sample::Node> list;
    for (std::uint32_t i = 0; i < length; ++i) list = writer.table(sample::CreateNode, i, list, {});
    return writer.finish(writer.table(sample::CreateScan, 0U, nullptr, {}, {}, {}, {}, {}, {}, {}, {},
                                      sample::Extra::NONE, {}, list));
}

}  // namespace

TEST_CASE("what was written is read, without the heap") {
    Buffer written;
    Buffer copy;
    const auto size = write_sample(written.first(4096));
    REQUIRE(size);
    const test::HeapGuard guard;
    // Once more under the guard, and read.
    const auto again = write_sample(written.first(4096));
    const auto read = read_flat<sample::Scan>(written.first(again ? *again : 0), copy.first(4096), {},
                                              sample::ScanIdentifier());
    const std::uint64_t sum = read ? sum_of(**read) : 0;
    const test::HeapPermit permit;
    REQUIRE(again);
    REQUIRE(read);
    CHECK(*again == *size);
    CHECK(sum != 0);
    const sample::Scan& scan = **read;
    CHECK(scan.taken_ns() == 42);
    CHECK(scan.pose()->y_m() == 5);
    CHECK(scan.obstacles()->size() == 3);
    const auto* const last = scan.obstacles()->Get(2);
    CHECK(flat_text(last->name()) == "obstacle");
    CHECK(last->kind() == sample::Kind::person);
    CHECK(!last->moves());
    CHECK(last->age_s() == 7U);
    const FlatItems points = flat_items(last->outline_m());
    CHECK(std::vector<float>(points.begin(), points.end()) ==
          std::vector<float>(std::begin(outline), std::end(outline)));
    CHECK(flat_items(scan.ranges_m())[0] == 0.25F);
    CHECK(flat_text(flat_items(scan.names())[0]) == "first");
    CHECK(flat_text(flat_items(scan.names())[1]).empty());
    CHECK(flat_items(scan.kinds())[0] == sample::Kind::person);
    CHECK(flat_items(scan.flags()).size() == 3);
    CHECK(flat_items(scan.raw())[1] == 8);
    CHECK(flat_items(scan.poses())[1].x_m() == 4);
    CHECK(flat_items(scan.stamps_ns())[0] == stamps[0]);
    CHECK(flat_text(scan.extra_as_Note()->text()) == std::string("a\0b", 3));
    CHECK(scan.list()->children()->Get(1)->number() == 4);
}

TEST_CASE("fields that are left out are absent, and read as none") {
    Buffer written;
    Buffer copy;
    const auto size = write_list(written.first(1024), 0);
    REQUIRE(size);
    const auto read = read_flat<sample::Scan>(written.first(*size), copy.first(1024));
    REQUIRE(read);
    CHECK((*read)->obstacles() == nullptr);
    CHECK(flat_items((*read)->obstacles()).empty());
    CHECK(flat_text(nullptr).empty());
    CHECK(sum_of(**read) == 1);
}

TEST_CASE("a buffer of any size is enough or too small, and nothing else is touched") {
    constexpr std::byte untouched{0xa5};
    Buffer place;
    std::size_t needed = 0;
    for (std::size_t size = 0; size <= 2048; ++size) {
        std::memset(place.bytes, 0xa5, sizeof(place.bytes));
        const std::size_t front = 64;
        const auto written = write_sample(Bytes(place.bytes).subspan(front, size));
        bool whole = true;
        for (std::size_t i = 0; i < front; ++i) whole = whole && place.bytes[i] == untouched;
        for (std::size_t i = front + size; i < sizeof(place.bytes); ++i)
            whole = whole && place.bytes[i] == untouched;
        REQUIRE(whole);
        if (!written) {
            CHECK(needed == 0);
            REQUIRE(written.error() == Errc::too_large);
            CHECK(written.error().a > size);
            CHECK(written.error().b == size);
            continue;
        }
        if (needed == 0) needed = size;
        REQUIRE(*written <= size);
        REQUIRE(verify_flat<sample::Scan>(Bytes(place.bytes).subspan(front, *written)));
    }
    CHECK(needed > 0);
    CHECK(needed < 1024);
}

TEST_CASE("lengths that cannot be are too large") {
    Buffer place;
    FlatWriter writer(place.first(64));
    // Volatile: else the compiler sees what would happen if it were written.
    const volatile std::size_t count = static_cast<std::size_t>(-1) / sizeof(std::uint64_t);
    const std::span<const std::uint64_t> huge(stamps, count);
    const auto made = writer.vector(huge);
    CHECK(made.IsNull());
    CHECK(!writer.fits());
    CHECK(writer.string("short").IsNull());
    const auto size = writer.finish(writer.table(sample::CreateNode, 1U, {}, {}));
    REQUIRE(!size);
    CHECK(size.error() == Errc::too_large);
}

TEST_CASE("as many skipped fields as are promised fit into any buffer") {
    for (std::size_t size = 0; size < 512; ++size) {
        Buffer place;
        FlatWriter writer(place.first(size));
        const auto written =
            writer.finish(writer.table(sample::CreateGaps, std::uint8_t{1}, std::uint8_t{2}));
        if (written) CHECK(verify_flat<sample::Gaps>(place.first(*written)));
    }
}

TEST_CASE("a table that skips more fields than are measured for is an assertion, also where there was room") {
    const test::ChildEnd end = test::run_in_child([] {
        Buffer place;
        FlatWriter writer(place.first(4096));
        return writer.table(sample::CreateTooManyGaps, std::uint8_t{1}, std::uint8_t{2}).IsNull() ? 1 : 0;
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.errors.find("flat_skipped_fields_max") != std::string::npos);
}

TEST_CASE("a record that is larger than the reader's copy is refused") {
    Buffer written;
    Buffer copy;
    const auto size = write_sample(written.first(4096));
    REQUIRE(size);
    const auto read = read_flat<sample::Scan>(written.first(*size), copy.first(*size - 1));
    REQUIRE(!read);
    CHECK(read.error() == Errc::too_large);
    CHECK(read.error().a == *size);
    CHECK(read.error().b == *size - 1);
}

TEST_CASE("another identifier is a mismatch, with both") {
    Buffer written;
    const auto size = write_sample(written.first(4096));
    REQUIRE(size);
    const auto read = verify_flat<sample::Scan>(written.first(*size), {}, "WXXX");
    REQUIRE(!read);
    CHECK(read.error() == Errc::mismatch);
    CHECK(read.error().a == 0x58585857);  // the characters of "WXXX", the first one lowest
    CHECK(read.error().b == 0x4e435357);
}

TEST_CASE("tables beyond the limits of depth and number are corrupt") {
    Buffer written;
    const auto size = write_list(written.first(4096), 15);
    REQUIRE(size);
    const Bytes bytes = written.first(*size);
    CHECK(verify_flat<sample::Scan>(bytes));
    const auto deep = verify_flat<sample::Scan>(bytes, {.depth_max = 15});
    REQUIRE(!deep);
    CHECK(deep.error() == Errc::corrupt);
    CHECK(verify_flat<sample::Scan>(bytes, {.tables_max = 16}));
    const auto many = verify_flat<sample::Scan>(bytes, {.tables_max = 15});
    REQUIRE(!many);
    CHECK(many.error() == Errc::corrupt);
}

TEST_CASE("tables that refer to each other many times over are corrupt, and found out soon") {
    // Each of 20 nodes has the one before it as a child ten times: 10^20 to look at.
    Buffer written;
    FlatWriter writer(written.first(8192));
    auto node = writer.table(sample::CreateNode, 0U, {}, {});
    for (int i = 0; i < 20; ++i) {
        std::array<flatbuffers::Offset<sample::Node>, 10> children;
        children.fill(node);
        node = writer.table(sample::CreateNode, 0U, {}, writer.vector(children));
    }
    const auto size = writer.finish(node);
    REQUIRE(size);
    const auto read = verify_flat<sample::Node>(written.first(*size), {.depth_max = 64});
    REQUIRE(!read);
    CHECK(read.error() == Errc::corrupt);
}

TEST_CASE("a record that was cut off anywhere, or is nothing at all, is corrupt or can be read") {
    Buffer written;
    const auto size = write_sample(written.first(4096));
    REQUIRE(size);
    std::size_t refused = 0;
    for (std::size_t cut = 0; cut < *size; ++cut) {
        // Of its own, so that a sanitizer sees a byte too much.
        const auto exact = std::make_unique<std::uint64_t[]>(cut / 8 + 1);
        std::memcpy(exact.get(), written.bytes, cut);
        const auto read =
            verify_flat<sample::Scan>(std::as_bytes(std::span(exact.get(), cut / 8 + 1)).first(cut));
        if (read)
            CHECK(sum_of(**read) != 0);
        else
            ++refused;
    }
    CHECK(refused > 0);
    CHECK(!verify_flat<sample::Scan>({}));
    std::memset(written.bytes, 0xff, sizeof(written.bytes));
    CHECK(!verify_flat<sample::Scan>(written.bytes));
    std::memset(written.bytes, 0, sizeof(written.bytes));
    CHECK(!verify_flat<sample::Scan>(written.bytes));
}

TEST_CASE("whatever a peer wrote is corrupt or can be read to the end") {
    Buffer written;
    const auto size = write_sample(written.first(4096));
    REQUIRE(size);
    const auto exact = std::make_unique<std::uint64_t[]>(*size / 8 + 1);
    const Bytes bytes = std::as_writable_bytes(std::span(exact.get(), *size / 8 + 1)).first(*size);
    std::minstd_rand random(1);
    std::size_t refused = 0;
    std::uint64_t sum = 0;
    const std::size_t tries = 20'000;
    for (std::size_t i = 0; i < tries; ++i) {
        std::memcpy(bytes.data(), written.bytes, *size);
        for (unsigned changes = 1 + static_cast<unsigned>(random()) % 3; changes > 0; --changes) {
            const std::size_t at = random() % *size;
            // Half of them small numbers, of which offsets and sizes are made.
            bytes[at] = static_cast<std::byte>(random() % 2 == 0 ? random() % 16 : random());
        }
        const auto read = verify_flat<sample::Scan>(bytes);
        if (read)
            sum += sum_of(**read);
        else
            ++refused;
    }
    CHECK(refused > 0);
    CHECK(refused < tries);
    CHECK(sum != 0);
}

TEST_CASE("elements of 8 bytes that lie on a multiple of 4 are read") {
    // By hand, since no builder makes it: a table whose field `stamps_ns` is a vector at 28, its elements at 32 + 4.
    const std::uint16_t fields[] = {24, 8, 0, 0, 0, 0,
                                    0,  0, 0, 0, 0, 4};  // the table of fields: its size, the table's, …
    Buffer place;
    std::memset(place.bytes, 0, sizeof(place.bytes));
    const auto put = [&](std::size_t at, const auto& value) {
        std::memcpy(place.bytes + at, &value, sizeof(value));
    };
    put(0, std::uint32_t{32});   // the root
    put(8, fields);              // up to 32
    put(32, std::int32_t{24});   // the table: its fields' table lies so much before
    put(36, std::uint32_t{4});   // the field: the vector lies so much behind
    put(40, std::uint32_t{2});   // the vector: how many
    put(44, std::uint64_t{11});  // on a multiple of 4
    put(52, std::uint64_t{12});
    const auto read = verify_flat<sample::Scan>(place.first(64));
    REQUIRE(read);
    const FlatItems stamps_read = flat_items((*read)->stamps_ns());
    REQUIRE(stamps_read.size() == 2);
    CHECK(stamps_read[0] == 11);
    CHECK(stamps_read[1] == 12);
}
