// SPDX-License-Identifier: MIT
//
// A death at every store, of whatever shares memory.
//
// A child process plays one role and kills itself (SIGKILL) before, in the middle of, or after its k-th store, for every
// k there is; so it never dies in good order. The other role lives on in this process, and is checked.
#pragma once

#include <weir/ipc/ring/atomics.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

enum class When : std::uint8_t { before, middle, after };

struct KillCounts {
    std::uint32_t points = 0;    ///< deaths
    std::uint32_t survived = 0;  ///< after which all was well
    /// Deaths for each site of the algorithm: before the store and after it (of a copy also in its middle).
    static constexpr std::size_t sites_max = 16;
    static_assert(ipc::ring::sites_count <= sites_max);
    std::array<std::uint32_t, sites_max> before{};
    std::array<std::uint32_t, sites_max> middle{};
    std::array<std::uint32_t, sites_max> after{};
    std::string first_failure;  ///< empty if there was none

    [[nodiscard]] std::uint32_t& deaths(std::uint32_t site, When when) {
        auto& row = when == When::before ? before : when == When::middle ? middle : after;
        return row[site];
    }
};

namespace killing {

using ipc::ring::MachineAtomics;
using ipc::ring::RecordHeader;
using ipc::ring::Site;

inline constexpr int patience_ms =
    20'000;  // who sleeps that long with its peer alive or dead would sleep for ever

/// A site and when, as one number.
struct Place {
    static constexpr std::uint32_t none = KillCounts::sites_max * 3;
    static_assert(none <= 64, "Ledger::passed has a bit for each");
    std::uint32_t number = none;

    constexpr Place() noexcept = default;
    explicit constexpr Place(std::uint32_t place) noexcept : number(place) {}
    constexpr Place(std::uint32_t site, When when) noexcept
        : number(site * 3 + static_cast<std::uint32_t>(when)) {}
    [[nodiscard]] constexpr std::uint32_t site() const noexcept { return number / 3; }
    [[nodiscard]] constexpr When when() const noexcept { return static_cast<When>(number % 3); }
};

/// Shared by both processes beside the object, for the checks alone. The child writes it.
struct Ledger {
    std::atomic<std::uint32_t> finished{0};        ///< what it knows it has done
    std::atomic<std::uint64_t> passed{0};          ///< a bit for each place that it came by
    std::atomic<std::uint32_t> died{Place::none};  ///< the place at which it did
};

/// Where the child dies: at its k-th point, or where it first comes by a place.
struct Deadline {
    std::uint32_t point = 0;  ///< from 1; 0: none
    Place place;
};

/// Places to die at. In the child alone.
struct Points {
    static inline Deadline deadline;
    static inline std::uint32_t passed = 0;
    static inline Ledger* ledger = nullptr;

    template <class Site>
    static void point(Site site, When when) noexcept {
        const Place place(static_cast<std::uint32_t>(site), when);
        // Nobody else writes it, and it is no fence: that would hide one which the algorithm lacks.
        const auto relaxed = std::memory_order_relaxed;
        ledger->passed.store(ledger->passed.load(relaxed) | std::uint64_t{1} << place.number, relaxed);
        if (++passed != deadline.point && place.number != deadline.place.number) return;
        ledger->died = place.number;
        ::kill(::getpid(), SIGKILL);
    }
};

/// The ring's atomics, with a place to die around each store.
struct KillAtomics : MachineAtomics, Points {
    static constexpr Site bell = Site::bell;

