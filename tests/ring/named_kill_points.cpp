// SPDX-License-Identifier: MIT
#include "ring/named_kill_points.hpp"

#include <weir/ipc/ring/holder.hpp>
#include <weir/ipc/ring/records.hpp>

#include <new>

#include <sys/mman.h>

namespace weir::test {
namespace {

using namespace killing;
using namespace ipc::ring;

constexpr std::uint32_t ring_bytes = 256;
constexpr std::uint32_t records_count = 48;

// What a named ring's file holds.
struct Shared {
    Holder<MachineAtomics> writer_holder;
    Holder<MachineAtomics> reader_holder;
    Words<MachineAtomics> writer;
    Words<MachineAtomics> reader;
    alignas(ipc::cache_line) std::byte data[ring_bytes]{};
    Ledger ledger;
};

std::uint32_t size_of_record(std::uint32_t number) {
    return number * 37 % (record_size_max(ring_bytes) + 1);
}
std::byte byte_of_record(std::uint32_t number, std::uint32_t index) {
    return static_cast<std::byte>(number * 13 + index * 5 + 1);
}

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

enum class Step : std::uint8_t { done, nothing, asleep_for_ever, broken };

// One side: it takes it, and rings once since its predecessor may have died before it did.
template <class Atomics>
class WriterRole {
public:
    WriterRole(Scene& scene, int peer)
        : scene_(scene),
          peer_(peer),
          producer(scene.shared->writer, scene.shared->reader, scene.shared->data, ring_bytes) {
        take_side<Atomics>(scene.shared->writer_holder, static_cast<std::uint32_t>(::getpid()));
        ring_bell<Atomics>(scene.items);
    }
    // Writes a record, waiting for room while the reader lives.
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
            if (gone) return Step::nothing;
            make_sure();
            if (producer.announce(units) != Look::nothing) continue;
            if (!sleep(scene_.space, peer_)) return Step::asleep_for_ever;
            producer.awake();
        }
        producer.claim(1, record_units(size));
        producer.fill(payload, size);
        producer.finish(size, size);
        if (number % 5 != 3) publish();
        return Step::done;
    }
    void publish() {
        if (producer.publish_lightly()) ring_bell<Atomics>(scene_.items);
    }
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
    ReaderRole(Scene& scene, int peer)
        : scene_(scene),
          peer_(peer),
          consumer(scene.shared->reader, scene.shared->writer, scene.shared->data, ring_bytes) {
        take_side<Atomics>(scene.shared->reader_holder, static_cast<std::uint32_t>(::getpid()));
        ring_bell<Atomics>(scene.space);
    }
    Step read(std::uint32_t expected) {
        for (;;) {
            const bool gone = dead(peer_);
            const Look look = consumer.need(1);
            if (look == Look::corrupt) return Step::broken;
            if (look == Look::ready) break;
            if (gone) return Step::nothing;
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

[[noreturn]] void be_writer(Scene& scene) {
    WriterRole<KillAtomics> writer(scene, -1);
    for (std::uint32_t i = 0; i < records_count; ++i) {
        if (writer.write(i) != Step::done) ::_exit(3);
        if (!writer.producer.deferred()) scene.ledger().finished = i + 1;
    }
    writer.make_sure();
    scene.ledger().finished = records_count;
    ::_exit(0);
}
[[noreturn]] void be_reader(Scene& scene) {
    ReaderRole<KillAtomics> reader(scene, -1);
    for (std::uint32_t i = 0; i < records_count; ++i) {
        if (reader.read(i) != Step::done) ::_exit(3);
        reader.release();
        scene.ledger().finished = i + 1;
    }
    reader.make_sure();
    ::_exit(0);
}

// The reader takes all there is, and then all that a successor writes behind it.
const char* check_successor_of_writer(Scene& scene, int child) {
    ReaderRole<MachineAtomics> reader(scene, child);
    std::uint32_t got = 0;
    for (Step step = Step::done; step != Step::nothing;) {
        step = reader.read(got);
        if (step == Step::asleep_for_ever) return "the reader sleeps for ever";
        if (step == Step::broken) return "the reader saw a record that is broken";
        if (step != Step::done) continue;
        ++got;
        if (got % 3 != 0) reader.release();
    }
    const std::uint32_t known = scene.ledger().finished;
    if (got < known) return "a committed record was lost";
    if (got > known + 2) return "a record came that was not committed";
    WriterRole<MachineAtomics> successor(scene, child);
    for (std::uint32_t next = got; next < records_count; ++next) {
        reader.make_sure();
        if (successor.write(next) != Step::done) return "the successor cannot go on";
        successor.make_sure();
        if (reader.read(next) != Step::done) return "the successor's records are not seen";
    }
    if (reader.read(records_count) != Step::nothing) return "more came than was written";
    const std::uint32_t taken = scene.shared->writer_holder.generation;
    return taken == 1 || taken == 2 ? nullptr : "the side was not counted";
}

// The writer goes on, and a successor of the reader begins with what was not released.
const char* check_successor_of_reader(Scene& scene, int child) {
    WriterRole<MachineAtomics> writer(scene, child);
    std::array<std::uint32_t, records_count + 1> begins{};  // where each record does
    std::uint32_t written = 0;
    const auto write_on = [&]() -> const char* {
        while (written < records_count) {
            begins[written] = writer.producer.position();
            const Step step = writer.write(written);
            if (step == Step::asleep_for_ever) return "the writer sleeps for ever";
            if (step == Step::broken) return "the writer refused the reader's cursor";
            if (step == Step::nothing) break;
            ++written;
        }
        begins[written] = writer.producer.position();
        writer.make_sure();
        return nullptr;
    };
    if (const char* const failure = write_on(); failure != nullptr) return failure;
    // The child ends by its own hand, at its point or after all its work.
    pollfd one{.fd = child, .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, patience_ms) != 1) return "the reader sleeps for ever";

    const std::uint32_t known = scene.ledger().finished;
    const std::uint32_t released = scene.shared->reader.cursor;
    std::uint32_t next = known;
    if (begins[next] != released && next < written) ++next;  // released, but not yet in the ledger
    if (begins[next] != released) return "the successor would begin elsewhere";
    ReaderRole<MachineAtomics> successor(scene, child);
    while (next < records_count) {
        if (const char* const failure = write_on(); failure != nullptr) return failure;
        if (successor.read(next) != Step::done) return "the successor does not get what was left";
        successor.release();
        ++next;
    }
    return successor.read(next) == Step::nothing ? nullptr : "more came than was written";
}

}  // namespace

KillCounts kill_named_ring_writers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be_writer(scene); }, check_successor_of_writer);
}
KillCounts kill_named_ring_readers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be_reader(scene); }, check_successor_of_reader);
}

}  // namespace weir::test
