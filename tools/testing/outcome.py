# SPDX-License-Identifier: MIT
"""What was run and how it went: the counts of suites and checks, and the lines that a run ends with."""
import dataclasses
import re

SKIPPED = re.compile(r"^skipped: .*$", re.MULTILINE)
SEEDS = re.compile(r"^seeds run: (\d+)$", re.MULTILINE)
TOTALS = re.compile(r"^suite (.+): (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


@dataclasses.dataclass
class Outcome:
    """One suite in one configuration, or one check."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seeds: int = 0
    skips: list[str] = dataclasses.field(default_factory=list)
    log: str = ""  # shown when something failed

    def line(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def of_check(name: str, passed: bool, log: str) -> Outcome:
    return Outcome(name, passed=int(passed), failed=int(not passed), log=log)


def of_suite(name: str, exit_status: int, out: str, log: str) -> Outcome:
    """Reads a test program's output. One that ended without its totals, or that says it passed and exits otherwise,
    counts as a failure: a suite that crashes half-way must not look like a short one."""
    totals = TOTALS.findall(out)
    if len(totals) != 1:
        return Outcome(name, failed=1, log=f"{log}\n{name}: no totals printed (exit status {exit_status})")
    _, passed, failed, skipped = totals[0]
    outcome = Outcome(
        name,
        int(passed),
        int(failed),
        int(skipped),
        sum(int(n) for n in SEEDS.findall(out)),
        SKIPPED.findall(out),
        log,
    )
    if exit_status != 0 and outcome.failed == 0:
        outcome.failed = 1
        outcome.log += f"\n{name}: exit status {exit_status}, though its totals name no failure"
    if outcome.passed + outcome.failed + outcome.skipped == 0:
        outcome.failed = 1
        outcome.log += f"\n{name}: no test ran"
    return outcome


def summary(outcomes: list[Outcome]) -> tuple[list[str], int]:
    """The closing lines, and the exit status."""
    total = Outcome("all")
    for outcome in outcomes:
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
        total.seeds += outcome.seeds
    lines = []
    if total.passed + total.failed == 0:
        lines.append("no test ran")
    if total.seeds:
        lines.append(f"seeds run: {total.seeds}")
    lines.append(total.line())
    return lines, int(total.failed != 0 or total.passed == 0)
