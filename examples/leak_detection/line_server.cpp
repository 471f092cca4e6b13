// SPDX-License-Identifier: MIT
//
// Each client has a cursor into the lines that are kept.
#include "line_server.hpp"

#include <algorithm>

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

// A client that goes away, however it goes, is no trouble of ours.
void forget(const weir::Error&, void*) noexcept {}

}  // namespace

void LineServer::publish(const AlarmLine& line) {
    lines_[lines_count_++ % lines_max] = line;
    for (Client& client : clients_) client.filled.set();
}

void LineServer::free(Client& client) {
    client.taken = false;
    --clients_count_;
    flushed_.set();
}

bool LineServer::all_idle() const {
    return std::all_of(clients_.begin(), clients_.end(), [this](const Client& client) {
        return !client.taken || (client.idle && client.next == lines_count_);
    });
}

Task<> LineServer::flush(Scheduler&) {
    while (!all_idle()) {
        flushed_.reset();
        WEIR_CO_CHECK(flushed_.wait());
    }
}

Task<> LineServer::serve(Scheduler& scheduler, weir::UnixListener* listener) {
    WEIR_CO_CHECK(weir::with_group<clients_most>(scheduler, weir::collect(forget),
                                                 accept_clients<weir::UnixListener>, this, listener));
}

Task<> LineServer::serve(Scheduler& scheduler, weir::TcpListener* listener) {
    WEIR_CO_CHECK(weir::with_group<clients_most>(scheduler, weir::collect(forget),
                                                 accept_clients<weir::TcpListener>, this, listener));
}

template <class Listener>
Task<> LineServer::accept_clients(Scheduler& scheduler, weir::Group& sessions, LineServer* server,
                                  Listener* listener) {
    for (;;) {
        WEIR_CO_TRY(auto peer, listener->accept());
        Client* client = nullptr;
        for (Client& place : server->clients_) {
            if (!place.taken) client = &place;
        }
        if (client == nullptr || server->clients_count_ >= server->clients_max_) {
            AlarmLine refusal{"too many clients (limit "};
            refusal.append(server->clients_max_).append("): try again later\n");
            // A new socket has room for a line; and if it had not, that client would miss a line.
            std::ignore = co_await peer.write_all(weir::bytes_of(refusal.view())).within(10ms);
            continue;
        }
        client->taken = true;
        client->idle = false;
        client->next = server->lines_count_ - std::min<std::uint64_t>(server->lines_count_, lines_recent);
        ++server->clients_count_;
        const auto started = sessions.spawn(serve_client(scheduler, server, client, std::move(peer)));
        if (!started) {
            weir::report(started.error());
            server->free(*client);
        }
    }
}

template <class Stream>
Task<> LineServer::serve_client(Scheduler& scheduler, LineServer* server, Client* client, Stream peer) {
    const auto ended =
        co_await weir::first_of(send_lines(scheduler, server, client, &peer), await_end(scheduler, &peer));
    server->free(*client);
    if (!ended) co_return co_await weir::fail(ended.error());
}

template <class Stream>
Task<> LineServer::send_lines(Scheduler&, LineServer* server, Client* client, Stream* peer) {
    AlarmLine line = server->state_;
    WEIR_CO_CHECK(peer->write_all(weir::bytes_of(line.view())));
    for (;;) {
        if (client->next == server->lines_count_) {
            client->idle = true;
            server->flushed_.set();
            client->filled.reset();
            WEIR_CO_CHECK(client->filled.wait());
            client->idle = false;
            continue;
        }
        const std::uint64_t behind = server->lines_count_ - client->next;
        if (behind > lines_max) {
            const std::uint64_t lost = behind - lines_max;
            client->next += lost;
            line.clear();
            line.append("you were too slow: ").append(lost).append(" lines are lost\n");
        } else {
            line = server->lines_[client->next++ % lines_max];
        }
        WEIR_CO_CHECK(peer->write_all(weir::bytes_of(line.view())));
    }
}

template <class Stream>
Task<> LineServer::await_end(Scheduler&, Stream* peer) {
    for (;;) {
        std::array<std::byte, 256> thrown_away;
        WEIR_CO_TRY(const auto bytes, peer->read(thrown_away));
        if (bytes.empty()) co_return;
    }
}

}  // namespace leak
