// SPDX-License-Identifier: MIT
#include "outbox.hpp"

#include "support/catch.hpp"

#include <memory>

using namespace leak;

namespace {

JoinedSample sample(std::uint64_t sequence) {
    JoinedSample joined;
    joined.sequence = sequence;
    return joined;
}

}  // namespace

TEST_CASE("an outbox sends each sample once, and frees those that are acknowledged") {
    const auto outbox = std::make_unique<Outbox>();
    outbox->begin(10);
    CHECK(outbox->empty());
    CHECK(outbox->next_to_send() == nullptr);
    for (std::uint64_t i = 0; i < Outbox::samples_max; ++i) {
        CHECK(!outbox->full());
        outbox->put(sample(10 + i));
    }
    CHECK(outbox->full());
    CHECK(outbox->acknowledge(10) == nullptr);  // it was not sent
    REQUIRE(outbox->next_to_send() != nullptr);
    CHECK(outbox->next_to_send()->sequence == 11);
    REQUIRE(outbox->acknowledge(11) != nullptr);
    CHECK(outbox->acknowledge(11) == nullptr);
    CHECK(outbox->acknowledge(9) == nullptr);
    CHECK(!outbox->full());
    outbox->put(sample(10 + Outbox::samples_max));
    CHECK(outbox->next_to_send()->sequence == 12);
}

TEST_CASE("an outbox goes back to any sample that is not acknowledged, and to no other") {
    const auto outbox = std::make_unique<Outbox>();
    outbox->begin(0);
    for (std::uint64_t i = 0; i < 5; ++i) outbox->put(sample(i));
    for (int i = 0; i < 5; ++i) CHECK(outbox->next_to_send() != nullptr);
    REQUIRE(outbox->acknowledge(1) != nullptr);
    CHECK(!outbox->rewind(1));
    CHECK(!outbox->rewind(6));
    CHECK(outbox->rewind(3));
    CHECK(outbox->next_to_send()->sequence == 3);
    CHECK(outbox->rewind(5));
    CHECK(outbox->next_to_send() == nullptr);
    CHECK(outbox->empty());
}
