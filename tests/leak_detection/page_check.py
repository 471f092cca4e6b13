#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The live page, by HTTP and in a real browser.

usage: page_check.py TOOLS PROGRAMS
"""
import http.client
import os
import pathlib
import signal
import socket
import sys
import traceback
import urllib.parse

sys.path.insert(0, sys.argv[1])
from testing import browser  # noqa: E402

SIGNALS = {
    "Accelerometer1RMS": "g",
    "Accelerometer2RMS": "g",
    "Current": "A",
    "Pressure": "bar",
    "Temperature": "°C",
    "Thermocouple": "°C",
    "Voltage": "V",
    "Volume Flow RateRMS": "l/min",
}
# The contrast of two colours, as WCAG 2 defines it.
CONTRAST = """
    const light = (colour) => colour.match(/\\d+/g).slice(0, 3).map((part) => part / 255)
        .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const style = (name) => getComputedStyle(document.querySelector(name));
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const card = light(style("section").backgroundColor);
    return [...document.querySelectorAll("p, li, dt, dd, figcaption, h2, .name, .value")]
        .filter((element) => element.closest("section") && element.offsetHeight > 0)
        .reduce((least, element) => Math.min(least, ratio(card, light(getComputedStyle(element).color))), 99);
"""


def connection(page: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urllib.parse.urlparse(page).netloc, timeout=browser.PATIENCE_S)


def get(page: str, path: str, method: str = "GET", body: bytes | None = None):
    asked = connection(page)
    asked.request(method, path, body)
    answer = asked.getresponse()
    text = answer.read()
    asked.close()
    return answer, text


def the_page_is_complete_and_says_nothing_else(programs):
    with browser.LeakDetection(programs, "--speed", "50") as system:
        answer, text = get(system.page, "/")
        assert answer.status == 200 and answer.getheader("Content-Type") == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
        assert b"://" not in text, "the page names another site"
        for path, kind in {"/page.js": "text/javascript", "/page.css": "text/css"}.items():
            answer, text = get(system.page, path)
            assert answer.status == 200 and answer.getheader("Content-Type").startswith(kind) and len(text) > 1000
        answer, text = get(system.page, "/", "HEAD")
        assert answer.status == 200 and text == b""
        assert get(system.page, "/../etc/passwd")[0].status == 404
        assert get(system.page, "/", "POST", b"x" * 100_000)[0].status == 405
        assert get(system.page, "/live", "PUT")[0].status == 405


def viewers_have_a_limit_and_hold_up_nobody(programs):
    with browser.LeakDetection(programs, "--speed", "200") as system:
        viewers = []
        for _ in range(8):  # none of them ever reads
            viewer = socket.create_connection(tuple_of(system.page))
            viewer.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            viewers.append(viewer)
        while get_status_of_live(system.page) != 503:
            pass
        # The line at the terminal goes on, and so does the page itself.
        system.await_line("alarm raised")
        assert get(system.page, "/")[0].status == 200
        for viewer in viewers:
            viewer.close()
        while get_status_of_live(system.page) != 200:
            pass


def tuple_of(page: str) -> tuple[str, int]:
    address = urllib.parse.urlparse(page)
    return address.hostname, address.port


def get_status_of_live(page: str) -> int:
    asked = connection(page)
    asked.request("GET", "/live")
    status = asked.getresponse().status
    asked.close()
    return status


def noise_is_turned_away(programs):
    with browser.LeakDetection(programs, "--speed", "50") as system:
        for noise in (b"\0" * 4096, b"GET " + b"/" * 100_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"x"):
            with socket.create_connection(tuple_of(system.page)) as peer:
                try:
                    peer.sendall(noise)
                except OSError:
                    pass  # it hung up in the middle
        assert get(system.page, "/")[0].status == 200
        assert not [line for line in system.said if "started again" in line]


def it_can_be_served_by_version_6(programs):
    with browser.LeakDetection(programs, "--speed", "50", "--listen", "::1") as system:
        assert system.page.startswith("http://[::1]:")
        assert get(system.page, "/")[0].status == 200


def a_browser_shows_the_loop_and_its_alarm_live(programs):
    with browser.LeakDetection(programs, "--speed", "100") as system, browser.Browser() as window:
        # A browser may take longer to start than the loop takes to learn.
        system.await_line("sample")
        system.order("pause")
        system.await_line("paused: samples wait")
        window.view(1280, 800)
        window.open(system.page)
        window.run("window.loadedOnce = true")
        window.wait("return document.querySelector('#connection').dataset.state === 'live'")
        window.wait("return document.querySelector('#state').textContent.startsWith('learning, ')")
        names = window.wait("return [...document.querySelectorAll('.signal .name')].map((e) => e.textContent)")
        assert names == list(SIGNALS), names
        values = window.run("return [...document.querySelectorAll('.signal .value')].map((e) => e.textContent)")
        for (name, unit), value in zip(SIGNALS.items(), values):
            number, shown_unit = value.split(" ", 1)
            float(number)
            assert shown_unit == unit, (name, value)
        system.order("resume")
        # The model has learned: the threshold is the one that the supervisor tells.
        threshold = system.await_line("learned 400 samples").split("threshold ")[1].split(",")[0]
        window.wait(f"return document.querySelector('#threshold').textContent === '{threshold}'")
        window.wait("return document.querySelector('#alarms [data-kind=learned]')")
        # The leak opens, and its alarm is there without a reload.
        raised = system.await_line("alarm raised")
        item = window.wait("return (document.querySelector('#alarms [data-kind=raised]') || {}).textContent")
        assert item == raised.replace(" alarm", ": alarm", 1).replace(": T-squared", ", T-squared", 1), (item, raised)
        window.wait("return document.querySelector('#state').textContent.startsWith('ALARM')")
        window.wait("return document.querySelector('#statistic-chart .line').getAttribute('d').length > 100")
        window.wait("return document.querySelector('#statistic-chart .threshold').getAttribute('d').length > 100")
        label = window.run("return document.querySelector('#statistic-chart').getAttribute('aria-label')")
        assert f"threshold {threshold}" in label, label
        # It outlives the alarm server, with all that was announced.
        os.kill(system.process("alarm-server"), signal.SIGKILL)
        window.wait("return document.querySelector('#connection').dataset.state === 'lost'")
        window.wait("return document.querySelector('#connection').dataset.state === 'live'")
        window.wait("return document.querySelector('#alarms [data-kind=raised]')")
        assert window.run("return window.loadedOnce") is True
        foreign = "return performance.getEntriesByType('resource').filter((e) => !e.name.startsWith(location.origin)).length"
        assert window.run(foreign) == 0
        # On a phone nothing is wider than the screen, and in either scheme all text can be read.
        for dark in (False, True):
            window.view(360, 740, dark)
            window.wait("return innerWidth === 360")
            assert window.run("return document.documentElement.scrollWidth") <= 360
            least = window.wait(CONTRAST)
            assert least >= 4.5, (dark, least)


def main() -> int:
    programs = pathlib.Path(sys.argv[2])
    plain = [
        the_page_is_complete_and_says_nothing_else,
        viewers_have_a_limit_and_hold_up_nobody,
        noise_is_turned_away,
        it_can_be_served_by_version_6,
    ]
    in_browser = [a_browser_shows_the_loop_and_its_alarm_live]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in plain + in_browser:
        title = case.__name__.replace("_", " ")
        if case in in_browser and (reason := browser.why_no_browser()):
            print(f"skipped: {title} ({reason})")
            counts["skipped"] += 1
            continue
        try:
            case(programs)
            counts["passed"] += 1
        except Exception:
            print(f"failed: {title}\n{traceback.format_exc()}")
            counts["failed"] += 1
    print("suite page: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
