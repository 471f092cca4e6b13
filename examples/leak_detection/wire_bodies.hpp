// SPDX-License-Identifier: MIT
//
// What follows a record's header: the fields of each kind.
#pragma once

#include "little_endian.hpp"
#include "wire.hpp"

#include <cstddef>
#include <span>

namespace leak {

/// Writes the fields of the record's kind, as many bytes as its width in wire.hpp says.
void put_body(ByteWriter& writer, const Record& record);

/// Reads the fields of the kind that `record` is already. False if the bytes are more or fewer, or a value is out of
/// range; `record` then has no meaning.
bool take_body(std::span<const std::byte> bytes, Record& record);

}  // namespace leak
