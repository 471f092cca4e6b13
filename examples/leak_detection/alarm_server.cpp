// SPDX-License-Identifier: MIT
//
// weir-leak-alarm-server: tells people. It takes announcements from the queue, and serves them as lines of text to
// clients of a unix and a TCP socket, and with the last samples on a web page.
//
// The queue, the points' pipe and the sockets that listen for TCP belong to the supervisor and were handed down: what
// waits in them outlives this process. An announcement that was taken and not yet told dies with it; so a successor
// first hears from the supervisor what was announced so far, and leaves out of the queue what it knows already.
//
// Told to end, it first tells what still waits.
#include "line_server.hpp"
#include "live_data.hpp"
#include "page_server.hpp"
#include "program.hpp"
#include "record_writer.hpp"
#include "sample_topic.hpp"
#include "wire.hpp"

#include <csignal>
#include <optional>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 128 * 1024,
    .submissions = 32,
    // clients and two to be turned away; two listeners, queue, points, page, standard input and output, signals, one to spare
    .descriptors = LineServer::clients_most + 2 + 9,
    .links = 2,  // the topic of samples, and the one before it
    .timer_slots = 16,
    .grace_ms = 900,
};
static_assert(weir::footprint(budget) <= 136 * 1024);

struct AlarmServer {
    Options options;
    Reporter reporter;
    LineServer lines;
    LiveData live;
    PageServer page{live};
    std::optional<Announcement> last;
    std::optional<Point> state;
    weir::Event points_ended;  // nobody is left who could announce anything
    weir::Event ordered;       // the supervisor has told what was so far
    bool supervisor_is_gone = false;
};

AlarmServer server;
Ending ending = Ending::failed;

/// How things stand: by the last sample that was heard of, whichever way. (A detector that lost its state learns again
/// from the first sample on.)
void stand(const Point& point) {
    if (server.state && point.phase == Phase::watching &&
        std::pair{point.recording, point.sequence} <
            std::pair{server.state->recording, server.state->sequence})
        return;
    server.state = point;
    server.lines.set_state(state_line(point));
}

void announce(const Announcement& announcement) {
    if (server.last && !announcement.is_after(*server.last)) return;
    server.last = announcement;
    stand({.recording = announcement.recording,
           .phase = Phase::watching,
           .alarm = announcement.kind == Announcement::Kind::raised,
           .unqueued_count = server.state ? server.state->unqueued_count : 0,
           .sequence = announcement.sequence,
           .time_s = announcement.time_s,
           .statistic = announcement.statistic,
           .threshold = announcement.threshold});
    server.lines.publish(line_of(announcement));
    server.live.add(announcement);
    server.page.wake();
}

/// The records of one piece that the detector wrote whole.
template <class Kind, class Take>
Task<> take_records(Scheduler&, weir::ConstBytes bytes, Take take) {
    while (!bytes.empty()) {
        Record record;
        std::size_t size = 0;
        const Kind* taken = nullptr;
        if (decode(bytes, record, size) == Decoded::record) taken = std::get_if<Kind>(&record);
        if (taken == nullptr) co_return co_await weir::fail(weir::Errc::invalid, "a record of the detector");
        take(*taken);
        bytes = bytes.subspan(size);
    }
}

Task<> take_announcements(Scheduler& scheduler) {
    WEIR_CO_CHECK(server.ordered.wait());
    WEIR_CO_TRY(auto queue, weir::MessageQueueReader::adopt(queue_descriptor));
    std::array<std::byte, record_bytes_max> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto message, queue.receive(buffer));
        WEIR_CO_CHECK(take_records<Announcement>(scheduler, message.bytes, announce));
    }
}

void show(const Point& point) {
    stand(point);
    server.live.add(point, weir::MonotonicClock::now());
}

Task<> take_points(Scheduler& scheduler) {
    WEIR_CO_TRY(auto pipe, weir::PipeReader::adopt(points_descriptor));
    std::array<std::byte, 4'096> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto bytes, pipe.read(buffer));
        if (bytes.empty()) break;  // supervisor and detector are gone
        WEIR_CO_CHECK(take_records<Point>(scheduler, bytes, show));
        server.page.wake();
    }
    server.points_ended.set();
    weir::Event never;
    WEIR_CO_CHECK(never.wait());
}

/// What there is to see beside the verdicts. One acquisition after the other, and there need not be any: what is missed
/// is missing on the page.
Task<> take_samples(Scheduler& scheduler) {
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(server.options.directory));
    WEIR_CO_TRY(
        auto samples,
        SampleSubscriber::open(scheduler, sample_topic,
                               {.history = samples_kept,
                                .successor = weir::ipc::Successor::await,
                                .link = {.server_uid = server.options.peer_user, .directory = &directory}}));
    for (;;) {
        WEIR_CO_TRY(const auto sample, samples.next());
        Record record;
        std::size_t size = 0;
        if (decode(sample->bytes, record, size) != Decoded::record)
            co_return co_await weir::fail(weir::Errc::invalid, "a record of acquisition");
        if (const auto* joined = std::get_if<JoinedSample>(&record)) server.live.add(*joined);
    }
}

