// SPDX-License-Identifier: MIT
#include "ring/kill_points.hpp"

#include <weir/ipc/ring/records.hpp>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <new>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {
namespace {

using namespace ipc::ring;

constexpr std::uint32_t ring_bytes = 256;
constexpr std::uint32_t records_count = 48;
constexpr int patience_ms = 20'000;  // who sleeps that long with its peer alive or dead would sleep for ever

enum class When : std::uint8_t { before, middle, after };

// Shared by both processes beside the ring, for the checks alone.
struct Ledger {
    std::atomic<std::uint32_t> finished{0};  // records that the child knows it committed, or released
    std::atomic<std::uint32_t> site{0};      // where it died
    std::atomic<std::uint32_t> when{0};
    std::atomic<bool> died{false};
};

struct Shared {
    Words<MachineAtomics> writer;
    Words<MachineAtomics> reader;
    Words<MachineAtomics> successor;
    alignas(cache_line) std::byte data[ring_bytes]{};
    Ledger ledger;
};

// The machine's atomics, with a place to die around each store. In the child alone.
struct KillAtomics : MachineAtomics {
    static inline std::uint32_t deadline = 0;  // the number of the point at which to die; 0: never
    static inline std::uint32_t passed = 0;
    static inline Ledger* ledger = nullptr;

    static void point(Site site, When when) noexcept {
        if (++passed != deadline) return;
        ledger->site = static_cast<std::uint32_t>(site);
        ledger->when = static_cast<std::uint32_t>(when);
        ledger->died = true;
        ::kill(::getpid(), SIGKILL);
    }
    static void store_relaxed(Word& word, std::uint32_t value, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::store_relaxed(word, value, site);
        point(site, When::after);
    }
    static void store_release(Word& word, std::uint32_t value, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::store_release(word, value, site);
        point(site, When::after);
    }
    static void write_header(Data data, std::uint32_t offset, RecordHeader header, Site site) noexcept {
        point(site, When::before);
        std::memcpy(data + offset, &header.size, sizeof(header.size));
        point(site, When::middle);
        std::memcpy(data + offset + sizeof(header.size), &header.mark, sizeof(header.mark));
        point(site, When::after);
    }
    static void copy(std::byte* to, const std::byte* from, std::size_t size, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::copy(to, from, size / 2, site);
        point(site, When::middle);
        MachineAtomics::copy(to + size / 2, from + size / 2, size - size / 2, site);
        point(site, When::after);
    }
};

// What rings: in the child a place to die, too.
template <class Atomics>
void ring_bell(int bell) {
    if constexpr (std::is_same_v<Atomics, KillAtomics>) KillAtomics::point(Site::bell, When::before);
    ::eventfd_write(bell, 1);
    if constexpr (std::is_same_v<Atomics, KillAtomics>) KillAtomics::point(Site::bell, When::after);
}

std::uint32_t size_of_record(std::uint32_t number) {
    return number * 29 % (record_size_max(ring_bytes) + 1);
}
std::byte byte_of_record(std::uint32_t number, std::uint32_t index) {
    return static_cast<std::byte>(number * 11 + index * 3 + 1);
}

// One ring, its bells, and who lives.
class Scene {
public:
    Scene() : items(::eventfd(0, EFD_CLOEXEC)), space(::eventfd(0, EFD_CLOEXEC)) {
        void* const memory =
            ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        shared = ::new (memory) Shared();
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;
    ~Scene() {
        ::munmap(shared, sizeof(Shared));
        ::close(items);
        ::close(space);
    }

    // Sleeps until the bell rings or the child is dead. False: neither came.
    [[nodiscard]] bool sleep(int bell, int pidfd) const {
        pollfd both[2] = {{.fd = bell, .events = POLLIN, .revents = 0},
                          {.fd = pidfd, .events = POLLIN, .revents = 0}};
        if (::poll(both, 2, patience_ms) < 1) return false;
        eventfd_t value = 0;
        if ((both[0].revents & POLLIN) != 0) ::eventfd_read(bell, &value);
        return true;
    }
    [[nodiscard]] static bool dead(int pidfd) {
        pollfd one{.fd = pidfd, .events = POLLIN, .revents = 0};
        return pidfd >= 0 && ::poll(&one, 1, 0) == 1;
    }

    Shared* shared;
    int items;
    int space;
};

enum class Step : std::uint8_t { done, peer_gone, asleep_for_ever, broken };

template <class Atomics>
class WriterRole {
public:
    WriterRole(Scene& scene, int peer)
        : scene_(scene),
          peer_(peer),
          producer(scene.shared->writer, scene.shared->reader, scene.shared->data, ring_bytes) {}

