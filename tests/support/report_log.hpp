// SPDX-License-Identifier: MIT
#pragma once

#include <weir/core/report.hpp>

#include "support/heap_guard.hpp"

#include <string>
#include <string_view>

namespace weir::test {

/// Keeps what is reported while it lives.
struct Log {
    Log() {
        set_report(
            [](std::string_view line, void* context) noexcept {
                const HeapPermit permit;
                *static_cast<std::string*>(context) += std::string(line) + '\n';
            },
            &lines);
    }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log() { set_report(nullptr, nullptr); }
    std::string lines;
};

}  // namespace weir::test
