# SPDX-License-Identifier: MIT
"""Running the suites of a built configuration. Meson knows them, with their environments and time limits, and runs
them; what they printed is read from its log."""
import json
import os
import subprocess

from testing import outcome
from testing.configurations import EMULATED, ROOT, Configuration

# Long, and about the packaging rather than the code: only where all is run or they are named.
ONLY_ON_REQUEST = {"install"}
# What they show does not depend on what a program may do when it runs.
ABOUT_THE_BUILD = {"gdb", "install", "messages about types", "readme", "test harness"}
# Dear, and the same in all.
IN_ONE_CONFIGURATION = {"page", "random kills"}


def names(configuration: Configuration) -> list[str]:
    listed = subprocess.run(
        ["meson", "introspect", "--tests", str(configuration.folder)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return [test["name"] for test in json.loads(listed)]


def matching(name: str, wanted: list[str]) -> bool:
    """`io` means the suites `io` and `io on …`."""
    return any(name == w or name.startswith(w + " on ") for w in wanted)


def run(configuration: Configuration, chosen: list[str]) -> list[outcome.Outcome]:
    command = ["meson", "test", "-C", str(configuration.folder), "--no-rebuild", "--num-processes=2"]
    command += [f"--logbase={configuration.name}", f"--timeout-multiplier={configuration.slowness}"]
    log_name = configuration.name
    if configuration.wrapper:
        program, *arguments = configuration.wrapper
        command.append("--wrapper=" + " ".join([str(configuration.folder / program), *arguments]))
        log_name += "-" + program.rsplit("/", 1)[-1]  # meson names its log so
    log = configuration.folder / "meson-logs" / f"{log_name}.json"
    log.unlink(missing_ok=True)
    # A failing suite is told by its own totals; meson's status adds nothing.
    done = subprocess.run(
        [*command, *chosen],
        cwd=ROOT,
        env={**(EMULATED if configuration.emulated else {}), **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    outcomes = []
    if log.exists():
        for line in log.read_text(errors="replace").splitlines():
            test = json.loads(line)
            name = test["name"].split(" / ")[-1]
            out = test.get("stdout") or ""
            errors = test.get("stderr") or ""
            full_log = out + errors
            if test["result"] == "TIMEOUT":
                full_log += f"\n{name}: ran into its time limit"
            outcomes.append(
                outcome.of_suite(f"{configuration.name}: {name}", test["returncode"], out, full_log)
            )
    ran = {o.name.split(": ", 1)[1] for o in outcomes}
    for missing in [name for name in chosen if name not in ran]:
        outcomes.append(outcome.of_check(f"{configuration.name}: {missing}", False, f"did not run\n{done.stdout}"))
    return outcomes
