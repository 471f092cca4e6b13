// SPDX-License-Identifier: MIT
//
// One sensor's process and its pipe. It is read only as fast as the joiner takes readings, which holds back a sensor
// that runs ahead. When it dies its successor begins with the first reading that did not arrive; the rest of a record
// that may lie in the pipe is dropped with the pipe.
#include "acquisition_state.hpp"
#include "restart_policy.hpp"

#include <array>
#include <csignal>

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

/// A stream's parts that are too large for a frame.
struct SensorStream {
    weir::Process process;
    RecordReader reader;
    Record record;
    CommandLine command_line;
    const char* complaint = nullptr;  // what was wrong with what it said
};

std::array<SensorStream, signals_count> streams;

weir::Result<weir::Process> start_sensor(AcquisitionState& state, SensorStream& stream, Signal signal) {
    CommandLine& line = stream.command_line = CommandLine{};
    begin_command_line(line, "weir-leak-sensor");
    line.add("--signal", index_of(signal)).add("--from", state.joiner->expected_sequence(signal));
    add_source(line, state.options);
    if (!line.whole()) return weir::failure(weir::Errc::too_large, "a sensor's command line");
    const std::array<weir::PassedFd, 3> passed{
        weir::PassedFd{state.sensors_ready.fd(), ready_descriptor},
        weir::PassedFd{state.sensors_begin.fd(), gate_descriptor},
        weir::PassedFd{state.options.descriptor, state.options.descriptor},
    };
    const weir::SpawnOptions options{
        .path = line.words().front(),
        .arguments = line.words(),
        .input = weir::Stdio::null(),
        .output = weir::Stdio::pipe(),
        .descriptors = std::span{passed}.first(state.options.descriptor >= 0 ? 3 : 2),
        .death_signal = SIGKILL};
    return weir::Process::spawn(options);
}

/// Takes one record. False: the stream has come to its end in good order.
Task<bool> take(Scheduler&, AcquisitionState& state, SensorStream& stream, Signal signal) {
    if (const auto* reading = std::get_if<Reading>(&stream.record)) {
        if (reading->signal != signal) stream.complaint = "sent another signal's reading";
        while (state.joiner->push(*reading) == StreamJoiner::Push::full) WEIR_CO_CHECK(next(state.room));
        state.sendable.set();
        co_return stream.complaint == nullptr;
    }
    if (const auto* failure = std::get_if<StreamFailure>(&stream.record)) {
        // All sensors read the same recording, so each of them says the same.
        if (!state.refused) state.failure = *failure;
        state.refused = true;
    } else if (const auto* end = std::get_if<StreamEnd>(&stream.record)) {
        if (end->readings_count != state.joiner->expected_sequence(signal))
            stream.complaint = "counted wrongly";
    } else {
        stream.complaint = "sent a record of another kind";
    }
    if (stream.complaint == nullptr) {
        state.joiner->end(signal);
        state.sendable.set();
    }
    co_return false;
}

/// One process, from start to end. True: its stream came to its end.
Task<bool> run_once(Scheduler& scheduler, AcquisitionState& state, SensorStream& stream, Signal signal) {
    stream.reader = RecordReader{};
    stream.complaint = nullptr;
    WEIR_CO_TRY(stream.process, start_sensor(state, stream, signal));
    for (;;) {
        WEIR_CO_TRY(const auto bytes, stream.process.output.read(stream.reader.room()));
        if (bytes.empty()) co_return false;
        stream.reader.filled(bytes.size());
        for (;;) {
            const Decoded decoded = stream.reader.next(stream.record);
            if (decoded == Decoded::incomplete) break;
            if (decoded != Decoded::record) {
                stream.complaint = "sent what is no record";
                co_return false;
            }
            WEIR_CO_TRY(const bool more, take(scheduler, state, stream, signal));
            if (!more) co_return stream.complaint == nullptr;
        }
    }
}

Task<> run_streams(Scheduler& scheduler, AcquisitionState& state, Signal signal) {
    SensorStream& stream = streams[index_of(signal)];
    RestartPolicy policy;
    for (;;) {
        WEIR_CO_TRY(const bool ended, run_once(scheduler, state, stream, signal));
        if (ended) co_return;
        BoundedText<Notice::text_bytes_max> text{"the sensor of "};
        text.append(name_of(signal)).append(' ');
        if (stream.complaint != nullptr) {
            text.append(stream.complaint);
        } else {
            WEIR_CO_TRY(const auto exit, stream.process.exit().within(2s));
            text.append(text_of(exit).view());
        }
        stream.process = weir::Process{};
        const auto pause = policy.died(scheduler.now());
        if (!pause) {
            text.append(" too often");
            WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::trouble, text));
            co_return co_await weir::fail(weir::Errc::peer_lost, "sensor");
        }
        text.append("; it is started again with reading ").append(state.joiner->expected_sequence(signal));
        ++state.sensor_restarts;
        WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::trouble, text));
        WEIR_CO_CHECK(weir::sleep_for(*pause));
    }
}

}  // namespace

Task<> run_sensor(Scheduler& scheduler, AcquisitionState& state, Signal signal) {
    const auto outcome = co_await run_streams(scheduler, state, signal);
    // Nothing of it outlives this task: a sensor that has ended is reaped, one that has not is killed first.
    streams[index_of(signal)].process = weir::Process{};
    if (!outcome) co_return co_await weir::fail(outcome.error());
}

}  // namespace leak
