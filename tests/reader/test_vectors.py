#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small parts of the independent reader against values worked out by hand or taken from the papers."""
import unittest

import aksdr_reader as a


class Vectors(unittest.TestCase):
    def test_uvar(self):
        for data, value in ((b"\0", 0), (b"\x7f", 127), (b"\x80\x01", 128), (b"\xff" * 9 + b"\x01", 2**64 - 1)):
            self.assertEqual(a.Cursor(data).uvar(), value)
        for data in (b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x01"):
            with self.assertRaises(a.Bad):
                a.Cursor(data).uvar()

    def test_svar(self):
        for data, value in ((b"\0", 0), (b"\1", -1), (b"\2", 1), (b"\3", -2)):
            self.assertEqual(a.Cursor(data).svar(), value)

    def test_padme(self):
        # E = floor(log2 L), S = floor(log2 E) + 1, multiples of 2^(E-S)
        for n, padded in ((0, 0), (1, 1), (2, 2), (9, 10), (100, 104), (1000, 1024), (16 << 20, 16 << 20),
                          ((16 << 20) + 1, (16 << 20) + (1 << 19))):
            self.assertEqual(a.padme(n), padded)

    def test_kdf_is_keyed_blake2b(self):
        import hashlib
        self.assertEqual(a.kdf(bytes(32), "point"), hashlib.blake2b(b"point\0", key=bytes(32), digest_size=32).digest())

    def test_chunk_id_of_one_page(self):
        import hashlib
        key = bytes(range(32))
        pad = key + bytes(32)
        leaf = hashlib.sha256(bytes(b ^ 0x36 for b in pad) + b"abc").digest()
        want = hashlib.sha256(bytes(b ^ 0x5c for b in pad) + leaf + (3).to_bytes(8, "little")).digest()
        self.assertEqual(a.chunk_id(key, b"abc"), want)

    def test_order_of_paths(self):
        paths = [b"", b"a", b"a/b", b"a/b/c", b"a-b", b"a.b", b"ab", b"b"]
        self.assertEqual(sorted(reversed(paths), key=a.path_order), paths)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
