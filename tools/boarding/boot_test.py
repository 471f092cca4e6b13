# SPDX-License-Identifier: MIT
"""Tests of boarding/boot.py: which suites are run again, and what counts then."""
import pathlib
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from boarding import boot  # noqa: E402
from boarding.boards import BOARDS  # noqa: E402
from boarding.suites import Suite  # noqa: E402
from testing import outcome  # noqa: E402


def suite(name: str) -> Suite:
    return Suite(name, name, pathlib.Path(name), {})


class Again(unittest.TestCase):
    def run_with(self, failing: list[set[str]]) -> tuple[list[outcome.Outcome], list[list[str]], list[str]]:
        """The outcomes, the suites of each boot, and what was said, where `failing` fail at each boot."""
        taken, boots, said = [], [], []
        made = boot.Boots(said.append, taken.append)

        def fake(_board, _image, chosen, _limit_s, take):
            wrong = failing[len(boots)]
            boots.append([each.name for each in chosen])
            for each in chosen:
                take(each, outcome.of_check(each.name, each.name not in wrong, f"log of {each.name}"))

        with mock.patch.object(made, "boot", fake), mock.patch("boarding.images.of_suites", return_value=b""):
            made.boot_suites(BOARDS["aarch64"], pathlib.Path(), [suite(n) for n in ("io", "shm", "ring", "topic")], 1)
        return taken, boots, said

    def test_nothing_is_run_again_where_nothing_failed(self):
        taken, boots, said = self.run_with([set()])
        self.assertEqual(len(boots), 1)
        self.assertEqual([result.failed for result in taken], [0, 0, 0, 0])
        self.assertEqual(said, [])

    def test_what_failed_is_told_and_run_again(self):
        taken, boots, said = self.run_with([{"io"}, set()])
        self.assertEqual(boots[1], ["io"])
        self.assertEqual(sum(result.failed for result in taken), 0)
        self.assertEqual(len(taken), 4)
        self.assertEqual(said, ["io: failed, and is run again\nlog of io"])

    def test_what_fails_twice_has_failed(self):
        taken, boots, _ = self.run_with([{"io", "ring"}, {"ring"}])
        self.assertEqual(boots[1], ["io", "ring"])
        self.assertEqual(sum(result.failed for result in taken), 1)
        self.assertEqual(len(taken), 4)

    def test_where_many_failed_none_is_run_again(self):
        taken, boots, _ = self.run_with([{"io", "ring", "shm"}])
        self.assertEqual(len(boots), 1)
        self.assertEqual(sum(result.failed for result in taken), 3)


if __name__ == "__main__":
    unittest.main()
