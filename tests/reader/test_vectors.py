#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small parts of the independent reader against values worked out by hand or taken from the papers."""
import json, struct, unittest

import aksdr_reader as a

S1 = "2026-11-22/03fa41b2c19de077-000102030405060708090a0b0c0d0e0f"
S2 = "2026-11-23/03fa41b2c19de077-000102030405060708090a0b0c0d0e0f"
OTHER = "2026-11-23/13fa41b2c19de077-000102030405060708090a0b0c0d0e0f"


def noted(o, tail=b""):
    text = json.dumps(o).encode()
    return struct.pack("<I", len(text)) + text + tail


def collection(part, packs=b"", sessions=b"", **more):
    o = {"schema": "aksdr/collection/v1", "part": part, "generation": 7, "packs": len(packs) // 17,
         "sessions": len(sessions) // 61, "at_ns": 1}
    return noted(o | more, packs + sessions)


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

    def test_names(self):
        pack = "ab" + "0" * 30
        for name, kind in (("config", "config"), ("sess/" + S1, "marker"), (f"sess/{S1}-0001", "beat"),
                           (f"pack/ab/{pack}", "pack"), (f"meta/ab/{pack}", "pack"), (f"pack/ba/{pack}", None),
                           ("idx/0123456789abcdef/" + S1 + "-0000", "segment"),
                           ("idx/0123456789abcdef/" + S1 + "-12345", "segment"),
                           ("idx/0123456789abcdef/" + S1 + "-000", None), ("commit/" + S1, "commit"),
                           (f"commit/{S1}-0000", None), ("commit/" + S1.upper(), None), ("tomb/00000001", "tomb"),
                           ("tomb/00000000", None), ("hold/1", None), ("hold/123456789", None),
                           ("pin/2026-11-22/" + "0" * 32, "pin"), ("ctl/gc/00000010/final", "collection"),
                           ("ctl/gc/00000010/other", None), ("ctl/damage/2026-11-22/" + "f" * 32, "damage"),
                           ("ctl/run/" + "f" * 32 + "/00000001", "run"), ("ctl/run/" + "f" * 31 + "/00000001", None),
                           ("ctl/owner/" + "0" * 16 + "/00000002", "owner"),
                           ("audit/2026-11-22-" + "f" * 32 + "/00000001", "audit"), ("ctl/audit/00000001", "anchor"),
                           ("audit/2026-11-22-" + "f" * 32 + "/1", None), ("audit/" + "f" * 32 + "/00000001", None),
                           ("ctl/owner/" + "0" * 16 + "/00000000", None),
                           ("probe/" + "f" * 32, "probe"), ("probe/x", None), ("other", None)):
            self.assertEqual(a.kind_of_name(name), kind, name)
        self.assertEqual(a.session_of(f"idx/0123456789abcdef/{S1}-0003"), S1)
        self.assertEqual(a.voltag(S1), "03fa41b2c19de077")

    def test_json(self):
        self.assertEqual(a.parse_json(b'{"schema": "x", "n": 1}   ', "it", "x")["n"], 1)
        for text in (b'{"schema": "y"}', b'{"schema": "x", "n": 1, "n": 1}', b'[]', b'{"n": 1}'):
            with self.assertRaises(a.Bad):
                a.parse_json(text, "it", "x")

    def test_list_of_a_collection(self):
        packs = b"\0" + bytes(16) + b"\0" + b"\1" * 16 + b"\1" + bytes(16)
        lines = f"{S1}\n{S2}\n".encode()
        self.assertEqual(a.read_collection(collection("final", packs, lines), 7, "final"),
                         ([("P", bytes(16)), ("P", b"\1" * 16), ("M", bytes(16))], [S1, S2], None))
        self.assertEqual(a.read_collection(collection("done", what={"tombs": 3}), 7, "done"), ([], [], {"tombs": 3}))
        for part, plain in (("final", collection("final", packs, lines, generation=8)),
                            ("condemn", collection("final", packs)), ("live", collection("live", packs, lines)),
                            ("condemn", collection("condemn", packs[17:] + packs[:17])),
                            ("final", collection("final", packs[:17] * 2)),
                            ("final", collection("final", b"\2" + bytes(16))),
                            ("sessions", collection("sessions", b"", f"{S2}\n{S1}\n".encode())),
                            ("sessions", collection("sessions", b"", lines.replace(b"\n", b" "))),
                            ("condemn", collection("condemn", b"", lines)), ("sessions", collection("sessions", packs)),
                            ("final", collection("final", packs) + b"\0"), ("final", collection("final", packs)[:-1]),
                            ("final", b""), ("final", b"\0\0\0")):
            with self.assertRaises(a.Bad):
                a.read_collection(plain, 7, part)

    def test_mark_of_damage(self):
        place = b"\1" + b"p" * 16 + (77).to_bytes(4, "little") + b"c" * 32
        o = {"schema": "aksdr/damage/v1", "places": 2, "at_ns": 1}
        self.assertEqual(a.read_damage(noted(o, place * 2), "it"), [("M", b"p" * 16, 77, b"c" * 32)] * 2)
        for tail in (place, place * 3, place[:-1]):
            with self.assertRaises(a.Bad):
                a.read_damage(noted(o, tail), "it")

    def test_segment(self):
        def pack(byte, kind):
            return byte * 16 + struct.pack("<Q", 5000) + kind + bytes(7)

        def entry(byte, number, kind):
            return byte * 32 + struct.pack("<5IHBB", number, 100, 26, 10, 3, 0, 0, kind)
        head = struct.pack("<I", 2) + pack(b"a", b"P") + pack(b"b", b"M")
        one, two = entry(b"1", 1, 1), entry(b"2", 0, 0)
        packs, entries = a.read_segment(head + struct.pack("<I", 2) + one + two)
        self.assertEqual(packs, [(b"a" * 16, 5000, "P"), (b"b" * 16, 5000, "M")])
        self.assertEqual(entries, [(1, (b"1" * 32, 100, 26, 10, 3, 0, 0)), (0, (b"2" * 32, 100, 26, 10, 3, 0, 0))])
        for tail in (two + one, one + one, one + two + b"\0", one + entry(b"2", 1, 0), one + entry(b"2", 2, 0)):
            with self.assertRaises(a.Bad):
                a.read_segment(head + struct.pack("<I", 2) + tail)

    def test_expiry(self):
        def state(session, tombs, holds=(), pins=(), signatures=1, signers=(b"a",)):
            def said(statements):
                return [(n, signers[(n - 1) % len(signers)], o) for n, o in enumerate(statements, 1)]
            return a.Expiry(said({"points": [{"session": t}]} for t in tombs), said(holds),
                            said({"session": p} for p in pins), signatures,
                            lambda v: a.voltag(v["name"])).state(session)
        other_hold = {"session": OTHER}
        held, of_volume, released = {"session": S1}, {"volume": {"name": S1}}, {"releases": 1}
        self.assertEqual(state(S1, []), "live")
        self.assertEqual(state(S1, [], [held], [S1]), "live")
        self.assertEqual(state(S1, [S2]), "live")
        self.assertEqual(state(S1, [S1, S2]), "expired")
        self.assertEqual(state(S1, [S1], [held]), "held")
        self.assertEqual(state(S2, [S2], [held]), "expired")
        self.assertEqual(state(S2, [S2], [of_volume]), "held")
        self.assertEqual(state(OTHER, [OTHER], [of_volume]), "expired")
        self.assertEqual(state(S1, [S1], [held, released]), "expired")
        self.assertEqual(state(S1, [S1], [held, released, held]), "held")
        self.assertEqual(state(S1, [S1], [held, {"releases": 3}, held]), "held")
        self.assertEqual(state(S1, [S1], [{"releases": 2}, held]), "held")
        self.assertEqual(state(S1, [S1], [], [S1]), "pinned")
        self.assertEqual(state(S1, [S1], [], [S2]), "expired")
        self.assertEqual(state(S1, [S1], signatures=2), "proposed")
        self.assertEqual(state(S1, [S1, S1], signatures=2), "proposed")
        self.assertEqual(state(S1, [S1, S1], signatures=2, signers=(b"a", b"b")), "expired")
        both = {"signatures": 2, "signers": (b"a", b"b")}
        self.assertEqual(state(S1, [S1, S1], [held, released], **both), "held")
        self.assertEqual(state(S1, [S1, S1], [held, released, released], **both), "expired")
        self.assertEqual(state(S1, [S1, S1], [held, released, other_hold, released], **both), "held")

    def test_reseal(self):
        one, two = b"1" * 32 + b"s" * 80, b"2" * 32 + b"t" * 80
        o = {"schema": "aksdr/reseal/v1"}
        self.assertEqual(a.read_reseal(noted(o, one + two), "it"), {b"1" * 32: b"s" * 80, b"2" * 32: b"t" * 80})
        self.assertEqual(a.read_reseal(noted(o, b""), "it"), {})
        for tail in (two + one, one + one, one[:-1], one + two + b"\0"):
            with self.assertRaises(a.Bad):
                a.read_reseal(noted(o, tail), "it")

    def test_what_counts_of_a_revoked_signer(self):
        o = {"schema": "aksdr/revoked/v1", "signer": "00" * 8, "objects": 2}
        self.assertEqual(a.read_hashes(noted(o, b"1" * 32 + b"2" * 32), "it"), ("00" * 8, [b"1" * 32, b"2" * 32]))
        for tail in (b"1" * 32, b"2" * 32 + b"1" * 32, b"1" * 64, b"1" * 32 + b"2" * 32 + b"3" * 32):
            with self.assertRaises(a.Bad):
                a.read_hashes(noted(o, tail), "it")

    def test_what_counts_of_a_fenced_site(self):
        o = {"schema": "aksdr/fence/v1", "points": 2}
        self.assertEqual(a.read_fence(noted(o, b"2" * 16 + b"1" * 16), "it"), [b"2" * 16, b"1" * 16])
        for tail in (b"1" * 16, b"1" * 33, b"1" * 48, b""):
            with self.assertRaises(a.Bad):
                a.read_fence(noted(o, tail), "it")

    def test_runs_and_who_serves_a_plan(self):
        by = {"user": "u", "host": "h"}
        run = {"schema": "aksdr/run/v1", "kind": "drill", "plan": "shop", "step": "plan", "at_ns": 1, "actor": by}
        self.assertEqual(a.read_run(json.dumps(run).encode(), "it")["step"], "plan")
        owner = {"schema": "aksdr/owner/v1", "plan": "shop", "cluster": "ne", "run": "0" * 32, "reason": "down",
                 "at_ns": 1, "epoch": 2, "actor": by}
        self.assertEqual(a.read_owner(json.dumps(owner).encode(), "it")["cluster"], "ne")
        for read, o, wrong in ((a.read_run, run, {"kind": "other"}), (a.read_run, run, {"step": ""}),
                               (a.read_run, run, {"actor": {"user": "u", "host": 1}}),
                               (a.read_owner, owner, {"cluster": ""}), (a.read_owner, owner, {"run": "0"}),
                               (a.read_owner, owner, {"epoch": None}), (a.read_owner, owner, {"reason": 1})):
            with self.assertRaises(a.Bad):
                read(json.dumps(dict(o, **wrong)).encode(), "it")


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
