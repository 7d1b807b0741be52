#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the repository format, written from docs/FORMAT.md alone.

  aksdr_reader.py --store DIR --key recovery.key [--passphrase-file F] points [--all]
  aksdr_reader.py … ls NAME[@POINT] [--all]
  aksdr_reader.py … places NAME[@POINT]
  aksdr_reader.py … restore NAME[@POINT] --target PATH
  aksdr_reader.py … verify

It is slow and strict: whatever does not follow the format is an error. Points
that are expired are passed over unless --all is given. Section numbers below are
those of FORMAT.md.
"""
import argparse, base64, fcntl, hashlib, json, os, re, stat, struct, sys
from collections import Counter

import nacl.bindings as sodium
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import nacl.pwhash.argon2id
import zstandard

CHUNK_MAX, PACK_MAX, PATH_MAX, ITEMS_MAX, LEVELS_MAX = 8 << 20, 256 << 20, 65536, 65536, 16
PAGE, WINDOW = 4096, 64 << 20
TEXT_MAX, LIST_MAX, LISTED_MAX, TOMB_MAX = 4 << 20, 64 << 20, 10**6, 20000
RESEAL_MAX, ACCEPTED_MAX = 65536, 64
FEATURES = 3
ABORT_BYTES = 512
MAINTENANCE = "0" * 16


class Bad(Exception):
    """The bytes do not follow the format, or are not authentic."""


class Void(Bad):
    """An object that does not count, since its signer was revoked, or its site fenced."""


def need(condition, what):
    if not condition:
        raise Bad(what)


# ---- 1 ----

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(0 <= n <= len(self.data) - self.at, "bytes end too early")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")

    def uvar(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            need(shift < 63 or (shift == 63 and byte <= 1), "uvar over 64 bits")
            need(byte or not shift, "padded uvar")
            value |= (byte & 127) << shift
            if not byte & 128:
                return value
            shift += 7

    def svar(self):
        value = self.uvar()
        return (value >> 1) ^ -(value & 1)

    def bytes(self, limit):
        n = self.uvar()
        need(n <= limit, "a run of bytes over its limit")
        return self.take(n)

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(self.at == len(self.data), "bytes are left over")


def parse_json(text, what, schema):
    def once(pairs):
        need(len(pairs) == len({k for k, _ in pairs}), f"{what}: a member comes twice")
        return dict(pairs)
    need(len(text) <= TEXT_MAX, f"{what}: JSON over its limit")
    value = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    need(isinstance(value, dict) and value.get("schema") == schema, f"{what}: its schema is not {schema}")
    return value


def blake(message, key=b"", n=32):
    return hashlib.blake2b(message, key=key, digest_size=n).digest()


def sha(message):
    return hashlib.sha256(message).digest()


def kdf(key, label, context=b""):
    return blake(label.encode() + b"\0" + context, key)


def xchacha_open(key, nonce, text, aad):
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(text, aad, nonce, key)
    except Exception as e:
        raise Bad("not authentic (XChaCha20-Poly1305)") from e


def signed(public, message, signature, what):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature as e:
        raise Bad(f"{what}: the signature does not fit") from e


def head(c, kind):
    need(c.take(4) == b"AKSD", "no magic")
    got = c.take(1)
    need(got == kind.encode(), f"kind {got} where {kind} should be")
    version, features = c.number(1), c.number(2)
    need(version == 1, f"format version {version} is unknown")
    need(not features & ~(FEATURES if kind == "C" else 0), f"unknown features {features:#x}")


def padme(n):
    if n < 2:
        return n
    e = n.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return (n + step - 1) // step * step


# ---- 2 ----

DAY, RANDOM = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9a-f]{32}"
SESSION = f"{DAY}/[0-9a-f]{{16}}-{RANDOM}"
NUMBER = "(?!0{8})[0-9]{8}"
PARTS = ("condemn", "sessions", "final", "finals", "live", "done")
NAMES = {
    "config": "config",
    "revision": "ctl/config/(?!0{7}[01])[0-9]{8}",
    "marker": f"sess/{SESSION}",
    "beat": f"sess/{SESSION}-[0-9]{{4,}}",
    "pack": "(pack|meta)/(?P<xx>[0-9a-f]{2})/(?P=xx)[0-9a-f]{30}",
    "segment": f"idx/[0-9a-f]{{16}}/{SESSION}-[0-9]{{4,}}",
    "commit": f"commit/{SESSION}",
    "collection": f"ctl/gc/{NUMBER}/({'|'.join(PARTS)})",
    "damage": f"ctl/damage/{DAY}/{RANDOM}",
    "revoked": f"ctl/revoked/{DAY}/{RANDOM}",
    "fence": f"ctl/fence/{DAY}/{RANDOM}",
    "run": f"ctl/run/{RANDOM}/{NUMBER}",
    "inventory": f"ctl/inventory/{DAY}/{RANDOM}",
    "audit": f"audit/{DAY}-{RANDOM}/{NUMBER}",
    "anchor": f"ctl/audit/{NUMBER}",
    "owner": f"ctl/owner/[0-9a-f]{{16}}/{NUMBER}",
    "reseal": f"reseal/[0-9a-f]{{16}}/{DAY}/{RANDOM}",
    "tomb": f"tomb/{NUMBER}",
    "hold": f"hold/{NUMBER}",
    "pin": f"pin/{DAY}/{RANDOM}",
    "checked": f"check/{DAY}/{RANDOM}",
    "probe": f"probe/{RANDOM}",
}


def kind_of_name(name):
    """What an object is by its name; None: something that the format does not know."""
    return next((kind for kind, form in NAMES.items() if re.fullmatch(form, name)), None)


def session_of(name):
    """S in the name of a marker, beat, commit or segment."""
    return re.search(f"/({SESSION})(-[0-9]+)?$", name)[1]


def voltag(session):
    return session[11:27]


# ---- 3 ----

def read_key(path, passphrase_file=None):
    lines = open(path, encoding="ascii").read().split("\n")
    need(lines.pop() == "", "a key file ends with a line end")
    m = re.fullmatch(r"aksdr (recovery|agent|audit) key 1", lines[0])
    need(m, "not a key file of version 1")
    known = {"recovery": {"repository", "secret", "admin", "admin-public", "kdf", "salt", "wrapped"},
             "agent": {"repository", "secret", "sign", "admin-public", "recipient"},
             "audit": {"repository", "metadata", "admin-public"}}[m[1]]
    key = {"kind": m[1]}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        need(name in known, f"unknown line {name!r}")
        key.setdefault(name, value)
    key["repository"] = bytes.fromhex(key["repository"])
    if "wrapped" in key:
        method, ops, memory = key["kdf"].split(" ")
        need(method == "argon2id", "unknown kdf")
        need(passphrase_file, "this key needs a passphrase")
        passphrase = open(passphrase_file, "rb").read().split(b"\n")[0].removesuffix(b"\r")
        wrap = nacl.pwhash.argon2id.kdf(32, passphrase, bytes.fromhex(key["salt"]), opslimit=int(ops),
                                        memlimit=int(memory))
        blob = base64.b64decode(key["wrapped"], validate=True)
        reads_only = bytes.fromhex(key.get("admin-public", ""))
        both = xchacha_open(wrap, blob[:24], blob[24:], b"aksdr recovery key" + key["repository"] + reads_only)
        key["secret"] = both[:32]
        need(len(both) == (32 if reads_only else 64), "what is wrapped")
        if not reads_only:
            key["admin"] = both[32:]
    else:
        for name in ("secret", "admin", "metadata", "sign"):
            if name in key:
                key[name] = base64.b64decode(key[name], validate=True)
    if "admin" in key:
        need("admin-public" not in key, "the admin key and its public half too")
        admin = Ed25519PrivateKey.from_private_bytes(key["admin"]).public_key()
        key["admin-public"] = admin.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        key["admin-public"] = bytes.fromhex(key["admin-public"])
    return key


def signer_id(public):
    return blake(b"signer" + public)[:8]


def unseal(secret, sealed):
    public = sodium.crypto_scalarmult_base(secret)
    try:
        return sodium.crypto_box_seal_open(sealed, public, secret)
    except Exception as e:
        raise Bad("not sealed to this key") from e


class Domain:
    def __init__(self, repo, name):
        d = name.encode()
        self.name = name
        self.meta, self.node = kdf(repo.mm, "tree", d), kdf(repo.mm, "node id", d)
        self.foot, self.scrub = kdf(repo.mm, "footer", d), kdf(repo.mm, "scrub", d)
        self.tag = kdf(repo.mm, "domain tag", d)[:8]
        self.id = kdf(repo.cm, "chunk id", d)


# ---- 8 ----

def chunk_id(key, plain):
    inner = bytes(b ^ 0x36 for b in key + bytes(32))
    outer = bytes(b ^ 0x5c for b in key + bytes(32))
    leaves = b"".join(sha(inner + plain[i:i + PAGE]) for i in range(0, len(plain), PAGE))
    return sha(outer + leaves + struct.pack("<Q", len(plain)))


# ---- 4, 5, 6, 7 ----

class Pack:
    """A pack whose frame has been checked in full: header, footer, trailer, lengths, scrub sums."""

    def __init__(self, repo, domain, kind, pack_id):
        self.repo, self.domain, self.kind, self.id = repo, domain, kind, pack_id
        self.data = data = repo.get(repo.pack_name(kind, pack_id))
        need(len(data) <= PACK_MAX, "a pack over its limit")
        c = Cursor(data)
        head(c, kind)
        need(c.take(16) == pack_id, "another pack's id")
        need(c.take(8) == domain.tag, "another domain's pack")
        self.cipher, hashed, nkeys = c.number(1), c.number(1), c.number(2)
        need(self.cipher in (1, 2), f"cipher {self.cipher} is unknown")
        need(hashed == 1, f"hash {hashed} is unknown")
        need(1 <= nkeys <= 4096, "number of keys")
        self.keys = []
        for _ in range(nkeys):
            slots = c.number(2)
            need(1 <= slots <= 64, "number of slots")
            commitment = c.take(32)
            self.keys.append((commitment, [(c.take(8), c.take(80)) for _ in range(slots)]))
        self.deks = {}
        self.frame(c.at)

    def frame(self, header_len):
        data, repo = self.data, self.repo
        t = Cursor(data[-160:])
        off, length, header = t.number(8), t.number(4), t.number(4)
        header_hash, footer_hash, signer, signature = t.take(32), t.take(32), t.take(8), t.take(64)
        need(t.take(8) == b"AKSDTAIL", "no trailer")
        signed(repo.signer(signer), b"aksdr pack\0" + repo.id + self.id + data[-160:-72], signature, "pack")
        need(header == header_len and header_hash == sha(data[:header_len]), "header hash")
        need(off + length == len(data) - 160, "place of the footer")
        footer = data[off:off + length]
        need(sha(footer) == footer_hash, "footer hash")
        f = Cursor(xchacha_open(self.domain.foot, footer[:24], footer[24:],
                                b"footer" + repo.id + self.id + header_hash))
        count, at, payload, counters = f.number(4), header_len, 0, set()
        scrub_key = kdf(self.domain.scrub, "pack", self.id)
        self.entries = {}
        for position in range(count):
            cid, eoff, stored, plain, counter = f.take(32), f.number(4), f.number(4), f.number(4), f.number(4)
            key, compression, kind, scrub = f.number(2), f.number(1), f.number(1), f.take(16)
            need(eoff == at and stored > 16 and 0 < plain <= CHUNK_MAX, "an entry's place")
            need(kind == (0 if self.kind == "P" else 1) and compression in (0, 1), "an entry's kind")
            need(key < len(self.keys), "an entry's key")
            need((key, counter) not in counters, "a nonce used twice")
            counters.add((key, counter))
            text = data[eoff:eoff + stored]
            if self.cipher == 1:
                tag = AESGCM(scrub_key).encrypt(struct.pack("<I8x", position), b"", text)
            else:
                tag = blake(struct.pack("<I", position) + text, scrub_key)[:16]
            need(tag == scrub, "a scrub sum")
            self.entries[cid, eoff] = (stored, plain, counter, key, compression)
            at += stored
            payload += stored - 16
        f.end()
        rest = header_len + 16 * count + length + 160
        need(at <= off, "entries reach into the footer")
        need(len(data) == padme(payload) + (rest + 4095) // 4096 * 4096, "length of the padding")

    def dek(self, number):
        if number not in self.deks:
            commitment, slots = self.keys[number]
            dek = None
            for recipient, wrapped in slots:
                if self.kind == "M" and recipient == bytes(8):
                    need(wrapped[72:] == bytes(8), "zero bytes of a wrapped key")
                    dek = xchacha_open(self.domain.meta, wrapped[:24], wrapped[24:72],
                                       b"meta" + self.repo.id + self.id)
                elif recipient == self.repo.recipient:
                    dek = unseal(self.repo.secret, wrapped)
            if not dek and self.kind == "P":
                dek = self.repo.resealed(commitment)
            need(dek, "no slot for this key")
            need(blake(b"aksdr dek", dek) == commitment, "key commitment")
            self.deks[number] = dek
        return self.deks[number]

    def chunk(self, ref):
        cid, off, stored, plain, counter, key, compression = ref
        need(self.entries.get((cid, off)) == (stored, plain, counter, key, compression), "REF and footer differ")
        text = self.data[off:off + stored]
        aad = self.repo.id + cid + struct.pack("<IB", plain, compression)
        if self.cipher == 1:
            try:
                out = AESGCM(self.dek(key)).decrypt(struct.pack("<I8x", counter), text, aad)
            except InvalidTag as e:
                raise Bad("a chunk is not authentic") from e
        else:
            out = xchacha_open(self.dek(key), struct.pack("<I20x", counter), text, aad)
        if compression:
            out = zstandard.ZstdDecompressor().decompress(out, max_output_size=plain)
        need(len(out) == plain, "a chunk's length")
        need(chunk_id(self.domain.node if self.kind == "M" else self.domain.id, out) == cid, "a chunk's id")
        return out


def read_segment(plain):
    """Section 7: packs as (id, length, kind), entries as (number of the pack, ref, kind)."""
    c = Cursor(plain)
    packs, entries, last = [], [], b""
    for _ in range(c.number(4)):
        packs.append((c.take(16), c.number(8), chr(c.number(1))))
        need(packs[-1][2] in "PM" and packs[-1][1] <= PACK_MAX, "a pack of an index segment")
        need(c.take(7) == bytes(7), "zero bytes of an index segment")
    for _ in range(c.number(4)):
        cid, pack, off, stored, plain_len = c.take(32), c.number(4), c.number(4), c.number(4), c.number(4)
        counter, key, compression, kind = c.number(4), c.number(2), c.number(1), c.number(1)
        need(last < cid, "order of an index segment")
        last = cid
        need(pack < len(packs) and kind == "PM".index(packs[pack][2]), "an index entry's pack")
        need(compression in (0, 1), "an index entry's compression")
        entries.append((pack, (cid, off, stored, plain_len, counter, key, compression)))
    c.end()
    return packs, entries


# ---- 12, 13 ----

def read_noted_list(plain, what, schema):
    """JSON with a list behind it."""
    need(len(plain) <= LIST_MAX, f"{what}: over its limit")
    c = Cursor(plain)
    n = c.number(4)
    need(n <= TEXT_MAX, f"{what}: JSON over its limit")
    return parse_json(c.take(n), what, schema), Cursor(c.rest())


def read_pack_name(c):
    kind = c.number(1)
    need(kind in (0, 1), "kind of a pack in a list")
    return "PM"[kind], c.take(16)


def read_collection(plain, number, part):
    """What a part of a collection holds: packs as (kind, id), sessions, and `what`."""
    what = f"ctl/gc/{number:08}/{part}"
    o, c = read_noted_list(plain, what, "aksdr/collection/v1")
    need(o["part"] == part and o["generation"] == number, f"{what}: of another part or collection")
    packs = [read_pack_name(c) for _ in range(o["packs"])]
    need(packs == sorted(set(packs), key=lambda p: ("PM".index(p[0]), p[1])), f"{what}: order of packs")
    sessions = []
    need(o["sessions"] <= LISTED_MAX, f"{what}: sessions over their limit")
    for _ in range(o["sessions"]):
        line = c.take(61).decode("ascii")
        need(re.fullmatch(SESSION + "\n", line), f"{what}: no name of a session")
        sessions.append(line[:-1])
    need(sessions == sorted(set(sessions)), f"{what}: order of sessions")
    c.end()
    need(not packs or part in ("condemn", "final", "finals"), f"{what}: packs that do not belong there")
    need(not sessions or part in ("sessions", "final", "live"), f"{what}: sessions that do not belong there")
    return packs, sessions, o.get("what")


def read_damage(plain, what):
    """Places as (kind, pack id, offset, chunk id)."""
    o, c = read_noted_list(plain, what, "aksdr/damage/v1")
    need(o["places"] <= LISTED_MAX, f"{what}: places over their limit")
    places = [(*read_pack_name(c), c.number(4), c.take(32)) for _ in range(o["places"])]
    c.end()
    return places


def read_hashes(plain, what):
    """The signer of a list of what counts, and the hashes."""
    o, c = read_noted_list(plain, what, "aksdr/revoked/v1")
    need(o["objects"] <= LISTED_MAX, f"{what}: hashes over their limit")
    hashes = [c.take(32) for _ in range(o["objects"])]
    c.end()
    need(hashes == sorted(set(hashes)), f"{what}: order of hashes")
    return o["signer"], hashes


def read_fence(plain, what):
    """Ids of points that count of a site that was fenced."""
    o, c = read_noted_list(plain, what, "aksdr/fence/v1")
    ids = c.rest()
    need(len(ids) == 16 * o["points"], f"{what}: its list does not add up")
    return [ids[at:at + 16] for at in range(0, len(ids), 16)]


def read_actor(o, what):
    need(all(isinstance(o["actor"][x], str) for x in ("user", "host")), f"{what}: who acted")


def canonical(o):
    """The text that hashes of the audit trail are of."""
    return json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_run(plain, what):
    """A record of the journal of a run."""
    o = parse_json(plain, what, "aksdr/run/v1")
    need(o["kind"] in ("failover", "drill", "failback", "restore"), f"{what}: an unknown kind")
    need(isinstance(o["plan"], str) and o["step"] and isinstance(o["at_ns"], int), f"{what}: what it says")
    read_actor(o, what)
    return o


def read_owner(plain, what):
    """Who serves a plan."""
    o = parse_json(plain, what, "aksdr/owner/v1")
    need(o["plan"] and o["cluster"] and isinstance(o["at_ns"], int) and isinstance(o["epoch"], int),
         f"{what}: what it says")
    need(o["run"] == "" or re.fullmatch(RANDOM, o["run"]), f"{what}: no name of a run")
    need(isinstance(o["reason"], str), f"{what}: no reason")
    read_actor(o, what)
    return o


def read_reseal(plain, what):
    """Commitment -> sealed key."""
    _, c = read_noted_list(plain, what, "aksdr/reseal/v1")
    entries = []
    while c.at < len(c.data):
        entries.append((c.take(32), c.take(80)))
    found = dict(entries)
    need(len(entries) <= RESEAL_MAX and list(found) == sorted(found) and len(found) == len(entries),
         f"{what}: order of keys")
    return found


class Expiry:
    """Which points are expired. tombs, holds, pins: as (number or 0, signer, JSON)."""

    def __init__(self, tombs, holds, pins, signatures, tag_of):
        self.tombs, self.signatures, self.last_tomb = {}, signatures, 0
        self.pins = {pin["session"] for _, _, pin in pins}
        for _, signer, tomb in tombs:
            for p in tomb["points"]:
                self.tombs.setdefault(p["session"], set()).add(signer)
        releases = {}
        for n, signer, h in holds:
            if "releases" in h and h["releases"] < n:
                releases.setdefault(h["releases"], set()).add(signer)
        self.held, self.held_tags = set(), set()
        for n, _, h in holds:
            if len(releases.get(n, ())) >= signatures or "releases" in h:
                continue
            if "session" in h:
                self.held.add(h["session"])
            else:
                self.held_tags.add(tag_of(h["volume"]))

    def state(self, session):
        if session not in self.tombs:
            return "live"
        if len(self.tombs[session]) < self.signatures:
            return "proposed"
        if session in self.held or voltag(session) in self.held_tags:
            return "held"
        # the time of the store is not known here, so every pin counts
        return "pinned" if session in self.pins else "expired"


class Repository:
    def __init__(self, store, key):
        self.store, self.key, self.id = store, key, key["repository"]
        need(key["kind"] == "recovery", "reading takes a recovery key")
        self.secret = key["secret"]
        public = sodium.crypto_scalarmult_base(self.secret)
        self.recipient = blake(b"recipient" + public)[:8]
        self.config = self.newest_config()
        need(self.config["hash"] == 1 and self.config["cipher"] in (1, 2), "hash or cipher is unknown")
        mine = [r for r in self.config["recipients"] if r["public"] == public.hex()]
        need(mine, "this key is no recipient")
        rs = unseal(self.secret, base64.b64decode(mine[0]["secret"], validate=True))
        self.mm, self.cm = kdf(rs, "aksdr metadata", self.id), kdf(rs, "aksdr content", self.id)
        self.point_key = kdf(self.mm, "point")
        revoked = self.config.get("revoked") or []
        publics = [key["admin-public"]]
        publics += [bytes.fromhex(s["public"]) for s in [*self.config["signers"], *revoked]]
        self.signers = {signer_id(p): p for p in publics}
        self.admin = signer_id(key["admin-public"])
        self.signatures = self.config.get("destroy_signatures", 1)
        need(self.signatures in (1, 2), "number of signatures")
        need(self.config.get("writers", "many") in ("many", "single"), "who may write")
        self.accepted = {}  # id of a revoked signer -> hashes of what counts
        for x in revoked:
            self.revoke(x)
        self.fences = [self.fence(x) for x in self.config.get("fences") or []]
        self.packs, self.domains, self.indexes = {}, {}, {}
        self.cached_points = self.cached_expiry = self.cached_reseal = None
        self.void_points = set()
        self.moved = Counter()
        self.dead, self.taken = set(), set()  # what finals name
        for name in self.list("ctl/gc"):
            if name.endswith("/final") and (plain := self.open_if(name, "G")) is not None:
                packs, sessions, _ = read_collection(plain, int(name.split("/")[2]), "final")
                self.dead |= set(packs)
                self.taken |= set(sessions)
        self.damaged = {}
        for name in self.list("ctl/damage"):
            if (plain := self.open_if(name, "D")) is not None:
                for kind, pack_id, off, cid in read_damage(plain, name):
                    self.damaged[kind, pack_id, off] = cid

    def get(self, name):
        with open(os.path.join(self.store, name), "rb") as f:
            return f.read()

    def size(self, name):
        """Length of an object; None when it is not there."""
        try:
            return os.stat(os.path.join(self.store, name)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def received(self, name):
        return os.stat(os.path.join(self.store, name)).st_mtime_ns

    def list(self, prefix):
        found = []
        for top, dirs, names in os.walk(os.path.join(self.store, prefix)):
            dirs[:] = [d for d in dirs if not d.startswith(".")]
            found += [os.path.relpath(os.path.join(top, n), self.store) for n in names if not n.startswith(".")]
        return sorted(found)

    # ---- 4, 15 ----

    def read_config(self, name, number):
        """One revision: JSON and hash."""
        data = self.get(name)
        c = Cursor(data)
        head(c, "C")
        text = c.take(c.number(4))
        signature = c.take(64)
        c.end()
        signed(self.key["admin-public"], b"aksdr config\0" + data[:-64], signature, name)
        config = parse_json(text, name, "aksdr/config/v1")
        need(config["repository"] == self.id.hex(), "the key is of another repository")
        need(config.get("revision", 1) == number, f"{name}: another revision")
        return config, sha(data)

    def newest_config(self):
        for name in reversed(self.list("ctl/config")):
            try:
                return self.read_config(name, int(name.split("/")[2]))[0]
            except Bad:
                continue  # what the admin did not sign for its number does not count
        return self.read_config("config", 1)[0]

    def config_chain(self):
        """All revisions are the admin's, and each follows the one before it."""
        _, last = self.read_config("config", 1)
        for name in self.list("ctl/config"):
            config, hashed = self.read_config(name, int(name.split("/")[2]))
            need(config["previous"] == last.hex(), f"{name}: it does not follow the revision before it")
            last = hashed

    def revoke(self, x):
        me = signer_id(bytes.fromhex(x["public"]))
        if x.get("accepted") is None:
            return  # being revoked: all counts
        need(len(x["accepted"]) <= ACCEPTED_MAX, "lists of what counts over their limit")
        hashes = set()
        for item in x["accepted"]:
            name = item["object"]
            need(sha(self.get(name)).hex() == item["hash"], f"{name} is not what the config names")
            signer, found = read_hashes(self.open_by_admin(name, "V"), name)
            need(bytes.fromhex(signer) == me, f"{name}: another signer's")
            hashes |= set(found)
        self.accepted[me] = hashes

    # ---- 16 ----

    def fence(self, x):
        """What it is of, ids of what counts (None: nobody says yet), and the epoch that lifted it (or None)."""
        accepted = None
        if x.get("accepted") is not None:
            need(len(x["accepted"]) <= ACCEPTED_MAX, "lists of what counts over their limit")
            accepted = set()
            for item in x["accepted"]:
                name = item["object"]
                need(sha(self.get(name)).hex() == item["hash"], f"{name} is not what the config names")
                accepted |= set(read_fence(self.open_by_admin(name, "E"), name))
        return set(x["scope"]), accepted, (x.get("lifted") or {}).get("epoch")

    def fenced(self, p):
        """Whether a point came too late."""
        v, epoch = p["volume"], p.get("epoch", 0)
        tags = {kdf(self.mm, label, context.encode())[:8].hex() for label, context in (
            ("cluster tag", v["cluster"]), ("namespace tag", v["cluster"] + "\0" + v["namespace"]))}
        tags.add(self.tag(v))
        return any(accepted is not None and scope & tags and not (lifted and epoch >= lifted) and
                   bytes.fromhex(p["point"]) not in accepted for scope, accepted, lifted in self.fences)

    def resealed(self, commitment):
        """A key of a pack that was sealed to this recipient later; None: it was not."""
        if self.cached_reseal is None:
            self.cached_reseal = {}
            for name in self.list("reseal/" + self.recipient.hex()):
                for about, sealed in read_reseal(self.open_by_admin(name, "Y"), name).items():
                    self.cached_reseal.setdefault(about, []).append(sealed)
        for sealed in self.cached_reseal.get(commitment, []):
            dek = unseal(self.secret, sealed)
            if blake(b"aksdr dek", dek) == commitment:
                return dek
        return None

    def signer(self, about):
        need(about in self.signers, "an unknown signer")
        return self.signers[about]

    def domain(self, name):
        if name not in self.domains:
            self.domains[name] = Domain(self, name)
        return self.domains[name]

    def tag(self, volume):
        parts = [volume["cluster"], volume["namespace"], volume["name"]]
        return kdf(self.mm, "volume tag", "\0".join(parts).encode())[:8].hex()

    def envelope(self, name, kind):
        """Section 5: nonce, ciphertext and AAD of a sealed object whose signature fits."""
        data = self.get(name)
        c = Cursor(data)
        head(c, kind)
        signer, nonce = c.take(8), c.take(24)
        text = c.take(c.number(4))
        signature = c.take(64)
        c.end()
        signed(self.signer(signer), b"aksdr object\0" + self.id + name.encode() + b"\0" + data[:-64], signature, name)
        if signer in self.accepted and sha(data) not in self.accepted[signer]:
            raise Void(f"{name} does not count: its signer was revoked")
        return nonce, text, data[:8] + signer + self.id + name.encode()

    def open(self, name, kind, key=None):
        nonce, text, aad = self.envelope(name, kind)
        return xchacha_open(key or self.point_key, nonce, text, aad)

    def open_if(self, name, kind):
        """None when it does not count."""
        try:
            return self.open(name, kind)
        except Void:
            return None

    def open_by_admin(self, name, kind):
        need(self.signer_of(name) == self.admin, f"{name} is not signed by the admin")
        return self.open(name, kind)

    def signer_of(self, name):
        return self.get(name)[8:16]

    def note(self, name, kind, schema):
        return parse_json(self.open(name, kind), name, schema)

    # ---- 9, 10 ----

    def end(self, session):
        """How a session ended: None, "abort", "maintenance" or "point". By name and length alone."""
        size = self.size("commit/" + session)
        if size is None:
            return None
        if size == ABORT_BYTES:
            return "abort"
        return "maintenance" if voltag(session) == MAINTENANCE else "point"

    def point(self, session):
        name = "commit/" + session
        p = self.note(name, "R", "aksdr/point/v1")
        need(p["session"] == session, f"{name}: another session's")
        need(voltag(session) == self.tag(p["volume"]), f"{name}: a volume's tag")
        need(session.endswith("-" + p["point"]), f"{name}: a point's id")
        if self.fenced(p):
            raise Void(f"{name} does not count: its site was fenced before")
        p["hash"], p["received"] = sha(self.get(name)).hex(), self.received(name)
        p["state"] = "expired" if session in self.taken else self.expiry().state(session)
        return p

    def commit_of_none(self, session, end):
        """Opens an abort or a maintenance commit."""
        name = "commit/" + session
        if end == "abort":
            o = self.note(name, "X", "aksdr/abort/v1")
        else:
            o = self.note(name, "N", "aksdr/maintenance/v1")
            need(all(kind_of_name(k) == "segment" for k in o["index"]), f"{name}: no names of segments")
        need(o["session"] == session, f"{name}: another session's")

    def points(self, everything=False):
        """Those that are not expired, or all, in the order of section 9."""
        if self.cached_points is None:
            found = []
            for name in self.list("commit"):
                session = session_of(name)
                try:
                    if self.end(session) == "point":
                        found.append(self.point(session))
                    else:
                        self.commit_of_none(session, self.end(session))
                except Void:
                    self.void_points.add(session)
            found.sort(key=lambda p: (p["volume"]["name"], voltag(p["session"]), p["sequence"], p["received"],
                                      p["session"]))
            self.cached_points = found
        return [p for p in self.cached_points if everything or p["state"] != "expired"]

    def chain(self):
        """Sentences about predecessors that are not there, and about points that have the same one."""
        points = {p["session"]: p for p in self.points(True)}
        tombs, followed, told = self.expiry().tombs, {}, []
        for p in points.values():
            before = p["previous"]
            if not before:
                need(p["sequence"] == 1, "a first point's sequence")
                continue
            if before["session"] in followed:
                told.append(f"fork: {p['session']} and {followed[before['session']]} follow {before['session']}")
            followed[before["session"]] = p["session"]
            if before["session"] not in points:
                if before["session"] not in tombs and before["session"] not in self.void_points:
                    seen = ", which its writer could not see" if before.get("missing") else ""
                    told.append(f"gap: {p['session']} follows {before['session']}{seen}")
                continue
            need(points[before["session"]]["hash"] == before["hash"], "the chain of points")
            need(points[before["session"]]["sequence"] + 1 == p["sequence"], "a point's sequence")
        return told

    def find(self, text, everything=False):
        name, _, wanted = text.partition("@")
        mine = [p for p in self.points(everything) if p["volume"]["name"] == name]
        need(mine, f"no points of {name}")
        if wanted in ("", "latest"):
            return mine[-1]
        hits = [p for p in mine if p["point"].startswith(wanted)]
        need(len(hits) == 1, f"no single point {wanted}")
        return hits[0]

    # ---- 13 ----

    def numbered(self, prefix, kind, schema):
        """(number, signer, JSON) of those that count."""
        found, numbers = [], []
        for name in self.list(prefix):
            need(kind_of_name(name) == prefix, f"{name}: no name of a statement")
            numbers.append(int(name.split("/")[1]))
            try:
                found.append((numbers[-1], self.signer_of(name), self.note(name, kind, schema)))
            except Void:
                pass  # it has its number, and says nothing
        need(numbers == list(range(1, len(numbers) + 1)), f"numbers are missing below {prefix}/")
        self.last_number = len(numbers)
        return found

    def expiry(self):
        if self.cached_expiry is None:
            # tombstones first: a hold that was confirmed is seen then
            tombs = self.numbered("tomb", "T", "aksdr/tombstone/v1")
            last_tomb = self.last_number
            holds = self.numbered("hold", "H", "aksdr/hold/v1")
            pins = [(0, None, self.note(name, "L", "aksdr/pin/v1")) for name in self.list("pin")]
            need(all(len(t["points"]) <= TOMB_MAX for _, _, t in tombs), "points of a tombstone over their limit")
            dead = [p["session"] for _, _, t in tombs for p in t["points"]]
            kept = [x["session"] for _, _, x in [*holds, *pins] if "session" in x]
            need(all(re.fullmatch(SESSION, x) for x in dead + kept), "no name of a session")
            self.cached_expiry = Expiry(tombs, holds, pins, self.signatures, self.tag)
            self.cached_expiry.last_tomb = last_tomb
        return self.cached_expiry

    # ---- 6, 7 ----

    @staticmethod
    def pack_name(kind, pack_id):
        text = pack_id.hex()
        return f"{'pack' if kind == 'P' else 'meta'}/{text[:2]}/{text}"

    def pack(self, domain, kind, pack_id):
        if (kind, pack_id) not in self.packs:
            while len(self.packs) > 8:
                self.packs.pop(next(iter(self.packs)))
            self.packs[kind, pack_id] = Pack(self, domain, kind, pack_id)
        return self.packs[kind, pack_id]

    def segment_state(self, name):
        session = session_of(name)
        end = self.end(session)
        if end:
            return "void" if end == "abort" else "settled"
        return "void" if self.size("sess/" + session) is None else "tentative"

    def segment(self, domain, name):
        return read_segment(self.open(name, "I", domain.foot))

    def index(self, domain):
        """(kind, id) -> [(pack id, ref)] of settled segments, by pack id."""
        if domain.name not in self.indexes:
            places = {}
            for name in self.list("idx/" + domain.tag.hex()):
                if self.segment_state(name) != "settled":
                    continue
                try:
                    packs, entries = self.segment(domain, name)
                except Void:
                    continue
                for number, ref in entries:
                    places.setdefault((packs[number][2], ref[0]), []).append((packs[number][0], ref))
            self.indexes[domain.name] = {key: sorted(found) for key, found in places.items()}
        return self.indexes[domain.name]

    def place(self, domain, kind, pack_id, ref):
        """Section 9, where a chunk is: the pack and the ref to read it by; None: it is lost."""
        def is_there(at, off):
            return (kind, at, off) not in self.damaged and (kind, at) not in self.dead and \
                self.size(self.pack_name(kind, at)) is not None
        if is_there(pack_id, ref[1]):
            return pack_id, ref
        for at, other in self.index(domain).get((kind, ref[0]), []):
            if other[3] == ref[3] and is_there(at, other[1]):
                self.moved[kind] += 1
                return at, other
        return None

    def chunk(self, domain, kind, pack_id, ref):
        place = self.place(domain, kind, pack_id, ref)
        need(place, f"a chunk is not at {self.pack_name(kind, pack_id)} + {ref[1]}, nor where the index knows")
        return self.pack(domain, kind, place[0]).chunk(place[1])

    # ---- 9 ----

    def records(self, point):
        t, domain = point["tree"], self.domain(point["domain"])
        ref = (bytes.fromhex(t["id"]), t["offset"], t["stored"], t["plain"], t["counter"], t["key"], t["compression"])
        last = None
        for key, record in self.node(domain, bytes.fromhex(t["pack"]), ref, t["levels"] - 1, None):
            order = (path_order(key[0]), key[1])
            need(last is None or last < order, "keys of the tree do not ascend")
            last = order
            yield record

    def node(self, domain, pack_id, ref, level, first):
        need(0 <= level < LEVELS_MAX, "levels of a tree")
        c = Cursor(self.chunk(domain, "M", pack_id, ref))
        need(c.number(1) == 1, "node version")
        need(c.number(1) == level, "a node's level")
        packs = [c.take(16) for _ in range(c.uvar())]
        if level:
            key = None
            children = []
            for i in range(c.uvar()):
                need(i < ITEMS_MAX, "children of a node")
                key = read_key_of(c, key)
                where, child = read_ref(c, packs)
                children.append((key, where, child, c.uvar(), c.uvar()))
            c.end()
            for key, where, child, records, size in children:
                n = total = 0
                for k, r in self.node(domain, where, child, level - 1, key):
                    need(n or k == key, "a child's first key")
                    n += 1
                    total += sum(x[-1] for x in r["extents"])
                    yield k, r
                need(n == records and total == size, "a child's totals")
            return
        chunks = [read_ref(c, packs) for _ in range(c.uvar())]
        ends, key = [0] * len(chunks), None
        out = []
        for i in range(c.uvar()):
            need(i < ITEMS_MAX, "records of a node")
            key = read_key_of(c, key)
            out.append((key, read_record(c, key, chunks, ends)))
        c.end()
        yield from out


