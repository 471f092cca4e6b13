#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs sample_program in a few environments and checks the lines that tools/test will read from every suite."""
import os
import subprocess
import sys

SKIPPED = [
    "skipped: one that is skipped (the moon is new)",
    "skipped: one that is skipped before its sections (the moon is full)",
]
CASES = [
    # environment, arguments, exit status, the last lines
    (
        {"WEIR_BACKEND": "simulated", "WEIR_SEEDS": "5"},
        [],
        1,
        SKIPPED + ["seeds run: 5", "suite sample: 2 passed, 1 failed, 2 skipped"],
    ),
    (
        {"WEIR_BACKEND": "epoll"},
        [],
        1,
        SKIPPED + ["suite sample: 2 passed, 1 failed, 2 skipped"],
    ),
    (
        {"WEIR_BACKEND": "epoll"},
        ["one that passes"],
        0,
        ["suite sample: 1 passed, 0 failed, 0 skipped"],
    ),
    (
        {"WEIR_BACKEND": "epoll"},
        ["no test has this name"],
        1,
        ["suite sample: 0 passed, 0 failed, 0 skipped", "no test ran"],
    ),
    (
        {"WEIR_BACKEND": "epoll", "WEIR_SKIP_SUITE": "not today"},
        [],
        0,
        ["skipped: all 5 tests (not today)", "suite sample: 0 passed, 0 failed, 5 skipped"],
    ),
]


def main() -> int:
    failed = 0
    for environment, arguments, status, last_lines in CASES:
        run = subprocess.run(
            [sys.argv[1], *arguments],
            env={**os.environ, "WEIR_SUITE": "sample", **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = run.stdout.splitlines()
        if run.returncode != status or lines[-len(last_lines):] != last_lines:
            failed += 1
            print(f"with {environment} {arguments}: exit status {run.returncode}, expected {status}")
            print("printed:  " + "\n          ".join(lines[-8:]))
            print("expected: " + "\n          ".join(last_lines))
    print(f"suite test harness: {len(CASES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
