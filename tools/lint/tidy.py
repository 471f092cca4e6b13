#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy has nothing to say about the libraries, the programs and the examples, by the checks of .clang-tidy.

usage: tidy.py [--all] [FILE…]

Most of its time goes to the standard library's headers. So files of one folder that are compiled alike are looked at as
one, and where it has something to say, or two of them define the same name, in halves, down to the file alone. What
passed is not looked at again while neither these files, nor any header, nor .clang-tidy changed; --all looks at it all.
"""
import concurrent.futures
import hashlib
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

from commands import JOBS
from sources import ROOT, files

FOLDERS = ("runtime", "ipc", "examples", "tools")
BUILD = ROOT / "build/clang-asan"
PASSED = BUILD / "tidy-passed.json"
Group = tuple[str, tuple[str, ...], list[str]]  # working folder, flags, files of what can be looked at together
TIDY = ["clang-tidy", "--quiet", "--warnings-as-errors=*"]
WITH_A_VALUE = ("-o", "-MF", "-MQ", "-c")
# More at once takes longer: it would be the last to end.
AT_ONCE = 8


def flags(entry: dict) -> tuple[str, ...]:
    """What it is compiled with, but for the names of what comes in and out."""
    words = shlex.split(entry["command"])
    words = words[next(at for at, word in enumerate(words) if word.startswith("-")) :]
    return tuple(w for before, w in zip([""] + words, words) if before not in WITH_A_VALUE and w not in (*WITH_A_VALUE, "-MD"))


def groups(entries: list[dict]) -> list[Group]:
    alike: dict[tuple, list[str]] = {}
    for entry in entries:
        path = str(pathlib.Path(entry["directory"], entry["file"]).resolve())
        alike.setdefault((entry["directory"], flags(entry), str(pathlib.Path(path).parent)), []).append(path)
    return [
        (folder, words, sorted(paths)[at : at + AT_ONCE])
        for (folder, words, _), paths in alike.items()
        for at in range(0, len(paths), AT_ONCE)
    ]


def look(folder: str, words: tuple[str, ...], paths: list[str]) -> str:
    """What there is to say, or nothing."""
    before = [word for path in paths[:-1] for word in ("-include", path)]
    done = subprocess.run(
        [*TIDY, paths[-1], "--", *words, "-w", *before],  # the build warns
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode == 0:
        return ""
    if len(paths) == 1:
        return done.stdout or f"{paths[0]}: exit status {done.returncode}\n"
    half = len(paths) // 2
    return look(folder, words, paths[:half]) + look(folder, words, paths[half:])


def looks(all_of_them: list[Group]) -> list[str]:
    """What there is to say of each."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(lambda group: look(*group), all_of_them))


def digest(group: Group, shared: bytes) -> str:
    folder, words, paths = group
    texts = b"".join(pathlib.Path(path).read_bytes() for path in paths)
    return hashlib.sha256(shared + json.dumps([folder, words, paths]).encode() + texts).hexdigest()


def self_test() -> int:
    planted = {
        "good.cpp": ("namespace { int f(int x) { return x + 1; } }\nint g() { return f(1); }\n", False),
        "clashes.cpp": ("namespace { int f(int x) { return x + 2; } }\nint h() { return f(1); }\n", False),
        "moved.cpp": ("#include <utility>\n#include <memory>\nint f(std::unique_ptr<int> x) {\n"
                      "    auto y = std::move(x);\n    return *x + *y;\n}\n", True),
        "copied.cpp": ("struct Big { int x[99]; Big(const Big&); };\nint f(Big big) { return big.x[0]; }\n", True),
        "the_last.cpp": ("int k(int x) { return x + 1; }\n", False),
    }
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as outside:
        folder = pathlib.Path(outside, "tools")  # one that .clang-tidy names
        folder.mkdir()
        for name, (text, _) in planted.items():
            pathlib.Path(folder, name).write_text(text)
        entries = [
            {"directory": str(folder), "file": n, "command": f"clang++ -std=c++20 -o x.o -c {n}"} for n in planted
        ]
        found = "".join(looks(groups(entries)))
    wrong = [name for name, (_, to_find) in planted.items() if (f"{name}:" in found) != to_find]
    print("\n".join(wrong), end="")
    return int(bool(wrong))


def main() -> int:
    if "--self-test" in sys.argv[1:]:
        return self_test()
    named = {pathlib.Path(a).resolve() for a in sys.argv[1:] if not a.startswith("-")}
    wanted = named or set(files(*FOLDERS, suffixes=(".cpp",)))
    compiled = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        # What two programs share is looked at once.
        compiled.setdefault(pathlib.Path(entry["directory"], entry["file"]).resolve(), entry)
    there = groups([entry for path, entry in compiled.items() if path in wanted])
    shared = b"".join(p.read_bytes() for p in [ROOT / ".clang-tidy", *files(*FOLDERS, suffixes=(".hpp",))])
    now = [digest(group, shared) for group in there]
    before = json.loads(PASSED.read_text()) if PASSED.exists() and "--all" not in sys.argv[1:] else []
    to_do = [(group, key) for group, key in zip(there, now) if key not in before]
    said = looks([group for group, _ in to_do])
    print("".join(said), end="")
    failed = {key for (_, key), words in zip(to_do, said) if words}
    if not named:
        PASSED.write_text(json.dumps([key for key in now if key not in failed]))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
