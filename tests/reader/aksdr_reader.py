#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the repository format, written from docs/FORMAT.md alone.

  aksdr_reader.py --store DIR --key recovery.key [--passphrase-file F] points
  aksdr_reader.py … ls NAME[@POINT]
  aksdr_reader.py … restore NAME[@POINT] --target PATH
  aksdr_reader.py … verify

It is slow and strict: whatever does not follow the format is an error. Section
numbers below are those of FORMAT.md.
"""
import argparse, base64, fcntl, hashlib, json, os, re, stat, struct, sys

import nacl.bindings as sodium
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import nacl.pwhash.argon2id
import zstandard

CHUNK_MAX, PACK_MAX, PATH_MAX, ITEMS_MAX, LEVELS_MAX = 8 << 20, 256 << 20, 65536, 65536, 16
PAGE, WINDOW = 4096, 64 << 20


class Bad(Exception):
    """The bytes do not follow the format, or are not authentic."""


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

    def end(self):
        need(self.at == len(self.data), "bytes are left over")


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
    need(features == 0, f"unknown features {features:#x}")


def padme(n):
    if n < 2:
        return n
    e = n.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return (n + step - 1) // step * step


# ---- 3 ----

def read_key(path, passphrase_file=None):
    lines = open(path, encoding="ascii").read().split("\n")
    need(lines.pop() == "", "a key file ends with a line end")
    m = re.fullmatch(r"aksdr (recovery|agent|audit) key 1", lines[0])
    need(m, "not a key file of version 1")
    known = {"recovery": {"repository", "secret", "admin", "kdf", "salt", "wrapped"},
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
        both = xchacha_open(wrap, blob[:24], blob[24:], b"aksdr recovery key" + key["repository"])
        key["secret"], key["admin"] = both[:32], both[32:]
    else:
        for name in ("secret", "admin", "metadata", "sign"):
            if name in key:
                key[name] = base64.b64decode(key[name], validate=True)
    if "admin" in key:
        admin = Ed25519PrivateKey.from_private_bytes(key["admin"]).public_key()
        key["admin-public"] = admin.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        key["admin-public"] = bytes.fromhex(key["admin-public"])
    return key


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
        text = pack_id.hex()
        self.data = data = repo.get(f"{'pack' if kind == 'P' else 'meta'}/{text[:2]}/{text}")
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
            need(slots <= 64, "number of slots")
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


class Repository:
    def __init__(self, store, key):
        self.store, self.key, self.id = store, key, key["repository"]
        need(key["kind"] == "recovery", "reading takes a recovery key")
        self.secret = key["secret"]
        public = sodium.crypto_scalarmult_base(self.secret)
        self.recipient = blake(b"recipient" + public)[:8]
        data = self.get("config")
        c = Cursor(data)
        head(c, "C")
        text = c.take(c.number(4))
        signature = c.take(64)
        c.end()
        signed(key["admin-public"], b"aksdr config\0" + data[:-64], signature, "config")
        self.config = json.loads(text)
        need(self.config["schema"] == "aksdr/config/v1", "schema of the config")
        need(self.config["repository"] == self.id.hex(), "the key is of another repository")
        need(self.config["hash"] == 1 and self.config["cipher"] in (1, 2), "hash or cipher is unknown")
        mine = [r for r in self.config["recipients"] if r["public"] == public.hex()]
        need(mine, "this key is no recipient")
        rs = unseal(self.secret, base64.b64decode(mine[0]["secret"], validate=True))
        self.mm, self.cm = kdf(rs, "aksdr metadata", self.id), kdf(rs, "aksdr content", self.id)
        self.point_key = kdf(self.mm, "point")
        publics = [key["admin-public"]] + [bytes.fromhex(s["public"]) for s in self.config["signers"]]
        self.signers = {blake(b"signer" + p)[:8]: p for p in publics}
        self.packs, self.domains = {}, {}

    def get(self, name):
        with open(os.path.join(self.store, name), "rb") as f:
            return f.read()

    def list(self, prefix):
        found = []
        for top, _, names in os.walk(os.path.join(self.store, prefix)):
            found += [os.path.relpath(os.path.join(top, n), self.store) for n in names]
        return sorted(found)

    def signer(self, signer_id):
        need(signer_id in self.signers, "an unknown signer")
        return self.signers[signer_id]

    def domain(self, name):
        if name not in self.domains:
            self.domains[name] = Domain(self, name)
        return self.domains[name]

    def open(self, name, kind, key):
        data = self.get(name)
        c = Cursor(data)
        head(c, kind)
        signer, nonce = c.take(8), c.take(24)
        text = c.take(c.number(4))
        signature = c.take(64)
        c.end()
        signed(self.signer(signer), b"aksdr object\0" + self.id + name.encode() + b"\0" + data[:-64], signature, name)
        return xchacha_open(key, nonce, text, data[:8] + signer + self.id + name.encode())

    def points(self):
        found = []
        for name in self.list("commit"):
            p = json.loads(self.open(name, "R", self.point_key))
            need(p["schema"] == "aksdr/point/v1" and "commit/" + p["session"] == name, "a point's session")
            p["hash"] = sha(self.get(name)).hex()
            self.open("sess/" + p["session"], "S", self.point_key)
            v = p["volume"]
            tag = kdf(self.mm, "volume tag", "\0".join([v["cluster"], v["namespace"], v["name"]]).encode())[:8].hex()
            need(p["session"].split("/")[1].startswith(tag + "-"), "a volume's tag")
            need(p["session"].endswith("-" + p["point"]), "a point's id")
            found.append(p)
        found.sort(key=lambda p: (p["volume"]["name"], p["sequence"]))
        by_session = {p["session"]: p for p in found}
        for p in found:
            if p["previous"]:
                before = by_session.get(p["previous"]["session"])
                need(before and before["hash"] == p["previous"]["hash"], "the chain of points")
                need(before["sequence"] + 1 == p["sequence"], "a point's sequence")
            else:
                need(p["sequence"] == 1, "a first point's sequence")
        return found

    def find(self, text):
        name, _, wanted = text.partition("@")
        mine = [p for p in self.points() if p["volume"]["name"] == name]
        need(mine, f"no points of {name}")
        if wanted in ("", "latest"):
            return mine[-1]
        hits = [p for p in mine if p["point"].startswith(wanted)]
        need(len(hits) == 1, f"no single point {wanted}")
        return hits[0]

    def pack(self, domain, kind, pack_id):
        if (kind, pack_id) not in self.packs:
            while len(self.packs) > 8:
                self.packs.pop(next(iter(self.packs)))
            self.packs[kind, pack_id] = Pack(self, domain, kind, pack_id)
        return self.packs[kind, pack_id]

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
        c = Cursor(self.pack(domain, "M", pack_id).chunk(ref))
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
            self.cache[ref[0]] = self.repo.pack(self.domain, "P", pack_id).chunk(ref)
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


def verify(repo):
    """Everything there is: points, trees, every chunk, and the index against the footers."""
    domains = {}
    for p in repo.points():
        domains[repo.domain(p["domain"]).tag] = repo.domain(p["domain"])
        for r in repo.records(p):
            for kind, where, _, _ in r["extents"]:
                if kind == "chunk":
                    repo.pack(repo.domain(p["domain"]), "P", where[0]).chunk(where[1])
    for name in repo.list("idx"):
        domain = domains[bytes.fromhex(name.split("/")[1])]
        c = Cursor(repo.open(name, "I", domain.foot))
        packs = []
        for _ in range(c.number(4)):
            pack_id, length, kind = c.take(16), c.number(8), chr(c.number(1))
            need(c.take(7) == bytes(7), "zero bytes of an index")
            packs.append(repo.pack(domain, kind, pack_id))
            need(len(packs[-1].data) == length, "a pack's length in the index")
        last = b""
        for _ in range(c.number(4)):
            cid, pack, off, stored = c.take(32), c.number(4), c.number(4), c.number(4)
            plain, counter = c.number(4), c.number(4)
            key, compression, kind = c.number(2), c.number(1), c.number(1)
            need(last < cid, "order of an index")
            last = cid
            need(packs[pack].entries[cid, off] == (stored, plain, counter, key, compression), "index and footer differ")
            need(kind == (packs[pack].kind == "M"), "an index entry's kind")
        c.end()


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--store", required=True)
    ap.add_argument("--key", required=True)
    ap.add_argument("--passphrase-file")
    ap.add_argument("--target")
    ap.add_argument("verb", choices=["points", "ls", "restore", "verify"])
    ap.add_argument("point", nargs="?")
    a = ap.parse_args()
    try:
        repo = Repository(a.store, read_key(a.key, a.passphrase_file))
        if a.verb == "points":
            for p in repo.points():
                print(p["volume"]["name"], p["sequence"], p["point"])
        elif a.verb == "ls":
            for r in repo.records(repo.find(a.point)):
                if not r["position"]:
                    sys.stdout.buffer.write(r["path"] + b"\n")
        elif a.verb == "restore":
            os.umask(0)
            Restore(repo, repo.find(a.point), a.target).run()
        else:
            verify(repo)
    except (Bad, OSError, ValueError, KeyError, IndexError, zstandard.ZstdError, UnicodeError) as e:
        print(f"aksdr_reader: {type(e).__name__}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
