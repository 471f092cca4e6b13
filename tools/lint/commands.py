# SPDX-License-Identifier: MIT
"""Running a compiler or the like on many files, two at a time."""
import concurrent.futures
import subprocess
from collections.abc import Callable

from sources import ROOT

JOBS = 2


def outputs(items: list, command: Callable[[object], list[str]], stdin: Callable[[object], str] | None = None) -> list[str]:
    """What the command printed for each item that it failed on."""

    def one(item) -> str:
        done = subprocess.run(
            command(item),
            cwd=ROOT,
            input=stdin(item) if stdin else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return (done.stdout or f"{item}: exit status {done.returncode}\n") if done.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return [out for out in pool.map(one, items) if out]
