// SPDX-License-Identifier: MIT
//
// The client's side of attaching. Connecting to a unix socket is decided at once; so is a name that is not there, which
// is tried again, a little later each time. A slot of the link table is taken only when somebody accepted.
#include "shm/link_end.hpp"

#include "names/bound_name.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Duration pause_first = 1ms;
constexpr Duration pause_max = 50ms;

bool accepted(std::uint32_t uid, std::int64_t wanted) noexcept {
    if (wanted >= 0) return uid == static_cast<std::uint64_t>(wanted);
    return uid == ::geteuid() || uid == 0;
}

bool fit(const LinkTerms& asked, const LinkTerms& given) noexcept {
    LinkTerms wanted = asked;
    if (wanted.depth == 0) wanted.depth = given.depth;
    return wanted == given;
}

Error error_of(const Answer& answer) noexcept {
    const auto mismatch = [&](const char* operation) {
        return Error{.code = Errc::mismatch, .operation = operation, .a = answer.a, .b = answer.b};
    };
    const auto refusal = [&](Errc code) {
        return Error{
            .code = code, .operation = "link open, as the server says", .a = answer.a, .b = answer.b};
    };
    switch (answer.verdict) {
        case Verdict::yes:
        case Verdict::refused: break;
        case Verdict::in_use: return refusal(Errc::in_use);
        case Verdict::no_link: return refusal(Errc::no_link);
        case Verdict::no_files: return refusal(Errc::no_files);
        case Verdict::no_memory: return refusal(Errc::no_memory);
        case Verdict::denied: return refusal(Errc::denied);
        case Verdict::no_place: return refusal(Errc::no_place);
        case Verdict::protocol: return mismatch("link open, protocol");
        case Verdict::bell: return mismatch("link open, bell");
        case Verdict::object: return mismatch("link open, object");
        case Verdict::version: return mismatch("link open, version of the object");
        case Verdict::layout: return mismatch("link open, record layout");
        case Verdict::record_size: return mismatch("link open, record size");
        case Verdict::depth: return mismatch("link open, depth");
    }
    return refusal(Errc::refused);
}

}  // namespace

// --- what the socket brings

void LinkEnd::on_client_packet(Link& link) noexcept {
    constexpr Error no_protocol{.code = Errc::refused,
                                .operation = "link open, where something else answers"};
    LinkSlot& slot = *link.slot_;
    auto& wait = *static_cast<OpenLink::Wait*>(link.owner_);
    while (!slot.closing() && link.state_ == LinkState::attaching) {
        Answer answer{};
        sys::DescriptorMessage message(&answer, sizeof(answer));
        const bool answers = link.phase_ == Link::Phase::hello;
        if (answers) message.make_room(answer_descriptors);
        const int fd = slot.fd(socket_watch);
        long got = sys::receive_message(fd, message.header());
        if (got == -ECONNRESET) got = sys::receive_message(fd, message.header());
        if (got == -EAGAIN) {
            if (!slot.watching(socket_watch) && slot.watch_readable(socket_watch) < 0)
                lose(link, LinkState::lost);
            return;
        }
        if (got <= 0) {
            lose(link, LinkState::lost);
            return;
        }
        if (answers) sys::let_descriptors_in(fd, false);
        std::array<Fd, answer_descriptors> descriptors;
        const std::size_t count = answers ? message.take(descriptors) : 0;
        const auto size = static_cast<std::size_t>(got);
        if (size < sizeof(Note) || answer.magic != protocol_magic)
            return refuse_server(wait, link, no_protocol);
        if (answers) {
            if (size != sizeof(answer) && answer.protocol == protocol_version)
                answer.verdict = Verdict::refused;
            if (answer.protocol != protocol_version) {
                answer.verdict = Verdict::protocol;
                answer.a = protocol_version;
                answer.b = answer.protocol;
            }
            on_answer(wait, link, answer, {descriptors.data(), count}, message.descriptors_cut());
            continue;
        }
        // It went wrong at the server after all.
        if (size == sizeof(answer) && answer.verdict != Verdict::yes)
            return refuse_server(wait, link, error_of(answer));
        // A note has the same first word, and its kind as the second.
        if (size != sizeof(Note) || static_cast<Note::Kind>(answer.protocol) != Note::Kind::attached ||
            message.descriptors_cut())
            return refuse_server(wait, link, no_protocol);
        link.phase_ = Link::Phase::attached;
        link.state_ = LinkState::attached;
        link.owner_ = nullptr;
        link.attached_at_ = slot.scheduler().now();
        wait.finish();
    }
}

