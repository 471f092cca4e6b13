# SPDX-License-Identifier: MIT
"""The boards: which emulator, which kernel of Debian's, and which configuration's programs run on it."""
import dataclasses
import json
import pathlib

from testing import configurations
from testing.configurations import CONFIGURATIONS, ROOT, Configuration

# What suites start as children, /bin/sh and the like, and a library that the cross compiler has not. Busybox goes by its own
# name, which some of them choose: it is for a board without suites.
PROGRAMS = ("dash", "coreutils", "grep", "libpcre2-8-0", "busybox-static")
MEMORY_MB = 1024
ALL_IN_SHORT = ("sys", "backend", "scheduler", "io", "names", "shm", "ring", "topic", "service", "tools", "busybox init")
PROCESSORS = 2


@dataclasses.dataclass(frozen=True)
class Board:
    name: str
    configuration: str
    architecture: str  # Debian's word
    kernel: str  # the package that depends on the newest one
    emulator: tuple[str, ...]
    console: str
    in_short: tuple[str, ...]  # the suites that run there whenever all is tested

    def built(self) -> Configuration:
        return CONFIGURATIONS[self.configuration]

    @property
    def folder(self) -> pathlib.Path:
        return ROOT / "build/boards" / self.name

    def prefix(self) -> str:
        """Of the names of the compiler and its kin."""
        triplet = self.built().triplet
        return f"{triplet}-" if triplet else ""

    def library_folders(self) -> list[pathlib.Path]:
        triplet = self.built().triplet
        if triplet:
            folders = [ROOT / "build/sysroot" / triplet / "usr/lib" / triplet, pathlib.Path("/usr", triplet, "lib")]
        else:
            triplet = "x86_64-linux-gnu"
            folders = [pathlib.Path("/lib", triplet), pathlib.Path("/usr/lib", triplet), pathlib.Path("/lib64")]
        return [*folders, self.folder / "debian/usr/lib" / triplet]

    def command(self, kernel: pathlib.Path, initramfs: pathlib.Path) -> list[str]:
        # A panic ends the emulator. Only what is as bad as that is let between the lines of the suites.
        words = f"console={self.console} panic=-1 loglevel=1"
        return [
            *self.emulator,
            *("-smp", str(PROCESSORS), "-m", str(MEMORY_MB), "-nic", "none", "-no-reboot"),
            *("-display", "none", "-monitor", "none", "-serial", "stdio"),
            *("-kernel", str(kernel), "-initrd", str(initramfs), "-append", words),
        ]


BOARDS = {
    b.name: b
    for b in [
        Board(
            "aarch64",
            "aarch64",
            "arm64",
            "linux-image-arm64",
            ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53"),
            "ttyAMA0",
            ALL_IN_SHORT,
        ),
        Board(
            "armv7",
            "armhf",
            "armhf",
            "linux-image-armmp-lpae",
            ("qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15"),
            "ttyAMA0",
            ("sys", "backend", "scheduler", "names", "shm", "ring"),
        ),
        Board(
            "x86_64",
            "gcc",
            "amd64",
            "linux-image-cloud-amd64",
            ("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max"),
            "ttyS0",
            ("backend", "scheduler", "ring"),
        ),
    ]
}


def system_of(board: Board) -> pathlib.Path:
    """The unpacked packages, downloaded the first time."""
    folder = board.folder / "debian"
    stamp = board.folder / "debian.json"
    packages = [f"{board.kernel}/", *PROGRAMS]
    wanted = json.dumps(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        command = [str(ROOT / "tools/unpack-packages"), "--without", "./lib/modules", board.architecture, str(folder)]
        print(configurations.run([*command, *packages]), end="", flush=True)
        stamp.write_text(wanted)
    return folder


def kernel_of(system: pathlib.Path) -> pathlib.Path:
    (kernel,) = system.glob("boot/vmlinuz-*")
    return kernel
