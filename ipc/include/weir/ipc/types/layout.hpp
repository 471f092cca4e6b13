// SPDX-License-Identifier: MIT
//
// Which types may be shared with another process, and a number for how one of them lies in memory.
//
//     struct Reading { std::uint64_t taken_ns; std::int32_t millicelsius; std::uint32_t sensor; };
//     static_assert(weir::ipc::PortableRecord<Reading>);
//     constexpr std::uint64_t layout = weir::ipc::layout_hash<Reading>();
//
// A portable record has the same bytes on 32-bit and 64-bit ARM and on x86-64, whatever compiled it: it is made of
// numbers of a fixed width, arrays of them, and structures of them, and of nothing between. Padding is refused, for three
// reasons. Each ABI has its own rules for it; it would carry whatever lay in the writer's memory to the reader; and where
// there is none, the sum of the fields' sizes proves where each of them lies. What one would leave to the compiler is
// a field with a name: `std::uint32_t reserved = 0;`.
//
// The hash is made of the fields' kinds, sizes and places, of nested structures and of array extents. Two processes that
// disagree about any of these have different hashes, and are told so when they attach. It does not know names: clang
// tells a program the name of a structure's field only since version 18. Two fields of one kind that change places, or
// change their meaning, keep the hash: give the record another RecordTraits::version then.
//
// What the compiler cannot tell: on 64-bit machines `long` and std::size_t are the same types as std::int64_t and
// std::uint64_t. There they pass; a 32-bit build refuses `long`, and gives a std::size_t another hash.
#pragma once

#include "weir/ipc/types/fields.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

