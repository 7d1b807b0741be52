#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the log of the kernel's device-mapper target log-writes, and makes of it what a disk would
hold after a power cut.

The format is that of drivers/md/dm-log-writes.c, version 1, and of the kernel's documentation
Documentation/admin-guide/device-mapper/log-writes.rst. All numbers are little-endian.

    super, one sector       u64 magic, u64 version, u64 number of entries, u32 sector size
    entry, one sector       u64 sector, u64 number of sectors, u64 flags, u64 length of its text;
                            behind them, in the same sector, the text of a mark
    its data                as many sectors as the entry says; none for a discard

Sectors are those of the super's size, not always 512 bytes, in positions, lengths and in the log
itself. The super counts entries up to the last FUA or mark; what follows was not finished.

What the order means. A write without FUA enters the log not when it is done but with the next flush
that begins after that, in the order of completion, and the flush's own entry follows. One with FUA,
and a mark, enter at once. So between two flushes the log has first the FUA writes and the marks, then
what was in the disk's cache until the second flush. Device mapper sends a flush that has data as a
flush without, and a write. At any position of the log

  - everything up to the last flush before it is on the disk, and so are FUA writes behind that;
  - of the other writes between that flush and the position, any subset may be, a disk's cache
    having no order, and of each of them any subset of its blocks of 4 KiB. Smaller pieces are not
    torn apart: disks have such sectors today, and file systems rely on it (XFS does not recover
    from a torn block of a directory, ext4 not from a torn superblock);
  - of a FUA write that begins at the position, the same.

A state that this makes is one that a disk may have had; not every such state is made (writes of the
next stretch that were under way already are left out).

    logwrites.py info LOG                  counts, and the marks with their positions
    logwrites.py list LOG                  every entry
    logwrites.py image LOG BASE OUT [N]    the device after N entries, or all; BASE is it before
    logwrites.py self-test                 a log that is made by hand, and what it must give
"""
import os
import random
import struct
import sys

MAGIC = 0x6A736677736872
VERSION = 1
FLUSH, FUA, DISCARD, MARK, METADATA = 1, 2, 4, 8, 16
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
TEAR = 4096  # bytes, aligned, that a disk writes whole or not at all
PIECE = 1 << 20


class LogError(Exception):
    """The log is not one, or is damaged."""


class Entry:
    """One entry. Offsets and lengths are bytes; data_at is where the data lies in the log."""

    __slots__ = ("at", "length", "flags", "data_at", "mark")

    def __init__(self, at, length, flags, data_at, mark):
        self.at, self.length, self.flags, self.data_at, self.mark = at, length, flags, data_at, mark

    def is_mark(self):
        return bool(self.flags & MARK)

    def changes(self):
        """True when it changes the device."""
        return self.length > 0 and not self.flags & MARK

    def is_durable(self):
        """True when it is on the disk as soon as it is in the log."""
        return not self.changes() or bool(self.flags & FUA)

    def __str__(self):
        if self.is_mark():
            return "mark " + self.mark
        names = [n for bit, n in ((FLUSH, "flush"), (FUA, "fua"), (DISCARD, "discard"), (METADATA, "meta"))
                 if self.flags & bit]
        if self.length and not self.flags & DISCARD:
            names.append("write")
        return "%s %d+%d" % (" ".join(names), self.at, self.length)


class Log:
    """A log that is open for reading; entries is the list of all that it counts."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        end = os.lseek(self.fd, 0, os.SEEK_END)
        head = os.pread(self.fd, SUPER.size, 0)
        if len(head) < SUPER.size:
            raise LogError("'%s' is too short for a log" % path)
        magic, version, count, sector = SUPER.unpack(head)
        if magic != MAGIC or version != VERSION:
            raise LogError("'%s' is no log of log-writes, version %d" % (path, VERSION))
        if sector < 512 or sector > 65536 or sector & (sector - 1):
            raise LogError("'%s' has sectors of %d bytes" % (path, sector))
        self.entries = []
        at = sector
        for n in range(count):
            head = os.pread(self.fd, sector, at)
            if len(head) < sector:
                raise LogError("'%s' ends within entry %d of %d" % (path, n, count))
            first, sectors, flags, text = ENTRY.unpack_from(head)
            if flags & ~(FLUSH | FUA | DISCARD | MARK | METADATA):
                raise LogError("entry %d of '%s' has the unknown flags %#x" % (n, path, flags))
            mark = None
            if flags & MARK:
                if text > sector - ENTRY.size:
                    raise LogError("entry %d of '%s' has a text of %d bytes" % (n, path, text))
                mark = head[ENTRY.size:ENTRY.size + text].decode("utf-8", "replace")
            at += sector
            self.entries.append(Entry(first * sector, sectors * sector, flags, at, mark))
            # A discard says how much, but brings nothing.
            if not flags & DISCARD:
                at += sectors * sector
            if at > end:
                raise LogError("'%s' ends within entry %d of %d" % (path, n, count))

    def data(self, entry, at, n):
        got = os.pread(self.fd, n, entry.data_at + at)
        if len(got) != n:
            raise LogError("the log ends within the data of an entry")
        return got

    def apply(self, fd, entry, keep=None):
        """Writes what the entry does into an image. keep(): whether the next block of it is written."""
        if not entry.changes():
            return
        at = 0
        while at < entry.length:
            n = min(PIECE, entry.length - at)
            # What was discarded reads as zeros here: so do the disks that say what it reads as.
            data = bytes(n) if entry.flags & DISCARD else self.data(entry, at, n)
            if keep is None:
                os.pwrite(fd, data, entry.at + at)
            else:
                i = 0
                while i < n:
                    stop = min(n, i + TEAR - (entry.at + at + i) % TEAR)
                    if keep():
                        os.pwrite(fd, data[i:stop], entry.at + at + i)
                    i = stop
            at += n


