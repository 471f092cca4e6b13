# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over WebDriver, and the leak detection that it looks at."""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

PATIENCE_S = 60
FLAGS = [
    "--headless",
    "--no-sandbox",  # it may run as root, in a container; it sees pages of this machine alone
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


def why_no_browser() -> str:
    """Empty where there is one."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} here (packages chromium, chromium-driver)" if missing else ""


class Browser:
    """One window. Use it in a `with`."""

    def __enter__(self) -> "Browser":
        self.folder = tempfile.TemporaryDirectory(prefix="weir_browser_")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, "HOME": self.folder.name, "TMPDIR": self.folder.name},
        )
        try:
            for line in self.driver.stdout:
                if "successfully on port " in line:
                    self.base = f"http://127.0.0.1:{line.rsplit('on port ', 1)[1].strip().rstrip('.')}"
                    break
            options = {"args": [*FLAGS, f"--user-data-dir={self.folder.name}/profile"]}
            session = self.call("/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
            self.base += f"/session/{session['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if "/session/" in getattr(self, "base", ""):
            self.call("", method="DELETE")
        os.killpg(self.driver.pid, signal.SIGKILL)  # the driver and its browser are a group of their own
        self.driver.wait()
        self.driver.stdout.close()
        shutil.rmtree(self.folder.name, ignore_errors=True)

    def call(self, path: str, body: dict | None = None, method: str = "POST"):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.call("/url", {"url": url})

    def run(self, script: str):
        """What the script returns."""
        return self.call("/execute/sync", {"script": script, "args": []})

    def wait(self, script: str):
        """Asks again until the script returns something true, and gives that."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if value := self.run(script):
                return value
        raise AssertionError(f"waited in vain for: {script}\n{self.run('return document.body.innerText')}")

    def command(self, name: str, **parameters):
        return self.call("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def view(self, width: int, height: int, dark: bool = False, scale: float = 1) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """The whole page, as PNG."""
        picture = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(picture["data"])


class LeakDetection:
    """The system, started with a page. Use it in a `with`."""

    def __init__(self, programs: pathlib.Path, *arguments: str):
        self.command = [str(programs / "weir-leak-supervisor"), *arguments]

    def __enter__(self) -> "LeakDetection":
        self.supervisor = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said: list[str] = []
        self.page = self.await_line("page: ").split()[1]
        return self

    def __exit__(self, *_) -> None:
        self.supervisor.terminate()
        self.supervisor.communicate(timeout=PATIENCE_S)

    def await_line(self, part: str) -> str:
        for line in self.supervisor.stdout:
            self.said.append(line.rstrip("\n"))
            if part in line:
                return self.said[-1]
        raise AssertionError(f'the system never said "{part}":\n' + "\n".join(self.said))

    def order(self, command: str) -> None:
        """Writes an operator's command. The commands' line has to be read by now."""
        fifo = next(line for line in self.said if line.startswith("commands: ")).split(" > ")[1].split("   ")[0]
        pathlib.Path(fifo).write_text(command + "\n")

    def process(self, role: str) -> int:
        """The child that is weir-leak-ROLE."""
        number = self.supervisor.pid
        children = pathlib.Path(f"/proc/{number}/task/{number}/children").read_text().split()
        for child in children:
            program = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]
            if program.endswith(f"/weir-leak-{role}".encode()):
                return int(child)
        raise AssertionError(f"there is no weir-leak-{role}")
