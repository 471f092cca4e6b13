// SPDX-License-Identifier: MIT
#include "ring/kill_points.hpp"

#include "support/catch.hpp"

#include <new>

#include <sys/mman.h>

namespace {

using namespace weir::test;
using weir::ipc::ring::Site;

void check_all_survived(const KillCounts& counts) {
    INFO(counts.first_failure);
    CHECK(counts.first_failure.empty());
    CHECK(counts.points > 50);
    CHECK(counts.survived == counts.points);
}
void check_died_around(const KillCounts& counts, Site site) {
    const auto index = static_cast<std::size_t>(site);
    INFO("site " << index);
    CHECK(counts.before[index] > 0);
    CHECK(counts.after[index] > 0);
}

// A child that comes by one more place each second time.
class RareScene {
public:
    RareScene() : ledger_(new_ledger()), rare_(++made_ % 2 == 1) {}
    RareScene(const RareScene&) = delete;
    RareScene& operator=(const RareScene&) = delete;
    ~RareScene() { ::munmap(ledger_, sizeof(killing::Ledger)); }

    [[nodiscard]] killing::Ledger& ledger() const { return *ledger_; }
    [[noreturn]] void run() const {
        killing::Points::point(Site::publish, When::before);
        if (rare_) killing::Points::point(Site::announce, When::before);
        killing::Points::point(Site::publish, When::after);
        ::_exit(0);
    }

private:
    static killing::Ledger* new_ledger() {
        void* const memory = ::mmap(nullptr, sizeof(killing::Ledger), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return ::new (memory) killing::Ledger();
    }

    static inline int made_ = 0;
    killing::Ledger* ledger_;
    bool rare_;
};

}  // namespace

TEST_CASE("a place that a child seldom comes by is one to die at, too") {
    // The k-th child passes the place only where it has no k-th point left there: by counting alone none dies at it.
    const KillCounts counts =
        kill_at_every_store<RareScene>([](const RareScene& scene) { scene.run(); },
                                       [](const RareScene&, int) -> const char* { return nullptr; });
    check_died_around(counts, Site::publish);
    CHECK(counts.before[static_cast<std::size_t>(Site::announce)] == 1);
    CHECK(counts.survived == counts.points);
}

TEST_CASE(
    "a writer that dies at any store leaves all that it committed, whole and in order, and wakes its "
    "reader") {
    const KillCounts counts = kill_ring_writers();
    check_all_survived(counts);
    for (const Site site : {Site::publish, Site::announce, Site::withdraw, Site::record_header,
                            Site::pad_header, Site::payload, Site::claim, Site::bell})
        check_died_around(counts, site);
    CHECK(counts.middle[static_cast<std::size_t>(Site::payload)] > 0);
    CHECK(counts.middle[static_cast<std::size_t>(Site::record_header)] > 0);
}

TEST_CASE(
    "a reader that dies at any store leaves to its successor what it had not released, and wakes its "
    "writer") {
    const KillCounts counts = kill_ring_readers();
    check_all_survived(counts);
    for (const Site site : {Site::publish, Site::announce, Site::withdraw, Site::bell})
        check_died_around(counts, site);
}
