// SPDX-License-Identifier: MIT
//
// Where the sockets, FIFOs and state of a service lie: one rule, the same for every process of one user.
//
//     1. $WEIR_RUNTIME_DIR, if it is set: an absolute path;
//     2. /run/weir/<uid>, if it exists, or /run/weir does and lets us make it;
//     3. $XDG_RUNTIME_DIR/weir, if that is set: an absolute path.
//
// A program that gained privileges by exec (AT_SECURE) ignores the environment. A directory is used only if it
// belongs to us or to root, and nobody may write to it beyond what its maker's mode allows.
#pragma once

#include "weir/core/name.hpp"
#include "weir/core/result.hpp"

#include <array>
#include <cstddef>
#include <string_view>
#include <sys/types.h>

namespace weir::ipc {

/// A path that fits into a unix socket's address: at most 107 bytes.
class RuntimePath {
public:
    static constexpr std::size_t size_max = 107;

    RuntimePath() noexcept = default;
    /// Errors: too_large (its size, the limit).
    static Result<RuntimePath> make(std::string_view text) noexcept;

    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] const char* c_str() const noexcept { return bytes_.data(); }

    /// Adds text to the end. Errors: too_large; then it is as before.
    Result<void> append(std::string_view text) noexcept;
    /// Where a file is made that is then renamed to this path, so that it appears whole: with '~' for the last letter,
    /// with which the file of no name ends. The path is not empty.
    [[nodiscard]] RuntimePath beside() const noexcept;

private:
    std::array<char, size_max + 1> bytes_{};
    std::size_t size_ = 0;
};

class RuntimeDirectory {
public:
    /// Finds the directory by the rule above; makes nothing. Errors: not_found (no rule applies), invalid (a path in
    /// the environment is not absolute), too_large.
    static Result<RuntimeDirectory> find() noexcept;
    /// A directory chosen by the caller instead. Errors: invalid (not absolute), too_large.
    static Result<RuntimeDirectory> at(std::string_view path) noexcept;

    /// Makes it with `mode` if it is not there, and checks it either way. Errors: denied (it belongs to somebody else,
    /// or others may write to it), invalid (no directory), not_found (no parent).
    Result<void> make(mode_t mode = 0700) const noexcept;

    [[nodiscard]] std::string_view path() const noexcept { return path_.view(); }
    [[nodiscard]] const char* c_str() const noexcept { return path_.c_str(); }
    /// Why it is this one, in a few words: "by WEIR_RUNTIME_DIR".
    [[nodiscard]] std::string_view reason() const noexcept { return reason_; }
    /// DIRECTORY/NAME followed by `suffix`, with each '/' of the name as '~', which no name contains. Errors: too_large.
    Result<RuntimePath> path_of(const Name& name, std::string_view suffix = {}) const noexcept;

private:
    RuntimeDirectory(const RuntimePath& path, std::string_view reason) noexcept
        : path_(path), reason_(reason) {}
    RuntimePath path_;
    std::string_view reason_;  // static text
};

}  // namespace weir::ipc
