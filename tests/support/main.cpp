// SPDX-License-Identifier: MIT
//
// The main of every test program. A listener counts test cases; after Catch2's own report the totals are printed in
// the form that tools/test reads. A program that ran nothing fails, so an empty suite cannot look like success.
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

#include "run.hpp"
#include "totals.hpp"
#include "uring_probe.hpp"

#include <cstdlib>
#include <string>

namespace {

using weir::test::totals;

#if defined(CATCH_VERSION_MAJOR) && CATCH_VERSION_MAJOR >= 3
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class Counter final : public ListenerBase {
public:
    using ListenerBase::ListenerBase;

    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        totals().note_end(name_of(*stats_info(stats)), stats.totals.testCases.failed != 0);
    }

private:
    // testInfo is a pointer in version 3 and an object in version 2.
    static const Catch::TestCaseInfo* stats_info(const Catch::TestCaseStats& stats) {
        return address_of(stats.testInfo);
    }
    static const Catch::TestCaseInfo* address_of(const Catch::TestCaseInfo& info) { return &info; }
    static const Catch::TestCaseInfo* address_of(const Catch::TestCaseInfo* info) { return info; }
    static std::string name_of(const Catch::TestCaseInfo& info) { return info.name; }
};

/// Why this program can run none of its tests here; empty when it can.
std::string reason_to_skip_all() {
    if (const char* asked = std::getenv("WEIR_SKIP_SUITE"); asked != nullptr) {
        return asked;
    }
    if (weir::test::backend_name() == "io_uring") {
        return weir::test::why_no_io_uring();
    }
    return {};
}

std::string suite_name(const char* program) {
    if (const char* name = std::getenv("WEIR_SUITE"); name != nullptr) {
        return name;
    }
    const std::string path{program};
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

CATCH_REGISTER_LISTENER(Counter)

int main(int argc, char** argv) {
    Catch::Session session;
    if (const int status = session.applyCommandLine(argc, argv); status != 0) {
        return status;
    }
    const auto& asked = session.configData();
    if (asked.listTests || asked.listTags || asked.listReporters || asked.showHelp) {
        return session.run();
    }
    int status = 0;
    if (const std::string reason = reason_to_skip_all(); !reason.empty()) {
        totals().note_none_run(Catch::getAllTestCasesSorted(session.config()).size(), reason);
    } else {
        status = session.run();
    }
    totals().print(stdout, suite_name(argv[0]));
    if (totals().passed() + totals().failed() + totals().skipped() == 0) {
        std::printf("no test ran\n");
        return 1;
    }
    return totals().failed() != 0 ? 1 : status;
}
