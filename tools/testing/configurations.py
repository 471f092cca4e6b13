# SPDX-License-Identifier: MIT
"""The ways in which weir is built here. tools/configure, tools/test, tools/demo and tools/bench share this table."""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A build folder and how its suites are run."""

    name: str
    about: str
    compiler: str = "g++"
    options: tuple[str, ...] = ()
    triplet: str = ""  # cross-built for, when not empty
    build: str = ""  # the folder under build/, when another configuration's build serves
    targets: tuple[str, ...] = ()  # what of it is built; empty: all
    only: tuple[str, ...] = ()  # the suites that run, of the programs among the targets; empty: all
    wrapper: tuple[str, ...] = ()  # put before each test program, relative to the build folder
    purposes: tuple[str, ...] = ("build", "tests")  # of tools/packages
    optional_purposes: tuple[str, ...] = ()  # what lacks them skips, and says so
    suites: bool = True
    slowness: int = 1  # multiplies time limits
    emulated: bool = False  # then EMULATED is in the environment of suites, unless it is there

    @property
    def folder(self) -> pathlib.Path:
        return ROOT / "build" / (self.build or self.name)


STRICT = ("-Dwerror=true",)
# Slow machines try fewer seeds, and repeat less often what seeks rare moments.
EMULATED = {"WEIR_SEEDS": "4", "WEIR_REPEATS": "20"}
# To say where each variable lies at each instruction takes g++ -O2 a quarter of its time.
GCC = STRICT + ("-Dcpp_args=-fno-var-tracking",)
LAY_OUT_MEMORY = ("core", "coro", "types", "shm", "ring", "topic", "service")
RELEASE = ("-Dbuildtype=release", "-Doptimization=2", "-Dtests=false")

CONFIGURATIONS = {
    c.name: c
    for c in [
        Configuration("gcc", "g++ -O2", options=GCC, optional_purposes=("browser",)),
        Configuration(
            "clang-asan",
            "clang++ -O0 with AddressSanitizer and UndefinedBehaviorSanitizer",
            compiler="clang++",
            # -O0: at -O1 clang's sanitizer misses a resumed dead frame.
            options=STRICT
            + ("-Doptimization=0", "-Dcpp_args=-g1", "-Db_sanitize=address,undefined", "-Db_lundef=false"),
            purposes=("build", "tests", "clang"),
            slowness=3,
        ),
        Configuration(
            "clang",
            "clang++ -O2, which elides coroutine frames; under the filter of `weir seccomp`",
            compiler="clang++",
            # The runtime and ipc are what elision concerns; the examples are built by clang with the sanitizers.
            options=STRICT + ("-Dexamples=false",),
            wrapper=("tests/under_profile", "either"),
            purposes=("build", "tests", "clang"),
        ),
        Configuration(
            "no-io_uring",
            "the gcc build under the seccomp filter of `weir seccomp epoll`, which forbids io_uring",
            build="gcc",
            options=GCC,
            wrapper=("tests/under_profile", "epoll"),
        ),
        Configuration(
            "aarch64",
            "64-bit ARM under user-mode emulation",
            options=STRICT + ("-Ddebug=false", "-Dbench=true"),
            triplet="aarch64-linux-gnu",
            purposes=("build", "tests", "arm"),
            slowness=5,
            emulated=True,
        ),
        Configuration(
            "armhf",
            "32-bit ARM with 64-bit time_t under user-mode emulation",
            options=STRICT + ("-Ddebug=false", "-Dbench=true"),
            triplet="arm-linux-gnueabihf",
            purposes=("build", "tests", "arm"),
            slowness=5,
            emulated=True,
        ),
        Configuration(
            "armhf-ubsan",
            "32-bit ARM with UndefinedBehaviorSanitizer, which also checks each access's alignment",
            options=STRICT
            + ("-Ddebug=false", "-Doptimization=g", "-Db_sanitize=undefined", "-Db_lundef=false", "-Dexamples=false")
            # FlatBuffers' own header lets a pointer wrap around on 32 bits.
            + ("-Dflatbuffers=disabled",),
            triplet="arm-linux-gnueabihf",
            # Those that lay out memory. The others reach it through these.
            targets=(*(f"tests/test_{name}" for name in LAY_OUT_MEMORY), "tests/shm/foreign_semaphore_peer"),
            only=LAY_OUT_MEMORY,
            purposes=("build", "tests", "arm"),
            slowness=5,
            emulated=True,
        ),
        Configuration(
            "no-liburing",
            "g++ -O0, without liburing, FlatBuffers, simulation, texts and budget records, each file with nothing but what it includes",
            # Without examples: no public header knows liburing, and what needs FlatBuffers is left out.
            options=(
                *STRICT,
                "-Doptimization=0",
                "-Ddebug=false",
                "-Db_pch=false",
                "-Db_ndebug=true",
                "-Dio_uring=disabled",
                "-Dsimulated_backend=false",
                "-Dtexts=false",
                "-Dbudget_record=false",
                "-Dflatbuffers=disabled",
                "-Dtests=false",
                "-Dexamples=false",
            ),
            purposes=("build",),
            suites=False,
        ),
        Configuration(
            "release",
            "g++ -O2 without debug information: the demonstration",
            options=RELEASE,
            targets=("demonstration",),
            purposes=("build",),
            suites=False,
        ),
        Configuration(
            "bench",
            "g++ -O2 without debug information: the benchmarks",
            options=RELEASE + ("-Dexamples=false", "-Dbench=true"),
            targets=("benchmarks",),
            purposes=("build", "bench"),
            suites=False,
        ),
    ]
}


class BuildFailed(Exception):
    """Its text is what the failed tool printed."""


def run(command: list[str], **keywords) -> str:
    """Runs a command that must succeed, and returns what it printed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **keywords,
    )
    if done.returncode != 0:
        raise BuildFailed(f"$ {' '.join(command)}\n{done.stdout}")
    return done.stdout


