// SPDX-License-Identifier: MIT
//
// weir-leak-detector: learns what the loop is like, then says when it is no longer so.
//
// Samples come by a topic that is acquisition's; each is judged, the state is saved, and then it counts as taken.
// Acquisition learns over a unix socket which sample is wanted, and how far the detector has come.
// Whatever is to be told about a sample (an alarm, a recording's figures) leaves before its state is saved: when the
// detector is killed in between, the successor judges the sample again, with the same bits, and tells it again.
// Announcements go to the supervisor and then into the queue, where they wait for the alarm server; samples with their
// verdicts go there too, for people to look at, and where nobody takes them they are left out.
//
// The state's file outlives the detector; the supervisor removes it. When the supervisor is gone (the end of standard
// input) nobody else would: then the detector does.
#include "detector_model.hpp"
#include "detector_state.hpp"
#include "program.hpp"
#include "record_writer.hpp"
#include "sample_topic.hpp"
#include "wire.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 128 * 1024,
    .submissions = 32,
    // listener, acquisition, queue, points, standard input and output, signals, one to spare
    .descriptors = 8,
    .links = 2,  // the topic, and the one before it
    .timer_slots = 16,
    .grace_ms = 900,
};
static_assert(weir::footprint(budget) <= 136 * 1024);

/// Verdicts on their way to people. The oldest are left out where there are too many.
class Points {
public:
    static constexpr std::size_t points_max = 4'096 / point_bytes;  // what a pipe takes in one piece

    void put(const Point& point) {
        if (count_ == points_max) --count_, first_ = (first_ + 1) % points_max;
        points_[(first_ + count_++) % points_max] = point;
        filled.set();
    }
    /// Takes all; gives how many bytes they are.
    std::size_t take(std::span<std::byte> bytes) {
        std::size_t size = 0;
        for (; count_ > 0; --count_, first_ = (first_ + 1) % points_max)
            size += encode(points_[first_], bytes.subspan(size));
        return size;
    }

    weir::Event filled;

private:
    std::array<Point, points_max> points_{};
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

struct Detector {
    Options options;
    Reporter reporter;
    weir::MessageQueueWriter queue;
    std::uint32_t unqueued_count = 0;  // announcements that found no room there
    Points points;
    std::optional<StateStore> store;
    DetectorState loaded;
    DetectorModel model;
    Progression progression;
    bool learned_before = false;

    weir::UnixStream peer;  // acquisition
    SampleSubscriber samples;
    Record record;
    std::uint64_t position = 0;                      // behind it in the topic
    bool complete = true;                            // nothing was missed
    std::optional<Acknowledgement> acknowledgement;  // not sent yet
    std::optional<TakenUpTo> taken;                  // not sent yet
};

constexpr auto queue_patience = 1s;

Detector detector;
Ending ending = Ending::failed;
bool supervisor_is_gone = false;

void show(const JoinedSample& joined, const Verdict& verdict) {
    detector.points.put({.recording = joined.recording,
                         .phase = detector.model.phase(),
                         .alarm = verdict.alarm,
                         .unqueued_count = detector.unqueued_count,
                         .sequence = joined.sequence,
                         .time_s = joined.sample.time_s,
                         .statistic = verdict.statistic,
                         .threshold = detector.model.threshold()});
}

Task<> send_points(Scheduler&) {
    constexpr auto pause = 20ms;  // so that a fast run does not drown who looks on
    WEIR_CO_TRY(auto pipe, weir::PipeWriter::adopt(points_descriptor));
    std::array<std::byte, 4'096> bytes;
    for (;;) {
        detector.points.filled.reset();
        const std::size_t size = detector.points.take(bytes);
        if (size > 0) {
            WEIR_CO_CHECK(pipe.write_all(std::span<const std::byte>{bytes}.first(size)));
            WEIR_CO_CHECK(weir::sleep_for(pause));
        } else {
            WEIR_CO_CHECK(detector.points.filled.wait());
        }
    }
}

/// To the supervisor first: it knows what was announced even if the alarm server dies with it. The queue is full only
/// while the alarm server stands still: judging goes on without it, and the alarm is told where it can be.
Task<> announce(Scheduler& scheduler, Announcement announcement) {
    WEIR_CO_CHECK(detector.reporter.tell(scheduler, Record{announcement}));
    const EncodedRecord encoded{Record{announcement}};
    const auto queued = co_await detector.queue.send(encoded.bytes()).within(queue_patience);
    if (queued) co_return;
    if (queued.error() != weir::Errc::timed_out) co_return co_await weir::fail(queued.error());
    ++detector.unqueued_count;
    BoundedText<Notice::text_bytes_max> text{"the queue of announcements is full: "};
    text.append(detector.unqueued_count).append(" found no room, the last one of sample ");
    WEIR_CO_CHECK(
        detector.reporter.notice(scheduler, Notice::Kind::trouble, text.append(announcement.sequence)));
}

Task<> load_state(Scheduler& scheduler) {
    const RuntimePath path{detector.options.directory, state_name};
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) co_return co_await weir::fail(weir::Error::from_errno("opening the state's file", errno));
    detector.store.emplace(fd);  // open until the end
    switch (detector.store->load(detector.loaded, detector.progression)) {
        case StateStore::Loaded::nothing: break;
        case StateStore::Loaded::failed:
            co_return co_await weir::fail(weir::Error::from_errno("reading the state's file", errno));
        case StateStore::Loaded::state:
            detector.model = DetectorModel{detector.loaded};
            detector.learned_before = true;
            break;
        case StateStore::Loaded::damaged: {
            BoundedText<Notice::text_bytes_max> text{"the saved state is damaged ("};
            text.append(text_of(detector.store->damage())).append("): everything is learned afresh");
            detector.progression = {};
            WEIR_CO_CHECK(detector.reporter.notice(scheduler, Notice::Kind::trouble, text));
            break;
        }
    }
}

