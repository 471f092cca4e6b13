// SPDX-License-Identifier: MIT
//
// Each second: the slow values take a step, the leak grows, and the eight signals are read off with noise.
// The numbers of noise drawn per second do not depend on the leak: two runs of one seed with and without a
// leak are the same until it opens.
#include "loop_model.hpp"

#include <cmath>

namespace leak {

namespace {

// Lags, in seconds.
constexpr double leak_opening_s = 25;
constexpr double cooling_s = 200;

// Steps of the converters.
constexpr double pressure_step_bar = 0.33;
constexpr double flow_step_l_min = 0.25;

// To a multiple of `step`, halves upwards.
double in_steps(double value, double step) {
    return std::floor(value / step + 0.5) * step;
}

}  // namespace

LoopModel::Wander::Wander(double relaxation_s, double deviation)
    : pull(1.0 / relaxation_s), kick(deviation * std::sqrt(pull * (2.0 - pull))) {}

double LoopModel::Wander::next(Noise& noise) {
    value += kick * noise.normal() - pull * value;
    return value;
}

LoopModel::LoopModel(const LoopSettings& settings)
    : settings_(settings),
      noise_(settings.seed),
      load_(10, 1.0),
      engine_heat_(20, 0.30),
      water_heat_(25, 0.015),
      mains_(10, 2.0) {
    // The loop has been running for a while when it is first looked at.
    for (int second = 0; second < 600; ++second) {
        load_.next(noise_);
        engine_heat_.next(noise_);
        water_heat_.next(noise_);
        mains_.next(noise_);
    }
}

Sample LoopModel::next() {
    const bool leaking = settings_.leak_at_s && time_s_ >= *settings_.leak_at_s;
    if (leaking) leak_ += (1.0 - leak_) / leak_opening_s;
    cooling_ += (leak_ - cooling_) / cooling_s;

    const double load = load_.next(noise_);
    const double engine_heat = engine_heat_.next(noise_);
    const double water_heat = water_heat_.next(noise_);
    const double mains = mains_.next(noise_);

    Sample sample;
    sample.time_s = time_s_;
    sample.labels = {.anomaly = leaking, .changepoint = leaking && time_s_ == *settings_.leak_at_s};

    const auto set = [&sample](Signal signal, double value) { sample.values[index_of(signal)] = value; };
    set(Signal::accelerometer_1, 0.0810 + 0.0004 * load + 0.0060 * leak_ + 0.0007 * noise_.normal());
    set(Signal::accelerometer_2, 0.1330 + 0.0010 * load + 0.0090 * leak_ + 0.0022 * noise_.normal());
    set(Signal::current, 1.57 + 0.05 * load + 0.004 * mains - 0.30 * leak_ + 0.36 * noise_.normal());
    set(Signal::pressure,
        in_steps(1.05 + 0.02 * load - 0.45 * leak_ + 0.24 * noise_.normal(), pressure_step_bar));
    set(Signal::temperature, 89.0 + engine_heat - 2.0 * cooling_ + 0.10 * noise_.normal());
    set(Signal::thermocouple, 22.20 + water_heat - 0.40 * cooling_ + 0.004 * noise_.normal());
    set(Signal::voltage, 230.0 + mains + 11.0 * noise_.normal());
    set(Signal::flow, in_steps(76.7 + 0.10 * load - 7.0 * leak_ + 0.45 * noise_.normal(), flow_step_l_min));

    ++time_s_;
    return sample;
}

}  // namespace leak
