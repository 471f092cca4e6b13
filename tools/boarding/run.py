#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The driver behind tools/boards."""
import argparse
import dataclasses
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from boarding import boards, console, packing  # noqa: E402
from boarding.boards import BOARDS, Board  # noqa: E402
from testing import configurations, outcome, suites  # noqa: E402

LIMIT_S = 300  # for one suite
BOOT_S = 60  # of silence, beyond a suite's limit: what the kernel takes, on a machine that does other things too
ONCE = "once"
LABELS = {"epoll": "epoll", "io_uring": "uring", "": ONCE}
SEEDS = 4
# Programs that a suite starts, or the folder that holds them.
BESIDE = {"shm": ("tests/shm/foreign_semaphore_peer",), "leak_detection": ("examples/leak_detection/",)}
COMMANDS = {
    "sh": "bin/dash",
    "env": "usr/bin/env",
    **{name: f"bin/{name}" for name in ("cat", "grep", "pwd", "sleep", "true")},
}
FILES = {
    "/etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/host.conf": "multi on\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
    "/etc/resolv.conf": "",
    "/etc/services": "http 80/tcp\ntftp 69/udp\n",
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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/boards",
        description="Boots Debian's kernel under system emulation and runs suites there, on epoll and on io_uring.",
        epilog="The last lines are `BOARD BACKEND: N passed, N failed, N skipped`; "
        "the exit status is 0 only when none failed.",
    )
    names_help = f"a board ({', '.join(BOARDS)}) or a suite; all without"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names_help)
    parser.add_argument("--limit", type=int, default=LIMIT_S, metavar="SECONDS", help="after which a suite hangs")
    parser.add_argument("--no-build", action="store_true", help="take the programs that are built")
    parser.add_argument("--no-install", action="store_true", help="name missing packages and stop")
    return parser.parse_args()


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
    return found


def programs_beside(board: Board, chosen: list[Suite]) -> list[pathlib.Path]:
    folder = board.built().folder
    wanted = tuple(str(folder / start) for suite in chosen for start in BESIDE.get(suite.layer, ()))
    built = [t["filename"][0] for t in introspect("targets", folder) if t["type"] == "executable"]
    return [pathlib.Path(name) for name in built if wanted and name.startswith(wanted)]


def plan(chosen: list[Suite], limit_s: int) -> str:
    lines = []
    for suite in chosen:
        environment = {"PATH": "/bin", "HOME": "/", "WEIR_SEEDS": str(SEEDS), **suite.environment}
        variables = [f"{name}={value}" for name, value in environment.items()]
        lines.append("\t".join([str(limit_s), str(suite.program), *variables]) + "\n")
    return "".join(lines)


