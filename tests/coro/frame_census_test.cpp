// SPDX-License-Identifier: MIT
#include <weir/coro/frame_census.hpp>
#include <weir/coro/group.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"

#include "bare_context.hpp"

#include <memory>
#include <string>

using namespace std::chrono_literals;
using weir::Errc;
using weir::FrameCensus;
using weir::FramePool;
using weir::Group;
using weir::Task;
using weir::TaskTable;
using weir::TaskUsage;
using weir::test::BareContext;

namespace {

const TaskUsage* row_of(const TaskTable& table, const std::string& function) {
    const TaskUsage* found = nullptr;
    for (std::uint32_t i = 0; i < table.rows_count; ++i) {
        if (function != table.rows[i].function.data()) continue;
        CHECK(found == nullptr);
        found = &table.rows[i];
    }
    return found;
}

Task<> ends_at_once(BareContext&) {
    co_return;
}
Task<> sleeps(BareContext&) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
}
Task<> sleeps_long(BareContext&, std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
    WEIR_CO_CHECK(weir::sleep_for(a + b + c + d > 0 ? 2ms : 1ms));
}
Task<> spawns(BareContext& context, Group& group) {
    for (int i = 0; i < 5; ++i) WEIR_CO_CHECK(group.spawn(sleeps(context)));
    for (int i = 0; i < 2; ++i) WEIR_CO_CHECK(group.spawn(sleeps_long(context, 1, 2, 3, 4)));
}
Task<> runs_them(BareContext& context) {
    for (int i = 0; i < 3; ++i) WEIR_CO_CHECK(ends_at_once(context));
    { auto dropped = sleeps_long(context, 1, 2, 3, 4); }
    for (int i = 0; i < 2; ++i) WEIR_CO_CHECK(weir::with_group<8>(context, spawns));
    for (int i = 0; i < 3; ++i) WEIR_CO_CHECK(ends_at_once(context));
}

}  // namespace

TEST_CASE("the frames of each task function are counted: their size, how many live, at most, and in all") {
    BareContext context;
    const auto table = std::make_unique<TaskTable>();
    FrameCensus census(*table);
    context.frames.tell(&census);
    REQUIRE(context.run(runs_them(context)));
    census.settle();
    context.frames.tell(nullptr);

    CHECK(table->rows_count == 5);
    CHECK(table->not_told == 0);
    struct Expected {
        const char* function;
        std::uint32_t peak;
        std::uint64_t made;
    };
    for (const auto& [function, peak, made] :
         {Expected{"ends_at_once", 1, 6}, Expected{"sleeps", 5, 10}, Expected{"sleeps_long", 2, 5},
          Expected{"spawns", 1, 2}, Expected{"runs_them", 1, 1}}) {
        INFO(function);
        const TaskUsage* const row = row_of(*table, function);
        REQUIRE(row != nullptr);
        CHECK(row->live == 0);
        CHECK(row->peak == peak);
        CHECK(row->made == made);
        CHECK(row->line > 0);
        CHECK(row->frame_size > 8 * sizeof(void*));
    }
    CHECK(row_of(*table, "sleeps_long")->frame_size >= row_of(*table, "sleeps")->frame_size + 32);
}

TEST_CASE("counting changes nothing of what the pool gives and tells") {
    const auto usage_of = [](bool counted) {
        BareContext context;
        const auto table = std::make_unique<TaskTable>();
        FrameCensus census(*table);
        if (counted) context.frames.tell(&census);
        REQUIRE(context.run(runs_them(context)));
        if (counted) context.frames.tell(nullptr);
        std::vector<std::uint64_t> usage{context.frames.cut_size(), context.frames.live()};
        for (std::size_t i = 0; i < FramePool::class_count; ++i) {
            const auto of = context.frames.usage(i);
            usage.insert(usage.end(), {of.blocks, of.in_use, of.peak});
        }
        return usage;
    };
    CHECK(usage_of(true) == usage_of(false));
}

TEST_CASE("counting may begin and end while there are frames, and a refusal is none") {
    BareContext context(2'048);
    const auto table = std::make_unique<TaskTable>();
    FrameCensus census(*table);
    auto before = sleeps(context);
    context.frames.tell(&census);
    auto within = ends_at_once(context);
    context.frames.refuse_in(1);
    CHECK(sleeps_long(context, 1, 2, 3, 4).hollow());
    CHECK(context.frames.live() == 2);
    REQUIRE(context.run(std::move(before)));
    CHECK(context.frames.live() == 1);
    census.settle();
    context.frames.tell(nullptr);
    REQUIRE(context.run(std::move(within)));
    CHECK(context.idle());
    const TaskUsage* const first = row_of(*table, "sleeps");
    REQUIRE(first != nullptr);
    CHECK(first->peak == 1);
    CHECK(first->made == 1);
    const TaskUsage* const second = row_of(*table, "ends_at_once");
    REQUIRE(second != nullptr);
    CHECK(second->live == 1);  // when the counting ended
    CHECK(row_of(*table, "sleeps_long") == nullptr);
}

TEST_CASE("frames for which the table has no row are counted together") {
    BareContext context;
    const auto table = std::make_unique<TaskTable>();
    table->rows_count = TaskTable::rows_max - 1;
    FrameCensus census(*table);
    context.frames.tell(&census);
    REQUIRE(context.run(runs_them(context)));
    census.settle();
    context.frames.tell(nullptr);
    CHECK(context.idle());
    CHECK(table->rows_count == TaskTable::rows_max);
    CHECK(table->not_told > 10);
}
