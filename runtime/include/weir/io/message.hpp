// SPDX-License-Identifier: MIT
//
// Moving whole messages through a socket, and descriptors along with bytes.
//
// A message arrives whole or not at all. One that is longer than the buffer is Errc::overflow, with its size and the
// buffer's; the buffer then holds its beginning, and the rest is gone. Descriptors that came without room for them are
// Errc::overflow too, and all that came with that message are closed; Errc::no_files if the process could not have them.
#pragma once

#include "weir/io/handle.hpp"
#include "weir/io/socket_address.hpp"
#include "weir/sys/message.hpp"
#include "weir/sys/path.hpp"

#include <sys/un.h>

namespace weir {

/// How many descriptors can go with one message.
inline constexpr std::size_t descriptors_per_message_max = sys::message_descriptors_max;

/// Bytes and the descriptors that came with them.
struct BytesAndDescriptors {
    Bytes bytes;                ///< the part of the buffer that was filled
    std::span<Fd> descriptors;  ///< the part of the given place that was filled; close-on-exec
};

/// A datagram and where it came from.
template <class Address>
struct Datagram {
    Bytes bytes;   ///< the part of the buffer that was filled
    Address from;  ///< empty if its sender has no address
};

/// The Wait of one message. It lives in the derived class.
class MessageWait : public PausingWait {
protected:
    MessageWait(const Pending::Kind& kind_of, Operation::Verb what, sys::Message& message) noexcept;
    ~MessageWait() = default;

    /// What came, as one message; `room` for descriptors was offered.
    Result<Bytes> received(std::size_t descriptors, std::size_t room) noexcept;
    /// The bytes that were sent.
    [[nodiscard]] Result<std::size_t> sent() const noexcept;
    /// Sends where waiting for room may be in vain, since it is the receiver's room that is missing: pauses instead.
    bool start_pausing(Handle& handle, const Start& start) noexcept;
    [[nodiscard]] sys::Message& message() const noexcept { return *static_cast<sys::Message*>(data); }

private:
    static bool retry(PausingWait& self) noexcept;
    void pause_longer() noexcept;

    Duration pause_{};
};

/// One message, without descriptors.
class [[nodiscard]] ReceiveMessage : public Awaitable<ReceiveMessage> {
public:
    using Outcome = Result<Bytes>;
    ReceiveMessage(Handle& handle, const Pending::Kind& kind, Bytes buffer) noexcept
        : handle_(&handle), kind_(&kind), buffer_(buffer) {}

    class Wait : public MessageWait {
    public:
        explicit Wait(ReceiveMessage&& self) noexcept
            : MessageWait(*self.kind_, Verb::receive_message, message_),
              handle_(*self.handle_),
              message_(self.buffer_.data(), self.buffer_.size()) {
            size = self.buffer_.size();
        }
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Outcome take() noexcept { return received(0, 0); }

    private:
        Handle& handle_;
        sys::PlainMessage message_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    Bytes buffer_;
};

/// One message as a whole.
class [[nodiscard]] SendMessage : public Awaitable<SendMessage> {
public:
    using Outcome = Result<void>;
    /// `size_min` 1: an empty one would read as the end.
    SendMessage(Handle& handle, const Pending::Kind& kind, ConstBytes bytes, std::size_t size_min) noexcept
        : handle_(&handle), kind_(&kind), bytes_(bytes), size_min_(size_min) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(SendMessage&& self) noexcept;
        bool start(const Start& start) noexcept { return too_small_ || start_on(handle_, start); }
        Outcome take() noexcept;

    private:
        Handle& handle_;
        bool connection_;
        bool too_small_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    ConstBytes bytes_;
    std::size_t size_min_;
};

/// Bytes of a stream, or a message, and the descriptors that come with them.
class [[nodiscard]] ReceiveDescriptors : public Awaitable<ReceiveDescriptors> {
public:
    using Outcome = Result<BytesAndDescriptors>;
    ReceiveDescriptors(Handle& handle, const Pending::Kind& kind, Bytes buffer, std::span<Fd> place) noexcept
        : handle_(&handle), kind_(&kind), buffer_(buffer), place_(place) {}

    class Wait : public MessageWait {
    public:
        explicit Wait(ReceiveDescriptors&& self) noexcept;
        bool start(const Start& start) noexcept;
        Outcome take() noexcept;

