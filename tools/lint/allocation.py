#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The built libraries reference no function that allocates, but for those that allowed-allocation.txt lists.

usage: allocation.py [BUILD]        (default: build/gcc)

A line there is `SYMBOL OBJECT REASON…`, OBJECT being the source's path with underscores, as meson names its object.
An entry that no library needs any more is a finding too.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from sources import ROOT

ALLOCATES = re.compile(
    r"(?:__(?:libc_)?)?(?:malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc"
    r"|strdup|strndup|asprintf|vasprintf|getline|getdelim|open_memstream|fopen(?:64)?|fdopen|opendir|fdopendir|scandir"
    r"|getaddrinfo|realpath|popen|tempnam|get_current_dir_name)"
    r"|_Zn[aw].*|_Zd[al].*|__cxa_allocate_exception|__cxa_thread_atexit(?:_impl)?"
)
ALLOWED = ROOT / "tools/lint/allowed-allocation.txt"


def references(archive: pathlib.Path) -> list[tuple[str, str]]:
    """(object, symbol) for each undefined symbol of a static library."""
    listed = subprocess.run(["nm", "--undefined-only", "--format=posix", str(archive)], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    found = []
    member = archive.name
    for line in listed.splitlines():
        heading = re.fullmatch(r".*\[(.+)\]:", line)
        if heading:
            member = heading[1]
        elif line.strip():
            found.append((member.removeprefix("src_").removesuffix(".cpp.o"), line.split()[0].split("@")[0]))
    return found


def allocating(archives: list[pathlib.Path]) -> set[tuple[str, str]]:
    return {(m, s) for a in archives for m, s in references(a) if ALLOCATES.fullmatch(s)}


def allowed() -> set[tuple[str, str]]:
    lines = [line.split(maxsplit=2) for line in ALLOWED.read_text().splitlines() if line and not line.startswith("#")]
    if any(len(line) != 3 for line in lines):
        raise SystemExit(f"{ALLOWED.name}: a line without a reason")
    return {(member, symbol) for symbol, member, _ in lines}


def self_test() -> int:
    planted = {
        "uses_new.cpp": ("int* f() { return new int; }", True),
        "uses_malloc.cpp": ("#include <cstdlib>\nvoid* f() { return std::malloc(3); }", True),
        "uses_string.cpp": ("#include <string>\nstd::string f(const char* x) { return x; }", True),
        "uses_strdup.cpp": ("#include <cstring>\nchar* f(const char* x) { return strdup(x); }", True),
        "uses_nothing.cpp": ("#include <cstring>\nvoid f(char* x) { std::memset(x, 0, 9); }", False),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, found) in planted.items():
            source = pathlib.Path(folder, name)
            source.write_text(text)
            subprocess.run(["g++", "-std=c++20", "-O2", "-c", name, "-o", f"src_{name}.o"], cwd=folder, check=True)
            archive = source.with_suffix(".a")
            subprocess.run(["ar", "rc", archive.name, f"src_{name}.o"], cwd=folder, check=True)
            hits = allocating([archive])
            if bool(hits) != found or any(member != source.stem for member, _ in hits):
                wrong.append(name)
    print("\n".join(wrong), end="")
    return int(bool(wrong))


def main() -> int:
    if "--self-test" in sys.argv[1:]:
        return self_test()
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/gcc")
    archives = [*build.glob("runtime/libweir.a"), *build.glob("ipc/libweir-ipc.a")]
    if not archives:
        print(f"no library in {build}")
        return 1
    found, expected = allocating(archives), allowed()
    for member, symbol in sorted(found - expected):
        demangled = subprocess.run(["c++filt", symbol], stdout=subprocess.PIPE, text=True).stdout.strip()
        print(f"{member} references {symbol} ({demangled})")
    for member, symbol in sorted(expected - found):
        print(f"{ALLOWED.name} allows {symbol} in {member}, which does not reference it")
    return int(found != expected)


if __name__ == "__main__":
    sys.exit(main())