class Cut:
    """A moment of the power cut.

    end       all entries before this number are on the disk, but
    doubtful  of the entries with these numbers any part may be
    """

    __slots__ = ("end", "doubtful")

    def __init__(self, end, doubtful=()):
        self.end, self.doubtful = end, tuple(doubtful)


def marks_behind(entries, at):
    """The position behind the marks that stand here: they change nothing on the disk."""
    while at < len(entries) and entries[at].is_mark():
        at += 1
    return at


def flush_points(entries):
    """A cut for each state that a flush or a FUA write made, the marks behind it included; the first
    is the device as it was, the last everything that was ever flushed."""
    cuts = [Cut(marks_behind(entries, 0))]
    changed = False
    for i, e in enumerate(entries):
        # A flush with data: what came before it is on the disk, its own data is not.
        if e.flags & FLUSH and changed:
            if e.changes() and not e.flags & FUA:
                cuts.append(Cut(i))
            else:
                cuts.append(Cut(marks_behind(entries, i + 1)))
            changed = False
        elif e.is_mark() and not changed and cuts[-1].end < i + 1:
            cuts.append(Cut(marks_behind(entries, i + 1)))
        if e.changes():
            if e.flags & FUA:
                cuts.append(Cut(marks_behind(entries, i + 1)))
            else:
                changed = True
    unique = {c.end: c for c in cuts}
    return [unique[k] for k in sorted(unique)]


def doubtful_points(entries):
    """A cut for each stretch between two flushes in which something was in the disk's cache, and one
    for each FUA write that was under way."""
    cuts = []
    pending = []
    for i, e in enumerate(entries):
        if e.flags & FLUSH:
            if pending:
                cuts.append(Cut(i, pending))
            pending = []
        if not e.changes():
            continue
        if e.flags & FUA:
            # Writes that stand before it in the same stretch were done before it began.
            cuts.append(Cut(i + 1, pending + [i]))
        else:
            pending.append(i)
    if pending:
        cuts.append(Cut(len(entries), pending))
    return cuts


