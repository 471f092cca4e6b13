// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include "names.hpp"

#include <algorithm>
#include <cinttypes>

namespace weir::tool {
namespace {

void print_error(const Error& error) {
    char text[160];
    error.message(text);
    std::fprintf(stderr, "weir: %s\n", text);
}

}  // namespace

int list(std::FILE* out, std::FILE* errors) noexcept {
    const auto directory = ipc::RuntimeDirectory::find();
    if (!directory) {
        print_error(directory.error());
        return 1;
    }
    const auto names = look_around(*directory);
    if (!names && names.error() == Errc::not_found) {
        // No server ever was, or it was told another place than we are.
        std::fprintf(errors, "weir: there is no %s (%.*s)\n", directory->c_str(),
                     static_cast<int>(directory->reason().size()), directory->reason().data());
        return 0;
    }
    if (!names) {
        print_error(names.error());
        return 1;
    }
    if (names->empty()) return 0;
    std::size_t width = 4;
    for (const NameFound& each : *names) width = std::max(width, each.name.size());
    const int columns = static_cast<int>(width);
    std::fprintf(out, "%-*s  %-10s  %-6s  %8s  %6s  %s\n", columns, "NAME", "KIND", "STATE", "PID", "UID",
                 "PEERS");
    for (const NameFound& each : *names) {
        const bool live = each.state == NameFound::State::live;
        const std::string pid = each.pid != 0 ? std::to_string(each.pid) : "-";
        std::string kind = live ? kind_of(each.stat.object) : "-";
        std::string peers = live ? std::to_string(each.stat.peers) : "-";
        if (each.named_ring) {
            kind = "named-ring";
            peers =
                each.ring ? std::to_string(int{each.ring->writer.held} + int{each.ring->reader.held}) : "-";
        }
        std::fprintf(out, "%-*s  %-10s  %-6s  %8s  %6" PRIu32 "  %s\n", columns, each.name.c_str(),
                     kind.c_str(), text(each.state), pid.c_str(), each.uid, peers.c_str());
    }
    return 0;
}

}  // namespace weir::tool
