# SPDX-License-Identifier: MIT
"""What a driver prints while it runs: a line for each step, with the seconds since its start, and what became of each."""
import threading
import time

from testing import outcome


class Progress:
    """From any thread. `outcomes` has them in the order in which they came."""

    def __init__(self):
        self.outcomes: list[outcome.Outcome] = []
        self.started = time.monotonic()
        self.lock = threading.RLock()  # of what is printed and counted

    def say(self, text: str) -> None:
        with self.lock:
            print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)

    def take(self, result: outcome.Outcome) -> None:
        with self.lock:
            self.outcomes.append(result)
            if result.failed:
                print(f"---- {result.name}\n{result.log.rstrip()}\n----")
            self.say(f"{result.name}: {result.line()}")
            for skip in result.skips:
                print(f"          {skip}", flush=True)
