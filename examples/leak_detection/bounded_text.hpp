// SPDX-License-Identifier: MIT
//
// Text of bounded length, built without heap, locale or printf.
//
// A BoundedText<N> holds at most N characters; what does not fit is cut, never an error: it carries messages
// for people. It is copied by value. Numbers are written by std::to_chars, so a program's locale cannot turn
// `0.870` into `0,870`. Text that came from outside goes through append_quoted, which shows control
// characters and bytes above 0x7e as `\xNN`, so that an error message can never steer a terminal.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leak {

template <std::size_t Capacity>
class BoundedText {
public:
    BoundedText() = default;
    explicit BoundedText(std::string_view text) { append(text); }

    static constexpr std::size_t capacity() { return Capacity; }
    std::string_view view() const { return {characters_.data(), size_}; }
    bool empty() const { return size_ == 0; }
    void clear() { size_ = 0; }

    BoundedText& append(char character) {
        if (size_ < Capacity) characters_[size_++] = character;
        return *this;
    }

    BoundedText& append(std::string_view text) {
        for (const char character : text) append(character);
        return *this;
    }

    BoundedText& append(const char* text) { return append(std::string_view{text}); }

    template <std::integral Integer>
    BoundedText& append(Integer value) {
        std::array<char, 24> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        return append(std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())});
    }

    /// `value` with exactly `decimals` digits after the point; values of more than 1e15 in scientific
    /// notation.
    BoundedText& append_fixed(double value, int decimals) {
        std::array<char, 48> digits;
        const bool huge = !(value > -1e15 && value < 1e15);
        const auto format = huge ? std::chars_format::scientific : std::chars_format::fixed;
        const auto result =
            std::to_chars(digits.data(), digits.data() + digits.size(), value, format, decimals);
        if (result.ec != std::errc{}) return append("?");
        return append(std::string_view{digits.data(), static_cast<std::size_t>(result.ptr - digits.data())});
    }

    /// Two digits, as in dates.
    BoundedText& append_two_digits(unsigned value) {
        append(static_cast<char>('0' + value / 10 % 10));
        return append(static_cast<char>('0' + value % 10));
    }

    /// Foreign text in quotes: at most `characters_max` of it, then `...`; unprintable bytes as \xNN.
    BoundedText& append_quoted(std::string_view text, std::size_t characters_max = 32) {
        constexpr std::string_view hexadecimal = "0123456789abcdef";
        append('"');
        for (const char character : text.substr(0, characters_max)) {
            const auto byte = static_cast<unsigned char>(character);
            if (byte >= 0x20 && byte < 0x7f) {
                append(character);
            } else {
                append("\\x").append(hexadecimal[byte >> 4]).append(hexadecimal[byte & 15]);
            }
        }
        append('"');
        if (text.size() > characters_max) append("...");
        return *this;
    }

private:
    std::array<char, Capacity> characters_{};
    std::size_t size_ = 0;
};

}  // namespace leak