namespace weir::ipc {

/// What the compiler cannot know about T. Specialise it in weir::ipc for a type of your own, with any of these members:
///
///     using Fields = RecordFields<A, B, C>;            the types of its fields, in order: for classes that are no
///                                                      aggregates, and structures of more than fields_max fields
///     static constexpr std::uint64_t version = 2;      part of the hash: another meaning of the same fields
///     static bool valid(const T& value) noexcept;      part of is_valid(), asked when its fields are valid
///     static constexpr bool checks_fields = true;      valid() looks at the fields itself, and is asked at once
///     static constexpr bool same_build = true;         T is no portable record, and is to be shared all the same, among
///                                                      programs of one build
///
/// A specialisation stands beside its type: all parts of a program have to see the same one.
template <class T>
struct RecordTraits {};

/// Why a type is no portable record.
enum class RecordFault : std::uint8_t {
    none,
    pointer,          ///< a pointer, a reference, a pointer to member
    size_of_machine,  ///< long, wchar_t: not the same on all machines
    number,           ///< long double, __int128 and the like
    enumeration,      ///< an enum without a fixed underlying type
    volatile_field,   ///< volatile
    bound,            ///< an array of unknown bound, or of none
    union_of_types,   ///< a union
    not_copyable,     ///< not trivially copyable: it owns something, or has virtual functions
    not_standard,     ///< not of standard layout: fields in several classes, or of several kinds of access
    not_aggregate,    ///< private fields or constructors, and no RecordTraits::Fields
    base,             ///< it is derived from something
    not_default,      ///< it, or a field, cannot be made from {}, and no RecordTraits::Fields
    too_many_fields,  ///< more than fields_max, and no RecordTraits::Fields
    empty,            ///< no field at all
    same_build,       ///< RecordTraits say that it is none
    padding,          ///< unused bytes between the fields or behind them; or RecordTraits::Fields is wrong
    alignment,        ///< packed, or a machine that aligns numbers to less than their size
};

namespace layout {

// A field or an element is at fault, and not the type itself.
inline constexpr auto fault_of_part = static_cast<RecordFault>(0xff);

template <class T>
concept DescribedByHand = requires {
    typename RecordTraits<T>::Fields;
};

template <class T>
concept SameBuild = requires {
    requires RecordTraits<T>::same_build;
};

template <class T>
concept HasFixedUnderlyingType = requires {
    T{0};
};

template <class T>
struct ArrayOf {
    static constexpr bool is = false;
};
template <class T>
struct ArrayOf<T[]> {
    static constexpr bool is = true;
    static constexpr std::size_t extent = 0;
    using Element = T;
};
template <class T, std::size_t n>
struct ArrayOf<T[n]> {
    static constexpr bool is = true;
    static constexpr std::size_t extent = n;
    using Element = T;
};
template <class T, std::size_t n>
struct ArrayOf<std::array<T, n>> : ArrayOf<T[n]> {};
template <class T>
struct ArrayOf<std::array<T, 0>> : ArrayOf<T[]> {};

/// The RecordFields of a structure.
template <class T>
struct FieldsOf {
    using Type = decltype(fields::of(std::declval<T&>()));
};
template <DescribedByHand T>
struct FieldsOf<T> {
    using Type = typename RecordTraits<T>::Fields;
};

template <class T>
consteval RecordFault fault_of() noexcept;

template <class T>
consteval RecordFault fault_of_number() noexcept {
    using enum RecordFault;
    if constexpr (std::is_same_v<T, wchar_t>) {
        return size_of_machine;
    } else if constexpr (std::is_same_v<T, long> || std::is_same_v<T, unsigned long>) {
        if (!std::is_same_v<std::make_signed_t<T>, std::int64_t>) return size_of_machine;
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!std::is_same_v<T, float> && !std::is_same_v<T, double>) return number;
        if (!std::numeric_limits<T>::is_iec559) return number;
    }
    if constexpr (sizeof(T) > 8) return number;
    constexpr std::size_t place = alignof(T);
    return place == sizeof(T) ? none : alignment;
}

/// Whether the fields follow each other without a gap, each at its own alignment, up to the end.
template <class T, class... F>
consteval RecordFault fault_of_places(RecordFields<F...>) noexcept {
    using enum RecordFault;
    if constexpr (((fault_of<F>() != none) || ...)) {
        return fault_of_part;
    } else {
        constexpr std::size_t sum = (sizeof(F) + ... + 0);
        bool aligned = sum % alignof(T) == 0 && ((alignof(F) <= alignof(T)) && ...);
        std::size_t place = 0;
        ((aligned = aligned && place % alignof(F) == 0, place += sizeof(F)), ...);
        if (sum != sizeof(T)) return padding;
        return aligned ? none : alignment;
    }
}

template <class T>
consteval RecordFault fault_of_class() noexcept {
    using enum RecordFault;
    if constexpr (SameBuild<T>) {
        return same_build;  // and nobody looks into it
    } else if constexpr (std::is_union_v<T>) {
        return union_of_types;
    } else if constexpr (!std::is_trivially_copyable_v<T>) {
        return not_copyable;
    } else if constexpr (!std::is_standard_layout_v<T>) {
        return not_standard;
    } else if constexpr (std::is_empty_v<T>) {
        return empty;
    } else if constexpr (DescribedByHand<T>) {
        return fault_of_places<T>(typename FieldsOf<T>::Type{});
    } else if constexpr (!std::is_aggregate_v<T>) {
        return not_aggregate;
    } else if constexpr (fields::HasBase<T>) {
        return base;
    } else if constexpr (fields::count<T>() > fields_max) {
        return too_many_fields;
    } else if constexpr (fields::count<T>() == 0) {
        return not_default;
    } else {
        return fault_of_places<T>(typename FieldsOf<T>::Type{});
    }
}

template <class T>
consteval RecordFault fault_of() noexcept {
    using enum RecordFault;
    if constexpr (std::is_volatile_v<T>) {
        return volatile_field;
    } else if constexpr (std::is_reference_v<T> || std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                         std::is_null_pointer_v<T>) {
        return pointer;
    } else if constexpr (ArrayOf<T>::is) {
        if constexpr (ArrayOf<T>::extent == 0) {
            return bound;
        } else {
            return fault_of<std::remove_const_t<typename ArrayOf<T>::Element>>() == none ? none
                                                                                         : fault_of_part;
        }
    } else if constexpr (std::is_enum_v<T>) {
        if constexpr (!HasFixedUnderlyingType<T>) {
            return enumeration;
        } else {
            return fault_of_number<std::underlying_type_t<T>>();
        }
    } else if constexpr (std::is_arithmetic_v<T>) {
        return fault_of_number<T>();
    } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
        return fault_of_class<T>();
    } else {
        return number;
    }
}

