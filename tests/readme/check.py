#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's first program compiles and prints what the README says it prints.

usage: check.py README LIBRARY INCLUDE… -- LINK…

The program is the first ```cpp block; what it prints is the ```text block that follows.
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def main() -> int:
    readme, library, *rest = sys.argv[1:]
    split = rest.index("--")
    includes, link = rest[:split], rest[split + 1 :]
    text = pathlib.Path(readme).read_text()
    example = re.search(r"^```cpp\n(?P<program>.*?)^```\n.*?^```text\n(?P<output>.*?)^```", text, re.DOTALL | re.MULTILINE)
    passed = False
    if example is None:
        print("no ```cpp block followed by a ```text block")
    else:
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "hello.cpp")
            program = pathlib.Path(folder, "hello")
            source.write_text(example["program"])
            command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", *[f"-I{i}" for i in includes], source, library]
            compiled = subprocess.run([*command, "-pthread", *link, "-o", program], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
            print(compiled.stdout, end="")
            if compiled.returncode == 0:
                ran = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
                passed = ran.returncode == 0 and ran.stdout == example["output"]
                if not passed:
                    print(f"exit status {ran.returncode}; printed:\n{ran.stdout}the README says:\n{example['output']}")
    print(f"suite readme: {int(passed)} passed, {int(not passed)} failed, 0 skipped")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