class Replay:
    """An image that follows the log. The base is a sparse file, and the image another."""

    def __init__(self, log, base, image):
        self.log, self.base, self.image = log, base, image
        self.fd = -1
        self.at = 0

    def restart(self):
        if self.fd >= 0:
            os.close(self.fd)
        copy_sparse(self.base, self.image)
        self.fd = os.open(self.image, os.O_RDWR | os.O_CLOEXEC)
        self.at = 0

    def seek(self, end):
        """The image has the first end entries and no other."""
        if self.fd < 0 or end < self.at:
            self.restart()
        while self.at < end:
            self.log.apply(self.fd, self.log.entries[self.at])
            self.at += 1

    def cut(self, cut, seed, out):
        """Writes the device as it is after the cut into the file out. Returns what was left of the
        doubtful writes, as text. The seed decides what of them."""
        entries = self.log.entries
        self.seek(min(cut.doubtful, default=cut.end))
        copy_sparse(self.image, out)
        if not cut.doubtful:
            return "all %d entries" % cut.end
        rng = random.Random("%s %d" % (seed, cut.end))
        # Rarely most of it, rarely nearly nothing; half of the time writes are torn.
        share = rng.choice((0.1, 0.5, 0.5, 0.9))
        torn = rng.random() < 0.5
        doubtful = set(cut.doubtful)
        whole = parts = 0
        fd = os.open(out, os.O_RDWR | os.O_CLOEXEC)
        try:
            for i in range(self.at, cut.end):
                if i not in doubtful:
                    self.log.apply(fd, entries[i])
                elif torn and rng.random() < 0.5:
                    self.log.apply(fd, entries[i], lambda: rng.random() < share)
                    parts += 1
                elif rng.random() < share:
                    self.log.apply(fd, entries[i])
                    whole += 1
        finally:
            os.close(fd)
        return "of %d doubtful writes %d whole, %d in part" % (len(doubtful), whole, parts)