template <class T>
consteval RecordFault innermost_fault() noexcept;

template <class... F>
consteval RecordFault first_fault(RecordFields<F...>) noexcept {
    RecordFault fault = RecordFault::none;
    ((fault = fault == RecordFault::none ? innermost_fault<F>() : fault), ...);
    return fault;
}

template <class T>
consteval RecordFault innermost_fault() noexcept {
    constexpr RecordFault fault = fault_of<T>();
    if constexpr (fault != fault_of_part) {
        return fault;
    } else if constexpr (ArrayOf<T>::is) {
        return innermost_fault<std::remove_const_t<typename ArrayOf<T>::Element>>();
    } else {
        return first_fault(typename FieldsOf<T>::Type{});
    }
}

}  // namespace layout

/// Why T is no portable record; none if it is one. Where several fields are at fault, of the first of them.
template <class T>
inline constexpr RecordFault record_fault = layout::innermost_fault<std::remove_const_t<T>>();

/// T has one layout on all machines, without padding: see the head of this file. In parts, so that a compiler which
/// finds it not satisfied names the fault; require_portable_record() says more. (A bit-field, a packed field or an
/// anonymous union in T is an error of the compiler's own, which names it.)
template <class T>
concept PortableRecord =
    (record_fault<T> != RecordFault::pointer) && (record_fault<T> != RecordFault::size_of_machine) &&
    (record_fault<T> != RecordFault::number) && (record_fault<T> != RecordFault::enumeration) &&
    (record_fault<T> != RecordFault::volatile_field) && (record_fault<T> != RecordFault::bound) &&
    (record_fault<T> != RecordFault::union_of_types) && (record_fault<T> != RecordFault::not_copyable) &&
    (record_fault<T> != RecordFault::not_standard) && (record_fault<T> != RecordFault::not_aggregate) &&
    (record_fault<T> != RecordFault::base) && (record_fault<T> != RecordFault::not_default) &&
    (record_fault<T> != RecordFault::too_many_fields) && (record_fault<T> != RecordFault::empty) &&
    (record_fault<T> != RecordFault::same_build) && (record_fault<T> != RecordFault::padding) &&
    (record_fault<T> != RecordFault::alignment) && (record_fault<T> == RecordFault::none);

