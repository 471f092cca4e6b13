#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy has nothing to say about the libraries, the programs and the examples, by the checks of .clang-tidy.

usage: tidy.py [--all] [FILE…]

It is slow, so a file that passed is not looked at again while neither it, nor any header, nor .clang-tidy changed;
--all looks at every file.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from commands import outputs
from sources import ROOT, files

FOLDERS = ("runtime", "ipc", "examples", "tools")
BUILD = ROOT / "build/clang"
PASSED = BUILD / "tidy-passed.json"


def command(path: str, build: pathlib.Path) -> list[str]:
    return ["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", str(build), path]


def digest(path: pathlib.Path, shared: bytes) -> str:
    return hashlib.sha256(shared + path.read_bytes()).hexdigest()


def self_test() -> int:
    planted = {
        "good.cpp": ("int f(int x) { return x + 1; }\n", False),
        "moved.cpp": ("#include <utility>\n#include <memory>\nint f(std::unique_ptr<int> x) {\n"
                      "    auto y = std::move(x);\n    return *x + *y;\n}\n", True),
        "copied.cpp": ("struct Big { int x[99]; Big(const Big&); };\nint f(Big big) { return big.x[0]; }\n", True),
    }
    wrong = []
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        entries = [{"directory": folder, "file": n, "command": f"clang++ -std=c++20 -c {n}"} for n in planted]
        pathlib.Path(folder, "compile_commands.json").write_text(json.dumps(entries))
        for name, (text, found) in planted.items():
            path = pathlib.Path(folder, name)
            path.write_text(text)
            status = subprocess.run(command(str(path), pathlib.Path(folder)), cwd=ROOT, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL).returncode
            if (status != 0) != found:
                wrong.append(name)
    print("\n".join(wrong), end="")
    return int(bool(wrong))


def main() -> int:
    if "--self-test" in sys.argv[1:]:
        return self_test()
    named = [a for a in sys.argv[1:] if not a.startswith("-")]
    compiled = {
        str((BUILD / entry["file"]).resolve())
        for entry in json.loads((BUILD / "compile_commands.json").read_text())
    }
    wanted = [pathlib.Path(n).resolve() for n in named] or files(*FOLDERS, suffixes=(".cpp",))
    shared = b"".join(p.read_bytes() for p in [ROOT / ".clang-tidy", *files(*FOLDERS, suffixes=(".hpp",))])
    now = {str(p.relative_to(ROOT)): digest(p, shared) for p in wanted if str(p) in compiled}
    before = json.loads(PASSED.read_text()) if PASSED.exists() and "--all" not in sys.argv[1:] and not named else {}
    to_do = [path for path in now if before.get(path) != now[path]]
    found = outputs(to_do, lambda path: command(path, BUILD))
    print("".join(found), end="")
    if not found:
        PASSED.write_text(json.dumps({**before, **now}))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
