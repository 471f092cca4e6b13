// SPDX-License-Identifier: MIT
#include "topic/kill_points.hpp"

#include <weir/ipc/topic/entries.hpp>

#include <array>
#include <new>
#include <optional>

#include <sys/mman.h>

namespace weir::test {
namespace {

using namespace ipc::topic;
using killing::Ledger;
using TopicAtomics = ipc::topic::MachineAtomics;

constexpr std::uint32_t depth = 4;
constexpr std::uint32_t pins = 2;
constexpr std::uint32_t slots = depth + 1 + 2 * pins;
constexpr std::uint32_t samples_count = 40;
static_assert(ipc::topic::sites_count <= KillCounts::sites_max);

/// The topic's atomics, with a place to die around each store.
struct KillAtomics : TopicAtomics, killing::Points {
    static constexpr Site bell = Site::bell;

    template <class T>
    static void store_relaxed(std::atomic<T>& word, std::type_identity_t<T> value, Site site) noexcept {
        point(site, When::before);
        TopicAtomics::store_relaxed(word, value, site);
        point(site, When::after);
    }
    template <class T>
    static void store_release(std::atomic<T>& word, std::type_identity_t<T> value, Site site) noexcept {
        point(site, When::before);
        TopicAtomics::store_release(word, value, site);
        point(site, When::after);
    }
};

using SampleBytes = std::array<std::byte, 72>;

std::byte byte_of(std::uint64_t sequence, std::size_t index) {
    return static_cast<std::byte>(sequence * 13 + index * 5 + 1);
}

struct Shared {
    PublisherWords<TopicAtomics> publisher;
    SubscriberWords<TopicAtomics> subscriber[2];  // the one that is told of, and its successor
    Entry<TopicAtomics> entries[depth];
    SampleBytes samples[slots]{};
    Ledger ledger;
};

// One topic, its bells, and who lives.
class Scene {
public:
    Scene() : news(::eventfd(0, EFD_CLOEXEC)), space(::eventfd(0, EFD_CLOEXEC)) {
        void* const memory =
            ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        shared = ::new (memory) Shared();
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;
    ~Scene() {
        ::munmap(shared, sizeof(Shared));
        ::close(news);
        ::close(space);
    }
    [[nodiscard]] Ledger& ledger() const noexcept { return shared->ledger; }

    Shared* shared;
    int news;
    int space;
};

enum class Step : std::uint8_t { done, peer_gone, asleep_for_ever, broken };

template <class Atomics>
class PublisherRole {
public:
    PublisherRole(Scene& scene, int other, bool waits)
        : scene_(scene),
          other_(other),
          waits_(waits),
          writer(scene.shared->publisher, scene.shared->entries, depth) {
        attach(0, 0);
    }
    /// From now on it is about subscriber `which` alone.
    void attach(std::uint32_t which, std::uint64_t position) {
        words_ = &scene_.shared->subscriber[which];
        peer_ = Peer<Atomics>(*words_, position);
    }
    void detach() { words_ = nullptr; }

    Step publish() {
        while (waits_ && words_ != nullptr) {
            const bool gone = killing::dead(other_);
            if (!peer_.look(writer.head())) return Step::broken;
            if (has_room()) break;
            if (gone) return Step::peer_gone;
            make_sure();
            sleeper_.announce();
            if (!peer_.look(writer.head())) return Step::broken;
            if (!has_room() && !killing::sleep(scene_.space, other_)) return Step::asleep_for_ever;
            sleeper_.withdraw();
        }
        if (pool_.empty()) {
            bool sound = true;
            reclaim<Atomics>(
                pool_, [&](SlotPool& pool) { sound = words_ == nullptr || peer_.keep_pins(pool, pins); });
            if (!sound || pool_.empty()) return Step::broken;
        }
        const std::uint32_t slot = pool_.take();
        SampleBytes& sample = scene_.shared->samples[slot];
        for (std::size_t i = 0; i < sample.size(); ++i) sample[i] = byte_of(writer.head(), i);
        const std::uint32_t gone = writer.publish(slot);
        if (gone != no_slot) pool_.retire(gone);
        ring_if_asleep();
        return Step::done;
    }
    void make_sure() {
        Atomics::fence(Fence::after_tell);
        ring_if_asleep();
    }

private:
    [[nodiscard]] bool has_room() const { return writer.head() < peer_.position() + depth; }
    void ring_if_asleep() {
        if (words_ != nullptr && peer_.asleep()) killing::ring_bell<Atomics>(scene_.news);
    }

    Scene& scene_;
    int other_;
    bool waits_;
    SubscriberWords<TopicAtomics>* words_ = nullptr;
    Peer<Atomics> peer_;
    Sleeper<Atomics> sleeper_{scene_.shared->publisher.epoch};
    std::array<std::uint32_t, SlotPool::words_of(slots)> pool_words_{};
    SlotPool pool_{pool_words_.data(), slots};

public:
    Writer<Atomics> writer;
};

template <class Atomics>
class SubscriberRole {
public:
    SubscriberRole(Scene& scene, std::uint32_t which, int other)
        : scene_(scene),
          other_(other),
          sleeper_(scene.shared->subscriber[which].epoch),
          publisher_(scene.shared->publisher.epoch),
          reader(scene.shared->subscriber[which], scene.shared->publisher, scene.shared->entries,
                 {.depth = depth, .slots = slots, .keep = depth}) {}

