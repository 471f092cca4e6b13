// SPDX-License-Identifier: MIT
//
// Waiting at one side of a topic: for space to publish into, or for the next sample.
//
// A wait that cannot end at once lets the scheduler look at one word of the other side; only when the thread is about to
// block is sleep announced and the bell armed. It ends by that look, by the bell, by news of a link, or by a stop, and
// each time the memory decides.
#pragma once

#include "weir/scheduler/scheduler.hpp"

#include <optional>

namespace weir::ipc {

/// How far a wait has come.
enum class TopicProgress : std::uint8_t { ready, waiting, failed };

/// The part of a wait that its end knows.
class TopicWaiter : public Leaf {
public:
    void refuse(Errc code) noexcept { refuse(Error{.code = code, .operation = name()}); }
    void refuse(const Error& error) noexcept { error_ = error; }
    /// Something may have changed.
    void look_again() noexcept { look_again_(*this); }

protected:
    using LookAgain = void (*)(TopicWaiter&) noexcept;
    TopicWaiter(const Kind& kind_of, Stop function, LookAgain looks) noexcept
        : Leaf(kind_of, function), watch_(*this), look_again_(looks) {}
    ~TopicWaiter() = default;

    struct WordWatch : Watch {
        explicit WordWatch(TopicWaiter& owner) noexcept : waiter(owner) {}
        TopicWaiter& waiter;
    };

    WordWatch watch_;
    LookAgain look_again_;
    std::optional<Error> error_;
    bool over_ = false;  // completed, but its task has not run yet
};

/// What an End that is waited at has, besides `waiter_`, which is null while nobody waits:
///
///     bool ready()                                    what is waited for is there, and is the waiter's from now on
///     TopicProgress progress(optional<Error>&)        the same after a look at the other side; why not
///     TopicProgress sleep(optional<Error>&)           the same after sleep was announced; bells are armed
///     void awake()                                    withdraws the announcement
///     void wait_begins(const Start&), wait_ends()     around a wait that does not end at once
///     bool stops_later()                              a stop has to reach something else first, which looks again
///     Word& watched(), uint32_t seen()                the word that changes, and what it was
///     void flush()                                    tells the other side what it may wait for
template <class End>
class TopicWait : public TopicWaiter {
public:
    bool start(const Start& start) noexcept {
        if (end_.waiter_ != nullptr) {
            refuse(Errc::busy);
            return true;
        }
        end_.waiter_ = this;  // up to take(): a task that is out of credit has others run before that
        if (end_.ready()) [[likely]]
            return over_ = true;
        return start_slowly(start);
    }
    using TopicWaiter::refuse;

protected:
    TopicWait(const Kind& kind_of, End& end) noexcept : TopicWaiter(kind_of, stopped, looked), end_(end) {}
    ~TopicWait() = default;
    [[nodiscard]] End& end() const noexcept { return end_; }
    /// Ends the await: true if what it waited for is there.
    [[nodiscard]] bool arrived() noexcept {
        if (end_.waiter_ == this) end_.waiter_ = nullptr;
        return !error_;
    }
    [[nodiscard]] tl::unexpected<Error> failed() const noexcept { return failure(*error_); }

private:
    [[gnu::noinline]] bool start_slowly(const Start& start) noexcept {
        begin(start);
        end_.wait_begins(start);
        const TopicProgress progressed = end_.progress(error_);
        if (progressed != TopicProgress::waiting) {
            end_.wait_ends();
            unlink();
            return over_ = true;
        }
        end_.flush();
        watch();
        static_cast<Scheduler&>(start.context).watch(watch_);  // every Context is a Scheduler
        return false;
    }
    void watch() noexcept { watch_.set(watching, end_.watched(), end_.seen()); }
    void end_if(TopicProgress progressed) noexcept {
        // A bell that cannot be armed ends the wait from within sleep().
        if (over_ || progressed == TopicProgress::waiting) return;
        end_.awake();
        end_.wait_ends();
        watch_.unlink();
        over_ = true;
        complete();
    }

    // The bell rang, a link changed: begin the wait anew.
    static void looked(TopicWaiter& self) noexcept {
        auto& wait = static_cast<TopicWait&>(self);
        if (wait.over_) return;
        const TopicProgress progressed =
            wait.error_ ? TopicProgress::failed : wait.end_.progress(wait.error_);
        if (progressed == TopicProgress::waiting) wait.watch();
        wait.end_if(progressed);
    }
    static void word_changed(Watch& watch) noexcept {
        auto& wait = static_cast<TopicWait&>(static_cast<WordWatch&>(watch).waiter);
        const TopicProgress progressed = wait.end_.progress(wait.error_);
        if (progressed == TopicProgress::waiting) wait.watch();
        wait.end_if(progressed);
    }
    static void about_to_sleep(Watch& watch) noexcept {
        auto& wait = static_cast<TopicWait&>(static_cast<WordWatch&>(watch).waiter);
        const TopicProgress progressed = wait.end_.sleep(wait.error_);
        if (!wait.over_ && progressed == TopicProgress::waiting) {
            // The one that is waited for may be another one now, and the memory of the one before is gone.
            wait.watch();
            wait.watch_.asleep = true;
        }
        wait.end_if(progressed);
    }
    static void stopped(Stoppable& self) noexcept {
        auto& wait = static_cast<TopicWait&>(self);
        if (wait.over_) return;
        // What has arrived by now wins over the stop.
        const TopicProgress progressed = wait.end_.progress(wait.error_);
        if (progressed == TopicProgress::waiting) {
            wait.refuse(Errc::cancelled);
            if (wait.end_.stops_later()) return;
        }
        wait.end_if(TopicProgress::failed);
    }
    static constexpr Watch::Kind watching{word_changed, about_to_sleep};

    End& end_;
};

}  // namespace weir::ipc
