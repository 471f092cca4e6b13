// SPDX-License-Identifier: MIT
//
// One block of private memory holds, in this order: the ClientEnd, the slots of its port, its calls, and `window` places
// for the parts of each. A slot goes back to the port when the server has ended the call and nobody holds it.
//
// The thread's sleep is announced to the server only while there are calls that it has not ended. News of its end come
// over the link in any case.
#include "weir/ipc/service/client_end.hpp"

#include <algorithm>
#include <memory>
#include <new>

namespace weir::ipc::service {
namespace {

struct Layout {
    std::uint64_t slots;
    std::uint64_t calls;
    std::uint64_t parts;
    std::uint64_t size;
};

Layout layout_of(const Shape& shape) noexcept {
    const auto padded = [](std::uint64_t size, std::uint64_t alignment) {
        return (size + alignment - 1) / alignment * alignment;
    };
    Layout layout{};
    layout.slots = padded(sizeof(ClientEnd), alignof(ClientSlot));
    layout.calls = padded(layout.slots + shape.calls_max * sizeof(ClientSlot), alignof(ClientCall));
    layout.parts = padded(layout.calls + shape.calls_max * sizeof(ClientCall), cache_line);
    layout.size = layout.parts + std::uint64_t{shape.replies_max()} * shape.reply_stride();
    return layout;
}

// What an attachment has, after its memory was found to fit.
Result<Shape> shape_of(const Link& link, const Records& records) noexcept {
    const auto differs = [](std::uint64_t ours, std::uint64_t theirs) {
        return failure(Errc::mismatch, "service open, its memory", ours, theirs);
    };
    if (link.peer().size() < head_size) return differs(head_size, link.peer().size());
    Head head;
    copy_from_peer(static_cast<std::byte*>(static_cast<void*>(&head)), link.peer().data(), sizeof(head));
    const std::uint64_t calls_max = link.terms().depth;
    if (calls_max == 0 || calls_max > calls_max_most) return differs(calls_max_most, calls_max);
    if (head.reply_size != records.reply_size) return differs(records.reply_size, head.reply_size);
    const Shape shape{.calls_max = static_cast<std::uint32_t>(calls_max),
                      .window = head.window,
                      .request_size = records.request_size,
                      .reply_size = records.reply_size,
                      .alignment = records.alignment};
    if (!shape.window_possible()) return differs(window_most, head.window);
    if (link.peer().size() != shape.server_bytes()) return differs(shape.server_bytes(), link.peer().size());
    if (link.own().size() != shape.client_bytes()) return differs(shape.client_bytes(), link.own().size());
    return shape;
}

}  // namespace

// --- made, attached, closed

const LinkHooks ClientEnd::hooks{.on_signal = on_signal};

ClientEnd::ClientEnd(Scheduler& scheduler, const Shape& shape, const Records& records, const OpenLink& again,
                     Mapping memory) noexcept
    : scheduler_(scheduler),
      shape_(shape),
      records_(records),
      memory_(std::move(memory)),
      again_(again),
      opened_item_(*this) {}

ClientEnd::Opening::Opening(ClientEnd& owner) noexcept : wait(OpenLink(owner.again_)) {}

Result<ClientEnd*> ClientEnd::create(LinkClient client, const Records& records, const OpenLink& again,
                                     const ServiceClientOptions& options) noexcept {
    WEIR_TRY(const Shape shape, shape_of(*client, records));
    const Layout layout = layout_of(shape);
    if (layout.size > options.memory_max)
        return failure(Errc::too_large, "service open", layout.size, options.memory_max);
    WEIR_TRY(Mapping memory, private_memory(static_cast<std::size_t>(layout.size)));
    std::byte* const block = memory.data();
    const auto at = [block](std::uint64_t offset) { return static_cast<void*>(block + offset); };
    auto* const end = ::new (at(0)) ClientEnd(client->scheduler(), shape, records, again, std::move(memory));
    auto* const slots = static_cast<ClientSlot*>(at(layout.slots));
    auto* const calls = static_cast<ClientCall*>(at(layout.calls));
    for (std::uint32_t i = 0; i < shape.calls_max; ++i) {
        ::new (slots + i) ClientSlot;
        ::new (calls + i) ClientCall;
    }
    end->slots_ = {slots, shape.calls_max};
    end->calls_ = {calls, shape.calls_max};
    end->parts_ = block + layout.parts;
    end->successor_ = options.successor;
    end->attach_checked(std::move(client));
    return end;
}

void ClientEnd::attach_checked(LinkClient client) noexcept {
    client_ = std::move(client);
    Link& link = *client_;
    port = {shape_, link.own().data(), link.peer().data(), slots_};
    client_.set_owner(hooks, this);
    begin(link, words_at<ring::MachineAtomics>(link.peer().data(), Shape::server_writes).cursor);
    lost_.reset();
    if (link.state() != LinkState::attached) on_signal(this, link);  // nobody was told
}

// Calls that are held from before keep their places, so everything has to be as large as it was.
Result<void> ClientEnd::attach(LinkClient client) noexcept {
    WEIR_TRY(const Shape shape, shape_of(*client, records_));
    if (shape.calls_max != shape_.calls_max)
        return failure(Errc::mismatch, "service open, its calls_max", shape_.calls_max, shape.calls_max);
    if (shape.window != shape_.window)
        return failure(Errc::mismatch, "service open, its window", shape_.window, shape.window);
    attach_checked(std::move(client));
    ++restarts_;
    return {};
}

void ClientEnd::close() noexcept {
    WEIR_ASSERT(!closed_);
    const Error closed{.code = Errc::closed, .operation = "service"};
    if (attached()) lose(closed);
    closed_ = true;
    fail_waiting(closed);
    lost_.set();
    if (opening_ && !opened_item_.queued()) {
        opening_->wait.abandon();
        opening_.reset();
    }
    free_if_unused();
}

void ClientEnd::free_if_unused() noexcept {
    if (!closed_ || streams_ > 0 || opening_) return;
    std::destroy(calls_.begin(), calls_.end());
    const Mapping memory = std::move(memory_);  // goes when this is gone
    this->~ClientEnd();
}

void ClientEnd::on_signal(void* owner, Link& link) noexcept {
    auto& self = *static_cast<ClientEnd*>(owner);
    const LinkState state = link.state();  // before the look: what the server said before it went counts
    if (state == LinkState::attached) {
        self.wake();
        return;
    }
    self.look();
    if (!self.attached()) return;
    const Errc code = state == LinkState::ended ? Errc::ended : Errc::peer_lost;
    self.lose({.code = code, .operation = "service"});
}

void ClientEnd::break_off() noexcept {
    client_->turn_out(LinkViolation::memory);
    lose({.code = Errc::corrupt, .operation = "service"});
}

void ClientEnd::lose(const Error& why) noexcept {
    end();
    client_.close();
    last_ = why;
    live_ = 0;
    for (std::uint32_t index = 0; index < calls_.size(); ++index) {
        if (slots_[index].state != ClientSlot::State::active) continue;
        ClientCall& call = calls_[index];
        port.end(index);
        if (CallWait* const wait = std::exchange(call.wait, nullptr); wait != nullptr) {
            port.give_back(index);
            wait->fail(why);
        } else if (call.abandoned) {
            port.give_back(index);
        } else {
            end_stream(call, why);
        }
    }
    lost_.set();
}

void ClientEnd::told(bool put) noexcept {
    if (put) [[likely]]
        publish();
    else
        break_off();
}

// --- attaching anew

void ClientEnd::reopen(const Start& start) noexcept {
    if (opening_) return;
    opening_.emplace(*this);
    // An await of nobody: it has a scope and a waiter of its own. The task is of no interest to it.
    const Start own{scheduler_, opening_->scope, opened_item_, start.task};
    if (opening_->wait.start(own)) opened();
}

void ClientEnd::opened() noexcept {
    auto client = opening_->wait.take();
    opening_.reset();
    if (closed_) {
        if (client) client->close();
        free_if_unused();
        return;
    }
    const auto done = client ? attach(std::move(*client)) : Result<void>(failure(client.error()));
    if (!done) {
        last_ = done.error();
        fail_waiting(done.error());
        return;
    }
    while (!waiting_.empty()) {
        auto& wait = static_cast<CallWait&>(waiting_.pop_front());
        if (!begin_call(wait)) wait.finish();
    }
}

void ClientEnd::fail_waiting(const Error& error) noexcept {
    while (!waiting_.empty()) static_cast<CallWait&>(waiting_.pop_front()).fail(error);
}

// --- calls

CallWait::CallWait(Kind kind, ClientEnd* end, Duration left, Instant until) noexcept
    : Leaf(kinds[static_cast<unsigned>(kind)], stopped), end_(end), left_(left), until_(until), kind_(kind) {}

bool CallWait::start(const Start& start) noexcept {
    if (end_ == nullptr || end_->closed_) {
        refuse(Errc::closed);
        return true;
    }
    if (end_->attached()) [[likely]] {
        if (!end_->begin_call(*this)) return true;
        begin(start);
        return false;
    }
    if (end_->successor_ == Successor::none && kind_ != Kind::attach) {
        error_ = end_->last_;
        error_->operation = name();
        return true;
    }
    if (left_ != Duration::max()) until_ = after(start.context.now(), std::exchange(left_, Duration::max()));
    begin(start);
    end_->waiting_.push_back(*this);
    end_->reopen(start);
    return false;
}

void CallWait::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<CallWait&>(self);
    if (wait.over_) return;
    if (wait.waiting().linked()) {
        wait.waiting().unlink();
    } else {
        // A reply that has arrived wins over the stop.
        wait.end_->look();
        if (wait.over_) return;
        wait.end_->calls_[wait.index_].wait = nullptr;
        wait.end_->abandon(wait.index_);
    }
    wait.refuse(Errc::cancelled);
    wait.finish();
}

