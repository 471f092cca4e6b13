// SPDX-License-Identifier: MIT
//
// Rings between peers of which one does not trust the other: what a hostile writer or reader that knows everything can
// do to the one beside it. The hostile side is a bare link whose memory is written to by hand.
#include "ring_place.hpp"

#include "io/running.hpp"
#include "shm/client_by_hand.hpp"
#include "support/report_log.hpp"

#include <cstring>
#include <new>
#include <string>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::ByteRingReader;
using ipc::ByteRingWriter;
using ipc::LinkTrust;
using ipc::LinkViolation;
using ipc::RingReader;
using ipc::RingWriter;
using Words = ipc::ring::Words<ipc::ring::MachineAtomics>;

template <class Body, class... A>
void on_each(Body body, const A&... arguments) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place(LinkTrust::nobody);
        Running running(seed);
        running.must_run(body(*running, place, arguments...));
    });
}

template <class T>
T& at(Bytes memory, std::size_t offset) noexcept {
    void* const place = memory.data() + offset;
    return *std::launder(static_cast<T*>(place));
}
constexpr std::size_t data_offset = 2 * sizeof(Words);

/// A writer by hand: one region with a ring in it, of which it may write every byte whenever it likes to.
class WriterByHand {
public:
    explicit WriterByHand(const ipc::RingShape& shape) : shape_(shape) {
        const HeapPermit permit;
        auto made = ipc::Region::create(static_cast<std::size_t>(data_offset + shape.bytes()), "test");
        REQUIRE(made.has_value());
        region_ = std::move(*made);
        auto mapped = region_.map_writable();
        REQUIRE(mapped.has_value());
        mapping_ = std::move(*mapped);
        REQUIRE(region_.seal().has_value());
    }
    Result<void> serve(Scheduler& scheduler, const Place& place) noexcept {
        WEIR_TRY(server_,
                 ipc::LinkServer::create(scheduler, readings, shape_.terms(), hooks, this,
                                         {.trust = LinkTrust::nobody, .directory = &place.directory}));
        return {};
    }
    [[nodiscard]] Bytes memory() const noexcept { return {mapping_.data(), mapping_.size()}; }
    [[nodiscard]] Bytes data() const noexcept { return memory().subspan(data_offset); }
    void commit(std::uint32_t cursor) const noexcept {
        at<Words>(memory(), 0).cursor.store(cursor, std::memory_order_release);
    }
    void put(std::size_t offset, std::uint32_t value) const noexcept {
        std::memcpy(data().data() + offset, &value, sizeof(value));
    }
    /// A header as the ring writes it.
    void put_header(std::uint32_t cursor, std::uint32_t size, std::uint32_t kind) const noexcept {
        put(cursor, size);
        put(cursor + 4, cursor | kind);
    }

    ipc::Link* link = nullptr;
    int lost = 0;

private:
    static const ipc::LinkHooks hooks;
    ipc::RingShape shape_;
    ipc::Region region_;
    ipc::Mapping mapping_;
    ipc::LinkServer server_;
};
const ipc::LinkHooks WriterByHand::hooks{
    .on_admit = [](void* owner, ipc::Link&) noexcept -> Result<ipc::LinkGrant> {
        auto& self = *static_cast<WriterByHand*>(owner);
        return ipc::LinkGrant{.region = &self.region_, .own = self.memory(), .client_size = sizeof(Words)};
    },
    .on_attached = [](void* owner,
                      ipc::Link& one) noexcept { static_cast<WriterByHand*>(owner)->link = &one; },
    .on_signal =
        [](void* owner, ipc::Link& one) noexcept {
            if (one.state() == ipc::LinkState::attached) return;
            ++static_cast<WriterByHand*>(owner)->lost;
            one.close();
        },
};

constexpr ipc::RingShape byte_ring(std::uint32_t bytes) noexcept {
    return {.units = bytes, .unit_bytes = 1, .record_size = 0, .layout = sizeof(ipc::ring::RecordHeader)};
}

}  // namespace

TEST_CASE("a record of a writer that is not trusted is a copy, which it cannot change any more") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WriterByHand writer(ipc::ring_shape_of<Reading>(8));
        WEIR_CO_CHECK(writer.serve(of, place));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        writer.put(0, 17);
        writer.put(sizeof(Reading), 18);
        writer.commit(2);
        {
            WEIR_CO_TRY(auto item, reader.next().within(10s));
            writer.put(0, 99);
            CHECK_IN_TASK(item->number == 17);
        }
        auto item = reader.try_next();
        CHECK_IN_TASK(item.has_value());
        writer.put(sizeof(Reading), 99);
        if (item) CHECK_IN_TASK((*item)->number == 18);
    });
}

