// SPDX-License-Identifier: MIT
//
// Subscribers and publishers that write what they must not into the memory that is theirs to write.
#include "topic_place.hpp"

#include "shm/client_by_hand.hpp"
#include "support/report_log.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::LinkClient;
using ipc::TopicPolicy;
using ipc::topic::MachineAtomics;
using ipc::topic::SubscriberRegion;
using ipc::topic::TopicFacts;
using ipc::topic::TopicLayout;

using Poses = ipc::Subscriber<Pose>;
using PosePublisher = ipc::Publisher<Pose>;

/// Attaches as a subscriber does, and then does as it likes.
Task<LinkClient> attach_by_hand(Scheduler&, const Place& place) {
    co_return co_await ipc::open_link(pose_topic, ipc::topic::shape_of<Pose>().terms(0),
                                      {.directory = &place.directory})
        .within(10s);
}
SubscriberRegion& memory_of(const LinkClient& client) {
    void* const at = client->own().data();
    return *std::launder(static_cast<SubscriberRegion*>(at));
}

/// Publishes in small steps, so that an honest subscriber is never behind.
Task<> stream(Scheduler& scheduler, PosePublisher& publisher, Poses& poses, std::uint64_t from,
              std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_CHECK(put(scheduler, publisher, i, i + 1));
        WEIR_CO_CHECK(expect(scheduler, poses, i, i + 1));
    }
}

/// Serves a topic from memory that a test may scribble over.
class FakePublisher {
public:
    explicit FakePublisher(const TopicFacts& facts) : FakePublisher(facts, size_of(facts)) {}
    FakePublisher(const TopicFacts& facts, std::size_t size) {
        const HeapPermit permit;
        region_ = std::move(*ipc::Region::create(size, "fake topic"));
        mapping_ = std::move(*region_.map_writable());
        REQUIRE(region_.seal().has_value());
        std::memcpy(mapping_.data(), &facts, sizeof(facts));
    }
    FakePublisher(const FakePublisher&) = delete;
    FakePublisher& operator=(const FakePublisher&) = delete;

    Result<void> serve(Scheduler& scheduler, const Place& place,
                       const ipc::topic::SampleShape& shape) noexcept {
        WEIR_TRY(server_, ipc::LinkServer::create(scheduler, pose_topic, shape.terms(4), hooks, this,
                                                  {.directory = &place.directory}));
        return {};
    }
    template <class T>
    [[nodiscard]] T& at(std::uint64_t offset) const noexcept {
        void* const place = mapping_.data() + offset;
        return *std::launder(static_cast<T*>(place));
    }
    [[nodiscard]] auto& words() const noexcept {
        return at<ipc::topic::PublisherWords<MachineAtomics>>(TopicLayout::words);
    }
    [[nodiscard]] auto& entry(const TopicFacts& facts, std::uint32_t index) const noexcept {
        using Entry = ipc::topic::Entry<MachineAtomics>;
        return at<Entry>(TopicLayout::of(facts)->entries + index * sizeof(Entry));
    }
    ipc::topic::TopicPlace given{};
    int attached = 0;
    enum class Manners { good, nonsense, leaves } manners = Manners::good;  // once a subscriber is attached

private:
    static std::size_t size_of(const TopicFacts& facts) {
        const auto layout = TopicLayout::of(facts);
        return layout ? static_cast<std::size_t>(layout->size) : 4'096;
    }
    static const ipc::LinkHooks hooks;

    ipc::Region region_;
    ipc::Mapping mapping_;
    ipc::LinkServer server_;
};

const ipc::LinkHooks FakePublisher::hooks{
    .on_admit = [](void* owner, ipc::Link&) noexcept -> Result<ipc::LinkGrant> {
        auto& self = *static_cast<FakePublisher*>(owner);
        return ipc::LinkGrant{.region = &self.region_,
                              .own = {self.mapping_.data(), self.mapping_.size()},
                              .client_size = sizeof(SubscriberRegion)};
    },
    .fill_region =
        [](void* owner, ipc::Link&, Bytes region) noexcept {
            auto* const made = ::new (static_cast<void*>(region.data())) SubscriberRegion();
            made->place = static_cast<FakePublisher*>(owner)->given;
        },
    .on_attached =
        [](void* owner, ipc::Link& link) noexcept {
            auto& self = *static_cast<FakePublisher*>(owner);
            ++self.attached;
            if (self.manners == Manners::nonsense) say_nonsense_to_clients();
            if (self.manners == Manners::leaves) link.close();
        },
    .on_signal =
        [](void*, ipc::Link& link) noexcept {
            if (link.state() != ipc::LinkState::attached) link.close();
        },
};

