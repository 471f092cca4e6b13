// SPDX-License-Identifier: MIT
/// \file
/// What meson compiles once for all tests: Catch2, and weir's public headers, which take a tenth of most tests' time. A
/// test still names what it uses.

#include "../support/catch.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <tl/expected.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
