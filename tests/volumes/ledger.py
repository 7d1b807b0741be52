#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An application whose every write has a number, and a judge of what a copy of its files holds.

  ledger.py write SESSION [--seed N] [--rate N] [--sync] [--no-map] DIR...
  ledger.py judge SESSION [--seed N] [--acked-by NS] [--begun-by NS] [--live LIST | --old-name] DIR...
  ledger.py noise DIR [--seed N]

The writer does one thing after the other, number k in the directory k mod n: a record is appended to
one of several files, or written in place into a large one, or through a mapping into another; every
41st makes, renames, removes or replaces a file. What is where after k depends on the seed and k
alone. SESSION.acks has for each number when it was done (ns since 1970, 8 bytes); SESSION.ready is
there once the writer is at work; SIGTERM ends it.

The judge finds the last number in a copy, and holds all of the copy against what must be there after
that number: a write that is missing although a later one is there, a torn record and a name too many
are told by their numbers. --acked-by: what was done by then must be there; --begun-by: what began
later must not. With --live the copy need not be of one moment: each file that LIST does not name must be
one that the writer had at some time. With --old-name the file that replaced another one may be there
under the name that it was renamed from, whole. Noise is operations of all kinds beside the writer.
"""
import argparse
import ctypes
import mmap
import os
import random
import signal
import struct
import sys
import time
import zlib

NUMBERS = 1 << 22
ROTATE = 30000  # numbers to a generation of logs
LOGS = 4
SLOT, SLOTS = 1000, 4000
CELL, CELLS = 512, 2048
HEAD = struct.Struct("<QI")
TIME = struct.Struct("<q")


class Wrong(Exception):
    pass


def record(seed, k, size):
    body = struct.pack("<QQ", k * 0x9E3779B97F4A7C15 % (1 << 64), seed) * (size // 16 + 1)
    body = body[: size - HEAD.size]
    return HEAD.pack(k, zlib.crc32(body)) + body


class Model:
    """What number k does, and what there is after it."""

    def __init__(self, seed, n, mapped=True):
        self.seed, self.n, self.mapped = seed, n, mapped

    def kind(self, k):
        if k % 41 == 0:
            return ("make", "rename", "remove", "replace")[k // 41 % 4]
        return ("slot", "cell" if self.mapped else "log", "log")[k // self.n % 3]

    def place(self, k, of):
        return (k * 2654435761 + self.seed) % (1 << 32) % of

    def log(self, k):
        return "log.%d.%d" % (k // ROTATE, k // 3 % LOGS)

    def log_size(self, k):
        return 40 + k * 7919 % 200


class Names:
    """The names of one directory; a pure function of the numbers that were done."""

    def __init__(self):
        self.made, self.moved, self.whole = [], [], None

    def do(self, k, kind):
        """Returns (verb, from, to)."""
        if kind == "make" or (kind == "rename" and not self.made) or (kind == "remove" and not self.moved):
            self.made.append("made-%d" % k)
            return ("make", None, self.made[-1])
        if kind == "rename":
            old = self.made.pop()
            self.moved.append("moved-%d" % k)
            return ("rename", old, self.moved[-1])
        if kind == "remove":
            return ("remove", self.moved.pop(0), None)
        self.whole = k
        return ("replace", "whole.tmp", "whole")

    def now(self):
        return set(self.made + self.moved + (["whole"] if self.whole else []))


WHOLE = 20000


def write(args):
    model = Model(args.seed, len(args.dirs), not args.no_map)
    flags = os.O_WRONLY | (os.O_DSYNC if args.sync else 0)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    with open(args.session + ".acks", "w+b") as f:
        f.truncate(NUMBERS * 8)
        acks = mmap.mmap(f.fileno(), NUMBERS * 8)
    names, big, maps, logs = [], [], [], {}
    for d in args.dirs:
        os.mkdir(d + "/names")
        names.append(Names())
        for name, size in (("big", SLOT * SLOTS), ("mapped", CELL * CELLS)):
            with open(d + "/" + name, "wb") as f:
                f.write(bytes(size))
                f.flush()
                os.fsync(f.fileno())
        big.append(os.open(d + "/big", flags))
        with open(d + "/mapped", "r+b") as f:
            maps.append(mmap.mmap(f.fileno(), CELL * CELLS))
        fd = os.open(d, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    start, k = time.monotonic(), 0
    while not stop and k + 1 < NUMBERS:
        k += 1
        i = k % len(args.dirs)
        d, kind = args.dirs[i], model.kind(k)
        if kind == "slot":
            os.pwrite(big[i], record(args.seed, k, SLOT), model.place(k, SLOTS) * SLOT)
        elif kind == "cell":
            at = model.place(k, CELLS) * CELL
            maps[i][at : at + CELL] = record(args.seed, k, CELL)
            if args.sync:
                maps[i].flush(at // 4096 * 4096, 4096)
        elif kind == "log":
            name = model.log(k)
            fd = logs.get((i, name))
            if fd is None:
                for old in [x for x in logs if x[0] == i and int(x[1].split(".")[1]) < k // ROTATE]:
                    os.close(logs.pop(old))
                fd = logs[i, name] = os.open(d + "/" + name, flags | os.O_CREAT | os.O_APPEND, 0o644)
            data = record(args.seed, k, model.log_size(k))
            if os.write(fd, data) != len(data):
                raise OSError("a short write")
        else:
            verb, a, b = names[i].do(k, kind)
            at = d + "/names/"
            if verb == "make":
                os.close(os.open(at + b, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            elif verb == "rename":
                os.rename(at + a, at + b)
            elif verb == "remove":
                os.unlink(at + a)
            else:
                fd = os.open(at + a, flags | os.O_CREAT | os.O_EXCL, 0o644)
                os.write(fd, record(args.seed, k, WHOLE))
                os.close(fd)
                os.rename(at + a, at + b)
            if args.sync:
                fd = os.open(at, os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)
        TIME.pack_into(acks, k * 8, time.time_ns())
        if k == 100:
            with open(args.session + ".ready", "w") as f:
                f.write("%d\n" % os.getpid())
        if k % 64 == 0:
            ahead = k / args.rate - (time.monotonic() - start)
            if ahead > 0.002:
                time.sleep(ahead)
    with open(args.session + ".end", "w") as f:
        f.write("%d\n" % k)


# ---- the judge ----


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def number_at(data, at):
    return HEAD.unpack_from(data, at)[0] if len(data) >= at + HEAD.size else 0


class Copy:
    def __init__(self, d):
        self.dir = d
        self.big, self.mapped = read(d + "/big"), read(d + "/mapped")
        self.whole, self.half = read(d + "/names/whole"), read(d + "/names/whole.tmp")
        self.names = set(os.listdir(d + "/names"))
        self.logs = {n: read(d + "/" + n) for n in os.listdir(d) if n.startswith("log.")}
        for what, data, size in (("big", self.big, SLOT * SLOTS), ("mapped", self.mapped, CELL * CELLS)):
            if data is None or len(data) != size:
                raise Wrong("%s/%s is not there, or has not its size" % (d, what))


def numbers_of(model, i, copies, top):
    """The largest number that a copy has a sign of, up to top, which is more than the writer did."""
    c, most = copies[i], 0
    seen = [number_at(c.big, s * SLOT) for s in range(SLOTS)]
    seen += [number_at(c.mapped, s * CELL) for s in range(CELLS)]
    seen += [int(n.split("-")[1]) for n in c.names if "-" in n]
    seen += [number_at(c.whole, 0)] if c.whole else []
    for data in c.logs.values():
        at = 0
        while len(data) >= at + HEAD.size:
            k = number_at(data, at)
            if not 0 < k <= top:
                break
            seen.append(k)
            at += model.log_size(k)
    for k in seen:
        if k > top:
            raise Wrong("%s has number %d, and the writer did not come further than %d" % (c.dir, k, top))
        most = max(most, k)
    return most


def expected(model, i, last):
    """What there is in directory i after number last: slots, cells, logs (as numbers), names."""
    slots, cells, logs, names = {}, {}, {}, Names()
    for k in range(1, last + 1):
        if k % model.n != i:
            continue
        kind = model.kind(k)
        if kind == "slot":
            slots[model.place(k, SLOTS)] = k
        elif kind == "cell":
            cells[model.place(k, CELLS)] = k
        elif kind == "log":
            logs.setdefault(model.log(k), []).append(k)
        else:
            names.do(k, kind)
    return slots, cells, logs, names


def torn_by(model, data, before, k, size):
    """Whether each byte is that of number k or of what was there before it."""
    new = record(model.seed, k, size)
    old = record(model.seed, before, size) if before else bytes(size)
    return all(x in (a, b) for x, a, b in zip(data, new, old))


def judge_grid(model, what, data, size, count, want, last, mine):
    for s in range(count):
        got, k = data[s * size : (s + 1) * size], want.get(s, 0)
        if got == (record(model.seed, k, size) if k else bytes(size)):
            continue
        # A store into a mapping is no system call: that of the number under way may be half there.
        following = last + 1
        if (
            what.endswith("mapped")
            and following % model.n == mine
            and model.kind(following) == "cell"
            and model.place(following, count) == s
            and torn_by(model, got, k, following, size)
        ):
            continue
        found = number_at(got, 0)
        whole = 0 < found < NUMBERS and got == record(model.seed, found, size)
        raise Wrong(
            "%s: number %d is not there, but %s, although number %d is"
            % (what, k, "number %d" % found if whole else "a torn record", last)
        )


def judge_atomic(model, copies, last, old_name):
    for i, c in enumerate(copies):
        slots, cells, logs, names = expected(model, i, last)
        judge_grid(model, c.dir + "/big", c.big, SLOT, SLOTS, slots, last, i)
        judge_grid(model, c.dir + "/mapped", c.mapped, CELL, CELLS, cells, last, i)
        following = model.kind(last + 1) if (last + 1) % model.n == i else ""
        others = dict(c.logs)
        for name, ks in logs.items():
            want = b"".join(record(model.seed, k, model.log_size(k)) for k in ks)
            got = others.pop(name, None)
            if got != want:
                both = zip(got or b"", want)
                at = next((x for x, (a, b) in enumerate(both) if a != b), min(len(got or b""), len(want)))
                raise Wrong("%s/%s differs from byte %d on: it has %s bytes, not %d, and number %d is there"
                            % (c.dir, name, at, "no" if got is None else len(got), len(want), last))
        for name, data in others.items():
            if data or following != "log" or model.log(last + 1) != name:
                raise Wrong("%s/%s is there, and number %d, by which it came, is not" % (c.dir, name, last + 1))
        allowed = {"whole.tmp"} if following == "replace" or old_name else set()
        if following != "replace" and c.half not in (None, record(model.seed, number_at(c.half or b"", 0), WHOLE)):
            raise Wrong("%s/names/whole.tmp is none that there was" % c.dir)
        if c.names - names.now() - allowed or names.now() - c.names:
            raise Wrong("%s/names after number %d: too many: %s; missing: %s"
                        % (c.dir, last, sorted(c.names - names.now() - allowed)[:5], sorted(names.now() - c.names)[:5]))
        if names.whole and c.whole != record(model.seed, names.whole, WHOLE):
            raise Wrong("%s/names/whole is not that of number %d" % (c.dir, names.whole))


def judge_live(model, copies, top, changed):
    for i, c in enumerate(copies):
        slots, cells, logs, _ = expected(model, i, top)
        if "big" not in changed:
            until = max(number_at(c.big, s * SLOT) for s in range(SLOTS))
            judge_grid(model, c.dir + "/big", c.big, SLOT, SLOTS, expected(model, i, until)[0], until, i)
        # Nothing tells of a store into a page that is dirty already: each cell is for itself.
        for s in range(CELLS):
            got = c.mapped[s * CELL : (s + 1) * CELL]
            k = number_at(got, 0)
            if k and "mapped" not in changed and got != record(model.seed, k, CELL):
                raise Wrong("%s/mapped: a torn record of number %d, and it is not listed" % (c.dir, k))
        for name, data in c.logs.items():
            at = 0
            for k in logs.get(name, []):
                one = record(model.seed, k, model.log_size(k))
                if at == len(data):
                    break
                if data[at : at + len(one)] != one[: len(data) - at]:
                    raise Wrong("%s/%s: number %d is not what was written" % (c.dir, name, k))
                if len(data) - at < len(one) and name not in changed:
                    raise Wrong("%s/%s: number %d is torn, and the file is not listed" % (c.dir, name, k))
                at = min(at + len(one), len(data))
            if at != len(data):
                raise Wrong("%s/%s has bytes that nobody wrote" % (c.dir, name))
        if c.whole is not None and c.whole != record(model.seed, number_at(c.whole, 0), WHOLE):
            if "names/whole" not in changed:
                raise Wrong("%s/names/whole is torn, and not listed" % c.dir)


def acks_of(session):
    with open(session + ".acks", "rb") as f:
        return mmap.mmap(f.fileno(), NUMBERS * 8, prot=mmap.PROT_READ)


def done_by(acks, ns, top):
    """The last number that was done by then."""
    low, high = 0, top
    while low < high:
        mid = (low + high + 1) // 2
        at = TIME.unpack_from(acks, mid * 8)[0]
        if 0 < at <= ns:
            low = mid
        else:
            high = mid - 1
    return low


def judge(args):
    model = Model(args.seed, len(args.dirs), not args.no_map)
    acks = acks_of(args.session)
    now = time.time_ns()
    top = done_by(acks, now, NUMBERS - 1) + 1  # the one under way may be there
    copies = [Copy(d) for d in args.dirs]
    if args.live is not None:
        with open(args.live) as f:
            judge_live(model, copies, top, {x.rstrip("\n") for x in f})
        print("every file is one that there was")
        return
    last = max(numbers_of(model, i, copies, top) for i in range(len(copies)))
    # What removes a name leaves no sign of itself: it may be the last that was done.
    try:
        judge_atomic(model, copies, last, args.old_name)
    except Wrong:
        if last == top or model.kind(last + 1) != "remove":
            raise
        last += 1
        judge_atomic(model, copies, last, args.old_name)
    if args.acked_by:
        acked = done_by(acks, args.acked_by, top)
        if acked > last:
            raise Wrong("number %d was done before the moment, and is not there; the last is %d" % (acked, last))
    if args.begun_by:
        # number last began when the one before it had been done
        before = TIME.unpack_from(acks, (last - 1) * 8)[0]
        if last > 1 and before > args.begun_by:
            raise Wrong("number %d began %d ns after the moment, and is there" % (last, before - args.begun_by))
    print("all up to number %d" % last)


# ---- noise ----


def noise(args):
    r = random.Random(args.seed)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    d = args.dirs[0] + "/noise"
    os.mkdir(d)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))

    def name():
        return "%s/%s%d" % (d, r.choice(["", "", "sub/"]), r.randrange(24))

    def content():
        # Never through one of its own links: what they lead to is the machine's.
        fd = os.open(name(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            at, n = r.randrange(1 << 20), r.randrange(1, 1 << 16)
            verb = r.randrange(6)
            if verb < 3:
                os.pwrite(fd, r.randbytes(n), at)
            elif verb == 3:
                os.ftruncate(fd, at)
            else:  # punch a hole, or zero a range
                libc.fallocate(fd, 3 if verb == 4 else 16, at, n)
        finally:
            os.close(fd)

    verbs = [
        content, content, content,
        lambda: os.rename(name(), name()),
        lambda: os.unlink(name()),
        lambda: os.link(name(), name(), follow_symlinks=False),
        lambda: os.symlink("nowhere", name()),
        lambda: os.mkdir(d + "/sub"),
        lambda: os.setxattr(name(), "user.noise", r.randbytes(r.randrange(200)), follow_symlinks=False),
        lambda: os.utime(name(), follow_symlinks=False),
    ]
    while not stop:
        for _ in range(50):
            try:
                r.choice(verbs)()
            except OSError:
                pass
        time.sleep(0.005)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("verb", choices=["write", "judge", "noise"])
    p.add_argument("session")
    p.add_argument("dirs", nargs="*")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rate", type=int, default=15000)
    p.add_argument("--sync", action="store_true")
    p.add_argument("--no-map", action="store_true")
    p.add_argument("--acked-by", type=int)
    p.add_argument("--begun-by", type=int)
    p.add_argument("--live")
    p.add_argument("--old-name", action="store_true")
    args = p.parse_intermixed_args()
    if args.verb == "noise":
        args.dirs = [args.session]
    try:
        {"write": write, "judge": judge, "noise": noise}[args.verb](args)
    except Wrong as e:
        print(e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
