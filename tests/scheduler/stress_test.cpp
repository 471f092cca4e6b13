// SPDX-License-Identifier: MIT
//
// Random trees of tasks that use everything, under random deadlines, stops, failures and refused frames. Whatever
// happens in between, in the end nothing is left, nothing was handed over twice or lost, and every error is one that
// somebody could have meant.
#include <weir/weir.hpp>

#include "program.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Scheduler;
using weir::Task;
using weir::test::check_idle;
using weir::test::make_scheduler;
using weir::test::options_of_this_run;
using weir::test::said;

namespace {

constexpr weir::Budget roomy{
    .frame_bytes = 1024 * 1024, .submissions = 32, .descriptors = 64, .timer_slots = 16};

/// What all tasks of one tree share.
struct World {
    explicit World(std::uint64_t seed) : random(seed) {}

    std::uint64_t draw(std::uint64_t below) {
        random += 0x9e37'79b9'7f4a'7c15;
        std::uint64_t mixed = random;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
        return (mixed ^ (mixed >> 31)) % below;
    }
    weir::Duration span() {
        return weir::Duration(static_cast<std::int64_t>(draw(draw(2) == 0 ? 2'000'000 : 20'000)));
    }

    std::uint64_t random;
    weir::Semaphore semaphore{2};
    weir::Mutex mutex;
    weir::Event event;
    weir::Channel<int, 2> channel;
    std::set<int> sent;
    std::set<int> received;
    int next_value = 0;
    int inside_mutex = 0;
    int inside_semaphore = 0;
    std::uint64_t begun = 0;
    std::uint64_t alive = 0;
    std::vector<std::string> wrong;
};

/// In every task: it must come to its end.
class Counted {
public:
    explicit Counted(World& world) : world_(world) {
        ++world_.begun;
        ++world_.alive;
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --world_.alive; }

private:
    World& world_;
};

/// `denied` is what these tasks fail with on purpose; the others follow from stops, deadlines and limits.
constexpr Errc allowed[] = {Errc::cancelled,     Errc::timed_out,     Errc::denied,    Errc::no_frame,
                            Errc::no_group_slot, Errc::no_descriptor, Errc::peer_lost, Errc::ended};

void check_error(World& world, const weir::Error& error) {
    if (std::find(std::begin(allowed), std::end(allowed), error.code) != std::end(allowed)) return;
    char line[256];
    world.wrong.emplace_back(error.message(line));
}

using Leaf = Task<> (*)(Scheduler&, World&);

Task<> sleeps(Scheduler& scheduler, World& world) {
    const Counted counted(world);
    const auto span = world.span();
    const auto began = scheduler.now();
    WEIR_CO_CHECK(weir::sleep_for(span, world.draw(3) == 0 ? world.span() : 0ns));
    if (scheduler.now() < began + span) world.wrong.emplace_back("woke early");
}
Task<> yields(Scheduler&, World& world) {
    const Counted counted(world);
    for (auto i = world.draw(5); i > 0; --i) WEIR_CO_CHECK(weir::yield());
}
Task<> nothing(Scheduler&, World& world) {
    const Counted counted(world);
    co_return;
}
Task<> never_waits(Scheduler& scheduler, World& world) {
    const Counted counted(world);
    for (auto i = world.draw(200); i > 0; --i) WEIR_CO_CHECK(nothing(scheduler, world));
}
Task<> fails(Scheduler&, World& world) {
    const Counted counted(world);
    if (world.draw(2) == 0) WEIR_CO_CHECK(weir::sleep_for(world.span()));
    co_return co_await weir::fail(Errc::denied, "on purpose");
}
Task<> uses_event(Scheduler&, World& world) {
    const Counted counted(world);
    if (world.draw(2) == 0) world.event.reset();
    WEIR_CO_CHECK(weir::first_of(world.event.wait(), weir::sleep_for(world.span())));
    world.event.set();
}
Task<> uses_semaphore(Scheduler&, World& world) {
    const Counted counted(world);
    WEIR_CO_CHECK(world.semaphore.acquire().within(world.span()));
    if (++world.inside_semaphore > 2) world.wrong.emplace_back("three inside a semaphore of two");
    const auto slept = co_await weir::sleep_for(world.span());
    --world.inside_semaphore;
    world.semaphore.release();
    WEIR_CO_CHECK(slept);
}
Task<> uses_mutex(Scheduler&, World& world) {
    const Counted counted(world);
    WEIR_CO_TRY(const auto lock, world.mutex.lock());
    if (++world.inside_mutex > 1) world.wrong.emplace_back("two inside a mutex");
    const auto slept = co_await weir::sleep_for(world.span());
    --world.inside_mutex;
    WEIR_CO_CHECK(slept);
}
Task<> sends(Scheduler&, World& world) {
    const Counted counted(world);
    int value = world.next_value++;
    WEIR_CO_CHECK(world.channel.send(value).within(world.span()));
    world.sent.insert(value);
}
Task<> receives(Scheduler&, World& world) {
    const Counted counted(world);
    WEIR_CO_TRY(const int value, world.channel.receive().within(world.span()));
    if (!world.received.insert(value).second) world.wrong.emplace_back("received twice");
}
Task<> stops_everything(Scheduler& scheduler, World& world) {
    const Counted counted(world);
    WEIR_CO_CHECK(weir::sleep_for(world.span()));
    if (world.draw(20) == 0) scheduler.request_stop();
}

// --- pipes

struct Transfer {
    std::size_t written = 0;
    std::size_t read = 0;
};
std::byte byte_at(std::size_t position) {
    return static_cast<std::byte>(position % 251);
}

Task<> writes_pipe(Scheduler&, World& world, weir::PipeWriter& writer, Transfer& transfer) {
    const Counted counted(world);
    std::array<std::byte, 64> bytes;
    for (int i = 0; i < 10; ++i) {
        for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = byte_at(transfer.written + k);
        const auto sent = co_await writer.write_all(bytes);
        transfer.written += sent ? bytes.size() : static_cast<std::size_t>(sent.error().a);
        WEIR_CO_CHECK(sent);
        if (world.draw(4) == 0) WEIR_CO_CHECK(weir::sleep_for(world.span()));
    }
}
Task<> reads_pipe(Scheduler&, World& world, weir::PipeReader& reader, Transfer& transfer) {
    const Counted counted(world);
    std::array<std::byte, 48> buffer;
    while (transfer.read < 640) {
        const auto got = co_await reader.read(buffer);
        WEIR_CO_CHECK(got);
        for (const std::byte byte : *got) {
            if (byte != byte_at(transfer.read++)) world.wrong.emplace_back("another byte came than was sent");
        }
    }
}
Task<> uses_pipe(Scheduler& scheduler, World& world) {
    const Counted counted(world);
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    Transfer transfer;
    const auto both = co_await weir::all_of(writes_pipe(scheduler, world, pipe.writer, transfer),
                                            reads_pipe(scheduler, world, pipe.reader, transfer));
    // What was written and not read is still in the pipe: nothing was lost by whatever ended the two.
    std::array<std::byte, 1024> rest;
    const auto size = ::read(pipe.reader.fd(), rest.data(), rest.size());
    const std::size_t left = size > 0 ? static_cast<std::size_t>(size) : 0;
    if (transfer.read + left != transfer.written) world.wrong.emplace_back("bytes were lost");
    WEIR_CO_CHECK(both);
}

constexpr Leaf leaves[] = {sleeps,     yields, never_waits, fails,     uses_event,       uses_semaphore,
                           uses_mutex, sends,  receives,    uses_pipe, stops_everything, sleeps};

// --- inner nodes

Task<> node(Scheduler& scheduler, World& world, int depth);

void keep_error(const weir::Error& error, void* world) noexcept {
    check_error(*static_cast<World*>(world), error);
}

Task<> group_body(Scheduler& scheduler, weir::Group& group, World& world, int depth) {
    const Counted counted(world);
    for (auto i = world.draw(5); i > 0; --i) {
        const auto priority = world.draw(4) == 0 ? weir::Priority::urgent : weir::Priority::normal;
        const auto spawned = group.spawn(node(scheduler, world, depth), priority);
        if (!spawned) check_error(world, spawned.error());
        if (world.draw(3) == 0) WEIR_CO_CHECK(weir::sleep_for(world.span()));
    }
    if (world.draw(5) == 0) group.request_stop();
    if (world.draw(5) == 0) co_return co_await weir::fail(Errc::denied, "on purpose");
}
Task<> all_of_nodes(Scheduler& scheduler, World& world, int depth) {
    const Counted counted(world);
    const auto all = co_await weir::all_of(node(scheduler, world, depth), weir::sleep_for(world.span()),
                                           node(scheduler, world, depth).within(world.span()));
    WEIR_CO_CHECK(all);
}
Task<> first_of_nodes(Scheduler& scheduler, World& world, int depth) {
    const Counted counted(world);
    const auto first =
        co_await weir::first_of(node(scheduler, world, depth), node(scheduler, world, depth),
                                weir::first_of(world.event.wait(), weir::sleep_for(world.span())))
            .within(world.span());
    if (!first.get<0>()) check_error(world, first.get<0>().error());
    if (!first.get<1>()) check_error(world, first.get<1>().error());
    WEIR_CO_CHECK(first.get<0>());
}
Task<> sequence(Scheduler& scheduler, World& world, int depth) {
    const Counted counted(world);
    for (int i = 0; i < 3; ++i) {
        const auto one = co_await node(scheduler, world, depth);
        if (!one && world.draw(2) == 0) co_return co_await weir::fail(one.error());
    }
}
Task<> inner(Scheduler& scheduler, World& world, int depth) {
    const Counted counted(world);
    const auto kind = world.draw(7);
    if (kind == 0) {
        WEIR_CO_CHECK(all_of_nodes(scheduler, world, depth));
    } else if (kind == 1) {
        WEIR_CO_CHECK(first_of_nodes(scheduler, world, depth));
    } else if (kind == 2) {
        WEIR_CO_CHECK(node(scheduler, world, depth).by(scheduler.now() + world.span()));
    } else if (kind == 3) {
        WEIR_CO_CHECK(weir::shielded(world.span(), node(scheduler, world, depth)));
    } else if (kind == 4) {
        WEIR_CO_CHECK(weir::with_group<3>(scheduler, group_body, std::ref(world), depth));
    } else if (kind == 5) {
        const auto policy = weir::collect(keep_error, &world);
        WEIR_CO_CHECK(
            weir::with_group<3>(scheduler, policy, group_body, std::ref(world), depth).within(world.span()));
    } else {
        WEIR_CO_CHECK(sequence(scheduler, world, depth));
    }
}
Task<> node(Scheduler& scheduler, World& world, int depth) {
    const Counted counted(world);
    if (world.draw(100) == 0) scheduler.frames.refuse_in(static_cast<std::uint32_t>(1 + world.draw(4)));
    if (depth == 0 || world.draw(8) == 0) {
        const Leaf leaf = leaves[world.draw(std::size(leaves))];
        const auto ended = co_await leaf(scheduler, world);
        if (!ended) check_error(world, ended.error());
        WEIR_CO_CHECK(ended);
        co_return;
    }
    const auto ended = co_await inner(scheduler, world, depth - 1);
    if (!ended) check_error(world, ended.error());
    WEIR_CO_CHECK(ended);
}

Task<> tree(Scheduler& scheduler, World& world) {
    for (int i = 0; i < 8; ++i) {
        const auto ended = co_await node(scheduler, world, 5);
        if (!ended) check_error(world, ended.error());
    }
}

using Lines = std::vector<std::string>;
void keep_line(std::string_view line, void* lines) noexcept {
    static_cast<Lines*>(lines)->emplace_back(line);
}

}  // namespace

TEST_CASE(
    "random trees of tasks under random stops, deadlines and refusals end with nothing left and nothing "
    "lost") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        World world(seed);
        auto options = options_of_this_run(seed);
        options.simulation.queued = static_cast<std::uint8_t>(world.draw(256));
        options.simulation.short_transfer = static_cast<std::uint8_t>(world.draw(256));
        options.simulation.would_block = static_cast<std::uint8_t>(world.draw(128));
        const auto scheduler = make_scheduler<roomy>(options);
        Lines reported;
        weir::set_report(keep_line, &reported);
        for (int run = 0; run < 10; ++run) {
            const auto ended = scheduler->run(tree(*scheduler, world));
            scheduler->frames.refuse_in(0);
            if (!ended) check_error(world, ended.error());
            CHECK(world.alive == 0);
            check_idle(*scheduler);
        }
        weir::set_report(nullptr, nullptr);
        CHECK(reported == Lines{});  // nothing was ever stuck
        CHECK(world.wrong == Lines{});
        CHECK(world.begun > 50);
        CHECK(world.semaphore.available() == 2);
        CHECK(!world.mutex.locked());
        // Every value sent was received once or is still in the channel.
        CHECK(world.sent.size() == world.received.size() + world.channel.size());
        for (const int value : world.received) CHECK(world.sent.contains(value));
    });
}