def path_order(path):
    # '/' counts as lower than every other byte
    return tuple(0 if b == 0x2f else b + 1 for b in path)


def read_key_of(c, before):
    shared, rest, position = c.uvar(), c.bytes(PATH_MAX), c.uvar()
    need(shared <= (len(before[0]) if before else 0), "shared bytes of a key")
    path = (before[0][:shared] if before else b"") + rest
    need(len(path) <= PATH_MAX and b"\0" not in path, "a path")
    need(not path or all(p not in (b"", b".", b"..") for p in path.split(b"/")), "a path")
    return path, position


def read_ref(c, packs):
    cid, pack, off, stored, plain = c.take(32), c.uvar(), c.uvar(), c.uvar(), c.uvar()
    counter, key, compression = c.uvar(), c.uvar(), c.number(1)
    need(pack < len(packs) and compression in (0, 1) and plain, "a REF")
    return packs[pack], (cid, off, stored, plain, counter, key, compression)


def read_extents(c, chunks, ends):
    out = []
    for _ in range(c.uvar()):
        tag = c.uvar()
        if tag < 2:
            out.append(("hole" if tag == 0 else "zero", None, 0, c.uvar()))
            continue
        need(tag - 2 < len(chunks), "an extent's chunk")
        off = ends[tag - 2] + c.svar()
        n = c.uvar()
        need(0 <= off and off + n <= chunks[tag - 2][1][3], "an extent in its chunk")
        ends[tag - 2] = off + n
        out.append(("chunk", chunks[tag - 2], off, n))
    need(all(x[-1] > 0 for x in out), "an empty extent")
    return out


