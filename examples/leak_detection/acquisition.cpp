// SPDX-License-Identifier: MIT
//
// weir-leak-acquisition: makes samples of the loop out of eight sensors' readings and sends them to the detector.
//
// It starts the sensors, joins their streams by time, and publishes each sample on a topic, which keeps it
// until the detector has saved what it made of it.
// One process serves one recording. The supervisor reads its notices from its standard output and writes how it is to
// work to its standard input; when that ends the supervisor is gone, and so is acquisition. Operators write commands
// into a FIFO in the runtime directory, and programs call the service `control`.
//
// Nothing of it is saved: the detector tells a successor where to go on, and the sensors can begin anywhere.
#include "acquisition_state.hpp"
#include "commands.hpp"
#include "control.hpp"
#include "sample_topic.hpp"

#include <csignal>
#include <unistd.h>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 128 * 1024,
    .submissions = 32,
    // a pipe and a pidfd per sensor; standard input and output, signals, the FIFO, the detector's socket, semaphore, one to spare
    .descriptors = 2 * signals_count + 7,
    .links = 1 + sample_subscribers_max + 1 + control_clients_max,
    .timer_slots = 16,
    .grace_ms = 900,
};
static_assert(weir::footprint(budget) <= 140 * 1024);

AcquisitionState state;
Ending ending = Ending::failed;
bool supervisor_is_gone = false;

/// Sensors begin at the same moment, once all of them can. The gate stays open: one that is started again later finds
/// it so. A token too many, of a sensor that died after it gave one, opens it a little early and does no harm.
Task<> open_gate(Scheduler&) {
    for (std::size_t i = 0; i < signals_count; ++i) WEIR_CO_CHECK(state.sensors_ready.acquire());
    if (const auto opened = state.sensors_begin.post(1); !opened)
        co_return co_await weir::fail(opened.error());
}

Task<> run_sensors(Scheduler& scheduler) {
    WEIR_CO_CHECK(state.begun.wait());
    WEIR_CO_TRY(state.sensors_ready, weir::ipc::SharedSemaphore::create());
    WEIR_CO_TRY(state.sensors_begin, weir::EventFd::create());
    const auto ran = co_await weir::all_of(
        run_sensor(scheduler, state, Signal::accelerometer_1),
        run_sensor(scheduler, state, Signal::accelerometer_2), run_sensor(scheduler, state, Signal::current),
        run_sensor(scheduler, state, Signal::pressure), run_sensor(scheduler, state, Signal::temperature),
        run_sensor(scheduler, state, Signal::thermocouple), run_sensor(scheduler, state, Signal::voltage),
        run_sensor(scheduler, state, Signal::flow), open_gate(scheduler));
    state.sensors_ready = weir::ipc::SharedSemaphore{};
    state.sensors_begin = weir::EventFd{};
    if (!ran) co_return co_await weir::fail(ran.error());
}

void change_operation(const Operation& operation) {
    if (operation.factor != state.operation.factor && operation.factor > 0) state.factor_sent = false;
    state.operation = operation;
    state.progress.paused = operation.paused;
    state.sendable.set();
}

BoundedText<Notice::text_bytes_max> status_text() {
    BoundedText<Notice::text_bytes_max> text{"status: "};
    text.append(state.operation.paused ? "paused" : "running")
        .append(", recording ")
        .append(state.options.number);
    text.append(", ").append(state.joiner ? state.joiner->samples_count() : 0).append(" samples joined, ");
    text.append(state.progress.samples_count).append(" acknowledged, ");
    text.append(state.progress.phase == Phase::learning ? "learning" : "watching");
    text.append(state.progress.alarm ? ", alarm" : ", no alarm");
    if (state.operation.factor > 0)
        text.append(", threshold factor ").append_fixed(state.operation.factor, 2);
    text.append(", ").append(state.sensor_restarts).append(" sensor restarts");
    if (state.unqueued_count > 0)
        text.append(", ").append(state.unqueued_count).append(" announcements not queued");
    if (state.joiner && !state.joiner->troubles().none()) {
        const auto& troubles = state.joiner->troubles();
        text.append(", incomplete ")
            .append(troubles.incomplete)
            .append(", dropped ")
            .append(troubles.dropped);
        text.append(", duplicated ").append(troubles.duplicated).append(", lost ").append(troubles.lost);
        text.append(", out of order ").append(troubles.out_of_order);
    }
    return text;
}

/// Does what an operator asked for; gives the answer.
BoundedText<Notice::text_bytes_max> obey(const Command& command) {
    BoundedText<Notice::text_bytes_max> text;
    Operation operation = state.operation;
    switch (command.kind) {
        case Command::Kind::status: return status_text();
        case Command::Kind::pause:
            operation.paused = true;
            text.append("paused: samples wait");
            break;
        case Command::Kind::resume:
            operation.paused = false;
            text.append("resumed");
            break;
        case Command::Kind::threshold:
            if (state.options.labelled) {
                return text.append("threshold: refused, scoring is done with the threshold as it is learned");
            }
            operation.factor = command.factor;
            text.append("threshold: ")
                .append_fixed(command.factor, 2)
                .append(" times the learned percentile");
            break;
    }
    change_operation(operation);
    return text;
}

