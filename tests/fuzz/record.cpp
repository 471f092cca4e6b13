// SPDX-License-Identifier: MIT
//
// What says whether a peer's bytes are a value of their type: what it passes can be used to its end.
#include "fuzz/target.hpp"

#include <weir/ipc/types/bounded_string.hpp>
#include <weir/ipc/types/bounded_vector.hpp>
#include <weir/ipc/types/validity.hpp>

#include "types/flat_sample.hpp"

#include <memory>

namespace weir::fuzz {
namespace {

enum class Mode : std::uint8_t { off = 1, on = 2 };
struct Range {
    std::uint32_t low;
    std::uint32_t high;
};
struct Flags {
    std::uint32_t number;
    bool first;
    std::array<bool, 3> others;
};
struct Deep {
    Range ranges[2];
    ipc::BoundedVector<Flags, 2> flags;
    ipc::BoundedVector<Mode, 4> modes;
    ipc::BoundedVector<ipc::BoundedString<7>, 2> names;
    Mode mode;
    bool set;
    std::uint8_t reserved[2];
};

}  // namespace
}  // namespace weir::fuzz

template <>
struct weir::ipc::RecordTraits<weir::fuzz::Mode> {
    static bool valid(const fuzz::Mode& mode) noexcept {
        return mode == fuzz::Mode::off || mode == fuzz::Mode::on;
    }
};
template <>
struct weir::ipc::RecordTraits<weir::fuzz::Range> {
    static bool valid(const fuzz::Range& range) noexcept { return range.low <= range.high; }
};

namespace weir::fuzz {
namespace {

volatile std::uint64_t used;

std::uint64_t sum_of(Mode mode) {
    must(mode == Mode::off || mode == Mode::on, "an enumerator that does not exist");
    return mode == Mode::on ? 2 : 1;
}
// A bool that is none is an error of the sanitizer's.
std::uint64_t sum_of(bool value) {
    return value ? 1 : 0;
}
std::uint64_t sum_of(const Deep& deep) {
    std::uint64_t sum = sum_of(deep.mode) + sum_of(deep.set);
    for (const Range& range : deep.ranges) {
        must(range.low <= range.high, "a range that goes backwards");
        sum += range.high - range.low;
    }
    must(deep.flags.size() <= 2 && deep.modes.size() <= 4 && deep.names.size() <= 2,
         "a vector beyond its capacity");
    for (const Flags& flags : deep.flags) {
        sum += flags.number + sum_of(flags.first);
        for (const bool other : flags.others) sum += sum_of(other);
    }
    for (const Mode mode : deep.modes) sum += sum_of(mode);
    for (const auto& name : deep.names) {
        must(name.view().size() <= 7, "a string beyond its capacity");
        for (const char letter : name.view()) sum += static_cast<unsigned char>(letter);
    }
    return sum;
}

void try_portable(Input& in) {
    const auto deep = std::make_unique<Deep>();
    const auto bytes = in.some(sizeof(Deep));
    std::memcpy(static_cast<void*>(deep.get()), bytes.data(), bytes.size());
    if (ipc::is_valid(*deep)) used = sum_of(*deep);
}

void try_flat(Input& in, const char* identifier) {
    const auto bytes = in.some(4'096);
    // As long as the record, so that the sanitizer sees what is beyond it.
    const std::unique_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
    const auto read = ipc::read_flat<sample::Scan>(bytes, {copy.get(), bytes.size()}, {}, identifier);
    if (read) used = test::sum_of(**read);
}

void try_one(ConstBytes input) {
    Input in(input);
    switch (in.below(3)) {
        case 0: return try_portable(in);
        case 1: return try_flat(in, nullptr);
        default: return try_flat(in, sample::ScanIdentifier());
    }
}

std::vector<Seed> seeds() {
    Deep deep{};
    deep.ranges[1] = {1, 2};
    deep.mode = Mode::on;
    std::ignore = deep.flags.push_back({.number = 7, .first = true, .others = {}});
    std::ignore = deep.modes.push_back(Mode::off);
    std::ignore = deep.names.push_back("name");
    std::vector<Seed> all{seed_of(std::uint8_t{0}, deep)};
    const auto memory = std::make_unique<test::Buffer>();
    const auto size = test::write_sample(memory->first(4'096));
    must(size.has_value(), "the sample");
    for (const auto kind : {std::uint8_t{1}, std::uint8_t{2}}) {
        Seed flat = seed_of(kind);
        flat.insert(flat.end(), memory->bytes, memory->bytes + *size);
        all.push_back(std::move(flat));
    }
    return all;
}

}  // namespace

const Target record{"record", try_one, seeds};

}  // namespace weir::fuzz
