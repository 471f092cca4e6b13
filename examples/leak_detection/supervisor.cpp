// SPDX-License-Identifier: MIT
//
// weir-leak-supervisor: starts acquisition, detector, alarm server and logger, starts again what dies, and ends all.
//
// It makes the runtime directory, becomes nobody's parent but theirs, and gives each two pipes: from the child's
// standard output come records of what happens, and into its standard input go records of how it is to work. That
// second pipe also tells a child that the supervisor is gone. What must outlive the others is opened here, with our
// rights, and handed down: a recording, the log, the queue and the pipe between detector and alarm server, the sockets
// that listen for TCP. Started by root, it gives each of them a user, or all the one that `--user` names.
//
// In score mode acquisition is started once per recording; the others stay.
#include "line_server.hpp"
#include "listening_socket.hpp"
#include "recording_file.hpp"
#include "restart_policy.hpp"
#include "runtime_directory.hpp"
#include "supervisor_state.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 64 * 1024,
    .submissions = 16,
    .descriptors = 4 * 3 + 2,  // two pipes and a pidfd per child; signals, one to spare
    .links = 0,
    .timer_slots = 16,
    .grace_ms = 3'000,
};
static_assert(weir::footprint(budget) <= 72 * 1024);

constexpr bool page_is_built = LEAK_HAS_PAGE != 0;
constexpr std::int64_t leak_of_the_demonstration_s = 500;

/// A child, over all its lives.
struct Child {
    Child(std::string_view its_program, std::string_view its_name, Child* ends_before_it)
        : program(its_program), name(its_name), before(ends_before_it) {}

    std::string_view program;
    std::string_view name;
    Child* before;  // who has to be gone before this one is told to end
    weir::Event orders_changed;
    weir::Event gone;
    weir::Process process;
    RecordReader reader;
    Record record;
    CommandLine command_line;
};

SupervisorState state;
RuntimeDirectory directory;
Users users;
char program_directory[1'024];
std::optional<RecordingFile> recording;
bool completed = false;
bool interrupted = false;

/// Both ends of a pipe that keeps each write apart, so that whoever reads next never begins in the middle of a record.
struct HeldPipe {
    int reader = -1;
    int writer = -1;

    bool open() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK | O_DIRECT) < 0) return false;
        reader = ends[0];
        writer = ends[1];
        return true;
    }
};

/// The queue of announcements. It is held by descriptors alone: it has no name any more, and is gone when the last
/// process is that has it open.
struct HeldQueue {
    static constexpr std::uint32_t depth = 8;
    int reader = -1;
    int writer = -1;

    weir::Result<void> open() {
        BoundedText<32> text{"weir-leak/"};
        WEIR_TRY(const auto name, weir::Name::make(text.append(::getpid()).view()));
        std::ignore = weir::MessageQueue::unlink(name);  // of a process that died in this function
        WEIR_TRY(auto receiving,
                 weir::MessageQueueReader::create(
                     name, {.depth = depth, .message_size = announcement_bytes, .exclusive = true}));
        auto sending = weir::MessageQueueWriter::open(name);
        std::ignore = weir::MessageQueue::unlink(name);
        if (!sending) return weir::failure(sending.error());
        reader = receiving.release();
        writer = sending->release();
        return {};
    }
};

HeldQueue queue;
HeldPipe points;
ListeningSocket page;
ListeningSocket alarms;

// Acquisition would miss the detector, and what the detector announces should be told.
Child acquisition{"weir-leak-acquisition", "acquisition", nullptr};
Child detector{"weir-leak-detector", "the detector", &acquisition};
Child alarm_server{"weir-leak-alarm-server", "the alarm server", &detector};
Child logger{"weir-leak-logger", "the logger", &acquisition};
int log_file = -1;

const RunAs& run_as_of(const Child& child) {
    if (&child == &acquisition) return users.acquisition;
    if (&child == &logger) return users.logger;
    return &child == &detector ? users.detector : users.alarm_server;
}