def copy_sparse(src, dst):
    """Copies a file, its holes as holes, over whatever dst was."""
    a = os.open(src, os.O_RDONLY | os.O_CLOEXEC)
    try:
        b = os.open(dst, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            end = os.lseek(a, 0, os.SEEK_END)
            os.ftruncate(b, end)
            at = 0
            while at < end:
                try:
                    at = os.lseek(a, at, os.SEEK_DATA)
                except OSError:
                    break  # a hole up to the end
                stop = os.lseek(a, at, os.SEEK_HOLE)
                os.lseek(b, at, os.SEEK_SET)
                while at < stop:
                    n = os.sendfile(b, a, at, min(stop - at, 1 << 30))
                    if n == 0:
                        raise LogError("'%s' became shorter" % src)
                    at += n
        finally:
            os.close(b)
    finally:
        os.close(a)


def self_test(directory):
    """A log by hand, with sectors of 512 and of 4096 bytes."""
    for sector in (512, 4096):
        def block(c):
            return bytes([c]) * sector

        def entry(first, n, flags, data=b"", text=b""):
            return (ENTRY.pack(first, n, flags, len(text)) + text).ljust(sector, b"\0") + data

        parts = [
            entry(0, 1, 0, block(1)),                                 # 0
            entry(1, 2, METADATA, block(2) + block(3)),               # 1
            entry(0, 0, FLUSH),                                       # 2
            entry(0, 0, MARK, text=b"one"),                           # 3
            entry(2, 1, FUA, block(4)),                               # 4
            entry(0, 2, DISCARD),                                     # 5
            entry(3, 1, 0, block(5)),                                 # 6
            entry(0, 0, FLUSH),                                       # 7
            entry(0, 0, MARK, text=b"dm-log-writes-end"),             # 8
        ]
        log_name, base, image, out = (os.path.join(directory, n) for n in ("log", "base", "image", "out"))
        # What the super does not count is not looked at.
        with open(log_name, "wb") as f:
            f.write(SUPER.pack(MAGIC, VERSION, len(parts), sector).ljust(sector, b"\0") + b"".join(parts) + block(255))
        with open(base, "wb") as f:
            f.truncate(5 * sector)
        log = Log(log_name)

        def after(cut, seed=0):
            replay = Replay(log, base, image)
            replay.cut(cut, seed, out)
            os.close(replay.fd)
            with open(out, "rb") as f:
                return f.read()

        def device(*c):
            return b"".join(block(x) for x in c)

        e = log.entries
        assert [x.is_mark() for x in e] == [i in (3, 8) for i in range(9)]
        assert e[3].mark == "one" and e[8].mark == "dm-log-writes-end"
        points = flush_points(e)
        assert [p.end for p in points] == [0, 4, 5, 9], [p.end for p in points]
        assert after(points[0]) == device(0, 0, 0, 0, 0)
        assert after(points[1]) == device(1, 2, 3, 0, 0)
        assert after(points[2]) == device(1, 2, 4, 0, 0)
        assert after(points[3]) == device(0, 0, 4, 5, 0)
        doubts = doubtful_points(e)
        assert [(d.end, d.doubtful) for d in doubts] == [(2, (0, 1)), (5, (4,)), (7, (5, 6))]
        seen = set()
        for seed in range(200):
            got = after(doubts[2], seed)
            assert got == after(doubts[2], seed)
            seen.add(got)
            # Each sector is that of before or that of after, and the FUA write is there.
            for at in range(0, len(got), sector):
                assert got[at:at + sector] in (after(points[2])[at:at + sector], after(points[3])[at:at + sector])
        assert {after(points[2]), after(points[3]), device(0, 0, 4, 0, 0), device(1, 2, 4, 5, 0)} <= seen
        # The discard, the only one that is larger than a block, is also done by halves.
        torn = {device(0, 2, 4, 0, 0), device(1, 0, 4, 0, 0)}
        assert torn <= seen if sector == 4096 else not torn & seen
        replay = Replay(log, base, image)
        replay.seek(9)
        replay.seek(4)  # backwards
        os.close(replay.fd)
        with open(image, "rb") as f:
            assert f.read() == device(1, 2, 3, 0, 0)
        with open(log_name, "rb") as f:
            whole = f.read()
        unknown_flag = whole[:sector] + b"\0" * 17 + b"\1" + whole[sector + 18:]
        for bad in (b"", b"\0" + whole[1:], whole[:8 * sector], unknown_flag):
            with open(log_name, "wb") as f:
                f.write(bad)
            try:
                Log(log_name)
            except LogError:
                continue
            raise AssertionError("a broken log was read")
    print("logwrites: self-test passed")


def main(argv):
    if argv[:1] == ["self-test"]:
        import tempfile
        with tempfile.TemporaryDirectory() as directory:
            self_test(directory)
        return 0
    if len(argv) < 2 or argv[0] not in ("info", "list", "image"):
        sys.stderr.write(__doc__)
        return 2
    log = Log(argv[1])
    if argv[0] == "info":
        print("%d entries, %d writes of %d bytes, %d flushes, %d with FUA, %d discards" % (
            len(log.entries), sum(e.changes() for e in log.entries),
            sum(e.length for e in log.entries if e.changes() and not e.flags & DISCARD),
            sum(bool(e.flags & FLUSH) for e in log.entries), sum(bool(e.flags & FUA) for e in log.entries),
            sum(bool(e.flags & DISCARD) for e in log.entries)))
        print("%d flush points, %d stretches in doubt" % (
            len(flush_points(log.entries)), len(doubtful_points(log.entries))))
        for i, e in enumerate(log.entries):
            if e.is_mark():
                print("%8d %s" % (i, e.mark))
    elif argv[0] == "list":
        for i, e in enumerate(log.entries):
            print("%8d %s" % (i, e))
    elif len(argv) in (4, 5):
        Replay(log, argv[2], argv[3]).seek(int(argv[4]) if argv[4:] else len(log.entries))
    else:
        sys.stderr.write(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (LogError, OSError) as problem:
        sys.stderr.write("logwrites: %s\n" % problem)
        sys.exit(1)