def install(purposes: set[str], allowed: bool) -> None:
    """Installs what the purposes need; not allowed, it names what is missing and raises SystemExit."""
    command = [str(ROOT / "tools/install-packages"), *([] if allowed else ["--no-install"]), *sorted(purposes)]
    status = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    if status != 0:
        raise SystemExit(status)


def install_if_possible(purposes: set[str], allowed: bool) -> None:
    """The same for what can be done without."""
    if not allowed or not purposes:
        return
    command = [str(ROOT / "tools/install-packages"), *sorted(purposes)]
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        print(f"going on without the packages for: {', '.join(sorted(purposes))}", flush=True)


# What a build folder under the same path compiled before, or one under another path without debug information, is not
# compiled again. ccache wants to be told that a precompiled header may be used, though it is as new as the checkout.
CACHE = "ccache"
CACHE_SETTINGS = {
    "CCACHE_BASEDIR": str(ROOT),
    "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime",
}
# With debug information, too, which may then name the folder of that other checkout. Not for clang: its precompiled headers
# know the headers in them by their folder.
CACHE_SETTINGS_GCC = {"CCACHE_NOHASHDIR": "1"}


def through_cache(triplet: str) -> str:
    """A cross file that has the compilers called by ccache."""
    path = ROOT / f"build/sysroot/{triplet}-{CACHE}.ini"
    binaries = {"c": f"{triplet}-gcc", "cpp": f"{triplet}-g++"}
    path.write_text("[binaries]\n" + "".join(f"{k} = ['{CACHE}', '{v}']\n" for k, v in binaries.items()))
    return f"--cross-file={path.relative_to(ROOT)}"


def configure(configuration: Configuration) -> None:
    """Sets the build folder up, unless it is already set up in just this way."""
    folder = configuration.folder
    options = list(configuration.options)
    compiler = configuration.compiler
    cached = shutil.which(CACHE) is not None
    if configuration.triplet:
        print(run([str(ROOT / "tools/sysroot"), configuration.triplet]), end="", flush=True)
        options += [
            f"--cross-file=build/sysroot/{configuration.triplet}.ini",
            f"--cross-file=cross/{configuration.triplet}.ini",
            *([through_cache(configuration.triplet)] if cached else []),
        ]
    elif cached:
        compiler = f"{CACHE} {compiler}"
    stamp = folder / "configuration.json"
    wanted = json.dumps([compiler, options, str(folder)])
    is_set_up = (folder / "build.ninja").exists()
    if is_set_up and stamp.exists() and stamp.read_text() == wanted:
        return
    environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")}
    environment["CXX"] = compiler
    run(["meson", "setup", *(["--wipe"] if is_set_up else []), *options, str(folder), str(ROOT)], env=environment)
    stamp.write_text(wanted)


def compile(configuration: Configuration, *targets: str) -> str:
    """Builds what the configuration is for, or the targets alone, and returns what the compilers said."""
    # Suites may run at the same time, and some of them count milliseconds.
    command = ["nice", "-n", "5", "ninja", "-C", str(configuration.folder), *(targets or configuration.targets)]
    of_compiler = CACHE_SETTINGS_GCC if configuration.compiler == "g++" else {}
    return run(command, env={**CACHE_SETTINGS, **of_compiler, **os.environ})
