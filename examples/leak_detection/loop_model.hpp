// SPDX-License-Identifier: MIT
//
// A simulated water loop: eight signals once a second, and a leak when it is asked for.
//
// A pump drives water from a tank through a closed loop. The model holds what such a loop does slowly — the
// load of the pump, the heat of the engine and of the water, the mains — as values that wander about their
// rest, and adds what sensors do fast: noise, and the coarse steps of the pressure and flow converters. A
// leak opens within half a minute. From then on water is missing behind the pump: flow and pressure fall; the
// pump moves less water, so its current falls; air that gets in makes both accelerometers shake; the engine,
// with less work, cools slowly, and so does the water, which is topped up cold. Magnitudes are like those of
// the SKAB recordings, the physics is kept to first-order lags.
//
// Everything comes from the seed, bit for bit, on every machine. So several processes can each run a model
// with the same seed and hand out a signal each, and their signals belong together.
#pragma once

#include "noise.hpp"
#include "signals.hpp"

#include <cstdint>
#include <optional>

namespace leak {

struct LoopSettings {
    std::uint64_t seed = 1;
    std::optional<std::int64_t> leak_at_s = std::nullopt;  // loop time; the first sample is at 0
};

class LoopModel {
public:
    explicit LoopModel(const LoopSettings& settings);

    /// The sample of the next second. Its label `anomaly` says that the leak is open, `changepoint` that it
    /// opened in this second.
    Sample next();

private:
    /// A value that wanders: pulled back to 0 within some `relaxation_s`, spread `deviation` in the long run.
    struct Wander {
        double pull;
        double kick;
        double value = 0;

        Wander(double relaxation_s, double deviation);
        double next(Noise& noise);
    };

    LoopSettings settings_;
    Noise noise_;
    std::int64_t time_s_ = 0;
    double leak_ = 0;     // 0 closed, 1 wide open
    double cooling_ = 0;  // follows the leak slowly, as heat does
    Wander load_;
    Wander engine_heat_;
    Wander water_heat_;
    Wander mains_;
};

}  // namespace leak
