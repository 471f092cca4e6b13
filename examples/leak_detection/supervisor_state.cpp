// SPDX-License-Identifier: MIT
#include "supervisor_state.hpp"

#include "alarm_line.hpp"

namespace leak {

void SupervisorState::take(const Record& record) {
    std::visit(
        [this](const auto& kind) {
            if constexpr (requires { this->take(kind); } &&
                          !std::is_same_v<std::decay_t<decltype(kind)>, Record>) {
                this->take(kind);
            }
        },
        record);
}

void SupervisorState::take(const Notice& notice) {
    if (notice.kind == Notice::Kind::trouble) {
        console.trouble(notice.text.view());
    } else if (!scores()) {
        console.event(notice.text.view());
    }
}

void SupervisorState::take(const Announcement& announcement) {
    if (announcements_count_ > 0 && !announcement.is_after(this->announcement(announcements_count_ - 1)))
        return;
    announcements_[announcements_count_++ % announcements_max] = announcement;
    if (scores()) return;
    const AlarmLine line = line_of(announcement);
    console.event(line.view().substr(0, line.view().size() - 1));
    if (announcement.kind != Announcement::Kind::raised || first_alarm_) return;
    first_alarm_ = announcement;
    if (judges_leak) decided.set();
}

void SupervisorState::take(const Figures& figures) {
    if (figures.recording < figures_.size()) figures_[figures.recording] = figures;
}

bool SupervisorState::read_settings() {
    if (options.config == nullptr) return true;
    Settings settings;
    const auto error = leak::read_settings(options.config, settings);
    if (!error.empty()) {
        console.trouble(error.view());
        return false;
    }
    if (settings.threshold) operation.factor = *settings.threshold;
    if (settings.clients) limit.clients_max = *settings.clients;
    return true;
}

std::string_view SupervisorState::name_of_recording(std::uint32_t recording) const {
    if (scores()) return options.score_files[recording];
    return options.recording ? *options.recording : "the simulated loop";
}

bool SupervisorState::end_recording(std::uint32_t recording) {
    if (!figures_[recording]) return false;
    const Figures& figures = *figures_[recording];
    if (scores() && figures.counts.total() == 0) {
        Console::Line line{name_of_recording(recording)};
        line.append(':').append(figures.samples_count + 1).append(":1: the recording ends after ");
        line.append(figures.samples_count).append(" samples, but the first ").append(learning_samples);
        console.trouble(line.append(" are only learned from: there is nothing to score").view());
        ++refused_;
        return true;
    }
    ++scored_;
    if (scores()) {
        console.event(
            score_line_of_file(name_of_recording(recording), figures.samples_count, figures.counts).view());
    } else {
        Console::Line line{name_of_recording(recording)};
        console.event(line.append(" ended after ").append(figures.samples_count).append(" samples").view());
    }
    return true;
}

Console::Line SupervisorState::status_text() const {
    Console::Line line;
    if (!progress_) return line;
    const Progress& progress = *progress_;
    if (scores()) line.append(name_of_recording(progress.recording)).append(": ");
    line.append(loop_time_text(progress.time_s).view()).append("  sample ").append(progress.samples_count);
    if (progress.phase == Phase::learning) {
        line.append("  learning");
    } else {
        line.append(progress.alarm ? "  ALARM" : "  no alarm")
            .append("  T-squared ")
            .append_fixed(progress.statistic, 1);
        line.append(" (threshold ").append_fixed(progress.threshold, 1).append(')');
    }
    if (progress.paused) line.append("  paused");
    return line;
}

int SupervisorState::conclude(bool completed) {
    console.close();
    if (scores()) return conclude_score(completed);
    if (judges_leak) return conclude_leak(completed);
    return completed && refused_ == 0 ? 0 : 1;
}

int SupervisorState::conclude_score(bool completed) {
    Console::Line line;
    if (!completed || scored_ < options.score_files_count) {
        line.append("no pooled figures: ").append(options.score_files_count - scored_).append(" of ");
        line.append(options.score_files_count).append(" recordings were not scored");
        console.trouble(line.view());
        return 1;
    }
    Counts pooled;
    for (std::size_t i = 0; i < options.score_files_count; ++i) pooled += figures_[i]->counts;
    console.event(score_line(pooled).view());
    return 0;
}

int SupervisorState::conclude_leak(bool completed) {
    const std::int64_t leak_at_s = *options.leak_at_s;
    Console::Line line{"the leak at "};
    line.append(leak_at_s).append(" s ");
    if (!first_alarm_) {
        const bool seen = progress_ && progress_->time_s >= leak_at_s + leak_alarm_within_s;
        line.append(seen ? "was not found within " : "was not found: the run ended before ");
        seen ? line.append(leak_alarm_within_s).append(" s")
             : line.append(leak_at_s + leak_alarm_within_s).append(" s");
    } else if (first_alarm_->time_s < leak_at_s) {
        line.append("had not opened when an alarm was raised, at ").append(first_alarm_->time_s).append(" s");
    } else if (first_alarm_->time_s > leak_at_s + leak_alarm_within_s) {
        line.append("was found too late, at ").append(first_alarm_->time_s).append(" s");
    } else {
        line.append("was found ").append(first_alarm_->time_s - leak_at_s).append(" s after it opened");
        console.event(line.view());
        return completed ? 0 : 1;
    }
    console.trouble(line.view());
    return 1;
}

}  // namespace leak
