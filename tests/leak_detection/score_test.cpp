// SPDX-License-Identifier: MIT
#include "score.hpp"

#include "support/catch.hpp"

using namespace leak;

TEST_CASE("counts are pooled and printed as the benchmark does") {
    Counts first;
    first.add(true, true);
    first.add(true, false);
    first.add(false, true);
    first.add(false, false);
    CHECK(first == Counts{1, 1, 1, 1});
    Counts pooled{87, 12, 12, 999};
    pooled += first;
    CHECK(pooled == Counts{88, 13, 13, 1'000});
    CHECK(pooled.total() == 1'114);
    CHECK(score_line(pooled).view() == "F1 0.871 FAR 0.013 MAR 0.129");
    CHECK(score_line_of_file("other/1.csv", 1'514, pooled).view() ==
          "other/1.csv: 1514 samples, 1114 judged, TP 88 FP 13 FN 13 TN 1000, F1 0.871 FAR 0.013 MAR 0.129");
}

TEST_CASE("a quotient of nothing by nothing counts as 0") {
    CHECK(score_line({}).view() == "F1 0.000 FAR 0.000 MAR 0.000");
}
