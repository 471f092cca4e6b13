// SPDX-License-Identifier: MIT
#pragma once

#include <weir/ipc/shm/link.hpp>

#include "io/running.hpp"
#include "io/temporary_directory.hpp"
#include "support/report_log.hpp"
#include "support/skip.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <thread>

namespace weir::test {

inline constexpr ipc::LinkTerms sample_terms{
    .object = 0x74736574, .version = 3, .layout = 0xabcdef, .record_size = 16, .depth = 64};
inline constexpr Name sample_name{"sample/link"};

inline ipc::RuntimeDirectory directory_of(const TemporaryDirectory& directory) {
    auto made = ipc::RuntimeDirectory::at(directory.path());
    REQUIRE(made.has_value());
    return *made;
}

inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}
/// Whether there are `count` again, now or when the threads for slow calls have closed what they were given.
inline bool back_to_descriptors(std::size_t count) {
    const auto until = MonotonicClock::now() + std::chrono::seconds(20);
    while (open_descriptors() != count && MonotonicClock::now() < until) std::this_thread::yield();
    return open_descriptors() == count;
}

/// Servers have no threads for slow calls there.
inline void skip_where_time_is_simulated() {
    if (on_simulated()) skip("where time is simulated there are no strangers, and no other threads");
}

/// A server's owner: one region, remembers what it was told. Pinned.
class SampleServer {
public:
    static constexpr std::size_t region_size = 8192;
    static constexpr std::size_t client_size = 4096;

    SampleServer() {
        const HeapPermit permit;
        auto made = ipc::Region::create(region_size, "test server");
        REQUIRE(made.has_value());
        region = std::move(*made);
        auto mapped = region.map_writable();
        REQUIRE(mapped.has_value());
        mapping = std::move(*mapped);
        REQUIRE(region.seal().has_value());
        mapping.data()[0] = std::byte{42};
    }
    SampleServer(const SampleServer&) = delete;
    SampleServer& operator=(const SampleServer&) = delete;

    Result<void> serve(Scheduler& scheduler, const ipc::RuntimeDirectory& directory,
                       ipc::LinkServerOptions options = {}) noexcept {
        options.directory = &directory;
        WEIR_TRY(server, ipc::LinkServer::create(scheduler, sample_name, sample_terms, hooks, this, options));
        return {};
    }

    ipc::Region region;
    ipc::Mapping mapping;
    ipc::LinkServer server;
    ipc::Link* link = nullptr;  // attached last
    std::size_t links_max = 1;
    std::size_t links = 0;
    int attached = 0;
    int ended = 0;
    int lost = 0;
    int rang = 0;
    bool closes = true;       // links that are over
    bool arms_again = false;  // the bell, whenever it rang
    bool brings_news = true;  // each ring
    std::uint32_t news = 0;

    static const ipc::LinkHooks hooks;
};

inline const ipc::LinkHooks SampleServer::hooks{
    .on_admit = [](void* owner, ipc::Link&) noexcept -> Result<ipc::LinkGrant> {
        auto& self = *static_cast<SampleServer*>(owner);
        if (self.links >= self.links_max) {
            const auto pid = self.link != nullptr ? self.link->credentials().pid : 0;
            return failure(Errc::in_use, "sample", static_cast<std::uint64_t>(pid));
        }
        ++self.links;
        return ipc::LinkGrant{.region = &self.region,
                              .own = {self.mapping.data(), self.mapping.size()},
                              .client_size = client_size};
    },
    .fill_region = [](void*, ipc::Link&, Bytes bytes) noexcept { bytes[1] = std::byte{17}; },
    .on_attached =
        [](void* owner, ipc::Link& one) noexcept {
            auto& self = *static_cast<SampleServer*>(owner);
            ++self.attached;
            self.link = &one;
        },
    .on_signal =
        [](void* owner, ipc::Link& one) noexcept {
            auto& self = *static_cast<SampleServer*>(owner);
            if (one.state() == ipc::LinkState::attached) {
                ++self.rang;
                if (self.arms_again) one.arm_bell();
                return;
            }
            ++(one.state() == ipc::LinkState::ended ? self.ended : self.lost);
            --self.links;
            if (self.link == &one) self.link = nullptr;
            if (self.closes) one.close();
        },
    .fill_stat = [](void*, ipc::LinkStat& stat) noexcept { stat.records = 99; },
    .news =
        [](void* owner, const ipc::Link&) noexcept {
            auto& self = *static_cast<SampleServer*>(owner);
            return self.brings_news ? ++self.news : self.news;
        },
};

/// A client's owner.
struct SampleClient {
    int signals = 0;
    static const ipc::LinkHooks hooks;
};
inline const ipc::LinkHooks SampleClient::hooks{
    .on_signal = [](void* owner, ipc::Link&) noexcept { ++static_cast<SampleClient*>(owner)->signals; }};

/// Runs `body(scheduler, directory)` on each seed's scheduler, in a directory of its own.
template <class Body>
inline void in_directory(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory temporary;
        const auto directory = directory_of(temporary);
        Running running(seed);
        running.must_run(body(*running, directory));
        CHECK(running->usage().links == 0);
        CHECK(running->backend().in_flight() == 0);
        CHECK(std::filesystem::is_empty(temporary.path()));
    });
}

inline ipc::LinkOpenOptions opened_in(const ipc::RuntimeDirectory& directory) noexcept {
    return {.directory = &directory};
}

}  // namespace weir::test
