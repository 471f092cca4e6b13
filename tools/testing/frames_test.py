# SPDX-License-Identifier: MIT
import unittest

from testing import frames

TOLD = """\
pump, pid 4711

  frame   block    peak       made  task
    300     320       7       1000  session:34
    600     640       1          1  serve:12
     96      96       1          1  operator():40
    160     160       1          1  operator():20

   at most      limit        of Budget
      2880      16384  17 %  frame_bytes

constexpr weir::Budget budget{
    .links = 3,
};

other, pid 4712

  frame   block    peak       made  task
    300     320       1          1  session:34
"""


def recorded(compiler: str = "g++ 12.2.0", **sizes: int) -> frames.Record:
    record = frames.Record()
    record.compilers["gcc"] = compiler
    record.sizes["gcc"] = {("pump", task): size for task, size in sizes.items()}
    return record


def findings(record: frames.Record, **sizes: int) -> list[str]:
    return frames.findings("gcc", record, "g++ 12.2.0", {("pump", task): size for task, size in sizes.items()})


class Frames(unittest.TestCase):
    def test_tasks_are_read_from_what_weir_budget_prints(self):
        self.assertEqual(
            frames.tasks_of(TOLD), {"operator()": 160, "operator()#2": 96, "serve": 600, "session": 300}
        )
        self.assertEqual(frames.tasks_of("nothing\n"), {})

    def test_growth_beyond_five_percent_fails(self):
        record = recorded(serve=600, session=320)
        self.assertEqual(findings(record, serve=600, session=320), [])
        self.assertEqual(findings(record, serve=630, session=200), [])
        self.assertEqual(findings(record, serve=600), [])
        self.assertEqual(findings(record, serve=632), ["gcc: pump, serve: 632 bytes, was 600: 5 % more"])
        self.assertEqual(len(findings(record, serve=1200, session=640)), 2)

    def test_what_is_not_recorded_fails(self):
        self.assertEqual(len(findings(recorded(serve=600), serve=600, fresh=32)), 1)
        self.assertEqual(len(findings(frames.Record(), serve=600)), 1)

    def test_another_compiler_cannot_be_compared(self):
        (said,) = findings(recorded("g++ 13.1.0", serve=600), serve=600)
        self.assertIn("13.1.0", said)

    def test_a_record_is_read_as_it_was_written(self):
        record = recorded(serve=600, session=320)
        record.compilers["armhf"] = "arm-linux-gnueabihf-g++ 12.2.0"
        record.sizes["armhf"] = {("pump", "serve"): 400, ("tank", "operator()#2"): 80}
        again = frames.Record.parse(record.text())
        self.assertEqual(again.compilers, record.compilers)
        self.assertEqual(again.sizes, record.sizes)
        self.assertEqual(again.text(), record.text())


if __name__ == "__main__":
    unittest.main()
