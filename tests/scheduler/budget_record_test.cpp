// SPDX-License-Identifier: MIT
#include <weir/scheduler/budget_record.hpp>
#include <weir/weir.hpp>

#include "support/child.hpp"
#include "support/skip.hpp"

#include "program.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::BudgetFile;
using weir::BudgetRecord;
using weir::Errc;
using weir::Scheduler;
using weir::Task;
using weir::TaskUsage;
using weir::test::options_of_this_run;
using weir::test::run_in_child;

namespace {

constexpr weir::Budget budget{.frame_bytes = 16 * 1024,
                              .submissions = 8,
                              .descriptors = 6,
                              .links = 1,
                              .timer_slots = 16,
                              .stack_bytes = 128 * 1024};

weir::StartOptions recorded() {
    auto options = options_of_this_run();
    options.environment = true;
    return options;
}

/// A file for records in a folder of its own, in the environment of all that start as long as it lives.
class Recorded {
public:
    Recorded() {
        REQUIRE(::mkdtemp(folder_.data()) != nullptr);
        ::setenv("WEIR_BUDGET", path().c_str(), 1);
    }
    Recorded(const Recorded&) = delete;
    Recorded& operator=(const Recorded&) = delete;
    ~Recorded() {
        ::unsetenv("WEIR_BUDGET");
        ::unlink(path().c_str());
        ::rmdir(folder_.c_str());
    }
    [[nodiscard]] std::string path() const { return folder_ + "/record"; }

private:
    std::string folder_ = "/tmp/weir-budget-record-XXXXXX";
};

/// A file of records, mapped.
class Records {
public:
    explicit Records(const Recorded& of) {
        const int fd = ::open(of.path().c_str(), O_RDONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        struct stat status {};
        REQUIRE(::fstat(fd, &status) == 0);
        REQUIRE(status.st_size == sizeof(BudgetFile));
        CHECK((status.st_mode & 0777) == 0600);
        mapped_ = ::mmap(nullptr, sizeof(BudgetFile), PROT_READ, MAP_SHARED, fd, 0);
        REQUIRE(mapped_ != MAP_FAILED);
        ::close(fd);
        CHECK(file().magic == BudgetFile::layout);
    }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    ~Records() { ::munmap(mapped_, sizeof(BudgetFile)); }

    [[nodiscard]] const BudgetFile& file() const { return *static_cast<const BudgetFile*>(mapped_); }
    [[nodiscard]] const BudgetRecord& first() const { return file().records[0]; }

private:
    void* mapped_;
};

const TaskUsage* row_of(const BudgetRecord& record, const std::string& function) {
    for (std::uint32_t i = 0; i < record.tasks.rows_count; ++i) {
        if (function == record.tasks.rows[i].function.data()) return &record.tasks.rows[i];
    }
    return nullptr;
}

Task<> writes(Scheduler&, weir::PipeWriter pipe) {
    const std::array<std::byte, 1> byte{};
    WEIR_CO_CHECK(pipe.write_all(byte));
    WEIR_CO_CHECK(weir::sleep_for(1ms));
}
Task<> spawns(Scheduler& scheduler, weir::Group& group) {
    // All of them before anything is awaited: they live at the same time, however slow the machine is.
    std::array<weir::PipeReader, 3> readers;
    for (auto& reader : readers) {
        WEIR_CO_TRY(auto pipe, weir::Pipe::create());
        reader = std::move(pipe.reader);
        WEIR_CO_CHECK(group.spawn(writes(scheduler, std::move(pipe.writer))));
    }
    std::array<std::byte, 1> byte{};
    for (auto& reader : readers) WEIR_CO_CHECK(reader.read_exactly(byte));
}
[[gnu::noinline]] void uses_stack(std::size_t size) {
    auto* const bytes = static_cast<volatile char*>(__builtin_alloca(size));
    for (std::size_t at = size; at > 0; at -= 64) bytes[at - 1] = 1;
}
Task<> program(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::with_group<3>(scheduler, spawns));
    uses_stack(48 * 1024);
}
Task<> is_killed(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::with_group<3>(scheduler, spawns));
    ::raise(SIGKILL);
}

template <class Serve>
weir::test::ChildEnd end_of(Serve serve) {
    return run_in_child([&] {
        char name[] = "program";
        char* arguments[] = {name, nullptr};
        return weir::run_main<budget>(1, arguments, serve, recorded());
    });
}

}  // namespace

TEST_CASE("a scheduler that is asked to by its environment records what it used of its budget") {
    const Recorded recorded;
    const auto end = end_of(program);
    INFO(end.errors);
    REQUIRE(end.exit_status == 0);
    const Records records(recorded);
    CHECK(records.file().claimed == 1);
    const BudgetRecord& record = records.first();
    CHECK(record.state == BudgetRecord::ended);
    CHECK(record.pid > 0);
    CHECK(record.frame_bytes == budget.frame_bytes);
    CHECK(record.frame_bytes_cut > 0);
    CHECK(record.frame_bytes_cut <= budget.frame_bytes);
    CHECK(record.descriptors == budget.descriptors);
    CHECK(record.descriptors_peak >= 3);
    CHECK(record.descriptors_peak <= budget.descriptors);
    CHECK(record.links == budget.links);
    CHECK(record.links_peak == 0);
    CHECK(record.stack_bytes == budget.stack_bytes);
    CHECK(record.stack_measured == budget.stack_bytes);
    CHECK(record.stack_peak > 48 * 1024);
    CHECK(record.stack_peak < budget.stack_bytes);
    std::uint64_t cut = 0;
    for (const auto& of_class : record.classes) cut += std::uint64_t{of_class.size} * of_class.peak;
    CHECK(cut == record.frame_bytes_cut);

    CHECK(record.tasks.rows_count == 3);
    const TaskUsage* const child = row_of(record, "writes");
    REQUIRE(child != nullptr);
    CHECK(child->peak >= 1);
    CHECK(child->peak <= 3);
    CHECK(child->made == 3);
    CHECK(child->live == 0);
    REQUIRE(row_of(record, "spawns") != nullptr);
    REQUIRE(row_of(record, "program") != nullptr);
    CHECK(row_of(record, "program")->made == 1);
}

