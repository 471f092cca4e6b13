// SPDX-License-Identifier: MIT
#include <weir/io/message_queue.hpp>

#include "forked.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// A queue name of this process's own, unlinked before and after.
class OwnName {
public:
    explicit OwnName(const char* what = "queue")
        : name_(*Name::make("weir-test/" + std::to_string(::getpid()) + "-" + what)) {
        static_cast<void>(MessageQueue::unlink(name_));
    }
    OwnName(const OwnName&) = delete;
    OwnName& operator=(const OwnName&) = delete;
    ~OwnName() { static_cast<void>(MessageQueue::unlink(name_)); }

    const Name& operator*() const noexcept { return name_; }
    [[nodiscard]] std::string path() const {
        std::string path = "/" + std::string(name_.view());
        path[path.find('/', 1)] = '~';
        return path;
    }

private:
    Name name_;
};

constexpr std::uint32_t message_size = 64;
using Buffer = std::array<std::byte, message_size>;

struct Ends {
    MessageQueueReader reader;
    MessageQueueWriter writer;
};
Result<Ends> make_ends(const Name& name, const MessageQueueOptions& options) {
    WEIR_TRY(MessageQueueReader reader, MessageQueueReader::create(name, options));
    WEIR_TRY(MessageQueueWriter writer, MessageQueueWriter::create(name, options));
    return Ends{std::move(reader), std::move(writer)};
}
constexpr MessageQueueOptions four{.depth = 4, .message_size = message_size};

std::string message_of(const Error& error) {
    std::array<char, 200> text{};
    return std::string(error.message(text));
}

// --- sending and receiving

Task<> receives_by_priority(Scheduler&, Ends& ends) {
    WEIR_CO_CHECK(ends.writer.send(bytes_of("low"), 1));
    WEIR_CO_CHECK(ends.writer.send(bytes_of("first of nine"), 9));
    WEIR_CO_CHECK(ends.writer.send({}, MessageQueue::priority_max));
    WEIR_CO_CHECK(ends.writer.send(bytes_of("second of nine"), 9));
    Buffer buffer;
    WEIR_CO_TRY(const auto empty, ends.reader.receive(buffer));
    CHECK_IN_TASK(empty.bytes.empty());
    CHECK_IN_TASK(empty.priority == MessageQueue::priority_max);
    WEIR_CO_TRY(const auto first, ends.reader.receive(buffer));
    CHECK_IN_TASK(first.bytes.data() == buffer.data());
    CHECK_IN_TASK(text_of(first.bytes) == "first of nine");
    CHECK_IN_TASK(first.priority == 9);
    WEIR_CO_TRY(const auto second, ends.reader.receive(buffer));
    CHECK_IN_TASK(text_of(second.bytes) == "second of nine");
    WEIR_CO_TRY(const auto low, ends.reader.receive(buffer));
    CHECK_IN_TASK(text_of(low.bytes) == "low");
    CHECK_IN_TASK(low.priority == 1);
}
TEST_CASE("messages come by priority, and among equals in the order they were sent") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        const OwnName name;
        auto ends = make_ends(*name, four);
        REQUIRE(ends.has_value());
        running.must_run(receives_by_priority(*running, *ends));
    });
}

Task<> receive_later(Scheduler&, MessageQueueReader& reader, std::uint32_t& first) {
    WEIR_CO_CHECK(sleep_for(1ms));
    Buffer buffer;
    for (std::uint32_t i = 0; i < 5; ++i) {
        WEIR_CO_TRY(const auto message, reader.receive(buffer));
        if (i == 0) first = message.priority;
    }
}
Task<> send_fifth(Scheduler&, MessageQueueWriter& writer) {
    WEIR_CO_CHECK(writer.send(bytes_of("five"), 5));
}
Task<> full_waits(Scheduler& scheduler, Ends& ends) {
    for (std::uint32_t i = 0; i < 4; ++i) WEIR_CO_CHECK(ends.writer.send(bytes_of("x"), i));
    const auto late = co_await ends.writer.send(bytes_of("late"), 7).within(300us);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
    const auto at_once = co_await ends.writer.send(bytes_of("late"), 7).within(0s);
    CHECK_IN_TASK(code_of(at_once) == Errc::timed_out);
    std::uint32_t first = 0;
    WEIR_CO_CHECK(all_of(receive_later(scheduler, ends.reader, first), send_fifth(scheduler, ends.writer)));
    CHECK_IN_TASK(first == 3);  // nothing of the sends that timed out
    const auto status = ends.reader.status();
    CHECK_IN_TASK(status.has_value());
    CHECK_IN_TASK(status->messages == 0);
}
TEST_CASE("sending into a full queue waits until there is room or the deadline") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        const OwnName name;
        auto ends = make_ends(*name, four);
        REQUIRE(ends.has_value());
        running.must_run(full_waits(*running, *ends));
    });
}

