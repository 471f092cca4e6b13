// SPDX-License-Identifier: MIT
//
// A bounded channel between tasks of one scheduler: values in order, senders wait when it is full, receivers when
// it is empty.
//
// Nothing is lost: send() of a named value moves from it only when it succeeds; what a
// waiting receiver was handed is its, stopped or not. After close() the values inside are still received, then
// receivers get Errc::ended; senders get Errc::closed.
#pragma once

#include "weir/core/inline_vector.hpp"
#include "weir/coro/wait_list.hpp"

#include <cstddef>
#include <optional>

namespace weir {

/// Holds up to `capacity_max` values of T, which can be moved and move-assigned, in itself. Belongs to one scheduler's
/// thread and outlives its waiters. Waiting takes no frame and makes no system call.
template <class T, std::size_t capacity_max>
class Channel {
    static_assert(capacity_max >= 1);

public:
    class SendWait;
    class SendOwnWait;
    class ReceiveWait;

    class [[nodiscard]] Send : public Awaitable<Send> {
    public:
        using Outcome = Result<void>;
        using Wait = SendWait;
        Send(Channel& channel, T& value) noexcept : channel_(&channel), value_(&value) {}

    private:
        friend SendWait;
        Channel* channel_;
        T* value_;
    };
    /// Of a temporary, which would be gone when the await begins: the description owns it.
    class [[nodiscard]] SendOwn : public Awaitable<SendOwn> {
    public:
        using Outcome = Result<void>;
        using Wait = SendOwnWait;
        SendOwn(Channel& channel, T&& value) noexcept : channel_(&channel), value_(std::move(value)) {}

    private:
        friend SendOwnWait;
        Channel* channel_;
        T value_;
    };
    class [[nodiscard]] Receive : public Awaitable<Receive> {
    public:
        using Outcome = Result<T>;
        using Wait = ReceiveWait;
        explicit Receive(Channel& channel) noexcept : channel_(&channel) {}

    private:
        friend ReceiveWait;
        Channel* channel_;
    };

    class SendWait : public Waiter {
    public:
        explicit SendWait(Send&& send) noexcept
            : Waiter(kind), channel_(send.channel_), value_(send.value_) {}
        bool start(const Start& start) noexcept {
            if (channel_->closed_) {
                this->refuse(Errc::closed);
                return true;
            }
            if (!channel_->receivers_.empty()) {
                auto& receiver = static_cast<ReceiveWait&>(first_waiter(channel_->receivers_));
                receiver.value_.emplace(std::move(*value_));
                receiver.grant();
                return true;
            }
            if (channel_->put(*value_)) return true;
            this->join(channel_->senders_, start);
            return false;
        }
        Result<void> take() noexcept { return this->outcome(); }

    private:
        friend Channel;
        static constexpr Pending::Kind kind{"channel send", nullptr};
        Channel* channel_;
        T* value_;
    };

    class SendOwnWait : public SendWait {
    public:
        explicit SendOwnWait(SendOwn&& send) noexcept
            : SendWait(Send(*send.channel_, own_)), own_(std::move(send.value_)) {}

    private:
        T own_;
    };

    class ReceiveWait : public Waiter {
    public:
        explicit ReceiveWait(Receive&& receive) noexcept : Waiter(kind), channel_(receive.channel_) {}
        bool start(const Start& start) noexcept {
            value_ = channel_->pull();
            if (value_) return true;
            if (channel_->closed_) {
                this->refuse(Errc::ended);
                return true;
            }
            this->join(channel_->receivers_, start);
            return false;
        }
        Result<T> take() noexcept {
            const auto got = this->outcome();
            if (!got) return failure(got.error());
            return std::move(*value_);
        }

    private:
        friend SendWait;
        static constexpr Pending::Kind kind{"channel receive", nullptr};
        Channel* channel_;
        std::optional<T> value_;
    };

    /// `value` is moved from only if this succeeds; it lives until then. Errors: closed, cancelled, timed_out.
    [[nodiscard]] Send send(T& value) noexcept { return Send(*this, value); }
    /// The same with a value that nobody wants back.
    [[nodiscard]] SendOwn send(T&& value) noexcept { return SendOwn(*this, std::move(value)); }
    /// Errors: ended, cancelled, timed_out.
    [[nodiscard]] Receive receive() noexcept { return Receive(*this); }

    /// Idempotent. Waiting senders end with `closed`, their values untouched.
    void close() noexcept {
        closed_ = true;
        while (!senders_.empty()) first_waiter(senders_).end_with(Errc::closed);
        while (!receivers_.empty()) first_waiter(receivers_).end_with(Errc::ended);
    }
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return capacity_max; }

private:
    bool put(T& value) noexcept {
        if (count_ == capacity_max) return false;
        ring_[(first_ + count_) % capacity_max].emplace(std::move(value));
        ++count_;
        return true;
    }
    std::optional<T> pull() noexcept {
        if (count_ == 0) return std::nullopt;
        std::optional<T> value = std::move(ring_[first_]);
        ring_[first_].reset();
        first_ = (first_ + 1) % capacity_max;
        --count_;
        if (!senders_.empty()) {
            auto& sender = static_cast<SendWait&>(first_waiter(senders_));
            put(*sender.value_);
            sender.grant();
        }
        return value;
    }

    std::optional<T> ring_[capacity_max];
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    bool closed_ = false;
    WaitList senders_;
    WaitList receivers_;
};

}  // namespace weir
