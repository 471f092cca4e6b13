// SPDX-License-Identifier: MIT
//
// A queue's descriptor can be polled, so an end waits like any other: try, poll, try. The calls take no deadline.
//
// mq_open says EINVAL for a queue that is too deep, too wide or nonsense, and tells no limit. The limits are read
// only then: a privileged process may go beyond them.
#include "weir/io/message_queue.hpp"

#include "sys/ownership.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr const char* creating = "message queue create";
constexpr int opens_max = 16;  // of a queue that others make and unlink all the time

struct QueuePath {
    explicit QueuePath(const Name& name) noexcept {
        const std::string_view text = name.view();
        std::replace_copy(text.begin(), text.end(), bytes.begin() + 1, '/', '~');
    }
    std::array<char, Name::size_max + 2> bytes{'/'};
};

std::optional<std::uint64_t> limit_in(const char* path) noexcept {
    const Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
    char text[24] = "";
    if (!fd || ::read(fd.get(), text, sizeof(text) - 1) <= 0) return std::nullopt;
    return std::strtoull(text, nullptr, 10);
}

Error why_not_made(int error, const MessageQueueOptions& options) noexcept {
    if (error == EINVAL) {
        const auto depth_max = limit_in("/proc/sys/fs/mqueue/msg_max");
        if (depth_max && options.depth > *depth_max) {
            return {.code = Errc::too_large,
                    .system_errno = error,
                    .operation = "message queue create, depth (/proc/sys/fs/mqueue/msg_max)",
                    .a = options.depth,
                    .b = *depth_max};
        }
        const auto size_max = limit_in("/proc/sys/fs/mqueue/msgsize_max");
        if (size_max && options.message_size > *size_max) {
            return {.code = Errc::too_large,
                    .system_errno = error,
                    .operation = "message queue create, message size (/proc/sys/fs/mqueue/msgsize_max)",
                    .a = options.message_size,
                    .b = *size_max};
        }
    }
    if (error == ENOSPC) {
        const auto queues_max = limit_in("/proc/sys/fs/mqueue/queues_max");
        return {.code = Errc::too_large,
                .system_errno = error,
                .operation = "message queue create, queues (/proc/sys/fs/mqueue/queues_max)",
                .a = queues_max ? *queues_max + 1 : 0,
                .b = queues_max.value_or(0)};
    }
    if (error == EMFILE)
        return Error::from_errno("message queue create (descriptors, or RLIMIT_MSGQUEUE)", error);
    return Error::from_errno(creating, error);
}

Result<void> set_owner_and_mode(int fd, const MessageQueueOptions& options) noexcept {
    const long set = sys::set_ownership(fd, options.owner, options.group, options.mode);
    if (set < 0) return failure(Error::from_errno(creating, static_cast<int>(-set)));
    return {};
}

Result<void> check_found(int fd, const MessageQueueOptions& options) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return failure(Error::from_errno(creating, errno));
    const bool ours = status.st_uid == ::geteuid();
    const bool trusted =
        ours || status.st_uid == 0 || static_cast<std::int64_t>(status.st_uid) == options.owner;
    if (!trusted) return failure(Errc::in_use, "message queue create, where another user's lies");
    mq_attr found{};
    if (::mq_getattr(fd, &found) < 0) return failure(Error::from_errno(creating, errno));
    const auto depth = static_cast<std::uint64_t>(found.mq_maxmsg);
    const auto size = static_cast<std::uint64_t>(found.mq_msgsize);
    if (depth != options.depth)
        return failure(Errc::mismatch, "message queue create, depth", options.depth, depth);
    if (size != options.message_size)
        return failure(Errc::mismatch, "message queue create, message size", options.message_size, size);
    return ours || ::geteuid() == 0 ? set_owner_and_mode(fd, options) : Result<void>{};
}

}  // namespace

Result<MessageQueueStatus> MessageQueue::status() const noexcept {
    constexpr const char* operation = "message queue status";
    mq_attr attributes{};
    struct stat status {};
    if (::mq_getattr(fd(), &attributes) < 0 || ::fstat(fd(), &status) < 0)
        return failure(Error::from_errno(operation, errno));
    return MessageQueueStatus{.depth = static_cast<std::uint32_t>(attributes.mq_maxmsg),
                              .message_size = static_cast<std::uint32_t>(attributes.mq_msgsize),
                              .messages = static_cast<std::uint32_t>(attributes.mq_curmsgs),
                              .owner = status.st_uid};
}

Result<void> MessageQueue::unlink(const Name& name) noexcept {
    const QueuePath path(name);
    if (::mq_unlink(path.bytes.data()) < 0) return failure(Error::from_errno("message queue unlink", errno));
    return {};
}

Result<void> MessageQueue::learn_size(const char* operation) noexcept {
    mq_attr attributes{};
    if (::mq_getattr(fd(), &attributes) < 0) return failure(Error::from_errno(operation, errno));
    message_size_ = static_cast<std::uint32_t>(attributes.mq_msgsize);
    return {};
}

