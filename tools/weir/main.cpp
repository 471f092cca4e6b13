// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include <weir/version.hpp>

#include <charconv>
#include <cstdio>
#include <span>
#include <string_view>

namespace {

constexpr const char* usage =
    "usage: weir doctor       what this machine offers, and what will not work; exit status 1 if something "
    "will not\n"
    "       weir ls           the names in the runtime directory, and who serves them\n"
    "       weir stat NAME [--every SPAN [--lines N]]\n"
    "                         what is known of one; every SPAN (1s, 250ms) a line of rates\n"
    "       weir budget [--output FILE] PROGRAM [ARGUMENT]...\n"
    "       weir budget --read FILE\n"
    "                         what a run used of its Budget, and one that would do; of a file that "
    "$WEIR_BUDGET named\n"
    "       weir seccomp [epoll|io_uring] [--format systemd|oci|bpf] [--also CALL]...\n"
    "                         a filter that lets through the system calls of a weir service\n"
    "       weir --version\n";

int wrong_usage() {
    std::fputs(usage, stderr);
    return 2;
}

int stat(std::span<char* const> arguments) {
    if (arguments.empty()) return wrong_usage();
    weir::tool::StatOptions options;
    for (std::size_t i = 1; i < arguments.size(); i += 2) {
        if (i + 1 == arguments.size()) return wrong_usage();
        const std::string_view option = arguments[i];
        const std::string_view value = arguments[i + 1];
        if (option == "--every") {
            const auto every = weir::tool::span_ns(value);
            if (!every) return wrong_usage();
            options.every_ns = *every;
        } else if (option == "--lines") {
            const auto [end, error] =
                std::from_chars(value.data(), value.data() + value.size(), options.lines);
            if (error != std::errc{} || end != value.data() + value.size() || options.lines == 0)
                return wrong_usage();
        } else {
            return wrong_usage();
        }
    }
    if (options.lines != 0 && options.every_ns == 0) return wrong_usage();
    return weir::tool::stat(stdout, arguments[0], options);
}

int seccomp(std::span<char* const> arguments) {
    using weir::tool::SeccompOptions;
    SeccompOptions options;
    if (!arguments.empty() && std::string_view(arguments[0]).substr(0, 2) != "--") {
        const std::string_view backend = arguments[0];
        if (backend != "epoll" && backend != "io_uring") return wrong_usage();
        options.backend =
            backend == "epoll" ? weir::tool::ProfileBackend::epoll : weir::tool::ProfileBackend::io_uring;
        arguments = arguments.subspan(1);
    }
    if (arguments.size() % 2 != 0) return wrong_usage();
    for (std::size_t i = 0; i < arguments.size(); i += 2) {
        const std::string_view option = arguments[i];
        const std::string_view value = arguments[i + 1];
        if (option == "--also") {
            options.also.push_back(value);
        } else if (option == "--format" && value == "systemd") {
            options.format = SeccompOptions::Format::systemd;
        } else if (option == "--format" && value == "oci") {
            options.format = SeccompOptions::Format::oci;
        } else if (option == "--format" && value == "bpf") {
            options.format = SeccompOptions::Format::bpf;
        } else {
            return wrong_usage();
        }
    }
    return weir::tool::seccomp(stdout, options);
}

int budget(std::span<char* const> arguments) {
    if (arguments.size() == 2 && std::string_view(arguments[0]) == "--read")
        return weir::tool::read_budget(stdout, arguments[1]);
    std::FILE* out = stdout;
    if (arguments.size() > 2 && std::string_view(arguments[0]) == "--output") {
        out = std::fopen(arguments[1], "we");
        if (out == nullptr) {
            std::perror(arguments[1]);
            return 1;
        }
        arguments = arguments.subspan(2);
    }
    if (arguments.empty() || arguments[0][0] == '-') return wrong_usage();
    const int status = weir::tool::budget(out, arguments);
    if (out != stdout && std::fclose(out) != 0) {
        std::perror("weir budget");
        return 1;
    }
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return wrong_usage();
    const std::string_view command = argv[1];
    if (command == "doctor" && argc == 2) return weir::tool::doctor(stdout);
    if (command == "ls" && argc == 2) return weir::tool::list(stdout);
    if (command == "stat") return stat(std::span<char* const>(argv + 2, static_cast<std::size_t>(argc - 2)));
    if (command == "seccomp")
        return seccomp(std::span<char* const>(argv + 2, static_cast<std::size_t>(argc - 2)));
    if (command == "budget")
        return budget(std::span<char* const>(argv + 2, static_cast<std::size_t>(argc - 2)));
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
