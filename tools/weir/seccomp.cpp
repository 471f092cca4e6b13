// SPDX-License-Identifier: MIT
//
// A filter is a tree of comparisons over ranges of allowed numbers, so that a kernel that remembers nothing makes some
// six comparisons for a call.
#include "seccomp.hpp"

#include "commands.hpp"
#include "system_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

namespace weir::tool {
namespace {

bool allowed(const SystemCall& call, ProfileBackend backend) {
    switch (call.backend) {
        case SystemCall::Backend::both: return true;
        case SystemCall::Backend::epoll: return backend != ProfileBackend::io_uring;
        case SystemCall::Backend::io_uring: return backend != ProfileBackend::epoll;
    }
    return false;
}

/// AUDIT_ARCH_… of the architecture that this was built for; 0 if it is none of those that weir is built for.
constexpr std::uint32_t audit_architecture() {
#if defined(__x86_64__) && defined(__LP64__)
    return AUDIT_ARCH_X86_64;
#elif defined(__aarch64__) && defined(__LP64__) && defined(__AARCH64EL__)
    return AUDIT_ARCH_AARCH64;
#elif defined(__arm__) && defined(__ARMEL__)
    return AUDIT_ARCH_ARM;
#elif defined(__riscv) && __riscv_xlen == 64
    return AUDIT_ARCH_RISCV64;
#elif defined(__i386__)
    return AUDIT_ARCH_I386;
#else
    return 0;
#endif
}

struct Range {
    std::uint32_t first;
    std::uint32_t last;
};

std::vector<Range> ranges_of(std::vector<long> numbers) {
    std::sort(numbers.begin(), numbers.end());
    std::vector<Range> ranges;
    for (const long number : numbers) {
        const auto value = static_cast<std::uint32_t>(number);
        if (ranges.empty() || value > ranges.back().last + 1) {
            ranges.push_back({value, value});
        } else {
            ranges.back().last = value;
        }
    }
    return ranges;
}

sock_filter instruction(int code, std::uint32_t value) {
    return {static_cast<std::uint16_t>(code), 0, 0, value};
}
void answer(std::vector<sock_filter>& filter, std::uint32_t value) {
    filter.push_back(instruction(BPF_RET | BPF_K, value));
}
constexpr std::uint32_t refusal = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM);

// Numbers from ranges[0].first on, with the number in the accumulator; each leaf answers.
void compare(std::vector<sock_filter>& filter, std::span<const Range> ranges) {
    if (ranges.size() == 1) {
        filter.push_back({BPF_JMP | BPF_JGT | BPF_K, 1, 0, ranges[0].last});
        answer(filter, SECCOMP_RET_ALLOW);
        answer(filter, refusal);
        return;
    }
    const std::size_t middle = ranges.size() / 2;
    // A conditional jump reaches 255 instructions: the long way is a jump of its own.
    filter.push_back({BPF_JMP | BPF_JGE | BPF_K, 0, 1, ranges[middle].first});
    const std::size_t jump = filter.size();
    filter.push_back(instruction(BPF_JMP | BPF_JA, 0));
    compare(filter, ranges.first(middle));
    filter[jump].k = static_cast<std::uint32_t>(filter.size() - jump - 1);
    compare(filter, ranges.subspan(middle));
}

void print_systemd(std::FILE* out, std::span<const std::string_view> names) {
    std::fputs(
        "[Service]\n"
        "SystemCallArchitectures=native\n"
        "SystemCallErrorNumber=EPERM\n",
        out);
    // A line for each, so that lines can be taken away and added; they add up.
    for (const std::string_view name : names) {
        std::fprintf(out, "SystemCallFilter=%.*s\n", static_cast<int>(name.size()), name.data());
    }
}

void print_oci(std::FILE* out, std::span<const std::string_view> names) {
    std::fprintf(out,
                 "{\n"
                 "  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n"
                 "  \"defaultErrnoRet\": %d,\n"
                 "  \"syscalls\": [\n"
                 "    {\n"
                 "      \"action\": \"SCMP_ACT_ALLOW\",\n"
                 "      \"names\": [\n",
                 EPERM);
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::fprintf(out, "        \"%.*s\"%s\n", static_cast<int>(names[i].size()), names[i].data(),
                     i + 1 < names.size() ? "," : "");
    }
    std::fputs("      ]\n    }\n  ]\n}\n", out);
}

int print_bpf(std::FILE* out, const SeccompOptions& options) {
    std::vector<long> numbers;
    for (const std::string_view name : options.also) {
        const std::string text(name);
        char* end = nullptr;
        errno = 0;
        const long number = std::strtol(text.c_str(), &end, 10);
        const bool possible = errno == 0 && number >= 0 && number <= std::numeric_limits<std::int32_t>::max();
        if (text.empty() || *end != '\0' || !possible) {
            std::fprintf(stderr, "weir seccomp: bpf knows calls by their number, which this is not: %s\n",
                         text.c_str());
            return 1;
        }
        numbers.push_back(number);
    }
    const auto filter = make_filter(options.backend, numbers);
    if (!filter) {
        std::fputs("weir seccomp: no filter is known for this architecture\n", stderr);
        return 1;
    }
    return std::fwrite(filter->data(), sizeof(sock_filter), filter->size(), out) == filter->size() ? 0 : 1;
}

}  // namespace

std::vector<std::string_view> allowed_names(ProfileBackend backend) {
    std::vector<std::string_view> names;
    for (const SystemCall& call : system_calls) {
        if (allowed(call, backend)) names.emplace_back(call.name);
    }
    return names;
}

std::optional<std::vector<sock_filter>> make_filter(ProfileBackend backend, std::span<const long> also) {
    if (audit_architecture() == 0) return std::nullopt;
    std::vector<long> numbers(also.begin(), also.end());
    for (const SystemCall& call : system_calls) {
        if (call.number >= 0 && allowed(call, backend)) numbers.push_back(call.number);
    }
    const std::vector<Range> ranges = ranges_of(std::move(numbers));
    std::vector<sock_filter> filter;
    filter.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, audit_architecture()});
    answer(filter, SECCOMP_RET_KILL_PROCESS);
    filter.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    filter.push_back({BPF_JMP | BPF_JGE | BPF_K, 1, 0, ranges.front().first});
    answer(filter, refusal);
    compare(filter, ranges);
    return filter;
}

bool install_filter(std::span<const sock_filter> filter) noexcept {
    const sock_fprog program{static_cast<unsigned short>(filter.size()),
                             const_cast<sock_filter*>(filter.data())};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int seccomp(std::FILE* out, const SeccompOptions& options) {
    if (options.format == SeccompOptions::Format::bpf) return print_bpf(out, options);
    std::vector<std::string_view> names = allowed_names(options.backend);
    for (const std::string_view name : options.also) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (options.format == SeccompOptions::Format::systemd) {
        print_systemd(out, names);
    } else {
        print_oci(out, names);
    }
    return 0;
}

}  // namespace weir::tool
