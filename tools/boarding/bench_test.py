# SPDX-License-Identifier: MIT
"""Tests of boarding/bench.py: what a board is told to run, and what is made of what it said."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from boarding import bench  # noqa: E402


class Bench(unittest.TestCase):
    def ran(self, program: str) -> subprocess.CompletedProcess:
        """The script, each of whose programs is `program`."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for each in bench.programs():
                (folder / each).write_text(program)
                (folder / each).chmod(0o755)
            (folder / "script").write_bytes(bench.script(folder))
            return subprocess.run(["sh", folder / "script"], text=True, capture_output=True)

    def test_every_row_is_compared_with_plain_calls(self):
        rows = bench.rows()
        self.assertGreaterEqual({row.name for row in rows}, {"pipe_rtt_epoll", "pipe_rtt_uring", "ring_rtt_asleep_uring"})
        for row in rows:
            self.assertIn("weir", row.variants)
            self.assertIn("plain", row.variants)

    def test_figures_become_ratios(self):
        # weir takes three times as long; its first word tells whose figure it is.
        done = self.ran("#!/bin/sh\ncase $0 in *_weir) echo 3000; echo sleeps 5 ;; *) echo 1000 ;; esac\n")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"suite bench: {len(bench.rows())} passed, 0 failed, 0 skipped", done.stdout)
        told = bench.ratios(done.stdout)
        self.assertIn("pipe_rtt_epoll: weir takes 3.00 times what plain calls take", told)
        self.assertIn("topic_rtt_asleep: weir_epoll takes 3.00 times what plain calls take", told)

    def test_a_program_that_fails_fails_its_row(self):
        done = self.ran("#!/bin/sh\necho no such call >&2\nexit 1\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"suite bench: 0 passed, {len(bench.rows())} failed, 0 skipped", done.stdout)
        self.assertIn("figure pipe_rtt_epoll weir 1 no such call", done.stdout)
        self.assertEqual(bench.ratios(done.stdout), [])


if __name__ == "__main__":
    unittest.main()
