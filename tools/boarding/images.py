# SPDX-License-Identifier: MIT
"""What a board boots: an initramfs that runs suites, or one that busybox's init brings up as a product's would."""
import pathlib

from boarding import bench, packing
from boarding.boards import Board
from boarding.suites import BENCH, Suite, is_program, programs_beside
from testing import configurations
from testing.configurations import EMULATED, ROOT

HERE = pathlib.Path(__file__).parent
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
APPLETS = (
    *("cat", "cmp", "find", "grep", "init", "ip", "kill", "mkdir", "mount", "pidof", "poweroff", "seq", "sh"),
    *("sleep", "umount", "usleep"),
)


def empty() -> packing.Archive:
    archive = packing.Archive()
    for folder in ("dev", "proc", "sys", "run", "tmp"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    for path, text in FILES.items():
        archive.add(path, text.encode())
    archive.link("/usr/bin", "/bin")
    return archive


def packer_of(board: Board, archive: packing.Archive) -> packing.Packer:
    return packing.Packer(archive, f"{board.prefix()}strip", board.library_folders())


def plan(chosen: list[Suite], limit_s: int) -> str:
    lines = []
    for suite in chosen:
        # A board is a machine of its own: its clock may be set.
        environment = {"PATH": "/bin", "HOME": "/", "WEIR_SET_WALL_CLOCK": "1", **EMULATED}
        variables = [f"{name}={value}" for name, value in (environment | suite.environment).items()]
        lines.append("\t".join([str(limit_s), str(suite.program), *variables]) + "\n")
    return "".join(lines)


def of_suites(board: Board, system: pathlib.Path, chosen: list[Suite], limit_s: int) -> bytes:
    archive = empty()
    archive.add("/board/plan", plan(chosen, limit_s).encode())

    init = board.folder / "init"
    command = [f"{board.prefix()}g++", "-std=c++20", "-Os", "-fno-exceptions", "-fno-rtti", "-static", "-s"]
    configurations.run([*command, "-o", str(init), str(HERE / "init.cpp")])
    archive.add("/init", init.read_bytes(), 0o755)

    # At their paths of the build, which some of them know.
    packer = packer_of(board, archive)
    for name, path in COMMANDS.items():
        packer.add_program(system / path, f"/bin/{name}")
    for program in [*(suite.program for suite in chosen if is_program(suite)), *programs_beside(board, chosen)]:
        packer.add_program(program, str(program))
    for suite in chosen:
        if suite.layer == BENCH:
            archive.add(str(suite.program), bench.script(board.built().folder / "bench"), 0o755)
    return archive.bytes()


def of_busybox(board: Board, system: pathlib.Path, suite: Suite) -> bytes:
    """The files of packaging/busybox, an example as the service, and a check that runs once beside it."""
    archive = empty()
    shipped = ROOT / "packaging/busybox"
    inittab = (shipped / "inittab").read_text() + "::once:/board/check\n"
    archive.add("/etc/inittab", inittab.encode())
    archive.add("/etc/init.d/rcS", (shipped / "rcS").read_bytes(), 0o755)
    archive.folder("/usr/sbin")
    archive.add("/usr/sbin/weir-service", (shipped / "weir-service").read_bytes(), 0o755)
    archive.add("/board/check", (HERE / "busybox_check").read_bytes(), 0o755)
    archive.add("/board/expected", (ROOT / "examples/expected/service_client.txt").read_bytes())

    packer = packer_of(board, archive)
    packer.add_program(system / "bin/busybox", "/bin/busybox")
    archive.link("/init", "/bin/busybox")
    for name in APPLETS:
        archive.link(f"/bin/{name}", "/bin/busybox")
    for program in programs_beside(board, [suite]):
        packer.add_program(program, f"/bin/{program.name}")
    return archive.bytes()