/// What a new recording begins with: nothing but the operator's threshold.
void begin_recording(std::uint32_t recording) {
    const double factor = detector.model.state().factor;
    detector.loaded = DetectorState{};
    detector.loaded.factor = factor;
    detector.model = DetectorModel{detector.loaded};
    detector.progression = {.place = {.recording = recording, .next_sequence = 0}, .counts = {}};
}

Task<> answer(Scheduler&, Record record) {
    const EncodedRecord encoded{record};
    WEIR_CO_CHECK(detector.peer.write_all(encoded.bytes()));
}

/// Tells acquisition how far we have come, if there is news.
Task<> acknowledge(Scheduler& scheduler) {
    if (detector.acknowledgement) {
        const Acknowledgement acknowledgement = *detector.acknowledgement;
        detector.acknowledgement.reset();
        WEIR_CO_CHECK(answer(scheduler, Record{acknowledgement}));
    }
    if (detector.taken) {
        const TakenUpTo taken = *detector.taken;
        detector.taken.reset();
        WEIR_CO_CHECK(answer(scheduler, Record{taken}));
    }
}

Task<> save(Scheduler&) {
    if (!detector.store->save(detector.model.state(), detector.progression)) {
        co_return co_await weir::fail(weir::Error::from_errno("saving the state", errno));
    }
}

Task<> judge(Scheduler& scheduler, JoinedSample joined) {
    StreamPlace& place = detector.progression.place;
    if (joined.recording > place.recording && joined.sequence == 0) begin_recording(joined.recording);
    if (joined.recording == place.recording && joined.sequence < place.next_sequence)
        co_return;  // known to the state: this detector, or acquisition's detector before it, has had it
    if (joined.recording != place.recording || joined.sequence != place.next_sequence) {
        // What we want is not in the topic any more: our state was lost.
        WEIR_CO_CHECK(answer(scheduler, Record{Resume{.place = place, .learned_before = false}}));
        co_return co_await weir::fail(weir::Errc::peer_lost, "an acquisition that has to start over");
    }
    const bool learned = detector.model.phase() == Phase::watching;
    const Verdict verdict = detector.model.observe(joined.sample.values);
    if (verdict.phase == Phase::watching)
        detector.progression.counts.add(verdict.anomaly, joined.sample.labels.anomaly);
    ++place.next_sequence;
    show(joined, verdict);
    Announcement announcement{.recording = joined.recording,
                              .sequence = joined.sequence,
                              .time_s = joined.sample.time_s,
                              .statistic = verdict.statistic,
                              .threshold = detector.model.threshold()};
    if (!learned && detector.model.phase() == Phase::watching) {
        announcement.ignored_signals = detector.model.ignored_signals();
        WEIR_CO_CHECK(announce(scheduler, announcement));
    } else if (verdict.change != AlarmLogic::Change::none) {
        announcement.kind = verdict.change == AlarmLogic::Change::raised ? Announcement::Kind::raised
                                                                         : Announcement::Kind::cleared;
        WEIR_CO_CHECK(announce(scheduler, announcement));
    }
    WEIR_CO_CHECK(save(scheduler));
    detector.acknowledgement = {.recording = joined.recording,
                                .unqueued_count = detector.unqueued_count,
                                .sequence = joined.sequence,
                                .time_s = joined.sample.time_s,
                                .verdict = verdict};
}

