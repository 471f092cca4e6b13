// SPDX-License-Identifier: MIT
//
// POSIX message queues: whole messages with a priority, which wait in the kernel until somebody takes them.
//
// A queue belongs to no process. What was sent stays when sender and maker have ended, until it is received, the
// queue is unlinked, or the machine stops. Messages of higher priority come first, equal ones in the order in which
// they were sent. Any number of processes may send and receive; each message goes to one receiver.
//
//     WEIR_CO_TRY(auto alarms, MessageQueueReader::create("plant/alarms", {.depth = 8, .message_size = 128}));
//     std::array<std::byte, 128> buffer;
//     WEIR_CO_TRY(const auto alarm, alarms.receive(buffer));      // alarm.bytes, alarm.priority
#pragma once

#include "weir/core/name.hpp"
#include "weir/io/handle.hpp"

#include <cstdint>
#include <sys/types.h>

namespace weir {

/// How a queue is made.
struct MessageQueueOptions {
    std::uint32_t depth = 8;           ///< messages that it holds
    std::uint32_t message_size = 256;  ///< bytes of the largest one
    mode_t mode = 0600;       ///< exactly, whatever the umask; reading is receiving, writing is sending
    std::int64_t owner = -1;  ///< uid; -1: as it comes
    std::int64_t group = -1;  ///< gid; -1: as it comes
    bool exclusive = false;   ///< a queue that is there already is `in_use`
};

/// What a queue is, and how much waits in it.
struct MessageQueueStatus {
    std::uint32_t depth;
    std::uint32_t message_size;
    std::uint32_t messages;  ///< that wait now
    uid_t owner;
};

/// What receive() gives.
struct QueuedMessage {
    Bytes bytes;             ///< the part of the buffer that was filled; a message may be empty
    std::uint32_t priority;  ///< 0 to MessageQueue::priority_max
};

class QueueReceive;
class QueueSend;

/// What both ends have. The queue's name is "/" and the Name, each '/' in it as '~'.
class MessageQueue : public Handle {
public:
    static constexpr std::uint32_t priority_max = 32'767;

    /// Bytes of the largest message; 0 if nothing is open.
    [[nodiscard]] std::uint32_t message_size() const noexcept { return message_size_; }
    /// One or two system calls. Errors: closed.
    [[nodiscard]] Result<MessageQueueStatus> status() const noexcept;
    /// Removes the name. Whoever has the queue open goes on using it; it goes with the last of them, and with it the
    /// messages in it. Errors: not_found, denied.
    static Result<void> unlink(const Name& name) noexcept;

protected:
    MessageQueue() noexcept = default;
    static Result<void> create_in(MessageQueue& queue, const Name& name, const MessageQueueOptions& options,
                                  int access) noexcept;
    static Result<void> open_in(MessageQueue& queue, const Name& name, int access) noexcept;
    static Result<void> adopt_in(MessageQueue& queue, int fd, HandleKind kind) noexcept;

private:
    Result<void> learn_size(const char* operation) noexcept;

    std::uint32_t message_size_ = 0;
};

/// The receiving end.
class MessageQueueReader : public MessageQueue {
public:
    MessageQueueReader() noexcept = default;

    /// Makes the queue, or opens the one that is there if it was made alike; sets its owner, group and mode if it is
    /// ours. It is never removed by itself: see unlink(). Errors: mismatch (its depth or message size differs: ours and
    /// its), in_use (exclusive and there is one; or another user's, who is neither root nor Options::owner), denied,
    /// too_large (depth or message size, and the limit in /proc/sys/fs/mqueue, which the error names), invalid (a depth
    /// or size of 0), no_files (no descriptor, or more bytes than RLIMIT_MSGQUEUE lets this user have), no_memory,
    /// unsupported (a kernel without message queues).
    static Result<MessageQueueReader> create(const Name& name,
                                             const MessageQueueOptions& options = {}) noexcept;
    /// Opens a queue that is there, whatever its attributes and owner. Errors: not_found, denied, no_files.
    static Result<MessageQueueReader> open(const Name& name) noexcept;
    /// Takes over a queue's descriptor that may receive. Errors: wrong_kind, closed.
    static Result<MessageQueueReader> adopt(int fd) noexcept;

    /// Waits for a message and takes it. The buffer has room for the queue's largest message, else it is too_large
    /// (message size, buffer's size) and nothing is taken. Errors besides: busy, cancelled, timed_out, no_descriptor,
    /// closed. A message is never lost by an error.
    [[nodiscard]] QueueReceive receive(Bytes buffer) noexcept;
};

/// The sending end.
class MessageQueueWriter : public MessageQueue {
public:
    MessageQueueWriter() noexcept = default;

    /// As MessageQueueReader::create().
    static Result<MessageQueueWriter> create(const Name& name,
                                             const MessageQueueOptions& options = {}) noexcept;
    /// As MessageQueueReader::open().
    static Result<MessageQueueWriter> open(const Name& name) noexcept;
    /// Takes over a queue's descriptor that may send. Errors: wrong_kind, closed.
    static Result<MessageQueueWriter> adopt(int fd) noexcept;

    /// Sends `bytes` as one message, whole or not at all; waits while the queue is full. `.within(0s)` tries once.
    /// Errors: too_large (its size and the limit: the queue's message size, or priority_max), busy, cancelled,
    /// timed_out, no_descriptor, closed.
    [[nodiscard]] QueueSend send(ConstBytes bytes, std::uint32_t priority = 0) noexcept;
};

class [[nodiscard]] QueueReceive : public Awaitable<QueueReceive> {
public:
    using Outcome = Result<QueuedMessage>;
    QueueReceive(MessageQueue& queue, Bytes buffer) noexcept : queue_(&queue), buffer_(buffer) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(QueueReceive&& receive) noexcept;
        bool start(const Start& start) noexcept;
        Result<QueuedMessage> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"message queue receive", &visit_fd};
        MessageQueue& queue_;
        QueueMessage message_;
    };

private:
    MessageQueue* queue_;
    Bytes buffer_;
};

class [[nodiscard]] QueueSend : public Awaitable<QueueSend> {
public:
    using Outcome = Result<void>;
    QueueSend(MessageQueue& queue, ConstBytes bytes, std::uint32_t priority) noexcept
        : queue_(&queue), bytes_(bytes), priority_(priority) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(QueueSend&& send) noexcept;
        bool start(const Start& start) noexcept;
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"message queue send", &visit_fd};
        MessageQueue& queue_;
        QueueMessage message_;
    };

private:
    MessageQueue* queue_;
    ConstBytes bytes_;
    std::uint32_t priority_;
};

}  // namespace weir
