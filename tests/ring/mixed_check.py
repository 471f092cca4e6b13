#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Processes of different machines share a ring: one built for ARM and run by the emulator, one built for this machine.

usage: mixed_check.py NATIVE FOREIGN    (two builds of ring_peer; NATIVE may be missing)
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

TIMEOUT_S = 120


def together(writer: list[str], reader: list[str]) -> str:
    """What went wrong, or nothing."""
    with tempfile.TemporaryDirectory(prefix="weir-") as folder:
        sides = [
            subprocess.Popen([*command, side, folder], stderr=subprocess.PIPE, text=True)
            for command, side in ((writer, "write"), (reader, "read"))
        ]
        wrong = ""
        for process in sides:
            try:
                _, errors = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
                errors += "ran into its time limit\n"
            if process.returncode != 0:
                wrong += f"{' '.join(process.args)}: exit status {process.returncode}\n{errors}"
        return wrong


def main() -> int:
    native, foreign = sys.argv[1:]
    emulated = [*shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")), foreign]
    cases = {
        "an emulated process writes, a native one reads": (emulated, [native]),
        "a native process writes, an emulated one reads": ([native], emulated),
    }
    passed = failed = skipped = 0
    for name, (writer, reader) in cases.items():
        if not pathlib.Path(native).exists():
            print(f"skipped: {name}: there is no build for this machine ({native})")
            skipped += 1
            continue
        wrong = together(writer, reader)
        if wrong:
            print(f"failed: {name}\n{wrong}")
            failed += 1
        else:
            passed += 1
    print(f"suite {os.environ.get('WEIR_SUITE', 'ring between machines')}: "
          f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
