# SPDX-License-Identifier: MIT
"""What a board says on its console, and what becomes of one that says nothing more. The lines are init.cpp's."""
import dataclasses
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable

from testing import outcome

MARK = re.compile(r"^@board (up|done|failed .*|begin (\d+)|end (\d+) (?:(exit|signal) (\d+)|(hang)))$")


@dataclasses.dataclass
class Ended:
    """How a suite ended, and what it printed."""

    how: str  # exit, signal or hang
    number: int
    log: str

    def of(self, name: str, limit_s: int) -> outcome.Outcome:
        if self.how == "hang":
            log = f"{self.log}\n{name}: hung, not done after {limit_s} s"
            return outcome.of_check(name, False, log)
        return outcome.of_suite(name, self.number if self.how == "exit" else -self.number, self.log, self.log)


class Transcript:
    """Takes the console's bytes as they come."""

    def __init__(self):
        self.up = False
        self.done = False
        self.failure = ""
        self.ended: dict[int, Ended] = {}
        self.running: int | None = None
        self.lines: list[str] = []  # of the suite that runs, or of the time between suites
        self.rest = ""

    def feed(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data.decode(errors="replace")).split("\n")
        for line in lines:
            self.take(line.rstrip("\r"))

    def take(self, line: str) -> None:
        mark = MARK.match(line)
        if mark is None:
            self.lines.append(line)
        elif mark[1] == "up":
            self.up = True
            self.lines = []
        elif mark[1] == "done":
            self.done = True
        elif mark[1].startswith("failed"):
            self.failure = mark[1]
        elif mark[2] is not None:
            self.running = int(mark[2])
            self.lines = []
        else:
            self.ended[int(mark[3])] = Ended(mark[4] or mark[6], int(mark[5] or 0), "\n".join(self.lines) + "\n")
            self.running = None
            self.lines = []

    def last_words(self) -> str:
        return "\n".join([*self.lines, self.rest])


def watch(
    command: list[str], silence_s: float, total_s: float, noticed: Callable[[Transcript], None]
) -> tuple[Transcript, str]:
    """Runs an emulator to its end; kills one that was silent, or ran, for too long. Returns what was read and, unless
    the board said that it is done, why it is not to be believed."""
    transcript = Transcript()
    emulator = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    until = time.monotonic() + total_s
    why = ""
    try:
        while True:
            patience = min(silence_s, until - time.monotonic())
            if patience <= 0 or not select.select([emulator.stdout], [], [], patience)[0]:
                why = f"the board is not done after {total_s:g} s"
                if patience >= silence_s:
                    why = f"the board hangs: silent for {silence_s:g} s"
                break
            data = os.read(emulator.stdout.fileno(), 65536)
            if not data:
                break
            transcript.feed(data)
            noticed(transcript)
    finally:
        if why or emulator.poll() is None:
            try:
                emulator.wait(timeout=0 if why else 10)
            except subprocess.TimeoutExpired:
                os.killpg(emulator.pid, signal.SIGKILL)
        emulator.stdout.close()
        status = emulator.wait()
    if not why and transcript.failure:
        why = f"the board could not be set up: {transcript.failure}"
    if not why and not transcript.done:
        why = f"the board ended before it was done (the emulator's exit status is {status})"
    return transcript, why
