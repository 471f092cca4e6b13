// SPDX-License-Identifier: MIT
//
// Awaiting that a service appears or goes.
//
//     WEIR_CO_TRY(auto names, NameWatch::open(scheduler));
//     WEIR_CO_TRY(const auto server, names.until_served("vehicle/pose").within(5s));
//     WEIR_CO_CHECK(names.until_gone("vehicle/pose"));
//
// What the kernel reports of the runtime directory only says when to look; what is true is then asked of the socket and
// of the process behind it, so a killed server is gone although its path is still there. While nothing happens nobody
// wakes up. A watch needs no rights but to read the directory, and no help from those who serve there, who may be other
// users.
#pragma once

#include "weir/coro/deadline.hpp"
#include "weir/core/list.hpp"
#include "weir/ipc/names/name_list.hpp"
#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/scheduler/link_table.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <cstdint>
#include <optional>

namespace weir::ipc {

class NameWatch;
struct NameWaits;  // the list tag

/// Who serves a name.
struct NameServer {
    std::int32_t pid;   ///< 0: not known, since it is in another pid namespace, or too busy to be asked
    std::uint32_t uid;  ///< effective, when it began to serve; 0 where `pid` is not known
};

/// A task that waits for news of names.
class NameWait : public Leaf, public ListNode<NameWaits> {
public:
    bool start(const Start& start) noexcept;
    void refuse(Errc code) noexcept { error_ = Error{.code = code, .operation = name()}; }

protected:
    /// True when it is over: error_ is set, or what was awaited is so.
    using Look = bool (*)(NameWait&) noexcept;
    NameWait(const Kind& kind_of, Look function, NameWatch& watch) noexcept
        : Leaf(kind_of, stopped), watch_(watch), look_(function) {}
    ~NameWait() = default;

    /// Makes the path of `served` in the watch's directory.
    void set_name(const Name& served) noexcept;
    /// It began, and is not over.
    [[nodiscard]] bool waits() const noexcept { return ListNode<NameWaits>::linked(); }
    void look_and_end() noexcept;
    void end() noexcept;
    void fail(const Error& error) noexcept;

    NameWatch& watch_;
    RuntimePath path_;  // of the name; empty: of none
    std::optional<Error> error_;

private:
    friend NameWatch;
    static void stopped(Stoppable& self) noexcept;

    Look look_;
    bool concerned_ = false;  // by what was reported just now
};

/// What NameWatch::until_served() returns.
class [[nodiscard]] UntilServed : public Awaitable<UntilServed> {
public:
    using Outcome = Result<NameServer>;
    UntilServed(NameWatch& watch, const Name& name) noexcept : watch_(&watch), name_(name) {}

    class Wait : public NameWait {
    public:
        explicit Wait(UntilServed&& until) noexcept;
        Result<NameServer> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"name until served", nullptr};
        static bool look(NameWait& self) noexcept;
        NameServer server_{};
    };

private:
    NameWatch* watch_;
    Name name_;
};

/// What NameWatch::until_gone() returns.
class [[nodiscard]] UntilGone : public Awaitable<UntilGone> {
public:
    using Outcome = Result<void>;
    UntilGone(NameWatch& watch, const Name& name) noexcept : watch_(&watch), name_(name) {}

    class Wait : public NameWait {
    public:
        explicit Wait(UntilGone&& until) noexcept;
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"name until gone", nullptr};
        static const LinkKind process_kind;
        static bool look(NameWait& self) noexcept;
        bool look_first() noexcept;
        bool look_again() noexcept;

        LinkSlot* process_ = nullptr;  // which waits for its end
        std::uint64_t mark_ = 0;       // of the socket that it serves
    };

private:
    NameWatch* watch_;
    Name name_;
};

/// What NameWatch::change() returns.
class [[nodiscard]] NamesChange : public Awaitable<NamesChange> {
public:
    using Outcome = Result<void>;
    explicit NamesChange(NameWatch& watch) noexcept : watch_(&watch) {}

    class Wait : public NameWait {
    public:
        explicit Wait(NamesChange&& change) noexcept;
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"names change", nullptr};
        static bool look(NameWait& self) noexcept;
        std::uint64_t from_;
    };

private:
    NameWatch* watch_;
};

/// Watches a runtime directory. Any number of tasks may wait on it. Move-only, while nobody waits; belongs to one
/// scheduler's thread. Takes one slot of the link table, and of the kernel one inotify instance, of which a user has
/// 128 where nobody changed fs.inotify.max_user_instances.
class NameWatch {
public:
    NameWatch() noexcept = default;
    NameWatch(NameWatch&& other) noexcept;
    NameWatch& operator=(NameWatch&& other) noexcept;
    ~NameWatch() { close(); }

    /// Begins to watch `directory`, or the one that RuntimeDirectory::find() names. It need not be there yet, but the
    /// directory in which it will be made has to. Errors: not_found (neither), denied (we may not read it), no_link,
    /// no_files (or no inotify instance), no_memory (or no inotify watch), and those of RuntimeDirectory::find().
    static Result<NameWatch> open(Scheduler& scheduler, const RuntimeDirectory* directory = nullptr) noexcept;

    /// Waits until somebody serves `name`, and says who; at once if somebody does. That an answer will come, or that it
    /// is a user to be trusted, it does not say: open_link() and what is made of it wait by themselves, too. Errors:
    /// denied (we may not open it), too_large (path), no_files, closed, cancelled, timed_out. Takes no frame; a look
    /// that finds a server connects to it for a moment.
    [[nodiscard]] UntilServed until_served(const Name& name) noexcept { return {*this, name}; }
    /// Waits until whoever serves `name` does not any more, closed or killed; at once if nobody does. Another one may
    /// serve it by then. Takes another slot of the link table while it waits. Errors: as until_served(), and no_link.
    [[nodiscard]] UntilGone until_gone(const Name& name) noexcept { return {*this, name}; }
    /// Waits until what is served in the directory, and by which socket, differs from what it was when the watch was
    /// opened or change() last completed: nothing is missed between two calls, and what changed and changed back is not
    /// told. A NameList then shows what there is. Tasks that wait at the same time are all told. A look costs about
    /// five system calls for each name. Errors: denied, no_files, closed, cancelled, timed_out.
    [[nodiscard]] NamesChange change() noexcept { return NamesChange(*this); }

    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    /// Nobody waits.
    void close() noexcept;

private:
    friend NameWait;
    friend UntilServed::Wait;
    friend UntilGone::Wait;
    friend NamesChange::Wait;
    struct Seat {
        NameWatch* owner;
    };
    static const LinkKind kind;

    Result<void> arm() noexcept;
    void on_reports() noexcept;
    void note(int watched, std::uint32_t what, std::string_view file) noexcept;
    void look_at_concerned() noexcept;
    /// Looks again for a while at what is not clear yet.
    void look_later() noexcept;
    void on_timer() noexcept;
    void settle() noexcept;
    [[nodiscard]] bool unclear() const noexcept;
    Result<std::uint64_t> mark_of_all() const noexcept;
    [[nodiscard]] Scheduler& scheduler() const noexcept { return slot_->scheduler(); }

    LinkSlot* slot_ = nullptr;
    std::optional<RuntimeDirectory> directory_;
    List<NameWaits> waits_;
    int watched_ = -1;         // the directory; else
    int parent_watched_ = -1;  // the one above it
    std::uint64_t mark_ = 0;   // of what was served at the last change()
    Instant unclear_since_ = Instant::min();
    Duration pause_{};
    bool lost_ = false;  // the watch has to be made anew
};

}  // namespace weir::ipc