    /// Takes the next sample, looks at it, and holds it while it takes the next.
    Step take() {
        Taken taken{};
        for (;;) {
            const bool gone = killing::dead(other_);
            Found found = reader.take(pin_, taken);
            if (found == Found::nothing && !gone) {
                make_sure();
                sleeper_.announce();
                std::ignore = reader.look();
                found = reader.take(pin_, taken);
                if (found == Found::nothing && !killing::sleep(scene_.news, other_))
                    return Step::asleep_for_ever;
                sleeper_.withdraw();
            }
            if (found == Found::corrupt) return Step::broken;
            if (found == Found::sample) break;
            if (gone) return Step::peer_gone;
        }
        ring_if_asleep();
        if (taken.sequence != seen + taken.missed) return Step::broken;
        seen = taken.sequence + 1;
        missed += taken.missed;
        if (!whole(taken)) return Step::broken;
        if (held_ && !whole(*held_)) return Step::broken;
        if (held_) reader.release(held_->pin);
        held_ = taken;
        pin_ = 1 - pin_;
        return Step::done;
    }
    void make_sure() {
        Atomics::fence(Fence::after_tell);
        ring_if_asleep();
    }

    std::uint64_t seen = 0;  // taken or missed
    std::uint64_t missed = 0;

private:
    [[nodiscard]] bool whole(const Taken& taken) const {
        const SampleBytes& sample = scene_.shared->samples[taken.slot];
        for (std::size_t i = 0; i < sample.size(); ++i)
            if (sample[i] != byte_of(taken.sequence, i)) return false;
        return true;
    }
    void ring_if_asleep() {
        if (publisher_.asleep()) killing::ring_bell<Atomics>(scene_.space);
    }

    Scene& scene_;
    int other_;
    Sleeper<Atomics> sleeper_;
    Waker<Atomics> publisher_;
    std::optional<Taken> held_;
    std::uint32_t pin_ = 0;

public:
    Reader<Atomics> reader;
};

const char* check_subscriber(Scene& scene, int child, bool may_miss) {
    SubscriberRole<TopicAtomics> subscriber(scene, 0, child);
    for (;;) {
        switch (subscriber.take()) {
            case Step::done: continue;
            case Step::peer_gone: break;
            case Step::asleep_for_ever: return "the subscriber sleeps for ever";
            case Step::broken: return "the subscriber saw a sample that is broken, or not its turn";
        }
        break;
    }
    const std::uint32_t known = scene.shared->ledger.finished;
    // What the last one of them took the place of counts as missed also if it was never published.
    if (subscriber.reader.position() < known) return "a published sample was lost without a word";
    if (subscriber.reader.position() > known + 1) return "a sample came that was not published";
    if (!may_miss && subscriber.missed != 0) return "a sample was overwritten before it was taken";
    return nullptr;
}

const char* check_publisher(Scene& scene, int child) {
    PublisherRole<TopicAtomics> publisher(scene, child, true);
    std::uint32_t published = 0;
    for (bool alone = false; published < samples_count && !alone;) {
        switch (publisher.publish()) {
            case Step::done: ++published; break;
            case Step::peer_gone: alone = true; break;
            case Step::asleep_for_ever: return "the publisher sleeps for ever";
            case Step::broken: return "the publisher refused its subscriber's words, or ran out of slots";
        }
    }
    publisher.make_sure();
    // The child ends by its own hand, at its point or after all its work.
    pollfd one{.fd = child, .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, killing::patience_ms) != 1) return "the subscriber sleeps for ever";
    publisher.detach();
    // What it pinned does not matter any more: the publisher has slots for many laps.
    for (std::uint32_t i = 0; i < 5 * slots; ++i)
        if (publisher.publish() != Step::done) return "the publisher cannot go on";
    const std::uint64_t head = publisher.writer.head();
    scene.shared->subscriber[1].position = static_cast<std::uint32_t>(head);
    publisher.attach(1, head);
    SubscriberRole<TopicAtomics> successor(scene, 1, -1);
    successor.reader.begin(head, head, 0);
    successor.seen = head;
    for (std::uint32_t i = 0; i < 2 * slots; ++i) {
        if (publisher.publish() != Step::done) return "the publisher cannot go on with another";
        if (successor.take() != Step::done || successor.missed != 0) return "the successor does not get all";
    }
    return nullptr;
}

[[noreturn]] void be_publisher(Scene& scene, bool waits) {
    PublisherRole<KillAtomics> publisher(scene, -1, waits);
    for (std::uint32_t i = 0; i < samples_count; ++i) {
        if (publisher.publish() != Step::done) ::_exit(3);
        scene.shared->ledger.finished = i + 1;
        if (i % 5 == 4) publisher.make_sure();
    }
    publisher.make_sure();
    ::_exit(0);
}

[[noreturn]] void be_subscriber(Scene& scene) {
    SubscriberRole<KillAtomics> subscriber(scene, 0, -1);
    for (std::uint32_t i = 0; i < samples_count; ++i) {
        if (subscriber.take() != Step::done || subscriber.missed != 0) ::_exit(3);
        scene.shared->ledger.finished = i + 1;
    }
    subscriber.make_sure();
    ::_exit(0);
}

}  // namespace

KillCounts kill_topic_publishers() {
    return kill_at_every_store<Scene>(
        [](Scene& scene) { be_publisher(scene, false); },
        [](Scene& scene, int child) { return check_subscriber(scene, child, true); });
}
KillCounts kill_waiting_topic_publishers() {
    return kill_at_every_store<Scene>(
        [](Scene& scene) { be_publisher(scene, true); },
        [](Scene& scene, int child) { return check_subscriber(scene, child, false); });
}
KillCounts kill_topic_subscribers() {
    return kill_at_every_store<Scene>([](Scene& scene) { be_subscriber(scene); }, check_publisher);
}

}  // namespace weir::test
