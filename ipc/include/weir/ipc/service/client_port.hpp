// SPDX-License-Identifier: MIT
//
// The client's side of the protocol: what the server says is checked here, and what the client says is written here.
//
// As with ServerPort, those who own it publish, look and wait. An index is *free*, *active* from its request to the
// server's final entry, and then *over* until its owner, who may still have parts of it to read, gives it back.
#pragma once

#include "weir/ipc/service/protocol.hpp"

#include <optional>
#include <span>

namespace weir::ipc::service {

/// What the port of a client keeps of each index.
struct ClientSlot {
    enum class State : std::uint8_t { free, active, over };
    std::uint32_t generation = 0;  ///< of the last call
    std::uint32_t next_free = 0;   ///< of the free ones
    std::uint32_t arrived = 0;     ///< replies of it that came
    std::uint32_t on_way = 0;      ///< of these, those whose places were not given back
    State state = State::free;
    bool streamed = false;
};

template <class Atomics>
class ClientPort {
public:
    enum class News : std::uint8_t {
        reply,     ///< the last one, in the place of that number
        part,      ///< more follow
        finish,    ///< no more parts
        reject,    ///< value = status
        no_place,  ///< value = limit
        breach,    ///< the server wrote what it must not
    };
    struct Arrival {
        News news = News::breach;
        std::uint32_t index = 0;
        std::uint32_t number = 0;  ///< of the reply, from 0
        std::uint64_t value = 0;
    };

    ClientPort() noexcept = default;
    /// `own` and `peer` are client_bytes() and server_bytes() of `shape`, with words in them; `slots` calls_max, of which
    /// those that are over stay so.
    ClientPort(const Shape& shape, std::byte* own, const std::byte* peer,
               std::span<ClientSlot> slots) noexcept
        : writer(words_at<Atomics>(own, Shape::client_writes), words_at<Atomics>(peer, Shape::server_reads),
                 own + Shape::client_entries, shape.entries_of_client()),
          reader(words_at<Atomics>(own, Shape::client_reads), words_at<Atomics>(peer, Shape::server_writes),
                 peer + Shape::server_entries, shape.entries_of_server()),
          shape_(shape),
          own_(own),
          peer_(peer),
          slots_(slots) {
        for (auto index = static_cast<std::uint32_t>(slots.size()); index-- > 0;) {
            const bool held = slots[index].state == ClientSlot::State::over;
            slots[index] = {};
            if (held) {
                slots[index].state = ClientSlot::State::over;
            } else {
                give_back(index);
            }
        }
    }

    EntryWriter<Atomics> writer;
    EntryReader<Atomics> reader;

    [[nodiscard]] bool has_free() const noexcept { return free_ < slots_.size(); }
    /// Begins a call; has_free(). Nothing: the server left no room where it must, a breach.
    [[nodiscard]] std::optional<std::uint32_t> begin(const std::byte* request, bool streamed,
                                                     std::uint64_t left_ns) noexcept {
        const std::uint32_t index = free_;
        ClientSlot& slot = slots_[index];
        free_ = slot.next_free;
        slot = {.generation = slot.generation + 1, .state = ClientSlot::State::active, .streamed = streamed};
        Atomics::copy(own_ + shape_.request_place(index), request, shape_.request_size, ring::Site::payload);
        if (put(index, streamed ? FromClient::request_streamed : FromClient::request, left_ns)) return index;
        give_back(index);
        return std::nullopt;
    }
    /// Nobody waits for an active call any more; once.
    [[nodiscard]] bool cancel(std::uint32_t index) noexcept { return put(index, FromClient::cancel, 0); }
    /// Places of parts are free again, at most as many as are on their way. Nothing to say of a call that is over.
    [[nodiscard]] bool taken(std::uint32_t index, std::uint32_t count) noexcept {
        slots_[index].on_way -= count;
        return slots_[index].state != ClientSlot::State::active || put(index, FromClient::taken, count);
    }

    /// Takes the next entry; reader.known() is not 0. All but a part end the call.
    [[nodiscard]] Arrival take() noexcept {
        const Entry entry = reader.take();
        if (entry.index >= slots_.size()) return {};
        ClientSlot& slot = slots_[entry.index];
        if (slot.state != ClientSlot::State::active || entry.generation != slot.generation) return {};
        const auto arrival = [&](News news) {
            if (news != News::part) slot.state = ClientSlot::State::over;
            return Arrival{.news = news, .index = entry.index, .number = slot.arrived, .value = entry.value};
        };
        const auto reply = [&](News news) {
            const Arrival arrived = arrival(news);
            ++slot.arrived;
            ++slot.on_way;
            return arrived;
        };
        const bool has_place = slot.on_way < shape_.window;
        switch (static_cast<FromServer>(entry.kind)) {
            case FromServer::reply:
                if (!has_place) break;
                return reply(News::reply);
            case FromServer::part:
                if (!has_place || !slot.streamed) break;
                return reply(News::part);
            case FromServer::finish:
                if (!slot.streamed) break;
                return arrival(News::finish);
            case FromServer::reject: return arrival(News::reject);
            case FromServer::no_place: return arrival(News::no_place);
        }
        return {};
    }
    /// A reply that has arrived. Once: the server may change it.
    void copy_reply(std::uint32_t index, std::uint32_t number, std::byte* to) const noexcept {
        copy_from_peer(to, peer_ + shape_.reply_place(index, number), shape_.reply_size);
    }
    [[nodiscard]] const ClientSlot& slot(std::uint32_t index) const noexcept { return slots_[index]; }
    /// A call that is over makes room for another one.
    void give_back(std::uint32_t index) noexcept {
        slots_[index].state = ClientSlot::State::free;
        slots_[index].next_free = free_;
        free_ = index;
    }
    /// The server is gone: this active call will get no answer.
    void end(std::uint32_t index) noexcept { slots_[index].state = ClientSlot::State::over; }

private:
    [[nodiscard]] bool put(std::uint32_t index, FromClient kind, std::uint64_t value) noexcept {
        return writer.put({.index = static_cast<std::uint16_t>(index),
                           .kind = static_cast<std::uint16_t>(kind),
                           .generation = slots_[index].generation,
                           .value = value});
    }

    Shape shape_;
    std::byte* own_ = nullptr;
    const std::byte* peer_ = nullptr;
    std::span<ClientSlot> slots_;
    std::uint32_t free_ = ~0U;
};

}  // namespace weir::ipc::service
