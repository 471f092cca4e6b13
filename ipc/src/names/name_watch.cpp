// SPDX-License-Identifier: MIT
//
// What tells of a change, and what is true:
//
//     a server begins          the socket is renamed to its path        it listens by then
//     it closes                the path is removed
//     it is killed             the kernel closes its lock file          the process of a server that is awaited is
//                                                                       watched besides, and ends a moment later
//     it is killed with a      the same, when the child has ended,      its process, again
//     forked child alive       too
//
// The kernel reports a lock as closed before it is free and while the socket is still bound; with operations of io_uring
// in flight the socket stays some milliseconds more. So whoever does not watch the process looks again 1, 2, 4, … 512 ms
// after such a report. Without reports there are no looks.
#include "weir/ipc/names/name_watch.hpp"

#include "names/served_name.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/inotify.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr const char* operation = "watching names";
constexpr Duration pause_first = 1ms;
constexpr Duration pause_max = 512ms;
constexpr std::string_view lock_suffix = ".weir.lock";

constexpr std::uint32_t directory_changes = IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t name_changes = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB;
constexpr std::uint32_t reports = directory_changes | name_changes | IN_CLOSE_WRITE | IN_ONLYDIR;
constexpr std::uint32_t gone = directory_changes | IN_IGNORED | IN_UNMOUNT;

std::string_view file_of(std::string_view path) noexcept {
    return path.substr(path.rfind('/') + 1);
}
RuntimePath parent_of(std::string_view path) noexcept {
    const std::size_t size = path.rfind('/');
    return *RuntimePath::make(path.substr(0, size > 0 ? size : 1));  // shorter than `path`, so it fits
}

// FNV-1a: Fowler, Noll and Vo.
std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
    for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100'0000'01b3;
    return hash;
}

}  // namespace

// --- a wait

void NameWait::set_name(const Name& served) noexcept {
    if (!watch_) return;
    const auto path = watch_.directory_->path_of(served, link_suffix);
    if (path) {
        path_ = *path;
    } else {
        fail(path.error());
    }
}

void NameWait::fail(const Error& error) noexcept {
    error_ = error;
    error_->operation = name();
}

bool NameWait::start(const Start& start) noexcept {
    if (!watch_) refuse(Errc::closed);
    if (error_) return true;
    if (watch_.lost_) {
        const auto armed = watch_.arm();
        if (!armed) {
            fail(armed.error());
            return true;
        }
    }
    // After the look whatever changes is reported, and read between tasks.
    if (look_(*this)) return true;
    begin(start);
    watch_.waits_.push_back(*this);
    watch_.settle();
    return false;
}

void NameWait::look_and_end() noexcept {
    if (look_(*this)) end();
}

void NameWait::end() noexcept {
    ListNode<NameWaits>::unlink();
    complete();
}

void NameWait::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<NameWait&>(self);
    wait.refuse(Errc::cancelled);
    wait.end();
}

// --- until it is served

UntilServed::Wait::Wait(UntilServed&& until) noexcept : NameWait(kind, look, *until.watch_) {
    set_name(until.name_);
}

bool UntilServed::Wait::look(NameWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    const auto found = who_serves(wait.path_);
    if (!found) {
        wait.fail(found.error());
    } else if (found->state == NameState::denied) {
        wait.refuse(Errc::denied);
    } else if (found->state != NameState::served) {
        return false;
    } else {
        wait.server_ = {.pid = found->pid, .uid = found->uid};
    }
    return true;
}

Result<NameServer> UntilServed::Wait::take() noexcept {
    if (error_) return failure(*error_);
    return server_;
}

// --- until it is gone

const LinkKind UntilGone::Wait::process_kind{
    .on_event =
        [](LinkSlot& slot, unsigned, long) noexcept {
            Wait& wait = *slot.state<Wait*>();
            if (wait.waits()) wait.end();
        },
    .on_timer = nullptr,
    .on_free = nullptr,
};

UntilGone::Wait::Wait(UntilGone&& until) noexcept : NameWait(kind, look, *until.watch_) {
    set_name(until.name_);
}

bool UntilGone::Wait::look(NameWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    return wait.process_ != nullptr ? wait.look_again() : wait.look_first();
}

