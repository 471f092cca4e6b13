// SPDX-License-Identifier: MIT
#include "totals.hpp"

#include "catch.hpp"

#include <cstdio>
#include <string>

namespace {

std::string printed(const weir::test::Totals& totals) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* const out = ::open_memstream(&text, &size);
    totals.print(out, "sample");
    std::fclose(out);
    std::string result{text, size};
    std::free(text);
    return result;
}

}  // namespace

TEST_CASE("a skipped test is counted as skipped and printed with its reason") {
    weir::test::Totals totals;
    totals.note_skip("no such device");
    totals.note_end("reads a device", false);
    totals.note_end("reads a file", false);
    CHECK(printed(totals) ==
          "skipped: reads a device (no such device)\n"
          "suite sample: 1 passed, 0 failed, 1 skipped\n");
}

TEST_CASE("a failure outweighs a skip") {
    weir::test::Totals totals;
    totals.note_skip("no such device");
    totals.note_end("reads a device", true);
    CHECK(printed(totals) == "suite sample: 0 passed, 1 failed, 0 skipped\n");
}

TEST_CASE("a skip does not reach the next test") {
    weir::test::Totals totals;
    totals.note_skip("no such device");
    totals.note_end("reads a device", true);
    totals.note_end("reads a file", false);
    CHECK(totals.passed() == 1);
    CHECK(totals.skipped() == 0);
}

TEST_CASE("seeds are told before the last line") {
    weir::test::Totals totals;
    totals.note_seed();
    totals.note_seed();
    totals.note_end("survives every order", false);
    CHECK(printed(totals) == "seeds run: 2\nsuite sample: 1 passed, 0 failed, 0 skipped\n");
}
