#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each example runs, and prints what is written down for it.

usage: check.py EXPECTED (NAME=PROGRAM[,PROGRAM…] | NAME!REASON)… -- PATH…

The paths are those of all programs.

Programs of one name run at the same time, in one new folder, which is also their runtime directory; it has to be empty
when they have ended. PROGRAM prints EXPECTED/PROGRAM.txt, given EXPECTED/PROGRAM.input where there is one. NAME!REASON is
an example that was not built. Where $WEIR_BUDGET_RECORDS names a folder, PROGRAM keeps its budget records in a file of its
name there (tools/frames).
"""
import fcntl
import contextlib
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

LIMIT_S = 60
NO_IO_URING = "io_uring was asked for and cannot be had"


def start(program: pathlib.Path, expected: pathlib.Path, folder: str) -> subprocess.Popen:
    given = expected / f"{program.name}.input"
    wrapper = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))
    records = os.environ.get("WEIR_BUDGET_RECORDS")
    recorded = {"WEIR_BUDGET": f"{records}/{program.name}"} if records else {}
    started = subprocess.Popen(
        [*wrapper, str(program)],
        cwd=folder,
        env={**os.environ, "WEIR_RUNTIME_DIR": folder, **recorded},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Short enough for a pipe: nobody has to read yet, and one that cannot run here may have ended.
    with contextlib.suppress(BrokenPipeError), started.stdin:
        started.stdin.write(given.read_text() if given.exists() else "")
    started.stdin = None
    return started


def run(programs: list[pathlib.Path], expected: pathlib.Path) -> tuple[str, str]:
    """What went wrong, and why it cannot run here; both empty when it passed."""
    wrong = absent = ""
    with tempfile.TemporaryDirectory() as folder:
        started = [start(program, expected, folder) for program in programs]
        for program, process in zip(programs, started):
            try:
                printed, errors = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                for each in started:
                    each.kill()
                printed, errors = process.communicate()
                errors += f"still running after {LIMIT_S} s\n"
            if NO_IO_URING in errors:
                absent = next(line for line in errors.splitlines() if NO_IO_URING in line)
            wanted = (expected / f"{program.name}.txt").read_text()
            if process.returncode != 0 or printed != wanted or errors:
                wrong += f"{program.name}: exit status {process.returncode}; it printed\n{printed}{errors}"
                wrong += f"and should have printed\n{wanted}"
        left = sorted(os.listdir(folder))
        if left:
            wrong += f"left behind: {', '.join(left)}\n"
    return wrong, absent


def main() -> int:
    split = sys.argv.index("--")
    expected = pathlib.Path(sys.argv[1])
    paths = {pathlib.Path(path).name: pathlib.Path(path).resolve() for path in sys.argv[split + 1 :]}
    passed = failed = skipped = 0
    turn = os.open(expected, os.O_RDONLY)
    for example in sys.argv[2:split]:
        if "=" not in example:
            name, reason = example.split("!", 1)
            print(f"skipped: {name}: {reason}")
            skipped += 1
            continue
        name, programs = example.split("=", 1)
        # A message queue has one name for the whole machine, and this runs for two backends at the same time.
        fcntl.flock(turn, fcntl.LOCK_EX)
        wrong, absent = run([paths[program] for program in programs.split(",")], expected)
        fcntl.flock(turn, fcntl.LOCK_UN)
        if absent:
            print(f"skipped: {name}: {absent}")
            skipped += 1
        elif wrong:
            print(f"failed: {name}\n{wrong}")
            failed += 1
        else:
            passed += 1
    print(f"suite {os.environ.get('WEIR_SUITE', 'examples')}: {passed} passed, {failed} failed, {skipped} skipped")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