// As long as it is not known whose end to wait for.
bool UntilGone::Wait::look_first() noexcept {
    const std::uint64_t mark = mark_of(path_.c_str());
    if (mark_ != 0 && mark != mark_) return true;
    mark_ = mark;
    auto found = who_serves(path_);
    if (!found) {
        fail(found.error());
        return true;
    }
    if (found->state == NameState::denied) refuse(Errc::denied);
    if (found->state != NameState::served) return true;
    if (!found->process) return false;
    LinkTable& table = watch_.scheduler().links();
    process_ = table.take(process_kind);
    if (process_ == nullptr) {
        if (!table.closing()) {
            fail({.code = Errc::no_link, .b = table.capacity()});
            return true;
        }
        watch_.look_later();  // one is free after the next wait
        return false;
    }
    process_->make<Wait*>(this);
    process_->set_fd(0, std::move(found->process));
    const long watched = process_->watch_readable(0);
    if (watched == 0) return false;
    fail(Error::from_errno(name(), static_cast<int>(-watched)));
    return true;
}

bool UntilGone::Wait::look_again() noexcept {
    const auto state = look_at_path(path_);
    if (!state) {
        fail(state.error());
        return true;
    }
    return *state == NameState::absent || *state == NameState::stale || mark_of(path_.c_str()) != mark_;
}

Result<void> UntilGone::Wait::take() noexcept {
    if (process_ != nullptr) std::exchange(process_, nullptr)->close();
    if (error_) return failure(*error_);
    return {};
}

// --- any change

NamesChange::Wait::Wait(NamesChange&& change) noexcept
    : NameWait(kind, look, *change.watch_), from_(watch_.mark_) {}

bool NamesChange::Wait::look(NameWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    const auto mark = wait.watch_.mark_of_all();
    if (!mark) {
        wait.fail(mark.error());
        return true;
    }
    if (*mark == wait.from_) return false;
    wait.watch_.mark_ = *mark;
    return true;
}

Result<void> NamesChange::Wait::take() noexcept {
    if (error_) return failure(*error_);
    return {};
}

// --- the watch

const LinkKind NameWatch::kind{
    .on_event = [](LinkSlot& slot, unsigned, long) noexcept { slot.state<Seat>().owner->on_reports(); },
    .on_timer = [](LinkSlot& slot) noexcept { slot.state<Seat>().owner->on_timer(); },
    .on_free = nullptr,
};

NameWatch::NameWatch(NameWatch&& other) noexcept {
    *this = static_cast<NameWatch&&>(other);
}

NameWatch& NameWatch::operator=(NameWatch&& other) noexcept {
    if (this == &other) return *this;
    close();
    WEIR_ASSERT(other.waits_.empty() && "a watch of names is moved while a task waits on it");
    slot_ = std::exchange(other.slot_, nullptr);
    directory_ = other.directory_;
    watched_ = other.watched_;
    parent_watched_ = other.parent_watched_;
    mark_ = other.mark_;
    unclear_since_ = other.unclear_since_;
    pause_ = other.pause_;
    lost_ = other.lost_;
    if (slot_ != nullptr) slot_->state<Seat>().owner = this;
    return *this;
}

void NameWatch::close() noexcept {
    WEIR_ASSERT(waits_.empty() && "a watch of names is closed while a task waits on it");
    if (slot_ != nullptr) std::exchange(slot_, nullptr)->close();
}

Result<NameWatch> NameWatch::open(Scheduler& scheduler, const RuntimeDirectory* directory) noexcept {
    NameWatch watch;
    if (directory != nullptr) {
        watch.directory_ = *directory;
    } else {
        WEIR_TRY(watch.directory_, RuntimeDirectory::find());
    }
    const auto started = scheduler.start();
    if (!started) return failure(started.error());
    Fd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) return failure(Error::from_errno(operation, errno));
    LinkTable& table = scheduler.links();
    watch.slot_ = table.take(kind);
    if (watch.slot_ == nullptr) return failure(Errc::no_link, operation, 0, table.capacity());
    watch.slot_->make<Seat>(Seat{.owner = &watch});
    watch.slot_->set_fd(0, std::move(fd));
    const auto armed = watch.arm();
    if (!armed) return failure(armed.error());
    const long watched = watch.slot_->watch_readable(0);
    if (watched < 0) return failure(Error::from_errno(operation, static_cast<int>(-watched)));
    WEIR_TRY(watch.mark_, watch.mark_of_all());
    return watch;
}

// While the directory is not there, the one above it is watched.
Result<void> NameWatch::arm() noexcept {
    const int fd = slot_->fd(0);
    lost_ = true;
    if (watched_ >= 0) ::inotify_rm_watch(fd, std::exchange(watched_, -1));
    for (int tries = 0; tries < 2; ++tries) {
        watched_ = ::inotify_add_watch(fd, directory_->c_str(), reports);
        if (watched_ >= 0) {
            if (parent_watched_ >= 0) ::inotify_rm_watch(fd, std::exchange(parent_watched_, -1));
            lost_ = false;
            return {};
        }
        if (errno != ENOENT) return failure(Error::from_errno(operation, errno));
        if (parent_watched_ >= 0) break;
        const RuntimePath parent = parent_of(directory_->path());
        parent_watched_ = ::inotify_add_watch(
            fd, parent.c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB | directory_changes | IN_ONLYDIR);
        if (parent_watched_ < 0) return failure(Error::from_errno(operation, errno));
    }
    lost_ = false;
    return {};
}

