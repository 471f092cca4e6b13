// SPDX-License-Identifier: MIT
//
// Records of open-ended arrays, nested tables and lists, by FlatBuffers: built in memory that the caller has, and
// verified before they are read. For programs that have FlatBuffers (2.0.8 or later) and its compiler flatc; weir itself
// does not need it, and no other header includes this one.
//
//     FlatWriter writer(slot.bytes());
//     const auto name = writer.string("left");
//     const auto ranges = writer.vector(std::span<const float>(measured));
//     const auto scan = writer.table(CreateScan, taken_ns, name, ranges);      // flatc made CreateScan of a schema
//     WEIR_TRY(const std::size_t size, writer.finish(scan));                   // too_large: the slot was too small
//     slot.commit(size);
//
//     WEIR_TRY(const Scan* scan, read_flat<Scan>(record.bytes(), copy));       // corrupt: it is no Scan
//     for (const float range : flat_items(scan->ranges_m())) …
//
// Building: FlatBuffers' own builder takes memory from an allocator as it goes, and has no answer to an allocator that
// has none left. So each step is measured before it is taken: the most that a string, a vector or a table can need is
// known from its arguments. A step that might not fit is left out, and so is all that follows, and finish() says so. A
// few bytes may stay unused; the builder never asks for more than it was given.
//
// Reading: FlatBuffers' accessors follow offsets that the writer wrote. They are safe only in memory that nobody
// changes, after it was verified; both are done here: a copy, and a check of every offset and size, bounded in depth and
// number, so that no record takes for ever. Two things are left to the reader. A field that the schema does not call
// (required) may be absent, and its accessor is null then. And the verifier does not look at the alignment of a vector's
// elements: one of 8-byte elements may lie on any multiple of 4. flat_items() minds both.
#pragma once

#include "weir/core/assert.hpp"
#include "weir/core/bytes.hpp"
#include "weir/core/result.hpp"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::ipc {

/// Memory of FlatBuffers begins on such a boundary, and nothing in it needs a larger one: no `force_align` beyond 8.
inline constexpr std::size_t flat_alignment = 8;

/// How many fields of a table may be deprecated, or skipped by `id`. One more, and building such a table is an assertion.
inline constexpr std::size_t flat_skipped_fields_max = 32;

namespace flat {

// What FlatBuffers counts with.
using Size = flatbuffers::uoffset_t;

template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <class T>
concept Struct = std::is_class_v<T> && std::is_trivially_copyable_v<T> && alignof(T) <= flat_alignment;

/// The most that one field of a table takes: itself, what aligns it, and a note of where it is.
template <class T>
inline constexpr std::size_t field_bytes_max = 0;
template <Scalar T>
inline constexpr std::size_t field_bytes_max<T> = 2 * sizeof(T) + 8;
template <Scalar T>
inline constexpr std::size_t field_bytes_max<flatbuffers::Optional<T>> = field_bytes_max<T>;
template <class T>
inline constexpr std::size_t field_bytes_max<flatbuffers::Offset<T>> = field_bytes_max<Size>;
template <Struct T>
inline constexpr std::size_t field_bytes_max<const T*> = sizeof(T) + alignof(T) + 8;

/// What a table of so many fields has to say where they are.
template <std::size_t fields>
inline constexpr std::size_t field_table_bytes_max = 2 * (2 + fields + flat_skipped_fields_max);

/// The most that a table takes: its fields, the way to its table of fields, that table, and a note of where that is.
template <class... Field>
inline constexpr std::size_t table_bytes_max = (field_bytes_max<Field> + ... + 0) +
                                               2 * sizeof(Size) + field_table_bytes_max<sizeof...(Field)> +
                                               sizeof(Size);

// The length of a vector or string, a string's end, and what aligns them.
inline constexpr std::size_t length_bytes_max = 24;
// The way to the root, the identifier, and what aligns the whole.
inline constexpr std::size_t finish_bytes_max = 24;

inline void* address(const std::byte* bytes) noexcept {
    return const_cast<std::byte*>(bytes);
}

/// Gives the builder what the caller has, once.
class Memory final : public flatbuffers::Allocator {
public:
    explicit Memory(Bytes bytes) noexcept : bytes_(bytes) {}

