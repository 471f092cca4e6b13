#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The driver behind tools/test."""
import argparse
import concurrent.futures
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from boarding import boot  # noqa: E402
from boarding.boards import BOARDS  # noqa: E402
from testing import checks, configurations, outcome, progress, suites  # noqa: E402
from testing.checks import CHECKS  # noqa: E402
from testing.configurations import CONFIGURATIONS  # noqa: E402

DEFAULT_CONFIGURATION = "gcc"
LINTS = "lints"
ON_BOARDS = "boards"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/test",
        description="Builds weir and runs its tests: by default the suites of one g++ -O2 build, and the lints.",
        epilog="The last line is `N passed, N failed, N skipped`; the exit status is 0 only when none failed.",
    )
    names_help = f"a configuration, a suite, a check, `{LINTS}`, or `{ON_BOARDS}`"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names_help)
    parser.add_argument("--all", action="store_true", help="the whole matrix")
    parser.add_argument("--no-install", action="store_true", help="name missing packages and stop")
    parser.add_argument("--list", action="store_true", help="say what there is")
    return parser.parse_args()


def print_list() -> None:
    print("configurations:")
    for configuration in CONFIGURATIONS.values():
        print(f"  {configuration.name:24} {configuration.about}")
    print("checks (`lints` means all of them that need no other tool than a compiler and clang-format):")
    for check in CHECKS.values():
        print(f"  {check.name:24} {check.about}")
    print("boards (`boards` means a few suites on each; tools/boards has all of them):")
    for board in BOARDS.values():
        print(f"  {board.name:24} {' '.join(board.in_short)}")
    print("suites:")
    built = CONFIGURATIONS[DEFAULT_CONFIGURATION]
    if (built.folder / "build.ninja").exists():
        print("  " + "\n  ".join(suites.names(built)))
    else:
        print("  (known once there is a build)")


class Selection:
    """What the names on the command line mean."""

    def __init__(self, names: list[str], everything: bool):
        self.configurations = [CONFIGURATIONS[n] for n in names if n in CONFIGURATIONS]
        self.checks = [CHECKS[n] for n in names if n in CHECKS]
        if LINTS in names:
            self.checks += [c for c in CHECKS.values() if c.always and c not in self.checks]
        self.boards = list(BOARDS.values()) if ON_BOARDS in names or everything else []
        # Names of suites can be judged only when a build folder is set up: unknown_names().
        others = {LINTS, ON_BOARDS}
        self.suites = [n for n in names if n not in CONFIGURATIONS and n not in CHECKS and n not in others]
        self.everything = everything
        if everything:
            self.configurations = list(CONFIGURATIONS.values())
            self.checks = list(CHECKS.values())
        elif not names:
            self.checks = [c for c in CHECKS.values() if c.always]
        if not self.configurations and (self.suites or not names):
            self.configurations = [CONFIGURATIONS[DEFAULT_CONFIGURATION]]

    def to_build(self) -> list[configurations.Configuration]:
        """One configuration per build folder, in the table's order."""
        wanted = {}
        for configuration in self.configurations:
            wanted.setdefault(configuration.folder, configuration)
        for board in self.boards:
            wanted.setdefault(board.built().folder, board.built())
        for check in self.checks:
            for name in check.builds:
                wanted.setdefault(CONFIGURATIONS[name].folder, CONFIGURATIONS[name])
        return [c for c in CONFIGURATIONS.values() if c in wanted.values()]

    def purposes(self) -> set[str]:
        wanted = {"python", *(["boards"] if self.boards else [])}
        for each in [*self.to_build(), *self.configurations, *self.checks]:
            wanted.update(each.purposes)
        return wanted

    def unknown_names(self) -> list[str]:
        """What names nothing. Setting the builds up is enough to know it: nothing is compiled for a slip of the pen."""
        if not self.suites:
            return []
        there = set()
        for configuration in self.configurations:
            if configuration.suites:
                configurations.configure(configuration)
                there.update(suites.names(configuration))
        return [wanted for wanted in self.suites if not any(suites.matching(name, [wanted]) for name in there)]

    def optional_purposes(self) -> set[str]:
        """What only the suites of some configurations want, when these suites are to run."""
        if self.suites and "page" not in self.suites:
            return set()
        return {purpose for each in self.configurations for purpose in each.optional_purposes}

    def suites_of(self, configuration: configurations.Configuration) -> list[str]:
        there = suites.names(configuration)
        if self.suites:
            return [n for n in there if suites.matching(n, self.suites)]
        if configuration.only:
            return [n for n in there if suites.matching(n, configuration.only)]
        left_out = set() if self.everything else suites.ONLY_ON_REQUEST
        if configuration.wrapper:
            left_out = suites.ABOUT_THE_BUILD
        if not configuration.optional_purposes:
            left_out = left_out | suites.IN_ONE_CONFIGURATION
        # A board of that build runs them, on a kernel of its own.
        for board in self.boards:
            if configuration.emulated and board.configuration == configuration.name:
                left_out = left_out | {n for n in there if suites.matching(n, board.in_short) and "simulated" not in n}
        return [n for n in there if n not in left_out]


class Run(progress.Progress):
    def run_suites(self, configuration: configurations.Configuration, chosen: list[str]) -> None:
        for result in suites.run(configuration, chosen) if chosen else []:
            self.take(result)

    def build(self, configuration: configurations.Configuration) -> bool:
        self.say(f"building {configuration.name}: {configuration.about}")
        try:
            configurations.configure(configuration)
            configurations.compile(configuration)
        except configurations.BuildFailed as failure:
            self.take(outcome.of_check(f"build {configuration.folder.name}", False, str(failure)))
            return False
        if not configuration.suites:
            self.take(outcome.of_check(f"build {configuration.folder.name}", True, ""))
        return True


def main() -> int:
    asked = arguments()
    if asked.list:
        print_list()
        return 0
    selection = Selection(asked.names, asked.all)
    configurations.install(selection.purposes(), allowed=not asked.no_install)
    configurations.install_if_possible({"cache"}, allowed=not asked.no_install)
    try:
        unknown = selection.unknown_names()
    except configurations.BuildFailed as failure:
        sys.exit(str(failure))
    if unknown:
        sys.exit(f"no suite, configuration or check is called {', '.join(unknown)}: see tools/test --list")
    configurations.install_if_possible(selection.optional_purposes(), allowed=not asked.no_install)

    run = Run()
    boots = boot.Boots(run.say, run.take)
    built = set()
    # Suites wait more than they compute: those of what is built run beside the next build, which gives way to them. So do
    # boards, one at a time, beside both.
    one_at_a_time = concurrent.futures.ThreadPoolExecutor
    with one_at_a_time(max_workers=1) as beside, one_at_a_time(max_workers=1) as on_boards:
        ran = []
        for configuration in selection.to_build():
            if not run.build(configuration):
                continue
            built.add(configuration.folder)
            ran += [
                beside.submit(run.run_suites, each, selection.suites_of(each))
                for each in selection.configurations
                if each.suites and each.folder == configuration.folder
            ]
            ran += [
                on_boards.submit(boots.run, board, list(board.in_short))
                for board in selection.boards
                if board.built().folder == configuration.folder
            ]
        for each in ran:
            each.result()

    ready = []
    for check in selection.checks:
        if all(CONFIGURATIONS[name].folder in built for name in check.builds):
            ready.append(check)
        else:
            run.take(outcome.of_check(check.name, False, "needs a build that failed"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for result in pool.map(checks.run, ready):
            run.take(result)

    lines, status = outcome.summary(run.outcomes)
    run.say("done")
    print("\n".join([*boots.lines(), *lines]), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
