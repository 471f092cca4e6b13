// SPDX-License-Identifier: MIT
//
// One program of libFuzzer for all targets. WEIR_FUZZ_TARGET says which; with WEIR_FUZZ_SEEDS=FOLDER it only writes the
// target's seeds there. The rest is libFuzzer's: -runs=N, -max_total_time=SECONDS, a corpus folder, or a file to try again.
#include "fuzz/target.hpp"

#include <fstream>
#include <string>

namespace {

const weir::fuzz::Target* chosen() {
    using namespace weir::fuzz;
    const char* const name = std::getenv("WEIR_FUZZ_TARGET");
    for (const Target* target : {&hello, &ring, &record})
        if (name != nullptr && std::strcmp(target->name, name) == 0) return target;
    std::fprintf(stderr, "WEIR_FUZZ_TARGET names one of: hello, ring, record\n");
    std::exit(2);
}

const weir::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t);

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    target = chosen();
    const char* const folder = std::getenv("WEIR_FUZZ_SEEDS");
    if (folder == nullptr) return 0;
    int number = 0;
    for (const auto& seed : target->seeds()) {
        std::ofstream file(std::string(folder) + "/seed" + std::to_string(number++), std::ios::binary);
        for (const std::byte byte : seed) file.put(static_cast<char>(byte));
        if (!file.flush()) std::exit(1);
    }
    std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    target->try_one(std::as_bytes(std::span(data, size)));
    return 0;
}
