// SPDX-License-Identifier: MIT
//
// What is fuzzed: something that a hostile peer's bytes are given to. It stays within its memory, which the sanitizers
// see, and what else it promises is checked with must().
#pragma once

#include <weir/core/bytes.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace weir::fuzz {

using Seed = std::vector<std::byte>;

struct Target {
    const char* name;
    void (*try_one)(ConstBytes input);
    std::vector<Seed> (*seeds)();  ///< inputs that get far
};
extern const Target hello;
extern const Target ring;
extern const Target record;

inline void must(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

/// Takes an input apart; zeros at its end.
class Input {
public:
    explicit Input(ConstBytes bytes) : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    template <class T>
    T take() {
        T value{};
        const auto taken = some(sizeof(T));
        std::memcpy(&value, taken.data(), taken.size());
        return value;
    }
    std::uint32_t byte() { return take<std::uint8_t>(); }
    std::uint32_t below(std::uint32_t limit) { return byte() % limit; }
    /// As many bytes as there are, at most so many.
    ConstBytes some(std::size_t most) {
        const auto taken = bytes_.first(std::min(most, bytes_.size()));
        bytes_ = bytes_.subspan(taken.size());
        return taken;
    }

private:
    ConstBytes bytes_;
};

inline void add(Seed&) {}
template <class T, class... More>
void add(Seed& seed, const T& value, const More&... more) {
    const auto* const bytes = static_cast<const std::byte*>(static_cast<const void*>(&value));
    seed.insert(seed.end(), bytes, bytes + sizeof(value));
    add(seed, more...);
}
/// Small numbers are single bytes.
template <class... Values>
Seed seed_of(const Values&... values) {
    Seed seed;
    add(seed, values...);
    return seed;
}

}  // namespace weir::fuzz
