// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// What processes share, above the runtime, for users to include at once.

#include <weir/ipc/names/runtime_directory.hpp>
#include <weir/version.hpp>
