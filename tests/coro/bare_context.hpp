// SPDX-License-Identifier: MIT
//
// The least that tasks need: a Context with memory, a loop over its ready list, and time that jumps to the next timer
// when nothing is ready. There is no backend.
#pragma once

#include <weir/coro/context.hpp>
#include <weir/coro/task.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

namespace weir::test {

struct ContextMemory {
    static constexpr std::size_t size_max = 128 * 1024;
    alignas(16) std::array<std::byte, size_max> frames;
    alignas(8) std::array<std::byte, TimerWheel::storage_size(16)> timers;
};

class BareContext : private ContextMemory, public Context {
public:
    explicit BareContext(std::size_t frame_bytes = size_max) noexcept
        : Context(ContextMemory::frames.data(), std::min(frame_bytes, size_max)) {
        simulated_ = true;
        turn_time = instant_of_ns(1'000'000'000);
        timers.start(ContextMemory::timers, 16, turn_time);
    }

    using Context::frames;
    using Context::timers;

    /// Runs `root` to its end.
    template <class T>
    Result<T> run(Task<T> root) noexcept {
        if (root.hollow()) return failure(frames.refusal("root task"));
        limit_stack(stack_bytes_of_run_);
        StopScope scope;
        scope_ = &scope;
        Root item;
        std::optional<Result<T>> slot;
        auto handle = root.release();
        handle.promise().set_slot(slot);
        handle.promise().bind(*this, scope, item, nullptr);
        handle.promise().begin_later();
        while (!item.done) turn();
        handle.destroy();
        scope_ = nullptr;
        return std::move(*slot);
    }

    /// For the runs from now on.
    void set_stack_bytes(std::size_t bytes) noexcept { stack_bytes_of_run_ = bytes; }

    /// Stops the root task's scope.
    void stop() noexcept { scope_->request_stop(); }
    /// Items taken from the ready list so far.
    [[nodiscard]] std::size_t items_run() const noexcept { return items_run_; }
    /// Lets time pass while tasks run: a spin on the clock.
    void spend(Duration span) noexcept { turn_time += span; }
    /// Nothing is left of what ran.
    [[nodiscard]] bool idle() const noexcept {
        return frames.live() == 0 && timers.count() == 0 && ready.empty();
    }

private:
    struct Root : ReadyItem {
        Root() noexcept : ReadyItem([](ReadyItem& item) noexcept { static_cast<Root&>(item).done = true; }) {}
        bool done = false;
    };

    void turn() noexcept {
        timers.fire_due(turn_time, 1'000);
        if (ReadyItem* const item = ready.pop(); item != nullptr) {
            ++items_run_;
            item->run();
            return;
        }
        const Instant next = timers.next();
        if (next == never) {
            std::fputs("nothing can wake the tasks of this test any more\n", stderr);
            std::abort();
        }
        turn_time = std::max(turn_time, next);
    }

    StopScope* scope_ = nullptr;
    std::size_t items_run_ = 0;
    std::size_t stack_bytes_of_run_ = 0;
};

}  // namespace weir::test
