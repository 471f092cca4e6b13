// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "program.hpp"

#include <functional>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using weir::Scheduler;
using weir::Task;
using weir::test::make_scheduler;
using weir::test::MemoryFile;
using weir::test::said;

namespace {

std::vector<std::string> lines_of(const MemoryFile& file) {
    std::vector<std::string> lines;
    std::istringstream text(file.text());
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
}
/// The line that contains `part`; empty if there is not exactly one.
std::string line_with(const std::vector<std::string>& lines, const std::string& part) {
    std::string found;
    for (const std::string& line : lines) {
        if (line.find(part) == std::string::npos) continue;
        if (!found.empty()) return {};
        found = line;
    }
    return found;
}
bool contains(const std::string& line, const std::string& part) {
    return line.find(part) != std::string::npos;
}
std::size_t depth_of(const std::string& line) {
    return line.find_first_not_of(' ');
}

Task<> reads_a_pipe(Scheduler&, weir::PipeReader& reader) {
    std::byte byte{};
    WEIR_CO_CHECK(reader.read({&byte, 1}).within(90s));
}
Task<> sleeps_long(Scheduler&) {
    WEIR_CO_CHECK(weir::sleep_for(1h));
}
Task<> child_of_group(Scheduler&, weir::Event& event) {
    WEIR_CO_CHECK(event.wait());
}
Task<> body_of_group(Scheduler& scheduler, weir::Group& group, weir::Event& event) {
    WEIR_CO_CHECK(group.spawn(child_of_group(scheduler, event)));
    WEIR_CO_CHECK(group.spawn(sleeps_long(scheduler)));
    WEIR_CO_CHECK(weir::sleep_for(2h));
}
Task<> dumps(Scheduler& scheduler, const MemoryFile& file) {
    WEIR_CO_CHECK(weir::sleep_for(2ms));
    scheduler.dump(file.fd());
}
Task<> tree_root(Scheduler& scheduler, const MemoryFile& file, int& fd) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    fd = pipe.reader.fd();
    weir::Event event;
    WEIR_CO_CHECK(weir::first_of(dumps(scheduler, file), reads_a_pipe(scheduler, pipe.reader), event.wait(),
                                 weir::with_group<4>(scheduler, body_of_group, std::ref(event))));
}

}  // namespace

TEST_CASE("a dump shows each task's function, what it awaits, its descriptor and its deadline") {
    const auto scheduler = make_scheduler();
    const MemoryFile file;
    int fd = -1;
    CHECK(said(scheduler->run(tree_root(*scheduler, file, fd))) == "value");
    INFO(file.text());
    const auto lines = lines_of(file);
    REQUIRE(lines.size() >= 7);
    CHECK(contains(lines[0], "weir: 6 tasks"));
    CHECK(contains(lines[0], "of 64 descriptors"));
    CHECK(contains(lines[0], std::string(scheduler->backend_reason())));
    CHECK(contains(line_with(lines, "tree_root"), "awaits first_of"));
    const std::string reader = line_with(lines, "reads_a_pipe");
    CHECK(contains(reader, "awaits pipe read"));
    CHECK(contains(reader, "fd " + std::to_string(fd)));
    CHECK(contains(reader, "deadline in 8"));
    CHECK(contains(reader, " ms"));
    CHECK(contains(line_with(lines, "child_of_group"), "awaits event wait"));
    CHECK(contains(line_with(lines, "sleeps_long"), "awaits sleep"));
    CHECK(contains(line_with(lines, "body_of_group"), "awaits sleep"));
    CHECK(contains(line_with(lines, "dumps"), "running"));
    CHECK(contains(line_with(lines, "(arm)"), "awaits event wait"));
    CHECK(depth_of(reader) > depth_of(line_with(lines, "tree_root")));
}

TEST_CASE("a dump without a root task is its head alone") {
    const auto scheduler = make_scheduler();
    const MemoryFile file;
    scheduler->dump(file.fd());
    CHECK(lines_of(file).size() == 1);
    CHECK(contains(file.text(), "weir: 0 tasks"));
}

TEST_CASE("a task that was spawned and has not run yet is shown as such") {
    const auto scheduler = make_scheduler();
    const MemoryFile file;
    const auto body = [](Scheduler& of, weir::Group& group, const MemoryFile& to) -> Task<> {
        WEIR_CO_CHECK(weir::yield());  // while a task runs for the first time its parents do not await it yet
        WEIR_CO_CHECK(group.spawn(sleeps_long(of)));
        of.dump(to.fd());
        group.request_stop();
    };
    const auto root = [](Scheduler& of, decltype(body) run, const MemoryFile& to) -> Task<> {
        WEIR_CO_CHECK(weir::with_group<1>(of, run, std::cref(to)));
    };
    CHECK(said(scheduler->run(root(*scheduler, body, file))) == "value");
    INFO(file.text());
    CHECK(contains(line_with(lines_of(file), "sleeps_long"), "not started"));
}

namespace {

Task<> a_task_whose_name_is_so_long_that_many_of_it_fill_a_line_of_any_dump_that_was_ever_written(
    Scheduler& scheduler, int depth, const MemoryFile& file) {
    if (depth == 0) {
        WEIR_CO_CHECK(weir::yield());
        scheduler.dump(file.fd());
        co_return;
    }
    WEIR_CO_CHECK(a_task_whose_name_is_so_long_that_many_of_it_fill_a_line_of_any_dump_that_was_ever_written(
        scheduler, depth - 1, file));
}

}  // namespace

TEST_CASE("a tree deeper than a line is long is dumped whole, a line for each task") {
    // With a sanitizer so many take more of the stack than is usual.
    constexpr weir::Budget deep{.frame_bytes = 256 * 1024, .stack_bytes = 0};
    const auto scheduler = make_scheduler<deep>();
    const MemoryFile file;
    const auto result = scheduler->run(
        a_task_whose_name_is_so_long_that_many_of_it_fill_a_line_of_any_dump_that_was_ever_written(
            *scheduler, 300, file));
    CHECK(said(result) == "value");
    const auto lines = lines_of(file);
    CHECK(lines.size() == 302);
    CHECK(contains(lines.back(), "a_task_whose_name"));
}
