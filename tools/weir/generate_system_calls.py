#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a table in C++ of system_calls.txt. Which names have a number is the architecture's business, known to the
preprocessor: each entry stands between two directives.

usage: generate_system_calls.py LIST OUTPUT
"""
import pathlib
import re
import sys

LINE = re.compile(r"(?P<name>\w+)(?:=(?P<number>\d+))? (?P<backend>both|epoll|io_uring)")
# ARM's private calls have numbers of their own.
PRIVATE = {"set_tls": "__ARM_NR_set_tls", "cacheflush": "__ARM_NR_cacheflush"}
# Calls with one number everywhere that only 32-bit architectures have.
ONLY_32_BIT = re.compile(r".*_time64|clock_gettime64")
HEAD = """\
// Made of system_calls.txt by generate_system_calls.py.
#include "system_calls.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace weir::tool {

static const SystemCall table[] = {
"""
TAIL = """\
};
const std::span<const SystemCall> system_calls{table};

}  // namespace weir::tool
"""


def entry(name: str, number: str | None, backend: str) -> str:
    macro = PRIVATE.get(name, f"__NR_{name}")
    known = f'    {{"{name}", {macro}, SystemCall::Backend::{backend}}},\n'
    if number is None:
        unknown = f'    {{"{name}", -1, SystemCall::Backend::{backend}}},\n'
    else:
        value = f"sizeof(long) == 4 ? {number} : -1" if ONLY_32_BIT.fullmatch(name) else number
        unknown = f'    {{"{name}", {value}, SystemCall::Backend::{backend}}},\n'
    return f"#ifdef {macro}\n{known}#else\n{unknown}#endif\n"


def main() -> int:
    source, output = map(pathlib.Path, sys.argv[1:])
    entries = []
    names = set()
    for line_number, line in enumerate(source.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None or match["name"] in names:
            print(f"{source}:{line_number}: no entry, or one that was there before: {line}", file=sys.stderr)
            return 1
        names.add(match["name"])
        entries.append(entry(match["name"], match["number"], match["backend"]))
    output.write_text(HEAD + "".join(entries) + TAIL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
