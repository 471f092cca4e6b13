#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Outside projects build against weir as its users do, and their programs run.

usage: check.py SOURCE BUILD VERSION

BUILD is a finished build of SOURCE; it is installed under a temporary folder.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
JOBS = "-j2"


class Failed(Exception):
    pass


def run(command: list, cwd: pathlib.Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"$ {' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


class Case:
    """What all cases share: where things are, and what the two programs must print."""

    def __init__(self, source: pathlib.Path, build: pathlib.Path, version: str, work: pathlib.Path):
        self.source, self.work, self.version = source, work, version
        run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", work / "destination"])
        (header,) = (work / "destination").rglob("include/weir/version.hpp")
        self.prefix = header.parent.parent.parent
        (library,) = self.prefix.rglob("libweir.so")
        self.libraries = library.parent

    def project(self, name: str) -> pathlib.Path:
        folder = self.work / name
        shutil.copytree(HERE / name, folder)
        shutil.copytree(HERE / "program", folder / "program")
        return folder

    def expect(self, program: pathlib.Path) -> None:
        says = program.name.split("-")[0].replace("deriving", "counting")
        printed = run([program], LD_LIBRARY_PATH=str(self.libraries))
        if printed != f"{says} on weir {self.version}\n":
            raise Failed(f"{program.name} printed {printed!r}")


def meson_subproject(case: Case) -> None:
    """an outside meson project with weir as its subproject, of which it gets the libraries alone"""
    folder = case.project("meson_user")
    (folder / "subprojects").mkdir()
    (folder / "subprojects/weir").symlink_to(case.source)
    run(["meson", "setup", "-Doptimization=0", "build"], cwd=folder)
    run(["ninja", JOBS, "-C", "build"], cwd=folder)
    case.expect(folder / "build/deriving")
    case.expect(folder / "build/plain")
    programs = run(["meson", "introspect", "--targets", "build"], cwd=folder)
    if "test_core" in programs or "weir-leak-detector" in programs:
        raise Failed("as a subproject weir builds its tests or examples")


def cmake_project(case: Case) -> None:
    """an outside CMake project against the installed shared and static libraries"""
    folder = case.project("cmake_user")
    run(["cmake", "-B", "build", f"-DCMAKE_PREFIX_PATH={case.prefix}"], cwd=folder)
    run(["cmake", "--build", "build", JOBS], cwd=folder)
    for kind in ("", "-static"):
        case.expect(folder / f"build/deriving{kind}")
        case.expect(folder / f"build/plain{kind}")


def pkg_config(case: Case) -> None:
    """programs compiled with the flags that pkg-config gives, shared and static"""
    paths = {
        "PKG_CONFIG_PATH": str(case.libraries / "pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": "",
    }
    for static in ([], ["--static"]):
        flags = run(
            ["pkg-config", f"--define-variable=prefix={case.prefix}", "--cflags", "--libs", *static, "weir-ipc"], **paths
        ).split()
        if static:
            # Only weir's own libraries: the rest of a system need not exist as archives.
            flags = [f"-l:lib{f[2:]}.a" if f.startswith("-lweir") else f for f in flags]
        for name in ("deriving", "plain"):
            program = case.work / (name + "".join(static).replace("--", "-"))
            run(["g++", "-std=c++20", HERE / f"program/{name}.cpp", "-o", program, *flags])
            case.expect(program)


def one_copy(case: Case) -> None:
    """the shared libraries share no code: weir-ipc needs the runtime, and does not bring another one"""
    both = [case.libraries / "libweir.so", case.libraries / "libweir-ipc.so"]
    defined = [
        {line.split()[-1] for line in run(["nm", "-D", "--defined-only", library]).splitlines() if " T " in line}
        for library in both
    ]
    if twice := sorted(defined[0] & defined[1]):
        raise Failed(f"{len(twice)} functions are in both libraries, {twice[0]} among them")
    if "libweir.so.0" not in run(["readelf", "-d", both[1]]):
        raise Failed("libweir-ipc.so does not need libweir.so")


def main() -> int:
    source, build, version = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as work:
        case = Case(source, build, version, pathlib.Path(work))
        for check in (meson_subproject, cmake_project, pkg_config, one_copy):
            try:
                check(case)
                passed += 1
            except Failed as failure:
                failed += 1
                print(f"failed: {check.__doc__}\n{failure}")
    print(f"suite install: {passed} passed, {failed} failed, 0 skipped")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