constexpr TopicFacts sound{.policy = TopicPolicy::overwrite_oldest,
                           .depth = 4,
                           .slots = 16,
                           .slot_bytes = sizeof(Pose),
                           .subscribers = 2,
                           .pins = 2,
                           .reserved = {}};

}  // namespace

TEST_CASE("a subscriber that pins what is not there is dropped alone") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto hostile, attach_by_hand(of, place));
        for (auto& pin : memory_of(hostile).words.pins) pin = 0xffff'ffff;
        WEIR_CO_CHECK(stream(of, publisher, poses, 0, 300));
        CHECK_IN_TASK(publisher.dropped() == 1);
        CHECK_IN_TASK(publisher.subscribers() == 1);
        WEIR_CO_CHECK(sleep_for(1ms));
        CHECK_IN_TASK(hostile->state() != ipc::LinkState::attached);
    });
}

TEST_CASE("a subscriber that pins at random and sleeps all the time takes nothing from the others") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto hostile, attach_by_hand(of, place));
        for (std::uint32_t i = 0; i < 500; ++i) {
            auto& words = memory_of(hostile).words;
            words.epoch = 2 * i + 1;
            words.position = i * 77'777;
            words.pins[0] = i * 7 % 32;
            words.pins[1] = i * 3 % 32;
            WEIR_CO_CHECK(stream(of, publisher, poses, i, i + 1));
        }
        CHECK_IN_TASK(publisher.dropped() == 0);
    });
}

TEST_CASE("a position that cannot be does not hold up a publisher that waits") {
    for (const auto policy : {TopicPolicy::wait_for_slowest, TopicPolicy::drop_subscriber}) {
        on_each([policy](Scheduler& of, const Place& place) {
            return [](Scheduler& in, const Place& where, TopicPolicy chosen) -> Task<> {
                WEIR_CO_TRY(auto publisher,
                            PosePublisher::create(in, pose_topic, where.publishes(4, chosen)));
                WEIR_CO_TRY(auto poses, Poses::open(in, pose_topic, where.subscribes()).within(10s));
                for (const std::uint32_t position : {1'000U, 0x8000'0000U, 0xffff'fff0U}) {
                    WEIR_CO_TRY(auto hostile, attach_by_hand(in, where));
                    memory_of(hostile).words.position =
                        static_cast<std::uint32_t>(publisher.published()) + position;
                    const std::uint64_t from = publisher.published();
                    WEIR_CO_CHECK(stream(in, publisher, poses, from, from + 20));
                }
                CHECK_IN_TASK(publisher.dropped() == 3);
                CHECK_IN_TASK(publisher.subscribers() == 1);
            }(of, place, policy);
        });
    }
}

TEST_CASE("a subscriber that is broken while a publisher waits for it ends that wait") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher,
                    PosePublisher::create(of, pose_topic, place.publishes(4, TopicPolicy::wait_for_slowest)));
        WEIR_CO_TRY(auto hostile, attach_by_hand(of, place));
        const auto breaks = [](Scheduler&, LinkClient& client) -> Task<> {
            WEIR_CO_CHECK(sleep_for(1ms));
            memory_of(client).words.position = 99;
            client->ring_bell();
        };
        const auto both = co_await all_of(put(of, publisher, 0, 20), breaks(of, hostile));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(publisher.dropped() == 1);
    });
}

