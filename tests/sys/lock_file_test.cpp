// SPDX-License-Identifier: MIT
#include "sys/lock_file.hpp"

#include "support/catch.hpp"
#include "support/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using weir::Errc;
using weir::Fd;
namespace sys = weir::sys;

/// A path of its own in a fresh directory.
class Path {
public:
    Path() {
        char directory[] = "/tmp/weir-lock-XXXXXX";
        REQUIRE(::mkdtemp(directory) != nullptr);
        directory_ = directory;
        path_ = directory_ + "/s";
    }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;
    ~Path() {
        ::unlink(lock().c_str());
        ::rmdir(directory_.c_str());
    }
    [[nodiscard]] const char* c_str() const { return path_.c_str(); }
    [[nodiscard]] std::string lock() const { return path_ + ".lock"; }

private:
    std::string directory_;
    std::string path_;
};

TEST_CASE("one holder at a time, whose pid the next one learns") {
    const Path path;
    auto held = sys::take_lock(path.c_str(), "test");
    REQUIRE(held.has_value());
    const auto refused = sys::take_lock(path.c_str(), "test");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::in_use);
    CHECK(refused.error().a == static_cast<std::uint64_t>(::getpid()));
    CHECK(std::string(refused.error().operation) == "test");
    held->close();
    CHECK(sys::take_lock(path.c_str(), "test").has_value());
}

TEST_CASE("a lock that a killed holder left is taken at once") {
    const Path path;
    const pid_t holder = ::fork();
    REQUIRE(holder >= 0);
    if (holder == 0) {
        const auto held = sys::take_lock(path.c_str(), "test");
        if (held) ::raise(SIGKILL);
        ::_exit(1);
    }
    int status = 0;
    REQUIRE(::waitpid(holder, &status, 0) == holder);
    REQUIRE(WIFSIGNALED(status));
    CHECK(::access(path.lock().c_str(), F_OK) == 0);
    CHECK(sys::take_lock(path.c_str(), "test").has_value());
}

TEST_CASE("the pid of a holder that is gone is not told as the holder's") {
    const Path path;
    const auto held = sys::take_lock(path.c_str(), "test");
    REQUIRE(held.has_value());
    const pid_t gone = ::fork();
    REQUIRE(gone >= 0);
    if (gone == 0) ::_exit(0);
    REQUIRE(::waitpid(gone, nullptr, 0) == gone);
    // As if this process had just locked what the other left.
    const std::string text = std::to_string(gone) + "\n";
    REQUIRE(::ftruncate(held->get(), 0) == 0);
    REQUIRE(::pwrite(held->get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    const auto refused = sys::take_lock(path.c_str(), "test");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::in_use);
    CHECK(refused.error().a == 0);
}

TEST_CASE("whoever locks a file that was removed meanwhile tries again") {
    const Path path;
    for (int round = 0; round < 50; ++round) {
        const auto held = sys::take_lock(path.c_str(), "test");
        REQUIRE(held.has_value());
        sys::remove_lock(path.c_str());
        // Another takes the path while our descriptor still holds the removed file.
        const auto next = sys::take_lock(path.c_str(), "test");
        CHECK(next.has_value());
    }
}

TEST_CASE("a link in the lock's place is not followed, and a directory that is missing is not_found") {
    const Path path;
    REQUIRE(::symlink("/tmp/weir-no-such-file", path.lock().c_str()) == 0);
    CHECK_FALSE(sys::take_lock(path.c_str(), "test").has_value());
    CHECK(::access("/tmp/weir-no-such-file", F_OK) != 0);
    const auto missing = sys::take_lock("/no/such/directory/s", "test");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error() == Errc::not_found);
}

TEST_CASE("what has another path as well, or is no file, is no lock, and is left as it is") {
    const Path path;
    const std::string other = path.lock() + ".other";
    std::FILE* const file = std::fopen(other.c_str(), "w");
    REQUIRE(file != nullptr);
    std::fputs("kept", file);
    std::fclose(file);
    REQUIRE(::chmod(other.c_str(), 0640) == 0);
    REQUIRE(::link(other.c_str(), path.lock().c_str()) == 0);
    const auto linked = sys::take_lock(path.c_str(), "test");
    CHECK((!linked && linked.error() == Errc::denied));
    struct stat status {};
    REQUIRE(::stat(other.c_str(), &status) == 0);
    CHECK((status.st_size == 4 && (status.st_mode & 07777) == 0640));
    ::unlink(other.c_str());
    ::unlink(path.lock().c_str());
    REQUIRE(::mkfifo(path.lock().c_str(), 0600) == 0);
    const auto fifo = sys::take_lock(path.c_str(), "test");
    CHECK((!fifo && fifo.error() == Errc::denied));
}

TEST_CASE("another user's lock is denied") {
    const Path path;
    const auto held = sys::take_lock(path.c_str(), "test");
    REQUIRE(held.has_value());
    if (::geteuid() != 0) return;  // it would be the same user
    const auto end = weir::test::run_unprivileged([&path] {
        if (::geteuid() == 0) return 2;
        const auto refused = sys::take_lock(path.c_str(), "test");
        return !refused && refused.error() == Errc::denied ? 0 : 1;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

}  // namespace
