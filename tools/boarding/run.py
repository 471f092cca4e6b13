#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The driver behind tools/boards."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from boarding import boot  # noqa: E402
from boarding.boards import BOARDS  # noqa: E402
from testing import configurations, outcome, progress  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/boards",
        description="Boots Debian's kernel under system emulation and runs suites there, on epoll and on io_uring.",
        epilog="The last lines are `BOARD BACKEND: N passed, N failed, N skipped`; "
        "the exit status is 0 only when none failed.",
    )
    names_help = f"a board ({', '.join(BOARDS)}) or a suite; all without"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names_help)
    parser.add_argument("--limit", type=int, default=boot.LIMIT_S, metavar="SECONDS", help="after which a suite hangs")
    parser.add_argument("--no-build", action="store_true", help="take the programs that are built")
    parser.add_argument("--no-install", action="store_true", help="name missing packages and stop")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    wanted_boards = [BOARDS[n] for n in asked.names if n in BOARDS] or list(BOARDS.values())
    wanted_suites = [n for n in asked.names if n not in BOARDS]
    purposes = {"python", "boards"}
    if not asked.no_build:
        purposes.update(purpose for board in wanted_boards for purpose in board.built().purposes)
    configurations.install(purposes, allowed=not asked.no_install)

    told = progress.Progress()
    boots = boot.Boots(told.say, told.take)
    for board in wanted_boards:
        boots.run(board, wanted_suites, asked.limit, build=not asked.no_build)
    print("\n".join(boots.lines()), flush=True)
    return outcome.summary(told.outcomes)[1]


if __name__ == "__main__":
    sys.exit(main())
