// SPDX-License-Identifier: MIT
//
// weir-leak-logger: writes the samples to a file, as a recording that can be replayed.
//
// It subscribes to the topic of samples and holds up nobody: what it was too slow for is missing, and it says how many
// samples that were. The supervisor has opened the file and handed it down. Writing blocks, so a thread does it.
// Two columns more than a recording needs say which sample a line is. By them a successor finds in the file where it has
// to go on, and what acquisition publishes again is not written again.
#include "loop_time.hpp"
#include "program.hpp"
#include "record_writer.hpp"
#include "sample_topic.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <unistd.h>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 32 * 1024,
    .submissions = 16,
    .descriptors = 6,  // standard input and output, signals, the worker's call, two to spare
    .links = 2,        // the topic, and the one before it
    .timer_slots = 16,
    .grace_ms = 900,
};
static_assert(weir::footprint(budget) <= 40 * 1024);

constexpr std::size_t line_bytes_max = 512;
using Line = BoundedText<line_bytes_max>;

struct Place {
    std::uint32_t recording = 0;
    std::uint64_t sequence = 0;
};

struct Logger {
    Options options;
    Reporter reporter;
    weir::StaticWorker<1, 1> worker;
    SampleSubscriber samples;
    std::optional<Place> last;  // in the file
    bool begun = false;         // it has its header
    Line line;
    bool supervisor_is_gone = false;
};

Logger logger;
Ending ending = Ending::failed;

Line header() {
    Line text{"datetime"};
    for (const auto name : signal_names) text.append(';').append(name);
    return text.append(";anomaly;changepoint;recording;sequence\n");
}

Line line_of(const JoinedSample& joined) {
    Line text{format_datetime(joined.sample.time_s).view()};
    for (const double value : joined.sample.values) {
        std::array<char, 32> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        text.append(';').append(
            std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())});
    }
    text.append(joined.sample.labels.anomaly ? ";1.0" : ";0.0");
    text.append(joined.sample.labels.changepoint ? ";1.0;" : ";0.0;");
    return text.append(joined.recording).append(';').append(joined.sequence).append('\n');
}

template <class Number>
bool take_number(std::string_view& text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc{};
}

/// What the file ends with. A line that a predecessor did not finish is cut off. Gives what is wrong, or 0. In the
/// worker's thread, as it may block.
int find_last() {
    std::array<char, 2 * line_bytes_max> tail;
    const off_t size = ::lseek(log_descriptor, 0, SEEK_END);
    if (size < 0) return errno;
    const off_t from = size > static_cast<off_t>(tail.size()) ? size - static_cast<off_t>(tail.size()) : 0;
    const ssize_t read = ::pread(log_descriptor, tail.data(), static_cast<std::size_t>(size - from), from);
    if (read < 0) return errno;
    std::string_view text{tail.data(), static_cast<std::size_t>(read)};
    const auto whole = text.rfind('\n') + 1;  // 0 where there is none
    if (whole != text.size() && ::ftruncate(log_descriptor, from + static_cast<off_t>(whole)) < 0)
        return errno;
    text = text.substr(0, whole);
    logger.begun = !text.empty();
    if (text.empty()) return 0;
    text.remove_suffix(1);
    text.remove_prefix(text.rfind('\n') + 1);
    text.remove_prefix(text.rfind(';', text.rfind(';') - 1) + 1);
    Place place;
    if (!take_number(text, place.recording) || text.empty()) return 0;  // the header
    text.remove_prefix(1);
    if (take_number(text, place.sequence)) logger.last = place;
    return 0;
}

/// Waits until the line is written: the file may be full for a while. What is missed meanwhile is counted later.
Task<> write(Scheduler& scheduler) {
    bool told = false;
    std::size_t done = 0;
    for (;;) {
        const std::string_view rest = logger.line.view().substr(done);
        std::size_t written = 0;
        WEIR_CO_TRY(const int error, logger.worker.call([rest, &written] {
            const ssize_t size = ::write(log_descriptor, rest.data(), rest.size());
            if (size < 0) return errno;
            written = static_cast<std::size_t>(size);
            return 0;
        }));
        done += written;
        if (done == logger.line.view().size()) co_return;
        if (error == 0 || error == EINTR) continue;
        if (!told) {
            told = true;
            WEIR_CO_CHECK(logger.reporter.notice(scheduler, Notice::Kind::trouble,
                                                 text_of("the log cannot be written; it is tried again",
                                                         weir::Error::from_errno("write", error))));
        }
        WEIR_CO_CHECK(weir::sleep_for(500ms));
    }
}

