#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes go downward only, and public headers name no platform.

The table is the order of docs/layers.md. A file's layer is its folder; version.hpp belongs below all.
"""
import re
import sys
from collections.abc import Iterator

from sources import Finding, Planted, Source, code_only, line_of, main

RUNTIME = ["core", "sys", "backend", "coro", "scheduler", "io"]
IPC = ["names", "shm", "types", "ring", "topic", "service"]
MAY_INCLUDE = {
    "core": set(),
    "sys": {"core"},
    "backend": {"core", "sys"},
    "coro": {"core"},
    "scheduler": {"core", "sys", "backend", "coro"},
    "io": {"core", "sys", "backend", "coro", "scheduler"},
    "names": set(RUNTIME),
    "shm": {*RUNTIME, "names"},
    "types": {"core"},
    "ring": {*RUNTIME, "names", "shm", "types"},
    "topic": {*RUNTIME, "names", "shm", "types", "ring"},
    "service": {*RUNTIME, "names", "shm", "types", "ring"},
}
# Top-level headers that any layer may include; the others gather layers for users.
BELOW_ALL = {"weir/version.hpp"}

PATH = re.compile(r"(?:runtime/(?:include/weir|src)|ipc/(?:include/weir/ipc|src))/(?P<layer>\w+)/")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"](?P<name>[^>"]+)[>"]', re.MULTILINE)
PLATFORM_HEADER = re.compile(r"(^|/)(liburing|epoll|io_uring)[./]")
# Macros that compilers predefine to 1 in their GNU modes.
PREDEFINED = re.compile(r"\b(unix|linux)\b")


def layer_of_include(name: str) -> str | None:
    """The layer of an included header of the project; None for what is not ours or lies in the same folder."""
    match = re.fullmatch(r"(?:weir/(?:ipc/)?)?(?P<layer>\w+)/[\w/]+\.hpp", name)
    return match["layer"] if match and match["layer"] in MAY_INCLUDE else None


def check(source: Source) -> Iterator[Finding]:
    code = code_only(source.text, keep_includes=True)
    layer_match = PATH.match(source.path)
    layer = layer_match["layer"] if layer_match else None
    if layer is not None and layer not in MAY_INCLUDE:
        yield Finding(source.path, 1, f"the folder {layer} is no layer: tools/lint/layers.py has the order")
        return
    public = "/include/" in source.path
    for include in INCLUDE.finditer(code):
        name = include["name"]
        line = line_of(code, include.start())
        if public and PLATFORM_HEADER.search(name):
            yield Finding(source.path, line, f"a public header includes {name}")
        if layer is None:
            continue
        other = layer_of_include(name)
        if other is not None and other != layer and other not in MAY_INCLUDE[layer]:
            yield Finding(source.path, line, f"{layer} includes {name}, which is not below it")
        if re.fullmatch(r"weir/\w+\.hpp", name) and name not in BELOW_ALL:
            yield Finding(source.path, line, f"{layer} includes {name}, which gathers layers for users")
    if public:
        without_includes = INCLUDE.sub(lambda match: " " * len(match.group()), code)
        for use in PREDEFINED.finditer(without_includes):
            line = line_of(without_includes, use.start())
            yield Finding(source.path, line, f"a public header uses {use[1]}, a macro in the GNU modes")


def include(name: str) -> str:
    return f"#include {name}\n"


PLANTED = [
    Planted(include("<weir/core/bytes.hpp>"), found=False),
    Planted(include("<weir/scheduler/scheduler.hpp>"), True, "runtime/src/coro/task.cpp"),
    Planted(include('"scheduler/wheel.hpp"'), True, "runtime/include/weir/coro/task.hpp"),
    Planted(include("<weir/sys/pipe.hpp>"), True, "runtime/src/coro/task.cpp"),
    Planted(include("<weir/coro/task.hpp>"), True, "runtime/src/backend/epoll.cpp"),
    Planted(include("<weir/backend/backend.hpp>"), True, "runtime/src/coro/task.cpp"),
    Planted(include("<weir/core/bytes.hpp>"), False, "runtime/src/coro/task.cpp"),
    Planted(include("<weir/ipc/names/name.hpp>"), True, "runtime/src/io/pipe.cpp"),
    Planted(include("<weir/ipc/service/service.hpp>"), True, "ipc/include/weir/ipc/topic/topic.hpp"),
    Planted(include("<weir/io/pipe.hpp>"), False, "ipc/src/shm/region.cpp"),
    Planted(include("<weir/io/pipe.hpp>"), True, "ipc/include/weir/ipc/types/layout.hpp"),
    Planted(include("<weir/weir.hpp>"), True, "runtime/src/io/pipe.cpp"),
    Planted(include("<weir/version.hpp>"), False, "runtime/src/core/version.cpp"),
    Planted(include("<weir/io/pipe.hpp>"), False, "runtime/include/weir/weir.hpp"),
    Planted(include("<liburing.h>"), True, "runtime/include/weir/backend/uring.hpp"),
    Planted(include("<liburing.h>"), False, "runtime/src/backend/uring.cpp"),
    Planted(include("<sys/epoll.h>"), True, "runtime/include/weir/backend/epoll.hpp"),
    Planted("namespace weir::unix {}\n", True, "runtime/include/weir/io/stream.hpp"),
    Planted("// as unix and linux do\nint unix_stream;\n", False, "runtime/include/weir/io/stream.hpp"),
    Planted("int x;\n", True, "runtime/src/utils/x.cpp"),
]

if __name__ == "__main__":
    sys.exit(main(check, ("runtime", "ipc"), PLANTED))
