// SPDX-License-Identifier: MIT
//
// What the programs have in common: how one starts another, how it ends, and where things lie.
#pragma once

#include "bounded_text.hpp"
#include "options.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <sys/types.h>

namespace leak {

/// How a program ended. Any other status, or a signal, is a death: whoever started it may start it again.
enum class Ending : int {
    finished = 0,
    failed = 1,   // try again
    refused = 3,  // what it was asked to do cannot be done: another try would end alike
    stopped = 4,  // it was asked to end before it had finished
};

// What lies in the runtime directory.
inline constexpr std::string_view samples_name = "samples.weir";  // where the topic of samples is attached to
inline constexpr std::string_view control_name =
    "control.weir";                                          // where acquisition's service is attached to
inline constexpr std::string_view answers_name = "answers";  // the detector's to acquisition
inline constexpr std::string_view alarms_name = "alarms";
inline constexpr std::string_view commands_name = "commands";
inline constexpr std::string_view state_name = "detector.state";

// What the supervisor hands down, by descriptor.
inline constexpr int recording_descriptor = 3;
inline constexpr int lock_descriptor = 4;
inline constexpr int queue_descriptor = 5;   // a message queue of announcements
inline constexpr int points_descriptor = 6;  // a pipe that keeps each write apart
inline constexpr int page_descriptor = 7;    // listens
inline constexpr int alarms_descriptor = 8;  // listens, for clients by TCP
inline constexpr int log_descriptor = 9;     // a file, opened for reading and appending
// What acquisition hands down to its sensors.
inline constexpr int ready_descriptor = 4;  // a semaphore: each sensor gives a token when it could begin
inline constexpr int gate_descriptor =
    5;  // an eventfd: readable from the moment at which they begin, and ever after

/// A path of the runtime directory. It has room for what a socket's address can hold.
class RuntimePath {
public:
    RuntimePath() = default;
    RuntimePath(std::string_view directory, std::string_view name);

    std::string_view view() const { return {characters_.data(), size_}; }
    const char* c_str() const { return characters_.data(); }
    /// Whether there was room.
    bool whole() const { return whole_; }

    static constexpr std::size_t size_max = 107;

private:
    std::array<char, size_max + 1> characters_{};
    std::size_t size_ = 0;
    bool whole_ = false;
};

/// A command line in fixed memory.
class CommandLine {
public:
    CommandLine& add(std::string_view word);
    CommandLine& add(std::string_view option, std::string_view value) { return add(option).add(value); }

    template <std::integral Integer>
    CommandLine& add(std::string_view option, Integer value) {
        return add(option, BoundedText<24>{}.append(value).view());
    }

    CommandLine& add(std::string_view option, double value);

    std::span<const char* const> words() const { return std::span{words_}.first(words_count_); }
    /// Whether all words found room.
    bool whole() const { return whole_; }

private:
    static constexpr std::size_t words_max = 48;
    std::array<char, 4'096> characters_{};
    std::size_t size_ = 0;
    std::array<const char*, words_max> words_{};
    std::size_t words_count_ = 0;
    bool whole_ = true;
};

/// The beginning of the command line of `program`, which lies in the working directory. Where $WEIR_LEAK_LAUNCHER names
/// a command (an emulator, say), with blanks between its words, that comes first.
void begin_command_line(CommandLine& line, std::string_view program);

/// Whether the process that started us is gone. remember_parent() is called first, at start.
void remember_parent();
bool parent_is_gone();

/// Ends when standard input does: the supervisor, which has nothing to say to this process, is gone then. Errors:
/// wrong_kind, where standard input is no pipe; cancelled.
weir::Task<> await_supervisors_end(weir::Scheduler& scheduler);

/// Removes whatever the processes of a system may have left in its directory.
void sweep_directory(const char* directory);

/// For a process that leaves a runtime directory whose supervisor was killed: removes it if it is empty. Where the
/// directory is ours and others have their files in it, waits up to two seconds for them to remove those, then does it for
/// them.
void leave_directory(const char* directory);

/// Who may be at the other end of what lies between acquisition and detector, besides root: `--peer-user`, or our own
/// user.
uid_t trusted_user(const Options& options);
/// The mode of what lies there: a peer that is another user shares our group.
mode_t mode_for_peer(const Options& options);

/// The options that say what the loop is: for a sensor, and for who starts it.
void add_source(CommandLine& line, const Options& options);

/// Whoever starts `weir::run_main`: reads the options, or says what is wrong with them and gives false.
bool read_options(int argc, char** argv, Options& options);

/// The backend that `--backend` names. False, with a message, if there is none of that name.
bool choose_backend(const Options& options, weir::StartOptions& start);

/// `task: operation: what went wrong`, in a notice's size.
BoundedText<512> text_of(std::string_view what, const weir::Error& error);

/// `ended with status 1`, `was killed by signal 9 (Killed)`
BoundedText<64> text_of(const weir::ExitStatus& status);

}  // namespace leak
