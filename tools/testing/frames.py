# SPDX-License-Identifier: MIT
"""How large the frames of some examples' tasks are, compared with what is recorded in tools/frames.txt.

The examples run as in their suite, on epoll, and keep budget records, which `weir budget --read` shows. It fails where a
frame is more than 5 % larger than recorded, where a task has no record, and where the compiler is another. --update
records what there is now: a larger number is a decision, which the change that makes it has to defend.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from testing.configurations import CONFIGURATIONS, ROOT, BuildFailed, Configuration, run  # noqa: E402

RECORD = ROOT / "tools/frames.txt"
GROWTH_MAX = 1.05
NAMES = ("gcc", "clang", "armhf", "aarch64")
READER = ROOT / "build/gcc/tools/weir/weir"
EMULATORS = {"arm-linux-gnueabihf": "qemu-arm", "aarch64-linux-gnu": "qemu-aarch64"}
EXAMPLES = {
    "unix_server": ["unix_server"],
    "ring": ["ring_producer", "ring_consumer"],
    "topic": ["topic_publisher", "topic_subscriber"],
    "service": ["service_server", "service_client"],
}
# Clang's build has no examples: they are compiled here.
CLANG_FLAGS = ["-std=c++20", "-O2", "-fno-exceptions", "-fno-rtti", "-D_FILE_OFFSET_BITS=64"]

# Bytes by (program, task).
Sizes = dict[tuple[str, str], int]


def compiler_of(configuration: Configuration) -> str:
    name = f"{configuration.triplet}-g++" if configuration.triplet else configuration.compiler
    option = "-dumpversion" if "clang" in name else "-dumpfullversion"
    return f"{name} {run([name, option]).strip()}"


def tasks_of(told: str) -> dict[str, int]:
    """What `weir budget` prints, as bytes by task. Of several tasks with one name the second in the source is NAME#2."""
    found = set()
    for line in told.splitlines():
        match = re.fullmatch(r" *(\d+) +\d+ +\d+ +\d+  (\S+):(\d+)", line)
        if match:
            found.add((match[2], int(match[3]), int(match[1])))
    tasks: dict[str, int] = {}
    for name, _, size in sorted(found):
        key, number = name, 1
        while key in tasks:
            number += 1
            key = f"{name}#{number}"
        tasks[key] = size
    return tasks


def compile_for_clang(folder: pathlib.Path) -> list[pathlib.Path]:
    build = CONFIGURATIONS["clang"].folder
    libraries = [str(build / "ipc/libweir-ipc.a"), str(build / "runtime/libweir.a"), "-luring", "-pthread"]

    def compile(name: str) -> pathlib.Path:
        made = folder / name
        includes = ["-Iruntime/include", "-Iipc/include"]
        run(["clang++", *CLANG_FLAGS, *includes, f"examples/{name}.cpp", *libraries, "-o", str(made)])
        return made

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(compile, [name for programs in EXAMPLES.values() for name in programs]))


def wrapper_of(configuration: Configuration) -> dict[str, str]:
    """How its programs run here, in the variable by which meson tells it to check.py; see cross/."""
    triplet = configuration.triplet
    if not triplet:
        return {}
    libraries = f"{ROOT}/build/sysroot/{triplet}/usr/lib/{triplet}"
    command = [EMULATORS[triplet], "-L", f"/usr/{triplet}", "-E", f"LD_LIBRARY_PATH={libraries}"]
    return {"MESON_EXE_WRAPPER": shlex.join(command)}


