# SPDX-License-Identifier: MIT
"""Benchmarks on a board: the rows of bench/rows.toml that compare weir with plain system calls on one core. The board is
emulated, so no time says anything; what is told is how many times a plain call's each of them is."""
import importlib.util
import pathlib
import shlex

from testing.configurations import ROOT

# What an emulated board does in the time of a run of bench/run.py.
SHARE = 20
REPETITIONS = 3


def read_bench():
    """bench/run.py, which is a program."""
    spec = importlib.util.spec_from_file_location("bench_run", ROOT / "bench/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> list:
    """Their variants are those of weir, and the plain calls."""
    bench = read_bench()
    found = [row for row in bench.read_rows(ROOT / "bench/rows.toml") if "plain" in row.variants and row.cores == 1]
    for row in found:
        row.variants = {n: v for n, v in row.variants.items() if n == "plain" or n.startswith("weir")}
    return found


def programs() -> set[str]:
    return {variant.command[0] for row in rows() for variant in row.variants.values()}


def script(folder: pathlib.Path) -> bytes:
    """Runs each variant in turn, and counts a row as passed if all of them gave a figure. `folder` has the programs."""
    lines = [
        "#!/bin/sh",
        "passed=0 failed=0",
        "try() {",
        "    row=$1 variant=$2",
        "    shift 2",
        '    output=$("$@" 2>&1)',
        "    status=$?",
        "    [ $status -eq 0 ] || good=",
        "    echo figure $row $variant $status $output",
        "}",
    ]
    for row in rows():
        lines.append("good=yes")
        names = list(row.variants)
        for repetition in range(REPETITIONS):
            start = repetition % len(names)
            for name in names[start:] + names[:start]:
                program, *arguments, count = row.variants[name].command
                command = [str(folder / program), *arguments, str(int(count) // SHARE)]
                lines.append(shlex.join(["try", row.name, name, *command]))
        lines.append('if [ "$good" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi')
    lines += ["echo suite bench: $passed passed, $failed failed, 0 skipped", "[ $failed -eq 0 ]"]
    return ("\n".join(lines) + "\n").encode()


def ratios(log: str) -> list[str]:
    """A line for each row of which there are figures."""
    measured = {row.name: row for row in rows()}
    for line in log.splitlines():
        match line.split():
            case ["figure", row, variant, "0", figure, *_] if row in measured:
                measured[row].variants[variant].take(figure)
    told = []
    for row in measured.values():
        plain = row.figure("plain")
        for name, variant in row.variants.items():
            if name != "plain" and plain and variant.figure():
                told.append(f"{row.name}: {name} takes {variant.figure() / plain:.2f} times what plain calls take")
    return told
