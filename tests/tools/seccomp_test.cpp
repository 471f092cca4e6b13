// SPDX-License-Identifier: MIT
//
// That the list is long enough is shown by the suites, which run under its filters (support/under_profile.cpp).
#include "commands.hpp"
#include "printed.hpp"
#include "seccomp.hpp"
#include "system_calls.hpp"

#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include <weir/weir.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <sys/syscall.h>
#include <unistd.h>

using weir::test::Printed;
using weir::test::run_in_child;
using weir::tool::ProfileBackend;
using weir::tool::SeccompOptions;

namespace {

constexpr int no_filter_status = 100;

/// Runs `body` in a child under the filter; it has to return zero.
template <class Body>
void expect_zero_under(ProfileBackend backend, Body body, std::vector<long> also = {}) {
    const auto end = run_in_child([&] {
        ::unsetenv("WEIR_BACKEND");
        const auto filter = weir::tool::make_filter(backend, also);
        if (!filter || !weir::tool::install_filter(*filter)) return no_filter_status;
        return body();
    });
    if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
    INFO(end.errors);
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}
bool refused(long number) {
    errno = 0;
    return ::syscall(number, -1, -1, -1, -1) == -1 && errno == EPERM;
}

weir::Task<> echo_once(weir::Scheduler&) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    std::array<std::byte, 4> buffer;
    WEIR_CO_CHECK(pipe.writer.write_all(weir::bytes_of("weir")));
    WEIR_CO_CHECK(pipe.reader.read_exactly(buffer));
    WEIR_CO_CHECK(weir::sleep_for(std::chrono::milliseconds(1)));
}
int serves_on(std::string_view backend) {
    const auto scheduler = std::make_unique<weir::StaticScheduler<weir::small_budget>>();
    if (!scheduler->start() || scheduler->backend_name() != backend) return 1;
    return scheduler->run(echo_once(*scheduler)) ? 0 : 2;
}

bool contains(const std::vector<std::string>& lines, const std::string& wanted) {
    return std::find(lines.begin(), lines.end(), wanted) != lines.end();
}

}  // namespace

TEST_CASE("under a profile calls outside of it are refused, and those named besides are not") {
    expect_zero_under(ProfileBackend::either, [] {
        return refused(SYS_setdomainname) && refused(SYS_getrusage) && refused(SYS_acct) ? 0 : 1;
    });
    expect_zero_under(ProfileBackend::either,
                      [] { return refused(SYS_setdomainname) && !refused(SYS_getrusage) ? 0 : 1; },
                      {SYS_getrusage});
}

TEST_CASE("a backend's profile refuses the other backend's calls, and either of them serves") {
    expect_zero_under(ProfileBackend::epoll, [] { return refused(425) && refused(426) ? 0 : 1; });
    expect_zero_under(ProfileBackend::epoll, [] { return serves_on("epoll"); });
    expect_zero_under(ProfileBackend::io_uring, [] { return refused(SYS_epoll_create1) ? 0 : 1; });
    if (const std::string reason = weir::test::why_no_io_uring(); !reason.empty()) weir::test::skip(reason);
    expect_zero_under(ProfileBackend::io_uring, [] { return serves_on("io_uring"); });
    expect_zero_under(ProfileBackend::either, [] { return serves_on("io_uring"); });
}

TEST_CASE("the list has the 64-bit time calls of 32-bit ARM, and the old ones") {
    const auto names = weir::tool::allowed_names(ProfileBackend::either);
    for (const char* name :
         {"clock_gettime64", "clock_nanosleep_time64", "futex_time64", "ppoll_time64", "mq_timedsend_time64",
          "mq_timedreceive_time64", "futex", "fcntl64", "fstat64", "mmap2", "_llseek", "ftruncate64",
          "setresuid32", "ugetrlimit", "sigreturn", "set_tls"}) {
        INFO(name);
        CHECK(std::find(names.begin(), names.end(), name) != names.end());
    }
    for (const auto& call : weir::tool::system_calls) {
        if (std::string_view(call.name) == "futex_time64")
            CHECK(call.number == (sizeof(long) == 4 ? 422 : -1));
        if (std::string_view(call.name) == "epoll_pwait2") CHECK(call.number == 441);
    }
}

TEST_CASE("seccomp prints lines for a unit, and an object for a container") {
    SeccompOptions options;
    options.backend = ProfileBackend::epoll;
    options.also = {"getrusage", "read"};
    const Printed unit;
    CHECK(weir::tool::seccomp(unit.file(), options) == 0);
    const auto lines = unit.lines();
    CHECK(lines.front() == "[Service]");
    CHECK(contains(lines, "SystemCallErrorNumber=EPERM"));
    CHECK(contains(lines, "SystemCallFilter=epoll_pwait2"));
    CHECK(contains(lines, "SystemCallFilter=getrusage"));
    CHECK(unit.line("SystemCallFilter=read") == "");  // readv, readlink and others begin so too
    CHECK(std::count(lines.begin(), lines.end(), "SystemCallFilter=read") == 1);
    CHECK_FALSE(contains(lines, "SystemCallFilter=io_uring_setup"));

    options.format = SeccompOptions::Format::oci;
    const Printed object;
    CHECK(weir::tool::seccomp(object.file(), options) == 0);
    CHECK(object.line("  \"defaultAction\": ") == "  \"defaultAction\": \"SCMP_ACT_ERRNO\",");
    CHECK(contains(object.lines(), "        \"epoll_ctl\","));
    CHECK(contains(object.lines(), "        \"getrusage\""));
}

TEST_CASE("seccomp writes the filter that the kernel takes, and refuses names where it takes numbers") {
    SeccompOptions options;
    options.format = SeccompOptions::Format::bpf;
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    const int status = weir::tool::seccomp(file, options);
    const auto filter = weir::tool::make_filter(ProfileBackend::either);
    if (!filter) {
        std::fclose(file);
        CHECK(status == 1);
        weir::test::skip("no filter is known for this architecture");
    }
    REQUIRE(status == 0);
    std::rewind(file);
    std::vector<sock_filter> read(filter->size() + 1);
    CHECK(std::fread(read.data(), sizeof(sock_filter), read.size(), file) == filter->size());
    CHECK(std::memcmp(read.data(), filter->data(), filter->size() * sizeof(sock_filter)) == 0);
    // The last two would be the numbers of other calls in 32 bits, and are none in 64.
    for (const std::string no_number : {"getrusage", "", "-1", "4294967296", "99999999999999999999"}) {
        options.also = {no_number};
        const auto end = run_in_child([&] { return weir::tool::seccomp(file, options); });
        CHECK(end.exit_status == 1);
        CHECK(end.errors ==
              "weir seccomp: bpf knows calls by their number, which this is not: " + no_number + "\n");
    }
    std::fclose(file);
}
