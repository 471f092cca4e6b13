// SPDX-License-Identifier: MIT
#include "alarm_server.hpp"

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

// A client that goes away, however it goes, is no trouble of ours.
void forget(const weir::Error&, void*) noexcept {}

}  // namespace

void AlarmServer::Client::put(const AlarmLine& line) {
    if (count == lines_max) {
        ++lost;
        return;
    }
    lines[(first + count++) % lines_max] = line;
    filled.set();
}

void AlarmServer::publish(const AlarmLine& line) {
    for (Client& client : clients_) {
        if (client.taken) client.put(line);
    }
}

Task<> AlarmServer::serve(Scheduler& scheduler, std::string_view path) {
    WEIR_CO_TRY(auto listener, weir::UnixListener::bind(path, {.mode = 0600, .backlog = 16}));
    WEIR_CO_CHECK(
        weir::with_group<clients_most>(scheduler, weir::collect(forget), accept_clients, this, &listener));
}

Task<> AlarmServer::accept_clients(Scheduler& scheduler, weir::Group& sessions, AlarmServer* server,
                                   weir::UnixListener* listener) {
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
        client->first = client->count = 0;
        client->lost = 0;
        client->put(server->state_);
        ++server->clients_count_;
        const auto started = sessions.spawn(serve_client(scheduler, server, client, std::move(peer)));
        if (!started) {
            weir::report(started.error());
            client->taken = false;
            --server->clients_count_;
        }
    }
}

Task<> AlarmServer::serve_client(Scheduler& scheduler, AlarmServer* server, Client* client,
                                 weir::UnixStream peer) {
    const auto ended =
        co_await weir::first_of(send_lines(scheduler, client, &peer), await_end(scheduler, &peer));
    client->taken = false;
    --server->clients_count_;
    if (!ended) co_return co_await weir::fail(ended.error());
}

Task<> AlarmServer::send_lines(Scheduler&, Client* client, weir::UnixStream* peer) {
    for (;;) {
        if (client->count == 0) {
            client->filled.reset();
            WEIR_CO_CHECK(client->filled.wait());
            continue;
        }
        AlarmLine line = client->lines[client->first];
        client->first = (client->first + 1) % lines_max;
        --client->count;
        WEIR_CO_CHECK(peer->write_all(weir::bytes_of(line.view())));
        if (client->lost > 0 && client->count == 0) {
            line.clear();
            line.append("you were too slow: ")
                .append(std::exchange(client->lost, 0))
                .append(" lines are lost\n");
            WEIR_CO_CHECK(peer->write_all(weir::bytes_of(line.view())));
        }
    }
}

Task<> AlarmServer::await_end(Scheduler&, weir::UnixStream* peer) {
    for (;;) {
        std::array<std::byte, 256> thrown_away;
        WEIR_CO_TRY(const auto bytes, peer->read(thrown_away));
        if (bytes.empty()) co_return;
    }
}

}  // namespace leak