    private:
        Handle& handle_;
        std::span<Fd> place_;
        sys::DescriptorMessage message_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    Bytes buffer_;
    std::span<Fd> place_;
};

/// The same the other way. The descriptors are copied by the kernel; the caller keeps its own.
class [[nodiscard]] SendDescriptors : public Awaitable<SendDescriptors> {
public:
    using Outcome = Result<std::size_t>;
    SendDescriptors(Handle& handle, const Pending::Kind& kind, ConstBytes bytes,
                    std::span<const int> descriptors) noexcept
        : handle_(&handle), kind_(&kind), bytes_(bytes), descriptors_(descriptors) {}

    class Wait : public MessageWait {
    public:
        explicit Wait(SendDescriptors&& self) noexcept;
        bool start(const Start& start) noexcept { return wrong_ || start_on(handle_, start); }
        Outcome take() noexcept { return sent(); }

    private:
        Handle& handle_;
        bool wrong_ = false;
        sys::DescriptorMessage message_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    ConstBytes bytes_;
    std::span<const int> descriptors_;
};

/// How addresses of a kind go to the kernel and come from it.
template <class Address>
struct AddressForm;

template <>
struct AddressForm<BoundedPath> {
    sockaddr_un raw{};
    /// Sending to a path whose receiver is full cannot be waited for.
    static constexpr bool pauses = true;
    Result<void> set(const BoundedPath& path, sys::Message& message, const char* operation) noexcept;
    void make_room(sys::Message& message) noexcept;
    [[nodiscard]] BoundedPath get(const sys::Message& message) const noexcept;
};

template <>
struct AddressForm<SocketAddress> {
    SocketAddress raw;
    static constexpr bool pauses = false;
    Result<void> set(const SocketAddress& address, sys::Message& message, const char* operation) noexcept;
    void make_room(sys::Message& message) noexcept;
    [[nodiscard]] SocketAddress get(const sys::Message&) const noexcept { return raw; }
};

/// One datagram and its sender.
template <class Address>
class [[nodiscard]] ReceiveFrom : public Awaitable<ReceiveFrom<Address>> {
public:
    using Outcome = Result<Datagram<Address>>;
    ReceiveFrom(Handle& handle, const Pending::Kind& kind, Bytes buffer) noexcept
        : handle_(&handle), kind_(&kind), buffer_(buffer) {}

    class Wait : public MessageWait {
    public:
        explicit Wait(ReceiveFrom&& self) noexcept
            : MessageWait(*self.kind_, Verb::receive_message, message_),
              handle_(*self.handle_),
              message_(self.buffer_.data(), self.buffer_.size()) {
            size = self.buffer_.size();
            form_.make_room(message_);
        }
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Outcome take() noexcept {
            WEIR_TRY(const Bytes bytes, received(0, 0));
            return Datagram<Address>{bytes, form_.get(message_)};
        }

    private:
        Handle& handle_;
        sys::PlainMessage message_;
        AddressForm<Address> form_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    Bytes buffer_;
};

/// One datagram to an address.
template <class Address>
class [[nodiscard]] SendTo : public Awaitable<SendTo<Address>> {
public:
    using Outcome = Result<void>;
    SendTo(Handle& handle, const Pending::Kind& kind, ConstBytes bytes, const Address& to) noexcept
        : handle_(&handle), kind_(&kind), bytes_(bytes), to_(to) {}

    class Wait : public MessageWait {
    public:
        explicit Wait(SendTo&& self) noexcept
            : MessageWait(*self.kind_, Verb::send_message, message_),
              handle_(*self.handle_),
              message_(self.bytes_.data(), self.bytes_.size()) {
            size = self.bytes_.size();
            const auto fit = form_.set(self.to_, message_, name());
            if (fit) return;
            set_error(fit.error());
            wrong_ = true;
        }
        bool start(const Start& start) noexcept {
            if (wrong_) return true;
            return AddressForm<Address>::pauses ? start_pausing(handle_, start) : start_on(handle_, start);
        }
        Outcome take() noexcept {
            const auto went = sent();
            if (!went) return failure(went.error());
            return {};
        }

    private:
        Handle& handle_;
        bool wrong_ = false;
        sys::PlainMessage message_;
        AddressForm<Address> form_;
    };

private:
    Handle* handle_;
    const Pending::Kind* kind_;
    ConstBytes bytes_;
    Address to_;
};

}  // namespace weir
