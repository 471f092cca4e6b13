// SPDX-License-Identifier: MIT
//
// Under qemu's user mode a program of the emulated machine cannot be executed by itself: the emulator that runs this
// test is put before it, with the options that it was started with. The kernel knows them; the emulator hides them
// from this process, but not from a child that looks at its parent.
#include "system.hpp"

#include "loop_model.hpp"
#include "loop_time.hpp"
#include "support/catch.hpp"
#include "this_build.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace leak::test {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{60};

/// Looks again and again, letting others run, until `look` gives something that is true.
template <class Look>
auto await_truth(const char* what, Look&& look) {
    const auto until = Clock::now() + patience;
    for (;;) {
        if (auto seen = look()) return seen;
        if (Clock::now() > until) throw std::runtime_error(std::string{"waited in vain for "} + what);
        ::sched_yield();
    }
}

std::vector<std::string> command_line_of(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary};
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
    return words;
}

std::string find_launcher() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
        std::string text;
        std::error_code ignored;
        const auto program =
            std::filesystem::read_symlink("/proc/" + std::to_string(parent) + "/exe", ignored);
        if (program.filename().string().starts_with("qemu-")) {
            text = program.string();
            const auto words = command_line_of(parent);
            for (std::size_t i = 1; i < words.size() && words[i] != program_invocation_name; ++i)
                text += ' ' + words[i];
        }
        [[maybe_unused]] const auto size = ::write(ends[1], text.data(), text.size());
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text(4'096, '\0');
    const auto size = ::read(ends[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return text;
}

const std::string& launcher() {
    static const std::string found = find_launcher();
    return found;
}

bool runs(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] != 'Z' &&
           text[name_end + 2] != 'X';
}

std::vector<pid_t> children_of(pid_t pid) {
    const auto number = std::to_string(pid);
    std::ifstream file{"/proc/" + number + "/task/" + number + "/children"};
    std::vector<pid_t> children;
    for (pid_t child = 0; file >> child;) {
        if (runs(child)) children.push_back(child);
    }
    return children;
}

int open_pidfd(pid_t pid) {
    constexpr long pidfd_open_number = 434;
    return static_cast<int>(::syscall(pidfd_open_number, pid, 0));
}

[[noreturn]] void become(const std::vector<std::string>& words, const System::Environment& environment,
                         bool unprivileged) {
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT, SIGPIPE}) {
        std::signal(number, SIG_DFL);
    }
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    constexpr unsigned nobody = 65'534;
    if (unprivileged && ::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
         ::setresuid(nobody, nobody, nobody) != 0)) {
        ::_exit(125);
    }
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(126);
}

}  // namespace

Folder::Folder() : path_("/tmp/weir_leak_test_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
    ::chmod(path_.c_str(), 0755);
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, std::string_view text) const {
    const auto path = path_ + "/" + name;
    std::ofstream{path, std::ios::binary}.write(text.data(), static_cast<std::streamsize>(text.size()));
    return path;
}

std::vector<std::string> Folder::names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{path_})
        names.push_back(entry.path().filename());
    return names;
}

