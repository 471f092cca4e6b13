# SPDX-License-Identifier: MIT
"""The initramfs: stripped programs with their shared libraries, in the kernel's "newc" format, which needs no root to
be written."""
import pathlib
import re
import stat
import tempfile

from testing import configurations

HEADER_FIELDS = 13
NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")
INTERPRETER = re.compile(r"program interpreter: (\S+)\]")


class Archive:
    """Files by their path on the board; folders come of themselves."""

    def __init__(self):
        self.entries: dict[str, tuple[int, bytes, int, int]] = {}

    def add(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._put(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def folder(self, path: str, mode: int = 0o755) -> None:
        self._put(path, stat.S_IFDIR | mode, b"")

    def device(self, path: str, major: int, minor: int) -> None:
        self._put(path, stat.S_IFCHR | 0o600, b"", major, minor)

    def _put(self, path: str, mode: int, content: bytes, major: int = 0, minor: int = 0) -> None:
        name = path.strip("/")
        for parent in reversed(pathlib.PurePosixPath(name).parents):
            if str(parent) != ".":
                self.entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b"", 0, 0))
        self.entries[name] = (mode, content, major, minor)

    def bytes(self) -> bytes:
        written = [
            newc_entry(number, name, *entry) for number, (name, entry) in enumerate(self.entries.items(), start=1)
        ]
        return b"".join([*written, newc_entry(0, "TRAILER!!!", 0, b"", 0, 0)])


def newc_entry(number: int, name: str, mode: int, content: bytes, major: int, minor: int) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = [number, mode, 0, 0, links, 0, len(content), 0, 0, major, minor, len(encoded), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return padded(head) + padded(content)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def wanted_by(program: pathlib.Path) -> tuple[list[str], str]:
    """The shared libraries that it names, and its interpreter, if it has one."""
    told = configurations.run(["readelf", "-W", "-l", "-d", str(program)])
    interpreter = INTERPRETER.search(told)
    return NEEDED.findall(told), interpreter[1] if interpreter else ""


class Packer:
    """Puts programs, and once each what they load, into an archive."""

    def __init__(self, archive: Archive, strip: str, library_folders: list[pathlib.Path]):
        self.archive = archive
        self.strip = strip
        self.library_folders = library_folders
        self.packed: set[str] = set()

    def add_program(self, program: pathlib.Path, path: str) -> None:
        if path in self.packed:
            return
        self.packed.add(path)
        self.archive.add(path, self.stripped(program), 0o755)
        libraries, interpreter = wanted_by(program)
        if interpreter:
            self.add_program(self.library(pathlib.Path(interpreter).name), interpreter)
        for name in libraries:
            if f"/lib/{name}" not in self.packed and not any(p.endswith(f"/{name}") for p in self.packed):
                self.add_program(self.library(name), f"/lib/{name}")

    def library(self, name: str) -> pathlib.Path:
        for folder in self.library_folders:
            if (folder / name).exists():
                return (folder / name).resolve()
        searched = ", ".join(str(folder) for folder in self.library_folders)
        raise configurations.BuildFailed(f"no {name} in {searched}")

    def stripped(self, program: pathlib.Path) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "stripped")
            configurations.run([self.strip, "-o", str(copy), str(program)])
            return copy.read_bytes()
