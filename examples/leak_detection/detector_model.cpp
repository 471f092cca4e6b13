// SPDX-License-Identifier: MIT
//
// Learning works in two passes over the window (mean, then products of differences), which is exact enough
// for any signal and needs no trick for sums of squares. The order of all sums is fixed by the loops.
#include "detector_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace leak {

namespace {

constexpr double ridge = 1e-6;

// Below this part of its own level a signal's spread is rounding noise: it did not move. The absolute bound
// keeps products of two spreads far from the denormal numbers, where correlations would lose their digits.
constexpr double still_fraction = 1e-9;
constexpr double still_deviation = 1e-100;

// Bounds that no real signal meets; they keep squares, and what is divided by the ridge, far from infinity.
constexpr double value_max = 1e12;
constexpr double standardised_max = 1e6;

double percentile_of(std::array<double, learning_samples>& statistics) {
    std::sort(statistics.begin(), statistics.end());
    const double position = learned_percentile * static_cast<double>(learning_samples - 1);
    const auto below = static_cast<std::size_t>(position);
    const double part = position - static_cast<double>(below);
    return statistics[below] + part * (statistics[below + 1] - statistics[below]);
}

}  // namespace

Verdict DetectorModel::observe(const SignalValues& values) {
    for (std::size_t i = 0; i < signals_count; ++i) {
        const double value =
            std::isfinite(values[i]) ? std::clamp(values[i], -value_max, value_max) : state_.smoothed[i];
        const double before = state_.samples_count == 0 ? value : state_.smoothed[i];
        state_.smoothed[i] = smoothing * value + (1.0 - smoothing) * before;
    }
    Verdict verdict;
    if (state_.phase() == Phase::learning) {
        state_.window[static_cast<std::size_t>(state_.samples_count)] = state_.smoothed;
        ++state_.samples_count;
        if (state_.samples_count == learning_samples) learn();
    } else {
        ++state_.samples_count;
        verdict.phase = Phase::watching;
        verdict.statistic = statistic_of(state_.smoothed);
        verdict.threshold = threshold();
        verdict.anomaly = verdict.statistic > verdict.threshold;

        AlarmLogic logic{state_.alarm};
        verdict.change = logic.judge(verdict.statistic, verdict.threshold);
        verdict.alarm = logic.alarm();
        state_.alarm = logic.state();
    }
    state_.last = verdict;
    return verdict;
}

void DetectorModel::learn() {
    constexpr double count = learning_samples;
    SignalValues largest{};
    for (std::size_t i = 0; i < signals_count; ++i) {
        double sum = 0;
        for (const auto& smoothed : state_.window) {
            sum += smoothed[i];
            largest[i] = std::max(largest[i], std::fabs(smoothed[i]));
        }
        state_.mean[i] = sum / count;
    }

    SignalMatrix covariance{};
    for (const auto& smoothed : state_.window) {
        for (std::size_t i = 0; i < signals_count; ++i) {
            for (std::size_t j = 0; j <= i; ++j) {
                covariance[i][j] += (smoothed[i] - state_.mean[i]) * (smoothed[j] - state_.mean[j]);
            }
        }
    }
    for (std::size_t i = 0; i < signals_count; ++i) {
        const double deviation = std::sqrt(covariance[i][i] / (count - 1));
        const bool moved = deviation > still_fraction * largest[i] && deviation > still_deviation;
        state_.deviation[i] = moved ? deviation : 0;
    }

    SignalMatrix correlation{};
    for (std::size_t i = 0; i < signals_count; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const double scale = state_.deviation[i] * state_.deviation[j] * (count - 1);
            correlation[i][j] = scale > 0 ? covariance[i][j] / scale : 0;
        }
        correlation[i][i] = 1.0 + ridge;
    }
    state_.factor_of_correlation = lower_factor(correlation);

    std::array<double, learning_samples> statistics;
    for (std::size_t k = 0; k < statistics.size(); ++k) statistics[k] = statistic_of(state_.window[k]);
    state_.percentile = percentile_of(statistics);
}

double DetectorModel::statistic_of(const SignalValues& smoothed) const {
    SignalValues standardised{};
    for (std::size_t i = 0; i < signals_count; ++i) {
        if (!(state_.deviation[i] > 0)) continue;
        const double distance = (smoothed[i] - state_.mean[i]) / state_.deviation[i];
        standardised[i] = std::clamp(distance, -standardised_max, standardised_max);
    }
    return squared_distance(state_.factor_of_correlation, standardised);
}

bool DetectorModel::set_factor(double factor) {
    if (!(factor > 0 && factor <= factor_max)) return false;
    state_.factor = factor;
    return true;
}

std::uint8_t DetectorModel::ignored_signals() const {
    std::uint8_t ignored = 0;
    for (std::size_t i = 0; i < signals_count; ++i) {
        if (!(state_.deviation[i] > 0)) ignored = static_cast<std::uint8_t>(ignored | 1u << i);
    }
    return ignored;
}

}  // namespace leak
