// SPDX-License-Identifier: MIT
#include "ring/kill_points.hpp"

#include <weir/ipc/ring/records.hpp>

#include <new>

#include <sys/mman.h>

namespace weir::test {
namespace {

using namespace killing;
using namespace ipc::ring;

constexpr std::uint32_t ring_bytes = 256;
constexpr std::uint32_t records_count = 48;

struct Shared {
    Words<MachineAtomics> writer;
    Words<MachineAtomics> reader;
    Words<MachineAtomics> successor;
    alignas(ipc::cache_line) std::byte data[ring_bytes]{};
    Ledger ledger;
};

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

    [[nodiscard]] Ledger& ledger() const { return shared->ledger; }

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
            const bool gone = dead(peer_);
            const Look look = producer.need(units);
            if (look == Look::corrupt) return Step::broken;
            if (look == Look::ready) break;
            if (gone) return Step::peer_gone;
            make_sure();
            if (producer.announce(units) != Look::nothing) continue;
            if (!sleep(scene_.space, peer_)) return Step::asleep_for_ever;
            producer.awake();
        }
        producer.claim(1, record_units(size));
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
            const bool gone = dead(peer_);
            const Look look = consumer.need(1);
            if (look == Look::corrupt) return Step::broken;
            if (look == Look::ready) break;
            if (gone) return Step::peer_gone;
            make_sure();
            if (consumer.announce(1) != Look::nothing) continue;
            if (!sleep(scene_.items, peer_)) return Step::asleep_for_ever;
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

}  // namespace

KillCounts kill_ring_writers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be_writer(scene); }, check_survivor_of_writer);
}
KillCounts kill_ring_readers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be_reader(scene); }, check_survivor_of_reader);
}

}  // namespace weir::test