namespace {

std::string recording_header() {
    std::string text{"datetime"};
    for (const auto name : signal_names) text.append(";").append(name);
    return text + ";anomaly;changepoint\n";
}

void append_line(std::string& text, const Sample& sample) {
    text += format_datetime(1'600'000'000 + sample.time_s).view();
    for (const double value : sample.values) {
        std::array<char, 32> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        text.append(";").append(digits.data(), end);
    }
    text += sample.labels.anomaly ? ";1.0" : ";0.0";
    text += sample.labels.changepoint ? ";1.0\n" : ";0.0\n";
}

}  // namespace

std::string simulated_recording(std::uint64_t seed, std::int64_t leak_at_s, int samples) {
    std::string text = recording_header();
    LoopModel loop{{.seed = seed, .leak_at_s = leak_at_s}};
    for (int i = 0; i < samples; ++i) append_line(text, loop.next());
    return text;
}

std::string unsteady_recording(int episodes, int samples) {
    constexpr int learning = 400;
    constexpr int period = 100;
    constexpr int length = 40;
    std::string text = recording_header();
    LoopModel loop{{.seed = 1, .leak_at_s = std::nullopt}};
    for (int i = 0; i < samples; ++i) {
        Sample sample = loop.next();
        const int episode = (i - learning) / period;
        if (i >= learning && episode < episodes && (i - learning) % period < length)
            sample.values[index_of(Signal::flow)] *= 0.5;
        append_line(text, sample);
    }
    return text;
}

bool emulated() {
    return !launcher().empty();
}

Controlled control(const std::string& directory, const std::string& request) {
    std::array<int, 2> errors{};
    if (::pipe2(errors.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    const auto program_path =
        weir::test::this_build::leak_detection_programs + std::string("/weir-leak-control");
    const auto line = launcher() + " " + program_path + " '" + directory + "' " + request +
                      " 2>/proc/self/fd/" + std::to_string(errors[1]);
    ::fcntl(errors[1], F_SETFD, 0);
    FILE* const program = ::popen(line.c_str(), "re");
    ::close(errors[1]);
    REQUIRE(program != nullptr);
    Controlled controlled;
    const auto read_all = [](int fd, std::string& text) {
        std::array<char, 512> buffer;
        for (ssize_t size; (size = ::read(fd, buffer.data(), buffer.size())) > 0;)
            text.append(buffer.data(), static_cast<std::size_t>(size));
    };
    read_all(::fileno(program), controlled.output);
    read_all(errors[0], controlled.errors);
    ::close(errors[0]);
    const int status = ::pclose(program);
    controlled.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return controlled;
}

System::System(std::vector<std::string> arguments, const Environment& environment, bool unprivileged) {
    std::vector<std::string> words;
    Environment with_launcher = environment;
    if (emulated()) {
        std::string_view rest = launcher();
        while (!rest.empty()) {
            const auto word = rest.substr(0, rest.find(' '));
            rest.remove_prefix(std::min(word.size() + 1, rest.size()));
            words.emplace_back(word);
        }
        with_launcher["WEIR_LEAK_LAUNCHER"] = launcher();
    }
    words.emplace_back(weir::test::this_build::leak_detection_programs +
                       std::string("/weir-leak-supervisor"));
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::array<int, 2> output{};
    std::array<int, 2> errors{};
    if (::pipe2(output.data(), O_CLOEXEC) != 0 || ::pipe2(errors.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe2");
    }
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(output[1], STDOUT_FILENO);
        ::dup2(errors[1], STDERR_FILENO);
        become(words, with_launcher, unprivileged);
    }
    ::close(output[1]);
    ::close(errors[1]);
    output_.fd = output[0];
    errors_.fd = errors[0];
}

System::~System() {
    if (!ended_) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    for (const int fd : {output_.fd, errors_.fd}) {
        if (fd >= 0) ::close(fd);
    }
}

void System::signal(int number) const {
    REQUIRE(::kill(pid_, number) == 0);
}

/// Reads what there is, or waits for it. False at the end of both streams.
bool System::pump(bool waits) {
    std::array<pollfd, 2> polled{pollfd{.fd = output_.fd, .events = POLLIN, .revents = 0},
                                 pollfd{.fd = errors_.fd, .events = POLLIN, .revents = 0}};
    if (output_.fd < 0 && errors_.fd < 0) return false;
    const int limit = static_cast<int>(std::chrono::milliseconds(patience).count());
    if (::poll(polled.data(), polled.size(), waits ? limit : 0) == 0) {
        if (!waits) return true;
        throw std::runtime_error("the system said nothing more\n" + output_.all + errors_.all);
    }
    for (Text* const text : {&output_, &errors_}) {
        if (polled[text == &output_ ? 0 : 1].revents == 0) continue;
        std::array<char, 4'096> chunk{};
        const auto size = ::read(text->fd, chunk.data(), chunk.size());
        if (size > 0) {
            text->all.append(chunk.data(), static_cast<std::size_t>(size));
        } else {
            ::close(std::exchange(text->fd, -1));
        }
    }
    return true;
}

std::string System::await(Text& text, std::string_view part) {
    for (;;) {
        const auto found = text.all.find(part, text.awaited);
        const auto line_end = found == std::string::npos ? found : text.all.find('\n', found);
        if (line_end != std::string::npos) {
            const auto before = text.all.rfind('\n', found);
            const auto start = before == std::string::npos ? 0 : before + 1;
            text.awaited = line_end;
            return text.all.substr(start, line_end - start);
        }
        if (!pump()) {
            throw std::runtime_error("the system never said \"" + std::string{part} + "\"\n" + output_.all +
                                     errors_.all);
        }
    }
}

std::uint16_t System::alarm_port() {
    const auto line = await_output("alarms: ");
    return static_cast<std::uint16_t>(std::stoul(line.substr(line.rfind(' '))));
}

std::string System::directory() {
    const auto line = await_output("commands: echo status > ");
    const auto start = line.find('/');
    return line.substr(start, line.find("/commands") - start);
}

std::vector<pid_t> System::processes() const {
    std::vector<pid_t> all;
    if (!ended_ && runs(pid_)) all.push_back(pid_);
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (const pid_t child : children_of(all[i])) all.push_back(child);
    }
    return all;
}

pid_t System::process(std::string_view role, pid_t but_not) const {
    const std::string name{role};
    return await_truth(name.c_str(), [&] { return process_now(role, but_not); });
}

pid_t System::process_now(std::string_view role, pid_t but_not) const {
    const auto name = "/weir-leak-" + std::string{role};
    for (const pid_t pid : processes()) {
        if (pid == but_not) continue;
        for (const auto& word : command_line_of(pid)) {
            if (word.ends_with(name)) return pid;
        }
    }
    return 0;
}

bool System::has_said(std::string_view part) {
    return !pump(false) || output_.all.find(part) != std::string::npos;
}

const System::End& System::end() {
    if (ended_) return end_;
    while (pump()) {}
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ended_ = true;
    end_ = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .output = output_.all,
            .errors = errors_.all};
    return end_;
}

void await_ends(const std::vector<pid_t>& processes) {
    for (const pid_t pid : processes) {
        const int fd = open_pidfd(pid);
        if (fd < 0) continue;  // it has ended, and was reaped
        pollfd polled{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(patience).count()));
        ::close(fd);
        INFO("process " << pid << " does not end");
        REQUIRE(ready == 1);
    }
}