weir::Result<weir::Process> start(Child& child, std::uint32_t number) {
    const RunAs& run_as = run_as_of(child);
    CommandLine& line = child.command_line = CommandLine{};
    begin_command_line(line, child.program);
    line.add("--directory", directory.path());
    std::array<weir::PassedFd, 5> passed{weir::PassedFd{directory.lock(), lock_descriptor}};
    std::size_t passed_count = 1;
    const auto pass = [&passed, &passed_count](int from, int to) { passed[passed_count++] = {from, to}; };
    if (&child == &acquisition) {
        Options source = state.options;
        source.labelled = state.scores();
        if (recording) {
            source.recording = state.scores() ? state.options.score_files[number] : *state.options.recording;
            source.descriptor = recording_descriptor;
            pass(recording->fd(), recording_descriptor);
        }
        line.add("--number", number);
        if (users.apart) {
            line.add("--peer-user", users.detector.user).add("--viewer-user", users.alarm_server.user);
            line.add("--logger-user", users.logger.user);
        }
        add_source(line, source);
    } else if (&child == &logger) {
        if (users.apart) line.add("--peer-user", users.acquisition.user);
        pass(log_file, log_descriptor);
        if (state.options.backend) line.add("--backend", *state.options.backend);
    } else {
        const bool writes = &child == &detector;
        if (users.apart) line.add("--peer-user", users.acquisition.user);
        pass(writes ? queue.writer : queue.reader, queue_descriptor);
        pass(writes ? points.writer : points.reader, points_descriptor);
        if (!writes && page.fd >= 0) {
            line.add("--page-descriptor", page_descriptor);
            pass(page.fd, page_descriptor);
        }
        if (!writes && alarms.fd >= 0) {
            line.add("--alarm-descriptor", alarms_descriptor);
            pass(alarms.fd, alarms_descriptor);
        }
        if (state.options.backend) line.add("--backend", *state.options.backend);
    }
    if (!line.whole()) return weir::failure(weir::Errc::too_large, "a command line");
    return weir::Process::spawn({
        .path = line.words().front(),
        .arguments = line.words(),
        .directory = program_directory,
        .input = weir::Stdio::pipe(),
        .output = weir::Stdio::pipe(),
        .descriptors = std::span{passed}.first(passed_count),
        .user = run_as.changes ? static_cast<std::int64_t>(run_as.user) : -1,
        .group = run_as.changes ? static_cast<std::int64_t>(run_as.group) : -1,
        .death_signal = SIGTERM,
        .new_group = true,  // ^C is for the supervisor, which then ends the others in order
    });
}

/// What a child tells, until it ends.
Task<> listen(Scheduler&, Child& child) {
    for (;;) {
        WEIR_CO_TRY(const auto bytes, child.process.output.read(child.reader.room()));
        if (bytes.empty()) co_return;
        child.reader.filled(bytes.size());
        Decoded decoded = child.reader.next(child.record);
        for (; decoded == Decoded::record; decoded = child.reader.next(child.record))
            state.take(child.record);
        if (decoded != Decoded::incomplete)
            co_return co_await weir::fail(weir::Errc::invalid, "a record of a child");
    }
}

Task<> order(Scheduler&, Child& child, Record orders) {
    std::array<std::byte, record_bytes_max> bytes;
    const auto size = encode(orders, bytes);
    const auto written =
        co_await child.process.input.write_all(std::span<const std::byte>{bytes}.first(size));
    // A child that is dying tells so elsewhere.
    if (!written && written.error() != weir::Errc::peer_lost) co_return co_await weir::fail(written.error());
}

