// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "sample_topic.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "system.hpp"
#include "this_build.hpp"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

using namespace leak::test;

namespace {

bool is_there(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

std::string status_field(pid_t pid, const std::string& name) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/status"};
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
    }
    return {};
}

}  // namespace

TEST_CASE("a leak of the simulated loop is found, and the status says so") {
    System found{{"--leak-at", "450", "--seconds", "490"}};
    CHECK(found.end().output.find("the leak at 450 s was found ") != std::string::npos);
    CHECK(found.end().errors == "");
    CHECK(found.end().status == 0);
}

TEST_CASE("a leak that could not be found in time is a failure that says so") {
    System ended{{"--leak-at", "450", "--seconds", "455"}};
    CHECK(ended.end().status == 1);
    CHECK(ended.end().errors == "the leak at 450 s was not found: the run ended before 480 s\n");
    System insensitive{{"--leak-at", "450", "--config", "/nowhere"}};
    CHECK(insensitive.end().status == 1);
    CHECK(insensitive.end().errors == "/nowhere: cannot be opened: No such file or directory\n");
}

TEST_CASE("a threshold out of reach finds no leak, one too low finds it before it is there") {
    const Folder folder;
    System blind{{"--leak-at", "450", "--config", folder.write("high", "threshold 100000\n")}};
    CHECK(blind.end().status == 1);
    CHECK(blind.end().errors == "the leak at 450 s was not found within 30 s\n");
    System nervous{{"--leak-at", "600", "--config", folder.write("low", "threshold 0.001\n")}};
    CHECK(nervous.end().status == 1);
    CHECK(nervous.end().errors.find("had not opened when an alarm was raised, at 4") != std::string::npos);
}

TEST_CASE("without options a leak is shown, and the system goes on until it is told to end") {
    for (const int number : {SIGINT, SIGTERM}) {
        System system{{"--speed", "1000"}};
        const auto directory = system.directory();
        system.await_output("alarm raised");
        const auto processes = system.processes();
        CHECK(processes.size() == 12);
        system.signal(number);
        await_ends(processes);
        CHECK(system.end().status == 0);
        CHECK(system.end().errors == "");
        CHECK(!is_there(directory));
        if (emulated()) break;
    }
}

TEST_CASE("a signal in the first moments ends the system as one that comes later does") {
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGINT, SIGTERM, SIGHUP, SIGINT, SIGTERM, SIGHUP}) {
        const Folder folder;
        System system{{}, {{"WEIR_RUNTIME_DIR", folder.path()}}};
        while (!is_there(folder.path() + "/leak_detection")) ::sched_yield();
        system.signal(number);
        if (number == SIGHUP) {
            system.await_error("SIGHUP: there is no --config");
            system.signal(SIGINT);
        }
        CHECK(system.end().signal == 0);
        CHECK(system.end().status == 0);
        CHECK(folder.names().empty());
        if (emulated()) break;
    }
}

TEST_CASE("a killed supervisor takes all others down, and its own directory with them") {
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    system.process("sensor");
    AlarmClient client{directory};
    CHECK(client.line().starts_with("state: learning"));
    const auto processes = system.processes();
    system.signal(SIGKILL);
    await_ends(processes);
    CHECK(client.line() == "");
    CHECK(!is_there(directory));
}

TEST_CASE("a killed supervisor's directory goes, too, when others were killed with it and left their files") {
    if (::geteuid() != 0) weir::test::skip("not root: the directory is not shared between users");
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    AlarmClient client{directory};
    CHECK(client.line().starts_with("state: learning"));
    const auto processes = system.processes();
    // Otherwise it would start them again.
    system.signal(SIGSTOP);
    REQUIRE(::kill(system.process("acquisition"), SIGKILL) == 0);
    REQUIRE(::kill(system.process("detector"), SIGKILL) == 0);
    CHECK(is_there(directory));
    system.signal(SIGKILL);
    await_ends(processes);
    CHECK(!is_there(directory));
}