Task<> end_recording(Scheduler& scheduler, RecordingEnd end) {
    if (end.recording > detector.progression.place.recording && end.samples_count == 0)
        begin_recording(end.recording);
    const StreamPlace& place = detector.progression.place;
    if (end.recording != place.recording || end.samples_count != place.next_sequence) {
        co_return co_await weir::fail(weir::Errc::invalid, "a recording's end out of its turn",
                                      end.samples_count);
    }
    const Figures figures{end.recording, end.samples_count, detector.progression.counts};
    WEIR_CO_CHECK(detector.reporter.tell(scheduler, Record{figures}));
    WEIR_CO_CHECK(acknowledge(scheduler));
    WEIR_CO_CHECK(answer(scheduler, Record{end}));
}

Task<> take(Scheduler& scheduler) {
    if (const auto* joined = std::get_if<JoinedSample>(&detector.record)) {
        WEIR_CO_CHECK(judge(scheduler, *joined));
    } else if (const auto* end = std::get_if<RecordingEnd>(&detector.record)) {
        WEIR_CO_CHECK(end_recording(scheduler, *end));
    } else if (const auto* setting = std::get_if<Setting>(&detector.record)) {
        detector.model.set_factor(setting->factor);
        WEIR_CO_CHECK(save(scheduler));
    } else {
        co_return co_await weir::fail(weir::Errc::invalid, "a record of acquisition");
    }
}

/// Ends when acquisition hangs up; it has nothing to say here.
Task<> await_hang_up(Scheduler&) {
    std::array<std::byte, 64> nothing;
    WEIR_CO_TRY(const auto bytes, detector.peer.read(nothing));
    if (bytes.empty()) co_return;
    co_return co_await weir::fail(weir::Errc::invalid, "acquisition, which spoke out of its turn");
}

/// Takes what a slot holds.
bool take_out(const weir::ipc::Sample<SampleSlot>& sample) {
    std::size_t size = 0;
    detector.complete = sample.missed() == 0 || detector.position == 0;
    detector.position = sample.sequence() + 1;
    return decode(sample->bytes, detector.record, size) == Decoded::record;
}

Task<bool> await_record(Scheduler&) {
    WEIR_CO_TRY(const auto sample, detector.samples.next());
    co_return take_out(sample);
}

/// The next record of the topic, into detector.record. Fails with peer_lost when acquisition is gone: its successor
/// begins with what we want next, so the rest of its topic is not needed.
Task<> receive(Scheduler& scheduler) {
    bool good = false;
    if (const auto ready = detector.samples.try_next()) {
        good = take_out(*ready);
    } else {
        WEIR_CO_CHECK(acknowledge(scheduler));  // before we sleep
        // The topic alone does not tell: it may be a successor's already, whose connection waits to be accepted.
        auto woken = co_await weir::first_of(await_record(scheduler), await_hang_up(scheduler));
        if (!woken) co_return co_await weir::fail(woken.error());
        if (woken.index() != 0)
            co_return co_await weir::fail(weir::Errc::peer_lost, "connection of acquisition");
        good = *woken.get<0>();
    }
    if (!good) co_return co_await weir::fail(weir::Errc::invalid, "a record of acquisition");
    // It waits for us, so this is its fault, or our state was lost.
    if (!detector.complete)
        co_return co_await weir::fail(weir::Errc::invalid, "a record that was overwritten");
}

