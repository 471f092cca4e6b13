# SPDX-License-Identifier: MIT
"""A board that hangs, or ends half-way, must not look like one whose suites passed."""
import sys
import unittest

from boarding import console

GOOD = b"""boot\r
\r
@board up\r
\r
@board begin 0\r
skipped: reads a device (none here)\r
suite io on epoll: 3 passed, 0 failed, 1 skipped\r
\r
@board end 0 exit 0\r
\r
@board done\r
"""


def read(data: bytes) -> console.Transcript:
    transcript = console.Transcript()
    transcript.feed(data)
    return transcript


def emulated(script: str, silence_s: float = 30, total_s: float = 30) -> tuple[console.Transcript, str]:
    """What stands for an emulator is a Python program."""
    return console.watch([sys.executable, "-uc", script], silence_s, total_s, lambda _: None)


class Reading(unittest.TestCase):
    def test_reads_the_totals_of_a_suite(self):
        transcript = read(GOOD)
        self.assertTrue(transcript.up and transcript.done)
        result = transcript.ended[0].of("aarch64: io on epoll", 300)
        self.assertEqual(result.line(), "3 passed, 0 failed, 1 skipped")
        self.assertEqual(result.skips, ["skipped: reads a device (none here)"])

    def test_takes_lines_that_come_in_pieces(self):
        transcript = console.Transcript()
        for index in range(len(GOOD)):
            transcript.feed(GOOD[index : index + 1])
        self.assertEqual(transcript.ended, read(GOOD).ended)

    def test_a_hung_suite_fails_and_keeps_its_log(self):
        ended = read(b"@board up\n@board begin 0\nhalf a suite\nthread: x\n@board end 0 hang\n").ended[0]
        result = ended.of("io", 120)
        self.assertEqual((result.passed, result.failed), (0, 1))
        self.assertIn("half a suite", result.log)
        self.assertIn("hung, not done after 120 s", result.log)

    def test_a_suite_that_a_signal_ended_fails_whatever_it_printed(self):
        data = GOOD.replace(b"exit 0", b"signal 11")
        self.assertEqual(read(data).ended[0].of("io", 120).failed, 1)

    def test_a_suite_that_did_not_end_has_no_outcome(self):
        transcript = read(b"@board up\n@board begin 0\nKernel panic - not syncing\n")
        self.assertEqual((transcript.running, transcript.ended), (0, {}))
        self.assertIn("Kernel panic", transcript.last_words())


class Watching(unittest.TestCase):
    def test_a_board_that_is_done_is_believed(self):
        transcript, why = emulated(f"print({GOOD.decode()!r})")
        self.assertEqual(why, "")
        self.assertEqual(list(transcript.ended), [0])

    def test_a_silent_board_is_killed(self):
        _, why = emulated("import time; print('@board up'); time.sleep(600)", silence_s=0.5)
        self.assertEqual(why, "the board hangs: silent for 0.5 s")

    def test_a_board_that_talks_without_end_is_killed(self):
        _, why = emulated("import time\nwhile True: print('x'); time.sleep(0.01)", total_s=0.5)
        self.assertEqual(why, "the board is not done after 0.5 s")

    def test_a_board_that_ends_half_way_is_not_believed(self):
        _, why = emulated("print('@board up\\n@board begin 0')")
        self.assertIn("ended before it was done", why)

    def test_a_board_that_could_not_be_set_up_says_why(self):
        _, why = emulated("print('@board failed /proc: No such device')")
        self.assertIn("/proc: No such device", why)


if __name__ == "__main__":
    unittest.main()