TEST_CASE("the next start takes over what a killed supervisor left, dead or still ending") {
    const Folder folder;
    const System::Environment environment{{"WEIR_RUNTIME_DIR", folder.path()}};
    {
        System first{{"--speed", "50"}, environment};
        first.process("sensor");
        const AlarmClient client{first.directory()};
        first.signal(SIGKILL);
        System second{{"--speed", "50"}, environment};
        AlarmClient client_of_second{second.directory()};
        CHECK(client_of_second.line().starts_with("state: learning, "));
        second.signal(SIGTERM);
        CHECK(second.end().status == 0);
    }
    CHECK(folder.names().empty());
}

TEST_CASE("paths that lie there already are taken over") {
    const Folder folder;
    const auto run = folder.path() + "/leak_detection";
    REQUIRE(::mkdir(run.c_str(), 0700) == 0);
    for (const std::string name : {"samples.weir", "control.weir", "answers", "alarms"}) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const auto path = run + "/" + name;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        const sockaddr* const generic = reinterpret_cast<const sockaddr*>(&address);
        REQUIRE(::bind(fd, generic, sizeof(address)) == 0);
        ::close(fd);
    }
    folder.write("leak_detection/detector.state", "not a state");
    folder.write("leak_detection/alarms.lock", "1");
    REQUIRE(::mkfifo((run + "/commands").c_str(), 0600) == 0);
    System system{{"--speed", "max", "--seconds", "450"}, {{"WEIR_RUNTIME_DIR", folder.path()}}};
    CHECK(system.end().status == 0);
    CHECK(system.end().errors == "");
    CHECK(folder.names().empty());
}

TEST_CASE("two supervisors do not share a directory") {
    const Folder folder;
    const System::Environment environment{{"WEIR_RUNTIME_DIR", folder.path()}};
    System first{{"--speed", "50"}, environment};
    const auto directory = first.directory();
    System second{{"--speed", "50"}, environment};
    CHECK(second.end().status == 1);
    CHECK(second.end().errors == directory + " is in use by another supervisor\n");
    CHECK(AlarmClient{directory}.line().starts_with("state: learning"));
    first.signal(SIGTERM);
    CHECK(first.end().status == 0);
}

TEST_CASE("a detector killed during a leak has a successor that knows of it and learns nothing anew") {
    System system{{"--speed", "1000"}};
    const auto directory = system.directory();
    const auto learned = system.await_output("learned 400 samples: threshold ");
    const auto threshold =
        learned.substr(learned.find("threshold "), learned.find(", ignored") - learned.find("threshold "));
    system.await_output("alarm raised");
    // What is told before it is saved, a successor may tell once more; what was acknowledged is saved.
    for (std::string status; status.find(", alarm") == std::string::npos;) {
        command(directory, "status");
        status = system.await_output("status: ");
    }
    pid_t killed = 0;
    for (int kills = 0; kills < 3; ++kills) {
        killed = system.process("detector", killed);
        REQUIRE(::kill(killed, SIGKILL) == 0);
        system.await_error("the detector is started again");
        system.process("detector", killed);
        AlarmClient client{directory};
        const auto state = client.line();
        CAPTURE(state);
        CHECK(state.starts_with("state: alarm, T-squared "));
        CHECK(state.find(threshold) != std::string::npos);
    }
    system.signal(SIGTERM);
    const auto& end = system.end();
    CHECK(end.output.find("learned", end.output.find("learned") + 1) == std::string::npos);
    CHECK(end.output.find("alarm raised", end.output.find("alarm raised") + 1) == std::string::npos);
    CHECK(end.output.find("cleared") == std::string::npos);
}

