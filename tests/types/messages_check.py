#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The compiler says what is wrong with a type that is no record.

usage: messages_check.py SOURCE -- COMPILER…
"""
import pathlib
import re
import subprocess
import sys


def main() -> int:
    source, _, *compiler = sys.argv[1:]
    wanted = re.findall(r"//! *(.+?) *$", pathlib.Path(source).read_text(), re.MULTILINE)
    command = [*compiler, "-std=c++20", "-fsyntax-only", source]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # The compiler shows the source beside what it says: what it only quotes does not count.
    said = "\n".join(line for line in done.stdout.splitlines() if not re.match(r"\s*\d* \|", line) and "//!" not in line)
    missing = [words for words in wanted if not any(either in said for either in words.split(" | "))]
    if not wanted or done.returncode == 0:
        missing.append("an error at all")
    if missing:
        print(done.stdout, end="")
    for words in missing:
        print(f"the compiler did not say: {words}")
    total = max(len(wanted), 1)
    print(f"suite messages about types: {total - min(len(missing), total)} passed, {len(missing)} failed, 0 skipped")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