Task<> send_later(Scheduler&, MessageQueueWriter& writer) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(writer.send(bytes_of("woken"), 3));
}
Task<> receive_waiting(Scheduler&, MessageQueueReader& reader) {
    Buffer buffer;
    WEIR_CO_TRY(const auto message, reader.receive(buffer).within(1h));
    CHECK_IN_TASK(text_of(message.bytes) == "woken");
}
Task<> empty_waits(Scheduler& scheduler, Ends& ends) {
    Buffer buffer;
    const auto nothing = co_await ends.reader.receive(buffer).within(200us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    WEIR_CO_CHECK(all_of(receive_waiting(scheduler, ends.reader), send_later(scheduler, ends.writer)));
}
TEST_CASE("receiving from an empty queue waits for a message or the deadline") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        const OwnName name;
        auto ends = make_ends(*name, four);
        REQUIRE(ends.has_value());
        running.must_run(empty_waits(*running, *ends));
    });
}

Task<> receive_refused(Scheduler&, MessageQueueReader& reader, Errc& refused) {
    Buffer buffer;
    const auto got = co_await reader.receive(buffer);
    if (!got) refused = got.error().code;
}
Task<> second_is_busy(Scheduler& scheduler, Ends& ends) {
    Errc refused = Errc::system;
    WEIR_CO_CHECK(all_of(receive_waiting(scheduler, ends.reader),
                         receive_refused(scheduler, ends.reader, refused),
                         send_later(scheduler, ends.writer)));
    CHECK_IN_TASK(refused == Errc::busy);
}
TEST_CASE("a second task that receives from the same handle is told that it is busy") {
    Running running;
    const OwnName name;
    auto ends = make_ends(*name, four);
    REQUIRE(ends.has_value());
    running.must_run(second_is_busy(*running, *ends));
}

// --- limits

Task<> refuses_what_does_not_fit(Scheduler&, Ends& ends) {
    const std::array<std::byte, message_size + 1> wide{};
    const auto too_wide = co_await ends.writer.send(wide);
    CHECK_IN_TASK(code_of(too_wide) == Errc::too_large);
    CHECK_IN_TASK(too_wide.error().a == message_size + 1);
    CHECK_IN_TASK(too_wide.error().b == message_size);
    const auto too_urgent = co_await ends.writer.send({}, MessageQueue::priority_max + 1);
    CHECK_IN_TASK(code_of(too_urgent) == Errc::too_large);
    CHECK_IN_TASK(too_urgent.error().b == MessageQueue::priority_max);

    WEIR_CO_CHECK(ends.writer.send(std::span(wide).first(message_size), 2));
    Buffer buffer;
    const auto narrow = co_await ends.reader.receive(std::span(buffer).first(message_size - 1));
    CHECK_IN_TASK(code_of(narrow) == Errc::too_large);
    CHECK_IN_TASK(narrow.error().a == message_size);
    CHECK_IN_TASK(narrow.error().b == message_size - 1);
    WEIR_CO_TRY(const auto kept, ends.reader.receive(buffer));
    CHECK_IN_TASK(kept.bytes.size() == message_size);
    CHECK_IN_TASK(kept.priority == 2);
}
TEST_CASE("a message too large, a priority too high and a buffer too small lose nothing and name the limit") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        const OwnName name;
        auto ends = make_ends(*name, four);
        REQUIRE(ends.has_value());
        running.must_run(refuses_what_does_not_fit(*running, *ends));
    });
}

