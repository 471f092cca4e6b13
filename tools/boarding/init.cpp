// SPDX-License-Identifier: MIT
//
// The first process of an emulated board: linked statically, so that it runs whatever libraries were packed. It mounts
// what suites look at, runs those of /board/plan one after the other, tells on the console how each ended, and turns
// the board off. Lines of its own begin with "@board"; tools/boarding/console.py reads them:
//
//   @board up
//   @board begin 3
//   …what the suite printed…
//   @board end 3 exit 0            or: signal 11, or: hang
//   @board done
//
// A line of the plan is a suite: its limit in seconds, the program, and variables of its environment, separated by tabs.
// A suite that is not done within its limit is hung: its processes are listed, with what they wait for in the kernel,
// and killed, and the next suite runs. No process of a suite lives on beside the next.
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr std::size_t variables_max = 16;

struct Suite {
    long limit_s = 0;
    char* program = nullptr;
    std::array<char*, variables_max + 1> environment{};
};

[[noreturn]] void turn_off() {
    ::sync();
    ::reboot(RB_POWER_OFF);
    ::pause();
    std::abort();  // the kernel panics then, and the emulator ends
}

void must(bool good, const char* what) {
    if (good) return;
    std::printf("\n@board failed %s: %s\n", what, std::strerror(errno));
    turn_off();
}

void mount_all() {
    struct Place {
        const char* type;
        const char* path;
    };
    // The root is a tmpfs itself. /dev comes first: it holds the console.
    constexpr std::array places{Place{"devtmpfs", "/dev"},  Place{"proc", "/proc"},
                                Place{"sysfs", "/sys"},     Place{"devpts", "/dev/pts"},
                                Place{"tmpfs", "/dev/shm"}, Place{"mqueue", "/dev/mqueue"}};
    for (const auto& [type, path] : places) {
        ::mkdir(path, 0755);
        const bool mounted = ::mount(type, path, type, 0, nullptr) == 0;
        if (path == places[0].path) {
            const int console = ::open("/dev/console", O_RDWR | O_CLOEXEC);
            for (int fd = 0; fd < 3; ++fd) ::dup2(console, fd);
            std::setvbuf(stdout, nullptr, _IONBF, 0);
        }
        must(mounted, path);
    }
    for (const char* open_to_all : {"/tmp", "/dev/shm", "/dev/mqueue"}) ::chmod(open_to_all, 01777);
}

/// With the memory controller for groups that suites make; those skip what needs it where the kernel has none.
void mount_control_groups() {
    if (::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0) return;
    const int fd = ::open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "+memory", 7) != 7)
        std::printf("no memory controller: %s\n", std::strerror(errno));
    if (fd >= 0) ::close(fd);
}

void bring_loopback_up() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    must(fd >= 0 && ::ioctl(fd, SIOCSIFFLAGS, &request) == 0, "loopback");
    ::close(fd);
}

time_t now_s() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/// A line of a file of /proc, or nothing.
void print_line_of(const char* path) {
    std::array<char, 512> line{};
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : ::read(fd, line.data(), line.size() - 1);
    if (fd >= 0) ::close(fd);
    std::printf(" %.*s", static_cast<int>(size < 0 ? 0 : std::strcspn(line.data(), "\n")), line.data());
}

bool is_number(const char* text) {
    return std::isdigit(static_cast<unsigned char>(*text)) != 0;
}

/// Each thread of user space but ours: its name and state, and where in the kernel it waits.
void print_threads() {
    DIR* const processes = ::opendir("/proc");
    if (processes == nullptr) return;
    while (const dirent* process = ::readdir(processes)) {
        std::array<char, 600> path{};
        std::snprintf(path.data(), path.size(), "/proc/%s/exe", process->d_name);
        char target = 0;
        // What has no program is a thread of the kernel.
        if (!is_number(process->d_name) || std::atoi(process->d_name) == 1 ||
            ::readlink(path.data(), &target, 1) < 0)
            continue;
        std::snprintf(path.data(), path.size(), "/proc/%s/task", process->d_name);
        DIR* const threads = ::opendir(path.data());
        if (threads == nullptr) continue;
        while (const dirent* thread = ::readdir(threads)) {
            if (!is_number(thread->d_name)) continue;
            std::printf("thread:");
            for (const char* file : {"stat", "wchan", "syscall"}) {
                std::snprintf(path.data(), path.size(), "/proc/%s/task/%s/%s", process->d_name,
                              thread->d_name, file);
                print_line_of(path.data());
            }
            std::printf("\n");
        }
        ::closedir(threads);
    }
    ::closedir(processes);
}

