// SPDX-License-Identifier: MIT
#include "weir/io/message.hpp"

#include "io/unix_address.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace weir {
namespace {

using namespace std::chrono_literals;

constexpr Duration send_pause_first = 100us;
constexpr Duration send_pause_max = 10ms;

// What was cut may be something else that an adopted socket was told to put beside the bytes, such as the time.
bool passes_descriptors(int fd) noexcept {
    int domain = 0;
    socklen_t size = sizeof(domain);
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

MessageWait::MessageWait(const Pending::Kind& kind_of, Operation::Verb what, sys::Message& message) noexcept
    : PausingWait(kind_of, what, retry) {
    data = &message;
}

Result<Bytes> MessageWait::received(std::size_t descriptors, std::size_t room) noexcept {
    WEIR_TRY(const std::size_t whole, outcome());
    const std::size_t buffer = message().size();
    if (message().bytes_cut()) return failure(Errc::overflow, name(), whole, buffer);
    if (message().descriptors_cut() && passes_descriptors(entry->fd)) {
        // The kernel does not say how many there were.
        if (descriptors < room) return failure(Errc::no_files, name());
        return failure(Errc::overflow, name(), room + 1, room);
    }
    return Bytes(static_cast<std::byte*>(message().header().msg_iov->iov_base), std::min(whole, buffer));
}

Result<std::size_t> MessageWait::sent() const noexcept {
    const auto went = outcome();
    if (went) return went;
    Error error = went.error();
    if (error.system_errno == EMSGSIZE) error.a = size;
    return failure(error);
}

bool MessageWait::start_pausing(Handle& handle, const Start& start) noexcept {
    if (!bind_to(handle, start)) return true;
    result = scheduler_of(start).backend().attempt(*this);
    if (result != -EAGAIN) return true;
    begin(start);
    pause_ = send_pause_first;
    pause_longer();
    return false;
}

bool MessageWait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<MessageWait&>(self);
    wait.result = static_cast<Scheduler&>(wait.context()).backend().attempt(wait);
    if (wait.result != -EAGAIN) return true;
    wait.pause_longer();
    return false;
}

void MessageWait::pause_longer() noexcept {
    pause(pause_);
    pause_ = std::min(pause_ * 2, send_pause_max);
}

SendMessage::Wait::Wait(SendMessage&& self) noexcept
    : OperationWait(*self.kind_, Verb::send),
      handle_(*self.handle_),
      connection_(self.size_min_ > 0),
      too_small_(self.bytes_.size() < self.size_min_) {
    data = const_cast<std::byte*>(self.bytes_.data());  // only read from
    size = self.bytes_.size();
    if (too_small_) set_error({.code = Errc::invalid, .operation = name()});
}

Result<void> SendMessage::Wait::take() noexcept {
    const auto went = outcome();
    if (went) return {};
    Error error = went.error();
    if (error.system_errno == EMSGSIZE) error.a = size;
    // A connection that is gone, or a datagram socket that was never connected.
    if (error.system_errno == ENOTCONN && !connection_) error.code = Errc::invalid;
    return failure(error);
}

ReceiveDescriptors::Wait::Wait(ReceiveDescriptors&& self) noexcept
    : MessageWait(*self.kind_, Verb::receive_message, message_),
      handle_(*self.handle_),
      place_(self.place_.first(std::min(self.place_.size(), descriptors_per_message_max))),
      message_(self.buffer_.data(), self.buffer_.size()) {
    size = self.buffer_.size();
}

bool ReceiveDescriptors::Wait::start(const Start& start) noexcept {
    message_.make_room(place_.size());
    return start_on(handle_, start);
}

Result<BytesAndDescriptors> ReceiveDescriptors::Wait::take() noexcept {
    const bool came = outcome().has_value();
    const std::span<Fd> descriptors = place_.first(came ? message_.take(place_) : 0);
    const auto bytes = received(descriptors.size(), place_.size());
    if (bytes) return BytesAndDescriptors{*bytes, descriptors};
    for (Fd& fd : descriptors) fd.close();
    return failure(bytes.error());
}

SendDescriptors::Wait::Wait(SendDescriptors&& self) noexcept
    : MessageWait(*self.kind_, Verb::send_message, message_),
      handle_(*self.handle_),
      message_(self.bytes_.data(), self.bytes_.size()) {
    size = self.bytes_.size();
    if (self.descriptors_.size() > descriptors_per_message_max) {
        wrong_ = true;
        set_error({.code = Errc::too_large,
                   .operation = name(),
                   .a = self.descriptors_.size(),
                   .b = descriptors_per_message_max});
    } else if (self.bytes_.empty()) {
        // A stream would send nothing at all, and an empty message reads as the end.
        wrong_ = true;
        set_error({.code = Errc::invalid, .operation = name()});
    } else {
        message_.attach(self.descriptors_);
    }
}

Result<void> AddressForm<BoundedPath>::set(const BoundedPath& path, sys::Message& message,
                                           const char* operation) noexcept {
    BoundedPath absolute = path;
    const auto fit = absolute.resolve(operation);
    if (!fit) return fit;
    raw = unix_address_of(absolute);
    message.set_address(&raw, sizeof(raw));
    return {};
}

void AddressForm<BoundedPath>::make_room(sys::Message& message) noexcept {
    message.set_address(&raw, sizeof(raw));
}

BoundedPath AddressForm<BoundedPath>::get(const sys::Message& message) const noexcept {
    // No name at all, or an abstract one, which nobody could answer to by a path.
    const std::size_t named = message.header().msg_namelen;
    if (named <= offsetof(sockaddr_un, sun_path) || raw.sun_path[0] == '\0') return BoundedPath();
    const std::size_t room = std::min(named - offsetof(sockaddr_un, sun_path), sizeof(raw.sun_path));
    return BoundedPath(std::string_view(raw.sun_path, ::strnlen(raw.sun_path, room)));
}

Result<void> AddressForm<SocketAddress>::set(const SocketAddress& address, sys::Message& message,
                                             const char* operation) noexcept {
    if (address.empty()) return failure(Errc::invalid, operation);
    raw = address;
    message.set_address(raw.raw(), raw.raw_size());
    return {};
}

void AddressForm<SocketAddress>::make_room(sys::Message& message) noexcept {
    message.set_address(raw.raw(), SocketAddress::raw_size_max);
}

}  // namespace weir
