// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include <weir/version.hpp>

#include <cstdio>
#include <string_view>

namespace {

constexpr const char* usage =
    "usage: weir doctor       what this machine offers, and what will not work; exit status 1 if something "
    "will not\n"
    "       weir --version\n";

int wrong_usage() {
    std::fputs(usage, stderr);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return wrong_usage();
    const std::string_view command = argv[1];
    if (command == "doctor" && argc == 2) return weir::tool::doctor(stdout);
    if (command == "--version") {
        const weir::Version version = weir::library_version();
        std::printf("weir %d.%d.%d\n", version.major_number, version.minor_number, version.patch_number);
        return 0;
    }
    if (command == "--help") {
        std::fputs(usage, stdout);
        return 0;
    }
    return wrong_usage();
}
