// SPDX-License-Identifier: MIT
//
// bench_round_trip_weir: tasks that read and write, once for each backend.

#include "round_trip.hpp"

#include "weir/core/report.hpp"
#include "weir/io/pipe.hpp"
#include "weir/io/unix_stream.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <cstdlib>
#include <utility>

namespace bench {

namespace {

class PipeChannel {
public:
    static weir::Result<PipeChannel> adopt(Ends ends) {
        WEIR_TRY(auto source, weir::PipeReader::adopt(ends.read_fd));
        WEIR_TRY(auto sink, weir::PipeWriter::adopt(ends.write_fd));
        return PipeChannel(std::move(source), std::move(sink));
    }

    auto& source() { return source_; }
    auto& sink() { return sink_; }

private:
    PipeChannel(weir::PipeReader source, weir::PipeWriter sink)
        : source_(std::move(source)), sink_(std::move(sink)) {}

    weir::PipeReader source_;
    weir::PipeWriter sink_;
};

class StreamChannel {
public:
    static weir::Result<StreamChannel> adopt(Ends ends) {
        WEIR_TRY(auto stream, weir::UnixStream::adopt(ends.read_fd));
        return StreamChannel(std::move(stream));
    }

    auto& source() { return stream_; }
    auto& sink() { return stream_; }

private:
    explicit StreamChannel(weir::UnixStream stream) : stream_(std::move(stream)) {}

    weir::UnixStream stream_;
};

template <class Channel>
weir::Task<> ask(weir::Scheduler&, Ends ends, Batches& batches) {
    WEIR_CO_TRY(auto channel, Channel::adopt(ends));
    ReceiveBuffer buffer{};
    const weir::ConstBytes message = std::span(buffer).first(message_size);
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            WEIR_CO_CHECK(channel.sink().write_all(message));
            WEIR_CO_TRY(const auto answer, channel.source().read(buffer));
            if (answer.size() != message_size) {
                co_return co_await weir::fail(weir::Errc::ended, "the echoing process has gone");
            }
        }
    } while (batches.lap());
}

template <class Channel>
weir::Task<> echo(weir::Scheduler&, Ends ends) {
    WEIR_CO_TRY(auto channel, Channel::adopt(ends));
    ReceiveBuffer buffer{};
    for (;;) {
        WEIR_CO_TRY(const auto message, channel.source().read(buffer));
        if (message.empty()) co_return;
        WEIR_CO_CHECK(channel.sink().write_all(message));
    }
}

// Both processes are made by a fork: each starts a scheduler of its own in the same static memory.
constinit weir::StaticScheduler<weir::small_budget> scheduler;

void check(const weir::Result<>& result) {
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

template <class Channel, weir::BackendChoice backend>
void ask_on(Ends ends, Batches& batches) {
    if (!scheduler.start({.backend = backend})) skip(scheduler.backend_reason().data());
    check(scheduler.run(ask<Channel>(scheduler, ends, batches)));
}

template <class Channel, weir::BackendChoice backend>
void echo_on(Ends ends) {
    if (!scheduler.start({.backend = backend})) return;  // the asking process says so
    check(scheduler.run(echo<Channel>(scheduler, ends)));
}

template <weir::BackendChoice backend>
Approach with_weir(Transport transport) {
    if (transport == Transport::pipe) return {ask_on<PipeChannel, backend>, echo_on<PipeChannel, backend>};
    return {ask_on<StreamChannel, backend>, echo_on<StreamChannel, backend>};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    constexpr std::array approaches{
        bench::NamedApproach{"weir-epoll", bench::with_weir<weir::BackendChoice::epoll>},
        bench::NamedApproach{"weir-uring", bench::with_weir<weir::BackendChoice::io_uring>},
    };
    return bench::round_trip_main(std::span(argv, static_cast<std::size_t>(argc)), approaches);
}