TEST_CASE("sensors killed one after the other leave no gap in their streams") {
    System system{{"--leak-at", "450", "--speed", "400"}};
    const auto directory = system.directory();
    pid_t killed = 0;
    for (int kills = 0; kills < 5; ++kills) {
        killed = system.process("sensor", killed);
        REQUIRE(::kill(killed, SIGKILL) == 0);
        system.await_error("was killed by signal 9 (SIGKILL); it is started again with reading ");
    }
    command(directory, "status");
    const auto status = system.await_output("status: ");
    CHECK(status.ends_with(", 5 sensor restarts"));  // and nothing missing, which it would say after that
    CHECK(system.end().output.find("the leak at 450 s was found ") != std::string::npos);
    CHECK(system.end().status == 0);
}

namespace {

/// Whether `user` alone, with its own group and no other, can open what lies at `path`, a socket by connecting to it.
bool can_open(unsigned user, unsigned group, const std::string& path) {
    const auto end = weir::test::run_unprivileged(
        [&] {
            if (const int fd = ::open(path.c_str(), O_RDWR | O_NONBLOCK); fd >= 0) return 0;
            if (errno != ENXIO) return 1;
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            path.copy(address.sun_path, sizeof(address.sun_path) - 1);
            const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
            const bool connected =
                ::connect(fd, static_cast<const sockaddr*>(static_cast<const void*>(&address)),
                          sizeof(address)) == 0;
            return connected || errno == EPROTOTYPE ? 0 : 1;
        },
        user, group);
    return end.exit_status == 0;
}

weir::Task<> subscribe(weir::Scheduler& scheduler, const char* path, std::int64_t server, bool* is_in) {
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(path));
    const auto samples =
        co_await leak::SampleSubscriber::open(scheduler, leak::sample_topic,
                                              {.link = {.server_uid = server, .directory = &directory}})
            .within(std::chrono::seconds(30));
    if (!samples && samples.error() != weir::Errc::denied) co_return co_await weir::fail(samples.error());
    *is_in = samples.has_value();
}

/// Whether `user` is let in to the samples of `server`.
bool can_subscribe(unsigned user, unsigned group, const std::string& directory, unsigned server) {
    static weir::StaticScheduler<weir::Budget{.frame_bytes = 8 * 1'024, .descriptors = 4, .links = 1}>
        scheduler;
    constexpr int denied = 7;
    const auto end = weir::test::run_unprivileged(
        [&] {
            bool is_in = false;
            const auto ran = scheduler.run(subscribe(scheduler, directory.c_str(), server, &is_in));
            return !ran ? 1 : is_in ? 0 : denied;
        },
        user, group);
    CHECK((end.exit_status == 0 || end.exit_status == denied));
    return end.exit_status == 0;
}

}  // namespace

