# SPDX-License-Identifier: MIT
"""What runs on a board: the suites of a build that are programs, benchmarks, and a board that busybox's init brings up."""
import dataclasses
import json
import pathlib

from boarding import bench
from boarding.boards import Board
from testing import configurations

ONCE = "once"
LABELS = {"epoll": "epoll", "io_uring": "uring", "": ONCE}
BUSYBOX = "busybox init"
BENCH = "bench"
# Programs that a suite starts, or the folder that holds them.
BESIDE = {
    "shm": ("tests/shm/foreign_semaphore_peer",),
    "leak_detection": ("examples/leak_detection/",),
    BENCH: tuple(f"bench/{program}" for program in sorted(bench.programs())),
    BUSYBOX: ("examples/leak_detection/weir-leak-", "examples/service_", "tools/weir/weir"),
}


@dataclasses.dataclass(frozen=True)
class Suite:
    name: str  # io on epoll
    layer: str  # io
    program: pathlib.Path
    environment: dict[str, str]

    @property
    def label(self) -> str:
        return LABELS[self.environment.get("WEIR_BACKEND", "")]


def introspect(what: str, folder: pathlib.Path) -> list[dict]:
    return json.loads(configurations.run(["meson", "introspect", f"--{what}", str(folder)]))


def suites_of(board: Board) -> list[Suite]:
    """Those that are a program alone and ask a kernel; the others are scripts, or run on the simulated one."""
    folder = board.built().folder
    found = []
    for test in introspect("tests", folder):
        program = pathlib.Path(test["cmd"][0])
        is_program = len(test["cmd"]) == 1 and program.is_relative_to(folder)
        if is_program and test["env"].get("WEIR_BACKEND") != "simulated":
            found.append(Suite(test["name"], test["name"].split(" on ")[0], program, test["env"]))
    if any(target["name"] == "benchmarks" for target in introspect("targets", folder)):
        found.append(Suite(BENCH, BENCH, pathlib.Path("/board/bench"), {}))
    return [*found, Suite(BUSYBOX, BUSYBOX, pathlib.Path(), {})]


def is_program(suite: Suite) -> bool:
    """One of the build's own."""
    return suite.layer not in (BENCH, BUSYBOX)


def programs_beside(board: Board, chosen: list[Suite]) -> list[pathlib.Path]:
    folder = board.built().folder
    wanted = tuple(str(folder / start) for suite in chosen for start in BESIDE.get(suite.layer, ()))
    built = [t["filename"][0] for t in introspect("targets", folder) if t["type"] == "executable"]
    return [pathlib.Path(name) for name in built if wanted and name.startswith(wanted)]
