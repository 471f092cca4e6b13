// SPDX-License-Identifier: MIT
//
// The hashes below are written down as they came out once. Every configuration runs this: g++ and clang, x86-64 and both
// ARMs. A hash that changes parts programs of two versions of weir that could talk to each other: then the layout or the
// hash has changed, and whoever did it has to mean it.
#include <weir/ipc/types/bounded_string.hpp>
#include <weir/ipc/types/layout.hpp>

#include "support/catch.hpp"

#include <cstdio>
#include <optional>
#include <set>
#include <string>
#include <utility>

using namespace weir::ipc;

namespace {

struct Reading {
    std::uint64_t taken_ns;
    std::int32_t millicelsius;
    std::uint32_t sensor;
};
enum class Mode : std::uint8_t { off, on };
struct Mixed {
    double value;
    float factors[2];
    std::array<std::int16_t, 3> small;
    bool flag;
    char letter;
    std::byte raw[4];
    Mode mode;
    std::uint8_t reserved[3];
};
struct Nested {
    Reading readings[2];
    Mixed mixed;
    std::array<std::array<std::uint8_t, 4>, 2> grid;
    std::chrono::milliseconds age;
};
struct alignas(64) Lined {
    std::uint64_t words[8];
};
struct Texts {
    BoundedVector<double, 3> weights;
    BoundedString<13> name;
    BoundedVector<std::uint8_t, 5> bytes;
    BoundedVector<Reading, 2> readings;
};
struct ThirtyTwo {
    std::uint8_t a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad,
        ae, af;
};

// --- what is no record

struct WithPointer {
    std::uint64_t number;
    const char* text;
};
struct WithReference {
    int& number;
};
struct WithLongDouble {
    long double value;
};
struct WithWideCharacter {
    wchar_t letter;
};
enum Loose { one, two };
struct WithLooseEnum {
    Loose value;
};
struct WithVolatile {
    volatile std::uint32_t value;
};
struct WithUnion {
    union Either {
        std::uint32_t number;
        float value;
    } either;
};
struct WithGap {
    std::uint8_t first;
    std::uint32_t second;
};
struct WithTail {
    std::uint64_t first;
    std::uint32_t second;
};
struct [[gnu::packed]] Packed {
    std::uint32_t first;
    std::uint32_t second;
};
struct Empty {};
struct Owner {
    std::string text;
};
struct Base {
    std::uint32_t first;
};
struct EmptyBase {};
struct DerivedFromEmpty : EmptyBase {
    std::uint32_t second;
};
struct Derived : Base {
    std::uint32_t second;
};
struct DerivedFromFields : Base {};
class Private {
public:
    explicit Private(std::uint32_t value) : value_(value) {}
    [[nodiscard]] std::uint32_t value() const { return value_; }

private:
    std::uint32_t value_;
};
struct NeedsValue {
    explicit NeedsValue(std::uint32_t value) : value_(value) {}
    std::uint32_t value_;
};
struct WithNeedsValue {
    NeedsValue first;
    std::uint32_t second;
};
struct WithArrayOfGaps {
    std::array<WithGap, 2> gaps;
};
struct ThirtyThree {
    ThirtyTwo most;
    std::uint8_t a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad,
        ae, af;
};

// --- described by hand

class Angle {
public:
    Angle() = default;
    [[nodiscard]] float degrees() const { return degrees_; }

private:
    float degrees_ = 0;
};
struct Two {
    Reading reading;
    Angle angle;
    Angle other;
};
class WronglyDescribed {
public:
    WronglyDescribed() = default;
    std::uint64_t first() const { return first_; }

private:
    std::uint64_t first_ = 0;
};
struct OfThisBuild {
    std::uint32_t few : 3;
    std::uint32_t many : 29;
    void* place;
};
struct WithOfThisBuild {
    OfThisBuild part;
};
struct SecondVersion {
    std::uint64_t taken_ns;
    std::int32_t millikelvin;
    std::uint32_t sensor;
};

}  // namespace

namespace weir::ipc {
template <>
struct RecordTraits<Angle> {
    using Fields = RecordFields<float>;
};
template <>
struct RecordTraits<ThirtyThree> {
    using Fields = RecordFields<std::uint8_t[64]>;
};
template <>
struct RecordTraits<WronglyDescribed> {
    using Fields = RecordFields<std::uint32_t>;
};
template <>
struct RecordTraits<OfThisBuild> {
    static constexpr bool same_build = true;
};
template <>
struct RecordTraits<SecondVersion> {
    static constexpr std::uint64_t version = 2;
};
}  // namespace weir::ipc