TEST_CASE("a batch from a writer that is not trusted is copied, as many at once as there is room for") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        constexpr std::uint32_t slots = 4'096;
        WriterByHand writer(ipc::ring_shape_of<Reading>(slots));
        WEIR_CO_CHECK(writer.serve(of, place));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        for (std::uint32_t i = 0; i < slots; ++i) writer.put(i * sizeof(Reading), i);
        writer.commit(slots);
        std::uint32_t number = 0;
        while (number < slots) {
            WEIR_CO_TRY(auto items, reader.next_some(slots).within(10s));
            std::memset(writer.data().data(), 0xff, std::size_t{number + items.size()} * sizeof(Reading));
            CHECK_IN_TASK((items.size() >= 64 && items.size() < slots));
            for (std::uint32_t i = 0; i < items.size(); ++i) CHECK_IN_TASK(items[i].number == number++);
        }
    });
}

TEST_CASE("bytes of a writer that is not trusted are copied, into memory of the reader's or into a buffer") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WriterByHand writer(byte_ring(256));
        WEIR_CO_CHECK(writer.serve(of, place));
        WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
        for (std::uint32_t cursor = 0; cursor < 48; cursor += 16) {
            writer.put_header(cursor, 8, ipc::ring::record_kind);
            writer.put(cursor + 8, cursor + 1);
        }
        writer.commit(48);
        std::uint32_t value = 0;
        {
            WEIR_CO_TRY(auto record, reader.next().within(10s));
            writer.put(8, 99);
            CHECK_IN_TASK(record.bytes().size() == 8);
            std::memcpy(&value, record.bytes().data(), sizeof(value));
            CHECK_IN_TASK(value == 1);
        }
        std::array<std::byte, 8> buffer{};
        const auto too_small = co_await reader.next(std::span(buffer).first(7)).within(10s);
        CHECK_IN_TASK(code_of(too_small) == Errc::too_large);
        if (!too_small) CHECK_IN_TASK((too_small.error().a == 8 && too_small.error().b == 7));
        {
            WEIR_CO_TRY(auto record, reader.next(buffer).within(10s));
            CHECK_IN_TASK((record.bytes().data() == buffer.data() && record.bytes().size() == 8));
            writer.put(24, 99);
            std::memcpy(&value, buffer.data(), sizeof(value));
            CHECK_IN_TASK(value == 17);
        }
        WEIR_CO_TRY(auto record, reader.next(buffer).within(10s));
        std::memcpy(&value, buffer.data(), sizeof(value));
        CHECK_IN_TASK(value == 33);
    });
}

namespace {

Task<> too_long(Scheduler& of, const Place& place) {
    WEIR_CO_TRY(auto ring, ByteRingWriter::create(of, readings, place.bytes(128)));
    WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
    std::array<std::byte, 56> buffer;
    std::uint32_t size = 0;
    for (std::uint32_t i = 0; i < 100; ++i) {
        size = (size + 23) % 57;
        WEIR_CO_TRY(auto slot, ring.reserve(size).within(10s));
        std::memset(slot.bytes().data(), static_cast<int>(i), size);
        slot.commit();
        if (size > 0) {
            const auto cut = co_await reader.next(std::span(buffer).first(size - 1)).within(10s);
            CHECK_IN_TASK(code_of(cut) == Errc::too_large);
        }
        WEIR_CO_TRY(auto record, reader.next(std::span(buffer).first(size)).within(10s));
        CHECK_IN_TASK(record.bytes().size() == size);
        for (const std::byte byte : record.bytes()) CHECK_IN_TASK(byte == static_cast<std::byte>(i));
    }
}

}  // namespace

TEST_CASE("a record that is longer than the buffer stays, and nothing is lost") {
    for (const LinkTrust trust : {LinkTrust::everyone, LinkTrust::nobody}) {
        for_each_seed([&](std::uint64_t seed) {
            const Place place(trust);
            Running running(seed);
            running.must_run(too_long(*running, place));
        });
    }
}

namespace {

struct Lie {
    std::uint32_t committed;
    std::uint32_t size;
    std::uint32_t mark;
    const char* why;
};

Task<> claims(Scheduler& of, const Place& place, const Lie& lie) {
    WriterByHand writer(byte_ring(256));
    WEIR_CO_CHECK(writer.serve(of, place));
    WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
    writer.put(0, lie.size);
    writer.put(4, lie.mark);
    writer.commit(lie.committed);
    std::array<std::byte, 256> buffer;
    for (int i = 0; i < 2; ++i) {
        const auto next = co_await reader.next(buffer).within(10s);
        CHECK_IN_TASK(code_of(next) == Errc::corrupt);
        const auto again = co_await reader.next().within(10s);
        CHECK_IN_TASK(code_of(again) == Errc::corrupt);
    }
    while (writer.lost == 0) WEIR_CO_CHECK(sleep_for(100us));
}

}  // namespace

