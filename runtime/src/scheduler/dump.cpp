// SPDX-License-Identifier: MIT
//
// The task tree as text. Nothing is kept for it while the program runs: parents, what is awaited and the children
// are found through the Pending objects, each of which can describe itself.
#include "weir/scheduler/scheduler.hpp"

#include <cinttypes>
#include <cstdio>
#include <unistd.h>

namespace weir {
namespace {

class TreePrinter final : public PendingVisitor {
public:
    TreePrinter(int fd, Instant now) noexcept : out_(fd), now_(now) {}

    void on_task(const TaskState& task) noexcept override {
        line(task);
        if (task.awaiting() == nullptr) return;
        ++depth_;
        children(*task.awaiting());
        --depth_;
    }
    void on_pending(const Pending& pending) noexcept override { children(pending); }
    void on_detail(int, Instant) noexcept override {}

private:
    // What one task awaits, said on its own line: names from the outside in, then details.
    class Awaited final : public PendingVisitor {
    public:
        explicit Awaited(const Pending& pending) noexcept { walk(pending); }
        void on_task(const TaskState&) noexcept override {}
        void on_detail(int fd, Instant until) noexcept override {
            if (fd >= 0) fd_ = fd;
            if (until < until_) until_ = until;
        }
        void on_pending(const Pending& pending) noexcept override {
            if (arms_++ == 0) walk(pending);
        }
        int fd() const noexcept { return fd_; }
        Instant until() const noexcept { return until_; }
        const char* innermost() const noexcept { return name_; }

    private:
        void walk(const Pending& pending) noexcept {
            name_ = pending.name();
            arms_ = 0;
            const bool transparent = std::string_view(name_) == "deadline" ||
                                     std::string_view(name_) == "shielded" ||
                                     std::string_view(name_) == "tick";
            if (!transparent) arms_ = 1;  // the arms of a combinator are shown below it
            pending.visit(*this);
        }
        const char* name_ = "";
        int fd_ = -1;
        Instant until_ = never;
        int arms_ = 0;
    };

    static std::int64_t ms(Duration span) noexcept {
        return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
    }

    void line(const TaskState& task) noexcept {
        char text[256];
        int size =
            std::snprintf(text, sizeof(text), "%*s%s:%" PRIu32, depth_ * 2, "", task.function(), task.line());
        if (task.awaiting() == nullptr) {
            size += std::snprintf(text + size, sizeof(text) - static_cast<std::size_t>(size), "  %s\n",
                                  !task.started() ? "not started" : "running");
            write(text, size);
            return;
        }
        const Awaited awaited(*task.awaiting());
        size += std::snprintf(text + size, sizeof(text) - static_cast<std::size_t>(size), "  awaits %s",
                              awaited.innermost());
        size = details(text, size, sizeof(text), awaited.fd(), awaited.until());
        size += std::snprintf(text + size, sizeof(text) - static_cast<std::size_t>(size),
                              "  for %" PRId64 " ms%s\n", ms(now_ - task.since()),
                              task.queued() ? ", ready" : "");
        write(text, size);
    }

    int details(char* text, int size, std::size_t capacity, int fd, Instant until) const noexcept {
        if (fd >= 0)
            size += std::snprintf(text + size, capacity - static_cast<std::size_t>(size), " fd %d", fd);
        if (until != never) {
            size += std::snprintf(text + size, capacity - static_cast<std::size_t>(size),
                                  " (deadline in %" PRId64 " ms)", ms(until - now_));
        }
        return size;
    }

    // Below a task: its child tasks, and the arms of a combinator that are operations.
    void children(const Pending& pending) noexcept {
        class Arms final : public PendingVisitor {
        public:
            Arms(TreePrinter& printer, bool combinator) noexcept
                : printer_(printer), combinator_(combinator) {}
            void on_task(const TaskState& task) noexcept override { printer_.on_task(task); }
            void on_detail(int, Instant) noexcept override {}
            void on_pending(const Pending& arm) noexcept override {
                HasTask finder;
                arm.visit(finder);
                if (combinator_ && !finder.found)
                    printer_.operation(arm);
                else
                    printer_.children(arm);
            }

        private:
            struct HasTask final : PendingVisitor {
                void on_task(const TaskState&) noexcept override { found = true; }
                void on_detail(int, Instant) noexcept override {}
                void on_pending(const Pending& inner) noexcept override { inner.visit(*this); }
                bool found = false;
            };
            TreePrinter& printer_;
            bool combinator_;
        };
        const std::string_view name = pending.name();
        Arms arms(*this, name == "first_of" || name == "all_of");
        pending.visit(arms);
    }

    void operation(const Pending& pending) noexcept {
        char text[160];
        const Awaited awaited(pending);
        int size =
            std::snprintf(text, sizeof(text), "%*s(arm)  awaits %s", depth_ * 2, "", awaited.innermost());
        size = details(text, size, sizeof(text), awaited.fd(), awaited.until());
        size += std::snprintf(text + size, sizeof(text) - static_cast<std::size_t>(size), "\n");
        write(text, size);
    }

    void write(const char* text, int size) const noexcept {
        if (size > 0) [[maybe_unused]]
            const auto written = ::write(out_, text, static_cast<std::size_t>(size));
    }

    int out_;
    Instant now_;
    int depth_ = 0;
};

}  // namespace

void Scheduler::dump(int fd) const noexcept {
    char head[320];
    const int size =
        std::snprintf(head, sizeof(head),
                      "weir: %zu tasks, %zu timers, %zu of %zu descriptors, %zu of %zu frame bytes, %s\n",
                      frames.live(), timers.count(), descriptors_.count(), descriptors_.capacity(),
                      frames.cut_size(), frames.capacity(), reason_.data());
    if (size > 0) [[maybe_unused]]
        const auto written = ::write(fd, head, static_cast<std::size_t>(size));
    if (!root_) return;
    TreePrinter printer(fd, now());
    printer.on_task(*root_->task);
}

}  // namespace weir
