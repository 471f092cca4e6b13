// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// The whole system as a test sees it: a supervisor that was started with arguments, what it prints, and the processes
/// below it. Nothing here sleeps; whatever is waited for must come within a minute, or the test fails.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace leak::test {

/// A private folder; gone, with all in it, when the test ends.
class Folder {
public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const { return path_; }
    /// Writes a file; gives its path.
    std::string write(const std::string& name, std::string_view text) const;
    std::vector<std::string> names() const;

private:
    std::string path_;
};

/// The recording that the simulated loop would make: labelled, `samples` lines.
std::string simulated_recording(std::uint64_t seed, std::int64_t leak_at_s, int samples);

/// A recording in which the flow falls for 40 samples of each 100 after the learning, `episodes` times: each raises an
/// alarm and clears it again. `samples` lines.
std::string unsteady_recording(int episodes, int samples);

/// Whether this test runs under an emulator of another machine, where a process takes long to start.
bool emulated();

class System {
public:
    using Environment = std::map<std::string, std::string>;

    explicit System(std::vector<std::string> arguments, const Environment& environment = {},
                    bool unprivileged = false);
    /// Kills what is left.
    ~System();
    System(const System&) = delete;
    System& operator=(const System&) = delete;

    pid_t pid() const { return pid_; }
    void signal(int number) const;

    /// Reads on until standard output, or standard error, has `part` behind what was awaited before. Gives the whole
    /// line.
    std::string await_output(std::string_view part) { return await(output_, part); }
    std::string await_error(std::string_view part) { return await(errors_, part); }

    /// The runtime directory, from the first lines of output.
    std::string directory();
    /// The clients' TCP port, from the line before directory()'s.
    std::uint16_t alarm_port();

    /// A living process below the supervisor whose program is `weir-leak-ROLE`; waits until there is one that is not
    /// `but_not`.
    pid_t process(std::string_view role, pid_t but_not = 0) const;
    /// The same, or 0 if there is none now.
    pid_t process_now(std::string_view role, pid_t but_not = 0) const;
    /// Whether standard output has `part`, or has ended.
    bool has_said(std::string_view part);
    /// All living ones, the supervisor included.
    std::vector<pid_t> processes() const;

    struct End {
        int status = -1;  // -1 when a signal ended it
        int signal = 0;
        std::string output;
        std::string errors;
    };
    /// Waits for the supervisor's end.
    const End& end();

private:
    struct Text {
        int fd = -1;
        std::string all;
        std::size_t awaited = 0;
    };

    std::string await(Text& text, std::string_view part);
    bool pump(bool waits = true);

    pid_t pid_ = -1;
    Text output_;
    Text errors_;
    End end_;
    bool ended_ = false;
};

/// What `weir-leak-control` said.
struct Controlled {
    int status = -1;
    std::string output;
    std::string errors;
};
/// Runs it with the words of `request` for a system's runtime directory.
Controlled control(const std::string& directory, const std::string& request);

/// Waits until none of these processes runs. They need not be our children.
void await_ends(const std::vector<pid_t>& processes);

/// A client of the alarm server's socket.
class AlarmClient {
public:
    /// Connects as soon as a sample was judged, or it is turned away: the server speaks first. The socket of one that
    /// was killed can be connected to for a moment more, and is then reset.
    explicit AlarmClient(const std::string& directory);
    /// The same by TCP, at 127.0.0.1.
    explicit AlarmClient(std::uint16_t port);
    ~AlarmClient();
    AlarmClient(const AlarmClient&) = delete;
    AlarmClient& operator=(const AlarmClient&) = delete;

    /// The next line, without its end; empty at the end of the stream.
    std::string line();

private:
    void greet(int family, const void* address, unsigned size);

    int fd_ = -1;
    std::string rest_;
};

/// Writes a line into the operators' FIFO as soon as there is one.
void command(const std::string& directory, std::string_view line);

}  // namespace leak::test
