// SPDX-License-Identifier: MIT
//
// Events of a handle, and completions of an await, that are gone: none reaches their successors. For each kind of object
// that is waited on alike.
#include <weir/weir.hpp>

#include "running.hpp"

#include <array>
#include <cstdio>
#include <string_view>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

constexpr std::uint32_t message_size = 16;
using Buffer = std::array<std::byte, message_size>;

/// Each kind: how two ends are made, and how one message goes.
struct Streams {
    using Reader = UnixStream;
    using Writer = UnixStream;
    static Task<> make(Scheduler&, Reader& reader, Writer& writer) {
        WEIR_CO_TRY(auto ends, UnixStream::pair());
        reader = std::move(ends.first);
        writer = std::move(ends.second);
    }
    static auto take(Reader& reader, Bytes buffer) { return reader.read(buffer); }
    static auto give(Writer& writer, ConstBytes bytes) { return writer.write_all(bytes); }
    static ConstBytes bytes_in(ConstBytes got) { return got; }
};
struct Messages {
    using Reader = UnixSeqpacket;
    using Writer = UnixSeqpacket;
    static Task<> make(Scheduler&, Reader& reader, Writer& writer) {
        WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
        reader = std::move(ends.first);
        writer = std::move(ends.second);
    }
    static auto take(Reader& reader, Bytes buffer) { return reader.read(buffer); }
    static auto give(Writer& writer, ConstBytes bytes) { return writer.write(bytes); }
    static ConstBytes bytes_in(ConstBytes got) { return got; }
};
Task<> accepts(Scheduler&, TcpListener& listener, TcpStream& into) {
    WEIR_CO_TRY(into, listener.accept());
}
Task<> connects(Scheduler&, SocketAddress to, TcpStream& into) {
    WEIR_CO_TRY(into, TcpStream::connect(to));
    WEIR_CO_CHECK(into.set_nodelay(true));
}
struct Connections {
    using Reader = TcpStream;
    using Writer = TcpStream;
    static Task<> make(Scheduler& scheduler, Reader& reader, Writer& writer) {
        WEIR_CO_TRY(auto listener, TcpListener::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
        WEIR_CO_TRY(const SocketAddress address, listener.local());
        WEIR_CO_CHECK(all_of(accepts(scheduler, listener, reader), connects(scheduler, address, writer)));
    }
    static auto take(Reader& reader, Bytes buffer) { return reader.read(buffer); }
    static auto give(Writer& writer, ConstBytes bytes) { return writer.write_all(bytes); }
    static ConstBytes bytes_in(ConstBytes got) { return got; }
};
struct Queues {
    using Reader = MessageQueueReader;
    using Writer = MessageQueueWriter;
    static Task<> make(Scheduler&, Reader& reader, Writer& writer) {
        static int made = 0;
        std::array<char, 64> text{};
        const int size = std::snprintf(text.data(), text.size(), "weir-test/%d-stale-%d",
                                       static_cast<int>(::getpid()), made++);
        WEIR_CO_TRY(const Name name, Name::make({text.data(), static_cast<std::size_t>(size)}));
        const MessageQueueOptions options{.depth = 4, .message_size = message_size};
        WEIR_CO_TRY(reader, MessageQueueReader::create(name, options));
        WEIR_CO_TRY(writer, MessageQueueWriter::create(name, options));
        WEIR_CO_CHECK(MessageQueue::unlink(name));
    }
    static auto take(Reader& reader, Bytes buffer) { return reader.receive(buffer); }
    static auto give(Writer& writer, ConstBytes bytes) { return writer.send(bytes, 0); }
    static ConstBytes bytes_in(const QueuedMessage& got) { return got.bytes; }
};

// --- a handle that was closed while a duplicate of its descriptor lives

template <class Kind>
Task<> takes_one(Scheduler&, typename Kind::Reader& reader, std::string_view wanted) {
    Buffer buffer;
    WEIR_CO_TRY(const auto got, Kind::take(reader, buffer).within(60s));
    CHECK_IN_TASK(text_of(Kind::bytes_in(got)) == wanted);
}
template <class Kind>
Task<> gives_both(Scheduler&, typename Kind::Writer& to_gone, typename Kind::Writer& to_ours) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(Kind::give(to_gone, bytes_of("n")));
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(Kind::give(to_ours, bytes_of("o")));
}
template <class Kind>
Task<> survives_a_duplicate(Scheduler& scheduler) {
    typename Kind::Reader gone;
    typename Kind::Writer to_gone;
    WEIR_CO_CHECK(Kind::make(scheduler, gone, to_gone));
    Buffer buffer;
    const auto nothing = co_await Kind::take(gone, buffer).within(100us);  // now the backend knows it
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    const int elsewhere = ::dup(gone.fd());
    const int number = gone.fd();
    gone.close();
    // The next one has its descriptor's number and its entry in the table.
    typename Kind::Reader ours;
    typename Kind::Writer to_ours;
    WEIR_CO_CHECK(Kind::make(scheduler, ours, to_ours));
    CHECK_IN_TASK((ours.fd() == number || to_ours.fd() == number || std::is_same_v<Kind, Connections>));
    WEIR_CO_CHECK(
        all_of(takes_one<Kind>(scheduler, ours, "o"), gives_both<Kind>(scheduler, to_gone, to_ours)));
    // What went to the duplicate is there.
    WEIR_CO_TRY(auto other, Kind::Reader::adopt(elsewhere));
    WEIR_CO_CHECK(takes_one<Kind>(scheduler, other, "n"));
}
TEST_CASE("what comes for a closed handle's duplicate reaches the duplicate, and no later handle") {
    on_each_seed(survives_a_duplicate<Streams>);
    on_each_seed(survives_a_duplicate<Messages>);
    on_each_seed(survives_a_duplicate<Connections>);
    on_each_seed(survives_a_duplicate<Queues>);
}