    std::uint8_t* allocate(std::size_t size) override {
        WEIR_ASSERT(size <= bytes_.size() && !std::exchange(given_, true) &&
                    "FlatBuffers wants more than was measured");
        return static_cast<std::uint8_t*>(address(bytes_.data()));
    }
    void deallocate(std::uint8_t*, std::size_t) override {}

private:
    Bytes bytes_;
    bool given_ = false;
};

class Builder : public flatbuffers::FlatBufferBuilder {
public:
    explicit Builder(std::size_t size, Memory& memory)
        : FlatBufferBuilder(size, &memory, false, flat_alignment) {
        buf_.ensure_space(1);  // it has all of it from now on
    }
    [[nodiscard]] std::size_t used() const noexcept { return buf_.size() + buf_.scratch_size(); }
    [[nodiscard]] std::size_t room() const noexcept { return buf_.capacity() - used(); }
};

/// The type that a vector of T has in a schema.
template <class T>
struct InVector {
    using Type = T;
};
template <>
struct InVector<bool> {
    using Type = std::uint8_t;
};
template <>
struct InVector<std::byte> {
    using Type = std::uint8_t;
};

template <class T>
inline constexpr bool is_offset = false;
template <class T>
inline constexpr bool is_offset<flatbuffers::Offset<T>> = true;

}  // namespace flat

/// Builds one FlatBuffer in a buffer of the caller's, from its leaves to its root. Takes no heap, makes no system call.
///
/// string(), vector() and table() return where they put something, to be given to the tables above it. Once something did
/// not fit they do nothing and return null, and finish() gives the error: nothing in between needs to be looked at.
class FlatWriter {
public:
    /// `buffer` begins on a multiple of flat_alignment and outlives the writer. What is not used of it keeps remains of
    /// the building.
    explicit FlatWriter(Bytes buffer) noexcept
        : buffer_(buffer), memory_(usable(buffer)), builder_(usable(buffer).size(), memory_) {
        WEIR_ASSERT(reinterpret_cast<std::uintptr_t>(buffer.data()) % flat_alignment == 0);
    }
    FlatWriter(const FlatWriter&) = delete;
    FlatWriter& operator=(const FlatWriter&) = delete;

    /// Characters of any value; FlatBuffers ends them with a zero besides.
    [[nodiscard]] flatbuffers::Offset<flatbuffers::String> string(std::string_view text) noexcept {
        if (!fits(text.size(), 1, flat::length_bytes_max)) return {};
        return builder_.CreateString(text.data(), text.size());
    }

    /// Of numbers, bools, bytes or enums, of structures of the schema, or of what string() and table() returned, none of
    /// them null. Any array, span or BoundedVector of them.
    template <std::ranges::contiguous_range Items>
        requires std::ranges::sized_range<Items>
    [[nodiscard]] auto vector(const Items& items) noexcept {
        using Item = std::ranges::range_value_t<Items>;
        const Item* const first = std::ranges::data(items);
        const auto count = static_cast<std::size_t>(std::ranges::size(items));
        const bool fit = fits(count, sizeof(Item), flat::length_bytes_max);
        if constexpr (flat::is_offset<Item>) {
            using Vector = flatbuffers::Offset<flatbuffers::Vector<Item>>;
            if (!fit) return Vector();
            WEIR_ASSERT(std::none_of(first, first + count, [](Item item) { return item.IsNull(); }) &&
                        "a vector of tables or strings has no place for none");
            return builder_.CreateVector(first, count);
        } else if constexpr (flat::Scalar<Item>) {
            using Stored = typename flat::InVector<Item>::Type;
            if (!fit) return flatbuffers::Offset<flatbuffers::Vector<Stored>>();
            const void* const stored = first;
            return builder_.CreateVector(static_cast<const Stored*>(stored), count);
        } else {
            static_assert(flat::Struct<Item>,
                          "not a number, nor a structure of a schema, nor something made before");
            if (!fit) return flatbuffers::Offset<flatbuffers::Vector<const Item*>>();
            return builder_.CreateVectorOfStructs(first, count);
        }
    }

