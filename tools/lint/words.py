#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Words that may not stand where they stand: a table of what, where and why."""
import dataclasses
import re
import sys
from collections.abc import Iterator

from sources import Finding, Planted, Source, code_only, line_of, main

LIBRARY = ("runtime/", "ipc/")
LICENCE = "SPDX-License-Identifier: MIT"
CODE_AND_SCRIPTS = (".hpp", ".cpp", ".c", ".py", ".build", ".ini")


@dataclasses.dataclass(frozen=True)
class Rule:
    word: re.Pattern
    where: tuple[str, ...]
    why: str
    but_not: tuple[str, ...] = ()


RULES = [
    Rule(
        re.compile(r"\bstd::(function|string|vector|map|unordered_map|set|list|deque|shared_ptr)\b(?!_view)"),
        LIBRARY,
        "allocates; it belongs in tools and tests",
    ),
    Rule(re.compile(r"(?:\.|->)value\(\)"), (*LIBRARY, "examples/"), "is undefined on an error: test the result first"),
    Rule(
        re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b.*", re.MULTILINE),
        LIBRARY,
        "meson picks files instead",
        but_not=("runtime/src/sys/",),
    ),
    # Names that read it, and those that wait until an instant of it. A function is meant where it is called.
    Rule(
        re.compile(
            r"\b(?:CLOCK_(?:REALTIME|TAI)\w*|(?:system|high_resolution|utc|tai|file)_clock|TIME_UTC|TFD_TIMER_CANCEL_ON_SET"
            r"|IORING_TIMEOUT_REALTIME|timespec_get|gettimeofday|ftime|strftime|(?:gm|local)time(?:_r)?|mq_timed\w+"
            r"|sem_timedwait|pthread_cond_timedwait|pthread_\w+_timed\w*lock|FUTEX_CLOCK_REALTIME)\b"
            r"|(?<![\w.>])(?:std::|::)?time\s*\(\s*(?:nullptr|NULL|0|&)"
        ),
        (*LIBRARY, "examples/", "tools/"),
        "is of the wall clock, which jumps",
    ),
]


# clang-tidy has a check of this, which is off: tools/lint/tidy.py looks at several files as one.
IMPLEMENTATION = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<][^">\n]*\.c(?:pp)?[">]', re.MULTILINE)


def check(source: Source) -> Iterator[Finding]:
    if LICENCE not in "\n".join(source.text.splitlines()[:3]):
        yield Finding(source.path, 1, f"no line {LICENCE} at the head")
    if not source.path.endswith((".hpp", ".cpp")):
        return
    for match in IMPLEMENTATION.finditer(code_only(source.text, keep_includes=True)):
        yield Finding(source.path, line_of(source.text, match.start()), "an implementation is compiled, not included")
    code = code_only(source.text)
    for rule in RULES:
        if source.path.startswith(rule.where) and not source.path.startswith(rule.but_not or ("\0",)):
            for match in rule.word.finditer(code):
                yield Finding(source.path, line_of(code, match.start()), f"{match.group().strip()} {rule.why}")


HEAD = f"// {LICENCE}\n"
PLANTED = [
    Planted("int x;\n", True),
    Planted(HEAD + "int x;\n", False),
    Planted(HEAD + "std::vector<int> x;\n", True),
    Planted(HEAD + "std::string_view x;\n", False),
    Planted(HEAD + "std::string x;\n", False, "examples/leak_detection/x.cpp"),
    Planted(HEAD + "// not std::string\n", False),
    Planted(HEAD + "auto x = r.value();\n", True, "examples/leak_detection/x.cpp"),
    Planted(HEAD + "auto x = r.value();\n", False, "tests/core/x_test.cpp"),
    Planted(HEAD + "auto x = r.value_or(1);\n", False),
    Planted(HEAD + '#include "x.cpp"\n', True),
    Planted(HEAD + '#include "x.hpp"\n', False),
    Planted(HEAD + '// #include "x.cpp"\n', False),
    Planted(HEAD + "#if defined(X)\n#endif\n", True),
    Planted(HEAD + "#ifdef X\n#endif\n", False, "runtime/src/sys/spawn.cpp"),
    Planted(HEAD + "#ifdef X\n#endif\n", True, "runtime/src/backend/uring.cpp"),
    Planted(HEAD + "auto x = clock_gettime(CLOCK_REALTIME, &now);\n", True),
    Planted(HEAD + "auto x = clock_gettime(CLOCK_REALTIME_COARSE, &now);\n", True),
    Planted(HEAD + "auto x = clock_gettime(CLOCK_MONOTONIC, &now);\n", False),
    Planted(HEAD + "auto x = std::chrono::system_clock::now();\n", True),
    Planted(HEAD + "auto x = ::mq_timedsend(queue, text, 1, 0, &until);\n", True),
    Planted(HEAD + "auto x = ::time(nullptr);\n", True, "examples/leak_detection/x.cpp"),
    Planted(HEAD + "auto x = reader.time(0);\n", False, "examples/leak_detection/x.cpp"),
    Planted(HEAD + "auto x = std::time(&now);\n", True, "tools/weir/x.cpp"),
    Planted(HEAD + "auto x = std::chrono::system_clock::now();\n", False, "tests/core/x_test.cpp"),
]

if __name__ == "__main__":
    folders = ("runtime", "ipc", "examples", "tests", "bench", "tools", "cross")
    sys.exit(main(check, folders, PLANTED, CODE_AND_SCRIPTS))
