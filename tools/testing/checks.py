# SPDX-License-Identifier: MIT
"""Checks other than suites: each is a command that succeeds or prints what is wrong. Each counts as one test."""
import dataclasses
import subprocess
import sys

from testing import outcome
from testing.configurations import ROOT


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    about: str
    command: tuple[str, ...]
    purposes: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()  # configurations that must be built first
    always: bool = True  # also when --all is not given


def lint(name: str, about: str, **keywords) -> list[Check]:
    """A lint over the sources, and the proof that it finds what it is for."""
    script = f"tools/lint/{name}.py"
    return [
        Check(name, about, (sys.executable, script), **keywords),
        Check(f"{name} self-test", f"{name} finds planted faults", (sys.executable, script, "--self-test")),
    ]


CHECKS = {
    c.name: c
    for c in [
        *lint("layers", "includes go downward; public headers name no platform"),
        *lint("awaits", "no co_await in a condition, none dropped"),
        *lint("words", "licence lines; no heap containers, value() or #if where they do not belong"),
        *lint("public_headers", "each public header compiles alone", purposes=("build",)),
        *lint("allocation", "the libraries reference no allocation function but a listed few", builds=("gcc",)),
        *lint("format", "clang-format", purposes=("lint",)),
        *lint("tidy", "clang-tidy", purposes=("lint", "clang"), builds=("clang-asan",), always=False),
        Check(
            "tools self-test",
            "the tools' own tests",
            (sys.executable, "-m", "unittest", "discover", "-s", "tools", "-t", "tools", "-p", "*_test.py"),
        ),
        Check(
            "sizes",
            "a small service on 32-bit ARM is no larger than its limit, needs no C++ library, and works",
            (sys.executable, "tools/sizes"),
            purposes=("build", "arm"),
            always=False,
        ),
        Check(
            "frames",
            "the frames of the examples' tasks are at most 5 % larger than recorded, for each target and compiler",
            ("tools/frames",),
            purposes=("build", "arm", "clang"),
            builds=("gcc", "clang", "armhf", "aarch64"),
            always=False,
        ),
        Check("doxygen", "the documentation builds without a warning", ("tools/doxygen",), purposes=("docs",), always=False),
    ]
}


def run(check: Check) -> outcome.Outcome:
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return outcome.of_check(check.name, done.returncode == 0, done.stdout)
