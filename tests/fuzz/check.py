#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: check.py PROGRAM

Fuzzes each target from its seeds, a fixed number of inputs that are the same every time.
"""
import os
import subprocess
import sys
import tempfile

RUNS = {"hello": 1_000, "ring": 30_000, "record": 100_000}


def run(program: str, target: str, folder: str, *arguments: str, **environment: str) -> tuple[bool, str]:
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**os.environ, "WEIR_FUZZ_TARGET": target, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode == 0, done.stdout


def main() -> int:
    program = os.path.abspath(sys.argv[1])
    failed = 0
    for target, runs in RUNS.items():
        with tempfile.TemporaryDirectory(prefix="weir-fuzz-") as folder:
            corpus = os.path.join(folder, "corpus")
            os.mkdir(corpus)
            good, said = run(program, target, folder, WEIR_FUZZ_SEEDS=corpus)
            if good:
                good, said = run(program, target, folder, f"-runs={runs}", "-seed=1", "-max_len=2048", corpus)
            if not good:
                failed += 1
                print(f"{target}:\n{said}")
    print(f"suite {os.environ.get('WEIR_SUITE', 'fuzz')}: {len(RUNS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