std::uint64_t read_limit(const char* path) {
    std::uint64_t limit = 0;
    std::ifstream(path) >> limit;
    return limit;
}
TEST_CASE("a queue beyond the system's limits names their file and value") {
    constexpr std::uint32_t beyond_all = 70'000;  // more than a privileged process may have either
    const OwnName name;
    const auto deep = MessageQueueReader::create(*name, {.depth = beyond_all, .message_size = 8});
    REQUIRE(code_of(deep) == Errc::too_large);
    const std::uint64_t depth_max = read_limit("/proc/sys/fs/mqueue/msg_max");
    CHECK(deep.error().a == beyond_all);
    CHECK(deep.error().b == depth_max);
    CHECK(message_of(deep.error())
              .starts_with(
                  "message queue create, depth (/proc/sys/fs/mqueue/msg_max): too large (70000, limit " +
                  std::to_string(depth_max) + ")"));
    const auto wide = MessageQueueReader::create(*name, {.depth = 1, .message_size = 1U << 25});
    REQUIRE(code_of(wide) == Errc::too_large);
    CHECK(wide.error().b == read_limit("/proc/sys/fs/mqueue/msgsize_max"));
    CHECK(code_of(MessageQueueReader::open(*name)) == Errc::not_found);  // nothing is left of them
    CHECK(code_of(MessageQueueReader::create(*name, {.depth = 0})) == Errc::invalid);
    CHECK(code_of(MessageQueueReader::create(*name, {.message_size = 0})) == Errc::invalid);
}

// --- making, opening, unlinking

TEST_CASE("creating opens an equal queue that is there, and names both sides' values of another") {
    const OwnName name;
    const auto made = MessageQueueReader::create(*name, four);
    REQUIRE(made.has_value());
    CHECK(made->message_size() == message_size);
    CHECK(MessageQueueWriter::create(*name, four).has_value());
    auto other = four;
    other.depth = 3;
    const auto shallow = MessageQueueWriter::create(*name, other);
    REQUIRE(code_of(shallow) == Errc::mismatch);
    CHECK(message_of(shallow.error()) == "message queue create, depth: made differently (3 here, 4 there)");
    other = four;
    other.message_size = 65;
    const auto wide = MessageQueueReader::create(*name, other);
    REQUIRE(code_of(wide) == Errc::mismatch);
    CHECK(wide.error().a == 65);
    CHECK(wide.error().b == message_size);
    other = four;
    other.exclusive = true;
    CHECK(code_of(MessageQueueReader::create(*name, other)) == Errc::in_use);
}

TEST_CASE("opening takes a queue as it is, and unlinking removes its name alone") {
    Running running;
    const OwnName name;
    CHECK(code_of(MessageQueueReader::open(*name)) == Errc::not_found);
    CHECK(code_of(MessageQueueWriter::open(*name)) == Errc::not_found);
    CHECK(code_of(MessageQueue::unlink(*name)) == Errc::not_found);
    REQUIRE(MessageQueueReader::create(*name, four).has_value());
    auto reader = MessageQueueReader::open(*name);
    auto writer = MessageQueueWriter::open(*name);
    REQUIRE(reader.has_value());
    REQUIRE(writer.has_value());
    CHECK(reader->message_size() == message_size);
    REQUIRE(MessageQueue::unlink(*name).has_value());
    CHECK(code_of(MessageQueueWriter::open(*name)) == Errc::not_found);
    running.must_run([](Scheduler&, MessageQueueReader& from, MessageQueueWriter& into) -> Task<> {
        WEIR_CO_CHECK(into.send(bytes_of("still here"), 0));
        Buffer buffer;
        WEIR_CO_TRY(const auto message, from.receive(buffer));
        CHECK_IN_TASK(text_of(message.bytes) == "still here");
    }(*running, *reader, *writer));
}

