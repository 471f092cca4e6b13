// SPDX-License-Identifier: MIT
//
// Counting the awaits of a program, and doing something at the k-th.
#pragma once

#include <weir/coro/task.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::test {

class Probe {
public:
    enum class Moment : std::uint8_t {
        before,     ///< the await is about to start
        suspended,  ///< it has started and waits
    };
    using Action = void (*)(void* context) noexcept;

    /// Calls `action` at the k-th await from now on, counted from 1, at `moment`; 0 only counts. An await that does not
    /// suspend has no second moment.
    void arm(std::uint32_t k, Moment moment, Action action, void* context) noexcept {
        count_ = 0;
        k_ = k;
        moment_ = moment;
        action_ = action;
        context_ = context;
    }
    std::uint32_t begin(std::uint32_t line) noexcept {
        if (std::find(lines_.begin(), lines_.begin() + places_, line) == lines_.begin() + places_ &&
            places_ < lines_.size()) {
            lines_[places_++] = line;
        }
        return ++count_;
    }
    void reached(std::uint32_t number, Moment moment) noexcept {
        if (number == k_ && moment == moment_) action_(context_);
    }
    /// Awaits since arm().
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    /// Different lines in which they stand, ever.
    [[nodiscard]] std::size_t places() const noexcept { return places_; }

private:
    std::uint32_t count_ = 0;
    std::uint32_t k_ = 0;
    Moment moment_ = Moment::before;
    Action action_ = nullptr;
    void* context_ = nullptr;
    std::array<std::uint32_t, 128> lines_{};
    std::size_t places_ = 0;
};

/// A description that tells the probe when it is awaited.
template <class D>
class [[nodiscard]] Probed : public Awaitable<Probed<D>> {
public:
    using Outcome = typename D::Outcome;
    Probed(Probe& probe, D&& inner, std::uint32_t line) noexcept
        : probe_(&probe), line_(line), inner_(std::move(inner)) {}

    class Wait : public Pending {
    public:
        explicit Wait(Probed&& self) noexcept
            : Pending(kind), probe_(*self.probe_), line_(self.line_), inner_(std::move(self.inner_)) {}
        bool start(const Start& start) noexcept {
            const std::uint32_t number = probe_.begin(line_);
            probe_.reached(number, Probe::Moment::before);
            if (start_or_refuse<D>(inner_, start)) return true;
            probe_.reached(number, Probe::Moment::suspended);
            return false;
        }
        void refuse(Errc code) noexcept { inner_.refuse(code); }
        Outcome take() noexcept { return inner_.take(); }

    private:
        static constexpr Kind kind{"probed", [](const Pending& self, PendingVisitor& visitor) noexcept {
                                       visitor.on_pending(static_cast<const Wait&>(self).inner_);
                                   }};
        Probe& probe_;
        std::uint32_t line_;
        typename D::Wait inner_;
    };

private:
    Probe* probe_;
    std::uint32_t line_;
    D inner_;
};

template <class D>
[[nodiscard]] Probed<D> probed(Probe& probe, D inner, int line = __builtin_LINE()) noexcept {
    return Probed<D>(probe, std::move(inner), static_cast<std::uint32_t>(line));
}

}  // namespace weir::test

namespace weir {
template <class D>
inline constexpr bool starts_when_stopped<test::Probed<D>> = starts_when_stopped<D>;
}
