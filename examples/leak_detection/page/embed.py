#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes files into a C++ source as arrays of bytes.

usage: embed.py OUTPUT FILE…        page.html becomes the span `page_html`
"""
import pathlib
import sys


def main() -> None:
    output, *files = map(pathlib.Path, sys.argv[1:])
    lines = ["// Made by page/embed.py.", '#include "page_documents.hpp"', "", "namespace leak {", "namespace {", ""]
    for file in files:
        bytes_ = file.read_bytes()
        name = file.name.replace(".", "_")
        lines.append(f"constexpr unsigned char {name}_bytes[] = {{")
        for start in range(0, len(bytes_), 24):
            lines.append("    " + "".join(f"{b}," for b in bytes_[start : start + 24]))
        lines += ["};", ""]
    lines += ["}  // namespace", ""]
    for file in files:
        name = file.name.replace(".", "_")
        lines.append(f"const std::span<const unsigned char> {name}{{{name}_bytes}};")
    lines += ["", "}  // namespace leak", ""]
    output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
