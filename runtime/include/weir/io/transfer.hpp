// SPDX-License-Identifier: MIT
//
// Moving bytes through a handle: read, read_exactly, write, write_all.
//
// They are the same for every byte stream; the handle's type says which system call moves the bytes. A read
// gives the part of the buffer that was filled, an empty one at the end of the stream. The two that move
// everything tell, in Error::a, how many bytes had moved before an error ended them.
#pragma once

#include "weir/io/handle.hpp"

namespace weir {

/// How a kind of stream is read and written.
struct StreamVerbs {
    Operation::Verb read;
    Operation::Verb write;
    const Pending::Kind* reading;
    const Pending::Kind* writing;
};

class [[nodiscard]] Read : public Awaitable<Read> {
public:
    using Outcome = Result<Bytes>;
    Read(Handle& handle, const StreamVerbs& verbs, Bytes buffer) noexcept
        : handle_(&handle), verbs_(&verbs), buffer_(buffer) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(Read&& read) noexcept
            : OperationWait(*read.verbs_->reading, read.verbs_->read), handle_(*read.handle_) {
            data = read.buffer_.data();
            size = read.buffer_.size();
            stream = true;
        }
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Result<Bytes> take() noexcept {
            const auto got = outcome();
            if (!got) return failure(got.error());
            return Bytes(static_cast<std::byte*>(data), *got);
        }

    private:
        Handle& handle_;
    };

private:
    Handle* handle_;
    const StreamVerbs* verbs_;
    Bytes buffer_;
};

class [[nodiscard]] Write : public Awaitable<Write> {
public:
    using Outcome = Result<std::size_t>;
    Write(Handle& handle, const StreamVerbs& verbs, ConstBytes bytes) noexcept
        : handle_(&handle), verbs_(&verbs), bytes_(bytes) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(Write&& write) noexcept
            : OperationWait(*write.verbs_->writing, write.verbs_->write), handle_(*write.handle_) {
            data = const_cast<std::byte*>(
                write.bytes_.data());  // only read from: a write has no other use of it
            size = write.bytes_.size();
            stream = true;
        }
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Result<std::size_t> take() noexcept { return outcome(); }

    private:
        Handle& handle_;
    };

private:
    Handle* handle_;
    const StreamVerbs* verbs_;
    ConstBytes bytes_;
};

/// The Wait of a transfer that goes on until everything has moved. While the peer keeps pace there is nothing to wait
/// for: then it pays with the task's credit, and lets others have their turn when that is used up.
class WholeTransferWait : public OperationWait {
public:
    bool start(const Start& start) noexcept;

protected:
    WholeTransferWait(Handle& handle, const Pending::Kind& kind_of, Operation::Verb what, void* bytes,
                      std::size_t count) noexcept;
    ~WholeTransferWait() = default;
    [[nodiscard]] std::size_t moved() const noexcept { return moved_; }
    [[nodiscard]] bool reading() const noexcept { return direction() == Direction::in; }

private:
    /// Its place in the ready list while others have their turn.
    struct Turn : ReadyItem {
        explicit Turn(WholeTransferWait& owner) noexcept : ReadyItem(came), wait(owner) {}
        static void came(ReadyItem& item) noexcept;
        WholeTransferWait& wait;
    };
    static bool transferred(OperationWait& self, bool stopped) noexcept;
    bool note(bool stopped) noexcept;
    bool go_on(bool stopped) noexcept;
    void let_others() noexcept;

    Turn turn_;
    Handle& handle_;
    std::size_t moved_ = 0;
};

class [[nodiscard]] ReadExactly : public Awaitable<ReadExactly> {
public:
    using Outcome = Result<Bytes>;
    ReadExactly(Handle& handle, const StreamVerbs& verbs, Bytes buffer) noexcept
        : handle_(&handle), verbs_(&verbs), buffer_(buffer) {}

    class Wait : public WholeTransferWait {
    public:
        explicit Wait(ReadExactly&& read) noexcept
            : WholeTransferWait(*read.handle_, *read.verbs_->reading, read.verbs_->read, read.buffer_.data(),
                                read.buffer_.size()),
              buffer_(read.buffer_) {}
        Result<Bytes> take() noexcept {
            const auto got = outcome(moved());
            if (!got) return failure(got.error());
            if (moved() < buffer_.size()) return failure(Errc::ended, name(), moved());
            return buffer_;
        }

    private:
        Bytes buffer_;
    };

private:
    Handle* handle_;
    const StreamVerbs* verbs_;
    Bytes buffer_;
};

class [[nodiscard]] WriteAll : public Awaitable<WriteAll> {
public:
    using Outcome = Result<void>;
    WriteAll(Handle& handle, const StreamVerbs& verbs, ConstBytes bytes) noexcept
        : handle_(&handle), verbs_(&verbs), bytes_(bytes) {}

    class Wait : public WholeTransferWait {
    public:
        explicit Wait(WriteAll&& write) noexcept
            : WholeTransferWait(*write.handle_, *write.verbs_->writing, write.verbs_->write,
                                const_cast<std::byte*>(write.bytes_.data()), write.bytes_.size()) {}
        Result<void> take() noexcept { return completion(moved()); }
    };

private:
    Handle* handle_;
    const StreamVerbs* verbs_;
    ConstBytes bytes_;
};

}  // namespace weir
