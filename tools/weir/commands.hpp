// SPDX-License-Identifier: MIT
//
// The commands of the program `weir`.
#pragma once

#include "seccomp.hpp"

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace weir::tool {

/// What this kernel offers, which backend results, the limits that will bite, and where names lie: a line for each (see
/// findings.hpp), then `fit` or `not fit`. 0 if everything will work, else 1. Changes nothing.
int doctor(std::FILE* out) noexcept;

/// What is alive, or was, in the runtime directory: a line for each name, below a head; nothing if there is none. 0, or
/// 1 where the directory cannot be looked at. `errors` gets a sentence then, and where there is no directory.
int list(std::FILE* out, std::FILE* errors = stderr) noexcept;

struct StatOptions {
    std::uint64_t every_ns = 0;  ///< 0: everything once; else a line of rates each so often
    std::uint64_t lines = 0;     ///< of rates; 0: without end
};
/// What the server of `name` says of itself. 0, or 1 and a sentence on standard error if it is not served, or not any
/// more.
int stat(std::FILE* out, std::string_view name, const StatOptions& options) noexcept;
/// "1s", "250ms"; nothing for any other text, and for no time at all.
[[nodiscard]] std::optional<std::uint64_t> span_ns(std::string_view text) noexcept;

struct SeccompOptions {
    enum class Format { systemd, oci, bpf };
    ProfileBackend backend = ProfileBackend::either;
    Format format = Format::systemd;
    /// Further calls, of the service's own code: names, or for `bpf` numbers.
    std::vector<std::string_view> also;
};
/// A filter that lets through what a weir service calls: lines for a unit of systemd, the `seccomp` object of the OCI
/// runtime specification (docker's --security-opt seccomp=FILE), or the kernel's own form for this architecture
/// (bubblewrap's --seccomp FD). 0, or 1 and a sentence on standard error.
int seccomp(std::FILE* out, const SeccompOptions& options);

/// Runs a program with $WEIR_BUDGET, and then says what each of its schedulers used: the frames of each task function, of
/// each limit how much at most, with a warning from 80 % on, and the text of a Budget that would do. The program's exit
/// status, or 128 and the signal that ended it; 127 if there is no such program; 1 where it succeeded but no scheduler
/// started. SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed on to it; SIGINT and SIGQUIT, which a terminal sends to both,
/// are left to it.
int budget(std::FILE* out, std::span<char* const> command);
/// The same of a file that $WEIR_BUDGET named, of programs that may still run. 0, or 1 and a sentence on standard error
/// where there is nothing to tell.
int read_budget(std::FILE* out, const char* path);

}  // namespace weir::tool
