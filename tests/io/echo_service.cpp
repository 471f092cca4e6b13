// SPDX-License-Identifier: MIT
#include "echo_service.hpp"

#include <algorithm>

namespace weir::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t payload_max = 40;

struct Session {
    explicit Session(UnixStream stream) noexcept : peer(std::move(stream)) {}
    UnixStream peer;
    std::array<std::byte, payload_max + 2> answer{};
    std::size_t answer_size = 0;
    std::size_t answer_written = 0;
    std::uint8_t answers = 0;
};

Task<> work(Scheduler&, EchoService& service, Bytes payload) {
    WEIR_CO_TRY(auto lock, probed(service.probe, service.mutex.lock()));
    WEIR_CO_CHECK(probed(service.probe, sleep_for(20us)));
    for (std::byte& byte : payload) byte = static_cast<std::byte>(static_cast<unsigned>(byte) + 1);
    WEIR_CO_CHECK(probed(service.probe, yield()));
}

Task<> answer_one(Scheduler& scheduler, EchoService& service, Session& session, std::size_t size) {
    WEIR_CO_CHECK(
        probed(service.probe, work(scheduler, service, std::span(session.answer).subspan(2, size))));
    std::uint32_t entry = service.requests;
    WEIR_CO_CHECK(probed(service.probe, service.journal.send(entry)));
    ++service.journal_sent;
    WEIR_CO_CHECK(probed(service.probe, service.written.write(1)));
    session.answer[0] = std::byte{'A'};
    session.answer[1] = static_cast<std::byte>(size);
    session.answer_size = size + 2;
    const auto sent = co_await probed(
        service.probe,
        session.peer.write_all(std::span(session.answer).first(session.answer_size)).within(1s));
    session.answer_written = sent ? session.answer_size : static_cast<std::size_t>(sent.error().a);
    WEIR_CO_CHECK(sent);
}

Task<> converse(Scheduler& scheduler, EchoService& service, Session& session) {
    for (;;) {
        std::byte size_byte{};
        const auto head =
            co_await probed(service.probe, session.peer.read_exactly({&size_byte, 1}).within(5s));
        if (!head && head.error() == Errc::ended) co_return;
        WEIR_CO_CHECK(head);
        const auto size = static_cast<std::size_t>(size_byte);
        if (size > payload_max) co_return co_await fail(Errc::too_large, "request", size, payload_max);
        WEIR_CO_CHECK(probed(
            service.probe, session.peer.read_exactly(std::span(session.answer).subspan(2, size)).within(1s)));
        ++service.requests;
        session.answer_written = 0;
        session.answer_size = 0;
        const auto answered = co_await answer_one(scheduler, service, session, size);
        if (!answered) {
            // Cut in the middle it has to be finished before anything else is said.
            if (session.answer_written == 0) ++service.unanswered;
            co_return co_await fail(answered.error());
        }
        ++service.answered;
        ++session.answers;
    }
}

Task<> say_goodbye(Scheduler&, EchoService& service, Session& session, bool well) {
    if (session.answer_written > 0 && session.answer_written < session.answer_size) {
        const auto rest = co_await probed(
            service.probe,
            session.peer.write_all(
                std::span(session.answer).first(session.answer_size).subspan(session.answer_written)));
        if (!rest) {
            ++service.unanswered;
            co_return co_await fail(rest.error());
        }
        ++service.answered;
        ++session.answers;
    }
    const std::array<std::byte, 2> words{well ? std::byte{'B'} : std::byte{'E'},
                                         static_cast<std::byte>(session.answers)};
    WEIR_CO_CHECK(probed(service.probe, session.peer.write_all(words)));
    WEIR_CO_CHECK(session.peer.shutdown_write());
}

Task<> serve_client(Scheduler& scheduler, EchoService& service, UnixStream peer) {
    ++service.sessions;
    Session session(std::move(peer));
    const auto outcome = co_await probed(service.probe, converse(scheduler, service, session));
    const bool cut = session.answer_written > 0 && session.answer_written < session.answer_size;
    const bool well = outcome.has_value() || outcome.error() == Errc::cancelled;
    const auto said =
        co_await probed(service.probe, shielded(1s, say_goodbye(scheduler, service, session, well)));
    if (!said && said.error() == Errc::no_frame && cut) ++service.unanswered;
    WEIR_CO_CHECK(outcome);
    WEIR_CO_CHECK(said);
}

Task<> accept_clients(Scheduler& scheduler, Group& sessions, EchoService& service, UnixListener listener) {
    for (;;) {
        WEIR_CO_TRY(UnixStream peer, probed(service.probe, listener.accept()));
        // Out of frames or slots: that client's stream is closed, the others go on.
        const auto started = sessions.spawn(serve_client(scheduler, service, std::move(peer)));
        if (!started) service.note(started.error());
    }
}