/// Tells what went wrong there, and begins again: nobody's alarm waits for it.
Task<> watch_samples(Scheduler& scheduler) {
    for (;;) {
        const auto taken = co_await take_samples(scheduler);
        if (taken.error() == weir::Errc::cancelled) co_return co_await weir::fail(taken.error());
        WEIR_CO_CHECK(server.reporter.notice(scheduler, Notice::Kind::trouble,
                                             text_of("the page's samples", taken.error())));
        WEIR_CO_CHECK(weir::sleep_for(1s));
    }
}

Task<> beat(Scheduler& scheduler) {
    weir::Ticker ticker{1s};
    for (;;) {
        server.live.beat(scheduler.now(), server.lines.clients_count());
        server.page.wake();
        WEIR_CO_CHECK(ticker.next());
    }
}

Task<> serve_clients(Scheduler& scheduler) {
    WEIR_CO_CHECK(server.ordered.wait());
    const RuntimePath path{server.options.directory, alarms_name};
    WEIR_CO_TRY(auto listener,
                weir::UnixListener::bind(path.view(), {.mode = 0600, .backlog = 16, .descriptors = false}));
    WEIR_CO_CHECK(server.lines.serve(scheduler, &listener));
}

Task<> serve_tcp_clients(Scheduler& scheduler) {
    WEIR_CO_CHECK(server.ordered.wait());
    if (server.options.alarm_descriptor < 0) {
        weir::Event never;
        WEIR_CO_CHECK(never.wait());
    }
    WEIR_CO_TRY(auto listener, weir::TcpListener::adopt(server.options.alarm_descriptor));
    WEIR_CO_CHECK(server.lines.serve(scheduler, &listener));
}

Task<> serve_page(Scheduler& scheduler) {
    WEIR_CO_CHECK(server.ordered.wait());
    if (server.options.page_descriptor < 0) {
        weir::Event never;
        WEIR_CO_CHECK(never.wait());
    }
    WEIR_CO_CHECK(server.page.open(server.options.page_descriptor));
    WEIR_CO_CHECK(server.page.serve(scheduler));
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
            if (const auto* announcement = std::get_if<Announcement>(&record)) announce(*announcement);
            if (const auto* limit = std::get_if<ClientLimit>(&record)) {
                server.lines.set_limit(limit->clients_max);
                server.ordered.set();
            }
        }
    }
    server.supervisor_is_gone = true;
}

bool has_input(int fd) {
    pollfd polled{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0;
}

/// Waits until it is time to end, and then until what waits has been told.
Task<> await_end(Scheduler& scheduler, weir::SignalSet& quit) {
    const auto told = co_await weir::first_of(quit.next(), serve_supervisor(scheduler));
    if (!told) co_return co_await weir::fail(told.error());
    // The supervisor ends the detector before us; who outlives a killed supervisor may still queue.
    if (server.supervisor_is_gone) std::ignore = co_await server.points_ended.wait().within(500ms);
    while (server.ordered.is_set() && has_input(queue_descriptor)) WEIR_CO_CHECK(weir::sleep_for(1ms));
    // A client that does not read is not waited for any longer.
    std::ignore = co_await server.lines.flush(scheduler).within(200ms);
}

Task<> serve(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    WEIR_CO_CHECK(server.reporter.open());
    const auto outcome = co_await weir::first_of(await_end(scheduler, quit), take_announcements(scheduler),
                                                 take_points(scheduler), watch_samples(scheduler),
                                                 beat(scheduler), serve_clients(scheduler),
                                                 serve_tcp_clients(scheduler), serve_page(scheduler));
    server.page.close();
    if (outcome) {
        ending = Ending::stopped;
        co_return;
    }
    WEIR_CO_CHECK(weir::shielded(1s, server.reporter.notice(scheduler, Notice::Kind::trouble,
                                                            text_of("alarm server", outcome.error()))));
}

}  // namespace

int main(int argc, char** argv) {
    weir::StartOptions start;
    if (!read_options(argc, argv, server.options) || !choose_backend(server.options, start)) {
        return static_cast<int>(Ending::refused);
    }
    remember_parent();
    const int status = weir::run_main<budget>(argc, argv, serve, start);
    if (server.supervisor_is_gone || parent_is_gone()) leave_directory(server.options.directory);
    return status != 0 ? status : static_cast<int>(ending);
}