def read_record(c, key, chunks, ends):
    r = {"path": key[0], "position": key[1], "extents": [], "link": None, "xattrs": [], "fsflags": 0, "projid": 0,
         "device": (0, 0), "hardlink": None}
    kind = c.number(1)
    need(kind in (0, 1) and (kind == 1) == (key[1] > 0), "a record's type")
    if kind == 1:
        r["extents"] = read_extents(c, chunks, ends)
        return r
    r["mode"], r["uid"], r["gid"], r["nlink"], r["ino"] = (c.uvar() for _ in range(5))
    r["mtime"] = c.svar() * 10**9 + c.uvar()
    r["ctime"] = c.svar() * 10**9 + c.uvar()
    r["flags"] = flags = c.uvar()
    need(flags < 512, "unknown record flags")
    if flags & 1:
        r["link"] = c.bytes(PATH_MAX)
    if flags & 2:
        x = Cursor(c.bytes(1 << 20))
        while x.at < len(x.data):
            r["xattrs"].append((x.bytes(255), x.bytes(1 << 20)))
        need(r["xattrs"] == sorted(r["xattrs"]), "order of attributes")
    if flags & 4:
        r["fsflags"] = c.uvar()
    if flags & 8:
        r["projid"] = c.uvar()
    if flags & 16:
        r["device"] = (c.uvar(), c.uvar())
    if flags & 32:
        r["hardlink"] = c.bytes(PATH_MAX)
        need(path_order(r["hardlink"]) < path_order(key[0]), "a hard link to what comes later")
    if stat.S_ISREG(r["mode"]):
        r["size"] = c.uvar()
        if not flags & 32:
            r["extents"] = read_extents(c, chunks, ends)
            total = sum(x[-1] for x in r["extents"])
            need(total < r["size"] if flags & 256 else total == r["size"], "extents and size")
    return r