TEST_CASE("memory that is not as it says is no topic") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto code_with = [](Scheduler& in, const Place& where, TopicFacts facts,
                                  std::uint32_t index = 0) -> Task<> {
            FakePublisher fake(facts);
            fake.given.index = index;
            WEIR_CO_CHECK(fake.serve(in, where, ipc::topic::shape_of<Pose>()));
            const auto opened = co_await Poses::open(in, pose_topic, where.subscribes()).within(10s);
            CHECK_IN_TASK(code_of(opened) == Errc::mismatch);
        };
        TopicFacts facts = sound;
        facts.depth = 3;
        WEIR_CO_CHECK(code_with(of, place, facts));
        facts = sound;
        facts.pins = 32;
        WEIR_CO_CHECK(code_with(of, place, facts));
        facts = sound;
        facts.slots = 4;
        WEIR_CO_CHECK(code_with(of, place, facts));
        facts = sound;
        facts.slots = 0xffff'ffff;
        WEIR_CO_CHECK(code_with(of, place, facts));
        facts = sound;
        facts.slot_bytes = 8;
        WEIR_CO_CHECK(code_with(of, place, facts));
        facts = sound;
        facts.policy = static_cast<TopicPolicy>(0);
        WEIR_CO_CHECK(code_with(of, place, facts));
        WEIR_CO_CHECK(code_with(of, place, sound, 2));
    });
}

TEST_CASE("a publisher that writes nonsense ends its subscribers' await with corrupt, for good") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto ends = [](Scheduler& in, const Place& where, auto scribble) -> Task<> {
            FakePublisher fake(sound);
            WEIR_CO_CHECK(fake.serve(in, where, ipc::topic::shape_of<Pose>()));
            WEIR_CO_TRY(auto poses, Poses::open(in, pose_topic, where.subscribes()).within(10s));
            scribble(fake);
            for (int i = 0; i < 2; ++i) {
                const auto next = co_await poses.next().within(10s);
                CHECK_IN_TASK(code_of(next) == Errc::corrupt);
            }
            const auto latest = poses.latest();
            CHECK_IN_TASK(code_of(latest) == Errc::corrupt);
        };
        WEIR_CO_CHECK(ends(of, place, [](FakePublisher& fake) {
            fake.entry(sound, 0).number = 2;
            fake.words().cursor = 1;
        }));
        WEIR_CO_CHECK(ends(of, place, [](FakePublisher& fake) {
            fake.entry(sound, 0).number = 1;
            fake.entry(sound, 0).slot = 16;
            fake.words().cursor = 1;
        }));
        WEIR_CO_CHECK(ends(of, place, [](FakePublisher& fake) {
            for (std::uint32_t i = 0; i < 4; ++i) fake.entry(sound, i).number = 77;
            fake.words().cursor = 0x7fff'ffff;
        }));
        // It says that it dropped us, in words that it does not have.
        WEIR_CO_CHECK(ends(of, place, [](FakePublisher& fake) {
            fake.at<MachineAtomics::Word>(TopicLayout::verdicts) =
                static_cast<std::uint32_t>(ipc::topic::Verdict::corrupt);
        }));
    });
}

TEST_CASE("what a stranger publishes is a value of its type, or corrupt") {
    struct Switch {
        bool on;
        std::uint8_t position;
    };
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, ipc::Publisher<Switch>::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(
            auto stranger,
            ipc::Subscriber<Switch>::open(of, pose_topic, place.subscribes_as_stranger()).within(10s));
        {
            WEIR_CO_TRY(auto loan, publisher.loan());
            *loan = {.on = true, .position = 7};
            loan.publish();
        }
        {
            WEIR_CO_TRY(auto next, stranger.next());
            CHECK_IN_TASK(next->on);
        }
        {
            WEIR_CO_TRY(auto loan, publisher.loan());
            std::memset(static_cast<void*>(&*loan), 2, sizeof(Switch));
            loan.publish();
        }
        const auto wrong = co_await stranger.next();
        CHECK_IN_TASK(code_of(wrong) == Errc::corrupt);
    });
}

namespace {

/// Writes to a word when the thread is about to sleep: once, and before others that are watched are told.
struct WritesAtSleep : Watch {
    explicit WritesAtSleep(std::atomic<std::uint32_t>& word) noexcept : target(word) {
        set(kind, unchanged, 0);
    }
    WritesAtSleep(const WritesAtSleep&) = delete;
    WritesAtSleep& operator=(const WritesAtSleep&) = delete;
    ~WritesAtSleep() {
        if (linked()) unlink();
    }
    std::atomic<std::uint32_t>& target;
    std::atomic<std::uint32_t> unchanged{0};

private:
    static void sleeps(Watch& self) noexcept {
        static_cast<WritesAtSleep&>(self).target = 0x7777'7777;
        self.unlink();
    }
    static constexpr Kind kind{[](Watch&) noexcept {}, sleeps};
};

}  // namespace