bool ClientEnd::begin_call(CallWait& wait) noexcept {
    if (wait.kind_ == CallWait::Kind::attach && attached()) return false;
    const auto fail_with = [&](const Error& error) {
        wait.error_ = error;
        wait.error_->operation = wait.name();
        return false;
    };
    if (!port.has_free()) look();
    if (!attached()) return fail_with(last_);
    if (!port.has_free()) return fail_with({.code = Errc::no_place, .b = shape_.calls_max});
    std::uint64_t left_ns = no_deadline;
    if (wait.left_ != Duration::max()) {
        left_ns = static_cast<std::uint64_t>(std::max(wait.left_, Duration::zero()).count());
    } else if (wait.until_ != never) {
        left_ns =
            static_cast<std::uint64_t>(std::max(wait.until_ - scheduler_.now(), Duration::zero()).count());
    }
    const bool streamed = wait.kind_ == CallWait::Kind::stream;
    const auto index = port.begin(wait.data_, streamed, left_ns);
    if (!index) {
        break_off();
        return fail_with(last_);
    }
    wait.index_ = *index;
    calls_[*index].begin(streamed ? nullptr : &wait);
    if (live_++ == 0) set_watched(true);
    if (streamed) ++streams_;
    publish();
    return !streamed;
}

void ClientEnd::abandon(std::uint32_t index) noexcept {
    calls_[index].abandoned = true;
    told(port.cancel(index));
}