# ---- restoring ----

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602


class Restore:
    def __init__(self, repo, point, target):
        self.repo, self.domain, self.point = repo, repo.domain(point["domain"]), point
        self.target = os.fsencode(target)
        self.cache = {}

    def at(self, path):
        return self.target if not path else self.target + b"/" + path

    def plain(self, where):
        pack_id, ref = where
        if ref[0] not in self.cache:
            while len(self.cache) > 16:
                self.cache.pop(next(iter(self.cache)))
            self.cache[ref[0]] = self.repo.chunk(self.domain, "P", pack_id, ref)
        return self.cache[ref[0]]

    def write(self, fd, at, extents):
        for kind, where, off, n in extents:
            if kind == "chunk":
                need(os.pwrite(fd, self.plain(where)[off:off + n], at) == n, "short write")
            elif kind == "zero":
                os.posix_fallocate(fd, at, n)
            at += n
        return at

    def run(self):
        late, fd, covered, size, block = [], -1, 0, 0, self.point["volume"]["kind"] == "block"
        for r in self.repo.records(self.point):
            if r["position"]:
                need(fd >= 0 and r["path"] == late[-1]["path"] and r["position"] == covered, "a continuation")
                covered = self.write(fd, covered, r["extents"])
                continue
            need(covered == size, "a file is not covered in full")
            if fd >= 0:
                os.close(fd)
            fd, covered, size = -1, 0, 0
            path, mode = self.at(r["path"]), r["mode"]
            late.append(r)
            if r["hardlink"] is not None:
                os.link(self.at(r["hardlink"]), path, follow_symlinks=False)
            elif stat.S_ISREG(mode):
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                size = r["size"]
                os.ftruncate(fd, size)
                covered = self.write(fd, 0, r["extents"])
            elif stat.S_ISDIR(mode):
                os.mkdir(path, 0o700)
            elif stat.S_ISLNK(mode):
                os.symlink(r["link"], path)
            else:
                os.mknod(path, stat.S_IFMT(mode) | 0o600, os.makedev(*r["device"]))
        need(covered == size, "a file is not covered in full")
        if fd >= 0:
            os.close(fd)
        if not block:
            # children before their directories, whose times they change
            for r in reversed(late):
                self.meta(r)

    def meta(self, r):
        path = self.at(r["path"])
        if r["hardlink"] is not None:
            return
        os.chown(path, r["uid"], r["gid"], follow_symlinks=False)
        for name, value in r["xattrs"]:
            os.setxattr(path, name, value, follow_symlinks=False)
        if not stat.S_ISLNK(r["mode"]):
            os.chmod(path, stat.S_IMODE(r["mode"]))
        os.utime(path, ns=(r["mtime"], r["mtime"]), follow_symlinks=False)
        if r["fsflags"] and (stat.S_ISREG(r["mode"]) or stat.S_ISDIR(r["mode"])):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            now = struct.unpack("i", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("i", 0)))[0]
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("i", now | r["fsflags"]))
            os.utime(fd, ns=(r["mtime"], r["mtime"]))
            os.close(fd)