    /// Calls `create`, a function `CreateX` of flatc's, with all the fields of X: numbers, enums, pointers to structures,
    /// and what was returned before. `{}` leaves out what is none of the first two.
    template <class X, class... Field>
    [[nodiscard]] flatbuffers::Offset<X> table(
        flatbuffers::Offset<X> (*create)(flatbuffers::FlatBufferBuilder&, Field...),
        std::type_identity_t<Field>... fields) noexcept {
        static_assert(((flat::field_bytes_max<Field> > 0) && ...),
                      "strings and vectors are made first, by string() and vector()");
        if (!fits(1, flat::table_bytes_max<Field...>, 0)) return {};
        const flatbuffers::Offset<X> made = create(builder_, fields...);
        WEIR_ASSERT(field_table_bytes(made.o) <= flat::field_table_bytes_max<sizeof...(Field)> &&
                    "a table with more than flat_skipped_fields_max fields that are deprecated or skipped");
        return made;
    }

    /// False: something did not fit, and finish() will say so.
    [[nodiscard]] bool fits() const noexcept { return wanted_ == 0; }

    /// `root` is the whole; `identifier` the schema's file_identifier, four characters, or null. Returns the size of the
    /// FlatBuffer, which now begins where the buffer begins. The writer is of no use afterwards. Errors: too_large (a =
    /// bytes that were wanted when it did not fit, b = the size of the buffer).
    template <class X>
    [[nodiscard]] Result<std::size_t> finish(flatbuffers::Offset<X> root,
                                             const char* identifier = nullptr) noexcept {
        if (!fits(1, flat::finish_bytes_max, 0))
            return failure(Errc::too_large, "flat write", wanted_, buffer_.size());
        WEIR_ASSERT(!root.IsNull() && "a FlatBuffer without a root");
        builder_.Finish(root, identifier);
        const std::size_t size = builder_.GetSize();
        std::memmove(buffer_.data(), builder_.GetBufferPointer(), size);
        return size;
    }

private:
    static constexpr std::size_t size_max = 0x7fff'fff0;  // offsets have 31 bits

    [[nodiscard]] Bytes usable(Bytes buffer) noexcept {
        if (buffer.size() < flat_alignment) return small_;
        return buffer.first(std::min(buffer.size(), size_max) / flat_alignment * flat_alignment);
    }
    [[nodiscard]] bool fits(std::size_t count, std::size_t each, std::size_t besides) noexcept {
        if (wanted_ != 0) return false;
        const std::size_t room = builder_.room();
        if (room >= besides && (room - besides) / each >= count) return true;
        const std::uint64_t wanted = std::uint64_t{count} * each + besides + builder_.used();
        wanted_ = (wanted + flat_alignment - 1) / flat_alignment * flat_alignment;
        return false;
    }
    /// Of a table that was just made.
    [[nodiscard]] std::size_t field_table_bytes(flat::Size made) const noexcept {
        const std::uint8_t* const at = builder_.GetCurrentBufferPointer() + (builder_.GetSize() - made);
        return flatbuffers::ReadScalar<flatbuffers::voffset_t>(
            at - flatbuffers::ReadScalar<flatbuffers::soffset_t>(at));
    }

    alignas(flat_alignment)
        std::array<std::byte, flat_alignment> small_{};  // for a buffer that is less than that
    Bytes buffer_;
    std::uint64_t wanted_ = 0;
    flat::Memory memory_;
    flat::Builder builder_;
};

/// What a FlatBuffer may be at most to be read. Verifying looks at each table as often as it is referred to, so it takes at
/// most tables_max times the time of one look at all bytes.
struct FlatLimits {
    std::uint32_t depth_max = 16;      ///< tables in tables
    std::uint32_t tables_max = 1'000;  ///< in all, each as often as it is referred to
};