Task<> serve_operator(Scheduler& scheduler) {
    // Or the supervisor's first word could undo an operator's.
    WEIR_CO_CHECK(state.ordered.wait());
    const RuntimePath path{state.options.directory, commands_name};
    WEIR_CO_TRY(auto fifo, weir::FifoReader::create(path.view(), {.mode = 0600}));
    CommandReader reader;
    for (;;) {
        std::array<std::byte, 256> buffer;
        WEIR_CO_TRY(const auto bytes, fifo.read(buffer));
        const auto text = weir::text_of(bytes);
        std::span<const char> chunk{text};
        for (;;) {
            Command command;
            const auto step = reader.next(chunk, command);
            if (step == CommandReader::Step::more) break;
            if (step == CommandReader::Step::refused) {
                BoundedText<Notice::text_bytes_max> refusal{reader.error()};
                WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::trouble, refusal));
                continue;
            }
            const auto answer = obey(command);
            WEIR_CO_CHECK(state.reporter.tell(scheduler, Record{state.operation}));
            WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::event, answer));
        }
    }
}

ControlStatus control_status() {
    return {.recording = state.options.number,
            .paused = state.operation.paused ? 1U : 0U,
            .watching = state.progress.phase == Phase::watching ? 1U : 0U,
            .alarm = state.progress.alarm ? 1U : 0U,
            .unqueued_count = state.unqueued_count,
            .samples_joined = state.joiner ? state.joiner->samples_count() : 0,
            .samples_acknowledged = state.progress.samples_count,
            .sensor_restarts = state.sensor_restarts,
            .statistic = state.progress.statistic,
            .threshold = state.progress.threshold,
            .factor = state.operation.factor};
}

Task<> serve_control(Scheduler& scheduler) {
    WEIR_CO_CHECK(state.ordered.wait());
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(state.options.directory));
    WEIR_CO_TRY(auto server, Control::Server::create(scheduler, control_service,
                                                     {.clients_max = control_clients_max,
                                                      .calls_max = 1,
                                                      .link = {.mode = 0600, .directory = &directory}}));
    for (;;) {
        WEIR_CO_TRY(auto call, server.next());
        const auto command = command_of(*call);
        if (!command) {
            call.reject(static_cast<std::uint32_t>(ControlRefusal::impossible));
        } else if (command->kind == Command::Kind::threshold && state.options.labelled) {
            call.reject(static_cast<std::uint32_t>(ControlRefusal::scoring));
        } else if (command->kind == Command::Kind::status) {
            call.reply(control_status());
        } else {
            const auto told = obey(*command);
            WEIR_CO_CHECK(state.reporter.tell(scheduler, Record{state.operation}));
            WEIR_CO_CHECK(state.reporter.notice(scheduler, Notice::Kind::event, told));
            call.reply(control_status());
        }
    }
}

/// Ends when the supervisor does.
Task<> serve_supervisor(Scheduler&) {
    WEIR_CO_TRY(auto input, weir::PipeReader::adopt(STDIN_FILENO));
    RecordReader reader;
    for (;;) {
        WEIR_CO_TRY(const auto bytes, input.read(reader.room()));
        if (bytes.empty()) break;
        reader.filled(bytes.size());
        Record record;
        while (reader.next(record) == Decoded::record) {
            if (const auto* operation = std::get_if<Operation>(&record)) change_operation(*operation);
            state.ordered.set();
        }
    }
    supervisor_is_gone = true;
}

Task<> tell_progress(Scheduler& scheduler) {
    weir::Ticker ticker{100ms};
    Progress told;
    for (;;) {
        WEIR_CO_CHECK(ticker.next());
        if (state.progress == told) continue;
        told = state.progress;
        WEIR_CO_CHECK(state.reporter.tell(scheduler, Record{told}));
    }
}

Task<> acquire(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    WEIR_CO_CHECK(state.reporter.open());
    auto outcome =
        co_await weir::first_of(weir::all_of(run_sensors(scheduler), run_link(scheduler, state)), quit.next(),
                                serve_supervisor(scheduler), serve_operator(scheduler),
                                serve_control(scheduler), tell_progress(scheduler));
    if (state.finished) {
        ending = state.refused ? Ending::refused : Ending::finished;
        WEIR_CO_CHECK(weir::shielded(1s, state.reporter.tell(scheduler, Record{state.progress})));
        co_return;
    }
    if (outcome) {
        ending = Ending::stopped;
        co_return;
    }
    WEIR_CO_CHECK(weir::shielded(1s, state.reporter.notice(scheduler, Notice::Kind::trouble,
                                                           text_of("acquisition", outcome.error()))));
}

}  // namespace

int main(int argc, char** argv) {
    weir::StartOptions start;
    if (!read_options(argc, argv, state.options) || !choose_backend(state.options, start)) {
        return static_cast<int>(Ending::refused);
    }
    remember_parent();
    const int status = weir::run_main<budget>(argc, argv, acquire, start);
    if (supervisor_is_gone || parent_is_gone()) leave_directory(state.options.directory);
    return status != 0 ? status : static_cast<int>(ending);
}
