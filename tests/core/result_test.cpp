// SPDX-License-Identifier: MIT
#include <weir/core/result.hpp>

#include "support/catch.hpp"

#include <map>
#include <memory>
#include <string>

using weir::Errc;
using weir::Result;

namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return weir::failure(Errc::invalid, "half", static_cast<std::uint64_t>(number));
    return number / 2;
}

Result<std::string> quarter_text(int number) {
    WEIR_TRY(const int first, half(number));
    WEIR_TRY(auto second, half(first));
    return std::to_string(second);
}

Result<void> check_quarter(int number) {
    WEIR_TRY(const auto text, quarter_text(number));
    return text.empty() ? Result<void>(weir::failure(Errc::invalid, "empty")) : Result<void>{};
}

Result<std::unique_ptr<int>> boxed(int number) {
    return std::make_unique<int>(number);
}

Result<int> unboxed(int number) {
    WEIR_TRY(const auto box, boxed(number));
    return *box;
}

}  // namespace

TEST_CASE("WEIR_TRY declares the value of a result") {
    const auto text = quarter_text(12);
    REQUIRE(text);
    CHECK(*text == "3");
}

TEST_CASE("WEIR_TRY returns the error unchanged, whatever the value types are") {
    const auto text = quarter_text(14);
    REQUIRE(!text);
    CHECK(text.error() == Errc::invalid);
    CHECK(std::string(text.error().operation) == "half");
    CHECK(text.error().a == 7);
    const auto checked = check_quarter(14);
    REQUIRE(!checked);
    CHECK(checked.error().a == 7);
}

TEST_CASE("WEIR_TRY moves a move-only value") {
    const auto number = unboxed(42);
    REQUIRE(number);
    CHECK(*number == 42);
}

TEST_CASE("the expression given to WEIR_TRY may contain commas") {
    // The declaration is one macro argument; the expression is all the rest.
    const auto size = []() -> Result<std::size_t> {
        WEIR_TRY(const auto map, Result<std::map<int, int>>(std::map<int, int>{{1, 2}, {3, 4}}));
        return map.size();
    }();
    REQUIRE(size);
    CHECK(*size == 2);
}

TEST_CASE("failure makes the error side of any result") {
    const Result<void> nothing = weir::failure(Errc::too_large, "send", 5, 4);
    const Result<std::string> text = weir::failure(nothing.error());
    REQUIRE(!text);
    CHECK(text.error() == Errc::too_large);
    CHECK(text.error().a == 5);
    CHECK(text.error().b == 4);
}