Task<> log(Scheduler& scheduler, JoinedSample joined) {
    const auto& last = logger.last;
    const std::uint64_t expected = last && joined.recording == last->recording ? last->sequence + 1 : 0;
    if (joined.sequence < expected) co_return;  // published again
    if (const std::uint64_t missed = joined.sequence - expected; missed > 0) {
        BoundedText<Notice::text_bytes_max> text{"the log misses "};
        text.append(missed).append(missed == 1 ? " sample" : " samples").append(" before sample ");
        WEIR_CO_CHECK(logger.reporter.notice(scheduler, Notice::Kind::trouble, text.append(joined.sequence)));
    }
    logger.line = line_of(joined);
    WEIR_CO_CHECK(write(scheduler));
    logger.last = Place{joined.recording, joined.sequence};
}

Task<> take(Scheduler& scheduler, SampleSlot slot) {
    Record record;
    std::size_t size = 0;
    if (decode(slot.bytes, record, size) != Decoded::record)
        co_return co_await weir::fail(weir::Errc::invalid, "a record of acquisition");
    if (const auto* joined = std::get_if<JoinedSample>(&record)) WEIR_CO_CHECK(log(scheduler, *joined));
}

Task<> follow(Scheduler& scheduler) {
    if (!logger.begun) {
        logger.line = header();
        WEIR_CO_CHECK(write(scheduler));
        logger.begun = true;
    }
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(logger.options.directory));
    WEIR_CO_TRY(
        logger.samples,
        SampleSubscriber::open(scheduler, sample_topic,
                               {.history = samples_kept,
                                .successor = weir::ipc::Successor::await,
                                .link = {.server_uid = logger.options.peer_user, .directory = &directory}}));
    for (;;) {
        WEIR_CO_TRY(const auto sample, logger.samples.next());
        WEIR_CO_CHECK(take(scheduler, *sample));
    }
}

/// What is there when the end is asked for.
Task<> finish(Scheduler& scheduler) {
    for (;;) {
        const auto sample = logger.samples.try_next();
        if (!sample) co_return;
        WEIR_CO_CHECK(take(scheduler, **sample));
    }
}

Task<> serve_supervisor(Scheduler& scheduler) {
    WEIR_CO_CHECK(await_supervisors_end(scheduler));
    logger.supervisor_is_gone = true;
}

Task<> write_log(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    WEIR_CO_CHECK(logger.reporter.open());
    if (const auto started = logger.worker.start(); !started) co_return co_await weir::fail(started.error());
    WEIR_CO_TRY(const int error, logger.worker.call(find_last));
    auto outcome = weir::Result<void>{};
    if (error == 0) {
        const auto ended =
            co_await weir::first_of(quit.next(), serve_supervisor(scheduler), follow(scheduler));
        if (ended) {
            ending = Ending::stopped;
            outcome = co_await weir::shielded(500ms, finish(scheduler));
        } else {
            outcome = weir::failure(ended.error());
        }
    } else {
        outcome = weir::failure(weir::Error::from_errno("the log", error));
    }
    logger.samples.close();
    if (!outcome)
        WEIR_CO_CHECK(weir::shielded(1s, logger.reporter.notice(scheduler, Notice::Kind::trouble,
                                                                text_of("logger", outcome.error()))));
}

}  // namespace

int main(int argc, char** argv) {
    weir::StartOptions start;
    if (!read_options(argc, argv, logger.options) || !choose_backend(logger.options, start)) {
        return static_cast<int>(Ending::refused);
    }
    remember_parent();
    const int status = weir::run_main<budget>(argc, argv, write_log, start);
    logger.worker.close();
    if (logger.supervisor_is_gone || parent_is_gone()) leave_directory(logger.options.directory);
    return status != 0 ? status : static_cast<int>(ending);
}