/// `bytes`, which begin on a multiple of flat_alignment and which nobody else can change, as a FlatBuffer whose root is an
/// X. The pointer is valid as long as they are. `identifier`: the schema's file_identifier, or null. Errors: corrupt (it is
/// none, or goes beyond the limits), mismatch (another identifier; a = ours, b = theirs, as 32-bit numbers), too_large
/// (beyond 2 GiB). Takes no heap. A field with the attribute nested_flatbuffer is verified with FlatBuffers' own limits.
template <class X>
[[nodiscard]] Result<const X*> verify_flat(ConstBytes bytes, const FlatLimits& limits = {},
                                           const char* identifier = nullptr) noexcept {
    constexpr const char* operation = "flat read";
    WEIR_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % flat_alignment == 0);
    if (bytes.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
        return failure(Errc::too_large, operation, bytes.size(), FLATBUFFERS_MAX_BUFFER_SIZE - 1);
    const auto* const begin = static_cast<const std::uint8_t*>(flat::address(bytes.data()));
    flatbuffers::Verifier::Options options;
    options.max_depth = limits.depth_max;
    options.max_tables = limits.tables_max;
    flatbuffers::Verifier verifier(begin, bytes.size(), options);
    if (bytes.size() < 2 * sizeof(flat::Size)) return failure(Errc::corrupt, operation);
    if (identifier != nullptr && !flatbuffers::BufferHasIdentifier(begin, identifier)) {
        flat::Size ours = 0;
        flat::Size theirs = 0;
        std::memcpy(&ours, identifier, sizeof(ours));
        std::memcpy(&theirs, begin + sizeof(flat::Size), sizeof(theirs));
        return failure(Errc::mismatch, "flat read, identifier", ours, theirs);
    }
    if (!verifier.VerifyBuffer<X>(nullptr)) return failure(Errc::corrupt, operation);
    return flatbuffers::GetRoot<X>(begin);
}

/// Copies `record`, which a peer may still change, to the beginning of `copy`, and then as verify_flat() of that. Errors:
/// those, and too_large (a = the size of the record, b = of the copy).
template <class X>
[[nodiscard]] Result<const X*> read_flat(ConstBytes record, Bytes copy, const FlatLimits& limits = {},
                                         const char* identifier = nullptr) noexcept {
    if (record.size() > copy.size()) return failure(Errc::too_large, "flat read", record.size(), copy.size());
    if (!record.empty()) std::memcpy(copy.data(), record.data(), record.size());
    return verify_flat<X>(copy.first(record.size()), limits, identifier);
}

/// The elements of a vector, wherever they lie; none of a vector that is absent. Numbers, enums and structures are
/// copied out, tables and strings are pointers.
template <class T>
class FlatItems {
    static constexpr bool refers = flat::is_offset<T>;

public:
    using Value = std::conditional_t<refers, typename flatbuffers::IndirectHelper<T>::return_type,
                                     std::remove_const_t<std::remove_pointer_t<T>>>;

    explicit FlatItems(const flatbuffers::Vector<T>* vector) noexcept
        : first_(vector == nullptr ? nullptr : vector->Data()),
          size_(vector == nullptr ? 0 : vector->size()) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// An index that is out of range is an assertion.
    [[nodiscard]] Value operator[](std::size_t index) const noexcept {
        WEIR_ASSERT(index < size_);
        if constexpr (refers) {
            return flatbuffers::IndirectHelper<T>::Read(first_, static_cast<flat::Size>(index));
        } else {
            Value item;
            std::memcpy(static_cast<void*>(&item), first_ + index * sizeof(Value), sizeof(Value));
            return item;
        }
    }

    class Iterator {
    public:
        using value_type = Value;
        using difference_type = std::ptrdiff_t;
        Iterator() noexcept = default;
        Iterator(const FlatItems& items, std::size_t index) noexcept : items_(&items), index_(index) {}
        [[nodiscard]] Value operator*() const noexcept { return (*items_)[index_]; }
        Iterator& operator++() noexcept {
            ++index_;
            return *this;
        }
        Iterator operator++(int) noexcept {
            Iterator before = *this;
            ++index_;
            return before;
        }
        friend bool operator==(const Iterator& left, const Iterator& right) noexcept {
            return left.index_ == right.index_;
        }

    private:
        const FlatItems* items_ = nullptr;
        std::size_t index_ = 0;
    };
    /// Valid as long as this FlatItems is.
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(*this, 0); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(*this, size_); }

private:
    const std::uint8_t* first_;
    std::size_t size_;
};

/// The elements of a vector field, or of none where the field is absent.
template <class T>
[[nodiscard]] FlatItems<T> flat_items(const flatbuffers::Vector<T>* vector) noexcept {
    return FlatItems<T>(vector);
}
/// The characters of a string field, or none where it is absent.
[[nodiscard]] inline std::string_view flat_text(const flatbuffers::String* text) noexcept {
    return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

}  // namespace weir::ipc