void NameWatch::on_reports() noexcept {
    alignas(inotify_event) std::byte bytes[1024];
    for (;;) {
        const ssize_t size = ::read(slot_->fd(0), bytes, sizeof(bytes));
        if (size <= 0) break;
        for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
            inotify_event event{};
            std::memcpy(&event, bytes + at, sizeof(event));
            at += sizeof(event);
            const auto* const file = reinterpret_cast<const char*>(bytes + at);
            note(event.wd, event.mask,
                 event.len > 0 ? std::string_view(file, ::strnlen(file, event.len)) : std::string_view());
            at += event.len;
        }
    }
    std::optional<Error> broken;
    if (lost_) {
        const auto armed = arm();
        if (!armed) broken = armed.error();
    }
    const long watched = slot_->watch_readable(0);
    if (watched < 0) broken = Error::from_errno(operation, static_cast<int>(-watched));
    if (broken) {
        waits_.for_each([&](auto& node) {
            auto& wait = static_cast<NameWait&>(node);
            wait.fail(*broken);
            wait.end();
        });
        return;
    }
    look_at_concerned();
    settle();
}

void NameWatch::note(int watched, std::uint32_t what, std::string_view file) noexcept {
    const auto concern = [&](std::string_view path_file) {
        waits_.for_each([&](auto& node) {
            auto& wait = static_cast<NameWait&>(node);
            const std::string_view path = wait.path_.view();
            if (path_file.empty() || path.empty() || file_of(path) == path_file) wait.concerned_ = true;
        });
    };
    const auto becomes_unclear = [&] {
        unclear_since_ = scheduler().now();
        look_later();
    };
    if ((what & IN_Q_OVERFLOW) != 0) {  // some reports were lost
        becomes_unclear();
        lost_ = true;
        concern({});
    } else if (watched == watched_) {
        if ((what & gone) != 0) {
            if ((what & IN_IGNORED) != 0) watched_ = -1;
            lost_ = true;
            concern({});
        } else if ((what & IN_CLOSE_WRITE) != 0) {
            if (!file.ends_with(lock_suffix)) return;
            file.remove_suffix(lock_suffix.size() - link_suffix.size());
            becomes_unclear();
            concern(file);
        } else if (file.ends_with(link_suffix)) {
            concern(file);
        }
    } else if (watched == parent_watched_) {
        if ((what & gone) == 0 && file != file_of(directory_->path())) return;
        if ((what & gone) != 0) parent_watched_ = -1;
        lost_ = true;
        concern({});
    }
}

void NameWatch::look_at_concerned() noexcept {
    waits_.for_each([](auto& node) {
        auto& wait = static_cast<NameWait&>(node);
        if (std::exchange(wait.concerned_, false)) wait.look_and_end();
    });
}

void NameWatch::look_later() noexcept {
    pause_ = pause_first;
    slot_->arm_timer(pause_);
}

void NameWatch::on_timer() noexcept {
    waits_.for_each([](auto& node) { static_cast<NameWait&>(node).look_and_end(); });
    if (slot_->timer_armed() || !unclear()) return;
    pause_ = std::min(2 * pause_, pause_max);
    slot_->arm_timer(pause_);
}

// Nobody looks where nobody waits; who comes in time begins with it.
void NameWatch::settle() noexcept {
    if (!slot_->timer_armed() && unclear()) look_later();
}

bool NameWatch::unclear() const noexcept {
    return !waits_.empty() && unclear_since_ != Instant::min() &&
           scheduler().now() < after(unclear_since_, 2 * pause_max);
}

Result<std::uint64_t> NameWatch::mark_of_all() const noexcept {
    auto names = NameList::open(*directory_);
    if (!names && names.error() == Errc::not_found) return std::uint64_t{0};
    if (!names) return failure(names.error());
    std::uint64_t mark = 0;  // a sum, since there is no order
    for (;;) {
        const auto entry = names->next();
        if (!entry && entry.error() == Errc::ended) return mark;
        if (!entry) return failure(entry.error());
        if (entry->kind != NameKind::link || entry->state == NameState::stale) continue;
        const auto path = directory_->path_of(entry->name, link_suffix);
        if (path) mark += hash_of(entry->name.view()) ^ mark_of(path->c_str());
    }
}

}  // namespace weir::ipc