TEST_CASE("as root the supervisor runs each of the others as a user of its own") {
    if (::geteuid() != 0) weir::test::skip("not root: there is no privilege to drop");
    const Folder folder;
    System system{{"--speed", "50", "--user-base", "61500", "--log", folder.path() + "/log.csv"}};
    const auto directory = system.directory();
    AlarmClient client{directory};  // says that samples were judged: all that there is lies there
    system.process("sensor");
    CHECK(status_field(system.pid(), "Uid") == "0\t0\t0\t0");
    const auto check = [&](std::string_view role, const std::string& user, const std::string& group) {
        const pid_t pid = system.process(role);
        CHECK(status_field(pid, "Uid") == user + "\t" + user + "\t" + user + "\t" + user);
        CHECK(status_field(pid, "Gid") == group + "\t" + group + "\t" + group + "\t" + group);
        CHECK(status_field(pid, "Groups").find_first_not_of(" \t") == std::string::npos);
        CHECK(status_field(pid, "CapEff") == "0000000000000000");
    };
    check("acquisition", "61500", "61500");
    check("sensor", "61500", "61500");
    check("detector", "61501", "61500");
    check("alarm-server", "61502", "61502");
    check("logger", "61503", "61503");
    struct stat status {};
    REQUIRE(::stat(directory.c_str(), &status) == 0);
    CHECK(status.st_uid == 61'502);
    CHECK(status.st_gid == 61'500);
    CHECK((status.st_mode & 07777) == 01771);

    struct Reach {
        const char* name;
        bool acquisition, detector, alarm_server;
    };
    for (const auto& reach :
         {Reach{"detector.state", false, true, false}, Reach{"commands", true, false, false},
          Reach{"answers", true, true, false}, Reach{"control.weir", true, false, false},
          Reach{"alarms", false, false, true}}) {
        INFO(reach.name);
        const auto path = directory + "/" + reach.name;
        CHECK(can_open(61'500, 61'500, path) == reach.acquisition);
        CHECK(can_open(61'501, 61'500, path) == reach.detector);
        CHECK(can_open(61'502, 61'502, path) == reach.alarm_server);
        CHECK(!can_open(61'503, 61'503, path));  // the logger
        CHECK(!can_open(65'534, 65'534, path));
    }
    CHECK(can_subscribe(61'501, 61'500, directory, 61'500));
    CHECK(can_subscribe(61'502, 61'502, directory, 61'500));
    CHECK(can_subscribe(61'503, 61'503, directory, 61'500));
    CHECK(!can_subscribe(61'500, 61'500, directory, 61'500));  // acquisition's own user, whose sensors are
    CHECK(!can_subscribe(65'534, 65'534, directory, 61'500));
    CHECK(!can_subscribe(61'501, 61'500, directory, 61'502));  // a publisher of another user is not believed
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
    CHECK(::access(directory.c_str(), F_OK) != 0);
}

TEST_CASE("users apart or one for all: the leak is found alike, and a kill of each is survived") {
    if (::geteuid() != 0) weir::test::skip("not root: nobody can become somebody else");
    constexpr std::string_view found = "the leak at 450 s was found ";
    System together{{"--leak-at", "450", "--user", "nobody"}};
    const auto expected = together.await_output(found);
    CHECK(together.end().status == 0);
    System apart{{"--leak-at", "450", "--speed", "150"}};
    for (const char* role : {"detector", "alarm-server", "acquisition", "sensor"}) {
        const pid_t killed = apart.process(role);
        const auto user = status_field(killed, "Uid");
        CHECK(user.starts_with("6100"));
        REQUIRE(::kill(killed, SIGKILL) == 0);
        CHECK(status_field(apart.process(role, killed), "Uid").starts_with("6100"));
    }
    CHECK(apart.await_output(found) == expected);
    CHECK(apart.end().status == 0);
}

TEST_CASE("an unprivileged user can run it, but not as somebody else") {
    if (::geteuid() == 0 && ::access(weir::test::this_build::leak_detection_programs, X_OK) != 0)
        weir::test::skip("the build is not accessible");
    System system{{"--leak-at", "450"}, {}, true};
    CHECK(system.end().status == 0);
    CHECK(system.end().errors == "");
    System other{{"--user", "root"}, {}, true};
    CHECK(other.end().status == 1);
    CHECK(other.end().errors == "--user: only root can become \"root\"\n");
}

TEST_CASE("SIGHUP reads the settings again, and a wrong file changes nothing") {
    const Folder folder;
    const auto settings = folder.write("settings", "# a comment\nthreshold 4\nclients 2\n");
    System system{{"--speed", "50", "--config", settings}};
    const auto directory = system.directory();
    AlarmClient first{directory};
    CHECK(first.line().starts_with("state: "));
    folder.write("settings", "clients 1\n\nthreshold 2.5\n");
    system.signal(SIGHUP);
    system.await_output("threshold factor 2.50, clients 1");
    folder.write("settings", "threshold 5\nclients 17\n");
    system.signal(SIGHUP);
    CHECK(system.await_error("settings:") ==
          settings + ":2: clients: \"17\", expected a whole number from 1 to 16");
    // From the supervisor it still has to reach acquisition and the detector.
    std::string status;
    while (status.find("threshold factor 2.50") == std::string::npos) {
        command(directory, "status");
        status = system.await_output("status: ");
    }
    for (std::string line; line != "too many clients (limit 1): try again later";) {
        line = AlarmClient{directory}.line();
    }
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
}
