// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "printed.hpp"

#include "support/child.hpp"
#include "support/skip.hpp"

#include "this_build.hpp"

#include <weir/scheduler/budget_record.hpp>
#include <weir/weir.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>

using weir::BudgetFile;
using weir::BudgetRecord;
using weir::test::Printed;
using weir::test::run_in_child;

namespace {

// That this compiles is what the text is for.
namespace printed_by_weir {
#include "expected_budget.hpp"
}  // namespace printed_by_weir
static_assert(printed_by_weir::budget.frame_bytes == 3'840);
static_assert(weir::footprint(printed_by_weir::budget) > 3'840);

class RecordFile {
public:
    RecordFile() {
        const int fd = ::mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(::ftruncate(fd, sizeof(BudgetFile)) == 0);
        void* const mapped = ::mmap(nullptr, sizeof(BudgetFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REQUIRE(mapped != MAP_FAILED);
        ::close(fd);
        file_ = static_cast<BudgetFile*>(mapped);
        file_->magic = BudgetFile::layout;
    }
    RecordFile(const RecordFile&) = delete;
    RecordFile& operator=(const RecordFile&) = delete;
    ~RecordFile() {
        ::munmap(file_, sizeof(BudgetFile));
        ::unlink(path_.c_str());
    }

    [[nodiscard]] const char* path() const { return path_.c_str(); }
    [[nodiscard]] BudgetFile& file() const { return *file_; }
    /// The first record, of a small service.
    [[nodiscard]] BudgetRecord& record() const {
        file_->claimed = 1;
        BudgetRecord& record = file_->records[0];
        record.state = BudgetRecord::ended;
        record.pid = 4711;
        std::strcpy(record.program.data(), "pump");
        record.frame_bytes = 16'384;
        record.submissions = 32;
        record.descriptors = 32;
        record.descriptors_peak = 27;
        record.links = 10;
        record.links_peak = 2;
        record.timer_slots = 16;
        record.spin_us = 20;
        record.grace_ms = 5'000;
        record.hold_warning_ms = 7;
        record.stack_bytes = record.stack_measured = 65'536;
        record.stack_peak = 20'000;
        constexpr std::size_t small = weir::FramePool::class_of(300);
        constexpr std::size_t large = weir::FramePool::class_of(600);
        record.classes[small] = {weir::FramePool::size_of_class(small), 7};
        record.classes[large] = {weir::FramePool::size_of_class(large), 1};
        record.tasks.rows_count = 2;
        record.tasks.rows[0] = {{"serve"}, 12, 600, 0, 1, 1};
        record.tasks.rows[1] = {{"session"}, 34, 300, 0, 7, 1'000};
        return record;
    }

private:
    std::string path_ = "/tmp/weir-budget-test-XXXXXX";
    BudgetFile* file_ = nullptr;
};

weir::Task<> waits(weir::Scheduler&) {
    WEIR_CO_CHECK(weir::sleep_for(std::chrono::milliseconds(1)));
}
weir::Task<> waits_twice(weir::Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::all_of(waits(scheduler), waits(scheduler)));
}

}  // namespace

TEST_CASE("a record is told: its tasks, the largest share first, its limits, and a budget that would do") {
    const RecordFile records;
    (void)records.record();
    const Printed printed;
    REQUIRE(weir::tool::read_budget(printed.file(), records.path()) == 0);
    const std::vector<std::string> lines = printed.lines();
    const std::vector<std::string> head(lines.begin(), lines.begin() + 12);
    CHECK(head == std::vector<std::string>{
                      "pump, pid 4711",
                      "",
                      "  frame   block    peak       made  task",
                      "    300     320       7       1000  session:34",
                      "    600     640       1          1  serve:12",
                      "",
                      "   at most      limit        of Budget",
                      "      2880      16384  17 %  frame_bytes",
                      "        27         32  84 %  descriptors",
                      "         2         10  20 %  links",
                      "     20000      65536  30 %  stack_bytes",
                      "warning: Budget::descriptors is 32, and 84 % of it were used",
                  });
    std::ifstream expected(std::string(weir::test::this_build::source_folder) +
                           "/tests/tools/expected_budget.hpp");
    if (!expected) weir::test::skip("the sources are not on this machine");
    std::vector<std::string> budget;
    for (std::string line; std::getline(expected, line);) {
        if (line.rfind("//", 0) != 0) budget.push_back(line);
    }
    REQUIRE(lines.size() > head.size());
    CHECK(lines[head.size()].empty());
    CHECK(std::vector<std::string>(lines.begin() + 13, lines.end()) == budget);
}

TEST_CASE("from 80 % on a limit is warned of, and a budget made of what is printed is below that") {
    const RecordFile records;
    BudgetRecord& record = records.record();
    for (std::uint32_t peak = 0; peak <= 40; ++peak) {
        INFO(peak);
        record.links = 40;
        record.links_peak = peak;
        const Printed printed;
        REQUIRE(weir::tool::read_budget(printed.file(), records.path()) == 0);
        CHECK(printed.line("warning: Budget::links").empty() == (peak < 32));
        const std::string links = printed.line("    .links = ");
        REQUIRE(!links.empty());
        const unsigned long wanted = std::stoul(links.substr(13));
        CHECK(wanted >= peak);
        CHECK(peak * 100 < (wanted + (peak == 0)) * 80);
    }
}

TEST_CASE("what was not measured is not invented, and what was used up is to be measured again") {
    const RecordFile records;
    BudgetRecord& record = records.record();
    record.state = BudgetRecord::running;
    record.stack_measured = record.stack_peak = 0;
    record.has_frame_classes = 1;
    const auto lines_of = [&](const std::string& begin) {
        const Printed printed;
        REQUIRE(weir::tool::read_budget(printed.file(), records.path()) == 0);
        return printed.line(begin);
    };
    CHECK(lines_of("pump, pid 4711") ==
          "pump, pid 4711, which has not ended, or was killed: its stack is not measured");
    CHECK(lines_of("    .stack_bytes") == "    .stack_bytes = 65536,  // as it was: not measured");
    CHECK(lines_of("    .frame_bytes") == "    .frame_bytes = 3840,  // without frame_classes");
    record.stack_measured = record.stack_peak = 65'536;
    CHECK(lines_of("    .stack_bytes") ==
          "    .stack_bytes = 131072,  // all that was looked at was used: measure again");
    CHECK(!lines_of("warning: Budget::stack_bytes").empty());
    record.tasks.not_told = 5;
    CHECK(lines_of("                                 5").find("than are told apart") != std::string::npos);
}

TEST_CASE("whatever is in the file, nothing else is read") {
    const RecordFile records;
    BudgetRecord& record = records.record();
    record.program.fill('x');
    record.tasks.rows_count = 0xffff'ffff;
    for (auto& row : record.tasks.rows) {
        row.function.fill('y');
        row.frame_size = 0xffff'ffff;
    }
    {
        const Printed printed;
        CHECK(weir::tool::read_budget(printed.file(), records.path()) == 0);
        CHECK(printed.line(std::string(32, 'x') + ", pid 4711") != "");
    }
    const Printed printed;
    records.file().magic = 1;
    CHECK(weir::tool::read_budget(printed.file(), records.path()) == 1);
    CHECK(::truncate(records.path(), 100) == 0);
    CHECK(weir::tool::read_budget(printed.file(), records.path()) == 1);
    CHECK(weir::tool::read_budget(printed.file(), "/proc/nowhere") == 1);
    CHECK(printed.lines().empty());
}

TEST_CASE("a file that programs keep records in is told while they run") {
    const RecordFile records;
    const auto end = run_in_child([&] {
        ::setenv("WEIR_BUDGET", records.path(), 1);
        char name[] = "program";
        char* arguments[] = {name, nullptr};
        return weir::run_main<weir::small_budget>(1, arguments, waits_twice);
    });
    INFO(end.errors);
    REQUIRE(end.exit_status == 0);
    const Printed printed;
    REQUIRE(weir::tool::read_budget(printed.file(), records.path()) == 0);
    const auto lines = printed.lines();
    const auto row = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("  waits:") != std::string::npos;
    });
    REQUIRE(row != lines.end());
    CHECK(row->find("       2          2  waits:") != std::string::npos);
}

TEST_CASE("a program's exit status is passed on, and its signal as a shell would") {
    const auto status_of = [](std::vector<std::string> command, const Printed& printed) {
        std::vector<char*> arguments;
        for (std::string& each : command) arguments.push_back(each.data());
        const auto end = run_in_child([&] { return weir::tool::budget(printed.file(), arguments); });
        return std::pair(end.exit_status, end.errors);
    };
    const Printed printed;
    CHECK(status_of({"sh", "-c", "exit 3"}, printed).first == 3);
    CHECK(status_of({"sh", "-c", "kill -KILL $$"}, printed).first == 128 + SIGKILL);
    CHECK(status_of({"/nowhere/at/all"}, printed).first == 127);
    // It is told that nothing was recorded, and where the record would have been is gone.
    const auto [status, errors] =
        status_of({"sh", "-c", "test -f \"$WEIR_BUDGET\" && echo \"$WEIR_BUDGET\" >&2"}, printed);
    CHECK(status == 1);
    CHECK(errors.find("no scheduler has started") != std::string::npos);
    REQUIRE(errors.find('\n') != std::string::npos);
    CHECK(::access(errors.substr(0, errors.find('\n')).c_str(), F_OK) != 0);
    CHECK(printed.lines().empty());
}
