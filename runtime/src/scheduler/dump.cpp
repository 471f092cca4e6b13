// SPDX-License-Identifier: MIT
//
// The task tree as text. Nothing is kept for it while the program runs: parents, what is awaited and the children
// are found through the Pending objects, each of which can describe itself.
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <unistd.h>

namespace weir {
namespace {

// One line of text; what does not fit is cut.
class Line {
public:
    /// Indented by `depth`, up to a third of the line.
    explicit Line(int depth) noexcept { add("%*s", std::min(depth * 2, capacity / 3), ""); }

    [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) noexcept {
        std::va_list arguments;
        va_start(arguments, format);
        const int room = capacity - size_;
        const int wanted = std::vsnprintf(text_ + size_, static_cast<std::size_t>(room), format, arguments);
        va_end(arguments);
        if (wanted > 0) size_ += std::min(wanted, room - 1);
    }
    void write(int fd) noexcept {
        text_[size_] = '\n';  // in the place of the terminator
        [[maybe_unused]] const auto written = ::write(fd, text_, static_cast<std::size_t>(size_) + 1);
    }

private:
    static constexpr int capacity = 384;
    char text_[capacity];
    int size_ = 0;
};

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
            if (pending.kind().shape != Pending::Shape::wrapper)
                arms_ = 1;  // what it holds is shown below it
            pending.visit(*this);
        }
        const char* name_ = "";
        int fd_ = -1;
        Instant until_ = never;
        int arms_ = 0;
    };

    void line(const TaskState& task) noexcept {
        Line line(depth_);
        line.add("%s:%" PRIu32, task.function(), task.line());
        if (task.awaiting() == nullptr) {
            line.add("  %s", !task.started() ? "not started" : "running");
        } else {
            const Awaited awaited(*task.awaiting());
            line.add("  awaits %s", awaited.innermost());
            details(line, awaited);
            line.add("  for %" PRId64 " ms%s", to_ms(now_ - task.since()), task.queued() ? ", ready" : "");
        }
        line.write(out_);
    }

    void details(Line& line, const Awaited& awaited) const noexcept {
        if (awaited.fd() >= 0) line.add(" fd %d", awaited.fd());
        if (awaited.until() != never)
            line.add(" (deadline in %" PRId64 " ms)", to_ms(awaited.until() - now_));
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
        Arms arms(*this, pending.kind().shape == Pending::Shape::combinator);
        pending.visit(arms);
    }

    void operation(const Pending& pending) noexcept {
        const Awaited awaited(pending);
        Line line(depth_);
        line.add("(arm)  awaits %s", awaited.innermost());
        details(line, awaited);
        line.write(out_);
    }

    int out_;
    Instant now_;
    int depth_ = 0;
};

}  // namespace

void Scheduler::dump(int fd) const noexcept {
    Line head(0);
    head.add("weir: %zu tasks, %zu timers, %zu of %zu descriptors, %zu of %zu frame bytes, %s", frames.live(),
             timers.count(), descriptors_.count(), descriptors_.capacity(), frames.cut_size(),
             frames.capacity(), reason_.data());
    head.write(fd);
    if (root_ == nullptr) return;
    TreePrinter printer(fd, now());
    printer.on_task(*root_->task);
}

}  // namespace weir
