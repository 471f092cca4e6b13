#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmark programs and compares their figures.

rows.toml lists the rows, their variants and goals; README.md says how the figures are taken.
The variants of a row run in turn, several times over, and each variant's figure is the median.
"""

import argparse
import json
import operator
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
STATUS_SKIPPED = 77  # measurement.cpp says so too
PROGRAM_SECONDS_MAX = 120
JSON_VARIANTS = ("weir", "plain", "asio")  # present in every row, null where they do not apply
GOAL = re.compile(r"(?P<left>[a-z_.]+) (?P<sign><=|<) (?P<factor>[0-9_.]+)?( \* )?(?P<right>[a-z_.]+)?")
SIGNS = {"<=": operator.le, "<": operator.lt}


class BadGoal(Exception):
    pass


@dataclass
class Variant:
    """One way of doing a row's work, and what came of running it."""

    name: str
    command: list[str]
    runs: list[float] = field(default_factory=list)
    extras: dict[str, list[float]] = field(default_factory=dict)
    least_counts: bool = False  # the least of all runs is the figure, not the median
    missing: str | None = None  # why there is no figure
    broken: bool = False  # the program failed, as opposed to being unavailable here

    def figure(self) -> float | None:
        if not self.runs or self.missing:
            return None
        return min(self.runs) if self.least_counts else statistics.median(self.runs)

    def spread(self) -> float:
        """The farthest that a run lies from the median, as a part of it."""
        middle = self.figure()
        return max(abs(run - middle) for run in self.runs) / middle if middle else 0

    def run(self, build: pathlib.Path, cpus: set[int]) -> None:
        if self.missing:
            return
        program = build / "bench" / self.command[0]
        if not program.exists():
            self.missing = f"{self.command[0]} is not built"
            return
        try:
            done = subprocess.run(
                [program, *self.command[1:]],
                capture_output=True,
                text=True,
                timeout=PROGRAM_SECONDS_MAX,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            )
        except subprocess.TimeoutExpired:
            self.fail(f"still running after {PROGRAM_SECONDS_MAX} s")
            return
        complaint = " ".join(done.stderr.split())
        if done.returncode == STATUS_SKIPPED:
            self.missing = complaint
        elif done.returncode != 0:
            self.fail(f"status {done.returncode}: {complaint}")
        else:
            self.take(done.stdout)

    def fail(self, reason: str) -> None:
        self.missing, self.broken = reason, True

    def take(self, output: str) -> None:
        try:
            first, *rest = output.splitlines()
            self.runs.append(float(first))
            for line in rest:
                name, value = line.split()
                self.extras.setdefault(name, []).append(float(value))
        except ValueError:
            self.fail(f"printed no figure: {output!r}")


@dataclass
class Row:
    name: str
    what: str
    unit: str
    cores: int
    goals: list[str]
    variants: dict[str, Variant]

    def measure(self, build: pathlib.Path, cpu: int, repetitions: int) -> None:
        variants = list(self.variants.values())
        others = sorted(os.sched_getaffinity(0) - {cpu}, reverse=True)
        cpus = {cpu, *others[: self.cores - 1]}
        for repetition in range(repetitions):
            # Another one begins each time, so that none always runs right after the same neighbour.
            start = repetition % len(variants)
            for variant in variants[start:] + variants[:start]:
                variant.run(build, cpus)

    def figure(self, name: str) -> float | None:
        """`weir` is a variant's figure, `weir.longest_turn_ns` what it reported besides; None if there is none.

        Of a longest time the smallest of all runs counts: the work is the same in each of them, and
        what is longer in one was another program's interruption.
        """
        variant_name, _, extra = name.partition(".")
        if variant_name not in self.variants:
            raise BadGoal(f"row {self.name} has no variant {variant_name}")
        variant = self.variants[variant_name]
        if not extra or variant.figure() is None:
            return variant.figure()
        values = variant.extras.get(extra)
        if values is None:
            return None
        return min(values) if extra.startswith("longest") else statistics.median(values)

    def judge(self, goal: str) -> dict:
        """The goal with `holds`: true, false, or null when a figure is missing."""
        match = GOAL.fullmatch(goal)
        if not match or not (match["factor"] or match["right"]):
            raise BadGoal(f"row {self.name}: cannot read the goal {goal!r}")
        limit = float(match["factor"] or 1)
        measured = self.figure(match["left"])
        if match["right"]:
            other = self.figure(match["right"])
            measured = measured / other if measured is not None and other else None  # nothing is a multiple of 0
        holds = None if measured is None else SIGNS[match["sign"]](measured, limit)
        return {"goal": goal, "measured": rounded(measured, 3), "holds": holds}

    def ratio(self, name: str) -> float | None:
        other = self.variants.get(name)
        weir = self.variants["weir"].figure()
        if weir is None or other is None or not other.figure():
            return None
        return weir / other.figure()

    def as_json(self) -> dict:
        figures = {name: None for name in JSON_VARIANTS}
        figures |= {name: rounded(variant.figure(), 2) for name, variant in self.variants.items()}
        extras = {
            f"{name}.{extra}": rounded(self.figure(f"{name}.{extra}"), 2)
            for name, variant in self.variants.items()
            for extra in variant.extras
            if variant.figure() is not None
        }
        return {
            **figures,
            "unit": self.unit,
            **{f"ratio_{name}": rounded(self.ratio(name), 3) for name in self.variants if name != "weir"},
            "what": self.what,
            "goals": [self.judge(goal) for goal in self.goals],
            "extras": extras,
            "missing": {v.name: v.missing for v in self.variants.values() if v.missing},
            "runs": {v.name: v.runs for v in self.variants.values() if v.runs},
        }

    def print(self) -> None:
        print(f"\n{self.name}: {self.what}")
        for variant in self.variants.values():
            figure = variant.figure()
            if figure is None:
                print(f"  {variant.name:<12}{'-':>12}      {variant.missing}")
                continue
            line = f"  {variant.name:<12}{figure:>12,.1f} {self.unit}   ±{variant.spread():.0%}"
            ratio = self.ratio(variant.name)
            if ratio is not None and variant.name != "weir":
                line += f"   weir takes {ratio:.2f} times that"
            for extra in variant.extras:
                line += f"   {extra} {self.figure(f'{variant.name}.{extra}'):,.0f}"
            print(line)
        for goal in map(self.judge, self.goals):
            word = {True: "holds", False: "MISSED", None: "unknown"}[goal["holds"]]
            measured = "" if goal["measured"] is None else f"   ({goal['measured']:,})"
            print(f"  {word:<12}{goal['goal']}{measured}")


def rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def read_rows(path: pathlib.Path) -> list[Row]:
    with path.open("rb") as file:
        table = tomllib.load(file)
    return [
        Row(
            entry["name"],
            entry["what"],
            entry.get("unit", "ns"),
            entry.get("cores", 1),
            entry.get("goals", []),
            {
                name: Variant(name, command.split(), least_counts=entry.get("least_counts", False))
                for name, command in entry["variants"].items()
            },
        )
        for entry in table["row"]
    ]


def chosen(rows: list[Row], names: list[str]) -> list[Row]:
    """The rows named, or all. A name may stop short: `pipe` means both pipe rows."""
    for name in names:
        if not any(row.name.startswith(name) for row in rows):
            known = ", ".join(row.name for row in rows)
            sys.exit(f"no row is called {name}; there are {known}")
    return [row for row in rows if not names or any(row.name.startswith(name) for name in names)]


def arguments() -> argparse.Namespace:
    cpus = os.sched_getaffinity(0)
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a row, or how its name begins; default: all")
    parser.add_argument(
        "--build",
        type=pathlib.Path,
        default=HERE.parent / "build" / "bench",
        metavar="DIR",
        help="the build directory (build/bench)",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N", help="runs of each variant (7)")
    parser.add_argument("--cpu", type=int, default=max(cpus), metavar="N", help="the core that is used, or the first of two")
    parser.add_argument("--list", action="store_true", help="say which rows these are, and run none")
    parser.add_argument("--check", action="store_true", help="fail unless every goal is known to hold")
    given = parser.parse_args()
    if given.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    if given.cpu not in cpus:
        parser.error(f"--cpu {given.cpu}: this process may use {sorted(cpus)}")
    return given


def main() -> int:
    given = arguments()
    rows = chosen(read_rows(HERE / "rows.toml"), given.names)
    for row in rows:
        for goal in row.goals:
            row.judge(goal)  # a goal that cannot be read should not cost a run
    if given.list:
        for row in rows:
            print(f"{row.name}: {row.what}")
        return 0
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"other programs keep this machine busy (load {load:.1f}): expect noise")
    print(f"{given.repetitions} runs of each variant in turn on CPU {given.cpu} (and another, where a row takes two), medians; ±: the farthest run")
    for row in rows:
        row.measure(given.build, given.cpu, given.repetitions)
        row.print()
        sys.stdout.flush()

    judged = [row.judge(goal)["holds"] for row in rows for goal in row.goals]
    print(f"\ngoals: {judged.count(True)} hold, {judged.count(False)} missed, {judged.count(None)} unknown")
    if given.json:
        given.json.write_text(json.dumps({row.name: row.as_json() for row in rows}, indent=2) + "\n")
    broken = any(variant.broken for row in rows for variant in row.variants.values())
    return 1 if broken or (given.check and not all(judged)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BadGoal, OSError) as error:
        sys.exit(f"{error}")