namespace {

template <class T>
std::string hash_text() {
    char text[20];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(layout_hash<T>()));
    return text;
}

}  // namespace

TEST_CASE("a layout has the same hash with every compiler and on every machine") {
    CHECK(hash_text<std::uint64_t>() == "3ffb103bd38bd26f");
    CHECK(hash_text<Reading>() == "6ae3566be9012512");
    CHECK(hash_text<Mixed>() == "5929091497345f68");
    CHECK(hash_text<Nested>() == "7b5f2ea2a29d6425");
    CHECK(hash_text<Lined>() == "0fcd9ad27fa4100d");
    CHECK(hash_text<Texts>() == "a4d90ede877da8d0");
    CHECK(hash_text<ThirtyTwo>() == "5b2da915cd9f3226");
    CHECK(hash_text<Two>() == "a0181b48780e7d26");
    CHECK(hash_text<SecondVersion>() == "58abd8b140b0579b");
    CHECK(hash_text<std::chrono::nanoseconds>() == "d2e87eec00420582");
}

TEST_CASE("the sizes that the hashes stand for are the same on every machine") {
    CHECK(sizeof(Reading) == 16);
    CHECK(sizeof(Mixed) == 32);
    CHECK(sizeof(Nested) == 80);
    CHECK(sizeof(Lined) == 64);
    CHECK(sizeof(BoundedString<13>) == 20);
    CHECK(sizeof(BoundedVector<double, 3>) == 32);
    CHECK(sizeof(BoundedVector<std::uint8_t, 5>) == 12);
    CHECK(sizeof(BoundedVector<Reading, 2>) == 40);
    CHECK(alignof(Nested) == 8);
    CHECK(alignof(BoundedString<13>) == 4);
    CHECK(alignof(BoundedVector<std::uint8_t, 5>) == 4);
}

TEST_CASE("types that are written differently and lie alike have one hash") {
    struct WithArray {
        std::array<std::int32_t, 4> values;
    };
    struct WithCArray {
        int values[4];
    };
    CHECK(layout_hash<WithArray>() == layout_hash<WithCArray>());
    // One of these two is std::int64_t, and which one differs.
    CHECK(layout_hash<std::int64_t>() == layout_hash<long long>());
    CHECK(layout_hash<const Reading>() == layout_hash<Reading>());
}

TEST_CASE("whatever differs in a layout gives another hash") {
    struct OtherOrder {
        std::int32_t millicelsius;
        std::uint32_t sensor;
        std::uint64_t taken_ns;
    };
    struct OtherSign {
        std::uint64_t taken_ns;
        std::uint32_t millicelsius;
        std::uint32_t sensor;
    };
    struct OtherKind {
        std::uint64_t taken_ns;
        float celsius;
        std::uint32_t sensor;
    };
    struct Wider {
        std::uint64_t taken_ns;
        std::int64_t sensor;
    };
    struct Longer {
        std::uint64_t taken_ns;
        std::int32_t millicelsius;
        std::uint32_t sensor;
        std::uint64_t more;
    };
    struct Inner {
        std::int32_t millicelsius;
        std::uint32_t sensor;
    };
    struct Grouped {
        std::uint64_t taken_ns;
        Inner inner;
    };
    struct OtherEnum {
        std::uint64_t taken_ns;
        std::int32_t millicelsius;
        enum class Sensor : std::uint32_t {} sensor;
    };
    struct alignas(16) OtherAlignment {
        std::uint64_t taken_ns;
        std::int32_t millicelsius;
        std::uint32_t sensor;
    };
    const std::set<std::uint64_t> different{
        layout_hash<Reading>(),
        layout_hash<OtherOrder>(),
        layout_hash<OtherSign>(),
        layout_hash<OtherKind>(),
        layout_hash<Wider>(),
        layout_hash<Longer>(),
        layout_hash<Grouped>(),
        layout_hash<OtherEnum>(),
        layout_hash<OtherAlignment>(),
        layout_hash<SecondVersion>(),
        layout_hash<Reading[1]>(),
        layout_hash<Reading[2]>(),
        layout_hash<std::uint32_t[6]>(),
        layout_hash<std::uint32_t[2][3]>(),
        layout_hash<std::uint32_t[3][2]>(),
        layout_hash<std::uint8_t>(),
        layout_hash<std::int8_t>(),
        layout_hash<char>(),
        layout_hash<bool>(),
        layout_hash<std::byte>(),
        layout_hash<Mode>(),
        layout_hash<std::chrono::seconds>(),
        layout_hash<std::chrono::milliseconds>(),
        layout_hash<std::int64_t>(),
        layout_hash<BoundedVector<std::uint8_t, 7>>(),
        layout_hash<BoundedVector<std::uint8_t, 8>>(),  // as many bytes as the one before
        layout_hash<BoundedString<8>>(),
        layout_hash<BoundedVector<char, 8>>(),
    };
    CHECK(different.size() == 28);
}

