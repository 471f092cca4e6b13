// SPDX-License-Identifier: MIT
//
// The way to the detector and back. Records go into the topic of samples, which outlives a detector: what one had not
// saved its successor gets. What the detector answers comes over a unix socket, and it speaks first: which sample
// it wants. That decides where a new acquisition begins. One that is running goes on, since the topic has that sample;
// if it has not, the detector says so, and only starting over helps.
//
// The detector says how far it has come, and nothing is published that would overwrite what it has not taken. All other
// subscribers get what they get.
#include "acquisition_state.hpp"
#include "sample_topic.hpp"

#include <algorithm>
#include <array>
#include <unistd.h>

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

struct Link {
    weir::UnixStream stream;
    RecordReader reader;
    Record record;
    SamplePublisher samples;
    std::array<std::uint32_t, 4> viewers{};  // whom the topic lets in
    std::uint64_t taken = 0;                 // records of the topic that the detector does not need any more
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
    const RuntimePath path{state.options.directory, answers_name};
    for (;;) {
        auto stream = co_await weir::UnixStream::connect(path.view());
        const auto peer = stream ? stream->peer() : weir::failure(stream.error());
        if (peer && peer->uid != trusted_user(state.options) && peer->uid != 0)
            co_return co_await weir::fail(weir::Errc::denied, "a detector of another user", peer->uid);
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

/// Takes the detector's first word.
Task<> agree(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    WEIR_CO_CHECK(receive(scheduler, link).within(10s));
    const auto* resume = std::get_if<Resume>(&link.record);
    if (resume == nullptr || resume->place.recording > state.options.number) {
        co_return co_await weir::fail(weir::Errc::invalid, "the detector's first word");
    }
    if (state.joiner) co_return;
    const bool same_recording = resume->place.recording == state.options.number;
    state.factor_sent = state.operation.factor == 0;
    state.joiner.emplace(state.options.number, same_recording ? resume->place.next_sequence : 0);
    state.begun.set();
}

Task<> take_answers(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    for (;;) {
        WEIR_CO_CHECK(receive(scheduler, link));
        if (const auto* acknowledgement = std::get_if<Acknowledgement>(&link.record)) {
            if (acknowledgement->recording != state.options.number) continue;
            state.unqueued_count = acknowledgement->unqueued_count;
            const Verdict& verdict = acknowledgement->verdict;
            state.progress = {
                .recording = state.options.number,
                .paused = state.operation.paused,
                .phase = verdict.phase,
                .alarm = verdict.alarm,
                .samples_count = acknowledgement->sequence + 1,
                .time_s = acknowledgement->time_s != 0 ? acknowledgement->time_s : state.progress.time_s,
                .statistic = verdict.statistic,
                .threshold = verdict.threshold};
        } else if (const auto* up_to = std::get_if<TakenUpTo>(&link.record)) {
            if (up_to->position > link.samples.published())
                co_return co_await weir::fail(weir::Errc::invalid, "how much the detector took",
                                              up_to->position, link.samples.published());
            // A successor begins with the oldest, of which its predecessor had taken some.
            link.taken = std::max(link.taken, up_to->position);
            state.sendable.set();
        } else if (std::holds_alternative<RecordingEnd>(link.record)) {
            state.finished = true;
            co_return;
        } else if (std::holds_alternative<Resume>(link.record)) {
            state.starts_over = true;
            co_return co_await weir::fail(weir::Errc::invalid,
                                          "the detector begins anew, and so does acquisition");
        } else {
            co_return co_await weir::fail(weir::Errc::invalid, "a record of the detector");
        }
    }
}

/// Connections, one after the other, until the detector has it all.
Task<> run_answers(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    for (;;) {
        WEIR_CO_CHECK(connect(scheduler, state, link));
        auto outcome = co_await agree(scheduler, state, link);
        if (outcome) outcome = co_await take_answers(scheduler, state, link);
        if (state.finished) co_return;
        link.stream.close();
        if (outcome.error() == weir::Errc::cancelled || state.starts_over)
            co_return co_await weir::fail(outcome.error());
        WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::trouble,
                                            text_of("the detector is not there; its successor will find what "
                                                    "it had not saved",
                                                    outcome.error())));
    }
}

/// Waits while the topic is full of what the detector has not taken.
Task<> put(Scheduler&, AcquisitionState& state, Link& link, Record record) {
    while (link.samples.published() - link.taken >= samples_kept) WEIR_CO_CHECK(next(state.sendable));
    WEIR_CO_TRY(auto slot, link.samples.loan());
    encode(record, slot->bytes);
    slot.publish();
}

Task<> run_samples(Scheduler& scheduler, AcquisitionState& state, Link& link) {
    WEIR_CO_CHECK(state.begun.wait());
    for (bool end_sent = false;;) {
        JoinedSample joined;
        if (!state.factor_sent) {
            state.factor_sent = true;
            WEIR_CO_CHECK(put(scheduler, state, link, Record{Setting{state.operation.factor}}));
        } else if (!state.operation.paused && state.joiner->next(joined)) {
            state.room.set();
            WEIR_CO_CHECK(put(scheduler, state, link, Record{joined}));
        } else if (!state.operation.paused && !end_sent && state.joiner->finished()) {
            end_sent = true;
            if (state.refused) WEIR_CO_CHECK(state.reporter.tell(scheduler, Record{state.failure}));
            WEIR_CO_CHECK(put(scheduler, state, link,
                              Record{RecordingEnd{state.options.number, state.joiner->samples_count()}}));
        } else {
            WEIR_CO_CHECK(next(state.sendable));
        }
    }
}

}  // namespace

Task<> run_link(Scheduler& scheduler, AcquisitionState& state) {
    Link& link = link_now;
    WEIR_CO_CHECK(state.ordered.wait());
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(state.options.directory));
    // The path is open to all that can enter the directory; who is let in is decided by name.
    const bool apart = state.options.peer_user >= 0;
    link.viewers = {0, trusted_user(state.options), static_cast<std::uint32_t>(state.options.viewer_user),
                    static_cast<std::uint32_t>(state.options.logger_user)};
    WEIR_CO_TRY(
        link.samples,
        SamplePublisher::create(scheduler, sample_topic,
                                {.depth = samples_kept,
                                 .subscribers_max = sample_subscribers_max,
                                 .link = {.mode = static_cast<mode_t>(apart ? 0666 : 0600),
                                          .admission = {.uids = std::span{link.viewers}.first(apart ? 4 : 2)},
                                          .directory = &directory}}));
    const auto outcome =
        co_await weir::first_of(run_answers(scheduler, state, link), run_samples(scheduler, state, link));
    link.samples = SamplePublisher{};
    link.stream.close();
    if (!outcome) co_return co_await weir::fail(outcome.error());
}

}  // namespace leak
