#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles alone, twice in a row, in the GNU mode (where `unix` and `linux` are macros), and all
compile together without exceptions and RTTI; without a warning to a user who turns many on."""
import pathlib
import sys
import tempfile

from commands import outputs
from sources import ROOT, files

FOLDERS = ("runtime/include", "ipc/include")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wold-style-cast", "-Werror"]
ALONE = ["-std=gnu++20"]
# What is wrong here does not depend on what else was included, and the compiler names the header: one run tells it.
TOGETHER = ["-std=c++20", "-fno-exceptions", "-fno-rtti"]


def failures(headers: list[str], includes: list[str]) -> list[str]:
    command = ["g++", "-fsyntax-only", *WARNINGS, *[f"-I{i}" for i in includes], "-x", "c++", "-"]
    return outputs(
        [(headers, TOGETHER), *[([header] * 2, ALONE) for header in headers]],
        lambda item: [*command[:1], *item[1], *command[1:]],
        lambda item: "".join(f"#include <{header}>\n" for header in item[0]),
    )


def self_test() -> int:
    with tempfile.TemporaryDirectory() as folder:
        good = pathlib.Path(folder, "good.hpp")
        good.write_text("#pragma once\n#include <cstddef>\ninline std::size_t f() { return 1; }\n")
        planted = {
            "needs_another.hpp": "#pragma once\nstd::size_t f();\n",
            "not_once.hpp": "struct X {};\n",
            "macro.hpp": "#pragma once\nnamespace unix {}\n",
            "throws.hpp": "#pragma once\ninline void f() { throw 1; }\n",
            "warns.hpp": "#pragma once\ninline int f(long x) { return (int)x; }\n",
        }
        for name, text in planted.items():
            pathlib.Path(folder, name).write_text(text)
        wrong = failures(["good.hpp"], [folder])
        wrong += [n for n in planted if not failures([n], [folder])]
    print("\n".join(wrong), end="")
    return int(bool(wrong))


def main() -> int:
    if "--self-test" in sys.argv[1:]:
        return self_test()
    headers = [str(h.relative_to(ROOT / f)) for f in FOLDERS if (ROOT / f).is_dir() for h in files(f)]
    found = failures(headers, list(FOLDERS))
    print("".join(found), end="")
    return int(bool(found) or not headers)


if __name__ == "__main__":
    sys.exit(main())
