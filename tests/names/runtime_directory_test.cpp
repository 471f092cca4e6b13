// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include "weir/ipc/names/runtime_directory.hpp"

#include <cstdlib>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

using weir::Errc;
using weir::ipc::RuntimeDirectory;
using weir::ipc::RuntimePath;

namespace {

/// A directory of the test's own, removed with whatever it holds.
class Scratch {
public:
    Scratch() {
        char name[] = "/tmp/weir-names-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path_ = name;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        for (const char* const below : {"/a", "/b/weir", "/b", "/file"}) {
            ::unlink((path_ + below).c_str());
            ::rmdir((path_ + below).c_str());
        }
        ::rmdir(path_.c_str());
    }
    std::string operator/(const char* below) const { return path_ + "/" + below; }

private:
    std::string path_;
};

/// Sets or unsets a variable for a scope.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* const before = std::getenv(name); before != nullptr) {
            before_ = before;
            had_ = true;
        }
        if (value != nullptr) {
            ::setenv(name, value, 1);
        } else {
            ::unsetenv(name);
        }
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() {
        if (had_) {
            ::setenv(name_, before_.c_str(), 1);
        } else {
            ::unsetenv(name_);
        }
    }

private:
    const char* name_;
    std::string before_;
    bool had_ = false;
};

mode_t mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("the directory named by WEIR_RUNTIME_DIR comes first, without its trailing slashes") {
    const Variable named("WEIR_RUNTIME_DIR", "/somewhere/else//");
    const Variable session("XDG_RUNTIME_DIR", "/not/this");
    const auto found = RuntimeDirectory::find();
    REQUIRE(found);
    CHECK(found->path() == "/somewhere/else");
}

TEST_CASE("a relative WEIR_RUNTIME_DIR is an error and not passed over") {
    const Variable named("WEIR_RUNTIME_DIR", "relative/path");
    const auto found = RuntimeDirectory::find();
    REQUIRE_FALSE(found);
    CHECK(found.error() == Errc::invalid);
}

TEST_CASE("without /run/weir the session's runtime directory serves, and without both nothing does") {
    if (::access("/run/weir", F_OK) == 0) weir::test::skip("/run/weir exists here");
    const Variable named("WEIR_RUNTIME_DIR", nullptr);
    {
        const Variable session("XDG_RUNTIME_DIR", "/run/user/1000");
        const auto found = RuntimeDirectory::find();
        REQUIRE(found);
        CHECK(found->path() == "/run/user/1000/weir");
    }
    const Variable session("XDG_RUNTIME_DIR", nullptr);
    const auto found = RuntimeDirectory::find();
    REQUIRE_FALSE(found);
    CHECK(found.error() == Errc::not_found);
}

TEST_CASE("a directory is made with exactly its mode, whatever the umask, and made again without harm") {
    const Scratch scratch;
    const mode_t before = ::umask(0077);
    const auto directory = RuntimeDirectory::at(scratch / "a");
    REQUIRE(directory);
    const auto made = directory->make(0750);
    ::umask(before);
    REQUIRE(made);
    CHECK(mode_of(scratch / "a") == 0750);
    const auto again = directory->make(0750);
    CHECK(again);
}

TEST_CASE("a directory whose parent is missing is not made, and the error says that it is the parent") {
    const Scratch scratch;
    const auto directory = RuntimeDirectory::at(scratch / "a/b");
    REQUIRE(directory);
    const auto made = directory->make();
    REQUIRE_FALSE(made);
    CHECK(made.error() == Errc::not_found);
    CHECK(std::string_view(made.error().operation) == "runtime directory, whose parent is not there");
    CHECK(::access((scratch / "a").c_str(), F_OK) != 0);
}

TEST_CASE("a directory to which others may write is refused") {
    const Scratch scratch;
    REQUIRE(::mkdir((scratch / "a").c_str(), 0700) == 0);
    const auto directory = RuntimeDirectory::at(scratch / "a");
    REQUIRE(directory);
    for (const mode_t mode : {mode_t{0702}, mode_t{0720}}) {
        REQUIRE(::chmod((scratch / "a").c_str(), mode) == 0);
        const auto made = directory->make();
        REQUIRE_FALSE(made);
        CHECK(made.error() == Errc::denied);
    }
}

TEST_CASE("something else at the path is refused, and a symbolic link is not followed") {
    const Scratch scratch;
    REQUIRE(::symlink("/tmp", (scratch / "a").c_str()) == 0);
    const auto directory = RuntimeDirectory::at(scratch / "a");
    REQUIRE(directory);
    const auto made = directory->make();
    REQUIRE_FALSE(made);
    CHECK(made.error() == Errc::invalid);
}

TEST_CASE("a directory of another user is refused") {
    if (::geteuid() != 0) weir::test::skip("only root can make a directory for another user");
    const Scratch scratch;
    REQUIRE(::mkdir((scratch / "a").c_str(), 0755) == 0);
    REQUIRE(::chown((scratch / "a").c_str(), 12345, 12345) == 0);
    const std::string path = scratch / "a";
    REQUIRE(::chmod(path.substr(0, path.size() - 2).c_str(), 0755) == 0);
    const auto end = weir::test::run_unprivileged([&] {
        const auto directory = RuntimeDirectory::at(path);
        if (!directory) return 1;
        const auto made = directory->make();
        return !made && made.error() == Errc::denied ? 0 : 2;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a name becomes one file below the directory, its slashes mapped") {
    const auto directory = RuntimeDirectory::at("/run/weir/0");
    REQUIRE(directory);
    const auto path = directory->path_of("vehicle/pose", ".sock");
    REQUIRE(path);
    CHECK(path->view() == "/run/weir/0/vehicle~pose.sock");
}

TEST_CASE("beside a path is another one, which no name has") {
    const auto path = RuntimePath::make("/run/weir/0/pose.weir");
    REQUIRE(path);
    CHECK(path->beside().view() == "/run/weir/0/pose.wei~");
    CHECK(path->view() == "/run/weir/0/pose.weir");
}

TEST_CASE("a path too long for a socket address is an error with both sizes") {
    const auto directory = RuntimeDirectory::at("/" + std::string(90, 'd'));
    REQUIRE(directory);
    const auto path = directory->path_of("a-name-of-some-length", ".sock");
    REQUIRE_FALSE(path);
    CHECK(path.error() == Errc::too_large);
    CHECK(path.error().a > RuntimePath::size_max);
    CHECK(path.error().b == RuntimePath::size_max);
}
