// SPDX-License-Identifier: MIT
#include <weir/sys/message.hpp>

#include "bound_socket.hpp"
#include "sys/calls.hpp"
#include "support/child.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"

#include <filesystem>
#include <fstream>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace weir;
using namespace weir::test;

namespace {

Result<ipc::BoundName> bind(const char* path, mode_t mode = 0600) {
    return ipc::bind_name(*ipc::RuntimePath::make(path),
                          {.mode = mode, .owner = -1, .group = -1, .backlog = 2});
}
// 0, or what connecting came to.
long connected(const char* path) {
    long status = 0;
    const Fd socket = ipc::connect_to_name(*ipc::RuntimePath::make(path), status);
    return status;
}

}  // namespace

TEST_CASE("a name has its mode and its server from the moment on that its path is there") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const std::string path = temporary / "pump.weir";
    const Fd reports(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    REQUIRE(::inotify_add_watch(reports.get(), temporary.path().c_str(),
                                IN_CREATE | IN_ATTRIB | IN_MOVED_TO) > 0);
    const BoundSocket server(directory, "pump", 0622);
    CHECK(mode_of(path) == 0622);
    CHECK(connected(path.c_str()) == 0);
    // Its path is the subject of one report alone: that it was put there.
    alignas(inotify_event) char bytes[4096];
    const ssize_t size = ::read(reports.get(), bytes, sizeof(bytes));
    REQUIRE(size > 0);
    std::string seen;
    for (ssize_t at = 0; at < size;) {
        const void* const place = bytes + at;
        const auto* const event = static_cast<const inotify_event*>(place);
        if (event->len > 0 && std::string(event->name) == "pump.weir")
            seen += (event->mask & IN_MOVED_TO) != 0 ? "whole " : "not whole ";
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
    CHECK(seen == "whole ");
    CHECK(!exists(temporary / "pump.wei~"));
}

TEST_CASE("a name takes the place of what servers left that were killed, at whatever moment") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    BoundSocket killed(directory, "pump");
    killed.die();
    // This one when it had not yet put its socket in place.
    BoundSocket another(directory, "other");
    std::filesystem::rename(another.path(), temporary / "pump.wei~");
    another.die();
    {
        const BoundSocket server(directory, "pump");
        CHECK(connected(server.path()) == 0);
        CHECK(!exists(temporary / "pump.wei~"));
    }
    CHECK(!exists(temporary / "pump.weir"));
    CHECK(!exists(temporary / "pump.weir.lock"));
}

TEST_CASE("no descriptors get in at either end of a connection, unless it is asked for") {
    if (!kernel_keeps_descriptors_out()) skip("SO_PASSRIGHTS is not known here: before Linux 6.16");
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket server(directory, "pump");
    long status = 0;
    const Fd client = ipc::connect_to_name(*ipc::RuntimePath::make(server.path()), status);
    REQUIRE(status == 0);
    const auto sent = [](const Fd& socket) {
        sys::DescriptorMessage message("x", 1);
        const int descriptors[] = {socket.get()};
        message.attach(descriptors);
        return sys::send_message(socket.get(), message.header());
    };
    CHECK(sent(client) == -EPERM);  // before anybody accepts
    const Fd accepted(::accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    CHECK(sent(client) == -EPERM);
    CHECK(sent(accepted) == -EPERM);
    sys::let_descriptors_in(client.get(), true);
    CHECK(sent(accepted) == 1);
}

TEST_CASE("what is no socket stays where it is") {
    const TemporaryDirectory temporary;
    const std::string path = temporary / "pump.weir";
    std::ofstream(path) << "dear";
    const auto bound = bind(path.c_str());
    REQUIRE(!bound.has_value());
    CHECK(bound.error() == Errc::invalid);
    CHECK(std::filesystem::file_size(path) == 4);
    CHECK(!exists(path + ".lock"));
}

TEST_CASE("a name in use is told with its holder's pid, to the same user and to others") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket server(directory, "pump", 0666);
    const pid_t holder = ::getpid();
    const auto rival = [&] {
        const auto bound = bind(server.path());
        if (bound) return 1;
        if (bound.error() != Errc::in_use) return 2;
        return bound.error().a == static_cast<std::uint64_t>(holder) ? 0 : 3;
    };
    CHECK(rival() == 0);
    CHECK(run_in_child(rival).exit_status == 0);
    if (::geteuid() != 0) return;
    CHECK(run_unprivileged(rival).exit_status == 0);
    CHECK(connected(server.path()) == 0);
}

TEST_CASE(
    "a name that others may not open is denied to them as long as they cannot know whether it is in use") {
    if (::geteuid() != 0) skip("needs root to become another user");
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket server(directory, "pump", 0600);
    const auto end = run_unprivileged([&] {
        const auto bound = bind(server.path());
        return !bound && bound.error() == Errc::denied ? 0 : 1;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("a name of mode 0660 is open to the members of its group, and to nobody else") {
    if (::geteuid() != 0) skip("needs root to become another user");
    constexpr gid_t group = 61'234;
    constexpr uid_t user = 61'235;
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket server(directory, "pump", 0660, group);
    struct stat status {};
    REQUIRE(::stat(server.path(), &status) == 0);
    CHECK(status.st_gid == group);
    CHECK((status.st_mode & 07777) == 0660);
    const auto connects = [&] { return static_cast<int>(-connected(server.path())); };
    CHECK(run_unprivileged(connects, user, group).exit_status == 0);
    CHECK(run_unprivileged(connects, user, user).exit_status == EACCES);
}
