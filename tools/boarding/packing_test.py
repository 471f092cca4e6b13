# SPDX-License-Identifier: MIT
"""The archive is what the kernel reads: aligned, and no file before its folder."""
import stat
import unittest

from boarding import packing


def unpack(data: bytes) -> list[tuple[str, int, bytes]]:
    entries = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(packing.HEADER_FIELDS)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return entries
        entries.append((name, mode, data[at : at + size]))
        at = (at + size + 3) // 4 * 4


class Packing(unittest.TestCase):
    def test_what_is_put_in_comes_out_after_its_folders(self):
        archive = packing.Archive()
        archive.add("/usr/lib/odd", b"12345", 0o755)
        archive.link("/bin/sh", "busybox")
        archive.device("dev/console", 5, 1)
        entries = unpack(archive.bytes())
        names = ["usr", "usr/lib", "usr/lib/odd", "bin", "bin/sh", "dev", "dev/console"]
        self.assertEqual([entry[0] for entry in entries], names)
        self.assertEqual(entries[2][1:], (stat.S_IFREG | 0o755, b"12345"))
        self.assertEqual(entries[4][1:], (stat.S_IFLNK | 0o777, b"busybox"))
        self.assertTrue(stat.S_ISCHR(entries[6][1]))

    def test_reads_what_a_program_needs(self):
        told = " 0x0001 (NEEDED)  Shared library: [liburing.so.2]\n"
        told += "      [Requesting program interpreter: /lib/ld-linux.so.3]\n"
        self.assertEqual(packing.NEEDED.findall(told), ["liburing.so.2"])
        self.assertEqual(packing.INTERPRETER.search(told)[1], "/lib/ld-linux.so.3")


if __name__ == "__main__":
    unittest.main()
