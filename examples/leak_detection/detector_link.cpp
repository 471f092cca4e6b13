// SPDX-License-Identifier: MIT
//
// The connection to the detector. The detector speaks first: which sample it wants. Then one task sends and one takes
// acknowledgements, until the recording's end has been confirmed or the connection breaks; a broken one is made anew,
// and the samples that were not acknowledged go out again.
#include "acquisition_state.hpp"

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

struct Link {
    weir::UnixStream stream;
    RecordReader reader;
    Record record;
};

Link link_now;

/// The next record from the detector.
Task<> receive(Scheduler&, Link& link) {
    for (;;) {
        const Decoded decoded = link.reader.next(link.record);
        if (decoded == Decoded::record) co_return;
        if (decoded != Decoded::incomplete)
            co_return co_await weir::fail(weir::Errc::invalid, "a record of the detector");
        WEIR_CO_TRY(const auto bytes, link.stream.read(link.reader.room()));
        if (bytes.empty()) co_return co_await weir::fail(weir::Errc::peer_lost, "connection to the detector");
        link.reader.filled(bytes.size());
    }
}

/// Waits for a detector, as long as it takes: the supervisor sees to it that there is one.
Task<> connect(Scheduler&, AcquisitionState& state, Link& link) {
    const RuntimePath path{state.options.directory, samples_name};
    for (;;) {
        auto stream = co_await weir::UnixStream::connect(path.view());
        if (stream) {
            link.stream = std::move(*stream);
            link.reader = RecordReader{};
            co_return;
        }
        if (stream.error() == weir::Errc::denied || stream.error() == weir::Errc::cancelled) {
            co_return co_await weir::fail(stream.error());
        }
        WEIR_CO_CHECK(weir::sleep_for(5ms));
    }
}

/// Takes the detector's first word. False: it wants what is no longer here, and only starting over gives it that.
Task<bool> agree(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    WEIR_CO_CHECK(receive(scheduler, link).within(10s));
    const auto* resume = std::get_if<Resume>(&link.record);
    if (resume == nullptr || resume->place.recording > state.options.number) {
        co_return co_await weir::fail(weir::Errc::invalid, "the detector's first word");
    }
    const bool same_recording = resume->place.recording == state.options.number;
    const std::uint64_t sequence = same_recording ? resume->place.next_sequence : 0;
    state.factor_sent = state.operation.factor == 0;
    if (state.joiner) co_return state.outbox.rewind(sequence);
    state.joiner.emplace(state.options.number, sequence);
    state.outbox.begin(sequence);
    state.begun.set();
    co_return true;
}

Task<> send_samples(Scheduler&, AcquisitionState& state, Link& link) {
    bool end_sent = false;
    for (;;) {
        // What goes out in one call, so that a sample does not cost one of its own.
        std::array<std::byte, 16 * joined_sample_bytes> bytes;
        std::size_t size = 0;
        if (!state.factor_sent) {
            size += encode(Setting{state.operation.factor}, bytes);
            state.factor_sent = true;
        }
        while (!state.operation.paused && bytes.size() - size >= joined_sample_bytes) {
            const JoinedSample* const joined = state.outbox.next_to_send();
            if (joined == nullptr) break;
            size += encode(*joined, std::span{bytes}.subspan(size));
        }
        if (size == 0 && state.all_joined && !end_sent && !state.operation.paused) {
            size += encode(RecordingEnd{state.options.number, state.joiner->samples_count()}, bytes);
            end_sent = true;
        }
        if (size > 0) {
            WEIR_CO_CHECK(link.stream.write_all(std::span<const std::byte>{bytes}.first(size)));
        } else {
            WEIR_CO_CHECK(next(state.sendable));
        }
    }
}

Task<> take_answers(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    for (;;) {
        WEIR_CO_CHECK(receive(scheduler, link));
        if (const auto* acknowledgement = std::get_if<Acknowledgement>(&link.record)) {
            if (acknowledgement->recording != state.options.number) continue;
            const JoinedSample* const joined = state.outbox.acknowledge(acknowledgement->sequence);
            if (joined == nullptr) continue;
            state.unqueued_count = acknowledgement->unqueued_count;
            const Verdict& verdict = acknowledgement->verdict;
            state.progress = {.recording = state.options.number,
                              .paused = state.operation.paused,
                              .phase = verdict.phase,
                              .alarm = verdict.alarm,
                              .samples_count = acknowledgement->sequence + 1,
                              .time_s = joined->sample.time_s,
                              .statistic = verdict.statistic,
                              .threshold = verdict.threshold};
            state.sendroom.set();
        } else if (std::holds_alternative<RecordingEnd>(link.record)) {
            state.finished = true;
            state.over.set();
            co_return;
        } else {
            co_return co_await weir::fail(weir::Errc::invalid, "a record of the detector");
        }
    }
}

}  // namespace

Task<> run_link(Scheduler& scheduler, AcquisitionState& state) {
    Link& link = link_now;
    WEIR_CO_CHECK(state.ordered.wait());
    for (;;) {
        WEIR_CO_CHECK(connect(scheduler, state, link));
        const auto agreed = co_await agree(scheduler, state, link);
        if (agreed && !*agreed) {
            co_return co_await weir::fail(weir::Errc::invalid,
                                          "the detector begins anew, and so does acquisition");
        }
        auto error = agreed ? weir::Error{} : agreed.error();
        if (agreed) {
            const auto ended = co_await weir::first_of(send_samples(scheduler, state, link),
                                                       take_answers(scheduler, state, link));
            if (state.finished) co_return;
            if (!ended) error = ended.error();
        }
        link.stream.close();
        if (error == weir::Errc::cancelled) co_return co_await weir::fail(error);
        WEIR_CO_CHECK(
            state.reporter.notice(scheduler, Notice::Kind::trouble,
                                  text_of("the detector is not there; it will be sent again what it had not "
                                          "acknowledged",
                                          error)));
    }
}

}  // namespace leak
