// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Catch2, whichever of its two living major versions the system has. Tests include this and never Catch2 itself.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
