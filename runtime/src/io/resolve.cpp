// SPDX-License-Identifier: MIT
#include "weir/io/resolve.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <utility>

namespace weir {
namespace {

constexpr Pending::Kind resolving{"resolve", nullptr};
constexpr const char* for_host = "resolve, host";
constexpr const char* for_service = "resolve, service";

// Copies `text` with a zero behind it; what is wrong with it, if anything.
template <std::size_t size_max>
Result<void> copy_name(std::string_view text, std::array<char, size_max>& into,
                       const char* operation) noexcept {
    if (text.size() >= size_max)
        return failure(
            Error{.code = Errc::too_large, .operation = operation, .a = text.size(), .b = size_max - 1});
    if (text.empty() || text.find('\0') != std::string_view::npos) return failure(Errc::invalid, operation);
    std::memcpy(into.data(), text.data(), text.size());
    return {};
}

Error error_of(int code, int system_errno) noexcept {
    Errc meaning = Errc::system;
    switch (code) {
        case EAI_SERVICE: return Error{.code = Errc::not_found, .operation = for_service};
        case EAI_SYSTEM: return Error::from_errno(for_host, system_errno);
        case EAI_NONAME:
        case EAI_NODATA:
        case EAI_ADDRFAMILY: meaning = Errc::not_found; break;
        case EAI_AGAIN:
        case EAI_FAIL: meaning = Errc::unreachable; break;
        case EAI_MEMORY: meaning = Errc::no_memory; break;
        default: break;
    }
    return Error{.code = meaning, .operation = for_host};
}

}  // namespace

Result<Resolved> HostLookup::operator()() const noexcept {
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;  // each address once
    addrinfo* first = nullptr;
    const int code = ::getaddrinfo(host.data(), service.data(), &wanted, &first);
    if (code != 0) return failure(error_of(code, errno));
    Resolved found;
    for (const addrinfo* each = first; each != nullptr; each = each->ai_next) {
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
        SocketAddress address;
        std::memcpy(address.raw(), each->ai_addr, std::min(each->ai_addrlen, SocketAddress::raw_size_max));
        if (!found.addresses.push_back(address)) ++found.left_out;
    }
    ::freeaddrinfo(first);
    if (found.addresses.empty()) return failure(Errc::not_found, for_host);
    return found;
}

Resolve::Resolve(Worker& worker, std::string_view host, std::string_view service,
                 Transport transport) noexcept
    : worker_(&worker) {
    lookup_.transport = transport;
    Result<void> copied = copy_name(host, lookup_.host, for_host);
    if (copied) copied = copy_name(service, lookup_.service, for_service);
    if (!copied) wrong_ = copied.error();
    fits_ = copied.has_value();
}

Resolve::Wait::Wait(Resolve&& resolve) noexcept
    : Call::Wait(Call(*resolve.worker_, resolve.lookup_), resolving), fits_(resolve.fits_) {
    if (!fits_) fail_with(resolve.wrong_);
}

bool Resolve::Wait::start(const Start& start) noexcept {
    return !fits_ || Call::Wait::start(start);
}

Resolve resolve(Worker& worker, std::string_view host, std::string_view service,
                Transport transport) noexcept {
    return {worker, host, service, transport};
}

}  // namespace weir
