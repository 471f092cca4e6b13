// SPDX-License-Identifier: MIT
//
// The server's side of the protocol with one client: what the client says is checked here, and what the server says
// is written here.
//
// A port has memory and rules, and no links, tasks or bells: those who own it publish what `writer` has, look at `reader`
// and wait. For each index it keeps what the client may say next; everything else is a breach, after which nothing
// that the client says can be believed.
#pragma once

#include "weir/ipc/service/protocol.hpp"

#include <new>
#include <span>

namespace weir::ipc::service {

/// What the port of a server keeps of each index.
struct ServerSlot {
    std::uint32_t generation = 0;  ///< of the last call
    std::uint32_t sent = 0;        ///< replies of it that were written
    std::uint32_t on_way = 0;      ///< of these, those whose places are not free again
    bool active = false;           ///< no final entry was written
    bool streamed = false;
    bool cancelled = false;
};

template <class Atomics>
class ServerPort {
public:
    enum class News : std::uint8_t {
        nothing,  ///< of interest: a late word on a call that is over
        request,  ///< a call begins; value = nanoseconds left
        cancel,   ///< of a call that is active
        taken,    ///< there are more free places
        breach,   ///< the client wrote what it must not
    };
    struct Arrival {
        News news = News::nothing;
        std::uint32_t index = 0;
        std::uint64_t value = 0;
    };

    ServerPort() noexcept = default;
    /// `own` and `peer` are server_bytes() and client_bytes() of `shape`, with words in them; `slots` calls_max.
    ServerPort(const Shape& shape, std::byte* own, const std::byte* peer,
               std::span<ServerSlot> slots) noexcept
        : writer(words_at<Atomics>(own, Shape::server_writes), words_at<Atomics>(peer, Shape::client_reads),
                 own + Shape::server_entries, shape.entries_of_server()),
          reader(words_at<Atomics>(own, Shape::server_reads), words_at<Atomics>(peer, Shape::client_writes),
                 peer + Shape::client_entries, shape.entries_of_client()),
          shape_(shape),
          own_(own),
          peer_(peer),
          slots_(slots) {}

    EntryWriter<Atomics> writer;
    EntryReader<Atomics> reader;

    /// Takes the next entry; reader.known() is not 0.
    [[nodiscard]] Arrival take() noexcept {
        const Entry entry = reader.take();
        if (entry.index >= slots_.size()) return {.news = News::breach};
        ServerSlot& slot = slots_[entry.index];
        const auto arrival = [&](News news) {
            return Arrival{.news = news, .index = entry.index, .value = entry.value};
        };
        switch (static_cast<FromClient>(entry.kind)) {
            case FromClient::request:
            case FromClient::request_streamed:
                if (slot.active || entry.generation != slot.generation + 1) break;
                slot = {.generation = entry.generation,
                        .active = true,
                        .streamed = static_cast<FromClient>(entry.kind) == FromClient::request_streamed};
                return arrival(News::request);
            case FromClient::cancel:
                if (slot.cancelled || entry.generation != slot.generation) break;
                slot.cancelled = true;
                return arrival(slot.active ? News::cancel : News::nothing);
            case FromClient::taken:
                if (entry.generation != slot.generation || entry.value == 0 || entry.value > slot.on_way)
                    break;
                slot.on_way -= static_cast<std::uint32_t>(entry.value);
                return arrival(slot.active ? News::taken : News::nothing);
        }
        return {.news = News::breach};
    }
    /// Of a call that has begun. Once: the client may change it.
    void copy_request(std::uint32_t index, std::byte* to) const noexcept {
        copy_from_peer(to, peer_ + shape_.request_place(index), shape_.request_size);
    }
    [[nodiscard]] const ServerSlot& slot(std::uint32_t index) const noexcept { return slots_[index]; }
    /// Whether there is a place for another reply.
    [[nodiscard]] bool has_place(std::uint32_t index) const noexcept {
        return slots_[index].on_way < shape_.window;
    }

    // Of active calls. False: the client left no room where it must; that is a breach.

    /// Writes a reply and says so: the whole answer, or the last of its parts. There is a place.
    [[nodiscard]] bool reply(std::uint32_t index, const std::byte* reply) noexcept {
        put_reply(index, reply);
        return end(index, FromServer::reply, 0);
    }
    [[nodiscard]] bool part(std::uint32_t index, const std::byte* reply) noexcept {
        put_reply(index, reply);
        return put(index, FromServer::part, 0);
    }
    [[nodiscard]] bool finish(std::uint32_t index) noexcept { return end(index, FromServer::finish, 0); }
    [[nodiscard]] bool reject(std::uint32_t index, std::uint32_t status) noexcept {
        return end(index, FromServer::reject, status);
    }
    [[nodiscard]] bool refuse(std::uint32_t index, std::uint64_t limit) noexcept {
        return end(index, FromServer::no_place, limit);
    }

private:
    [[nodiscard]] bool put(std::uint32_t index, FromServer kind, std::uint64_t value) noexcept {
        return writer.put({.index = static_cast<std::uint16_t>(index),
                           .kind = static_cast<std::uint16_t>(kind),
                           .generation = slots_[index].generation,
                           .value = value});
    }
    [[nodiscard]] bool end(std::uint32_t index, FromServer kind, std::uint64_t value) noexcept {
        slots_[index].active = false;
        return put(index, kind, value);
    }
    void put_reply(std::uint32_t index, const std::byte* reply) noexcept {
        ServerSlot& slot = slots_[index];
        Atomics::copy(own_ + shape_.reply_place(index, slot.sent), reply, shape_.reply_size,
                      ring::Site::payload);
        ++slot.sent;
        ++slot.on_way;
    }

    Shape shape_;
    std::byte* own_ = nullptr;
    const std::byte* peer_ = nullptr;
    std::span<ServerSlot> slots_;
};

}  // namespace weir::ipc::service
