// SPDX-License-Identifier: MIT
//
// A death at every store of a service: of the client, and of the server.
//
// A client that survives gets each reply that was written whole and once, and learns of the rest that its server is
// gone. A server that survives sees whole requests only, each of them once. Nobody sleeps for ever.
#pragma once

#include "ring/kill_harness.hpp"

namespace weir::test {

/// Kills the client at each of its stores.
[[nodiscard]] KillCounts kill_service_clients();
/// Kills the server at each of its stores.
[[nodiscard]] KillCounts kill_service_servers();

}  // namespace weir::test
