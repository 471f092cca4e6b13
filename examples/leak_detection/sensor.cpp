// SPDX-License-Identifier: MIT
//
// weir-leak-sensor: sends one signal of the loop to its standard output, a pipe.
//
// It replays its column of a recording or runs the simulated loop, as fast as `--speed` says, and is held back when the
// pipe is full. Readings are gathered into pieces of at most 4,096 bytes, so that a kill never leaves half a record
// in the pipe; they are sent when a piece is full and before each pause. All sensors begin at the same moment: each says
// by a semaphore that it could, and waits at a gate, an eventfd, that acquisition opens for all of them. Nothing is kept: a sensor that dies is
// started again with `--from`.
#include "loop_model.hpp"
#include "program.hpp"
#include "recording_file.hpp"
#include "wire.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <optional>
#include <unistd.h>

namespace {

using namespace leak;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 16 * 1024, .submissions = 8, .descriptors = 4, .links = 0, .timer_slots = 16};
static_assert(weir::footprint(budget) <= 20 * 1024);

/// Samples from either source.
class Source {
public:
    void open(const Options& options) {
        labelled_ = options.labelled;
        if (!options.recording) {
            loop_.emplace(LoopSettings{.seed = options.seed, .leak_at_s = options.leak_at_s});
        } else if (options.descriptor >= 0) {
            file_.emplace(options.descriptor, *options.recording);
        } else {
            file_.emplace(*options.recording);
        }
    }

    RecordingParser::Step next(Sample& sample) {
        if (!file_) {
            sample = loop_->next();
            return RecordingParser::Step::sample;
        }
        const auto step = file_->next(sample);
        return step == RecordingParser::Step::sample && labelled_ ? file_->require_labels() : step;
    }

    std::string_view error() const { return file_->error(); }

private:
    std::optional<RecordingFile> file_;
    std::optional<LoopModel> loop_;
    bool labelled_ = false;
};

/// Records on their way into the pipe.
class Batch {
public:
    bool empty() const { return size_ == 0; }
    bool has_room() const { return bytes_.size() - size_ >= record_bytes_max; }
    void add(const Record& record) { size_ += encode(record, std::span{bytes_}.subspan(size_)); }
    weir::ConstBytes take() { return std::span<const std::byte>{bytes_}.first(std::exchange(size_, 0)); }

private:
    std::array<std::byte, 4'096> bytes_{};  // PIPE_BUF
    std::size_t size_ = 0;
};

Options options;
Source source;
Batch batch;

Task<> send_readings(Scheduler& scheduler) {
    WEIR_CO_TRY(auto output, weir::PipeWriter::adopt(STDOUT_FILENO));
    source.open(options);
    WEIR_CO_TRY(auto ready, weir::ipc::SharedSemaphore::adopt(ready_descriptor));
    if (const auto given = ready.post(); !given) co_return co_await weir::fail(given.error());
    WEIR_CO_CHECK(weir::readable(gate_descriptor));
    const auto signal = static_cast<Signal>(options.signal);
    const auto started = weir::MonotonicClock::now();
    std::optional<std::int64_t> first_time_s;
    std::optional<std::int64_t> paced_from_s;
    std::uint64_t sequence = 0;
    for (;;) {
        Sample sample;
        const auto step = source.next(sample);
        if (step == RecordingParser::Step::failed) {
            batch.add(StreamFailure{.signal = signal,
                                    .text = BoundedText<StreamFailure::text_bytes_max>{source.error()}});
            break;
        }
        if (!first_time_s) first_time_s = sample.time_s;
        const bool over = options.seconds && sample.time_s - *first_time_s >= *options.seconds;
        if (step == RecordingParser::Step::end || over) {
            batch.add(StreamEnd{.signal = signal, .readings_count = sequence});
            break;
        }
        if (sequence < options.from) {
            ++sequence;
            continue;
        }
        if (!paced_from_s) paced_from_s = sample.time_s;
        if (options.speed) {
            const std::chrono::duration<double> due{static_cast<double>(sample.time_s - *paced_from_s) /
                                                    *options.speed};
            const auto at = weir::after(started, weir::saturating_ns(due));
            if (at > scheduler.now()) {
                if (!batch.empty()) WEIR_CO_CHECK(output.write_all(batch.take()));
                WEIR_CO_CHECK(weir::sleep_until(at));
            }
        }
        batch.add(Reading{.signal = signal,
                          .labels = sample.labels,
                          .sequence = sequence++,
                          .time_s = sample.time_s,
                          .value = sample.values[options.signal]});
        if (!batch.has_room()) WEIR_CO_CHECK(output.write_all(batch.take()));
    }
    WEIR_CO_CHECK(output.write_all(batch.take()));
}

}  // namespace

int main(int argc, char** argv) {
    weir::StartOptions start;
    if (!read_options(argc, argv, options) || !choose_backend(options, start))
        return static_cast<int>(Ending::refused);
    return weir::run_main<budget>(argc, argv, send_readings, start);
}