TEST_CASE("a structure of fixed-width fields without gaps is a portable record") {
    CHECK(require_portable_record<std::uint8_t>());
    CHECK(require_portable_record<Reading>());
    CHECK(require_portable_record<const Reading>());
    CHECK(require_portable_record<Mixed>());
    CHECK(require_portable_record<Nested>());
    CHECK(require_portable_record<Lined>());
    CHECK(require_portable_record<Texts>());
    CHECK(require_portable_record<ThirtyTwo>());
    CHECK(require_portable_record<std::uint32_t[100'000]>());
}

TEST_CASE("a class whose fields are named by hand is a portable record") {
    CHECK(require_portable_record<Angle>());
    CHECK(require_portable_record<Two>());
    CHECK(require_portable_record<ThirtyThree>());
}

TEST_CASE("a type of one build is no portable record, nor is what holds it, and nobody looks into it") {
    CHECK(record_fault<OfThisBuild> == RecordFault::same_build);
    CHECK(record_fault<WithOfThisBuild> == RecordFault::same_build);
    CHECK(record_layout<OfThisBuild>() != 0);
    CHECK(record_layout<Reading>() == layout_hash<Reading>());
}

TEST_CASE("what has no meaning in another process, or another layout there, is no record, and why is known") {
    using enum RecordFault;
    CHECK(record_fault<const char*> == pointer);
    CHECK(record_fault<int Reading::*> == pointer);
    CHECK(record_fault<decltype(nullptr)> == pointer);
    CHECK(record_fault<WithPointer> == pointer);
    CHECK(record_fault<WithReference> == not_standard);
    CHECK(record_fault<wchar_t> == size_of_machine);
    CHECK(record_fault<WithWideCharacter> == size_of_machine);
    CHECK(record_fault<long> == (sizeof(long) == 8 ? none : size_of_machine));
    CHECK(record_fault<unsigned long> == (sizeof(long) == 8 ? none : size_of_machine));
    CHECK(record_fault<long double> == number);
    CHECK(record_fault<WithLongDouble> == number);
    CHECK(record_fault<Loose> == enumeration);
    CHECK(record_fault<WithLooseEnum> == enumeration);
    CHECK(record_fault<volatile int> == volatile_field);
    CHECK(record_fault<WithVolatile> == volatile_field);
    CHECK(record_fault<std::array<std::uint8_t, 0>> == bound);
    CHECK(record_fault<std::uint8_t[]> == bound);
    CHECK(record_fault<WithUnion::Either> == union_of_types);
    CHECK(record_fault<WithUnion> == union_of_types);
    CHECK(record_fault<Owner> == not_copyable);
    CHECK(record_fault<Derived> == not_standard);
    CHECK(record_fault<DerivedFromFields> == base);
    CHECK(record_fault<DerivedFromEmpty> == base);
    CHECK(record_fault<Private> == not_aggregate);
    CHECK(record_fault<std::optional<std::uint32_t>> != none);
    CHECK(record_fault<WithNeedsValue> == not_default);
    CHECK(record_fault<Empty> == empty);
    CHECK(record_fault<WithGap> == padding);
    CHECK(record_fault<WithTail> == padding);
    CHECK(record_fault<WithGap[3]> == padding);
    CHECK(record_fault<WithArrayOfGaps> == padding);
    CHECK(record_fault<WronglyDescribed> == padding);
}