class Verify:
    """Everything there is: every object opens, and what they say of each other holds."""

    def __init__(self, repo):
        self.repo = repo
        self.names = {name: kind_of_name(name) for name in repo.list("")}
        unknown = [name for name, kind in self.names.items() if not kind]
        need(not unknown, f"objects that the format does not know: {unknown[:3]}")
        self.domains, self.parts, self.seen, self.lost = {}, {}, set(), 0

    def of(self, kind):
        return [name for name, k in self.names.items() if k == kind]

    def run(self):
        """What there is, as words and numbers."""
        repo = self.repo
        repo.config_chain()
        self.keys()
        self.sessions()
        for p in repo.points(True):
            self.learn(p["domain"])
        told = repo.chain()
        need(not told, "; ".join(told))
        self.collections()
        self.checked()
        self.chains()
        self.audit()
        states = Counter(self.segment(name) for name in self.of("segment"))
        self.packs()
        for p in repo.points():
            self.tree(p)
        ends = Counter(repo.end(session_of(name)) for name in self.of("commit"))
        found = {"points": len(repo.points()), "expired": len(repo.points(True)) - len(repo.points()),
                 "maintenance": ends["maintenance"], "aborts": ends["abort"], "markers": len(self.of("marker")),
                 "beats": len(self.of("beat")), "settled": states["settled"], "tentative": states["tentative"],
                 "void": states["void"], "packs": len(self.of("pack")), "chunks": len(self.seen),
                 "moved": repo.moved["P"], "nodes_moved": repo.moved["M"], "lost": self.lost,
                 "collections": len(self.parts), "revoked": len(repo.void_points)}
        return " ".join(f"{name} {n}" for name, n in found.items())

    def learn(self, name):
        domain = self.repo.domain(name)
        self.domains[domain.tag] = domain

    def is_void(self, name, kind):
        if self.repo.signer_of(name) not in self.repo.accepted:
            return False
        try:
            self.repo.envelope(name, kind)
        except Void:
            return True
        return False

    def domain_of(self, segment):
        return self.domains.get(bytes.fromhex(segment.split("/")[1]))

    def keys(self):
        for name in self.of("revoked"):
            read_hashes(self.repo.open_by_admin(name, "V"), name)
        for name in self.of("fence"):
            read_fence(self.repo.open_by_admin(name, "E"), name)
        for name in self.of("reseal"):
            read_reseal(self.repo.open_by_admin(name, "Y"), name)

    def sessions(self):
        for name in self.of("marker"):
            if self.is_void(name, "S"):
                continue
            o = self.repo.note(name, "S", "aksdr/session/v1")
            need("sess/" + o["session"] == name, f"{name}: another session's")
            need((voltag(o["session"]) == MAINTENANCE) == ("what" in o), f"{name}: what kind of session it is")
            if "domain" in o:
                self.learn(o["domain"])
        for name in self.of("beat"):
            if self.is_void(name, "S"):
                continue
            o = self.repo.note(name, "S", "aksdr/beat/v1")
            need(o["session"] == session_of(name), f"{name}: another session's")

    def tree(self, point):
        repo, domain = self.repo, self.repo.domain(point["domain"])
        known_lost = set(repo.damaged.values())
        for r in repo.records(point):
            for kind, where, _, _ in r["extents"]:
                if kind != "chunk" or (domain.name, *where) in self.seen:
                    continue
                self.seen.add((domain.name, *where))
                if where[1][0] in known_lost and not repo.place(domain, "P", *where):
                    self.lost += 1
                else:
                    repo.chunk(domain, "P", *where)

    def segment(self, name):
        repo, domain, state = self.repo, self.domain_of(name), self.repo.segment_state(name)
        if self.is_void(name, "I"):
            return "void"
        if not domain:
            repo.envelope(name, "I")
            return state
        packs, entries = repo.segment(domain, name)
        if state != "settled":
            return state  # its packs may be gone
        for pack_id, length, kind in packs:
            need(len(repo.pack(domain, kind, pack_id).data) == length, f"{name}: a pack's length")
        for number, ref in sorted(entries):
            pack_id, _, kind = packs[number]
            need(repo.pack(domain, kind, pack_id).entries.get(ref[:2]) == ref[2:], f"{name}: index and footer differ")
        return state

    def packs(self):
        for name in self.of("pack"):
            domain = self.domains.get(self.repo.get(name)[24:32])
            if domain:
                self.repo.pack(domain, "P" if name.startswith("pack/") else "M", bytes.fromhex(name[8:]))

    def chains(self):
        """Runs, and who serves which plan: numbers without a gap, and records that say what they are of."""
        numbers = {}
        for name in self.of("run") + self.of("owner"):
            prefix, n = name.rsplit("/", 1)
            numbers.setdefault(prefix, []).append(int(n))
        for prefix, found in numbers.items():
            need(sorted(found) == list(range(1, len(found) + 1)), f"{prefix}: a number is missing")
        for name in self.of("run"):
            if not self.is_void(name, "J"):
                read_run(self.repo.open(name, "J"), name)
        for name in self.of("owner"):
            if self.repo.signer_of(name) == self.repo.admin:
                plan = read_owner(self.repo.open(name, "O"), name)["plan"]
                need(name.split("/")[2] == kdf(self.repo.mm, "plan tag", plan.encode())[:8].hex(),
                     f"{name}: another plan's")

    def audit(self):
        """The audit trail: each chain from hash to hash, and what anchors and later chains say of it."""
        ends, heads = {}, {}
        for name in sorted(self.of("audit")):
            writer = name.split("/")[1]
            if self.is_void(name, "A"):
                ends[writer] = None  # nobody can say what comes behind
                continue
            o = parse_json(self.repo.open(name, "A"), name, "aksdr/audit-batch/v1")
            before = o.get("continues")
            if writer not in ends:
                hash_before = bytes.fromhex(before["hash"]) if before else bytes(32)
                ends[writer] = (0, 1, sha(b"aksdr audit chain\0" + writer.encode() + hash_before))
                if before:
                    heads.setdefault(before["writer"], []).append(before)
            if ends[writer] is None:
                continue
            number, first, at = ends[writer]
            need((o["writer"], o["number"], o["first"], o["before"]) == (writer, number + 1, first, at.hex()),
                 f"{name}: it does not follow the one before it")
            for r in o["records"]:
                need(r["schema"] == "aksdr/audit/v1" and re.fullmatch(RANDOM, r["id"]) and r["act"],
                     f"{name}: a record")
                at = sha(b"aksdr audit record\0" + at + canonical(r))
            need(o["records"] and o["after"] == at.hex(), f"{name}: its records are not those of its hashes")
            ends[writer] = (number + 1, first + len(o["records"]), at)
            heads.setdefault((writer, number + 1), at.hex())
        previous = bytes(32)
        for n, name in enumerate(sorted(self.of("anchor")), 1):
            need(int(name.split("/")[2]) == n, "an anchor is missing")
            if self.is_void(name, "W"):
                return
            o = parse_json(self.repo.open(name, "W"), name, "aksdr/audit-anchor/v1")
            need(o["previous"] == previous.hex(), f"{name}: it does not follow the one before it")
            read_actor(o, name)
            for h in o["heads"]:
                heads.setdefault(h["writer"], []).append(h)
            previous = sha(b"aksdr audit anchor\0" + canonical(o))
        for writer, said in ((w, x) for w, x in heads.items() if isinstance(w, str)):
            for h in said:
                need(ends.get(writer, 0) is None or heads.get((writer, h["number"])) == h["hash"],
                     f"audit/{writer}: batch {h['number']} is missing, or another one")

    def checked(self):
        for name in self.of("checked"):
            if self.is_void(name, "K"):
                continue
            o, c = read_noted_list(self.repo.open(name, "K"), name, "aksdr/checked/v1")
            packs = [read_pack_name(c) for _ in range(o["packs"])]
            need(packs == sorted(set(packs), key=lambda p: ("PM".index(p[0]), p[1])), f"{name}: order of packs")
            need(re.fullmatch(RANDOM, o["run"]) and bool(o["finished_ns"]) == o["ended"], f"{name}: its end")
            c.end()

    def collections(self):
        repo, tombs = self.repo, set(self.repo.expiry().tombs)
        for name in self.of("collection"):
            if self.is_void(name, "G"):
                continue
            _, _, number, part = name.split("/")
            n = int(number)
            self.parts.setdefault(n, {})[part] = read_collection(repo.open(name, "G"), n, part)
        numbers = sorted(self.parts)
        need(numbers == list(range(1, len(numbers) + 1)), "a collection is missing")
        dead = set()
        for n in numbers:
            parts = self.parts[n]
            need("done" in parts or n == numbers[-1], f"collection {n} is not done, and there is a later one")
            if "final" in parts:
                need(set(parts["final"][1]) <= tombs, f"collection {n} took points that no tombstone names")
            if "done" in parts:
                need("final" in parts, f"collection {n} is done and has decided nothing")
                need(0 <= parts["done"][2]["tombs"] <= repo.expiry().last_tomb, f"tombstones of {n} are missing")
                dead |= set(parts["final"][0])
            need("finals" not in parts or set(parts["finals"][0]) == dead, f"collection {n}: `finals` are not all")
        done = [n for n in numbers if "done" in self.parts[n]]
        if done and "live" in self.parts[done[-1]]:
            there = {p["session"] for p in repo.points(True)} | tombs
            missing = sorted(set(self.parts[done[-1]]["live"][1]) - there)
            need(not missing, f"points that were live are gone: {missing[:3]}")
        for name in self.of("segment"):
            domain = self.domain_of(name)
            if domain and repo.segment_state(name) == "settled" and not self.is_void(name, "I"):
                named = {(kind, pack_id) for pack_id, _, kind in repo.segment(domain, name)[0]}
                need(not named & dead, f"{name}: it names a pack that a collection took")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--store", required=True)
    ap.add_argument("--key", required=True)
    ap.add_argument("--passphrase-file")
    ap.add_argument("--target")
    ap.add_argument("--all", action="store_true", help="expired points too, and the state of each")
    ap.add_argument("verb", choices=["points", "ls", "places", "restore", "verify"])
    ap.add_argument("point", nargs="?")
    a = ap.parse_args()
    try:
        repo = Repository(a.store, read_key(a.key, a.passphrase_file))
        if a.verb == "points":
            for p in repo.points(a.all):
                print(p["volume"]["name"], p["sequence"], p["point"], *([p["session"], p["state"]] if a.all else []))
            for line in repo.chain():
                print(f"aksdr_reader: {line}", file=sys.stderr)
        elif a.verb == "ls":
            for r in repo.records(repo.find(a.point, a.all)):
                if not r["position"]:
                    sys.stdout.buffer.write(r["path"] + b"\n")
        elif a.verb == "places":
            p = repo.find(a.point)
            # Of the chunks that one file has for itself: the next backup stores such a one again whole.
            # One that files share is cut anew from those that are still there.
            users = {}
            for r in repo.records(p):
                for x in r["extents"]:
                    if x[0] == "chunk":
                        users.setdefault(x[1], set()).add(r["path"])
            for where in (w for w, paths in users.items() if len(paths) == 1):
                print("P", where[0].hex(), where[1][1], where[1][0].hex())
        elif a.verb == "restore":
            os.umask(0)
            Restore(repo, repo.find(a.point), a.target).run()
        else:
            print(Verify(repo).run())
    except (Bad, OSError, ValueError, KeyError, IndexError, TypeError, zstandard.ZstdError) as e:
        print(f"aksdr_reader: {type(e).__name__}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