void ClientEnd::on_final() noexcept {
    if (--live_ == 0) set_watched(false);
}

bool ClientEnd::take_entry() noexcept {
    using News = ClientPort<ring::MachineAtomics>::News;
    const auto arrival = port.take();
    if (arrival.news == News::breach) {
        break_off();
        return false;
    }
    ClientCall& call = calls_[arrival.index];
    if (arrival.news != News::part) on_final();
    if (call.abandoned) {
        if (arrival.news != News::part) port.give_back(arrival.index);
        return true;
    }
    const bool streamed = port.slot(arrival.index).streamed;
    std::optional<Error> error;
    bool valid = true;
    switch (arrival.news) {
        case News::part:
        case News::reply:
            if (streamed) {
                valid = put_part(call, arrival.index, arrival.number);
                if (arrival.news == News::reply) error = Error{.code = Errc::ended};
            } else {
                valid = copy_reply(arrival.index, arrival.number, call.wait->data_);
            }
            if (!valid) error = Error{.code = Errc::corrupt};
            break;
        case News::finish: error = Error{.code = Errc::ended}; break;
        case News::reject: error = Error{.code = Errc::rejected, .a = arrival.value & 0xffff'ffffU}; break;
        case News::no_place: error = Error{.code = Errc::no_place, .b = arrival.value}; break;
        case News::breach: break;
    }
    if (!streamed) {
        port.give_back(arrival.index);
        CallWait& wait = *std::exchange(call.wait, nullptr);
        if (error) {
            wait.fail(*error);
        } else {
            wait.finish();
        }
    } else if (error) {
        end_stream(call, *error);
    }
    if (!valid) break_off();
    return valid;
}

bool ClientEnd::copy_reply(std::uint32_t index, std::uint32_t number, std::byte* to) const noexcept {
    port.copy_reply(index, number, to);
    return records_.valid == nullptr || records_.valid(to);
}

// --- streams

std::byte* ClientEnd::part_place(std::uint32_t index, std::uint32_t number) const noexcept {
    return parts_ + (std::size_t{index} * shape_.window + number % shape_.window) * shape_.reply_stride();
}

bool ClientEnd::put_part(ClientCall& call, std::uint32_t index, std::uint32_t number) noexcept {
    if (!copy_reply(index, number, part_place(index, number))) return false;
    ++call.parts;
    if (!call.readers.empty()) first_waiter(call.readers).grant();
    return true;
}

void ClientEnd::end_stream(ClientCall& call, const Error& error) noexcept {
    if (!call.ended) call.ended = error;
    if (!call.readers.empty()) first_waiter(call.readers).grant();
}

void ClientEnd::tell_taken(ClientCall& call, std::uint32_t index) noexcept {
    if (call.untold == 0) return;
    const std::uint32_t count = std::exchange(call.untold, 0);
    if (attached() && !call.ended) told(port.taken(index, count));
}

void ClientEnd::drop(std::uint32_t index) noexcept {
    WEIR_ASSERT(calls_[index].reader == nullptr &&
                "a stream is dropped while a task waits for its next part");
    --streams_;
    if (slots_[index].state == ClientSlot::State::active) {
        abandon(index);
    } else {
        port.give_back(index);
    }
    free_if_unused();
}

bool NextPartWait::start(const Start& start) noexcept {
    ClientCall& call = end_->calls_[index_];
    if (call.reader != nullptr) {
        refuse(Errc::busy);
        return true;
    }
    call.reader = this;
    if (call.parts == 0 && !call.ended) end_->look();
    if (call.parts > 0 || call.ended) return true;
    end_->tell_taken(call, index_);
    if (call.ended) return true;
    join(call.readers, start);
    return false;
}

Result<void> NextPartWait::take_to(std::byte* part) noexcept {
    ClientCall& call = end_->calls_[index_];
    if (call.reader == this) call.reader = nullptr;
    const auto waited = outcome();
    if (!waited) return waited;
    if (call.parts == 0) {
        Error error = *call.ended;
        error.operation = name();
        return failure(error);
    }
    std::memcpy(part, end_->part_place(index_, call.next), end_->shape_.reply_size);
    --call.parts;
    ++call.next;
    // At most half of the places wait for the server to hear of it.
    if (++call.untold * 2 >= end_->shape_.window) end_->tell_taken(call, index_);
    return {};
}

}  // namespace weir::ipc::service