void LinkEnd::refuse_server(OpenLink::Wait& wait, Link& link, const Error& why) noexcept {
    wait.link_ = nullptr;
    close(link);
    wait.fail(why);
    wait.finish();
}

void LinkEnd::on_answer(OpenLink::Wait& wait, Link& link, const Answer& answer, std::span<Fd> descriptors,
                        bool cut) noexcept {
    std::optional<Error> wrong;
    if (answer.verdict != Verdict::yes) {
        wrong = error_of(answer);
    } else if (!fit(wait.terms_, answer.terms)) {
        wrong = Error{.code = Errc::mismatch, .operation = "link open, another thing than was asked for"};
    } else if ((answer.bell != BellKind::eventfd && answer.bell != BellKind::packet) ||
               (answer.bell == BellKind::eventfd && !link.trusted_)) {
        wrong = Error{.code = Errc::refused, .operation = "link open, a bell that was not asked for"};
    } else if (descriptors.size() != descriptors_of(answer.bell)) {
        wrong =
            Error{.code = cut ? Errc::no_files : Errc::refused, .operation = "link open, taking descriptors"};
    } else if (const auto taken = take_over(link, answer, descriptors); !taken) {
        wrong = taken.error();
    }
    if (!wrong) {
        link.phase_ = Link::Phase::granted;
        note(link, Note::Kind::mapped);
        return;
    }
    refuse_server(wait, link, *wrong);
}

Result<void> LinkEnd::take_over(Link& link, const Answer& answer, std::span<Fd> descriptors) noexcept {
    constexpr std::uint64_t size_max = ~std::size_t{0} / 4;
    if (answer.server_size > size_max || answer.client_size > size_max)
        return failure(Errc::too_large, "link open", std::max(answer.server_size, answer.client_size),
                       size_max);
    link.terms_ = answer.terms;
    WEIR_TRY(const Region theirs,
             Region::received(std::move(descriptors[server_region]),
                              static_cast<std::size_t>(answer.server_size), Region::Sealed::writes));
    WEIR_TRY(const Region ours,
             Region::received(std::move(descriptors[client_region]),
                              static_cast<std::size_t>(answer.client_size), Region::Sealed::size));
    WEIR_TRY(Mapping readable, theirs.map_read_only());
    WEIR_TRY(Mapping writable, ours.map_writable());
    const std::size_t readable_size = readable.size();
    const std::size_t writable_size = writable.size();
    link.peer_ = {readable.release(), readable_size};
    link.own_ = {writable.release(), writable_size};
    link.bell_ = answer.bell;
    if (answer.bell == BellKind::packet) return {};
    link.slot_->set_fd(bell_watch, std::move(descriptors[client_bell]));
    link.bell_out_ = descriptors[server_bell].release();
    return {};
}

void LinkEnd::client_lost(Link& link) noexcept {
    auto& wait = *static_cast<OpenLink::Wait*>(link.owner_);
    close(link);
    wait.lose();
}

long LinkEnd::ask(OpenLink::Wait& wait, LinkSlot& slot, Fd socket, const Credentials& credentials) noexcept {
    Link& link = make(slot, std::move(socket), credentials, wait.trust_);
    link.owner_ = &wait;
    wait.link_ = &link;
    const long process = watch_process(link);
    if (process < 0) return process;
    const Hello hello{.bell = link.trusted_ ? BellKind::eventfd : BellKind::packet, .terms = wait.terms_};
    // A server that turns us away without a look at it has closed by now; its answer is there to be read.
    (void)send(link, &hello, sizeof(hello));
    return slot.watch_readable(socket_watch);
}

// --- the await

OpenLink open_link(const Name& name, const LinkTerms& terms, const LinkOpenOptions& options) noexcept {
    return {name, terms, options};
}

