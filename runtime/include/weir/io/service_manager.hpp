// SPDX-License-Identifier: MIT
//
// The manager that started this service (systemd, or another that speaks its protocol): the sockets that it holds for us,
// telling it that we are ready, and its watchdog.
//
//     WEIR_CO_TRY(auto manager, ServiceManager::from_environment());
//     WEIR_CO_TRY(auto listener, manager.adopt<UnixListener>("alarms"));
//     WEIR_CO_CHECK(manager.ready());
//     WEIR_CO_CHECK(first_of(quit.next(), serve(scheduler, listener), feed_watchdog(scheduler, manager)));
//
// Without a manager the same program runs: what would be told is told to nobody, and there are no sockets.
#pragma once

#include "weir/core/result.hpp"
#include "weir/core/time.hpp"
#include "weir/coro/task.hpp"
#include "weir/scheduler/scheduler.hpp"
#include "weir/sys/fd.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <sys/un.h>

namespace weir {

/// What the environment says of the manager. Owns one descriptor where there is something to tell, and the inherited
/// sockets that nobody has adopted. It may be used by any thread, one at a time.
class ServiceManager {
public:
    static constexpr std::size_t sockets_max = 32;
    static constexpr std::size_t status_size_max = 256;

    ServiceManager() noexcept = default;
    ServiceManager(ServiceManager&&) noexcept = default;
    ServiceManager& operator=(ServiceManager&&) noexcept = default;

    /// Reads NOTIFY_SOCKET; LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES; WATCHDOG_USEC and WATCHDOG_PID. What is meant
    /// for another process is as good as absent, and so is all in a program that gained privileges by exec. The
    /// inherited descriptors become close-on-exec, so this is done before children are spawned, and once: they belong
    /// to the result. LISTEN_FDNAMES must stay in the environment. Errors: invalid (a variable that is no such thing),
    /// too_large (the path, or more than sockets_max), unsupported (an address that is no path), closed (a descriptor
    /// that is said to be inherited is not open), no_files.
    static Result<ServiceManager> from_environment() noexcept;

    /// Whether somebody is told anything.
    [[nodiscard]] bool present() const noexcept { return static_cast<bool>(socket_); }

    /// Of a unit of Type=notify: the service serves. These four make one system call, do not wait, and succeed without
    /// a manager. Errors: would_block (it does not read what it is told), refused or not_found (it is gone), denied.
    Result<void> ready() noexcept { return tell("READY=1"); }
    /// The service is about to end.
    Result<void> stopping() noexcept { return tell("STOPPING=1"); }
    /// One line for who looks (`systemctl status`). Besides: too_large (status_size_max), invalid (a line's end in it).
    Result<void> status(std::string_view line) noexcept;
    /// The service lives. For a task whose life is the service's; for the scheduler's there is feed_watchdog().
    Result<void> feed() noexcept { return tell("WATCHDOG=1"); }

    /// How long the manager waits for feed() before it ends the service; zero if it does not.
    [[nodiscard]] Duration watchdog() const noexcept { return watchdog_; }

    /// Inherited sockets that are not adopted yet.
    [[nodiscard]] std::size_t sockets() const noexcept;
    /// Adopts the first of them with this name (FileDescriptorName= of the socket's unit, by default the unit's own
    /// name), or the very first where `name` is empty, as an H: UnixListener, TcpListener, FifoReader and so on.
    /// Errors: not_found, and those of H::adopt() (wrong_kind), after which it is still to be adopted.
    template <class H>
    Result<H> adopt(std::string_view name = {}) noexcept {
        WEIR_TRY(Fd* const socket, find(name));
        auto adopted = H::adopt(socket->get());
        if (adopted) std::ignore = socket->release();
        return adopted;
    }

private:
    Result<void> find_socket(const char* address) noexcept;
    Result<void> find_sockets() noexcept;
    Result<void> find_watchdog() noexcept;
    Result<Fd*> find(std::string_view name) noexcept;
    Result<void> tell(std::string_view text) noexcept;

    Fd socket_;
    sockaddr_un address_{};
    std::uint32_t address_size_ = 0;
    Duration watchdog_{};
    const char* names_ = nullptr;  // LISTEN_FDNAMES, in the environment
    std::array<Fd, sockets_max> sockets_{};
};

/// Feeds the manager's watchdog twice in its time, for as long as the scheduler runs tasks: one that holds the thread
/// keeps this one from running, and the manager acts. Lasts until it is stopped, also without a watchdog, which then
/// wakes nobody. `manager` outlives it. A manager that does not read is fed again at the next time. Errors: cancelled,
/// and those of feed().
Task<> feed_watchdog(Scheduler& scheduler, ServiceManager& manager);

}  // namespace weir
