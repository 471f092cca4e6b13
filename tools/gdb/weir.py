# SPDX-License-Identifier: MIT
"""gdb: the tree of a program's tasks, of a live process or of a core.

    gdb -p PID -x weir.py -ex 'weir tasks' -batch
    gdb PROGRAM CORE -x weir.py -ex 'weir tasks' -batch

prints for each scheduler what Scheduler::dump() would write. It needs the program's debug information (-g) and calls
nothing in it. In a core, and over a remote connection, times are those of the scheduler's last turn.

How it finds its way without RTTI: what a task awaits is a Pending, whose Kind has a function that visits what is inside.
The name of that function says what is to be looked for, and the type of its local `wait` where.
"""
import re
import time

import gdb

PLAIN, WRAPPER, COMBINATOR = 0, 1, 2
NEVER_NS = (1 << 63) - 1
TIMER_PLACE_NONE = 0xFFFFFFFF
LINE_INDENT_MAX = 384 // 3
TASK = "weir::TaskState"
VISITOR = re.compile(r"\b(visit_\w+)(?=\(|$)")


def instant_ns(value):
    """An Instant's nanoseconds: time_point { duration { count } }."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        value = value[value.type.strip_typedefs().fields()[0]]
    return int(value)


def holds(optional):
    """Whether a std::optional has a value, for libstdc++ and libc++."""
    for name in ("_M_engaged", "__engaged_"):
        found = member(optional, name)
        if found is not None:
            return bool(found)
    raise gdb.GdbError(f"unknown kind of std::optional: {optional.type}")


def member(value, name):
    """A member of that name in an object, its bases and its members, however deep; None if there is none."""
    kind = value.type.strip_typedefs()
    if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        return None
    for field in kind.fields():
        if not hasattr(field, "bitpos"):  # static
            continue
        if field.name == name:
            return value[field]
        found = member(value[field], name) if field.name is None or field.is_base_class or "_M_" in field.name else None
        if found is not None:
            return found
    return None


def name_of_type(value):
    return value.type.strip_typedefs().unqualified().name or ""


def bases(value):
    return [value[field] for field in value.type.strip_typedefs().fields() if field.is_base_class]


def base(value, name):
    """The object as its base of that name, however far up; None if it has none."""
    if name_of_type(value) == name:
        return value
    for each in bases(value):
        found = base(each, name)
        if found is not None:
            return found
    return None


class Pending:
    """What a task awaits, or a part of it."""

    def __init__(self, value):
        self.value = value
        kind = value["kind_"].dereference()
        self.name = kind["name"].string()
        self.shape = int(kind["shape"])
        self.visit = int(kind["visit"])

    def concrete(self):
        """What visits it, and the whole object; (None, None) if there is nothing in it to visit."""
        block = gdb.block_for_pc(self.visit) if self.visit else None
        while block is not None and block.superblock is not None and not block.superblock.is_static:
            block = block.superblock  # out of what the compiler inlined there
        if block is None or block.function is None:
            return None, None
        visitor = VISITOR.findall(block.function.name)[-1:]
        for symbol in block:
            if symbol.name == "wait":
                kind = symbol.type.strip_typedefs().target().strip_typedefs().unqualified()
                return "".join(visitor), self.value.address.cast(kind.pointer()).dereference()
        return None, None

    def parts(self):
        """What Pending::visit() tells: (kind, value), of the kinds fd, until, task, pending."""
        visitor, wait = self.concrete()
        if visitor == "visit_fd":
            entry = wait["entry"]
            return [("fd", int(entry["fd"]))] if entry else []
        if visitor == "visit_until":
            return [("until", timer_until(wait["timer_"]))]
        if visitor == "visit_inner":
            return [("until", timer_until(wait["scope_"]["timer_"])), ("pending", pending(wait["inner_"]))]
        if visitor == "visit_sleep":
            return [("pending", pending(wait["sleep_"]))]
        if visitor == "visit_child":
            return tasks_of_handle(wait["handle_"])
        if visitor == "visit_arms":
            arms = [each for each in bases(wait) if name_of_type(each).startswith("weir::JoinArm<")]
            return [("pending", pending(arm["wait"])) for arm in arms if not holds(arm["outcome"])]
        if visitor == "visit_members":
            return members_of_group(wait)
        return []


def pending(wait):
    return Pending(base(wait, "weir::Pending"))


def timer_until(timer):
    armed = int(timer["place_"]) != TIMER_PLACE_NONE
    return int(timer["at_ns_"]) if armed else NEVER_NS


def tasks_of_handle(handle):
    frame = member(handle, "_M_fr_ptr")
    if frame is None:
        frame = member(handle, "__handle_")
    if not frame:
        return []
    # Two pointers, to resume and to destroy, then the promise, which is aligned as TaskState is.
    state = gdb.lookup_type(TASK)
    place = int(frame) + 2 * gdb.lookup_type("void").pointer().sizeof
    place = (place + state.alignof - 1) // state.alignof * state.alignof
    return [("task", gdb.Value(place).cast(state.pointer()).dereference())]


def members_of_group(wait):
    group = wait["group_"]
    found = [] if holds(group["body_result_"]) else [("pending", pending(wait["body_"]))]
    slots = group["slots_of"]
    first, last = slots.type.strip_typedefs().range()
    for index in range(first, last + 1):
        found += tasks_of_handle(slots[index]["child"])
    return found


class Awaited:
    """What one task awaits, said on its own line: names from the outside in, then details. As in dump.cpp."""

    def __init__(self, outermost):
        self.fd = -1
        self.until_ns = NEVER_NS
        self.name = ""
        self.walk(outermost)

    def walk(self, outer):
        self.name = outer.name
        first = outer.shape == WRAPPER
        for kind, value in outer.parts():
            if kind == "fd" and value >= 0:
                self.fd = value
            elif kind == "until":
                self.until_ns = min(self.until_ns, value)
            elif kind == "pending" and first:
                first = False
                self.walk(value)


def holds_task(outer):
    return any(kind == "task" or (kind == "pending" and holds_task(value)) for kind, value in outer.parts())


def ms(span_ns):
    return int(span_ns / 1_000_000)  # towards zero, as duration_cast


class Tree:
    def __init__(self, now_ns):
        self.now_ns = now_ns
        self.depth = 0

    def line(self, text):
        print(" " * min(self.depth * 2, LINE_INDENT_MAX) + text)

    def details(self, awaited):
        text = f" fd {awaited.fd}" if awaited.fd >= 0 else ""
        if awaited.until_ns != NEVER_NS:
            text += f" (deadline in {ms(awaited.until_ns - self.now_ns)} ms)"
        return text

    def task(self, task):
        name = f"{task['function_'].string()}:{int(task['line_'])}"
        if not task["awaiting_"]:
            self.line(f"{name}  {'running' if task['started_'] else 'not started'}")
            return
        outermost = Pending(task["awaiting_"].dereference())
        awaited = Awaited(outermost)
        since_ms = ms(self.now_ns - instant_ns(task["since_"]))
        ready = ", ready" if task["queued_"] else ""
        self.line(f"{name}  awaits {awaited.name}{self.details(awaited)}  for {since_ms} ms{ready}")
        self.depth += 1
        self.children(outermost)
        self.depth -= 1

    def children(self, outer):
        for kind, value in outer.parts():
            if kind == "task":
                self.task(value)
            elif kind == "pending":
                if outer.shape == COMBINATOR and not holds_task(value):
                    awaited = Awaited(value)
                    self.line(f"(arm)  awaits {awaited.name}{self.details(awaited)}")
                else:
                    self.children(value)


def schedulers():
    symbol = gdb.lookup_global_symbol("weir::started_schedulers")
    if symbol is None:
        raise gdb.GdbError("no program with weir and its debug information is loaded")
    found = symbol.value()
    while found:
        yield found.dereference()
        found = found["started_next_"]


def now_ns_of(scheduler):
    connection = gdb.selected_inferior().connection
    live = connection is not None and connection.type == "native"
    if live and not scheduler["simulated_"]:
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return instant_ns(scheduler["turn_time"])


def print_scheduler(scheduler):
    frames = scheduler["frames"]
    observer = frames["observer_"]
    classes = (observer if int(observer) else frames)["classes_"]  # see FramePool::tell()
    first, last = classes.type.range()
    live = sum(int(classes[index]["in_use"]) for index in range(first, last + 1))
    reason = scheduler["reason_"]
    print(
        f"weir: {live} tasks, {int(scheduler['timers']['count_'])} timers,"
        f" {int(scheduler['descriptors_']['count_'])} of {int(scheduler['budget_']['descriptors'])} descriptors,"
        f" {int(frames['cut_'])} of {int(frames['capacity_'])} frame bytes,"
        f" {reason.address.cast(gdb.lookup_type('char').pointer()).string()}"
    )
    if scheduler["root_"]:
        Tree(now_ns_of(scheduler)).task(scheduler["root_"]["task"].dereference())


class WeirCommand(gdb.Command):
    """Looks into programs made with weir."""

    def __init__(self):
        super().__init__("weir", gdb.COMMAND_DATA, prefix=True)


class WeirTasks(gdb.Command):
    """weir tasks: the tree of tasks of every scheduler that has started, in the form of Scheduler::dump()."""

    def __init__(self):
        super().__init__("weir tasks", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        count = 0
        for scheduler in schedulers():
            print_scheduler(scheduler)
            count += 1
        if count == 0:
            print("weir: no scheduler has started")


WeirCommand()
WeirTasks()