void AlarmClient::greet(int family, const void* address, unsigned size) {
    await_truth("the alarms' socket", [&] {
        if (fd_ >= 0) ::close(fd_);
        fd_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(fd_, static_cast<const sockaddr*>(address), size) != 0) return false;
        rest_.clear();
        const auto first = line();
        if (first.empty() || first == "state: no sample was judged yet") return false;
        rest_.insert(0, first + "\n");
        return true;
    });
}

AlarmClient::AlarmClient(const std::string& directory) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = directory + "/alarms";
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    greet(AF_UNIX, &address, sizeof(address));
}

AlarmClient::AlarmClient(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    greet(AF_INET, &address, sizeof(address));
}

AlarmClient::~AlarmClient() {
    ::close(fd_);
}

std::string AlarmClient::line() {
    for (;;) {
        if (const auto end = rest_.find('\n'); end != std::string::npos) {
            auto line = rest_.substr(0, end);
            rest_.erase(0, end + 1);
            return line;
        }
        pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
        const int limit = static_cast<int>(std::chrono::milliseconds(patience).count());
        if (::poll(&polled, 1, limit) == 0) throw std::runtime_error("no line came to a client");
        std::array<char, 1'024> chunk{};
        const auto size = ::read(fd_, chunk.data(), chunk.size());
        if (size <= 0) return {};
        rest_.append(chunk.data(), static_cast<std::size_t>(size));
    }
}

void command(const std::string& directory, std::string_view line) {
    const auto path = directory + "/commands";
    const int fd = await_truth("the commands' FIFO", [&] {
        const int opened = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        return opened < 0 ? 0 : opened;
    });
    const auto text = std::string{line} + "\n";
    CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(fd);
}

}  // namespace leak::test
