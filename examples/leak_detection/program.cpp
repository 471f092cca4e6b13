// SPDX-License-Identifier: MIT
#include "program.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace leak {

RuntimePath::RuntimePath(std::string_view directory, std::string_view name) {
    if (directory.size() + 1 + name.size() > size_max) return;
    char* end = std::copy(directory.begin(), directory.end(), characters_.data());
    *end++ = '/';
    end = std::copy(name.begin(), name.end(), end);
    size_ = static_cast<std::size_t>(end - characters_.data());
    whole_ = true;
}

CommandLine& CommandLine::add(std::string_view word) {
    if (size_ + word.size() + 1 > characters_.size() || words_count_ == words_max) {
        whole_ = false;
        return *this;
    }
    char* const start = characters_.data() + size_;
    *std::copy(word.begin(), word.end(), start) = '\0';
    size_ += word.size() + 1;
    words_[words_count_++] = start;
    return *this;
}

CommandLine& CommandLine::add(std::string_view option, double value) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return add(option, std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void begin_command_line(CommandLine& line, std::string_view program) {
    const char* const launcher = std::getenv("WEIR_LEAK_LAUNCHER");
    std::string_view rest = launcher != nullptr ? launcher : "";
    while (!rest.empty()) {
        const auto word = rest.substr(0, rest.find(' '));
        rest.remove_prefix(std::min(word.size() + 1, rest.size()));
        if (!word.empty()) line.add(word);
    }
    line.add(BoundedText<64>{"./"}.append(program).view());
}

namespace {
pid_t parent = 0;
}

void remember_parent() {
    parent = ::getppid();
}

bool parent_is_gone() {
    return ::getppid() != parent;
}

weir::Task<> await_supervisors_end(weir::Scheduler&) {
    WEIR_CO_TRY(auto input, weir::PipeReader::adopt(STDIN_FILENO));
    for (;;) {
        std::array<std::byte, 64> nothing;
        WEIR_CO_TRY(const auto bytes, input.read(nothing));
        if (bytes.empty()) co_return;
    }
}

uid_t trusted_user(const Options& options) {
    return options.peer_user >= 0 ? static_cast<uid_t>(options.peer_user) : ::geteuid();
}

mode_t mode_for_peer(const Options& options) {
    return options.peer_user >= 0 ? 0660 : 0600;
}

void add_source(CommandLine& line, const Options& options) {
    if (options.recording) {
        line.add("--recording", *options.recording);
        line.add("--descriptor", options.descriptor);
    } else {
        line.add("--seed", options.seed);
        if (options.leak_at_s) line.add("--leak-at", *options.leak_at_s);
    }
    options.speed ? line.add("--speed", *options.speed) : line.add("--speed", "max");
    if (options.seconds) line.add("--seconds", *options.seconds);
    if (options.labelled) line.add("--labelled", "yes");
    if (options.backend) line.add("--backend", *options.backend);
}

bool read_options(int argc, char** argv, Options& options) {
    const std::span<const char* const> arguments{argv, static_cast<std::size_t>(argc)};
    const auto error = parse_options(arguments.empty() ? arguments : arguments.subspan(1), options);
    if (error.empty()) return true;
    const auto text = error.view();
    std::fprintf(stderr, "weir-leak: %.*s\n", static_cast<int>(text.size()), text.data());
    return false;
}

bool choose_backend(const Options& options, weir::StartOptions& start) {
    if (!options.backend) return true;
    const auto choice = weir::backend_choice(*options.backend);
    if (choice) {
        start.backend = *choice;
        return true;
    }
    BoundedText<128> text{"weir-leak: --backend: "};
    text.append_quoted(*options.backend).append(", expected automatic, io_uring or epoll\n");
    std::fwrite(text.view().data(), 1, text.view().size(), stderr);
    return false;
}

BoundedText<512> text_of(std::string_view what, const weir::Error& error) {
    std::array<char, 256> buffer;
    BoundedText<512> text{what};
    return text.append(": ").append(error.message(buffer));
}

BoundedText<64> text_of(const weir::ExitStatus& status) {
    BoundedText<64> text;
    if (!status.signaled) return text.append("ended with status ").append(status.value);
    text.append("was killed by signal ").append(status.value);
    // sigabbrev_np needs no locale and no memory.
    if (const char* const name = ::sigabbrev_np(status.value); name != nullptr)
        text.append(" (SIG").append(name).append(')');
    return text;
}

}  // namespace leak