Result<void> MessageQueue::create_in(MessageQueue& queue, const Name& name,
                                     const MessageQueueOptions& options, int access) noexcept {
    if (options.depth == 0 || options.message_size == 0)
        return failure(Errc::invalid, "message queue create, of depth or message size 0");
    const QueuePath path(name);
    mq_attr attributes{};
    attributes.mq_maxmsg = static_cast<long>(options.depth);
    attributes.mq_msgsize = static_cast<long>(options.message_size);
    const int flags = access | O_NONBLOCK | O_CLOEXEC;
    for (int opens = 0; opens < opens_max; ++opens) {
        Fd made(::mq_open(path.bytes.data(), flags | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR, &attributes));
        if (made) {
            const auto set = set_owner_and_mode(made.get(), options);
            if (!set) {
                ::mq_unlink(path.bytes.data());
                return set;
            }
            static_cast<Handle&>(queue) = Handle(std::move(made));
            queue.message_size_ = options.message_size;
            return {};
        }
        if (errno != EEXIST) return failure(why_not_made(errno, options));
        if (options.exclusive) return failure(Error::from_errno(creating, EEXIST));
        Fd found(::mq_open(path.bytes.data(), flags));
        if (!found && errno == ENOENT) continue;  // unlinked meanwhile
        if (!found) return failure(Error::from_errno(creating, errno));
        const auto checked = check_found(found.get(), options);
        if (!checked) return checked;
        static_cast<Handle&>(queue) = Handle(std::move(found));
        queue.message_size_ = options.message_size;
        return {};
    }
    return failure(Error::from_errno(creating, ENOENT));
}

Result<void> MessageQueue::open_in(MessageQueue& queue, const Name& name, int access) noexcept {
    constexpr const char* operation = "message queue open";
    const QueuePath path(name);
    Fd fd(::mq_open(path.bytes.data(), access | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return failure(Error::from_errno(operation, errno));
    static_cast<Handle&>(queue) = Handle(std::move(fd));
    return queue.learn_size(operation);
}

Result<void> MessageQueue::adopt_in(MessageQueue& queue, int fd, HandleKind kind) noexcept {
    constexpr const char* operation = "adopt message queue";
    if (const auto done = queue.adopt_this(fd, kind, operation); !done) return done;
    return queue.learn_size(operation);
}

Result<MessageQueueReader> MessageQueueReader::create(const Name& name,
                                                      const MessageQueueOptions& options) noexcept {
    MessageQueueReader reader;
    return create_in(reader, name, options, O_RDONLY).map([&] { return std::move(reader); });
}
Result<MessageQueueReader> MessageQueueReader::open(const Name& name) noexcept {
    MessageQueueReader reader;
    return open_in(reader, name, O_RDONLY).map([&] { return std::move(reader); });
}
Result<MessageQueueReader> MessageQueueReader::adopt(int fd) noexcept {
    MessageQueueReader reader;
    return adopt_in(reader, fd, handle_kind::queue_reader).map([&] { return std::move(reader); });
}
QueueReceive MessageQueueReader::receive(Bytes buffer) noexcept {
    return {*this, buffer};
}

Result<MessageQueueWriter> MessageQueueWriter::create(const Name& name,
                                                      const MessageQueueOptions& options) noexcept {
    MessageQueueWriter writer;
    return create_in(writer, name, options, O_WRONLY).map([&] { return std::move(writer); });
}
Result<MessageQueueWriter> MessageQueueWriter::open(const Name& name) noexcept {
    MessageQueueWriter writer;
    return open_in(writer, name, O_WRONLY).map([&] { return std::move(writer); });
}
Result<MessageQueueWriter> MessageQueueWriter::adopt(int fd) noexcept {
    MessageQueueWriter writer;
    return adopt_in(writer, fd, handle_kind::queue_writer).map([&] { return std::move(writer); });
}
QueueSend MessageQueueWriter::send(ConstBytes bytes, std::uint32_t priority) noexcept {
    return {*this, bytes, priority};
}

QueueReceive::Wait::Wait(QueueReceive&& receive) noexcept
    : OperationWait(kind, Operation::Verb::queue_receive),
      queue_(*receive.queue_),
      message_{receive.buffer_.data(), receive.buffer_.size(), 0} {
    data = &message_;
}

bool QueueReceive::Wait::start(const Start& start) noexcept {
    if (queue_ && message_.size < queue_.message_size()) {
        set_error({.code = Errc::too_large,
                   .operation = "message queue receive, message size for this buffer",
                   .a = queue_.message_size(),
                   .b = message_.size});
        return true;
    }
    return start_on(queue_, start);
}

Result<QueuedMessage> QueueReceive::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return QueuedMessage{Bytes(static_cast<std::byte*>(message_.bytes), *got), message_.priority};
}

QueueSend::Wait::Wait(QueueSend&& send) noexcept
    : OperationWait(kind, Operation::Verb::queue_send),
      queue_(*send.queue_),
      message_{const_cast<std::byte*>(send.bytes_.data()),  // only read from
               send.bytes_.size(), send.priority_} {
    data = &message_;
}

bool QueueSend::Wait::start(const Start& start) noexcept {
    if (queue_ && message_.size > queue_.message_size()) {
        set_error(
            {.code = Errc::too_large, .operation = name(), .a = message_.size, .b = queue_.message_size()});
        return true;
    }
    if (message_.priority > MessageQueue::priority_max) {
        set_error({.code = Errc::too_large,
                   .operation = "message queue send, priority",
                   .a = message_.priority,
                   .b = MessageQueue::priority_max});
        return true;
    }
    return start_on(queue_, start);
}

Result<void> QueueSend::Wait::take() noexcept {
    return completion();
}

}  // namespace weir