void print_kernel_messages() {
    static std::array<char, 16384> text;
    constexpr int read_and_clear = 4;
    const int size = ::klogctl(read_and_clear, text.data(), static_cast<int>(text.size()));
    if (size > 0) std::printf("kernel messages:\n%.*s\n", size, text.data());
}

[[noreturn]] void become(const Suite& suite, int output) {
    ::setsid();
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    std::array<char*, 2> arguments{suite.program, nullptr};
    ::execve(suite.program, arguments.data(), suite.environment.data());
    std::fprintf(stderr, "%s: %s\n", suite.program, std::strerror(errno));
    ::_exit(127);
}

void copy_output(int from) {
    std::array<char, 4096> bytes;
    for (ssize_t size; (size = ::read(from, bytes.data(), bytes.size())) > 0;)
        for (ssize_t done = 0; done < size;) {
            const ssize_t written = ::write(1, bytes.data() + done, static_cast<std::size_t>(size - done));
            if (written < 0) break;
            done += written;
        }
}

void end_all() {
    ::kill(-1, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {}
}

void run(const Suite& suite, int index) {
    constexpr int last_words_turns = 40;
    constexpr int turn_ms = 50;  // its end is asked for, since others may hold its output open
    std::printf("\n@board begin %d\n", index);
    std::array<int, 2> ends{};
    must(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe");
    const time_t until_s = now_s() + suite.limit_s;
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child == 0) become(suite, ends[1]);
    ::close(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);

    int status = 0;
    pid_t ended = 0;
    while (ended != child && now_s() < until_s) {
        pollfd output{.fd = ends[0], .events = POLLIN, .revents = 0};
        ::poll(&output, 1, turn_ms);
        // An output that all have closed is ready at once, always.
        if (output.revents == POLLHUP) ::poll(nullptr, 0, turn_ms);
        copy_output(ends[0]);
        while (ended != child && (ended = ::waitpid(-1, &status, WNOHANG)) > 0) {}
    }
    copy_output(ends[0]);
    if (ended != child) {
        // Told to end, a suite names the test that it was at.
        print_threads();
        ::kill(child, SIGTERM);
        for (int turn = 0; turn < last_words_turns; ++turn) {
            ::poll(nullptr, 0, turn_ms);
            copy_output(ends[0]);
        }
    }
    ::close(ends[0]);
    if (ended == child && WIFEXITED(status)) {
        end_all();
        std::printf("\n@board end %d exit %d\n", index, WEXITSTATUS(status));
        return;
    }
    std::printf("\n");
    print_kernel_messages();
    end_all();
    if (ended == child)
        std::printf("@board end %d signal %d\n", index, WTERMSIG(status));
    else
        std::printf("@board end %d hang\n", index);
}

/// Cuts a line of the plan into words.
Suite suite_of(char* line) {
    Suite suite;
    char* rest = nullptr;
    line[std::strcspn(line, "\n")] = '\0';
    const char* limit = ::strtok_r(line, "\t", &rest);
    suite.program = ::strtok_r(nullptr, "\t", &rest);
    errno = EINVAL;
    must(limit != nullptr && suite.program != nullptr, "plan");
    suite.limit_s = std::atol(limit);
    std::size_t count = 0;
    while (char* variable = ::strtok_r(nullptr, "\t", &rest)) {
        must(count < variables_max, "plan");
        suite.environment[count++] = variable;
    }
    return suite;
}

}  // namespace

int main() {
    mount_all();
    mount_control_groups();
    bring_loopback_up();
    ::sethostname("board", 5);
    ::clearenv();
    constexpr int clear = 5;
    ::klogctl(clear, nullptr, 0);
    std::FILE* const plan = std::fopen("/board/plan", "re");
    must(plan != nullptr, "plan");
    std::printf("\n@board up\n");
    std::array<char, 4096> line{};
    for (int index = 0; std::fgets(line.data(), line.size(), plan) != nullptr; ++index)
        run(suite_of(line.data()), index);
    std::printf("\n@board done\n");
    turn_off();
}
