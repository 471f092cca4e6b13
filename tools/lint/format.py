#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-format would change nothing.

usage: format.py [--fix]
"""
import subprocess
import sys

from commands import outputs
from sources import ROOT, files

FOLDERS = ("runtime", "ipc", "examples", "tests", "bench", "tools")


def self_test() -> int:
    def formatted(text: str) -> str:
        return subprocess.run(["clang-format", "--assume-filename=runtime/x.cpp"], cwd=ROOT, input=text, check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    good = "void f(int* x) {\n    if (x != nullptr) *x = 1;\n}\n"
    bad = "void f(int *x)\n{\n  if(x!=nullptr) *x=1;\n}\n"
    return int(formatted(good) != good or formatted(bad) != good)


def main() -> int:
    if "--self-test" in sys.argv[1:]:
        return self_test()
    sources = [str(p.relative_to(ROOT)) for p in files(*FOLDERS)]
    if "--fix" in sys.argv[1:]:
        subprocess.run(["clang-format", "-i", *sources], cwd=ROOT, check=True)
        return 0
    # One process for a handful of files: most of its time is its start.
    groups = [sources[i : i + 16] for i in range(0, len(sources), 16)]
    found = outputs(groups, lambda group: ["clang-format", "--dry-run", "--Werror", "--ferror-limit=1", *group])
    print("".join(found), end="")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
