// SPDX-License-Identifier: MIT
//
// Serves alarms as lines of text to clients that connect to a unix socket.
//
// A client first gets a line that says how things stand, then a line per event. Each has a short queue of its own: one
// that does not read holds up nobody; lines that found no room are lost to it, and a line tells how many. A client
// beyond the limit gets a line that says so and is closed. What clients send is thrown away.
#pragma once

#include "alarm_line.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leak {

class AlarmServer {
public:
    static constexpr std::size_t clients_most = 16;  // what the limit can be set to
    static constexpr std::size_t clients_default = 8;
    static constexpr std::size_t lines_max = 16;  // that wait for one client

    /// Listens at `path` and serves until it is stopped. Errors: those of UnixListener::bind.
    weir::Task<> serve(weir::Scheduler& scheduler, std::string_view path);

    /// A line for all clients, LF included. `state` is what a client that comes later gets first.
    void publish(const AlarmLine& line);
    void set_state(const AlarmLine& state) { state_ = state; }

    /// Clients that are there already stay.
    void set_limit(std::size_t clients_max) {
        clients_max_ = clients_max < clients_most ? clients_max : clients_most;
    }
    std::size_t clients_count() const { return clients_count_; }

private:
    struct Client {
        bool taken = false;
        std::array<AlarmLine, lines_max> lines{};
        std::size_t first = 0;
        std::size_t count = 0;
        std::uint64_t lost = 0;
        weir::Event filled;

        void put(const AlarmLine& line);
    };

    static weir::Task<> accept_clients(weir::Scheduler& scheduler, weir::Group& sessions, AlarmServer* server,
                                       weir::UnixListener* listener);
    static weir::Task<> serve_client(weir::Scheduler& scheduler, AlarmServer* server, Client* client,
                                     weir::UnixStream peer);
    static weir::Task<> send_lines(weir::Scheduler& scheduler, Client* client, weir::UnixStream* peer);
    static weir::Task<> await_end(weir::Scheduler& scheduler, weir::UnixStream* peer);

    std::array<Client, clients_most> clients_{};
    std::size_t clients_max_ = clients_default;
    std::size_t clients_count_ = 0;
    AlarmLine state_;
};

}  // namespace leak
