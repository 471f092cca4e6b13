#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills random processes of the running leak detection, and counts what is lost and what is left.

usage: random_kills.py PROGRAMS [--kills N] [--seed N] [--suite]

A recording raises and clears an alarm every hundred samples. A client of the alarm server connects again whenever it
is cut off. Meanwhile sensors, acquisition, detector, logger and alarm server are killed (SIGKILL), the last one sometimes
after it stood still for a while, so that announcements wait in the queue; and now and then the supervisor, which takes
the others down and is started again.

Lost is what the supervisor told of and the client never heard. Left is what lies in the runtime directory, among the
message queues and in /dev/shm, and which processes run, after the orderly end.
"""
import argparse
import ctypes
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE_S = 60
SAMPLES_PER_S = 500
ROLES = ("sensor", "acquisition", "detector", "alarm-server", "logger")
SUPERVISOR_EVERY = 20
# The supervisor gives up at the eleventh death of one process within ten seconds.
DEATHS_MAX, DEATHS_WINDOW_S = 8, 10.0
ANNOUNCEMENT = re.compile(r"learned \d+ samples: threshold|alarm (raised|cleared): T-squared")
COLUMNS = {
    "Accelerometer1RMS": (0.08, 0.001),
    "Accelerometer2RMS": (0.13, 0.002),
    "Current": (1.4, 0.3),
    "Pressure": (1.0, 0.3),
    "Temperature": (88.0, 0.3),
    "Thermocouple": (22.2, 0.02),
    "Voltage": (225.0, 10.0),
    "Volume Flow RateRMS": (76.5, 0.6),
}


def write_recording(file: pathlib.Path, samples: int) -> None:
    chance = random.Random(1)
    lines = [";".join(["datetime", *COLUMNS])]
    for i in range(samples):
        values = [chance.gauss(*shape) for shape in COLUMNS.values()]
        if i >= 400 and i % 100 < 40:
            values[-1] /= 2
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(1_600_000_000 + i))
        lines.append(";".join([when, *(f"{value:.6f}" for value in values)]))
    file.write_text("\n".join(lines) + "\n")


class Heard:
    """Lines that came from somewhere, with a way to wait for more."""

    def __init__(self):
        self.lines: list[str] = []
        self.news = threading.Condition()

    def add(self, line: str) -> None:
        with self.news:
            self.lines.append(line)
            self.news.notify_all()

    def announcements(self) -> list[str]:
        with self.news:
            return [line for line in self.lines if ANNOUNCEMENT.search(line)]

    def wait(self, what: str, true) -> None:
        with self.news:
            if not self.news.wait_for(true, PATIENCE_S):
                raise AssertionError(f"waited in vain for {what}; the last lines:\n" + "\n".join(self.lines[-20:]))


class Client(threading.Thread):
    """Reads alarms, for ever."""

    def __init__(self, path: pathlib.Path):
        super().__init__(daemon=True)
        self.path = path
        self.heard = Heard()
        self.twice = 0
        self.connected = False
        self.ending = False

    def run(self) -> None:
        while not self.ending:
            try:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(str(self.path))
                    self.connected = True
                    told = set()
                    for line in peer.makefile():
                        line = line.rstrip("\n")
                        self.twice += line in told
                        told.add(line)
                        self.heard.add(line)
            except OSError:
                pass  # nobody serves it just now
            self.connected = False
            time.sleep(0.001)


class Supervisor:
    """One life of the system."""

    def __init__(self, programs: pathlib.Path, recording: pathlib.Path, run: pathlib.Path, client: Client):
        self.client = client
        self.said = Heard()
        self.deaths: dict[str, list[float]] = {}
        self.log = pathlib.Path(tempfile.mkstemp(dir=run.parent, prefix="log_")[1])
        self.process = subprocess.Popen(
            [
                programs / "weir-leak-supervisor",
                *("--recording", recording),
                *("--speed", str(SAMPLES_PER_S)),
                *("--log", self.log),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "WEIR_RUNTIME_DIR": str(run)},
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.said.add(line.rstrip("\n"))

    def processes(self) -> list[tuple[str, int]]:
        found = []
        unseen = [self.process.pid]
        while unseen:
            parent = unseen.pop()
            try:
                children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                for child in map(int, children):
                    words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                    for word in words:
                        if word.startswith(b"./weir-leak-"):
                            found.append((word.removeprefix(b"./weir-leak-").decode(), child))
                    unseen.append(child)
            except OSError:
                pass  # it has just ended
        return found

    def may_die(self, role: str) -> bool:
        now = time.monotonic()
        recent = [death for death in self.deaths.get(role, []) if now - death < DEATHS_WINDOW_S]
        self.deaths[role] = recent
        return len(recent) < DEATHS_MAX or role == "sensor"  # there are eight of these

    def await_announcements(self, more: int) -> None:
        wanted = len(self.said.announcements()) + more
        self.said.wait(
            "announcements",
            lambda: sum(bool(ANNOUNCEMENT.search(line)) for line in self.said.lines) >= wanted or self.process.poll() is not None,
        )
        assert self.process.poll() is None, "the supervisor ended:\n" + "\n".join(self.said.lines[-20:])

    def kill_one(self, chance: random.Random) -> bool:
        alive = self.processes()
        roles = [role for role in ROLES if self.may_die(role) and any(role == r for r, _ in alive)]
        if not roles:
            return False
        role = chance.choice(roles)
        pid = chance.choice([p for r, p in alive if r == role])
        try:
            if role == "alarm-server" and chance.random() < 0.5:
                os.kill(pid, signal.SIGSTOP)
                self.await_announcements(chance.randint(1, 3))
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.deaths.setdefault(role, []).append(time.monotonic())
        return True

    def await_end(self, how: int) -> set[int]:
        """Waits until the supervisor has ended, the others with it, and all that they said was read. Gives who those
        others are that did not end."""
        others = {pid for _, pid in self.processes()}
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.process.stdout.close()
        if how == signal.SIGKILL:
            await_truth("the others' end", lambda: not running(others))
        await_truth("the client's last line", lambda: not self.client.connected)
        self.check_log()
        return running(others)

    def check_log(self) -> None:
        """However often the logger was killed: whole lines, and each sample once, in order."""
        header, *lines = self.log.read_text().split("\n")[:-1] or [""]  # the last one may not be whole
        sequences = [int(line.split(";")[header.split(";").index("sequence")]) for line in lines]
        assert all(line.count(";") == header.count(";") for line in lines), "the log has half a line"
        assert all(a < b for a, b in zip(sequences, sequences[1:])), "the log has a sample twice"

    def lost(self) -> set[str]:
        return set(self.said.announcements()) - set(self.client.heard.announcements())


def await_truth(what: str, true) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.001)


def queue_exists(pid: int) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    queue = library.mq_open(f"/weir-leak~{pid}".encode(), os.O_RDONLY)
    if queue >= 0:
        os.close(queue)
    return queue >= 0


def running(pids: set[int]) -> set[int]:
    return {pid for pid in pids if pathlib.Path(f"/proc/{pid}").exists()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", action="store_true", help="end with a suite's totals")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)

    lost: set[str] = set()
    kills = 0
    supervisors = []
    shared_before = set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory(prefix="weir_kills_") as folder:
        os.chmod(folder, 0o755)
        run = pathlib.Path(folder, "run")
        run.mkdir(mode=0o755)
        recording = pathlib.Path(folder, "recording.csv")
        write_recording(recording, 100_000)
        client = Client(run / "leak_detection/alarms")
        client.start()
        system = Supervisor(asked.programs, recording, run, client)
        supervisors.append(system.process.pid)
        system.await_announcements(1)
        try:
            while kills < asked.kills:
                time.sleep(chance.uniform(0, 0.2))
                if kills % SUPERVISOR_EVERY == SUPERVISOR_EVERY - 1:
                    system.await_announcements(1)
                    # What waits in the queue is told by the alarm server before it follows the supervisor: at this
                    # moment there has to be one, and not one that is still about to hear of what was before it.
                    said = set(system.said.announcements())
                    await_truth(
                        "an alarm server that has caught up",
                        lambda: client.connected and said <= set(client.heard.announcements()),
                    )
                    system.await_end(signal.SIGKILL)
                    kills += 1
                    lost |= system.lost()
                    system = Supervisor(asked.programs, recording, run, client)
                    supervisors.append(system.process.pid)
                    system.await_announcements(1)
                elif system.kill_one(chance):
                    kills += 1
                assert system.process.poll() is None, "\n".join(system.said.lines[-20:])
            system.await_announcements(2)  # it goes on
            outlived = system.await_end(signal.SIGTERM)
            assert system.process.returncode == 0, system.said.lines[-20:]
            lost |= system.lost()
        finally:
            client.ending = True
            if system.process.poll() is None:
                system.process.kill()
        left = [f"{run}/{name}" for name in os.listdir(run)]
        left += [f"process {pid}" for pid in outlived]
        left += [f"queue of {pid}" for pid in supervisors if queue_exists(pid)]
        shared = set(os.listdir("/dev/shm")) - shared_before
        # Suites that run at the same time make theirs meanwhile.
        left += [f"/dev/shm/{name}" for name in shared if "weir" in name and "weir-test-" not in name]
    for line in sorted(lost):
        print(f"lost: {line}")
    for what in left:
        print(f"left: {what}")
    if client.twice > 0:
        print(f"told twice on one connection: {client.twice}")
    print(f"random kills {kills}, lost {len(lost)}, left {len(left)}")
    failed = int(bool(lost or left or client.twice))
    if asked.suite:
        print(f"suite random kills: {1 - failed} passed, {failed} failed, 0 skipped")
    return failed


if __name__ == "__main__":
    sys.exit(main())