// --- an await that ended as its completion came, and the next one in the same frame

const std::uint32_t rounds = repeats(400);

struct Random {
    std::uint32_t state;
    std::chrono::microseconds up_to(std::uint32_t most) noexcept {
        state = state * 1'664'525U + 1'013'904'223U;
        return std::chrono::microseconds((state >> 8) % (most + 1));
    }
};

/// Its frame is freed when it ends, and the next call has it. One byte, since the simulated backend cuts transfers.
template <class Kind>
Task<std::byte> takes_number(Scheduler&, typename Kind::Reader& reader) {
    Buffer buffer;
    const std::size_t room = std::is_same_v<Kind, Queues> ? buffer.size() : 1;
    WEIR_CO_TRY(const auto got, Kind::take(reader, std::span(buffer).first(room)));
    const ConstBytes bytes = Kind::bytes_in(got);
    CHECK_IN_TASK(bytes.size() == 1);
    co_return buffer[0];
}
template <class Kind>
Task<> takes_in_reused_frames(Scheduler& scheduler, typename Kind::Reader& reader, Random random,
                              std::uint32_t& late) {
    for (std::uint32_t wanted = 0; wanted < rounds;) {
        const auto got = co_await takes_number<Kind>(scheduler, reader).within(random.up_to(30));
        if (got) {
            CHECK_IN_TASK(*got == static_cast<std::byte>(wanted));
            ++wanted;
        } else {
            if (got.error() != Errc::timed_out) co_return co_await fail(got.error());
            ++late;
        }
    }
}
template <class Kind>
Task<> gives_numbers(Scheduler&, typename Kind::Writer& writer, Random random) {
    for (std::uint32_t i = 0; i < rounds; ++i) {
        WEIR_CO_CHECK(sleep_for(random.up_to(40)));
        const std::array<std::byte, 1> number{static_cast<std::byte>(i)};
        WEIR_CO_CHECK(Kind::give(writer, number));
    }
}
template <class Kind>
void race(const char* what) {
    INFO(what);
    std::uint32_t late = 0;
    for_each_seed([&](std::uint64_t seed) {
        Running running(seed);
        typename Kind::Reader reader;
        typename Kind::Writer writer;
        running.must_run(Kind::make(*running, reader, writer));
        running.must_run([](Scheduler& scheduler, typename Kind::Reader& from, typename Kind::Writer& to,
                            Random random, std::uint32_t& passed) -> Task<> {
            WEIR_CO_CHECK(all_of(takes_in_reused_frames<Kind>(scheduler, from, random, passed),
                                 gives_numbers<Kind>(scheduler, to, Random{random.state + 99})));
        }(*running, reader, writer, Random{static_cast<std::uint32_t>(seed)}, late));
    });
    if (repeats(100) >= 100) CHECK(late > 0);  // fewer rounds may meet none
}
TEST_CASE("a completion that comes as its await is cancelled never reaches the next await in its frame") {
    race<Streams>("streams");
    race<Messages>("messages");
    race<Queues>("queues");
    if (!on_simulated()) race<Connections>("TCP");  // the kernel's network delivers in real time
}

}  // namespace