def initramfs(board: Board, system: pathlib.Path, chosen: list[Suite], limit_s: int) -> bytes:
    archive = packing.Archive()
    for folder in ("dev", "proc", "sys", "run", "tmp"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    for path, text in FILES.items():
        archive.add(path, text.encode())
    archive.add("/board/plan", plan(chosen, limit_s).encode())

    init = board.folder / "init"
    command = [f"{board.prefix()}g++", "-std=c++20", "-Os", "-fno-exceptions", "-fno-rtti", "-static", "-s"]
    configurations.run([*command, "-o", str(init), str(pathlib.Path(__file__).with_name("init.cpp"))])
    archive.add("/init", init.read_bytes(), 0o755)
    archive.link("/usr/bin", "/bin")

    # At their paths of the build, which some of them know.
    packer = packing.Packer(archive, f"{board.prefix()}strip", board.library_folders())
    for name, path in COMMANDS.items():
        packer.add_program(system / path, f"/bin/{name}")
    for program in [*(suite.program for suite in chosen), *programs_beside(board, chosen)]:
        packer.add_program(program, str(program))
    return archive.bytes()


class Run:
    def __init__(self):
        self.started = time.monotonic()
        self.totals: dict[str, list[outcome.Outcome]] = {}

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)

    def take(self, board: Board, label: str, result: outcome.Outcome) -> None:
        self.totals.setdefault(f"{board.name} {label}", []).append(result)
        if result.failed:
            print(f"---- {result.name}\n{result.log.rstrip()}\n----")
        self.say(f"{result.name}: {result.line()}")
        for skip in result.skips:
            print(f"          {skip}", flush=True)

    def build(self, board: Board, chosen: list[Suite]) -> None:
        folder = board.built().folder
        programs = [*(suite.program for suite in chosen), *programs_beside(board, chosen)]
        targets = sorted({str(program.relative_to(folder)) for program in programs})
        self.say(f"{board.name}: building {board.built().about}")
        configurations.compile(board.built(), *targets)

    def boot(self, board: Board, chosen: list[Suite], limit_s: int) -> None:
        system = boards.system_of(board)
        kernel = boards.kernel_of(system)
        packed = board.folder / "initramfs"
        packed.write_bytes(initramfs(board, system, chosen, limit_s))
        self.say(f"{board.name}: booting {kernel.name} with {packed.stat().st_size / 1e6:.0f} MB")
        began = time.monotonic()
        told: set = set()

        def noticed(transcript: console.Transcript) -> None:
            if transcript.up and "up" not in told:
                told.add("up")
                self.say(f"{board.name}: up after {time.monotonic() - began:.1f} s")
            for index, ended in transcript.ended.items():
                if index not in told:
                    told.add(index)
                    self.take(board, chosen[index].label, ended.of(f"{board.name}: {chosen[index].name}", limit_s))

        total_s = BOOT_S + limit_s * len(chosen) + BOOT_S
        transcript, why = console.watch(board.command(kernel, packed), limit_s + BOOT_S, total_s, noticed)
        self.say(f"{board.name}: off after {time.monotonic() - began:.1f} s")
        for index, suite in enumerate(chosen):
            if index not in transcript.ended:
                words = transcript.last_words() if index == transcript.running or not transcript.up else ""
                name = f"{board.name}: {suite.name}"
                self.take(board, suite.label, outcome.of_check(name, False, f"{words}\n{suite.name}: not done, {why}"))
                transcript.lines, transcript.rest = [], ""
        if why and len(transcript.ended) == len(chosen):
            log = f"{transcript.last_words()}\n{why}"
            self.take(board, ONCE, outcome.of_check(f"{board.name}: power off", False, log))

    def run(self, board: Board, wanted: list[str], limit_s: int, build: bool) -> None:
        try:
            if build:
                configurations.configure(board.built())
            there = suites_of(board)
            unknown = [name for name in wanted if not any(suites.matching(s.name, [name]) for s in there)]
            if unknown:
                sys.exit(f"no board, and no suite that runs on one, is called {', '.join(unknown)}")
            chosen = [s for s in there if not wanted or suites.matching(s.name, wanted)]
            if build:
                self.build(board, chosen)
            board.folder.mkdir(parents=True, exist_ok=True)
            self.boot(board, chosen, limit_s)
        except configurations.BuildFailed as failure:
            self.take(board, ONCE, outcome.of_check(f"{board.name}: preparing", False, str(failure)))

    def summary(self) -> int:
        for name, outcomes in self.totals.items():
            print(f"{name}: {outcome.summary(outcomes)[0][-1]}")
        return outcome.summary([o for each in self.totals.values() for o in each])[1]


def main() -> int:
    asked = arguments()
    wanted_boards = [BOARDS[n] for n in asked.names if n in BOARDS] or list(BOARDS.values())
    wanted_suites = [n for n in asked.names if n not in BOARDS]
    purposes = {"python", "boards"}
    if not asked.no_build:
        purposes.update(purpose for board in wanted_boards for purpose in board.built().purposes)
    configurations.install(purposes, allowed=not asked.no_install)
    run = Run()
    for board in wanted_boards:
        run.run(board, wanted_suites, asked.limit, build=not asked.no_build)
    return run.summary()


if __name__ == "__main__":
    sys.exit(main())
