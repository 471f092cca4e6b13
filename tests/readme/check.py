#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What README.md and docs/*.md show as C++ compiles, and the README's first program prints what the README says.

usage: check.py README LIBRARY INCLUDE… -- LINK…

The program is the first ```cpp block; what it prints is the ```text block that follows. A block that includes something
is compiled as it is. The others of a document are pieces of one program, in order, after the lines of PRELUDE.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

PRELUDE = """\
#include <weir/weir.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <tuple>

using namespace std::chrono_literals;
using namespace weir;
"""
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
BLOCK = re.compile(r"^```cpp\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAM = re.compile(r"^```cpp\n(?P<program>.*?)^```\n.*?^```text\n(?P<output>.*?)^```", re.DOTALL | re.MULTILINE)


def run(command: list, **keywords) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **keywords)


def translation_units(document: str) -> list[str]:
    blocks = BLOCK.findall(document)
    whole = [block for block in blocks if "#include" in block]
    pieces = [block for block in blocks if "#include" not in block]
    return whole + (["\n".join([PRELUDE, *pieces])] if pieces else [])


def compiles(document: pathlib.Path, options: list[str], folder: pathlib.Path) -> bool:
    good = True
    for number, text in enumerate(translation_units(document.read_text())):
        source = folder / f"{document.stem}_{number}.cpp"
        source.write_text(text)
        done = run(["g++", *options, *WARNINGS, "-fsyntax-only", source], stderr=subprocess.STDOUT)
        print(done.stdout, end="")
        good = good and done.returncode == 0
    return good


def prints_what_it_says(readme: pathlib.Path, options: list[str], link: list[str], folder: pathlib.Path) -> bool:
    example = PROGRAM.search(readme.read_text())
    if example is None:
        print("no ```cpp block followed by a ```text block")
        return False
    source = folder / "hello.cpp"
    program = folder / "hello"
    source.write_text(example["program"])
    compiled = run(["g++", *options, *WARNINGS, source, *link, "-o", program], stderr=subprocess.STDOUT)
    print(compiled.stdout, end="")
    if compiled.returncode != 0:
        return False
    ran = run([program], timeout=60)
    if ran.returncode == 0 and ran.stdout == example["output"]:
        return True
    print(f"exit status {ran.returncode}; printed:\n{ran.stdout}the README says:\n{example['output']}")
    return False


def main() -> int:
    name, library, *rest = sys.argv[1:]
    split = rest.index("--")
    options = ["-std=c++20", *[f"-I{include}" for include in rest[:split]]]
    link = [library, "-pthread", *rest[split + 1 :]]
    readme = pathlib.Path(name)
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        results = [prints_what_it_says(readme, options, link, folder)]
        for document in [readme, *sorted(readme.parent.glob("docs/*.md"))]:
            if BLOCK.search(document.read_text()):
                results.append(compiles(document, options, folder))
                if not results[-1]:
                    print(f"{document}: does not compile")
    passed = sum(results)
    print(f"suite readme: {passed} passed, {len(results) - passed} failed, 0 skipped")
    return int(passed != len(results))


if __name__ == "__main__":
    sys.exit(main())
