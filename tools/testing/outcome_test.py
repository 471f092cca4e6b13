# SPDX-License-Identifier: MIT
"""A run must not end well when a suite crashed, said nothing or ran nothing."""
import unittest

from testing import outcome

GOOD = "...\nskipped: reads a device (none here)\nseeds run: 16\nsuite io on epoll: 3 passed, 0 failed, 1 skipped\n"


class OfSuite(unittest.TestCase):
    def test_reads_totals_skips_and_seeds(self):
        read = outcome.of_suite("io", 0, GOOD, "")
        self.assertEqual((read.passed, read.failed, read.skipped, read.seeds), (3, 0, 1, 16))
        self.assertEqual(read.skips, ["skipped: reads a device (none here)"])

    def test_a_crash_before_the_totals_is_a_failure(self):
        self.assertEqual(outcome.of_suite("io", -11, "running\n", "").failed, 1)

    def test_a_bad_exit_after_good_totals_is_a_failure(self):
        self.assertEqual(outcome.of_suite("io", -11, GOOD, "").failed, 1)

    def test_a_silent_success_is_a_failure(self):
        self.assertEqual(outcome.of_suite("io", 0, "", "").failed, 1)

    def test_a_suite_without_tests_is_a_failure(self):
        self.assertEqual(outcome.of_suite("io", 0, "suite io: 0 passed, 0 failed, 0 skipped\n", "").failed, 1)


class Summary(unittest.TestCase):
    def test_ends_with_the_sums(self):
        lines, status = outcome.summary([outcome.of_suite("io", 0, GOOD, ""), outcome.of_check("layers", True, "")])
        self.assertEqual(lines, ["seeds run: 16", "4 passed, 0 failed, 1 skipped"])
        self.assertEqual(status, 0)

    def test_one_failure_fails_the_run(self):
        lines, status = outcome.summary([outcome.of_suite("io", 0, GOOD, ""), outcome.of_check("layers", False, "")])
        self.assertEqual(lines[-1], "3 passed, 1 failed, 1 skipped")
        self.assertEqual(status, 1)

    def test_nothing_run_is_no_success(self):
        self.assertEqual(outcome.summary([])[1], 1)
        self.assertEqual(outcome.summary([outcome.Outcome("io", skipped=4)])[1], 1)
