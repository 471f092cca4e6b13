// SPDX-License-Identifier: MIT
//
// Messages that wait in the kernel until somebody takes them, the urgent ones first.
//
//     build/gcc/examples/message_queue        (uses the queue /weir-example~alarms, and removes it in the end)
//
// Sender and receiver are tasks here, and might as well be programs that never run at the same time. Shows: making and
// opening a queue, priorities, a full queue, and how much waits in it.
#include <weir/weir.hpp>

#include <array>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Name name{"weir-example/alarms"};

Task<> raise_alarms(Scheduler&) {
    WEIR_CO_TRY(auto queue, weir::MessageQueueWriter::open(name));
    WEIR_CO_CHECK(queue.send(weir::bytes_of("filter is due"), 1));
    WEIR_CO_CHECK(queue.send(weir::bytes_of("leak at sensor 3"), 9));
    WEIR_CO_CHECK(queue.send(weir::bytes_of("battery at 80 %"), 1));
    // The queue holds three. A send without patience says so; nothing of it was sent.
    const auto fourth = co_await queue.send(weir::bytes_of("all is well")).within(0s);
    std::printf("a fourth alarm: %s\n", fourth ? "sent" : "the queue is full");
}

Task<> serve_alarms(Scheduler&, weir::MessageQueueReader& queue) {
    WEIR_CO_TRY(const auto status, queue.status());
    std::printf("waiting: %u of %u\n", status.messages, status.depth);
    for (std::uint32_t i = 0; i < status.messages; ++i) {
        std::array<std::byte, 64> buffer;  // room for the largest message
        WEIR_CO_TRY(const auto alarm, queue.receive(buffer).within(5s));
        const auto text = weir::text_of(alarm.bytes);
        std::printf("priority %u: %.*s\n", alarm.priority, static_cast<int>(text.size()), text.data());
    }
}

Task<> program(Scheduler& scheduler) {
    // Whoever comes first makes the queue. It outlives its makers: what is never taken stays until it is unlinked.
    WEIR_CO_TRY(auto queue, weir::MessageQueueReader::create(name, {.depth = 3, .message_size = 64}));
    const auto raised = co_await raise_alarms(scheduler);
    const auto served = co_await serve_alarms(scheduler, queue);
    WEIR_CO_CHECK(weir::MessageQueueReader::unlink(name));
    WEIR_CO_CHECK(raised);
    WEIR_CO_CHECK(served);
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
