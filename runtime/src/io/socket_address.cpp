// SPDX-License-Identifier: MIT
#include "weir/io/socket_address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <net/if.h>
#include <optional>

namespace weir {
namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) noexcept {
    Number number{};
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    if (text.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
    return number;
}

// A copy that ends in a zero.
template <std::size_t size_max>
bool copy_text(std::string_view text, char (&into)[size_max]) noexcept {
    if (text.empty() || text.size() >= size_max || text.find('\0') != std::string_view::npos) return false;
    std::memcpy(into, text.data(), text.size());
    into[text.size()] = '\0';
    return true;
}

std::optional<std::uint32_t> scope_in(std::string_view text) noexcept {
    if (const auto number = number_in<std::uint32_t>(text)) return number;
    char name[IF_NAMESIZE];
    if (!copy_text(text, name)) return std::nullopt;
    const unsigned index = ::if_nametoindex(name);
    if (index == 0) return std::nullopt;
    return index;
}

}  // namespace

SocketAddress SocketAddress::v4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept {
    SocketAddress made;
    made.raw_.v4 = {};
    made.raw_.v4.sin_family = AF_INET;
    made.raw_.v4.sin_port = htons(port);
    std::memcpy(&made.raw_.v4.sin_addr, address.data(), address.size());
    return made;
}

SocketAddress SocketAddress::v6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                                std::uint32_t scope) noexcept {
    SocketAddress made;
    made.raw_.v6.sin6_family = AF_INET6;
    made.raw_.v6.sin6_port = htons(port);
    made.raw_.v6.sin6_scope_id = scope;
    std::memcpy(&made.raw_.v6.sin6_addr, address.data(), address.size());
    return made;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) noexcept {
    const auto wrong = failure(Errc::invalid, "socket address");
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong;
    const auto port = number_in<std::uint16_t>(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    if (!port || host.empty()) return wrong;
    char terminated[INET6_ADDRSTRLEN];
    if (host.front() != '[') {
        std::array<std::uint8_t, 4> address;
        if (!copy_text(host, terminated) || ::inet_pton(AF_INET, terminated, address.data()) != 1)
            return wrong;
        return v4(address, *port);
    }
    if (host.size() < 2 || host.back() != ']') return wrong;
    host = host.substr(1, host.size() - 2);
    std::uint32_t scope = 0;
    if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
        const auto named = scope_in(host.substr(percent + 1));
        if (!named) return wrong;
        scope = *named;
        host = host.substr(0, percent);
    }
    std::array<std::uint8_t, 16> address;
    if (!copy_text(host, terminated) || ::inet_pton(AF_INET6, terminated, address.data()) != 1) return wrong;
    return v6(address, *port, scope);
}

std::uint16_t SocketAddress::port() const noexcept {
    if (empty()) return 0;
    return ntohs(is_v6() ? raw_.v6.sin6_port : raw_.v4.sin_port);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const noexcept {
    SocketAddress changed = *this;
    if (is_v6()) {
        changed.raw_.v6.sin6_port = htons(port);
    } else {
        changed.raw_.v4.sin_port = htons(port);
    }
    return changed;
}

std::string_view SocketAddress::format(std::span<char> buffer) const noexcept {
    if (buffer.empty()) return {};
    buffer[0] = '\0';
    char host[INET6_ADDRSTRLEN] = "";
    int size = 0;
    if (empty()) return {buffer.data(), 0};
    const void* const address = is_v6() ? static_cast<const void*>(&raw_.v6.sin6_addr) : &raw_.v4.sin_addr;
    (void)::inet_ntop(family(), address, host,
                      sizeof(host));  // fails only for other families and smaller buffers
    const unsigned number = port();
    if (!is_v6()) {
        size = std::snprintf(buffer.data(), buffer.size(), "%s:%u", host, number);
    } else if (raw_.v6.sin6_scope_id == 0) {
        size = std::snprintf(buffer.data(), buffer.size(), "[%s]:%u", host, number);
    } else {
        const unsigned scope = raw_.v6.sin6_scope_id;
        size = std::snprintf(buffer.data(), buffer.size(), "[%s%%%u]:%u", host, scope, number);
    }
    return {buffer.data(), std::min(static_cast<std::size_t>(std::max(size, 0)), buffer.size() - 1)};
}

bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept {
    if (left.family() != right.family() || left.port() != right.port()) return false;
    if (left.empty()) return true;
    if (!left.is_v6()) return left.raw_.v4.sin_addr.s_addr == right.raw_.v4.sin_addr.s_addr;
    return std::memcmp(&left.raw_.v6.sin6_addr, &right.raw_.v6.sin6_addr, sizeof(in6_addr)) == 0 &&
           left.raw_.v6.sin6_scope_id == right.raw_.v6.sin6_scope_id;
}

}  // namespace weir