Task<> take_samples(Scheduler& scheduler) {
    constexpr int unacknowledged_max = 64;
    static_assert(unacknowledged_max < samples_kept);
    for (int count = 1;; ++count) {
        WEIR_CO_CHECK(receive(scheduler));
        WEIR_CO_CHECK(take(scheduler));
        detector.taken = TakenUpTo{detector.position};
        if (count % unacknowledged_max == 0) WEIR_CO_CHECK(acknowledge(scheduler));
    }
}

/// Subscribes to the samples of the acquisition that has connected, from the oldest that are kept, and says what is
/// wanted.
Task<> attach(Scheduler& scheduler) {
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(detector.options.directory));
    WEIR_CO_TRY(detector.samples, SampleSubscriber::open(scheduler, sample_topic,
                                                         {.history = samples_kept,
                                                          .link = {.server_uid = detector.options.peer_user,
                                                                   .directory = &directory}}));
    detector.position = 0;
    const StreamPlace& place = detector.progression.place;
    WEIR_CO_CHECK(
        answer(scheduler, Record{Resume{.place = place, .learned_before = detector.learned_before}}));
    if (place.next_sequence == 0) co_return;
    detector.acknowledgement = {.recording = place.recording,
                                .unqueued_count = detector.unqueued_count,
                                .sequence = place.next_sequence - 1,
                                .time_s = 0,
                                .verdict = detector.model.last()};
}

/// One acquisition, from its connection to its end.
Task<> serve_acquisition(Scheduler& scheduler) {
    detector.acknowledgement.reset();
    detector.taken.reset();
    const auto attached = co_await weir::first_of(attach(scheduler), await_hang_up(scheduler));
    if (!attached) co_return co_await weir::fail(attached.error());
    if (attached.index() != 0) co_return;
    WEIR_CO_CHECK(take_samples(scheduler));
}

Task<> serve_samples(Scheduler& scheduler) {
    const RuntimePath path{detector.options.directory, answers_name};
    WEIR_CO_TRY(auto listener, weir::UnixListener::bind(path.view(), {.mode = mode_for_peer(detector.options),
                                                                      .backlog = 4,
                                                                      .descriptors = false}));
    for (;;) {
        WEIR_CO_TRY(detector.peer, listener.accept());
        const auto credentials = detector.peer.peer();
        if (!credentials || (credentials->uid != trusted_user(detector.options) && credentials->uid != 0))
            continue;
        const auto served = co_await serve_acquisition(scheduler);
        detector.samples.close();
        detector.peer.close();
        if (served || served.error() == weir::Errc::peer_lost || served.error() == weir::Errc::ended)
            continue;
        // Out of its turn or not to be saved: what this process knows is no longer what acquisition relies on. A
        // successor begins with what was saved.
        co_return co_await weir::fail(served.error());
    }
}

Task<> serve_supervisor(Scheduler& scheduler) {
    WEIR_CO_CHECK(await_supervisors_end(scheduler));
    supervisor_is_gone = true;
}

Task<> detect(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    WEIR_CO_CHECK(detector.reporter.open());
    WEIR_CO_TRY(detector.queue, weir::MessageQueueWriter::adopt(queue_descriptor));
    auto loaded = co_await load_state(scheduler);
    if (loaded) {
        const auto outcome = co_await weir::first_of(quit.next(), serve_supervisor(scheduler),
                                                     serve_samples(scheduler), send_points(scheduler));
        if (outcome) {
            ending = Ending::stopped;
            co_return;
        }
        loaded = weir::failure(outcome.error());
    }
    WEIR_CO_CHECK(weir::shielded(
        1s, detector.reporter.notice(scheduler, Notice::Kind::trouble, text_of("detector", loaded.error()))));
}

}  // namespace

int main(int argc, char** argv) {
    weir::StartOptions start;
    if (!read_options(argc, argv, detector.options) || !choose_backend(detector.options, start)) {
        return static_cast<int>(Ending::refused);
    }
    // The umask must not take from acquisition, for a moment, what it may do with our socket.
    ::umask(0117);
    remember_parent();
    const int status = weir::run_main<budget>(argc, argv, detect, start);
    if (supervisor_is_gone || parent_is_gone()) {
        ::unlink(RuntimePath{detector.options.directory, state_name}.c_str());
        leave_directory(detector.options.directory);
    }
    return status != 0 ? status : static_cast<int>(ending);
}
