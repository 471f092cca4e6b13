// SPDX-License-Identifier: MIT
//
// The log hook.
//
// weir itself is silent but for what it must not hide: errors that a task handed to report(), a task that held
// the thread too long, a program that does not stop. Each is one line of text. By default it goes to standard
// error; a service with a log of its own sets the hook once, at start.
#pragma once

#include "weir/core/error.hpp"

#include <string_view>

namespace weir {

/// `line` has no newline and lives until the function returns.
using ReportFunction = void (*)(std::string_view line, void* context) noexcept;

/// Process-wide; null restores the default (one write(2) to standard error, with a newline). The function may
/// be called from any thread that runs weir and must not block.
void set_report(ReportFunction function, void* context) noexcept;

/// Hands one line to the hook. Makes a system call (write) where no hook is set.
void report(std::string_view line) noexcept;
/// The same with Error::message(), cut to 255 bytes.
void report(const Error& error) noexcept;

}  // namespace weir