TEST_CASE("what a killed program had used is in its record") {
    const Recorded recorded;
    REQUIRE(end_of(is_killed).signal == SIGKILL);
    const Records records(recorded);
    const BudgetRecord& record = records.first();
    CHECK(record.state == BudgetRecord::running);
    CHECK(record.descriptors_peak >= 3);
    CHECK(record.stack_measured == 0);
    REQUIRE(row_of(record, "writes") != nullptr);
    CHECK(row_of(record, "writes")->made == 3);
    REQUIRE(row_of(record, "is_killed") != nullptr);
    CHECK(row_of(record, "is_killed")->live == 1);
}

TEST_CASE("a root task whose frame is older than the record is in it, and the runs after") {
    const Recorded recorded;
    const auto end = run_in_child([&] {
        weir::StaticScheduler<budget> scheduler;
        auto root = program(scheduler);
        if (!scheduler.start(::recorded())) return 1;
        if (!scheduler.run(std::move(root))) return 2;
        return scheduler.run(program(scheduler)) && scheduler.usage().frames == 0 ? 0 : 3;
    });
    REQUIRE(end.exit_status == 0);
    const Records records(recorded);
    REQUIRE(row_of(records.first(), "program") != nullptr);
    CHECK(row_of(records.first(), "program")->made == 2);
    CHECK(row_of(records.first(), "program")->peak == 1);
    CHECK(row_of(records.first(), "writes")->made == 6);
    CHECK(records.first().state == BudgetRecord::ended);
}

TEST_CASE("a record is kept where a foreign loop drives the scheduler, its stack too") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time passes only while the scheduler waits");
    const Recorded recorded;
    const auto end = run_in_child([&] {
        weir::StaticScheduler<budget> scheduler;
        if (!scheduler.start(::recorded())) return 1;
        Scheduler::Root<void> root;
        if (!scheduler.begin(program(scheduler), root)) return 2;
        for (;;) {
            const auto lives = scheduler.run_ready();
            if (!lives) return 3;
            if (!*lives) break;
        }
        const auto result = root.take();
        return result && *result ? 0 : 4;
    });
    REQUIRE(end.exit_status == 0);
    const Records records(recorded);
    CHECK(records.first().stack_peak > 48 * 1024);
    CHECK(row_of(records.first(), "program")->made == 1);
}

TEST_CASE("each scheduler has a record of its own, as long as the file has room") {
    const Recorded recorded;
    const auto end = run_in_child([&] {
        for (std::uint32_t i = 0; i < BudgetFile::records_max + 1; ++i) {
            weir::StaticScheduler<budget> scheduler;
            if (!scheduler.start(::recorded()) || !scheduler.run(program(scheduler))) return 1;
        }
        return 0;
    });
    REQUIRE(end.exit_status == 0);
    const Records records(recorded);
    CHECK(records.file().claimed == BudgetFile::records_max + 1);
    for (const BudgetRecord& record : records.file().records) {
        CHECK(record.state == BudgetRecord::ended);
        CHECK(row_of(record, "writes") != nullptr);
    }
}

TEST_CASE("a scheduler that cannot keep the record it is asked for does not start") {
    const Recorded recorded;
    weir::StaticScheduler<budget> scheduler;
    const auto error_of_start = [&] {
        const auto started = scheduler.start(::recorded());
        REQUIRE(!started);
        char line[160];
        CHECK(started.error().message(line).find("WEIR_BUDGET") != std::string_view::npos);
        return started.error().code;
    };
    {
        const int fd = ::open(recorded.path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0);
        REQUIRE(::write(fd, "something else", 14) == 14);
        ::close(fd);
    }
    CHECK(error_of_start() == Errc::mismatch);
    ::setenv("WEIR_BUDGET", "/dev/null", 1);
    CHECK(error_of_start() == Errc::wrong_kind);
    ::setenv("WEIR_BUDGET", "/proc/nowhere/record", 1);
    CHECK(error_of_start() == Errc::not_found);
    // And if nobody asks, it does.
    CHECK(scheduler.start(options_of_this_run()));
}

TEST_CASE("awaits nested beyond the budget's stack are an error, and the scheduler goes on") {
    constexpr weir::Budget shallow{.frame_bytes = 128 * 1024, .stack_bytes = 16 * 1024};
    const auto scheduler = weir::test::make_scheduler<shallow>();
    struct Deep {
        static Task<> descend(Scheduler& of, int left) {
            if (left == 0) co_return;
            WEIR_CO_CHECK(descend(of, left - 1));
        }
    };
    for (int i = 0; i < 2; ++i) {
        const auto result = scheduler->run(Deep::descend(*scheduler, 10'000));
        REQUIRE(!result);
        CHECK(result.error() == Errc::no_stack);
        CHECK(result.error().a > shallow.stack_bytes);
        CHECK(result.error().b == shallow.stack_bytes);
    }
    CHECK(scheduler->run(Deep::descend(*scheduler, 1)));
    weir::test::check_idle(*scheduler);
}
