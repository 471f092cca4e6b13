// SPDX-License-Identifier: MIT
//
// weir drives another library: a D-Bus method call with sd-bus, both ends in tasks.
//
//     build/gcc/examples/sd_bus               (needs libsystemd; no bus has to run)
//
// Shows: a library with a descriptor, events and a time-out of its own, waited for beside everything else. Here the ends
// talk over a socket pair; a bus from sd_bus_open_system() is driven in the same way.
#include <weir/weir.hpp>

#include <systemd/sd-bus.h>

#include <cstdio>
#include <memory>
#include <poll.h>
#include <sys/socket.h>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

struct Unref {
    void operator()(sd_bus* bus) const noexcept { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, Unref>;

Task<> ready(Scheduler&, int fd, int events) {
    const auto reading = weir::readable(fd);
    if ((events & POLLOUT) != 0)
        WEIR_CO_CHECK(weir::first_of(weir::writable(fd), reading));
    else
        WEIR_CO_CHECK(reading);
}
// The whole bridge: let the library do what it can, then wait for what it says it waits for. `used` is set after each
// use of the bus from outside, since that may change what it waits for.
Task<> drive(Scheduler& scheduler, sd_bus* bus, weir::Event& used) {
    for (;;) {
        const int done = sd_bus_process(bus, nullptr);
        if (done < 0) co_return co_await weir::fail(weir::Error::from_errno("sd-bus", -done));
        if (done > 0) continue;
        std::uint64_t until_us = UINT64_MAX;  // on the monotonic clock, like weir's instants
        sd_bus_get_timeout(bus, &until_us);
        const auto until =
            until_us == UINT64_MAX ? weir::never : weir::Instant(std::chrono::microseconds(until_us));
        auto wait = ready(scheduler, sd_bus_get_fd(bus), sd_bus_get_events(bus));
        const auto woken = co_await weir::first_of(std::move(wait), used.wait()).by(until);
        used.reset();
        if (!woken && woken.error() != weir::Errc::timed_out) co_return co_await weir::fail(woken.error());
    }
}

int add(sd_bus_message* call, void*, sd_bus_error*) {  // the server's method
    int left = 0, right = 0;
    const int read = sd_bus_message_read(call, "ii", &left, &right);
    return read < 0 ? read : sd_bus_reply_method_return(call, "i", left + right);
}
struct Answer {
    weir::Event there;
    int sum = 0;
};
int on_answer(sd_bus_message* reply, void* context, sd_bus_error*) {
    auto& answer = *static_cast<Answer*>(context);
    sd_bus_message_read(reply, "i", &answer.sum);
    answer.there.set();
    return 1;
}
Task<> call(Scheduler&, sd_bus* bus, weir::Event& used) {
    Answer answer;
    const int sent = sd_bus_call_method_async(bus, nullptr, nullptr, "/adder", "weir.Adder", "Add", on_answer,
                                              &answer, "ii", 2, 40);
    if (sent < 0) co_return co_await weir::fail(weir::Error::from_errno("sd-bus call", -sent));
    used.set();
    WEIR_CO_CHECK(answer.there.wait().within(30s));
    std::printf("2 + 40 = %d\n", answer.sum);
}
Task<> program(Scheduler& scheduler) {
    int ends[2];
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
    sd_bus* made[2] = {};
    for (int i = 0; i < 2; ++i) {
        sd_bus_new(&made[i]);
        sd_bus_set_fd(made[i], ends[i], ends[i]);
    }
    const Bus client(made[0]), server(made[1]);
    sd_bus_set_server(server.get(), 1, sd_id128_t{{1}});
    sd_bus_set_anonymous(server.get(), 1);
    sd_bus_add_object(server.get(), nullptr, "/adder", add, nullptr);
    sd_bus_start(server.get());
    sd_bus_start(client.get());
    weir::Event client_used, server_used;
    auto ended = co_await weir::first_of(call(scheduler, client.get(), client_used),
                                         drive(scheduler, client.get(), client_used),
                                         drive(scheduler, server.get(), server_used));
    WEIR_CO_CHECK(ended.get<0>());
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
