// SPDX-License-Identifier: MIT
//
// Names of hosts and services, turned into addresses.
//
//     WEIR_CO_TRY(const auto found, weir::resolve(worker, "sensors.example", "http").within(2s));
//     for (const weir::SocketAddress& address : found.addresses) …
//
// The system's getaddrinfo does it, in a thread of a Worker: it blocks, as long as /etc/resolv.conf lets it, and knows
// every source of names that the machine is set up for. It is also the one place of this library that takes heap after
// the start: in the worker's thread, by the C library, given back before the look-up ends. A program that must not have
// that gives its addresses as numbers, to SocketAddress::parse.
#pragma once

#include "weir/core/inline_vector.hpp"
#include "weir/io/socket_address.hpp"
#include "weir/io/worker.hpp"

#include <array>
#include <string_view>

namespace weir {

/// What a service's name is looked up for; a number serves both.
enum class Transport : std::uint8_t { tcp, udp };

inline constexpr std::size_t resolved_max = 8;
inline constexpr std::size_t host_name_size_max = 253;  // RFC 1035, in letters and dots
inline constexpr std::size_t service_name_size_max = 32;

struct Resolved {
    /// At least one, the best first (RFC 6724, as the system orders them).
    InlineVector<SocketAddress, resolved_max> addresses;
    /// Addresses that the system knows besides these.
    std::size_t left_out = 0;
};

/// What the thread runs.
struct HostLookup {
    std::array<char, host_name_size_max + 1> host{};
    std::array<char, service_name_size_max + 1> service{};
    Transport transport = Transport::tcp;

    Result<Resolved> operator()() const noexcept;
};

/// What resolve() returns. Keeps its own copy of the names.
class [[nodiscard]] Resolve : public Awaitable<Resolve> {
    using Call = WorkerCall<HostLookup, true>;

public:
    using Outcome = Result<Resolved>;
    Resolve(Worker& worker, std::string_view host, std::string_view service, Transport transport) noexcept;

    class Wait : public Call::Wait {
    public:
        explicit Wait(Resolve&& resolve) noexcept;
        bool start(const Start& start) noexcept;

    private:
        bool fits_;
    };

private:
    Worker* worker_;
    HostLookup lookup_;
    Error wrong_;  // if `fits_` is false
    bool fits_ = false;
};

/// Looks up `host`, a name or a number of either family ("localhost", "127.0.0.1", "fe80::1%eth0"), and `service`, a
/// name or a port's number. Takes one slot of `worker`, of worker_slot_bytes, until the system has answered: a stop or a
/// deadline ends the await at once, and not the look-up. No frame; the thread takes heap, see above. Errors: not_found
/// (no such host, or no such service: Error::operation says which), unreachable (no name server answered, or it failed),
/// too_large (a name; its size and the limit), invalid (an empty name, or one with a zero in it), no_memory, no_files,
/// denied, and those of Worker::call: overflow (no slot is left), closed, cancelled, timed_out, no_descriptor.
[[nodiscard]] Resolve resolve(Worker& worker, std::string_view host, std::string_view service,
                              Transport transport = Transport::tcp) noexcept;

static_assert(sizeof(CallState<HostLookup>) <= worker_slot_bytes);

}  // namespace weir