bool has_input(int fd) {
    pollfd polled{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0;
}

/// Tells a new alarm server what was announced so far: one that died may have taken an announcement and not told it.
/// The detector told us before it queued it, so what we have not heard yet lies in its pipe.
Task<> tell_announcements(Scheduler& scheduler) {
    while (has_input(detector.process.output.fd())) WEIR_CO_CHECK(weir::sleep_for(1ms));
    for (std::uint64_t i = state.first_announcement(); i < state.announcements_count(); ++i)
        WEIR_CO_CHECK(order(scheduler, alarm_server, Record{state.announcement(i)}));
}

/// Tells a child how to work, and again after each change.
Task<> give_orders(Scheduler& scheduler, Child& child) {
    if (&child == &alarm_server) WEIR_CO_CHECK(tell_announcements(scheduler));
    for (;;) {
        child.orders_changed.reset();
        if (&child == &acquisition) WEIR_CO_CHECK(order(scheduler, child, Record{state.operation}));
        if (&child == &alarm_server) WEIR_CO_CHECK(order(scheduler, child, Record{state.limit}));
        WEIR_CO_CHECK(child.orders_changed.wait());
    }
}

/// A gentle end, then a hard one.
Task<> end(Scheduler& scheduler, Child& child) {
    if (child.before != nullptr) std::ignore = co_await child.before->gone.wait().within(900ms);
    std::ignore = child.process.signal(SIGTERM);
    std::ignore = co_await listen(scheduler, child).within(300ms);
    const auto exit = co_await child.process.exit().within(100ms);
    if (!exit) std::ignore = child.process.signal(SIGKILL);
    child.process = weir::Process{};
    child.gone.set();
}

/// Reaps what a dead acquisition leaves: its sensors, which are killed with it and are in its process group. They are
/// our children now, since we are their subreaper.
Task<> reap_orphans(Scheduler&, pid_t group) {
    for (;;) {
        const pid_t reaped = ::waitpid(-group, nullptr, WNOHANG);
        if (reaped < 0) co_return;  // there are none
        if (reaped == 0) WEIR_CO_CHECK(weir::sleep_for(2ms));
    }
}

/// One life of a child.
Task<Ending> live(Scheduler& scheduler, Child& child, std::uint32_t number) {
    child.reader = RecordReader{};
    WEIR_CO_TRY(child.process, start(child, number));
    const pid_t group = child.process.pid();
    const auto told = co_await weir::first_of(listen(scheduler, child), give_orders(scheduler, child));
    if (!told) {
        std::ignore = co_await weir::shielded(1'500ms, end(scheduler, child));
        std::ignore = co_await weir::shielded(100ms, reap_orphans(scheduler, group));
        co_return co_await weir::fail(told.error());
    }
    auto exit = co_await weir::shielded(1s, child.process.exit());
    if (!exit) {
        std::ignore = child.process.signal(SIGKILL);
        exit = co_await weir::shielded(1s, child.process.exit());
    }
    child.process = weir::Process{};
    std::ignore = co_await weir::shielded(500ms, reap_orphans(scheduler, group));
    if (!exit) co_return co_await weir::fail(exit.error());
    const auto ending = static_cast<Ending>(exit->value);
    if (!exit->signaled && (ending == Ending::finished || ending == Ending::refused)) co_return ending;
    Console::Line line{child.name};
    state.console.trouble(line.append(' ').append(text_of(*exit).view()).view());
    co_return Ending::failed;
}

/// All lives of a child, until it has finished or cannot.
Task<Ending> keep(Scheduler& scheduler, Child& child, std::uint32_t number) {
    RestartPolicy policy;
    for (;;) {
        WEIR_CO_TRY(const Ending ending, live(scheduler, child, number));
        if (ending != Ending::failed) co_return ending;
        const auto pause = policy.died(scheduler.now());
        Console::Line line{child.name};
        if (!pause) {
            line.append(" died ").append(RestartPolicy::restarts_max + 1).append(" times within ");
            state.console.trouble(line.append(RestartPolicy::window / 1s).append(" s: giving up").view());
            co_return co_await weir::fail(weir::Errc::peer_lost, "supervisor");
        }
        state.console.trouble(line.append(" is started again").view());
        WEIR_CO_CHECK(weir::sleep_for(*pause));
    }
}

/// Of a child that has no reason to end by itself.
Task<> keep_for_ever(Scheduler& scheduler, Child& child) {
    WEIR_CO_TRY(const Ending ending, keep(scheduler, child, 0));
    std::ignore = ending;
    co_return co_await weir::fail(weir::Errc::invalid, "a process that refused to work");
}

/// Only where there is something to write.
Task<> keep_logger(Scheduler& scheduler) {
    if (log_file < 0) {
        weir::Event never;
        WEIR_CO_CHECK(never.wait());
    }
    WEIR_CO_CHECK(keep_for_ever(scheduler, logger));
}

/// A new file, or one that is empty: the samples of two runs would not follow each other.
RuntimeError open_log(const char* path) {
    log_file = ::open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    RuntimeError error;
    if (log_file < 0)
        return error.append("--log: ").append_quoted(path, 128).append(": ").append(std::strerror(errno));
    if (::lseek(log_file, 0, SEEK_END) != 0)
        error.append("--log: ").append_quoted(path, 128).append(" is no empty file");
    return error;
}

/// False where there is no such file; it is told then.
bool open_recording(std::uint32_t number) {
    recording.reset();
    if (!state.scores() && !state.options.recording) return true;
    recording.emplace(state.scores() ? state.options.score_files[number] : *state.options.recording);
    if (recording->error().empty()) return true;
    state.console.trouble(recording->error());
    return false;
}

/// Each recording once, one after the other; or the simulated loop.
Task<> run_each(Scheduler& scheduler) {
    const auto count = static_cast<std::uint32_t>(state.scores() ? state.options.score_files_count : 1);
    for (std::uint32_t number = 0; number < count; ++number) {
        if (!open_recording(number)) {
            state.refuse_recording();
            continue;
        }
        WEIR_CO_TRY(const Ending ending, keep(scheduler, acquisition, number));
        if (ending == Ending::refused) {
            state.refuse_recording();
        } else if (!state.end_recording(number)) {
            co_return co_await weir::fail(weir::Errc::invalid,
                                          "supervisor: a recording ended without figures");
        }
    }
    completed = true;
}

Task<> run_recordings(Scheduler& scheduler) {
    const auto ran = co_await run_each(scheduler);
    acquisition.gone.set();
    if (!ran) co_return co_await weir::fail(ran.error());
}

Task<> serve_signals(Scheduler&, weir::SignalSet& signals) {
    for (;;) {
        WEIR_CO_TRY(const auto info, signals.next());
        if (info.signal != SIGHUP) {
            interrupted = true;
            co_return;
        }
        if (state.options.config == nullptr) {
            state.console.trouble("SIGHUP: there is no --config to read again");
        } else if (state.read_settings()) {
            acquisition.orders_changed.set();
            alarm_server.orders_changed.set();
            Console::Line line{"SIGHUP: read "};
            line.append(state.options.config).append(" again: threshold factor ");
            line.append_fixed(state.operation.factor > 0 ? state.operation.factor : factor_default, 2);
            state.console.event(line.append(", clients ").append(state.limit.clients_max).view());
        }
    }
}

Task<> show_status(Scheduler& scheduler) {
    weir::Ticker ticker{100ms};
    for (;;) {
        WEIR_CO_CHECK(ticker.next());
        const auto line = state.status_text();
        if (!state.scores()) state.console.status(line.view(), scheduler.now());
        if (state.console.broken()) co_return co_await weir::fail(weir::Errc::peer_lost, "standard output");
    }
}

Task<> wait_for_verdict(Scheduler&) {
    WEIR_CO_CHECK(state.decided.wait());
    completed = true;
}

Task<> supervise(Scheduler& scheduler) {
    if (scheduler.backend_name() == "simulated") {
        co_return co_await weir::fail(weir::Errc::unsupported, "child processes on the simulated backend");
    }
    WEIR_CO_TRY(auto signals, weir::SignalSet::block({SIGINT, SIGTERM, SIGHUP}));
    if (!state.scores()) {
        Console::Line line{"alarms:   nc -U "};
        state.console.event(line.append(directory.path())
                                .append('/')
                                .append(alarms_name)
                                .append(", nc ")
                                .append(alarms.host.view())
                                .append(' ')
                                .append(alarms.port)
                                .view());
        line.clear();
        line.append("page:     ");
        if (page.fd >= 0) {
            line.append("http://").append(page.address.view()).append('/');
        } else {
            line.append("none: this was built without libmicrohttpd");
        }
        state.console.event(line.view());
        line.clear();
        line.append("commands: echo status > ").append(directory.path()).append('/').append(commands_name);
        state.console.event(line.append("   (pause, resume, threshold X, status)").view());
    }
    const auto outcome = co_await weir::first_of(
        serve_signals(scheduler, signals), keep_for_ever(scheduler, alarm_server),
        keep_for_ever(scheduler, detector), keep_logger(scheduler), run_recordings(scheduler),
        show_status(scheduler), wait_for_verdict(scheduler));
    if (!outcome) co_return co_await weir::fail(outcome.error());
}

/// The signals that supervise() reads. Blocked before there is anything to tidy up: one that comes in the first moments,
/// or in the last, waits.
void hold_signals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held, number);
    ::sigprocmask(SIG_BLOCK, &held, nullptr);
}

