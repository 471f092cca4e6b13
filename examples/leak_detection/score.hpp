// SPDX-License-Identifier: MIT
//
// How well verdicts agree with labels, as the SKAB benchmark counts it.
//
// The first 400 samples of a recording are for learning and are not counted; each later sample is one verdict
// against one label. Counts of several recordings are pooled by adding them. F1 = 2TP / (2TP + FP + FN), the
// false-alarm rate FAR = FP / (FP + TN), the missed-alarm rate MAR = FN / (FN + TP); a quotient of nothing by
// nothing counts as 0.
#pragma once

#include "bounded_text.hpp"

#include <cstdint>
#include <string_view>

namespace leak {

struct Counts {
    std::uint64_t true_positives = 0;
    std::uint64_t false_positives = 0;
    std::uint64_t false_negatives = 0;
    std::uint64_t true_negatives = 0;

    void add(bool predicted, bool labelled);
    Counts& operator+=(const Counts& other);

    std::uint64_t total() const;
    double f1() const;
    double false_alarm_rate() const;
    double missed_alarm_rate() const;

    friend bool operator==(const Counts&, const Counts&) = default;
};

using ScoreLine = BoundedText<512>;

/// `F1 0.870 FAR 0.103 MAR 0.145`
ScoreLine score_line(const Counts& counts);

/// `other/1.csv: 745 samples, 345 judged, TP 188 FP 100 FN 0 TN 57, F1 0.790 FAR 0.637 MAR 0.000`
ScoreLine score_line_of_file(std::string_view file, std::uint64_t samples, const Counts& counts);

}  // namespace leak
