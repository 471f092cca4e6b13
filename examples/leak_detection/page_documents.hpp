// SPDX-License-Identifier: MIT
//
// The files of page/, as they were when this was built.
#pragma once

#include <span>

namespace leak {

extern const std::span<const unsigned char> page_html;
extern const std::span<const unsigned char> page_css;
extern const std::span<const unsigned char> page_js;

}  // namespace leak
