// SPDX-License-Identifier: MIT
#include <weir/core/report.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"

#include <string>
#include <vector>

namespace {

using Lines = std::vector<std::string>;

void keep(std::string_view line, void* context) noexcept {
    static_cast<Lines*>(context)->emplace_back(line);
}

}  // namespace

TEST_CASE("the report hook gets each line without a newline") {
    Lines lines;
    weir::set_report(keep, &lines);
    weir::report("one");
    weir::report(weir::Error{.code = weir::Errc::timed_out, .operation = "pipe read"});
    weir::set_report(nullptr, nullptr);
    CHECK(lines == Lines{"one", "pipe read: timed out"});
}

TEST_CASE("without a hook, and after it was taken away, reports are lines on standard error") {
    const auto end = weir::test::run_in_child([] {
        Lines lines;
        weir::report("one");
        weir::set_report(keep, &lines);
        weir::report("two");
        weir::set_report(nullptr, nullptr);
        weir::report("three");
        return static_cast<int>(lines.size());
    });
    CHECK(end.exit_status == 1);
    CHECK(end.errors == "one\nthree\n");
}
