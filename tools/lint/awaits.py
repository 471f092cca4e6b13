#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where a co_await may stand.

g++ 12 compiles a co_await in a condition wrongly (`if`, `switch`, `while`, `do`, a `for`'s condition, `&&`, `||`,
`?:`), may run one inside a test macro twice, and does not warn of a result that is dropped. So an awaited result is
bound to a name first, and one that is of no interest says so: `std::ignore = co_await …`.

WEIR_CO_TRY and WEIR_CO_CHECK bind what they await before they await it, so a temporary whose bytes it refers to is gone
by then: `bytes_of(Record{…})` in their arguments is a finding. (A function's result may be a view, and passes.)
"""
import re
import sys
from collections.abc import Iterator

from sources import Finding, Planted, Source, closing, code_only, line_of, main, without_directives

AWAIT = re.compile(r"\b(?<!operator )co_await\b")
CONDITION = re.compile(r"\b(if|while|switch)\s*(?:constexpr\s*)?\(")
FOR = re.compile(r"\bfor\s*\(")
MACRO = re.compile(r"\b((?:REQUIRE|CHECK|INFO|CAPTURE|WEIR_ASSERT|assert)\w*)\s*\(")
OPERATOR = re.compile(r"(\s&&\s|\s\|\|\s|\s\?\s|\band\b|\bor\b)")
# What may stand between the beginning of a statement and the statement that it governs.
GOVERNS = re.compile(r"(?P<head>(?:if|while|for|switch)\b\s*(?:constexpr\s*)?\()|else\b\s*|do\b\s*|case\b[^:]*:\s*|\w+\s*:(?!:)\s*")
# Other libraries throw instead of returning a result.
FOREIGN = re.compile(r"#\s*include\s*<asio")
BINDING = re.compile(r"\bauto\s*&{0,2}\s*\[[^\]]*\]\s*=\s*co_await\b")


BOUND = re.compile(r"\bWEIR_CO_(?:TRY|CHECK)\s*\(")
TEMPORARY = re.compile(
    r"\b(?:bytes_of|std::span|ConstBytes)\s*\(\s*(?:(?:\w+::)*[A-Z]\w*|std::(?:array|string|vector))\s*(?:<[^()]*>\s*)?[({]")


def conditions(code: str) -> Iterator[tuple[int, str]]:
    for match in CONDITION.finditer(code):
        opening = match.end() - 1
        if AWAIT.search(code, opening, closing(code, opening)):
            yield match.start(), f"co_await in the condition of {match[1]}"
    for match in FOR.finditer(code):
        opening = match.end() - 1
        parts = code[opening + 1 : closing(code, opening)].split(";")
        if len(parts) == 3 and AWAIT.search(parts[1]):
            yield match.start(), "co_await in the condition of for"


def macros(code: str) -> Iterator[tuple[int, str]]:
    for match in MACRO.finditer(code):
        opening = match.end() - 1
        if AWAIT.search(code, opening, closing(code, opening)):
            yield match.start(), f"co_await inside {match[1]}, which may evaluate it twice"


def before(code: str, position: int) -> int:
    """Where the statement or the bracket that holds `position` begins. Bracketed text before it is passed over."""
    depth = 0
    for index in range(position - 1, -1, -1):
        character = code[index]
        if character in ")]":
            depth += 1
        elif character in "([":
            if depth == 0:
                return index + 1
            depth -= 1
        elif character in ";{}" and depth == 0:
            return index + 1
    return 0


def after(code: str, position: int) -> int:
    depth = 0
    for index in range(position, len(code)):
        character = code[index]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            if depth == 0:
                return index
            depth -= 1
        elif character == ";" and depth == 0:
            return index
    return len(code)


def flat(code: str) -> str:
    """What stands in brackets, blanked: an operator in there has its own operands."""
    depth = 0
    out = []
    for character in code:
        depth -= character in ")]}"
        out.append(character if depth <= 0 or character == "\n" else " ")
        depth += character in "([{"
    return "".join(out)


def operators(code: str) -> Iterator[tuple[int, str]]:
    for match in AWAIT.finditer(code):
        # Outward: the bracket around this await, the one around that, up to the statement.
        begin, end = match.start(), match.end()
        while True:
            begin, end = before(code, begin), after(code, end)
            operator = OPERATOR.search(flat(code[begin:end]))
            if operator:
                yield match.start(), f"co_await beside {operator[1].strip()}"
                break
            if begin == 0 or code[begin - 1] not in "([" or end >= len(code) or code[end] not in ")]":
                break
            begin, end = begin - 1, end + 1


def dropped(code: str) -> Iterator[tuple[int, str]]:
    for match in AWAIT.finditer(code):
        begin = before(code, match.start())
        lead = code[begin : match.start()].strip()
        while governing := GOVERNS.match(lead):
            end = closing(lead, governing.end() - 1) + 1 if governing["head"] else governing.end()
            lead = lead[end:].strip()
        if not lead and (begin == 0 or code[begin - 1] not in "(["):
            yield match.start(), "an awaited result is dropped: bind it, check it, or assign it to std::ignore"


def temporaries(code: str) -> Iterator[tuple[int, str]]:
    for match in BOUND.finditer(code):
        end = closing(code, match.end() - 1)
        for found in TEMPORARY.finditer(code, match.end(), end):
            yield found.start(), "the bytes of a temporary, which is gone when the await begins: name it first"


def check(source: Source) -> Iterator[Finding]:
    code = without_directives(code_only(source.text))
    found = [*conditions(code), *macros(code), *operators(code), *temporaries(code)]
    if not FOREIGN.search(source.text):
        found += dropped(code)
    found += [(m.start(), "an awaited result is destructured: bind it to a name first") for m in BINDING.finditer(code)]
    for position, what in found:
        yield Finding(source.path, line_of(code, position), what)


BAD = [
    "if (co_await f()) {}",
    "if (auto r = co_await f(); r) {}",
    "while (co_await f()) {}",
    "do { x(); } while (!co_await f());",
    "switch (co_await f()) {}",
    "for (; co_await f();) {}",
    "const bool both = a && co_await f();",
    "const bool either = co_await f() || a;",
    "const int n = a ? co_await f() : 0;",
    "const int n = g(a && (co_await f()));",
    "REQUIRE(co_await f());",
    "CHECK_FALSE((co_await f()).has_value());",
    "co_await f();",
    "if (a) co_await f();",
    "if (a) { co_await f(); } else co_await g();",
    "for (auto x : list) co_await f(x);",
    "x(); co_await pipe\n    .write(bytes)\n    .within(1s);",
    "auto [a, b] = co_await f();",
    "case 1: co_await f();",
    "if (g(a)) co_await f(b);",
    "WEIR_CO_CHECK(peer.write(bytes_of(Record{.a = 1})).within(1s));",
    "WEIR_CO_CHECK(peer.write_all(bytes_of(std::array<int, 2>{1, 2})));",
    "WEIR_CO_TRY(auto sent, peer.write(bytes_of(wire::Record(number))));",
]
GOOD = [
    "const auto r = co_await f(); if (r) {}",
    "WEIR_CO_TRY(auto bytes, peer.read(buffer));",
    "std::ignore = co_await f();",
    "co_return co_await fail(error);",
    "return co_await f();",
    "auto&& r = co_await f();",
    "auto r = co_await f(a && b);",
    "auto r = co_await f([](int a) { return a > 0 ? 1 : 2; });",
    "g(co_await f());",
    "for (auto x : co_await f()) {}",
    "// if (co_await f())",
    'log("if (co_await f()) co_await g();");',
    "#define TRY(x) \\\n    if (co_await x) \\\n    co_await y;\n",
    "if (a) { auto r = co_await f(); }",
    "WEIR_CO_CHECK(peer.write(bytes_of(record)));",
    'WEIR_CO_CHECK(peer.write(bytes_of(std::string_view("text"))));',
    "WEIR_CO_CHECK(peer.write(bytes_of(name_of(record))));",
    "auto r = co_await peer.write(bytes_of(Record{.a = 1}));",
    "const bool both = a && b; auto r = co_await f();",
    "CoAwait<D> operator co_await() && noexcept;",
]
PLANTED = [
    Planted(f"Task<> t(Scheduler& scheduler) {{\n    {text}\n}}\n", found)
    for texts, found in ((BAD, True), (GOOD, False))
    for text in texts
]

if __name__ == "__main__":
    sys.exit(main(check, ("runtime", "ipc", "examples", "tests", "bench"), PLANTED))