    // Writes the next record, waiting for room.
    Step write(std::uint32_t number) {
        const std::uint32_t size = size_of_record(number);
        std::byte payload[ring_bytes];
        for (std::uint32_t i = 0; i < size; ++i) payload[i] = byte_of_record(number, i);
        const std::uint32_t units = producer.needed(size);
        for (;;) {
            const bool gone = Scene::dead(peer_);
            const Look look = producer.need(units);
            if (look == Look::corrupt) return Step::broken;
            if (look == Look::ready) break;
            if (gone) return Step::peer_gone;
            make_sure();
            if (producer.announce(units) != Look::nothing) continue;
            if (!scene_.sleep(scene_.space, peer_)) return Step::asleep_for_ever;
            producer.awake();
        }
        producer.fill(payload, size);
        producer.finish(size, size);
        if (number % 5 != 3) publish();  // some are committed with the next
        return Step::done;
    }
    void publish() {
        if (producer.publish_lightly()) ring_bell<Atomics>(scene_.items);
    }
    // Before it sleeps or turns to something else.
    void make_sure() {
        if (producer.deferred()) publish();
        if (producer.peer_sleeps()) ring_bell<Atomics>(scene_.items);
    }

private:
    Scene& scene_;
    int peer_;

public:
    RecordProducer<Atomics> producer;
};

template <class Atomics>
class ReaderRole {
public:
    ReaderRole(Scene& scene, Words<MachineAtomics>& own, int peer)
        : scene_(scene), peer_(peer), consumer(own, scene.shared->writer, scene.shared->data, ring_bytes) {}

