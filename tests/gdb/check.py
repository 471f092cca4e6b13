#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`weir tasks` in gdb shows what Scheduler::dump() shows, of a live process and of a core.

usage: check.py SCRIPT PROGRAM…

Each PROGRAM dumps itself to standard output and then stands still.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT_S = 120
TREE_LINE = re.compile(r"^ *\S+  (awaits .*|running|not started)$")


def gdb(*arguments: str) -> str:
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    return done.stdout


def tree(text: str) -> list[str]:
    """The lines of the dump in what gdb printed, without how long things took."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("weir: ")]
    if len(starts) != 1:
        return [f"not one dump, but {len(starts)}"]
    found = [lines[starts[0]], *filter(TREE_LINE.search, lines[starts[0] + 1 :])]
    return [re.sub(r"-?\d+ ms", "N ms", line) for line in found]


class Sample:
    """The standing program, and what it said of itself."""

    def __init__(self, program: str, backend: str):
        self.process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "WEIR_BACKEND": backend},
        )
        self.said = self.process.stdout.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def differences(wanted: list[str], seen: list[str]) -> str:
    return "" if wanted == seen else "dump() says\n" + "\n".join(wanted) + "\ngdb says\n" + "\n".join(seen) + "\n"


def main() -> int:
    script, *programs = sys.argv[1:]
    passed = failed = skipped = 0

    def count(name: str, wrong: str) -> None:
        nonlocal passed, failed
        passed, failed = passed + (not wrong), failed + bool(wrong)
        if wrong:
            print(f"failed: {name}\n{wrong}")

    for program in programs:
        name = pathlib.Path(program).name
        cases = (f"{name}: a live process", f"{name}: a core", f"{name}: a moving clock")
        if shutil.which("gdb") is None:
            reason = "gdb is not installed"
        else:
            reason = ""
        with Sample(program, "epoll") as sample, tempfile.TemporaryDirectory() as folder:
            if not reason:
                core = str(pathlib.Path(folder) / "core")
                said = gdb("-p", str(sample.process.pid), "-x", script, "-ex", "weir tasks", "-ex",
                           f"generate-core-file {core}")
                refused = re.search(r"ptrace: .*", said)
                reason = refused.group() if refused else ""
            if reason:
                for case in cases:
                    print(f"skipped: {case}: {reason}")
                skipped += len(cases)
                continue
            wanted = tree(sample.said)
            enough = len(wanted) == 13  # the sample's tasks and arms, and the head
            count(cases[0], differences(wanted, tree(said)) if enough else "\n".join(wanted))
            count(cases[1], differences(wanted, tree(gdb(program, core, "-x", script, "-ex", "weir tasks"))))
            # Deadlines of hours, seen now: smaller than when they were set, by less than this test takes.
            left = [int(ms) for ms in re.findall(r"deadline in (\d+) ms", said)]
            hour_ms = 3_600_000
            near = [ms for ms in left if any(h * hour_ms - LIMIT_S * 1000 < ms <= h * hour_ms for h in range(1, 9))]
            count(cases[2], "" if len(near) >= 6 else said)
    print(f"suite gdb: {passed} passed, {failed} failed, {skipped} skipped")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
