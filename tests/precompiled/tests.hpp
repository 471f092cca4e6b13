// SPDX-License-Identifier: MIT
/// \file
/// What meson compiles once for all tests: Catch2, and the standard headers that weir's public headers need. None of
/// weir's own is here, or every change of one would compile every test again. A test still names what it uses.

#include "../support/catch.hpp"

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
