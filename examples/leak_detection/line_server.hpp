// SPDX-License-Identifier: MIT
//
// Serves lines of text to clients that connect to a socket.
//
// A client first gets a line that says how things stand, then the last lines before it came, then each new one. The
// last lines are kept once, for all: a client that does not read holds up nobody, and when it falls behind by more than
// is kept, a line tells it how many it lost. A client beyond the limit gets a line that says so and is closed. What
// clients send is thrown away.
#pragma once

#include "alarm_line.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace leak {

class LineServer {
public:
    static constexpr std::size_t clients_most = 16;  // what the limit can be set to
    static constexpr std::size_t clients_default = 8;
    static constexpr std::size_t lines_max = 64;     // that a client may be behind
    static constexpr std::size_t lines_recent = 16;  // that a new client gets

    /// Serve until they are stopped; both at once, if you like, and the limit is for both together. Errors: those of
    /// accept().
    weir::Task<> serve(weir::Scheduler& scheduler, weir::UnixListener* listener);
    weir::Task<> serve(weir::Scheduler& scheduler, weir::TcpListener* listener);

    /// A line for all clients, LF included. `state` is what a client that comes later gets first.
    void publish(const AlarmLine& line);
    void set_state(const AlarmLine& state) { state_ = state; }

    /// Waits until the kernel has taken every line for every client. A client that does not read can make this long.
    weir::Task<> flush(weir::Scheduler& scheduler);

    /// Clients that are there already stay.
    void set_limit(std::size_t clients_max) {
        clients_max_ = clients_max < clients_most ? clients_max : clients_most;
    }
    std::size_t clients_count() const { return clients_count_; }

private:
    struct Client {
        bool taken = false;
        bool idle = false;       // has nothing to send
        std::uint64_t next = 0;  // the line it gets next
        weir::Event filled;
    };

    template <class Listener>
    static weir::Task<> accept_clients(weir::Scheduler& scheduler, weir::Group& sessions, LineServer* server,
                                       Listener* listener);
    template <class Stream>
    static weir::Task<> serve_client(weir::Scheduler& scheduler, LineServer* server, Client* client,
                                     Stream peer);
    template <class Stream>
    static weir::Task<> send_lines(weir::Scheduler& scheduler, LineServer* server, Client* client,
                                   Stream* peer);
    template <class Stream>
    static weir::Task<> await_end(weir::Scheduler& scheduler, Stream* peer);

    void free(Client& client);
    bool all_idle() const;

    std::array<Client, clients_most> clients_{};
    std::size_t clients_max_ = clients_default;
    std::size_t clients_count_ = 0;
    AlarmLine state_{"state: no sample was judged yet\n"};
    std::array<AlarmLine, lines_max> lines_{};
    std::uint64_t lines_count_ = 0;  // ever published
    weir::Event flushed_;
};

}  // namespace leak
