# SPDX-License-Identifier: MIT
"""Boots a board and tells how its suites went."""
import pathlib
import time
from collections.abc import Callable

from boarding import bench, boards, console, images
from boarding.boards import Board
from boarding.suites import BENCH, BUSYBOX, ONCE, Suite, is_program, programs_beside, suites_of
from testing import configurations, outcome, suites

LIMIT_S = 300  # for one suite
AGAIN_MAX = 2  # suites of a board that are run once more when they failed
BOOT_S = 60  # of silence, beyond a suite's limit: what the kernel takes, on a machine that does other things too


class Boots:
    """`say` prints a line, `take` an outcome. `totals` has them by board and backend, in the order of the runs."""

    def __init__(self, say: Callable[[str], None], take: Callable[[outcome.Outcome], None]):
        self.say = say
        self.taken = take
        self.totals: dict[str, list[outcome.Outcome]] = {}

    def take(self, board: Board, label: str, result: outcome.Outcome) -> None:
        self.totals.setdefault(f"{board.name} {label}", []).append(result)
        self.taken(result)

    def choose(self, board: Board, wanted: list[str]) -> list[Suite]:
        """Raises SystemExit for a name of nothing."""
        there = suites_of(board)
        unknown = [name for name in wanted if not any(suites.matching(s.name, [name]) for s in there)]
        if unknown:
            raise SystemExit(f"no board, and no suite that runs on one, is called {', '.join(unknown)}")
        return [s for s in there if not wanted or suites.matching(s.name, wanted)]

    def build(self, board: Board, chosen: list[Suite]) -> None:
        folder = board.built().folder
        programs = [*(suite.program for suite in chosen if is_program(suite)), *programs_beside(board, chosen)]
        targets = sorted({str(program.relative_to(folder)) for program in programs})
        self.say(f"{board.name}: building {board.built().about}")
        configurations.compile(board.built(), *targets)

    def boot(
        self, board: Board, image: bytes, chosen: list[Suite], limit_s: int, take: Callable[[Suite, outcome.Outcome], None]
    ) -> None:
        """`take` gets what became of each suite."""
        kernel = boards.kernel_of(boards.system_of(board))
        packed = board.folder / "initramfs"
        packed.write_bytes(image)
        self.say(f"{board.name}: booting {kernel.name} with {len(image) / 1e6:.0f} MB")
        began = time.monotonic()
        told: set = set()

        def noticed(transcript: console.Transcript) -> None:
            if transcript.up and "up" not in told:
                told.add("up")
                self.say(f"{board.name}: up after {time.monotonic() - began:.1f} s")
            for index, ended in transcript.ended.items():
                if index not in told:
                    told.add(index)
                    take(chosen[index], ended.of(f"{board.name}: {chosen[index].name}", limit_s))
                    if chosen[index].layer == BENCH:
                        for line in bench.ratios(ended.log):
                            self.say(f"{board.name}: {line}")

        total_s = BOOT_S + limit_s * len(chosen) + BOOT_S
        transcript, why = console.watch(board.command(kernel, packed), limit_s + BOOT_S, total_s, noticed)
        self.say(f"{board.name}: off after {time.monotonic() - began:.1f} s")
        for index, suite in enumerate(chosen):
            if index not in transcript.ended:
                words = transcript.last_words() if index == transcript.running or not transcript.up else ""
                name = f"{board.name}: {suite.name}"
                take(suite, outcome.of_check(name, False, f"{words}\n{suite.name}: not done, {why}"))
                transcript.lines, transcript.rest = [], ""
        if why and len(transcript.ended) == len(chosen):
            log = f"{transcript.last_words()}\n{why}"
            self.take(board, ONCE, outcome.of_check(f"{board.name}: power off", False, log))

    def boot_suites(self, board: Board, system: pathlib.Path, programs: list[Suite], limit_s: int) -> None:
        """Runs the few that failed once more, on a board of their own: an emulator that other programs keep waiting makes
        time uneven. What failed at first is told in any case."""
        failed: list[tuple[Suite, outcome.Outcome]] = []

        def boot(suites: list[Suite], take: Callable[[Suite, outcome.Outcome], None]) -> None:
            self.boot(board, images.of_suites(board, system, suites, limit_s), suites, limit_s, take)

        def take(suite: Suite, result: outcome.Outcome) -> None:
            self.take(board, suite.label, result)

        def take_at_first(suite: Suite, result: outcome.Outcome) -> None:
            if result.failed:
                failed.append((suite, result))
            else:
                take(suite, result)

        boot(programs, take_at_first)
        if len(failed) > AGAIN_MAX:
            for suite, result in failed:
                take(suite, result)
        elif failed:
            for _, result in failed:
                self.say(f"{result.name}: failed, and is run again\n{result.log.rstrip()}")
            boot([suite for suite, _ in failed], take)

    def run(self, board: Board, wanted: list[str], limit_s: int = LIMIT_S, build: bool = False) -> None:
        """All suites that a board can run if none is wanted by name."""
        try:
            if build:
                configurations.configure(board.built())
            chosen = self.choose(board, wanted)
            if build:
                self.build(board, chosen)
            board.folder.mkdir(parents=True, exist_ok=True)
            system = boards.system_of(board)
            programs = [s for s in chosen if s.layer != BUSYBOX]
            if programs:
                self.boot_suites(board, system, programs, limit_s)
            for suite in chosen:
                if suite.layer == BUSYBOX:
                    image = images.of_busybox(board, system, suite)
                    self.boot(board, image, [suite], limit_s, lambda of, result: self.take(board, of.label, result))
        except configurations.BuildFailed as failure:
            self.take(board, ONCE, outcome.of_check(f"{board.name}: preparing", False, str(failure)))

    def lines(self) -> list[str]:
        return [f"{name}: {outcome.summary(outcomes)[0][-1]}" for name, outcomes in self.totals.items()]
