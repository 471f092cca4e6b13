// SPDX-License-Identifier: MIT
//
// A string that lies in a record: at most N characters, and how many of them there are.
//
//     struct Alarm { std::uint64_t raised_ns; weir::ipc::BoundedString<52> text; };
//     Alarm alarm{.raised_ns = now, .text = "pump 3 is dry"};         // too long: an error of the compiler
//     if (!alarm.text.assign(name)) …                                 // too long: nothing changed
//
// Trivially copyable, one layout on all machines. Characters are bytes of any value, zeros among them, and no zero ends
// them: view() says where they end, and never beyond the capacity, whatever a peer wrote. What lies behind the last one
// is zero.
#pragma once

#include "weir/ipc/types/bounded_vector.hpp"

#include <concepts>
#include <string_view>

namespace weir::ipc {

/// At most `capacity_max` characters: 4 bytes, and then the characters, up to a multiple of 4.
template <std::uint32_t capacity_max>
class BoundedString {
public:
    constexpr BoundedString() noexcept = default;
    /// Of a literal, whose length the compiler checks. Up to its first zero.
    template <std::size_t size>
    consteval BoundedString(const char (&literal)[size]) noexcept {  // NOLINT(google-explicit-constructor)
        static_assert(size <= capacity_max + std::size_t{1},
                      "the literal is too long for this BoundedString");
        static_cast<void>(assign(std::string_view(literal)));
    }

    [[nodiscard]] static constexpr std::uint32_t capacity() noexcept { return capacity_max; }
    [[nodiscard]] constexpr std::uint32_t size() const noexcept { return characters_.size(); }
    [[nodiscard]] constexpr bool empty() const noexcept { return characters_.empty(); }
    [[nodiscard]] constexpr std::string_view view() const noexcept {
        return {characters_.data(), characters_.size()};
    }

    /// False, and nothing changed, when it is too long.
    [[nodiscard]] constexpr bool assign(std::string_view text) noexcept {
        return characters_.assign({text.data(), text.size()});
    }
    /// As much of it as fits: for text that is read by people.
    constexpr void assign_cut(std::string_view text) noexcept {
        static_cast<void>(assign(text.substr(0, capacity_max)));
    }
    /// False, and nothing changed, when it would be too long.
    [[nodiscard]] constexpr bool append(std::string_view text) noexcept {
        const std::uint32_t before = size();
        if (text.size() > capacity_max - before) return false;
        static_cast<void>(characters_.resize(before + text.size()));
        std::copy(text.begin(), text.end(), characters_.data() + before);
        return true;
    }
    constexpr void clear() noexcept { characters_.clear(); }

    friend constexpr bool operator==(const BoundedString& left, const BoundedString& right) noexcept {
        return left.view() == right.view();
    }
    template <std::convertible_to<std::string_view> Text>
    friend constexpr bool operator==(const BoundedString& left, const Text& right) noexcept {
        return left.view() == std::string_view(right);
    }

private:
    friend RecordTraits<BoundedString>;
    BoundedVector<char, capacity_max> characters_;
};

template <std::uint32_t capacity_max>
struct RecordTraits<BoundedString<capacity_max>> {
    using Fields = RecordFields<BoundedVector<char, capacity_max>>;
    static constexpr std::uint64_t version = std::uint64_t{2} << 32;
};

}  // namespace weir::ipc