OpenLink::OpenLink(const Name& name, const LinkTerms& terms, const LinkOpenOptions& options) noexcept
    : terms_(terms), server_uid_(options.server_uid), trust_(options.trust) {
    Result<RuntimePath> path;
    if (options.directory != nullptr) {
        path = options.directory->path_of(name, link_suffix);
    } else if (const auto directory = RuntimeDirectory::find(); directory) {
        path = directory->path_of(name, link_suffix);
    } else {
        path = failure(directory.error());
    }
    failed_ = !path;
    if (path) {
        path_ = *path;
    } else {
        error_ = path.error();
    }
}

OpenLink::Wait::Wait(OpenLink&& open) noexcept
    : Leaf(kind, stopped),
      alarm_(*this),
      path_(open.path_),
      terms_(open.terms_),
      server_uid_(open.server_uid_),
      trust_(open.trust_),
      pause_(pause_first) {
    if (open.failed_) error_ = open.error_;
}

bool OpenLink::Wait::start(const Start& start) noexcept {
    if (error_) return true;
    scheduler_ = static_cast<Scheduler*>(&start.context);  // every Context is a Scheduler
    try_once();
    if (error_) return true;
    begin(start);
    begun_ = true;
    return false;
}

void OpenLink::Wait::try_once() noexcept {
    long status = 0;
    Fd socket = connect_to_name(path_, status);
    // A full backlog, which polls as ready and can only be tried again: soon, or others have the place that gets free.
    if (status == -EAGAIN || status == -EINPROGRESS) {
        pause_ = pause_first;
        try_later();
        return;
    }
    // Nobody there yet, or not any more.
    if (status == -ENOENT || status == -ECONNREFUSED) {
        try_later();
        return;
    }
    ucred peer{};
    if (status >= 0) status = sys::peer_credentials(socket.get(), peer);
    if (status < 0) {
        fail(Error::from_errno(name(), static_cast<int>(-status)));
        return;
    }
    if (!accepted(peer.uid, server_uid_)) {
        fail({.code = Errc::denied, .operation = "link open, where an untrusted user serves", .a = peer.uid});
        return;
    }
    // Until the answer is there.
    sys::let_descriptors_in(socket.get(), true);
    LinkTable& table = scheduler_->links();
    LinkSlot* const slot = table.take(LinkEnd::kind);
    if (slot == nullptr) {
        if (table.closing()) {
            try_later();
        } else {
            fail({.code = Errc::no_link, .operation = name(), .b = table.capacity()});
        }
        return;
    }
    const long asked =
        LinkEnd::ask(*this, *slot, std::move(socket), {.pid = peer.pid, .uid = peer.uid, .gid = peer.gid});
    if (asked >= 0) return;
    std::exchange(link_, nullptr)->close();
    if (asked == -ESRCH) {
        try_later();
    } else {
        fail(Error::from_errno(name(), static_cast<int>(-asked)));
    }
}

void OpenLink::Wait::try_later() noexcept {
    scheduler_->timers.arm(alarm_, after(scheduler_->now(), pause_));
    pause_ = std::min(pause_ * 2, pause_max);
}

void OpenLink::Wait::lose() noexcept {
    link_ = nullptr;
    try_later();
}

void OpenLink::Wait::finish() noexcept {
    if (begun_) complete();
}

void OpenLink::Wait::Alarm::fire(Timer& timer) noexcept {
    Wait& wait = static_cast<Alarm&>(timer).wait;
    wait.try_once();
    if (wait.error_) wait.finish();
}

void OpenLink::Wait::give_up() noexcept {
    if (alarm_.armed()) scheduler_->timers.disarm(alarm_);
    if (link_ != nullptr) std::exchange(link_, nullptr)->close();
}

void OpenLink::Wait::abandon() noexcept {
    give_up();
    if (linked()) unlink();
}

void OpenLink::Wait::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    wait.give_up();
    wait.fail({.code = Errc::cancelled, .operation = wait.name()});
    wait.complete();
}

Result<LinkClient> OpenLink::Wait::take() noexcept {
    if (error_) return failure(*error_);
    return LinkClient(*link_);
}

}  // namespace weir::ipc