    static void store_relaxed(Word& word, std::uint32_t value, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::store_relaxed(word, value, site);
        point(site, When::after);
    }
    static void store_release(Word& word, std::uint32_t value, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::store_release(word, value, site);
        point(site, When::after);
    }
    static void write_header(Data data, std::uint32_t offset, RecordHeader header, Site site) noexcept {
        point(site, When::before);
        std::memcpy(data + offset, &header.size, sizeof(header.size));
        point(site, When::middle);
        std::memcpy(data + offset + sizeof(header.size), &header.mark, sizeof(header.mark));
        point(site, When::after);
    }
    static void claim(Data data, std::size_t offset, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::claim(data, offset, site);
        point(site, When::after);
    }
    static void copy(std::byte* to, const std::byte* from, std::size_t size, Site site) noexcept {
        point(site, When::before);
        MachineAtomics::copy(to, from, size / 2, site);
        point(site, When::middle);
        MachineAtomics::copy(to + size / 2, from + size / 2, size - size / 2, site);
        point(site, When::after);
    }
};

/// Rings an eventfd: in the child a place to die, too.
template <class Atomics>
void ring_bell(int bell) {
    if constexpr (std::is_base_of_v<Points, Atomics>) Atomics::point(Atomics::bell, When::before);
    ::eventfd_write(bell, 1);
    if constexpr (std::is_base_of_v<Points, Atomics>) Atomics::point(Atomics::bell, When::after);
}
/// Sleeps until the bell rings or the child is dead (-1: it is us). False: neither came.
[[nodiscard]] inline bool sleep(int bell, int pidfd) {
    pollfd both[2] = {{.fd = bell, .events = POLLIN, .revents = 0},
                      {.fd = pidfd, .events = POLLIN, .revents = 0}};
    if (::poll(both, 2, patience_ms) < 1) return false;
    eventfd_t value = 0;
    if ((both[0].revents & POLLIN) != 0) ::eventfd_read(bell, &value);
    return true;
}
[[nodiscard]] inline bool dead(int pidfd) {
    pollfd one{.fd = pidfd, .events = POLLIN, .revents = 0};
    return pidfd >= 0 && ::poll(&one, 1, 0) == 1;
}

}  // namespace killing

/// The deaths of one role, and what came of them.
template <class Scene, class Role, class Check>
class Deaths {
public:
    Deaths(Role role, Check check) : role_(role), check_(check) {}

    enum class Outcome : std::uint8_t { died, unharmed, hopeless };

    /// Runs a child that dies at `deadline`, and adds to the counts. Hopeless: it failed without being killed.
    [[nodiscard]] Outcome run(killing::Deadline deadline) {
        using namespace killing;
        Scene scene;
        const Ledger& ledger = scene.ledger();
        const pid_t child = ::fork();
        if (child == 0) {
            std::signal(SIGABRT, SIG_DFL);
            Points::ledger = &scene.ledger();
            Points::deadline = deadline;
            role_(scene);
        }
        const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
        const char* failure = check_(scene, pidfd);
        if (failure != nullptr) ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ::close(pidfd);
        passed_ |= ledger.passed;
        const Place at(ledger.died.load());
        const bool died = at.number != Place::none;
        if (failure == nullptr && !died && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            failure = "the child failed without being killed";
        if (died) {
            ++counts.points;
            if (failure == nullptr) ++counts.survived;
            ++counts.deaths(at.site(), at.when());
        }
        if (failure != nullptr && counts.first_failure.empty()) {
            counts.first_failure = died ? "site " + std::to_string(at.site()) + ", when " +
                                              std::to_string(static_cast<int>(at.when()))
                                        : std::string("nowhere");
            counts.first_failure += ", point " + std::to_string(deadline.point) + ": " + failure;
        }
        if (died) return Outcome::died;
        return failure == nullptr ? Outcome::unharmed : Outcome::hopeless;
    }
    /// Whether a child came by a place.
    [[nodiscard]] bool passed(killing::Place place) const { return (passed_ >> place.number & 1) != 0; }

    KillCounts counts;

private:
    Role role_;
    Check check_;
    std::uint64_t passed_ = 0;
};

/// Runs `role(scene)`, which ends by _exit(0), in a child that dies at its k-th store, for every k, and
/// `check(scene, pidfd)` beside it: what went wrong, or null. A Scene is made for each; it has ledger().
template <class Scene, class Role, class Check>
[[nodiscard]] KillCounts kill_at_every_store(Role role, Check check) {
    using namespace killing;
    Deaths<Scene, Role, Check> deaths(role, check);
    using Outcome = typename Deaths<Scene, Role, Check>::Outcome;
    // How many stores there are depends on who sleeps when: go on until a child comes through several times in a row.
    int unharmed = 0;
    for (std::uint32_t k = 1; unharmed < 8; ++k) {
        const Outcome outcome = deaths.run({.point = k, .place = {}});
        if (outcome == Outcome::hopeless) return deaths.counts;
        unharmed = outcome == Outcome::died ? 0 : unharmed + 1;
    }
    // For the same reason the k-th store may each time have been another than that of a place that is rarely come by.
    constexpr int tries_max = 200;
    for (std::uint32_t number = 0; number < Place::none; ++number) {
        const Place place(number);
        const std::uint32_t& count = deaths.counts.deaths(place.site(), place.when());
        for (int tries = 0; deaths.passed(place) && count == 0 && tries < tries_max; ++tries)
            if (deaths.run({.point = 0, .place = place}) == Outcome::hopeless) return deaths.counts;
    }
    return deaths.counts;
}

}  // namespace weir::test
