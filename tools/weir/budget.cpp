// SPDX-License-Identifier: MIT
//
// What a limit should be is what was used and a quarter more, so that the same run would be below 80 % of it.
#include "commands.hpp"

#include <weir/scheduler/budget_record.hpp>
#include <weir/scheduler/scheduler.hpp>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::tool {
namespace {

constexpr std::uint64_t warning_percent = 80;
// A path that this run did not take, such as one that reports an error, is easily deeper than what it did.
constexpr std::uint64_t stack_bytes_min = 16 * 1024;

int complain(const char* what, int error) {
    std::fprintf(stderr, "weir: %s: %s\n", what, std::strerror(error));
    return 1;
}

/// A text of the file, which may lack its end.
template <std::size_t size>
std::string text_of(const std::array<char, size>& text) {
    return {text.data(), ::strnlen(text.data(), size)};
}

std::uint64_t block_of(const TaskUsage& task) {
    return task.frame_size <= FramePool::size_max
               ? FramePool::size_of_class(FramePool::class_of(task.frame_size))
               : 0;
}

/// The next multiple of `step` above a quarter more than was used; 0 if nothing was.
std::uint64_t with_a_quarter(std::uint64_t used, std::uint64_t step) {
    return used == 0 ? 0 : ((used + used / 4) / step + 1) * step;
}

class Report {
public:
    Report(std::FILE* out, const BudgetRecord& record) : out_(out), record_(record) {
        for (const auto& [size, peak] : record.classes) frame_bytes_ += std::uint64_t{size} * peak;
    }

    void print() {
        const bool ended = record_.state == BudgetRecord::ended;
        std::fprintf(out_, "%s, pid %" PRId32 "%s\n\n", text_of(record_.program).c_str(), record_.pid,
                     ended ? "" : ", which has not ended, or was killed: its stack is not measured");
        print_tasks();
        print_limits();
        print_budget();
    }

private:
    void print_tasks() const {
        std::vector<const TaskUsage*> tasks;
        const std::uint32_t count = std::min(record_.tasks.rows_count.load(), TaskTable::rows_max);
        for (std::uint32_t i = 0; i < count; ++i) tasks.push_back(&record_.tasks.rows[i]);
        std::stable_sort(tasks.begin(), tasks.end(), [](const TaskUsage* a, const TaskUsage* b) {
            return block_of(*a) * a->peak > block_of(*b) * b->peak;
        });
        std::fprintf(out_, "%7s %7s %7s %10s  %s\n", "frame", "block", "peak", "made", "task");
        for (const TaskUsage* task : tasks) {
            std::fprintf(out_, "%7" PRIu32 " %7" PRIu64 " %7" PRIu32 " %10" PRIu64 "  %s:%" PRIu32 "\n",
                         task->frame_size, block_of(*task), task->peak, task->made,
                         text_of(task->function).c_str(), task->line);
        }
        if (record_.tasks.not_told > 0)
            std::fprintf(out_, "%7s %7s %7s %10" PRIu64 "  of more functions than are told apart\n", "", "",
                         "", record_.tasks.not_told);
        std::fputc('\n', out_);
    }

    void print_limits() {
        std::fprintf(out_, "%10s %10s %5s  %s\n", "at most", "limit", "", "of Budget");
        limit("frame_bytes", frame_bytes_, record_.frame_bytes);
        limit("descriptors", record_.descriptors_peak, record_.descriptors);
        limit("links", record_.links_peak, record_.links);
        if (record_.stack_measured > 0) limit("stack_bytes", record_.stack_peak, record_.stack_bytes);
        for (const std::string& warning : warnings_) std::fprintf(out_, "warning: %s\n", warning.c_str());
        std::fputc('\n', out_);
    }

    void limit(const char* field, std::uint64_t used, std::uint64_t of) {
        if (of == 0) {
            std::fprintf(out_, "%10" PRIu64 " %10s %5s  %s\n", used, "none", "", field);
            return;
        }
        const std::uint64_t percent = used * 100 / of;
        std::fprintf(out_, "%10" PRIu64 " %10" PRIu64 " %3" PRIu64 " %%  %s\n", used, of, percent, field);
        if (percent < warning_percent) return;
        warnings_.push_back("Budget::" + std::string(field) + " is " + std::to_string(of) + ", and " +
                            std::to_string(percent) + " % of it were used");
    }

