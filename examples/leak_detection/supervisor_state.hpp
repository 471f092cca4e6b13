// SPDX-License-Identifier: MIT
//
// What the supervisor knows, and what it makes of what the others tell.
//
// All that must outlive a child is here: how operators want acquisition to work, the clients' limit, each recording's
// figures, what was announced. Whatever comes twice after a restart is recognised by its place and counts once.
#pragma once

#include "console.hpp"
#include "options.hpp"
#include "program.hpp"
#include "score.hpp"
#include "settings.hpp"
#include "wire.hpp"

#include <weir/weir.hpp>

#include <array>
#include <optional>

namespace leak {

class SupervisorState {
public:
    Options options;
    Console console;

    Operation operation;
    ClientLimit limit;
    weir::Event decided;  // the question of --leak-at is answered

    /// How long after a leak opened its alarm may come, in loop time.
    static constexpr std::int64_t leak_alarm_within_s = 30;
    /// Whether the exit status says if the leak was found.
    bool judges_leak = false;

    /// The last announcements, by their number from first_announcement() on.
    static constexpr std::uint64_t announcements_max = 32;
    std::uint64_t announcements_count() const { return announcements_count_; }
    std::uint64_t first_announcement() const {
        return announcements_count_ > announcements_max ? announcements_count_ - announcements_max : 0;
    }
    const Announcement& announcement(std::uint64_t number) const {
        return announcements_[number % announcements_max];
    }

    bool scores() const { return options.score_files_count > 0; }

    /// A record of acquisition or of the detector.
    void take(const Record& record);

    /// Reads the settings' file, if there is one. False: it is wrong, and nothing changes.
    bool read_settings();

    std::string_view name_of_recording(std::uint32_t recording) const;
    /// The recording is over: in score mode its line is printed. False: its figures never came.
    bool end_recording(std::uint32_t recording);
    void refuse_recording() { ++refused_; }

    /// A line for the console, or nothing yet.
    Console::Line status_text() const;

    /// To be asked when all has ended: prints the last line; gives the exit status. `completed` says that it ended by
    /// itself and in good order.
    int conclude(bool completed);

private:
    void take(const Notice& notice);
    void take(const StreamFailure& failure) { console.trouble(failure.text.view()); }
    void take(const Progress& progress) { progress_ = progress; }
    void take(const Operation& changed) { operation = changed; }
    void take(const Announcement& announcement);
    void take(const Figures& figures);
    int conclude_score(bool completed);
    int conclude_leak(bool completed);

    std::optional<Progress> progress_;
    std::array<std::optional<Figures>, Options::score_files_max> figures_{};
    std::array<Announcement, announcements_max> announcements_{};
    std::uint64_t announcements_count_ = 0;  // ever
    std::optional<Announcement> first_alarm_;
    std::size_t refused_ = 0;
    std::size_t scored_ = 0;
};

}  // namespace leak
