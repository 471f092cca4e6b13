// SPDX-License-Identifier: MIT
#include "run.hpp"

#include "totals.hpp"

#include <cstdio>
#include <cstdlib>

namespace weir::test {

namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') {
        return otherwise;
    }
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(text, &end, 0);
    if (*end != '\0') {
        std::fprintf(stderr, "%s=%s is not a number\n", name, text);
        std::exit(2);
    }
    return value;
}

}  // namespace

const std::string& backend_name() {
    static const std::string name = [] {
        const char* text = std::getenv("WEIR_BACKEND");
        return std::string{text == nullptr || *text == '\0' ? "simulated" : text};
    }();
    return name;
}

std::uint64_t first_seed() {
    static const std::uint64_t seed = number_from_environment("WEIR_SEED", 1);
    return seed;
}

std::uint64_t seeds_count() {
    static const std::uint64_t count = number_from_environment("WEIR_SEEDS", 16);
    return count;
}

std::uint32_t repeats(std::uint32_t on_a_fast_machine) {
    static const std::uint64_t percent = number_from_environment("WEIR_REPEATS", 100);
    return static_cast<std::uint32_t>(on_a_fast_machine * percent / 100);
}

void note_seed_run() {
    static const bool said = [] {
        std::printf("seeds from %llu on, %llu for each seeded test\n",
                    static_cast<unsigned long long>(first_seed()),
                    static_cast<unsigned long long>(seeds_count()));
        return true;
    }();
    static_cast<void>(said);
    totals().note_seed();
}

}  // namespace weir::test