TEST_CASE(
    "a publisher that falls asleep waiting for a subscriber which breaks its memory then waits for another "
    "one") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = place.publishes(2, TopicPolicy::wait_for_slowest);
        options.patience = 10s;
        options.link.trust = ipc::LinkTrust::nobody;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(const LinkClient first, attach_by_hand(of, place));
        WEIR_CO_TRY(const LinkClient second, attach_by_hand(of, place));
        WEIR_CO_CHECK(put(of, publisher, 0, 2));
        WritesAtSleep breaks(memory_of(first).words.position);
        of.watch(breaks);
        const auto waits = [](Scheduler&, PosePublisher& whom) -> Task<> {
            const auto loan = co_await whom.loan().within(20ms);
            CHECK_IN_TASK(code_of(loan) == Errc::timed_out);
        };
        const auto turns = [](Scheduler&) -> Task<> {
            for (int i = 0; i < 10; ++i) WEIR_CO_CHECK(sleep_for(1ms));
        };
        WEIR_CO_CHECK(all_of(waits(of, publisher), turns(of)));
        CHECK_IN_TASK(publisher.dropped() == 1);
        CHECK_IN_TASK(
            (first->state() == ipc::LinkState::lost && second->state() == ipc::LinkState::attached));
    });
}

namespace {

Task<> attaches_seldom(Scheduler& of, const Place& place, FakePublisher::Manners manners, Duration span) {
    FakePublisher fake(sound);
    fake.manners = manners;
    WEIR_CO_CHECK(fake.serve(of, place, ipc::topic::shape_of<Pose>()));
    ipc::SubscriberOptions options = place.subscribes();
    options.successor = ipc::Successor::await;
    const Instant began = of.now();
    WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, options).within(10s));
    // In simulated time that is enough; a real machine may be held up.
    do {
        const auto waited = co_await poses.next().within(span);
        CHECK_IN_TASK(code_of(waited) == Errc::timed_out);
    } while (fake.attached < 2 && !on_simulated() && of.now() - began < 20s);
    // At first after 1, 2, 4 and so on milliseconds, and after 100 ms at last; or once a second.
    const bool violates = manners == FakePublisher::Manners::nonsense;
    const auto spans = (of.now() - began) / (violates ? Duration(1s) : Duration(100ms));
    CHECK_IN_TASK(fake.attached >= 2);
    CHECK_IN_TASK(fake.attached <= (violates ? 1 : 9) + spans);
}

}  // namespace

TEST_CASE("a publisher that is turned out again and again is attached to once a second") {
    const Log log;
    on_each([](Scheduler& of, const Place& place) {
        return attaches_seldom(of, place, FakePublisher::Manners::nonsense, 1'100ms);
    });
}

TEST_CASE("a publisher that goes as soon as it has come is attached to less and less often") {
    on_each([](Scheduler& of, const Place& place) {
        return attaches_seldom(of, place, FakePublisher::Manners::leaves, 300ms);
    });
}

TEST_CASE("subscribers that are dropped are reported at a limited rate") {
    for_each_seed([&](std::uint64_t seed) {
        const Log log;
        const Place place;
        Running running(seed);
        const Instant began = running->now();
        running.must_run([](Scheduler& of, const Place& in) -> Task<> {
            WEIR_CO_TRY(auto publisher,
                        PosePublisher::create(of, pose_topic, in.publishes(4, TopicPolicy::drop_subscriber)));
            for (std::uint64_t i = 0; i < 40; ++i) {
                WEIR_CO_TRY(auto slow, Poses::open(of, pose_topic, in.subscribes()).within(10s));
                WEIR_CO_CHECK(put(of, publisher, 0, 8));
                CHECK_IN_TASK(publisher.dropped() == i + 1);
            }
        }(*running, place));
        const auto lines = std::count(log.lines.begin(), log.lines.end(), '\n');
        const auto seconds = (running->now() - began) / 1s;
        CHECK((lines >= 16 && lines <= 17 + seconds));
    });
}
