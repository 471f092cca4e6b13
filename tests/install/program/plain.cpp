// SPDX-License-Identifier: MIT
//
// A user's program without exceptions and RTTI.
#include <weir/ipc.hpp>
#include <weir/version.hpp>

#include <cstdio>

int main() {
    const weir::Version version = weir::library_version();
    // Something of each library, or the linker could leave one out.
    if (!weir::ipc::RuntimeDirectory::at("/run/elsewhere")) return 1;
    std::printf("plain on weir %d.%d.%d\n", version.major_number, version.minor_number, version.patch_number);
    return version == weir::header_version ? 0 : 1;
}
