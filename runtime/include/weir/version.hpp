// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// The version of weir: of the headers at compile time, of the library at run time.

#include <compare>

namespace weir {

/// A version in three numbers, compared as semantic versioning does.
struct Version {
    int major_number;
    int minor_number;
    int patch_number;

    friend constexpr bool operator==(const Version&, const Version&) = default;
    friend constexpr auto operator<=>(const Version&, const Version&) = default;
};

/// The version of the headers that the including file was compiled with.
inline constexpr Version header_version{0, 1, 0};

/// The version of the library that the program runs with. Makes no system call.
[[nodiscard]] Version library_version() noexcept;

}  // namespace weir