    Step read(std::uint32_t expected) {
        for (;;) {
            const bool gone = Scene::dead(peer_);
            const Look look = consumer.need(1);
            if (look == Look::corrupt) return Step::broken;
            if (look == Look::ready) break;
            if (gone) return Step::peer_gone;
            make_sure();
            if (consumer.announce(1) != Look::nothing) continue;
            if (!scene_.sleep(scene_.items, peer_)) return Step::asleep_for_ever;
            consumer.awake();
        }
        typename RecordConsumer<Atomics>::Record record{};
        if (!consumer.take(record) || record.size != size_of_record(expected)) return Step::broken;
        for (std::uint32_t i = 0; i < record.size; ++i)
            if (scene_.shared->data[record.offset + i] != byte_of_record(expected, i)) return Step::broken;
        return Step::done;
    }
    void release() {
        if (consumer.publish_lightly()) ring_bell<Atomics>(scene_.space);
    }
    void make_sure() {
        if (consumer.deferred()) release();
        if (consumer.peer_sleeps()) ring_bell<Atomics>(scene_.space);
    }

private:
    Scene& scene_;
    int peer_;

public:
    RecordConsumer<Atomics> consumer;
};

int open_pidfd(pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

// The number of records that the child's cursor says are committed, when it died between store and ledger.
const char* check_survivor_of_writer(Scene& scene, int child) {
    ReaderRole<MachineAtomics> reader(scene, scene.shared->reader, child);
    std::uint32_t got = 0;
    for (;;) {
        switch (reader.read(got)) {
            case Step::done: break;
            case Step::peer_gone: {
                const std::uint32_t known = scene.shared->ledger.finished;
                if (got < known) return "a committed record was lost";
                if (got > known + 2) return "a record came that was not committed";
                // All that lies before the cursor was given out.
                if (reader.consumer.position() != scene.shared->writer.cursor)
                    return "the reader stopped early";
                return nullptr;
            }
            case Step::asleep_for_ever: return "the reader sleeps for ever";
            case Step::broken: return "the reader saw a record that is broken";
        }
        ++got;
        if (got % 3 != 0) reader.release();
    }
}

const char* check_survivor_of_reader(Scene& scene, int child) {
    WriterRole<MachineAtomics> writer(scene, child);
    std::uint32_t written = 0;
    bool alone = false;
    while (written < records_count && !alone) {
        switch (writer.write(written)) {
            case Step::done: ++written; break;
            case Step::peer_gone: alone = true; break;
            case Step::asleep_for_ever: return "the writer sleeps for ever";
            case Step::broken: return "the writer refused the reader's cursor";
        }
    }
    writer.make_sure();
    // The child ends by its own hand, at its point or after all its work.
    pollfd one{.fd = child, .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, patience_ms) != 1) return "the reader sleeps for ever";

    if (writer.producer.look(1) == Look::corrupt) return "the writer refused the reader's cursor";
    scene.shared->successor.cursor = writer.producer.seen();
    writer.producer.rebind(scene.shared->successor);
    ReaderRole<MachineAtomics> successor(scene, scene.shared->successor, child);
    // What the dead one knows it released does not come again; one more may have been.
    const std::uint32_t known = scene.shared->ledger.finished;
    std::uint32_t next = known;
    bool first = true;
    while (next < records_count) {
        while (written < records_count) {
            const Step step = writer.write(written);
            if (step == Step::peer_gone) break;  // full
            if (step != Step::done) return "the writer cannot go on";
            ++written;
        }
        writer.make_sure();
        while (next < written) {
            const std::uint32_t before = successor.consumer.position();
            Step step = successor.read(next);
            if (first && step == Step::broken && next + 1 < written) {
                // Released, but not yet in the ledger.
                successor.consumer.advance(before - successor.consumer.position());
                step = successor.read(++next);
            }
            first = false;
            if (step == Step::peer_gone && next + 1 == written) {  // it was the one released last
                ++next;
                break;
            }
            if (step != Step::done) return "the successor does not get what was left";
            successor.release();
            ++next;
        }
    }
    return nullptr;
}

[[noreturn]] void be_writer(Scene& scene) {
    WriterRole<KillAtomics> writer(scene, -1);
    for (std::uint32_t i = 0; i < records_count; ++i) {
        if (writer.write(i) != Step::done) ::_exit(3);
        if (!writer.producer.deferred()) scene.shared->ledger.finished = i + 1;
    }
    writer.make_sure();
    scene.shared->ledger.finished = records_count;
    ::_exit(0);
}

[[noreturn]] void be_reader(Scene& scene) {
    ReaderRole<KillAtomics> reader(scene, scene.shared->reader, -1);
    for (std::uint32_t i = 0; i < records_count; ++i) {
        if (reader.read(i) != Step::done) ::_exit(3);
        reader.release();
        scene.shared->ledger.finished = i + 1;
    }
    reader.make_sure();
    ::_exit(0);
}

KillCounts kill_at_every_store(const std::function<void(Scene&)>& role,
                               const std::function<const char*(Scene&, int)>& check) {
    KillCounts counts;
    // How many stores there are depends on who sleeps when: go on until a child comes through several times in a row.
    int unharmed = 0;
    for (std::uint32_t k = 1; unharmed < 8; ++k) {
        Scene scene;
        const pid_t child = ::fork();
        if (child == 0) {
            std::signal(SIGABRT, SIG_DFL);
            KillAtomics::ledger = &scene.shared->ledger;
            KillAtomics::deadline = k;
            role(scene);
        }
        const int pidfd = open_pidfd(child);
        const char* failure = check(scene, pidfd);
        if (failure != nullptr) ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ::close(pidfd);
        const Ledger& ledger = scene.shared->ledger;
        if (failure == nullptr && !ledger.died && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            failure = "the child failed without being killed";
        if (ledger.died) {
            unharmed = 0;
            ++counts.points;
            if (failure == nullptr) ++counts.survived;
            const auto when = static_cast<When>(ledger.when.load());
            auto& row = when == When::before   ? counts.before
                        : when == When::middle ? counts.middle
                                               : counts.after;
            ++row[ledger.site];
        } else {
            ++unharmed;
        }
        if (failure != nullptr && counts.first_failure.empty()) {
            counts.first_failure = "point " + std::to_string(k) + ", site " + std::to_string(ledger.site) +
                                   ", when " + std::to_string(ledger.when) + ": " + failure;
        }
        if (failure != nullptr && !ledger.died) break;
    }
    return counts;
}

}  // namespace

KillCounts kill_ring_writers() {
    return kill_at_every_store([](Scene& scene) { be_writer(scene); }, check_survivor_of_writer);
}
KillCounts kill_ring_readers() {
    return kill_at_every_store([](Scene& scene) { be_reader(scene); }, check_survivor_of_reader);
}

}  // namespace weir::test
