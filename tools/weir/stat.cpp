// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include "names.hpp"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <ctime>

namespace weir::tool {
namespace {

double seconds(std::uint64_t from_ns, std::uint64_t to_ns) {
    return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e9 : 0.0;
}

/// How much more a counter of the server is now, for each second between; 0 where another server has taken over.
double rate(std::uint64_t before, std::uint64_t now, double span_s) {
    return now > before && span_s > 0 ? static_cast<double>(now - before) / span_s : 0.0;
}

/// On both sides: whoever waits for the other.
std::uint64_t sleeps(const ipc::LinkStat& stat) {
    std::uint64_t sum = stat.sleeps;
    const auto shown = std::min<std::size_t>(stat.peers, ipc::LinkStat::peers_max);
    for (std::size_t i = 0; i < shown; ++i) sum += stat.peer[i].sleeps;
    return sum;
}

std::uint64_t bells(const ipc::LinkStat& stat) {
    std::uint64_t sum = 0;
    const auto shown = std::min<std::size_t>(stat.peers, ipc::LinkStat::peers_max);
    for (std::size_t i = 0; i < shown; ++i) sum += stat.peer[i].bells_rung + stat.peer[i].bells_heard;
    return sum;
}

void print_record_size(std::FILE* out, std::uint64_t size) {
    if (size != 0) {
        std::fprintf(out, "record size: %" PRIu64 "\n", size);
    } else {
        std::fputs("record size: any\n", out);
    }
}

void print_all(std::FILE* out, const NameFound& found) {
    const ipc::LinkStat& stat = found.stat;
    std::fprintf(out, "name: %s\n", found.name.c_str());
    std::fprintf(out, "kind: %s\n", kind_of(stat.object).c_str());
    std::fprintf(out, "server: pid %" PRId32 ", uid %" PRIu32 ", for %.1f s\n", stat.pid, stat.uid,
                 seconds(stat.started_ns, stat.now_ns));
    std::fprintf(out, "depth: %" PRIu64 "\n", stat.depth);
    print_record_size(out, stat.record_size);
    std::fprintf(out, "layout: %016" PRIx64 "\n", stat.layout);
    std::fprintf(out, "region bytes: %" PRIu64 "\n", stat.region_bytes);
    std::fprintf(out, "records: %" PRIu64 "\n", stat.records);
    std::fprintf(out, "bytes: %" PRIu64 "\n", stat.bytes);
    std::fprintf(out, "fill: %" PRIu64 " of %" PRIu64 "\n", stat.fill, stat.depth);
    std::fprintf(out, "sleeps: %" PRIu64 "\n", stat.sleeps);
    std::fprintf(out, "admitted: %" PRIu64 "\n", stat.admitted);
    std::fprintf(out, "refused: %" PRIu64 "\n", stat.refused);
    std::fprintf(out, "denied: %" PRIu64 "\n", stat.denied);
    std::fprintf(out, "over a user's cap: %" PRIu64 "\n", stat.over_cap);
    std::fprintf(out, "turned out: %" PRIu64 "\n", stat.turned_out);
    if (stat.turned_out > 0) {
        const std::string_view why = ipc::text(stat.violation);
        std::fprintf(out, "turned out last: pid %" PRId32 ", uid %" PRIu32 ", %.1f s ago: it %.*s\n",
                     stat.violator_pid, stat.violator_uid, seconds(stat.violated_ns, stat.now_ns),
                     static_cast<int>(why.size()), why.data());
    }
    std::fprintf(out, "pending: %" PRIu32 "\n", stat.pending);
    std::fprintf(out, "peers: %" PRIu32 "\n", stat.peers);
    const auto shown = std::min<std::size_t>(stat.peers, ipc::LinkStat::peers_max);
    for (std::size_t i = 0; i < shown; ++i) {
        const ipc::LinkPeerStat& peer = stat.peer[i];
        std::fprintf(out,
                     "peer: pid %" PRId32 ", uid %" PRIu32 ", for %.1f s, fill %" PRIu64 ", records %" PRIu64
                     ", bytes %" PRIu64 ", sleeps %" PRIu64 ", bells rung %" PRIu64 ", bells heard %" PRIu64
                     "\n",
                     peer.pid, peer.uid, seconds(peer.attached_ns, stat.now_ns), peer.fill, peer.records,
                     peer.bytes, peer.sleeps, peer.bells_rung, peer.bells_heard);
    }
    if (stat.peers > shown) std::fprintf(out, "peers not shown: %zu\n", stat.peers - shown);
}

void print_rates(std::FILE* out, const ipc::LinkStat& before, const ipc::LinkStat& now) {
    const bool same = before.started_ns == now.started_ns && before.pid == now.pid;
    const double span_s = same ? seconds(before.now_ns, now.now_ns) : 0.0;
    std::fprintf(out,
                 "records/s %.0f  bytes/s %.0f  sleeps/s %.0f  bells/s %.0f  fill %" PRIu64 "/%" PRIu64
                 "  peers %" PRIu32 "%s\n",
                 rate(before.records, now.records, span_s), rate(before.bytes, now.bytes, span_s),
                 rate(sleeps(before), sleeps(now), span_s), rate(bells(before), bells(now), span_s), now.fill,
                 now.depth, now.peers, same ? "" : "  (another server)");
    std::fflush(out);
}

std::uint64_t sleeps(const ipc::NamedRingSide& side) {
    return ipc::ring::sleeps_of(side.epoch);
}

void print_side(std::FILE* out, const char* what, const ipc::NamedRingSide& side) {
    std::fprintf(out, "%s: ", what);
    if (side.held) {
        std::fprintf(out, "pid %" PRIu32, side.pid);
    } else {
        std::fputs("nobody", out);
        if (side.generation > 0) std::fprintf(out, ", last pid %" PRIu32, side.pid);
    }
    std::fprintf(out, ", taken %" PRIu32 " times, sleeps %" PRIu64 "\n", side.generation, sleeps(side));
}

void print_all(std::FILE* out, const NameFound& found, const ipc::NamedRingStat& ring) {
    std::fprintf(out, "name: %s\n", found.name.c_str());
    std::fputs("kind: named-ring\n", out);
    std::fprintf(out, "depth: %" PRIu32 "\n", ring.units);
    print_record_size(out, ring.record_size);
    std::fprintf(out, "layout: %016" PRIx64 "\n", ring.layout);
    std::fprintf(out, "file bytes: %" PRIu64 "\n", ring.file_size);
    std::fprintf(out, "written: %" PRIu32 "\n", ring.writer.cursor);
    std::fprintf(out, "fill: %" PRIu32 " of %" PRIu32 "\n", ring.fill(), ring.units);
    print_side(out, "writer", ring.writer);
    print_side(out, "reader", ring.reader);
}

// What is written and read is counted in slots, or in bytes of the ring.
void print_rates(std::FILE* out, const ipc::NamedRingStat& before, const ipc::NamedRingStat& now,
                 std::uint64_t span_ns) {
    const double span_s = static_cast<double>(span_ns) / 1e9;
    const auto moved = [&](std::uint32_t from, std::uint32_t to) {
        return static_cast<double>(to - from) / span_s;  // they run freely through 32 bits
    };
    const auto slept = [&](const ipc::NamedRingStat& at) { return sleeps(at.writer) + sleeps(at.reader); };
    std::fprintf(out,
                 "written/s %.0f  read/s %.0f  sleeps/s %.0f  fill %" PRIu32 "/%" PRIu32 "  peers %d%s\n",
                 moved(before.writer.cursor, now.writer.cursor),
                 moved(before.reader.cursor, now.reader.cursor), rate(slept(before), slept(now), span_s),
                 now.fill(), now.units, int{now.writer.held} + int{now.reader.held},
                 before.writer.generation == now.writer.generation ? "" : "  (another writer)");
    std::fflush(out);
}

void sleep_for_ns(std::uint64_t ns) {
    timespec span{.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                  .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
    while (::nanosleep(&span, &span) < 0 && errno == EINTR) {}
}

int complain(const NameFound& found) {
    std::fprintf(stderr, "weir: %s: %s: %s\n", found.name.c_str(), text(found.state), found.error.c_str());
    return 1;
}

bool is_over(std::uint64_t line, const StatOptions& options) {
    return options.lines != 0 && line >= options.lines;
}

int tell_of_server(std::FILE* out, const ipc::RuntimeDirectory& directory, const Name& name, NameFound found,
                   const StatOptions& options) {
    if (found.state != NameFound::State::live) return complain(found);
    if (options.every_ns == 0) {
        print_all(out, found);
        return 0;
    }
    for (std::uint64_t line = 0; !is_over(line, options); ++line) {
        sleep_for_ns(options.every_ns);
        const ipc::LinkStat before = found.stat;
        found = look_up(directory, name);
        if (found.state != NameFound::State::live) return complain(found);
        print_rates(out, before, found.stat);
    }
    return 0;
}

int tell_of_ring(std::FILE* out, const ipc::RuntimeDirectory& directory, const Name& name, NameFound found,
                 const StatOptions& options) {
    if (!found.ring) return complain(found);
    if (options.every_ns == 0) {
        print_all(out, found, *found.ring);
        return 0;
    }
    for (std::uint64_t line = 0; !is_over(line, options); ++line) {
        const Instant before = MonotonicClock::now();
        sleep_for_ns(options.every_ns);
        const ipc::NamedRingStat first = *found.ring;
        found = look_at_ring(directory, name);
        if (!found.ring) return complain(found);
        const auto span_ns = static_cast<std::uint64_t>(to_ns(MonotonicClock::now()) - to_ns(before));
        print_rates(out, first, *found.ring, span_ns);
    }
    return 0;
}

}  // namespace

std::optional<std::uint64_t> span_ns(std::string_view text) noexcept {
    std::uint64_t number = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
        number = number * 10 + static_cast<std::uint64_t>(text[digits] - '0');
        if (number > 86'400'000) return std::nullopt;
    }
    const std::string_view unit = text.substr(digits);
    const std::uint64_t unit_ns = unit == "s" ? 1'000'000'000 : unit == "ms" ? 1'000'000 : 0;
    if (digits == 0 || number == 0 || unit_ns == 0) return std::nullopt;
    return number * unit_ns;
}

int stat(std::FILE* out, std::string_view text_of_name, const StatOptions& options) noexcept {
    const auto name = Name::make(text_of_name);
    const auto directory = ipc::RuntimeDirectory::find();
    char text[160];
    if (!name || !directory) {
        (!name ? name.error() : directory.error()).message(text);
        std::fprintf(stderr, "weir: %s\n", text);
        return 1;
    }
    NameFound found = look_up(*directory, *name);
    if (found.state == NameFound::State::absent) {
        NameFound ring = look_at_ring(*directory, *name);
        if (ring.state != NameFound::State::absent) found = std::move(ring);
    }
    const auto tell = found.named_ring ? tell_of_ring : tell_of_server;
    return tell(out, *directory, *name, std::move(found), options);
}

}  // namespace weir::tool
