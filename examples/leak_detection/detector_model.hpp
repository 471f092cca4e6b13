// SPDX-License-Identifier: MIT
//
// The detector's mathematics: a multivariate EWMA with Hotelling's T-squared on top.
//
// Each sample x is smoothed, s <- 0.2 x + 0.8 s, starting from the first sample. While it is `learning`, for
// the first 400 samples, the model keeps the smoothed samples; then it learns their mean and covariance, from
// these the T-squared of each of the 400, and from those their 99th percentile (linear between neighbours).
// From then on it is `watching`: a sample whose T-squared lies above `factor` times that percentile, 3 unless
// an operator says otherwise, is an anomaly. One sample costs one small forward substitution; memory is
// fixed.
//
// Signals of very different sizes are compared in their own standard deviations: what is factored is their
// correlation matrix, with a ridge of 1e-6 on its diagonal, so that signals which repeat each other do no
// harm. A signal that did not move at all while the model learned (a stuck sensor) tells nothing about what
// is normal: it is left out of the statistic, and ignored_signals() says so.
//
// Whatever the samples are, the state stays finite: values are cut at 1e12, distances at a million
// deviations.
//
// Every bit of the result follows from the samples alone: doubles, no contraction to fused operations, no
// libm but sqrt. DetectorState holds everything, so a model made from a saved state continues as the old one
// would have.
#pragma once

#include "alarm_logic.hpp"
#include "cholesky.hpp"
#include "signals.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace leak {

inline constexpr std::uint32_t learning_samples = 400;
inline constexpr double smoothing = 0.2;
inline constexpr double learned_percentile = 0.99;
inline constexpr double factor_default = 3.0;
inline constexpr double factor_max = 1'000'000.0;

enum class Phase : std::uint8_t { learning, watching };

/// What the model thinks of one sample.
struct Verdict {
    Phase phase = Phase::learning;  // while learning there is no statistic, and nothing is an anomaly
    bool anomaly = false;           // this sample's T-squared is above the threshold: what is scored
    bool alarm = false;             // after confirmation, see alarm_logic.hpp: what an operator is told
    AlarmLogic::Change change = AlarmLogic::Change::none;
    double statistic = 0;  // T-squared
    double threshold = 0;

    friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// All that a detector knows.
struct DetectorState {
    std::uint64_t samples_count = 0;
    double factor = factor_default;
    double percentile = 0;
    SignalValues smoothed{};
    SignalValues mean{};
    SignalValues deviation{};  // 0: ignored
    SignalMatrix factor_of_correlation{};
    AlarmLogic::State alarm;
    Verdict last;
    std::array<SignalValues, learning_samples> window{};  // the smoothed samples, of use only while learning

    Phase phase() const { return samples_count < learning_samples ? Phase::learning : Phase::watching; }
};

class DetectorModel {
public:
    DetectorModel() = default;
    explicit DetectorModel(const DetectorState& state) : state_(state) {}

    /// Takes the next sample. A value that is not finite counts as missing: its signal stays where it was.
    Verdict observe(const SignalValues& values);

    /// The operator's command: the threshold as a multiple of the learned percentile. False, and no change,
    /// unless the factor is above 0 and at most `factor_max`.
    bool set_factor(double factor);

    Phase phase() const { return state_.phase(); }
    double threshold() const { return state_.factor * state_.percentile; }
    std::uint64_t samples_count() const { return state_.samples_count; }
    const Verdict& last() const { return state_.last; }

    /// Bit i is set if signal i did not move while the model learned. Meaningful while watching.
    std::uint8_t ignored_signals() const;

    const DetectorState& state() const { return state_; }

private:
    void learn();
    double statistic_of(const SignalValues& smoothed) const;

    DetectorState state_;
};

}  // namespace leak
