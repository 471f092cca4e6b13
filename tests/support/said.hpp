// SPDX-License-Identifier: MIT
#pragma once

#include <weir/core/error.hpp>

#include <string>

namespace weir::test {

/// How an await ended, in a word or two: "value", or the text of its error's code.
template <class R>
[[nodiscard]] std::string said(const R& result) {
    return result ? "value" : std::string(text(result.error().code));
}

}  // namespace weir::test