TEST_CASE(
    "a writer whose cursor or headers are impossible is turned out, and its reader learns of it for good") {
    // In a ring of 256 bytes.
    constexpr Lie lies[] = {
        {264, 8, 1, "more than the ring holds"},
        {0x8000'0000, 8, 1, "backwards"},
        {16, 16, 1, "longer than what was committed"},
        {16, 0xffff'ffff, 1, "longer than that, and than 32 bits once it is padded"},
        {16, 0xffff'fff0, 1, "the same with its header"},
        {256, 248, 1, "longer than half the ring"},
        {16, 8, 0, "no record"},
        {16, 8, 3, "of no known kind"},
        {16, 8, 9, "a record that stands elsewhere"},
        {16, 248, 2, "a pad without a record behind it"},
        {256, 248, 2, "the same in a full ring"},
        {256, 8, 2, "a pad that ends before the end"},
        {4, 0, 1, "half a header"},
    };
    const Log log;
    for (const Lie& lie : lies) {
        INFO(lie.why);
        on_each(claims, lie);
    }
    CHECK(log.lines.find("weir: server ") != std::string::npos);
    CHECK(log.lines.find(text(LinkViolation::memory)) != std::string::npos);
}

namespace {

struct Switch {
    std::uint32_t number;
    bool on;
    std::array<std::uint8_t, 3> unused;
};

Task<> no_value(Scheduler& of, const Place& place, std::uint32_t batch) {
    WriterByHand writer(ipc::ring_shape_of<Switch>(8));
    WEIR_CO_CHECK(writer.serve(of, place));
    WEIR_CO_TRY(auto reader, RingReader<Switch>::open(of, readings, place.opened()).within(10s));
    constexpr std::uint32_t on = 1;
    writer.put(4, on);
    writer.put(12, 2);
    writer.commit(3);
    {
        WEIR_CO_TRY(auto item, reader.next().within(10s));
        CHECK_IN_TASK(item->on);
    }
    if (batch == 0) {
        const auto none = co_await reader.next().within(10s);
        CHECK_IN_TASK(code_of(none) == Errc::corrupt);
    } else {
        const auto none = co_await reader.next_some(batch).within(10s);
        CHECK_IN_TASK(code_of(none) == Errc::corrupt);
    }
    writer.put(12, on);
    const auto later = co_await reader.next().within(10s);
    CHECK_IN_TASK(code_of(later) == Errc::corrupt);
    const auto now = reader.try_next();
    CHECK_IN_TASK(code_of(now) == Errc::would_block);
    while (writer.lost == 0) WEIR_CO_CHECK(sleep_for(100us));
}

}  // namespace

TEST_CASE(
    "bytes that are no value of the record's type end the ring, whatever the writer makes of them later") {
    const Log log;
    for (const std::uint32_t batch : {0U, 1U, 2U}) on_each(no_value, batch);
    CHECK(log.lines.find(text(LinkViolation::memory)) != std::string::npos);
}

// --- hostile readers

namespace {

Task<> put_bytes(Scheduler&, ByteRingWriter& ring, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve(sizeof(i)).within(10s));
        std::memcpy(slot.bytes().data(), &i, sizeof(i));
        slot.commit();
    }
}
Task<> expect_bytes(Scheduler&, ByteRingReader& ring, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto record, ring.next().within(10s));
        std::uint32_t got = 0;
        CHECK_IN_TASK(record.bytes().size() == sizeof(got));
        std::memcpy(&got, record.bytes().data(), sizeof(got));
        CHECK_IN_TASK(got == i);
    }
}
Task<ipc::LinkClient> read_by_hand(Scheduler&, const Place& place, ipc::RingShape shape) {
    WEIR_CO_TRY(auto client, ipc::open_link(readings, shape.terms(), place.opened()).within(10s));
    co_return client;
}

}  // namespace

