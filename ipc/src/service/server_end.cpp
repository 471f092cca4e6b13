// SPDX-License-Identifier: MIT
//
// One block of private memory holds, in this order: the ServerEnd, the clients, the slots of their ports and their calls
// by index, and the calls with room for a request behind each. There are as many calls as all clients together may
// have. A call whose client is gone keeps its place until its task lets go of it; if such calls take the place of others,
// those are refused, and their callers get no_place.
#include "weir/ipc/service/server_end.hpp"

#include <algorithm>
#include <memory>
#include <new>

namespace weir::ipc::service {
namespace {

// Each stands in the block at multiples of the records' alignment, which is at least 8.
static_assert(alignof(ServerCall) <= 8);

constexpr std::uint32_t clients_max_most = 1'024;
constexpr std::uint64_t memory_max = std::uint64_t{1} << 30;
constexpr const char* creating = "service create";

// Where the parts of the block begin.
struct Layout {
    std::uint64_t clients;
    std::uint64_t slots;
    std::uint64_t by_index;
    std::uint64_t calls;
    std::uint64_t call_stride;
    std::uint64_t size;
};

constexpr std::uint64_t padded(std::uint64_t size, std::uint64_t alignment) noexcept {
    return (size + alignment - 1) / alignment * alignment;
}

Layout layout_of(const Shape& shape, std::uint32_t clients_max) noexcept {
    const std::uint64_t calls = std::uint64_t{clients_max} * shape.calls_max;
    Layout layout{};
    layout.clients = padded(sizeof(ServerEnd), alignof(ServerClient));
    layout.slots = padded(layout.clients + clients_max * sizeof(ServerClient), alignof(ServerSlot));
    layout.by_index = padded(layout.slots + calls * sizeof(ServerSlot), alignof(ServerCall*));
    layout.calls = padded(layout.by_index + calls * sizeof(ServerCall*), cache_line);
    layout.call_stride = padded(sizeof(ServerCall), shape.alignment) + shape.request_stride();
    layout.size = layout.calls + calls * layout.call_stride;
    return layout;
}

template <class T>
T* at(std::byte* memory, std::uint64_t offset) noexcept {
    void* const place = memory + offset;
    return static_cast<T*>(place);
}

}  // namespace

const LinkHooks ServerEnd::hooks{.on_admit = on_admit,
                                 .fill_region = fill_region,
                                 .on_attached = on_attached,
                                 .on_signal = on_signal,
                                 .fill_stat = fill_stat,
                                 .fill_peer_stat = fill_peer_stat,
                                 .news = news};

Result<ServerEnd*> ServerEnd::create(Scheduler& scheduler, const Name& name, const Shape& shape, Valid valid,
                                     const LinkTerms& terms, const ServiceOptions& options) noexcept {
    const std::uint32_t clients_max = options.clients_max;
    if (clients_max == 0 || clients_max > clients_max_most)
        return failure(Errc::invalid, "service create, its clients_max", clients_max);
    if (!shape.calls_possible())
        return failure(Errc::invalid, "service create, its calls_max", shape.calls_max);
    if (!shape.window_possible()) return failure(Errc::invalid, "service create, its window", shape.window);
    const Layout layout = layout_of(shape, clients_max);
    const std::uint64_t largest = std::max({layout.size, shape.client_bytes(), shape.server_bytes()});
    if (largest > memory_max) return failure(Errc::too_large, creating, largest, memory_max);
    WEIR_TRY(Mapping memory, private_memory(static_cast<std::size_t>(layout.size)));
    std::byte* const block = memory.data();
    auto* const end = ::new (static_cast<void*>(block)) ServerEnd(scheduler, shape, valid, std::move(memory));
    auto* const clients = at<ServerClient>(block, layout.clients);
    auto* const slots = at<ServerSlot>(block, layout.slots);
    auto* const by_index = at<ServerCall*>(block, layout.by_index);
    const std::uint32_t calls_max = shape.calls_max;
    for (std::uint32_t i = 0; i < clients_max; ++i) {
        ServerClient& client = *::new (clients + i) ServerClient(*end);
        client.slots_ = {slots + std::size_t{i} * calls_max, calls_max};
        client.calls_ = {by_index + std::size_t{i} * calls_max, calls_max};
    }
    end->clients_ = {clients, clients_max};
    for (std::uint32_t i = 0; i < clients_max * calls_max; ++i) {
        std::byte* const place = block + layout.calls + i * layout.call_stride;
        auto& call = *::new (static_cast<void*>(place)) ServerCall;
        call.end = end;
        call.request = place + padded(sizeof(ServerCall), shape.alignment);
        end->free_calls_.push_back(call);
    }
    auto served = LinkServer::create(scheduler, name, terms, hooks, end, options.link);
    if (!served) {
        end->close();
        return failure(served.error());
    }
    end->server_ = std::move(*served);
    end->server_.expect_clients(clients_max);
    return end;
}

void ServerEnd::close() noexcept {
    WEIR_ASSERT(!closed_);
    while (!takers_.empty()) first_waiter(takers_).end_with(Errc::closed);
    for (ServerClient& client : clients_) {
        // What was answered is told before the goodbye.
        if (client.taken_) forget(client, Errc::closed);
    }
    server_.close();
    closed_ = true;
    free_if_unused();
}

void ServerEnd::free_if_unused() noexcept {
    if (!closed_ || in_hand_ > 0) return;
    while (!free_calls_.empty()) std::destroy_at(static_cast<ServerCall*>(&free_calls_.pop_front()));
    std::destroy(clients_.begin(), clients_.end());
    const Mapping memory = std::move(memory_);  // goes when this is gone
    this->~ServerEnd();
}

// --- clients come and go

Result<LinkGrant> ServerEnd::on_admit(void* owner, Link& link) noexcept {
    auto& self = *static_cast<ServerEnd*>(owner);
    for (ServerClient& client : self.clients_) {
        if (!client.taken_) return self.admit(client, link);
    }
    return failure(Errc::no_place, "service open", 0, self.clients_.size());
}

Result<LinkGrant> ServerEnd::admit(ServerClient& client, Link& link) noexcept {
    WEIR_TRY(Region region, Region::create(static_cast<std::size_t>(shape_.server_bytes()), "weir-service"));
    WEIR_TRY(Mapping mapping, region.map_writable());
    if (const auto sealed = region.seal(); !sealed) return failure(sealed.error());
    using Words = ring::Words<ring::MachineAtomics>;
    ::new (static_cast<void*>(mapping.data())) Head{.window = shape_.window, .reply_size = shape_.reply_size};
    ::new (static_cast<void*>(mapping.data() + Shape::server_writes)) Words();
    ::new (static_cast<void*>(mapping.data() + Shape::server_reads)) Words();
    client.region_ = std::move(region);
    client.mapping_ = std::move(mapping);
    client.taken_ = true;
    client.answered_ = 0;
    link.set_tag(static_cast<std::uintptr_t>(&client - clients_.data()));
    return LinkGrant{.region = &client.region_,
                     .own = {client.mapping_.data(), client.mapping_.size()},
                     .client_size = static_cast<std::size_t>(shape_.client_bytes())};
}

void ServerEnd::fill_region(void*, Link&, Bytes region) noexcept {
    using Words = ring::Words<ring::MachineAtomics>;
    ::new (static_cast<void*>(region.data() + Shape::client_writes)) Words();
    ::new (static_cast<void*>(region.data() + Shape::client_reads)) Words();
}

void ServerEnd::on_attached(void* owner, Link& link) noexcept {
    auto& self = *static_cast<ServerEnd*>(owner);
    ServerClient& client = self.clients_[link.tag()];
    client.region_.close();
    std::fill(client.slots_.begin(), client.slots_.end(), ServerSlot{});
    const std::byte* const peer = link.peer().data();
    client.port = {self.shape_, client.mapping_.data(), peer, client.slots_};
    client.begin(link, words_at<ring::MachineAtomics>(peer, Shape::client_writes).cursor);
    client.set_watched(true);
    ++self.attached_;
    client.look();
}

void ServerEnd::on_signal(void* owner, Link& link) noexcept {
    auto& self = *static_cast<ServerEnd*>(owner);
    ServerClient& client = self.clients_[link.tag()];
    if (link.state() == LinkState::attached) {
        client.wake();
        return;
    }
    self.forget(client, link.state() == LinkState::ended ? Errc::ended : Errc::peer_lost);
    link.close();
}

std::uint32_t ServerEnd::news(void* owner, const Link& link) noexcept {
    const ServerClient& client = static_cast<ServerEnd*>(owner)->clients_[link.tag()];
    return client.port.reader.seen();
}

// The link is closed by the caller.
void ServerEnd::forget(ServerClient& client, Errc how) noexcept {
    if (client.attached()) {
        client.end();
        --attached_;
        sleeps_gone_ += client.sleeps();
    }
    if (client.in_round().linked()) client.in_round().unlink();
    while (!client.waiting_.empty()) over(static_cast<ServerCall&>(client.waiting_.front()));
    while (!client.in_hand_.empty()) {
        auto& call = static_cast<ServerCall&>(client.in_hand_.pop_front());
        client.calls_[call.index] = nullptr;
        --client.live_;
        call.client = nullptr;
        stop(call, how);
    }
    client.mapping_.unmap();
    client.region_.close();
    client.taken_ = false;
}

// What it says cannot be believed any more.
void ServerEnd::break_off(ServerClient& client) noexcept {
    ++breaches_;
    Link& link = client.link();
    link.turn_out(LinkViolation::memory);
    forget(client, Errc::corrupt);
    link.close();
}

bool ServerClient::take_entry() noexcept {
    return end_.on_entry(*this);
}
void ServerClient::break_off() noexcept {
    end_.break_off(*this);
}

// --- what clients say

bool ServerEnd::on_entry(ServerClient& client) noexcept {
    using News = ServerPort<ring::MachineAtomics>::News;
    const auto arrival = client.port.take();
    switch (arrival.news) {
        case News::nothing: break;
        case News::request: on_request(client, arrival.index, arrival.value); break;
        case News::cancel: on_cancel(client, arrival.index); break;
        case News::taken:
            make_room(client);
            send_more(*client.calls_[arrival.index]);
            break;
        case News::breach: break_off(client); break;
    }
    return client.attached();
}

// What ends a call lets its index be used again: first of all there has to be room for that one's entries. They would be
// too many if those that were read already still counted.
void ServerEnd::make_room(ServerClient& client) noexcept {
    std::ignore = client.port.reader.publish_lightly();  // it does not wait for that
}

void ServerEnd::on_request(ServerClient& client, std::uint32_t index, std::uint64_t left_ns) noexcept {
    if (free_calls_.empty()) {
        make_room(client);
        told(client, client.port.refuse(index, clients_.size() * shape_.calls_max));
        return;
    }
    auto& call = static_cast<ServerCall&>(free_calls_.front());
    client.port.copy_request(index, call.request);
    if (valid_ != nullptr && !valid_(call.request)) {
        break_off(client);
        return;
    }
    call.unlink();
    call.client = &client;
    call.index = index;
    call.credentials = client.link().credentials();
    call.streamed = client.port.slot(index).streamed;
    constexpr std::uint64_t longest = static_cast<std::uint64_t>(Duration::max().count());
    call.deadline =
        left_ns == no_deadline
            ? never
            : after(scheduler_.now(), Duration(static_cast<std::int64_t>(std::min(left_ns, longest))));
    client.calls_[index] = &call;
    ++client.live_;
    ++live_;
    client.waiting_.push_back(call);
    if (!client.in_round().linked()) round_.push_back(client);
    hand_out();
}

void ServerEnd::on_cancel(ServerClient& client, std::uint32_t index) noexcept {
    ServerCall& call = *client.calls_[index];
    if (call.in_hand) {
        stop(call, Errc::ended);
        return;
    }
    over(call);
    if (client.waiting_.empty()) client.in_round().unlink();
    make_room(client);
    told(client, client.port.reject(index, 0));
}

// Nobody waits for its answer any more.
void ServerEnd::stop(ServerCall& call, Errc how) noexcept {
    if (!call.cancelled) call.gone = how;
    call.cancelled = true;
    call.cancelled_event.set();
    while (!call.senders.empty()) first_waiter(call.senders).end_with(how);
}

void ServerEnd::told(ServerClient& client, bool put) noexcept {
    if (put) [[likely]]
        client.publish();
    else
        break_off(client);
}

// --- taking calls

void ServerEnd::hand_out() noexcept {
    while (!takers_.empty() && !round_.empty()) {
        auto& taker = static_cast<TakeCallWait&>(first_waiter(takers_));
        taker.call_ = &take_next();
        taker.grant();
    }
}

ServerCall& ServerEnd::take_next() noexcept {
    auto& client = static_cast<ServerClient&>(round_.pop_front());
    auto& call = static_cast<ServerCall&>(client.waiting_.pop_front());
    if (!client.waiting_.empty()) round_.push_back(client);
    client.in_hand_.push_back(call);
    call.in_hand = true;
    ++in_hand_;
    return call;
}

// One client more each time, so that others are heard while one keeps this busy; all of them before it waits.
bool ServerEnd::look_for_calls() noexcept {
    const auto count = static_cast<std::uint32_t>(clients_.size());
    for (std::uint32_t i = 0; i < count; ++i) {
        next_look_ = next_look_ + 1 < count ? next_look_ + 1 : 0;
        clients_[next_look_].look();
        // Whoever is first may have cancelled its calls.
        while (!round_.empty()) {
            auto& first = static_cast<ServerClient&>(round_.front());
            first.look();
            if (!round_.empty() && &round_.front() == &first.in_round()) return true;
        }
    }
    return false;
}

bool TakeCallWait::start(const Start& start) noexcept {
    if (end_ == nullptr || end_->closed_) {
        refuse(Errc::closed);
        return true;
    }
    // Those who wait already get what is found first.
    if (end_->takers_.empty() && end_->look_for_calls()) [[likely]] {
        call_ = &end_->take_next();
        return true;
    }
    join(end_->takers_, start);
    return false;
}

// --- answering

void ServerEnd::look_at_client(ServerCall& call) noexcept {
    if (call.client != nullptr) call.client->look();
}

void ServerEnd::reply(ServerCall& call, const std::byte* reply) noexcept {
    if (ServerClient* const client = call.client; client != nullptr) {
        ++answered_;
        ++client->answered_;
        told(*client,
             call.cancelled ? client->port.reject(call.index, 0) : client->port.reply(call.index, reply));
    }
    over(call);
}
void ServerEnd::finish(ServerCall& call) noexcept {
    if (ServerClient* const client = call.client; client != nullptr) {
        ++answered_;
        ++client->answered_;
        told(*client, call.streamed ? client->port.finish(call.index) : client->port.reject(call.index, 0));
    }
    over(call);
}
void ServerEnd::reject(ServerCall& call, std::uint32_t status) noexcept {
    if (ServerClient* const client = call.client; client != nullptr) {
        ++answered_;
        ++client->answered_;
        told(*client, client->port.reject(call.index, status));
    }
    over(call);
}

// The place is free again, and whoever waits for something of the call is told.
void ServerEnd::over(ServerCall& call) noexcept {
    if (call.client != nullptr) {
        call.client->calls_[call.index] = nullptr;
        --call.client->live_;
        call.client = nullptr;
        call.unlink();
    }
    call.cancelled_event.set();
    while (!call.senders.empty()) first_waiter(call.senders).end_with(Errc::closed);
    call.cancelled_event.reset();
    call.cancelled = false;
    --live_;
    free_calls_.push_back(call);
    if (!std::exchange(call.in_hand, false)) return;
    --in_hand_;
    free_if_unused();
}

// --- streams

void ServerEnd::send_more(ServerCall& call) noexcept {
    ServerClient& client = *call.client;
    while (!call.senders.empty() && client.port.has_place(call.index)) {
        auto& sender = static_cast<SendPartWait&>(first_waiter(call.senders));
        const bool put = client.port.part(call.index, sender.part_);
        sender.grant();
        told(client, put);
        if (!put) return;
    }
}

bool SendPartWait::start(const Start& start) noexcept {
    ServerCall& call = *call_;
    const auto refused = [&] {
        if (call.client != nullptr && !call.cancelled) return false;
        refuse(call.gone);
        return true;
    };
    if (!call.streamed) {
        refuse(Errc::mismatch);
        return true;
    }
    if (refused()) return true;
    const auto has_place = [&] { return call.client->port.has_place(call.index); };
    if (!has_place()) {
        call.client->look();
        if (refused()) return true;
    }
    if (call.senders.empty() && has_place()) {
        call.end->told(*call.client, call.client->port.part(call.index, part_));
        return true;
    }
    join(call.senders, start);
    return false;
}

// --- for weir stat

void ServerEnd::fill_stat(void* owner, LinkStat& stat) noexcept {
    const auto& self = *static_cast<const ServerEnd*>(owner);
    const std::uint64_t exchanged = self.shape_.request_size + self.shape_.reply_size;
    stat.region_bytes = self.shape_.server_bytes();
    stat.records = self.answered_;
    stat.bytes = self.answered_ * exchanged;
    stat.sleeps = self.sleeps_gone_;
    stat.fill = self.live_;
    for (const ServerClient& client : self.clients_) stat.sleeps += client.attached() ? client.sleeps() : 0;
}

void ServerEnd::fill_peer_stat(void* owner, const Link& link, LinkPeerStat& stat) noexcept {
    const auto& self = *static_cast<const ServerEnd*>(owner);
    const ServerClient& client = self.clients_[link.tag()];
    stat.fill = client.live_;
    stat.records = client.answered_;
    stat.bytes = client.answered_ * (self.shape_.request_size + self.shape_.reply_size);
    const auto& words = words_at<ring::MachineAtomics>(link.peer().data(), Shape::client_reads);
    stat.sleeps = ring::sleeps_of(words.epoch.load(std::memory_order_relaxed));
}

}  // namespace weir::ipc::service
