// SPDX-License-Identifier: MIT
//
// weir-leak-control: asks a running system how it stands, or tells it how to work, through the service `control`.
//
//   weir-leak-control DIRECTORY status
//   weir-leak-control DIRECTORY threshold 2.5      (or pause, resume)
//
// Prints how things stand then, one `name value` in each line. Ends with 0; 1 if there was no answer, 2 if it was not
// understood, 3 if it was refused.
#include "control.hpp"
#include "program.hpp"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <span>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace leak;
using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{.frame_bytes = 8 * 1024, .submissions = 8, .descriptors = 4, .links = 1};
constexpr auto patience = 2s;

const char* directory_path = "";
Command command;
bool refused = false;

/// Whom root believes: the user that the path belongs to, once it is there. Others believe their own and root.
Task<std::int64_t> server_user(Scheduler&, RuntimePath path) {
    if (::geteuid() != 0) co_return -1;
    struct stat status {};
    while (::stat(path.c_str(), &status) < 0) {
        if (errno != ENOENT)
            co_return co_await weir::fail(weir::Error::from_errno("asking whose it is", errno));
        WEIR_CO_CHECK(weir::sleep_for(10ms));
    }
    co_return static_cast<std::int64_t>(status.st_uid);
}

void print(const ControlStatus& status) {
    std::printf("recording %" PRIu32 "\n", status.recording);
    std::printf("samples %s\n", status.paused != 0 ? "paused" : "running");
    std::printf("phase %s\n", status.watching != 0 ? "watching" : "learning");
    std::printf("alarm %s\n", status.alarm != 0 ? "yes" : "no");
    std::printf("joined %" PRIu64 "\n", status.samples_joined);
    std::printf("acknowledged %" PRIu64 "\n", status.samples_acknowledged);
    std::printf("statistic %.1f\n", status.statistic);
    std::printf("threshold %.1f\n", status.threshold);
    std::printf("factor ");
    status.factor > 0 ? std::printf("%.2f\n", status.factor) : std::printf("learned\n");
    std::printf("sensor-restarts %" PRIu64 "\n", status.sensor_restarts);
    std::printf("not-queued %" PRIu32 "\n", status.unqueued_count);
}

Task<> ask(Scheduler& scheduler) {
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::at(directory_path));
    const RuntimePath path{directory_path, control_name};
    if (!path.whole()) co_return co_await weir::fail(weir::Errc::too_large, "the directory's path");
    WEIR_CO_TRY(const std::int64_t user, server_user(scheduler, path).within(patience));
    WEIR_CO_TRY(auto client, Control::Client::open(scheduler, control_service,
                                                   {.link = {.server_uid = user, .directory = &directory}})
                                 .within(patience));
    const auto answer = co_await client.call(request_of(command)).within(patience);
    if (!answer && answer.error() == weir::Errc::rejected) {
        refused = true;
        const auto text = text_of(static_cast<ControlRefusal>(answer.error().a));
        std::fprintf(stderr, "weir-leak-control: refused: %.*s\n", static_cast<int>(text.size()),
                     text.data());
        co_return;
    }
    if (!answer) co_return co_await weir::fail(answer.error());
    print(*answer);
}

}  // namespace

int main(int argc, char** argv) {
    constexpr int usage_status = 2;
    const std::span<char*> words{argv, static_cast<std::size_t>(argc)};
    if (words.size() < 3 || *words[1] != '/') {
        std::fprintf(stderr,
                     "usage: weir-leak-control DIRECTORY status|pause|resume|threshold X\n"
                     "DIRECTORY is the runtime directory, an absolute path\n");
        return usage_status;
    }
    directory_path = words[1];
    BoundedText<CommandReader::line_bytes_max> line;
    for (const char* const word : words.subspan(2)) line.append(word).append(' ');
    const auto error = parse_command(line.view(), command);
    if (!error.empty()) {
        std::fprintf(stderr, "weir-leak-control: %.*s\n", static_cast<int>(error.view().size()),
                     error.view().data());
        return usage_status;
    }
    const int status = weir::run_main<budget>(argc, argv, ask);
    return status == 0 && refused ? static_cast<int>(Ending::refused) : status;
}