namespace layout {

template <class T>
consteval bool require() noexcept;

// The place of the field and its type are in the compiler's "required from here".
template <class Structure, std::size_t index, class Field>
consteval bool require_field() noexcept {
    return require<Field>();
}
template <class T, class... F, std::size_t... index>
consteval void require_fields(RecordFields<F...>, std::index_sequence<index...>) noexcept {
    (require_field<T, index, F>(), ...);
}

struct Gap {
    std::size_t before_field;
    std::size_t bytes;
};
// The first one; before the field after the last is the end of T. What no gap explains is told as one at the end.
template <class T, class... F>
consteval Gap gap_of(RecordFields<F...>) noexcept {
    std::size_t place = 0;
    std::size_t index = 0;
    Gap gap{0, 0};
    const auto put = [&](std::size_t size, std::size_t alignment) {
        const std::size_t over = place % alignment;
        if (gap.bytes == 0 && over != 0) gap = {index, alignment - over};
        place += size;
        ++index;
    };
    (put(sizeof(F), alignof(F)), ...);
    if (gap.bytes == 0) gap = {index, place < sizeof(T) ? sizeof(T) - place : place - sizeof(T)};
    return gap;
}
template <class T, std::size_t before_field, std::size_t unused_bytes>
consteval void require_without_gap() noexcept {
    static_assert(unused_bytes == 0,
                  "a record for another process has padding, which differs between machines and carries old "
                  "memory to the reader: order its fields by size, or give the unused bytes a name, "
                  "`std::array<std::byte, 4> reserved{};`");
}
template <class T, class... F>
consteval void require_no_gap(RecordFields<F...>) noexcept {
    constexpr Gap gap = gap_of<T>(RecordFields<F...>{});
    require_without_gap<T, gap.before_field, gap.bytes>();
}

template <class T>
consteval bool require() noexcept {
    using enum RecordFault;
    constexpr RecordFault fault = fault_of<T>();
    static_assert(fault != pointer,
                  "a record for another process holds a pointer or reference, which means nothing there");
    static_assert(fault != size_of_machine,
                  "a record for another process holds a long or wchar_t, whose size differs between "
                  "machines: use std::int32_t, std::int64_t and the like");
    static_assert(fault != number,
                  "a record for another process holds a number that not every machine has: use the "
                  "fixed-width integers, float and double");
    static_assert(fault != enumeration,
                  "a record for another process holds an enum without a fixed underlying type: write `enum "
                  "class E : std::uint32_t`");
    static_assert(fault != volatile_field, "a record for another process holds something volatile");
    static_assert(fault != bound,
                  "a record for another process holds an array of no or unknown bound: use BoundedVector, or "
                  "FlatBuffers (flat.hpp)");
    static_assert(fault != union_of_types,
                  "a record for another process holds a union, and nobody could tell which member is meant");
    static_assert(fault != not_copyable,
                  "a record for another process has to be trivially copyable: use BoundedString and "
                  "BoundedVector for std::string and std::vector");
    static_assert(fault != not_standard,
                  "a record for another process has to be of standard layout: all its fields in one class, "
                  "with one kind of access");
    static_assert(fault != not_aggregate,
                  "a record for another process has private fields or constructors: say what its fields are "
                  "by RecordTraits<T>::Fields");
    static_assert(fault != base, "a record for another process is derived from a class: make that a field");
    static_assert(fault != not_default,
                  "a record for another process has a field that {} cannot initialise: say what its fields "
                  "are by RecordTraits<T>::Fields");
    static_assert(fault != too_many_fields,
                  "a record for another process has more fields than fields_max: divide it, or name their "
                  "types by RecordTraits<T>::Fields");
    static_assert(fault != empty, "a record for another process holds an empty structure");
    static_assert(
        fault != same_build,
        "a record for another process holds a type that RecordTraits<T>::same_build keeps to one build");
    static_assert(fault != alignment,
                  "a record for another process is packed, or aligned to less than its fields are");
    if constexpr (fault == padding) require_no_gap<T>(typename FieldsOf<T>::Type{});
    if constexpr (fault == fault_of_part && ArrayOf<T>::is)
        require<std::remove_const_t<typename ArrayOf<T>::Element>>();
    else if constexpr (fault == fault_of_part)
        require_fields<T>(typename FieldsOf<T>::Type{}, std::make_index_sequence<FieldsOf<T>::Type::count>());
    return fault == none;
}

}  // namespace layout

/// The same as PortableRecord<T>, for a static_assert: where it is false, the compiler says why, and in which field.
template <class T>
consteval bool require_portable_record() noexcept {
    return layout::require<std::remove_const_t<T>>();
}

namespace layout {

// What a type is, as the hash sees it. The numbers are part of every hash: none may change.
enum class Kind : std::uint8_t {
    boolean = 1,
    signed_number = 2,
    unsigned_number = 3,
    floating = 4,
    character = 5,  // char, whose sign differs between machines, and char8_t to char32_t
    byte = 6,
    enumeration = 7,
    array = 8,
    structure = 9,
    structure_end = 10,
    version = 11,
    same_build = 12,
};

// FNV-1a over words, each byte by byte from the low one on: see http://www.isthe.com/chongo/tech/comp/fnv/
class Hash {
public:
    constexpr void add(std::uint64_t word) noexcept {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            sum_ ^= (word >> shift) & 0xff;
            sum_ *= 0x100'0000'01b3;
        }
    }
    constexpr void add(Kind kind, std::uint64_t size) noexcept {
        add(static_cast<std::uint64_t>(kind));
        add(size);
    }
    [[nodiscard]] constexpr std::uint64_t sum() const noexcept { return sum_; }

private:
    std::uint64_t sum_ = 0xcbf2'9ce4'8422'2325;
};

