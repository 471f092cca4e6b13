// SPDX-License-Identifier: MIT
#include "loop_time.hpp"

#include "support/catch.hpp"

using namespace leak;

TEST_CASE("dates become seconds since 1970 and back") {
    CHECK(parse_datetime("1970-01-01 00:00:00") == 0);
    CHECK(parse_datetime("2000-02-29 23:59:59") == 951'868'799);
    CHECK(parse_datetime("2020-03-01 15:44:06") == 1'583'077'446);
    CHECK(parse_datetime("9999-12-31 23:59:59") == 253'402'300'799);
    for (const std::int64_t time_s : {std::int64_t{0}, std::int64_t{951'868'799}, std::int64_t{4'000'000'000},
                                      std::int64_t{253'402'300'799}}) {
        CHECK(parse_datetime(format_datetime(time_s).view()) == time_s);
    }
    CHECK(format_datetime(1'583'077'446).view() == "2020-03-01 15:44:06");
    CHECK(format_datetime(-5).view() == "-5");
}

TEST_CASE("what is no date and time is refused") {
    for (const std::string_view text :
         {"", "2020-03-01", "2020-03-01T15:44:06", "2020-03-01 15:44:06 ", "2020-13-01 00:00:00",
          "2019-02-29 00:00:00", "2020-00-10 00:00:00", "2020-01-01 24:00:00", "2020-01-01 00:60:00",
          "2020-01-01 00:00:60", "1969-12-31 23:59:59", "2020-01-01 -1:00:00", "2020-01-01 0x:00:00"}) {
        CAPTURE(text);
        CHECK(!parse_datetime(text));
    }
}
