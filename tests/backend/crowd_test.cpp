// SPDX-License-Identifier: MIT
//
// Sends while many have something to do. io_uring takes those through its queue, all in one system call; whatever a
// backend does, they arrive whole and in order, and fail and end as if they were alone.
#include <weir/backend/backend.hpp>

#include "bare_backend.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

namespace {

using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

constexpr std::size_t crowd_size = 32;

// One end of a stream, and an operation in each direction.
struct Member {
    explicit Member(BareBackend& backend)
        : entry(backend.entry(sockets.ours)),
          read(entry, Verb::receive, incoming.data(), incoming.size()),
          send(entry, Verb::send) {}

    void begin_send(Backend& backend, const std::string& bytes) {
        outgoing = bytes;
        send.data = outgoing.data();
        send.size = outgoing.size();
        send.times_done = 0;
        send.result = backend.attempt(send);
        waits = send.result == -EAGAIN;
        if (waits) REQUIRE(backend.submit(send) == 0);
    }

    SocketEnds sockets;
    DescriptorEntry& entry;
    std::array<char, 16> incoming{};
    std::string outgoing;
    CountedOperation read;
    CountedOperation send;
    bool waits = false;
};

class Crowd {
public:
    Crowd(std::size_t count, std::uint64_t seed) : backend(seed) {
        for (std::size_t i = 0; i < count; ++i) members.push_back(std::make_unique<Member>(backend));
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    ~Crowd() {
        for (const auto& member : members) backend.forget(member->entry);
    }

    /// Something comes for all of them while they wait for it.
    void gather() {
        for (const auto& member : members) {
            member->read.times_done = 0;
            backend.submit(member->read);
        }
        backend.wait(Instant::min());
        for (const auto& member : members) put(member->sockets.theirs, "x");
        for (const auto& member : members) {
            backend.wait_for(member->read);
            REQUIRE(member->read.result == 1);
        }
    }
    void end_sends() {
        for (const auto& member : members) {
            if (!member->waits) continue;
            backend.wait_for(member->send);
            REQUIRE(member->send.times_done == 1);
        }
        CHECK(backend->in_flight() == 0);
    }

    BareBackend backend;
    std::vector<std::unique_ptr<Member>> members;
};

std::string taken_from(const Fd& fd) {
    std::array<char, 256> bytes;
    const ssize_t size = ::read(fd.get(), bytes.data(), bytes.size());
    return size < 0 ? std::string("nothing") : std::string(bytes.data(), static_cast<std::size_t>(size));
}

bool on_uring() {
    return backend_name() == "io_uring";
}

TEST_CASE("what a crowd sends arrives whole and in order; few send at once, many in one go with io_uring") {
    for_each_seed([](std::uint64_t seed) {
        for (const std::size_t count : {std::size_t{2}, crowd_size}) {
            Crowd crowd(count, seed);
            std::vector<std::string> sent(count);
            std::vector<std::string> came(count);
            for (int round = 0; round < 20; ++round) {
                crowd.gather();
                for (std::size_t i = 0; i < count; ++i) {
                    Member& member = *crowd.members[i];
                    const std::string text = std::to_string(round) + " from " + std::to_string(i) + ";";
                    member.begin_send(*crowd.backend, text);
                    if (!on_simulated()) CHECK(member.waits == (on_uring() && count == crowd_size));
                }
                crowd.end_sends();
                for (std::size_t i = 0; i < count; ++i) {
                    const Member& member = *crowd.members[i];
                    REQUIRE(member.send.result > 0);
                    sent[i] += member.outgoing.substr(0, static_cast<std::size_t>(member.send.result));
                    came[i] += taken_from(member.sockets.theirs);
                }
            }
            CHECK(came == sent);
        }
    });
}

TEST_CASE("in a crowd a send without room waits for it") {
    for_each_seed([](std::uint64_t seed) {
        Crowd crowd(crowd_size, seed);
        crowd.gather();
        for (const auto& member : crowd.members) fill(member->sockets.ours);
        for (const auto& member : crowd.members) member->begin_send(*crowd.backend, "after all that");
        crowd.backend.look();
        for (const auto& member : crowd.members) {
            CHECK(member->waits);
            CHECK(member->send.times_done == 0);
        }
        for (const auto& member : crowd.members) drain(member->sockets.theirs);
        crowd.end_sends();
        for (const auto& member : crowd.members) {
            const std::string all = member->outgoing;
            REQUIRE(member->send.result > 0);
            CHECK(taken_from(member->sockets.theirs) ==
                  all.substr(0, static_cast<std::size_t>(member->send.result)));
        }
    });
}

TEST_CASE("in a crowd a send to nobody is EPIPE, and no signal") {
    struct sigaction before {};
    struct sigaction deadly {};
    deadly.sa_handler = SIG_DFL;
    REQUIRE(::sigaction(SIGPIPE, &deadly, &before) == 0);
    for_each_seed([](std::uint64_t seed) {
        Crowd crowd(crowd_size, seed);
        crowd.gather();
        for (const auto& member : crowd.members) member->sockets.theirs.close();
        for (const auto& member : crowd.members) member->begin_send(*crowd.backend, "to nobody");
        crowd.end_sends();
        for (const auto& member : crowd.members) CHECK(member->send.result == -EPIPE);
    });
    REQUIRE(::sigaction(SIGPIPE, &before, nullptr) == 0);
}

TEST_CASE("a send of a crowd that is cancelled at once has sent what it says, and nothing else") {
    for_each_seed([](std::uint64_t seed) {
        Crowd crowd(crowd_size, seed);
        for (const bool full : {false, true}) {
            crowd.gather();
            if (full) {
                for (const auto& member : crowd.members) fill(member->sockets.ours);
            }
            for (const auto& member : crowd.members) {
                member->begin_send(*crowd.backend, "cancelled");
                if (member->waits) crowd.backend->cancel(member->send);
            }
            crowd.end_sends();
            for (const auto& member : crowd.members) {
                const long result = member->send.result;
                if (full) {
                    CHECK(result == -ECANCELED);
                    drain(member->sockets.theirs);
                } else if (result == -ECANCELED) {
                    CHECK(taken_from(member->sockets.theirs) == "nothing");
                } else {
                    REQUIRE(result > 0);
                    CHECK(taken_from(member->sockets.theirs) ==
                          member->outgoing.substr(0, static_cast<std::size_t>(result)));
                }
            }
        }
    });
}

// More of them than the queue has room for: what is in it is handed over on the way.
TEST_CASE("a crowd larger than the queue sends all the same") {
    for_each_seed([](std::uint64_t seed) {
        Crowd crowd(BareBackend::descriptors_max, seed);
        crowd.gather();
        for (const auto& member : crowd.members) member->begin_send(*crowd.backend, "one of many");
        crowd.end_sends();
        for (const auto& member : crowd.members) {
            REQUIRE(member->send.result > 0);
            CHECK(taken_from(member->sockets.theirs) ==
                  member->outgoing.substr(0, static_cast<std::size_t>(member->send.result)));
        }
    });
}

}  // namespace