TEST_CASE("a queue has exactly the mode asked for, and the name with its slashes exchanged") {
    const OwnName name;
    const mode_t before = ::umask(0077);
    auto options = four;
    options.mode = 0620;
    const auto made = MessageQueueReader::create(*name, options);
    ::umask(before);
    REQUIRE(made.has_value());
    struct stat status {};
    REQUIRE(::fstat(made->fd(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0620);
    const Fd same(::mq_open(name.path().c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(same);
    const auto seen = made->status();
    REQUIRE(seen.has_value());
    CHECK(seen->depth == 4);
    CHECK(seen->message_size == message_size);
    CHECK(seen->messages == 0);
    CHECK(seen->owner == ::geteuid());
    CHECK(code_of(MessageQueueReader().status()) == Errc::closed);
}

TEST_CASE("an owner and a group can be given, and another user's queue is not created into") {
    if (::geteuid() != 0) skip("needs root to give a queue to another user");
    const OwnName name;
    auto options = four;
    options.owner = 65'533;
    options.group = nobody_gid;
    options.mode = 0620;
    const auto made = MessageQueueReader::create(*name, options);
    REQUIRE(made.has_value());
    struct stat status {};
    REQUIRE(::fstat(made->fd(), &status) == 0);
    CHECK(status.st_uid == 65'533);
    CHECK(status.st_gid == nobody_gid);
    CHECK(code_of(MessageQueueReader::create(*name, four)) == Errc::in_use);
    CHECK(MessageQueueReader::create(*name, options).has_value());
    const ChildEnd end = run_unprivileged([&] {
        if (code_of(MessageQueueReader::open(*name)) != Errc::denied) return 1;
        if (code_of(MessageQueueWriter::create(*name, four)) != Errc::in_use) return 2;
        if (!MessageQueueWriter::open(*name)) return 3;  // by its group
        return code_of(MessageQueue::unlink(*name)) == Errc::denied ? 0 : 4;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("adopting takes the ends of a queue and nothing else") {
    Running running;
    const OwnName name;
    REQUIRE(MessageQueueReader::create(*name, four).has_value());
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const Fd read_end(pipe[0]);
    const Fd write_end(pipe[1]);
    CHECK(code_of(MessageQueueReader::adopt(read_end.get())) == Errc::wrong_kind);
    CHECK(code_of(MessageQueueReader::adopt(-1)) == Errc::closed);
    const Fd only_writes(::mq_open(name.path().c_str(), O_WRONLY));
    CHECK(code_of(MessageQueueReader::adopt(only_writes.get())) == Errc::wrong_kind);
    auto both = MessageQueueReader::adopt(::mq_open(name.path().c_str(), O_RDWR));
    REQUIRE(both.has_value());
    CHECK(both->message_size() == message_size);
    mq_attr attributes{};
    REQUIRE(::mq_getattr(both->fd(), &attributes) == 0);
    CHECK((attributes.mq_flags & O_NONBLOCK) != 0);
    CHECK((::fcntl(both->fd(), F_GETFD) & FD_CLOEXEC) != 0);
    running.must_run([](Scheduler&, MessageQueueReader& adopted) -> Task<> {
        Buffer buffer;
        const auto nothing = co_await adopted.receive(buffer).within(200us);
        CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    }(*running, *both));
    auto writer = MessageQueueWriter::adopt(both->release());
    CHECK(writer.has_value());
}

Task<> nothing_open(Scheduler&) {
    MessageQueueReader reader;
    MessageQueueWriter writer;
    Buffer buffer;
    const auto received = co_await reader.receive(buffer);
    CHECK_IN_TASK(code_of(received) == Errc::closed);
    const auto sent = co_await writer.send(bytes_of("x"));
    CHECK_IN_TASK(code_of(sent) == Errc::closed);
}
TEST_CASE("a handle without a queue says that it is closed") {
    on_each_seed(nothing_open);
}

// --- between processes

TEST_CASE("messages wait for a reader after their sender was killed and the maker has closed") {
    Running running;
    const OwnName name;
    {
        ForkedHolder sender([&] {
            const auto made = MessageQueueReader::create(*name, four);
            auto writer = MessageQueueWriter::open(*name);
            if (!made || !writer) return false;
            return ::mq_send(writer->fd(), "left behind", 11, 4) == 0;
        });
        sender.kill();
    }
    auto reader = MessageQueueReader::create(*name, four);
    REQUIRE(reader.has_value());
    running.must_run([](Scheduler&, MessageQueueReader& from) -> Task<> {
        Buffer buffer;
        WEIR_CO_TRY(const auto message, from.receive(buffer));
        CHECK_IN_TASK(text_of(message.bytes) == "left behind");
        CHECK_IN_TASK(message.priority == 4);
    }(*running, *reader));
}

// The child sends numbered messages as fast as the queue lets it, the parent takes them.
const std::uint32_t numbered = repeats(2'000);

Task<> sends_numbers(Scheduler&, MessageQueueWriter& writer) {
    for (std::uint32_t i = 0; i < numbered; ++i) WEIR_CO_CHECK(writer.send(bytes_of(i), 0));
}
Task<> takes_numbers(Scheduler&, MessageQueueReader& reader) {
    Buffer buffer;
    for (std::uint32_t i = 0; i < numbered; ++i) {
        WEIR_CO_TRY(const auto message, reader.receive(buffer).within(1min));
        CHECK_IN_TASK(message.bytes.size() == sizeof(i));
        CHECK_IN_TASK(std::memcmp(message.bytes.data(), &i, sizeof(i)) == 0);
    }
}
TEST_CASE("another process sends, and a receiver that waits gets every message in order") {
    if (on_simulated()) skip("other processes live outside the simulation");
    Running running;
    const OwnName name;
    auto reader = MessageQueueReader::create(*name, four);
    REQUIRE(reader.has_value());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto writer = MessageQueueWriter::open(*name);
        Running sending;
        const auto outcome = sending.run(sends_numbers(*sending, *writer));
        ::_exit(outcome.has_value() ? 0 : 1);
    }
    running.must_run(takes_numbers(*running, *reader));
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

// --- deadlines

const std::uint32_t raced = repeats(1'000);

Task<> sends_at_random(Scheduler&, MessageQueueWriter& writer, std::uint32_t random) {
    for (std::uint32_t i = 0; i < raced;) {
        random = random * 1'664'525U + 1'013'904'223U;
        WEIR_CO_CHECK(sleep_for(std::chrono::microseconds((random >> 8) % 20)));
        const auto sent = co_await writer.send(bytes_of(i)).within(std::chrono::microseconds(random % 7));
        if (sent)
            ++i;
        else if (sent.error() != Errc::timed_out)
            co_return co_await fail(sent.error());
    }
}
Task<> receives_at_random(Scheduler&, MessageQueueReader& reader, std::uint32_t random, int& time_outs) {
    Buffer buffer;
    for (std::uint32_t i = 0; i < raced;) {
        random = random * 1'664'525U + 1'013'904'223U;
        const auto got =
            co_await reader.receive(buffer).within(std::chrono::microseconds((random >> 8) % 21));
        if (got) {
            CHECK_IN_TASK(std::memcmp(got->bytes.data(), &i, sizeof(i)) == 0);
            ++i;
        } else {
            if (got.error() != Errc::timed_out) co_return co_await fail(got.error());
            ++time_outs;
        }
    }
}
TEST_CASE("no message is lost or doubled by deadlines that pass as it is sent or received") {
    int time_outs = 0;
    for_each_seed([&](std::uint64_t seed) {
        Running running(seed);
        const OwnName name;
        auto ends = make_ends(*name, {.depth = 1, .message_size = message_size});
        REQUIRE(ends.has_value());
        running.must_run([](Scheduler& scheduler, Ends& both, std::uint32_t random, int& late) -> Task<> {
            WEIR_CO_CHECK(all_of(sends_at_random(scheduler, both.writer, random),
                                 receives_at_random(scheduler, both.reader, random + 1, late)));
        }(*running, *ends, static_cast<std::uint32_t>(seed), time_outs));
    });
    if (repeats(100) >= 100) CHECK(time_outs > 0);  // fewer messages may meet none
}

}  // namespace