    void print_budget() const {
        std::fputs("constexpr weir::Budget budget{\n", out_);
        field("frame_bytes", with_a_quarter(frame_bytes_, 256),
              record_.has_frame_classes != 0 ? "without frame_classes" : "");
        field("submissions", record_.submissions, "as it was");
        field("descriptors", with_a_quarter(record_.descriptors_peak, 1), "");
        field("links", with_a_quarter(record_.links_peak, 1), "");
        field("timer_slots", record_.timer_slots, "as it was");
        field("spin_us", record_.spin_us, "as it was");
        field("grace_ms", record_.grace_ms, "as it was");
        field("hold_warning_ms", record_.hold_warning_ms, "as it was");
        if (record_.stack_measured == 0) {
            field("stack_bytes", record_.stack_bytes, "as it was: not measured");
        } else if (record_.stack_peak >= record_.stack_measured) {
            field("stack_bytes", 2 * record_.stack_measured,
                  "all that was looked at was used: measure again");
        } else {
            field("stack_bytes", std::max(stack_bytes_min, with_a_quarter(record_.stack_peak, 4'096)), "");
        }
        std::fputs("};\n", out_);
    }

    void field(const char* name, std::uint64_t value, const char* remark) const {
        std::fprintf(out_, "    .%s = %" PRIu64 ",%s%s\n", name, value, remark[0] != '\0' ? "  // " : "",
                     remark);
    }

    std::FILE* out_;
    const BudgetRecord& record_;
    std::uint64_t frame_bytes_ = 0;  // what frame_bytes must not be below: the rule of coro/frame_pool.hpp
    std::vector<std::string> warnings_;
};

/// How many schedulers are told; nothing if it is no such file, which is said.
std::optional<std::uint32_t> print_file(std::FILE* out, const char* path) {
    const Fd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        complain(path, errno);
        return std::nullopt;
    }
    const auto file = std::make_unique<BudgetFile>();
    auto* const bytes = static_cast<char*>(static_cast<void*>(file.get()));
    std::size_t size = 0;
    for (;;) {
        const ssize_t got = ::read(fd.get(), bytes + size, sizeof(BudgetFile) - size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size == 0) return 0;  // nobody took it
    if (size < sizeof(BudgetFile) || file->magic != BudgetFile::layout) {
        std::fprintf(stderr, "weir: %s: no budget record of this version of weir\n", path);
        return std::nullopt;
    }
    std::uint32_t told = 0;
    for (const BudgetRecord& record : file->records) {
        if (record.state == BudgetRecord::absent) continue;
        if (told++ > 0) std::fputc('\n', out);
        Report(out, record).print();
    }
    if (file->claimed > BudgetFile::records_max)
        std::fprintf(out, "\nwarning: %" PRIu32 " schedulers more started, of which nothing is known\n",
                     file->claimed - BudgetFile::records_max);
    return told;
}

// What reaches us alone is passed on. The terminal's signals reach the program, too.
volatile std::sig_atomic_t program_pid = 0;

void pass_on(int number) {
    if (program_pid > 0) ::kill(static_cast<pid_t>(program_pid), number);
}

/// Runs the program; its exit status, 128 and the signal's number, or 127 if there is none.
int run(std::span<char* const> command, const char* path) {
    std::vector<char*> arguments(command.begin(), command.end());
    arguments.push_back(nullptr);
    sigset_t held;
    sigset_t before;
    sigemptyset(&held);
    for (const int number : {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT}) sigaddset(&held, number);
    ::sigprocmask(SIG_BLOCK, &held, &before);  // till we know to whom
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        ::setenv("WEIR_BUDGET", path, 1);
        ::execvp(arguments[0], arguments.data());
        complain(arguments[0], errno);
        ::_exit(127);
    }
    if (pid < 0) {
        const int error = errno;
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        complain("fork", error);
        return 127;
    }
    program_pid = pid;
    for (const int number : {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) std::signal(number, pass_on);
    for (const int number : {SIGINT, SIGQUIT}) std::signal(number, SIG_IGN);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    program_pid = 0;
    for (const int number : {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT})
        std::signal(number, SIG_DFL);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int read_budget(std::FILE* out, const char* path) {
    const auto told = print_file(out, path);
    if (told && *told == 0) std::fprintf(stderr, "weir: %s: no scheduler has started with it\n", path);
    return told && *told > 0 ? 0 : 1;
}

int budget(std::FILE* out, std::span<char* const> command) {
    const char* const folder = std::getenv("TMPDIR");
    std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/weir-budget-XXXXXX";
    const Fd fd(::mkostemp(path.data(), O_CLOEXEC));
    if (!fd) return complain(path.c_str(), errno);
    const int status = run(command, path.c_str());
    const auto told = status != 127 ? print_file(out, path.c_str()) : std::nullopt;
    ::unlink(path.c_str());
    if (told && *told == 0) {
        std::fprintf(stderr,
                     "weir: %s: no scheduler has started that keeps budget records of this version of weir\n",
                     command[0]);
        return status != 0 ? status : 1;
    }
    return status;
}

}  // namespace weir::tool
