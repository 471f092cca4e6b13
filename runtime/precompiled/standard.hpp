// SPDX-License-Identifier: MIT

/// \file
/// What meson compiles once for a library: the standard headers, and tl::expected, that its sources and weir's public
/// headers use most. It saves half of what they take to compile, and nothing may lean on it: each file includes what it
/// uses, and the configuration `no-liburing` of tools/test compiles without this.

#include <tl/expected.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
