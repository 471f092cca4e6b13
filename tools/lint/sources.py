# SPDX-License-Identifier: MIT
"""What the lints share: which files there are, C++ text without its comments and literals, and how a lint runs."""
import dataclasses
import pathlib
import re
import sys
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CODE = (".hpp", ".cpp")


@dataclasses.dataclass(frozen=True)
class Source:
    path: str  # from the project's root
    text: str


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def files(*folders: str, suffixes: tuple[str, ...] = CODE) -> list[pathlib.Path]:
    found = []
    for folder in folders:
        found += [p for p in (ROOT / folder).rglob("*") if p.suffix in suffixes and p.is_file()]
    return sorted(found)


def sources(*folders: str, suffixes: tuple[str, ...] = CODE) -> list[Source]:
    return [Source(str(p.relative_to(ROOT)), p.read_text()) for p in files(*folders, suffixes=suffixes)]


TOKENS = re.compile(
    r"""//[^\n]*
      | /\*.*?\*/
      | R"(?P<delimiter>[^(\s]*)\(.*?\)(?P=delimiter)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL | re.VERBOSE,
)


def code_only(text: str, keep_includes: bool = False) -> str:
    """The text with comments and literals blanked, line for line and column for column."""

    def blank(match: re.Match) -> str:
        found = match.group()
        if keep_includes and found.startswith('"'):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if re.match(r"\s*#\s*include", line):
                return found
        filler = re.sub(r"[^\n]", " ", found)
        return '""' + filler[2:] if found[0] in "\"'R" and len(found) >= 2 else filler

    return TOKENS.sub(blank, text)


def without_directives(code: str) -> str:
    """Preprocessor lines blanked, with their continuations."""
    return re.sub(
        r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
        lambda match: re.sub(r"[^\n]", " ", match.group()),
        code,
        flags=re.MULTILINE,
    )


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def closing(code: str, opening: int) -> int:
    """The position of the bracket that closes the one at `opening`; the text's end when there is none."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    stack = []
    for position in range(opening, len(code)):
        character = code[position]
        if character in pairs:
            stack.append(pairs[character])
        elif stack and character == stack[-1]:
            stack.pop()
            if not stack:
                return position
    return len(code)


@dataclasses.dataclass(frozen=True)
class Planted:
    """A source that a lint must find fault with, or must not."""

    text: str
    found: bool
    path: str = "runtime/src/io/planted.cpp"


def main(check: Callable[[Source], Iterable[Finding]], folders: tuple[str, ...], planted: list[Planted],
         suffixes: tuple[str, ...] = CODE) -> int:
    """Runs a lint that looks at one file at a time."""
    if "--self-test" in sys.argv[1:]:
        wrong = [p for p in planted if bool(list(check(Source(p.path, p.text)))) != p.found]
        for p in wrong:
            print(f"{'missed' if p.found else 'wrongly found'} in {p.path}:\n{p.text}\n")
        return int(bool(wrong))
    findings = sorted(finding for source in sources(*folders, suffixes=suffixes) for finding in check(source))
    for finding in findings:
        print(finding)
    return int(bool(findings))
