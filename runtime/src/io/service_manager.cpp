// SPDX-License-Identifier: MIT
//
// The protocol is that of sd_notify(3) and sd_listen_fds(3): words in the environment, datagrams of lines to a socket.
#include "weir/io/service_manager.hpp"

#include "weir/coro/sleep.hpp"

#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr int first_socket = 3;  // behind the standard streams

const char* variable(const char* name) noexcept {
    const char* const text = std::getenv(name);
    return text != nullptr && *text != '\0' ? text : nullptr;
}

/// A variable that holds a number; nothing where it is absent.
Result<std::optional<std::uint64_t>> number_in(const char* name) noexcept {
    const char* const text = variable(name);
    if (text == nullptr) return std::nullopt;
    const char* const end = text + std::strlen(text);
    std::uint64_t number = 0;
    const auto read = std::from_chars(text, end, number);
    if (read.ec != std::errc{} || read.ptr != end) return failure(Errc::invalid, name);
    return number;
}
/// Whether a variable that names the process that is meant means this one.
Result<bool> means_us(const char* name, bool if_absent) noexcept {
    WEIR_TRY(const auto pid, number_in(name));
    return pid ? *pid == static_cast<std::uint64_t>(::getpid()) : if_absent;
}

/// The name at `index` of a list with colons between; empty behind its end.
std::string_view name_at(const char* list, std::size_t index) noexcept {
    std::string_view rest = list != nullptr ? list : "";
    for (; index > 0; --index) {
        const std::size_t colon = rest.find(':');
        if (colon == std::string_view::npos) return {};
        rest.remove_prefix(colon + 1);
    }
    return rest.substr(0, rest.find(':'));
}

}  // namespace

Result<ServiceManager> ServiceManager::from_environment() noexcept {
    ServiceManager manager;
    if (::getauxval(AT_SECURE) != 0) return manager;
    const auto sockets = manager.find_sockets();
    if (!sockets) return failure(sockets.error());
    const auto watchdog = manager.find_watchdog();
    if (!watchdog) return failure(watchdog.error());
    if (const char* const address = variable("NOTIFY_SOCKET"); address != nullptr) {
        const auto found = manager.find_socket(address);
        if (!found) return failure(found.error());
    }
    return manager;
}

Result<void> ServiceManager::find_socket(const char* address) noexcept {
    constexpr const char* operation = "NOTIFY_SOCKET";
    const std::size_t size = std::strlen(address);
    if (address[0] != '/' && address[0] != '@') return failure(Errc::unsupported, operation);
    // A path ends with a zero; a name outside of the file system begins with one, written as `@`.
    const std::size_t size_max = sizeof(address_.sun_path) - 1;
    if (size > size_max) return failure(Errc::too_large, operation, size, size_max);
    if (size < 2) return failure(Errc::invalid, operation);
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, address, size);
    if (address[0] == '@') address_.sun_path[0] = '\0';
    address_size_ = static_cast<std::uint32_t>(offsetof(sockaddr_un, sun_path) + size);
    socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket_) return failure(Error::from_errno(operation, errno));
    return {};
}

Result<void> ServiceManager::find_sockets() noexcept {
    WEIR_TRY(const auto count, number_in("LISTEN_FDS"));
    WEIR_TRY(const bool ours, means_us("LISTEN_PID", false));
    if (!count || !ours) return {};
    if (*count > sockets_max) return failure(Errc::too_large, "LISTEN_FDS", *count, sockets_max);
    for (std::size_t i = 0; i < *count; ++i) {
        const int fd = first_socket + static_cast<int>(i);
        const long set = sys::set_cloexec(fd);
        if (set < 0) return failure(Error::from_errno("LISTEN_FDS", static_cast<int>(-set)));
        sockets_[i] = Fd(fd);
    }
    names_ = variable("LISTEN_FDNAMES");
    return {};
}

Result<void> ServiceManager::find_watchdog() noexcept {
    WEIR_TRY(const auto span_us, number_in("WATCHDOG_USEC"));
    WEIR_TRY(const bool ours, means_us("WATCHDOG_PID", true));
    if (!span_us || !ours) return {};
    constexpr std::uint64_t span_us_max = 1'000'000ULL * 3600 * 24 * 365;
    watchdog_ = std::chrono::microseconds(std::min(*span_us, span_us_max));
    return {};
}

std::size_t ServiceManager::sockets() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(sockets_.begin(), sockets_.end(), [](const Fd& fd) { return static_cast<bool>(fd); }));
}

Result<Fd*> ServiceManager::find(std::string_view name) noexcept {
    for (std::size_t i = 0; i < sockets_max; ++i) {
        if (sockets_[i] && (name.empty() || name_at(names_, i) == name)) return &sockets_[i];
    }
    return failure(Errc::not_found, "a socket of the service manager");
}

Result<void> ServiceManager::status(std::string_view line) noexcept {
    constexpr std::string_view head = "STATUS=";
    std::array<char, head.size() + status_size_max> text;
    if (line.size() > status_size_max) {
        return failure(Errc::too_large, "status", line.size(), status_size_max);
    }
    if (line.find('\n') != std::string_view::npos) return failure(Errc::invalid, "status");
    const auto end = std::copy(line.begin(), line.end(), std::copy(head.begin(), head.end(), text.begin()));
    return tell({text.data(), static_cast<std::size_t>(end - text.begin())});
}

Result<void> ServiceManager::tell(std::string_view text) noexcept {
    if (!socket_) return {};
    const void* const bytes = &address_;
    const auto* const address = static_cast<const sockaddr*>(bytes);
    for (;;) {
        const auto sent = ::sendto(socket_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                   address, address_size_);
        if (sent >= 0) return {};
        if (errno != EINTR) return failure(Error::from_errno("telling the service manager", errno));
    }
}

Task<> feed_watchdog(Scheduler&, ServiceManager& manager) {
    const Duration watchdog = manager.watchdog();
    if (watchdog <= Duration::zero()) {
        WEIR_CO_CHECK(sleep_until(never));
    }
    for (;;) {
        const auto fed = manager.feed();
        if (!fed && fed.error() != Errc::would_block) co_return co_await fail(fed.error());
        WEIR_CO_CHECK(sleep_for(watchdog / 2, watchdog / 8));
    }
}

}  // namespace weir