def measure(configuration: Configuration) -> Sizes:
    with tempfile.TemporaryDirectory() as programs, tempfile.TemporaryDirectory() as records:
        if configuration.name == "clang":
            paths = compile_for_clang(pathlib.Path(programs))
        else:
            paths = [configuration.folder / "examples" / name for names in EXAMPLES.values() for name in names]
        examples = [f"{name}={','.join(names)}" for name, names in EXAMPLES.items()]
        run(
            [sys.executable, "tests/examples/check.py", "examples/expected", *examples, "--", *map(str, paths)],
            env={
                **os.environ,
                **wrapper_of(configuration),
                "WEIR_BUDGET_RECORDS": records,
                "WEIR_BACKEND": "epoll",
            },
        )
        sizes = {}
        for record in sorted(pathlib.Path(records).iterdir()):
            for task, size in tasks_of(run([str(READER), "budget", "--read", str(record)])).items():
                sizes[record.name, task] = size
        if not sizes:
            raise BuildFailed(f"{configuration.name}: the examples kept no records")
        return sizes


class Record:
    """What is written down: for each configuration its compiler and the sizes."""

    def __init__(self):
        self.compilers: dict[str, str] = {}
        self.sizes: dict[str, Sizes] = {name: {} for name in NAMES}

    @classmethod
    def parse(cls, text: str) -> "Record":
        record = cls()
        for line in text.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            head, *rest = line.split()
            if head == "compiler":
                record.compilers[rest[0]] = " ".join(rest[1:])
            elif head != "program":
                task, *numbers = rest
                for name, number in zip(NAMES, numbers, strict=True):
                    if number != "-":
                        record.sizes[name][head, task] = int(number)
        return record

    def text(self) -> str:
        lines = [
            "# SPDX-License-Identifier: MIT",
            "# Bytes of the frames of the examples' tasks, at -O2. Written by `tools/frames --update`, checked in CI.",
            *(f"compiler {name} {self.compilers[name]}" for name in NAMES if name in self.compilers),
            f"{'program':22} {'task':28}" + "".join(f" {name:>8}" for name in NAMES),
        ]
        for program, task in sorted({key for sizes in self.sizes.values() for key in sizes}):
            numbers = [self.sizes[name].get((program, task), "-") for name in NAMES]
            lines.append(f"{program:22} {task:28}" + "".join(f" {number:>8}" for number in numbers))
        return "\n".join(lines) + "\n"


def findings(name: str, recorded: Record, compiler: str, sizes: Sizes) -> list[str]:
    """What is wrong with these sizes; empty if nothing is."""
    was = recorded.compilers.get(name)
    if was != compiler:
        return [f"{name}: recorded with {was}, this is {compiler}; `tools/frames --update {name}` records anew"]
    wrong = []
    for (program, task), size in sorted(sizes.items()):
        before = recorded.sizes[name].get((program, task))
        if before is None:
            wrong.append(f"{name}: {program}, {task}: {size} bytes, not recorded; `tools/frames --update {name}` does")
        elif size > before * GROWTH_MAX:
            wrong.append(f"{name}: {program}, {task}: {size} bytes, was {before}: {100 * size / before - 100:.0f} % more")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/frames", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CONFIGURATION", help=f"of {', '.join(NAMES)}, which are built; all")
    parser.add_argument("--update", action="store_true", help="record what there is now")
    asked = parser.parse_args()
    names = asked.names or NAMES
    if not set(names) <= set(NAMES):
        parser.error(f"no such configuration among {', '.join(NAMES)}")
    record = Record.parse(RECORD.read_text()) if RECORD.exists() else Record()
    wrong = []
    try:
        for name in names:
            configuration = CONFIGURATIONS[name]
            compiler, sizes = compiler_of(configuration), measure(configuration)
            if asked.update:
                record.compilers[name], record.sizes[name] = compiler, sizes
                continue
            found = findings(name, record, compiler, sizes)
            unseen = len(record.sizes[name].keys() - sizes.keys())
            print(f"{name}: {len(sizes)} tasks, {len(found)} wrong" + (f", {unseen} recorded but not seen" if unseen else ""))
            wrong += found
    except BuildFailed as failure:
        sys.exit(str(failure))
    if asked.update:
        RECORD.write_text(record.text())
    print("".join(f"{line}\n" for line in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
