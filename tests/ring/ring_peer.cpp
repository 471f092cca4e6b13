// SPDX-License-Identifier: MIT
//
// usage: ring_peer write|read DIRECTORY
//
// One side of two rings, of a type and of bytes, and of a named one, for mixed_check.py: the other side is built for
// another machine.
#include <weir/ipc.hpp>

#include <weir/weir.hpp>

#include <cstdio>
#include <cstring>
#include <string_view>

namespace {

using namespace weir;
using namespace std::chrono_literals;

struct Mixed {
    std::uint64_t number;
    double value;
    std::uint16_t small;
    std::uint8_t tiny[3];
    std::uint8_t reserved[3];
};
constexpr ipc::RingName typed_name{"mixed/typed"};
constexpr ipc::RingName bytes_name{"mixed/bytes"};
constexpr ipc::RingName kept_name{"mixed/kept"};
constexpr std::uint32_t count = 20'000;

Mixed sample(std::uint32_t i) noexcept {
    return {.number = std::uint64_t{i} << 33,
            .value = i * 0.5,
            .small = static_cast<std::uint16_t>(i),
            .tiny = {1, 2, 3},
            .reserved = {}};
}

Task<> write_kept(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_CHECK(sleep_for(1ms));  // the links of the others are free by then
    WEIR_CO_TRY(auto kept, ipc::NamedRingWriter<Mixed>::open(
                               scheduler, kept_name, {.slots = 32, .access = {.directory = &directory}}));
    for (std::uint32_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto slot, kept.reserve().within(60s));
        *slot = sample(i);
        slot.commit();
    }
    WEIR_CO_CHECK(kept.drained().within(60s));
}

Task<> read_kept(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_TRY(auto kept, ipc::NamedRingReader<Mixed>::open(
                               scheduler, kept_name, {.slots = 32, .access = {.directory = &directory}}));
    for (std::uint32_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto item, kept.next().within(60s));
        if (item->number != sample(i).number) co_return co_await fail(Errc::corrupt, "record in a file", i);
    }
}

Task<> write_both(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    WEIR_CO_TRY(auto typed, ipc::RingWriter<Mixed>::create(scheduler, typed_name,
                                                           {.slots = 32, .link = {.directory = &directory}}));
    WEIR_CO_TRY(auto bytes, ipc::ByteRingWriter::create(scheduler, bytes_name,
                                                        {.bytes = 1024, .link = {.directory = &directory}}));
    for (std::uint32_t i = 0; i < count; ++i) {
        {
            WEIR_CO_TRY(auto slot, typed.reserve().within(60s));
            *slot = sample(i);
            slot.commit();
        }
        WEIR_CO_TRY(auto record, bytes.reserve(i % 500).within(60s));
        std::memset(record.bytes().data(), static_cast<int>(i & 0xff), record.bytes().size());
        record.commit();
    }
    WEIR_CO_CHECK(typed.close().within(60s));
    WEIR_CO_CHECK(bytes.close().within(60s));
    WEIR_CO_CHECK(write_kept(scheduler, directory));
}

Task<> read_both(Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
    const ipc::LinkOpenOptions options{.directory = &directory};
    WEIR_CO_TRY(auto typed, ipc::RingReader<Mixed>::open(scheduler, typed_name, options).within(60s));
    WEIR_CO_TRY(auto bytes, ipc::ByteRingReader::open(scheduler, bytes_name, options).within(60s));
    for (std::uint32_t i = 0; i < count; ++i) {
        {
            WEIR_CO_TRY(auto item, typed.next().within(60s));
            const Mixed expected = sample(i);
            if (item->number != expected.number || item->value < expected.value ||
                item->value > expected.value || item->small != expected.small || item->tiny[2] != 3)
                co_return co_await fail(Errc::corrupt, "typed record", i);
        }
        WEIR_CO_TRY(auto record, bytes.next().within(60s));
        if (record.bytes().size() != i % 500) co_return co_await fail(Errc::corrupt, "size of a record", i);
        for (const std::byte byte : record.bytes())
            if (byte != static_cast<std::byte>(i & 0xff)) co_return co_await fail(Errc::corrupt, "bytes", i);
    }
    const auto typed_end = co_await typed.next().within(60s);
    if (typed_end || typed_end.error() != Errc::ended) co_return co_await fail(Errc::invalid, "typed end");
    const auto bytes_end = co_await bytes.next().within(60s);
    if (bytes_end || bytes_end.error() != Errc::ended) co_return co_await fail(Errc::invalid, "bytes end");
    typed.close();
    bytes.close();
    WEIR_CO_CHECK(read_kept(scheduler, directory));
}

constexpr Budget budget{.frame_bytes = 32 * 1024, .descriptors = 16, .links = 4};
constinit StaticScheduler<budget> scheduler;

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const auto directory = ipc::RuntimeDirectory::at(argv[2]);
    if (!directory) return 2;
    const auto started = scheduler.start({.backend = BackendChoice::epoll, .environment = false});
    if (!started) return 2;
    const bool writes = std::string_view(argv[1]) == "write";
    const auto outcome =
        scheduler.run(writes ? write_both(scheduler, *directory) : read_both(scheduler, *directory));
    if (outcome) return 0;
    char text[200];
    outcome.error().message(text);
    std::fprintf(stderr, "%s: %s\n", argv[1], text);
    return 1;
}