Task<> run_sessions(Scheduler& scheduler, EchoService& service) {
    WEIR_CO_TRY(UnixListener listener,
                UnixListener::bind(service.path, {.mode = 0600, .backlog = EchoService::sessions_max}));
    service.up.set();
    const auto each = collect(
        [](const Error& error, void* context) noexcept { static_cast<EchoService*>(context)->note(error); },
        &service);
    const auto outcome = co_await probed(
        service.probe, with_group<EchoService::sessions_max>(scheduler, each, accept_clients,
                                                             std::ref(service), std::move(listener)));
    service.journal.close();
    WEIR_CO_CHECK(outcome);
}

Task<> drain_journal(Scheduler&, EchoService& service) {
    for (;;) {
        const auto entry = co_await probed(service.probe, service.journal.receive());
        if (!entry && entry.error() == Errc::ended) co_return;
        WEIR_CO_CHECK(entry);
        ++service.journal_kept;
    }
}

Task<> keep_journal(Scheduler& scheduler, EchoService& service) {
    Result<void> outcome;
    while (outcome) {
        const auto entry = co_await probed(service.probe, service.journal.receive());
        if (!entry) {
            outcome = failure(entry.error());
            break;
        }
        ++service.journal_kept;
        const auto count = co_await probed(service.probe, service.written.read().within(5ms));
        // A session that was stopped may have sent an entry without telling.
        if (!count && count.error() != Errc::timed_out) outcome = failure(count.error());
    }
    if (outcome.error() == Errc::ended) co_return;
    // What is in the channel is kept even so; the sessions close it when the last has gone.
    WEIR_CO_CHECK(probed(service.probe, shielded(10s, drain_journal(scheduler, service))));
    co_return co_await fail(outcome.error());
}

}  // namespace

Task<> serve_echo(Scheduler& scheduler, EchoService& service) {
    WEIR_CO_TRY(service.written, EventFd::create());
    const auto outcome = co_await probed(
        service.probe, all_of(run_sessions(scheduler, service), keep_journal(scheduler, service)));
    service.written.close();
    WEIR_CO_CHECK(outcome);
}

Task<> ask_echo(Scheduler&, EchoService& service, EchoClient& client) {
    // Its own awaits are not probed: it is the world outside the service.
    const auto listening = co_await service.up.wait().within(1s);
    if (!listening) {
        client.told = true;
        co_return;
    }
    auto connected = co_await UnixStream::connect(service.path).within(5s);
    if (!connected) {
        client.told = connected.error() != Errc::timed_out;
        client.unheard = !client.told;
        co_return;
    }
    UnixStream peer = std::move(*connected);
    std::uint32_t asked = 0;
    std::array<std::byte, payload_max + 1> request;
    for (;;) {
        if (asked < EchoClient::requests) {
            const std::size_t size = 5 + client.number * 7 + asked * 3;
            request[0] = static_cast<std::byte>(size);
            for (std::size_t i = 0; i < size; ++i) {
                request[1 + i] = static_cast<std::byte>(client.number * 50 + asked * 10 + i);
            }
            // A refusal to take it is told as well, but what was said before it still has to be read.
            std::ignore = co_await peer.write_all(std::span(request).first(size + 1)).within(5s);
            if (++asked == EchoClient::requests) std::ignore = peer.shutdown_write();
        }
        std::array<std::byte, 2> head;
        const auto got = co_await peer.read_exactly(head).within(20s);
        if (!got) {
            client.told = got.error() != Errc::timed_out;
            client.unheard = !client.told;
            co_return;
        }
        if (head[0] != std::byte{'A'}) {
            client.told = true;
            client.goodbye_count = static_cast<std::uint32_t>(head[1]);
            if (head[0] != std::byte{'B'} && head[0] != std::byte{'E'}) ++client.wrong;
            const auto end = co_await peer.read(head).within(20s);
            // The server may not have read our last request, which makes the end a reset.
            if (end && !end->empty()) ++client.wrong;
            if (!end && end.error() == Errc::timed_out) client.unheard = true;
            co_return;
        }
        const auto size = static_cast<std::size_t>(head[1]);
        if (size > payload_max || client.answers_size + size > client.answers.size()) {
            ++client.wrong;
            co_return;
        }
        const Bytes answer = std::span(client.answers).subspan(client.answers_size, size);
        const auto whole = co_await peer.read_exactly(answer).within(20s);
        if (!whole) {
            client.told = whole.error() != Errc::timed_out;
            client.unheard = !client.told;
            co_return;
        }
        client.answers_size += size;
        const std::uint32_t index = client.answered++;
        if (size != 5 + client.number * 7 + index * 3) ++client.wrong;
        for (std::size_t i = 0; i < size; ++i) {
            if (answer[i] != static_cast<std::byte>(client.number * 50 + index * 10 + i + 1)) ++client.wrong;
        }
    }
}

}  // namespace weir::test
