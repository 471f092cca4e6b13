// SPDX-License-Identifier: MIT
#include "bound_socket.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace weir;
using namespace weir::test;
using ipc::NameKind;
using ipc::NameList;
using ipc::NameState;

namespace {

std::vector<ipc::NameEntry> all_of_them(const ipc::RuntimeDirectory& directory) {
    auto names = NameList::open(directory);
    REQUIRE(names.has_value());
    std::vector<ipc::NameEntry> found;
    for (;;) {
        const auto entry = names->next();
        if (!entry) {
            CHECK(entry.error() == Errc::ended);
            break;
        }
        found.push_back(*entry);
    }
    std::sort(found.begin(), found.end(),
              [](const auto& one, const auto& two) { return one.name < two.name; });
    return found;
}

void touch(const std::string& path) {
    std::ofstream(path) << "x";
}

}  // namespace

TEST_CASE("a list shows each name once, with what it is, whose, and whether somebody serves it") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket first(directory, "vehicle/pose", 0640);
    BoundSocket second(directory, "pump");
    second.die();
    touch(temporary / "begun.weir.lock");
    REQUIRE(::mkfifo((temporary / "tokens.sem").c_str(), 0600) == 0);
    const auto found = all_of_them(directory);
    REQUIRE(found.size() == 4);
    CHECK(found[0].name.view() == "begun");
    CHECK(found[0].kind == NameKind::link);
    CHECK(found[0].state == NameState::stale);
    CHECK(found[1].name.view() == "pump");
    CHECK(found[1].state == NameState::stale);
    CHECK(found[1].mode == 0600);
    CHECK(found[2].name.view() == "tokens");
    CHECK(found[2].kind == NameKind::semaphore);
    CHECK(found[3].name.view() == "vehicle/pose");
    CHECK(found[3].kind == NameKind::link);
    CHECK(found[3].state == NameState::served);
    CHECK(found[3].uid == ::geteuid());
    CHECK(found[3].gid == ::getegid());
    CHECK(found[3].mode == 0640);
}

TEST_CASE("a list passes over files that are no names") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    for (const char* const file :
         {"notes", ".weir", "..weir", "a~.weir", "a b.weir", "a.weir.locked", "a.wei~", ".sem"})
        touch(temporary / file);
    touch(temporary / (std::string(65, 'a') + ".weir").c_str());
    touch(temporary / (std::string(230, 'a') + ".weir.lock").c_str());
    CHECK(all_of_them(directory).empty());
    // What is no socket at the path of a name is a name that nobody serves.
    touch(temporary / "file.weir");
    const auto found = all_of_them(directory);
    REQUIRE(found.size() == 1);
    CHECK(found[0].state == NameState::stale);
}

TEST_CASE("what nobody could open is passed over, and what comes behind it is listed") {
    const TemporaryDirectory temporary;
    const std::string deep =
        temporary / std::string(107 - std::string(temporary.path()).size() - 9, 'd').c_str();
    REQUIRE(::mkdir(deep.c_str(), 0700) == 0);
    const auto directory = ipc::RuntimeDirectory::at(deep);
    REQUIRE(directory.has_value());
    // A link to itself, and a name whose path no socket's address can hold.
    REQUIRE(::symlink("a.weir", (deep + "/a.weir").c_str()) == 0);
    touch((deep + "/longer.weir").c_str());
    touch((deep + "/b.weir").c_str());
    const auto found = all_of_them(*directory);
    REQUIRE(found.size() == 1);
    CHECK(found[0].name == Name("b"));
}

TEST_CASE("a list may be longer than what is read at once") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    std::deque<BoundSocket> served;
    for (int i = 100; i < 150; ++i) {
        const auto name = Name::make(std::string(40, 'n') + "/" + std::to_string(i));
        REQUIRE(name.has_value());
        served.emplace_back(directory, *name);
    }
    const auto found = all_of_them(directory);
    REQUIRE(found.size() == 50);
    for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].name.view().substr(41) == std::to_string(100 + i));
        CHECK(found[i].state == NameState::served);
    }
}

TEST_CASE("there is no list of a directory that is not there") {
    const auto directory = ipc::RuntimeDirectory::at("/tmp/weir-there-is-no-such-place");
    REQUIRE(directory.has_value());
    const auto names = NameList::open(*directory);
    REQUIRE(!names.has_value());
    CHECK(names.error() == Errc::not_found);
}

TEST_CASE("looking at a name tells the truth of the moment, and its server does not notice") {
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const Name name("pump");
    const auto state = [&] {
        const auto looked = ipc::look_at_name(directory, name);
        REQUIRE(looked.has_value());
        return *looked;
    };
    CHECK(state() == NameState::absent);
    BoundSocket server(directory, name);
    CHECK(state() == NameState::served);
    CHECK(sys::accept(server.fd()) == -EAGAIN);
    server.die();
    CHECK(state() == NameState::stale);
    BoundSocket successor(directory, name);
    CHECK(state() == NameState::served);
    successor.close();
    CHECK(state() == NameState::absent);
}

TEST_CASE("a name that we may not open is denied") {
    if (::geteuid() != 0) skip("needs root to become another user");
    const TemporaryDirectory temporary;
    const auto directory = runtime_directory_at(temporary);
    const BoundSocket ours(directory, "ours", 0600);
    const BoundSocket open_to_all(directory, "open", 0666);
    const auto end = run_unprivileged([&] {
        const auto denied = ipc::look_at_name(directory, "ours");
        const auto served = ipc::look_at_name(directory, "open");
        if (!denied || *denied != NameState::denied) return 1;
        if (!served || *served != NameState::served) return 2;
        return 0;
    });
    CHECK(end.exit_status == 0);
}
