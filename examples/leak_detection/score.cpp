// SPDX-License-Identifier: MIT
//
// Plain counting; the quotients are taken only when they are printed.
#include "score.hpp"

namespace leak {

namespace {

double quotient(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void Counts::add(bool predicted, bool labelled) {
    if (predicted) {
        ++(labelled ? true_positives : false_positives);
    } else {
        ++(labelled ? false_negatives : true_negatives);
    }
}

Counts& Counts::operator+=(const Counts& other) {
    true_positives += other.true_positives;
    false_positives += other.false_positives;
    false_negatives += other.false_negatives;
    true_negatives += other.true_negatives;
    return *this;
}

std::uint64_t Counts::total() const {
    return true_positives + false_positives + false_negatives + true_negatives;
}

double Counts::f1() const {
    return quotient(2 * true_positives, 2 * true_positives + false_positives + false_negatives);
}

double Counts::false_alarm_rate() const {
    return quotient(false_positives, false_positives + true_negatives);
}

double Counts::missed_alarm_rate() const {
    return quotient(false_negatives, false_negatives + true_positives);
}

ScoreLine score_line(const Counts& counts) {
    ScoreLine line;
    line.append("F1 ").append_fixed(counts.f1(), 3);
    line.append(" FAR ").append_fixed(counts.false_alarm_rate(), 3);
    line.append(" MAR ").append_fixed(counts.missed_alarm_rate(), 3);
    return line;
}

ScoreLine score_line_of_file(std::string_view file, std::uint64_t samples, const Counts& counts) {
    ScoreLine line;
    line.append(file.substr(0, 256)).append(": ").append(samples).append(" samples, ");
    line.append(counts.total()).append(" judged, TP ").append(counts.true_positives);
    line.append(" FP ").append(counts.false_positives).append(" FN ").append(counts.false_negatives);
    line.append(" TN ").append(counts.true_negatives).append(", ").append(score_line(counts).view());
    return line;
}

}  // namespace leak