/// Everything that may use the heap and the user database happens before weir starts.
bool prepare() {
    state.limit.clients_max = LineServer::clients_default;
    state.console.open();
    std::signal(SIGPIPE, SIG_IGN);
    hold_signals();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    auto error = choose_users(state.options.user, state.options.user_base, users);
    const auto size = ::readlink("/proc/self/exe", program_directory, sizeof(program_directory) - 1);
    if (error.empty() && size <= 0) error.append("/proc is needed to find the other programs");
    if (size > 0) {
        program_directory[size] = '\0';
        *std::strrchr(program_directory, '/') = '\0';
    }
    for (const Child* const child : {&acquisition, &detector, &alarm_server, &logger}) {
        if (child == &logger && state.options.log == nullptr) continue;
        if (error.empty()) error = check_program(program_directory, child->program.data(), run_as_of(*child));
    }
    if (error.empty() && !state.read_settings()) return false;
    if (error.empty() && state.options.log != nullptr) error = open_log(state.options.log);
    if (error.empty() && !points.open()) error.append("making a pipe: ").append(std::strerror(errno));
    if (error.empty()) {
        if (const auto opened = queue.open(); !opened)
            error.append(text_of("the queue of announcements", opened.error()).view());
    }
    if (error.empty() && page_is_built && !state.scores()) {
        page = listen_at(state.options.listen, state.options.page_port);
        error.append(page.error.view());
    }
    if (error.empty() && !state.scores()) {
        alarms = listen_at(state.options.listen, state.options.alarm_port);
        error.append(alarms.error.view());
    }
    if (error.empty()) error = directory.open(users);
    if (!error.empty()) state.console.trouble(error.view());
    return error.empty();
}

}  // namespace

int main(int argc, char** argv) {
    constexpr int usage_status = 2;
    weir::StartOptions start_options;
    if (!read_options(argc, argv, state.options) || !choose_backend(state.options, start_options))
        return usage_status;
    if (state.options.help) {
        std::printf("usage: weir-leak-supervisor [option]...\n%s", options_help().data());
        return 0;
    }
    const bool simulated = !state.scores() && !state.options.recording;
    state.judges_leak = state.options.leak_at_s.has_value();
    if (state.judges_leak && !state.options.seconds) {
        state.options.seconds = *state.options.leak_at_s + SupervisorState::leak_alarm_within_s + 1;
    } else if (simulated && !state.judges_leak) {
        state.options.leak_at_s = leak_of_the_demonstration_s;
    }
    if (!prepare()) return 1;
    const int status = weir::run_main<budget>(argc, argv, supervise, start_options);
    const bool in_order =
        status == 0 && (completed || (interrupted && !state.scores() && !state.judges_leak));
    int verdict = state.conclude(in_order);
    if (verdict == 0 && state.console.broken()) verdict = 1;  // nobody could read the result
    directory.remove();
    return status != 0 ? status : verdict;
}