namespace {

Task<> releases(Scheduler& of, const Place& place, std::uint32_t released) {
    WEIR_CO_TRY(auto ring, ByteRingWriter::create(of, readings, place.bytes(64)));
    WEIR_CO_CHECK(put_bytes(of, ring, 0, 4));
    {
        WEIR_CO_TRY(auto hostile, read_by_hand(of, place, byte_ring(64)));
        at<Words>(hostile->own(), 0).cursor.store(released, std::memory_order_release);
        const auto full = co_await ring.reserve(4).within(10s);
        CHECK_IN_TASK(code_of(full) == Errc::corrupt);
        CHECK_IN_TASK(!ring.has_reader());
        while (hostile->state() == ipc::LinkState::attached) WEIR_CO_CHECK(sleep_for(100us));
    }
    WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
    // What was released in good order before the lie is gone, nothing else.
    const bool lied_late = released == 17 || released == 24 || released == 31;
    const std::uint32_t first = released == 39 ? 2 : lied_late ? 1 : 0;
    WEIR_CO_CHECK(expect_bytes(of, reader, first, 4));
    WEIR_CO_CHECK(put_bytes(of, ring, 4, 7));
    WEIR_CO_CHECK(expect_bytes(of, reader, 4, 7));
}

}  // namespace

TEST_CASE("a reader that releases half a record is turned out, and the next one gets all of them, whole") {
    const Log log;
    // Records of 16 bytes; the cursor of the released ones: within a header, within one, off by a byte, beyond all.
    for (const std::uint32_t released : {8U, 17U, 24U, 31U, 39U, 128U, 0xffff'fff8U}) {
        INFO(released);
        on_each(releases, released);
    }
    CHECK(log.lines.find(text(LinkViolation::memory)) != std::string::npos);
}

TEST_CASE("a reader that leaves with half a record released does not spoil the next one's") {
    const Log log;
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, ByteRingWriter::create(of, readings, place.bytes(64)));
        WEIR_CO_CHECK(put_bytes(of, ring, 0, 4));
        {
            WEIR_CO_TRY(auto hostile, read_by_hand(of, place, byte_ring(64)));
            at<Words>(hostile->own(), 0).cursor.store(24, std::memory_order_release);
        }
        WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
        WEIR_CO_CHECK(expect_bytes(of, reader, 1, 4));
    });
    CHECK(log.lines.find(text(LinkViolation::memory)) != std::string::npos);
}

TEST_CASE(
    "an honest reader that is not trusted may release record by record and pad by pad, round and round") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, ByteRingWriter::create(of, readings, place.bytes(128)));
        std::uint32_t size = 0;
        std::uint32_t record_number = 0;
        for (int round = 0; round < 4; ++round) {
            WEIR_CO_TRY(auto reader, ByteRingReader::open(of, readings, place.opened()).within(10s));
            for (int i = 0; i < 50; ++i) {
                size = (size + 23) % 57;
                WEIR_CO_TRY(auto slot, ring.reserve(size).within(10s));
                std::memset(slot.bytes().data(), static_cast<int>(++record_number & 0x7f), size);
                slot.commit();
                WEIR_CO_TRY(auto record, reader.next().within(10s));
                CHECK_IN_TASK(record.bytes().size() == size);
                for (const std::byte byte : record.bytes())
                    CHECK_IN_TASK(byte == static_cast<std::byte>(record_number & 0x7f));
            }
        }
    });
}

TEST_CASE("a reader that announces sleep at every record is rung at a limited rate") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(1'024)));
        WEIR_CO_TRY(auto hostile, read_by_hand(of, place, ipc::ring_shape_of<Reading>(1'024)));
        auto& own = at<Words>(hostile->own(), 0);
        const Instant began = of.now();
        // Its rings pile up unread meanwhile, and from 256 on its own end turns the writer out: a slow machine, whose time
        // allows so many, makes fewer records.
        std::uint32_t made = 0;
        while (made < 10'000 && of.now() - began < 15ms) {
            ++made;
            own.epoch.store(2 * made - 1, std::memory_order_seq_cst);
            WEIR_CO_TRY(auto slot, ring.reserve().within(10s));
            slot->number = made;
            slot.commit();
            own.cursor.store(made, std::memory_order_release);
        }
        WEIR_CO_CHECK(sleep_for(5ms));
        CHECK_IN_TASK(hostile->state() == ipc::LinkState::attached);
        // Asked by hand, since ask_link_stat() blocks.
        WEIR_CO_TRY(const auto path, place.directory.path_of(readings, ipc::link_suffix));
        const Fd socket = plain_client(path.view());
        const ipc::Hello hello{.request = ipc::Request::stat};
        CHECK_IN_TASK(::send(socket.get(), &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello));
        WEIR_CO_CHECK(readable(socket.get()));
        ipc::LinkStat stat;
        CHECK_IN_TASK(::recv(socket.get(), &stat, sizeof(stat), MSG_DONTWAIT) == sizeof(stat));
        const auto rings_max = 64 + static_cast<std::uint64_t>((of.now() - began) / 100us);
        CHECK_IN_TASK((stat.peers == 1 && stat.records == made));
        CHECK_IN_TASK((stat.peer[0].bells_rung > 0 && stat.peer[0].bells_rung <= rings_max));
    });
}