template <class T>
consteval Kind kind_of_number() noexcept {
    using enum Kind;
    if (std::is_same_v<T, bool>) return boolean;
    if (std::is_same_v<T, char> || std::is_same_v<T, char8_t> || std::is_same_v<T, char16_t> ||
        std::is_same_v<T, char32_t>)
        return character;
    if (std::is_floating_point_v<T>) return floating;
    return std::is_signed_v<T> ? signed_number : unsigned_number;
}

template <class T>
constexpr void add(Hash& hash) noexcept;

template <class T, class... F>
constexpr void add_fields(Hash& hash, RecordFields<F...>) noexcept {
    hash.add(Kind::structure, sizeof(T));
    hash.add(alignof(T));
    std::size_t place = 0;
    ((hash.add(place), add<F>(hash), place += sizeof(F)), ...);
    hash.add(Kind::structure_end, sizeof...(F));
}

template <class T>
constexpr void add_version(Hash& hash) noexcept {
    if constexpr (requires { RecordTraits<T>::version; }) hash.add(Kind::version, RecordTraits<T>::version);
}

template <class T>
constexpr void add(Hash& hash) noexcept {
    if constexpr (ArrayOf<T>::is) {
        hash.add(Kind::array, ArrayOf<T>::extent);
        add<std::remove_const_t<typename ArrayOf<T>::Element>>(hash);
    } else if constexpr (std::is_same_v<T, std::byte>) {
        hash.add(Kind::byte, sizeof(T));
    } else if constexpr (std::is_enum_v<T>) {
        hash.add(Kind::enumeration, sizeof(T));
        hash.add(kind_of_number<std::underlying_type_t<T>>(), sizeof(T));
    } else if constexpr (std::is_arithmetic_v<T>) {
        hash.add(kind_of_number<T>(), sizeof(T));
    } else {
        add_fields<T>(hash, typename FieldsOf<T>::Type{});
    }
    add_version<T>(hash);
}

template <class T>
consteval std::uint64_t hash_of() noexcept {
    Hash hash;
    hash.add(std::endian::native == std::endian::little ? 1 : 2);
    add<T>(hash);
    return hash.sum();
}

}  // namespace layout

/// The same number wherever the layout of T is the same: whichever compiler, whichever of the machines. Made of what
/// RecordTraits say and what the head of this file says; a constant of this version of weir-ipc.
template <PortableRecord T>
[[nodiscard]] consteval std::uint64_t layout_hash() noexcept {
    return layout::hash_of<std::remove_const_t<T>>();
}

namespace layout {

// Of one build: what the compiler calls the type is known too.
template <class T>
consteval std::uint64_t same_build_hash() noexcept {
    Hash hash;
    hash.add(Kind::same_build, sizeof(T));
    hash.add(alignof(T));
    hash.add(sizeof(void*));
    for (const char* letter = __PRETTY_FUNCTION__; *letter != 0; ++letter)
        hash.add(static_cast<unsigned char>(*letter));
    add_version<T>(hash);
    return hash.sum();
}

}  // namespace layout

/// What two processes have to agree on to share records of T: layout_hash<T>(), or, where RecordTraits<T>::same_build says
/// so, the name and size of T. For any other type the compiler stops, and says why.
template <class T>
[[nodiscard]] consteval std::uint64_t record_layout() noexcept {
    if constexpr (layout::SameBuild<T>) {
        static_assert(std::is_trivially_copyable_v<T>, "a record is copied byte by byte");
        return layout::same_build_hash<T>();
    } else if constexpr (require_portable_record<T>()) {
        return layout_hash<T>();
    } else {
        return 0;  // never: it has stopped
    }
}

/// A span of time is the number of its ticks, and their length is part of the hash: seconds are no milliseconds.
template <class Rep, class Period>
struct RecordTraits<std::chrono::duration<Rep, Period>> {
    using Fields = RecordFields<Rep>;
    static constexpr std::uint64_t version = [] {
        layout::Hash hash;
        hash.add(static_cast<std::uint64_t>(Period::num));
        hash.add(static_cast<std::uint64_t>(Period::den));
        return hash.sum();
    }();
};

}  // namespace weir::ipc
