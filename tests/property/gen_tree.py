#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Makes trees with everything that a file system can hold, and changes them at random.
#
#   gen_tree.py make   DIR SEED small|full [--pins]     fills the directory DIR
#   gen_tree.py change DIR SEED small|full [--pins]     one generation of changes
#   gen_tree.py unpin  DIR                              takes immutable and append-only flags away
#
# The same seed on the same kind of file system makes the same tree. What the file system or the
# user's rights do not allow is tried once on a file of its own and then left out. --pins also sets
# the flags immutable and append-only: for file systems that are thrown away as a whole.
import ctypes
import errno
import fcntl
import os
import random
import shutil
import stat
import struct
import sys

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
GETX, SETX = 0x801C581F, 0x401C5820
APPEND, IMMUTABLE, NODUMP, NOATIME = 0x20, 0x10, 0x40, 0x80
SYNC, DIRSYNC, NOCOW, PROJINHERIT = 0x08, 0x10000, 0x800000, 0x20000000
PINS = APPEND | IMMUTABLE
KIB, MIB = 1 << 10, 1 << 20

# Around the writer's limits: pages, the smallest, middle and largest chunk, a window of extents.
EDGES = [0, 1, 2, 511, 4095, 4096, 4097, 8192, 65536, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1]
EDGES_FULL = EDGES + [MIB - 1, MIB, MIB + 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 16 * MIB + 3]

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def get_flags(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0\0\0\0")[:4])[0]
    finally:
        os.close(fd)


def set_flags(path, clear, add):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        now = struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0\0\0\0")[:4])[0]
        fcntl.ioctl(fd, SETFLAGS, struct.pack("I", (now & ~clear) | add))
    finally:
        os.close(fd)


def set_project(path, number):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        x = list(struct.unpack("5I8s", fcntl.ioctl(fd, GETX, b"\0" * 28)))
        x[3] = number
        fcntl.ioctl(fd, SETX, struct.pack("5I8s", *x))
    finally:
        os.close(fd)


def acl(rng, is_default):
    """An ACL as the kernel keeps it: entries of tag, permissions, id, in order."""
    def perm():
        return rng.randrange(8)

    # The owner keeps all rights, so that a test without root's rights can read its own tree.
    e = [(0x01, 7, 0xFFFFFFFF)]
    e += [(0x02, perm(), i) for i in sorted(rng.sample(range(70000), rng.randint(0, 3)))]
    e += [(0x04, perm(), 0xFFFFFFFF)]
    e += [(0x08, perm(), i) for i in sorted(rng.sample(range(70000), rng.randint(0, 3)))]
    if len(e) > 2 or is_default:
        e += [(0x10, perm(), 0xFFFFFFFF)]
    e += [(0x20, perm(), 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *x) for x in e)


def capability(rng):
    return struct.pack("<IIIII", 0x02000001, 1 << rng.randrange(32), 0, rng.randrange(64), 0)


def walk(top):
    """As os.walk, sorted, and without what is too deep for a path."""
    for where, sub, names in os.walk(top):
        sub[:] = sorted(n for n in sub if len(where) + len(n) < 3000)
        yield where, sub, sorted(names)


class Tree:
    def __init__(self, root, seed, size, pins):
        os.chdir(root)
        self.rng = random.Random(seed)
        self.full = size == "full"
        self.root_user = os.geteuid() == 0
        self.pins = pins
        self.files = []  # regular files made so far, to link to and to copy content from
        self.others = []
        self.can = self.probe()

    # ---- what is possible here ----

    def probe(self):
        can = {}
        name = b".probe"

        def attempt(what, call):
            try:
                call()
                can[what] = True
            except OSError:
                can[what] = False

        with open(name, "wb"):
            pass
        attempt("user", lambda: os.setxattr(name, "user.a", b"b"))
        attempt("trusted", lambda: os.setxattr(name, "trusted.a", b"b"))
        attempt("capability", lambda: os.setxattr(name, "security.capability",
                                                  capability(random.Random(1))))
        attempt("acl", lambda: os.setxattr(name, "system.posix_acl_access",
                                           acl(random.Random(1), True)))
        attempt("flags", lambda: set_flags(name, 0, NODUMP))
        attempt("noatime", lambda: set_flags(name, 0, NOATIME))
        can["sync"] = False
        if self.pins:  # slow where others use the file system too
            attempt("sync", lambda: set_flags(name, 0, SYNC))
        attempt("project", lambda: set_project(name, 7))
        attempt("chown", lambda: os.chown(name, 12345, 23456))
        if can["flags"] and self.pins:
            attempt("pins", lambda: (set_flags(name, 0, IMMUTABLE), set_flags(name, PINS, 0)))
        os.unlink(name)
        attempt("device", lambda: (os.mknod(name, 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
                                   os.unlink(name)))
        return can

    # ---- names and contents ----

    def name(self):
        r = self.rng
        kind = r.randrange(12)
        if kind < 5:
            return bytes(r.choice(b"abcdefghijklmnopqrstuvwxyz0123456789._-")
                         for _ in range(r.randint(1, 12))).lstrip(b".") or b"dots"
        if kind == 5:
            return b"n" * 251 + b"%04d" % r.randrange(10000)
        if kind == 6:
            return "äöü€漢字🦆".encode() + b"%d" % r.randrange(100)
        if kind == 7:
            return b"\xff\xfe\x80" + bytes([r.randrange(128, 256)])
        if kind == 8:
            return b"new\nline\r\ttab\x1b[31m" + b"%d" % r.randrange(100)
        if kind == 9:
            return r.choice([b"-rf", b"--", b" ", b"  trail  ", b"...", b"..a", b"*", b"?[a]", b"\\x41",
                             b'"', b"'", b"$HOME", b"%s%n", b".hidden", b"~", b"#x#", b"C:\\a"])
        # Around '/' and the beginnings of other names: the order of paths is on trial.
        if kind == 10:
            return r.choice([b"a", b"b"]) + bytes([r.choice(
                [c for c in range(1, 256) if c != 0x2F])]) + r.choice([b"", b"a"])
        while True:
            n = bytes(r.choice([c for c in range(1, 256) if c != 0x2F])
                      for _ in range(r.randint(1, 255)))
            if n not in (b".", b".."):
                return n

    def free_path(self, where):
        while True:
            p = os.path.join(where, self.name())
            if len(p) < 3500 and not os.path.lexists(p):
                return p

    def size(self):
        r = self.rng
        k = r.randrange(10)
        if k < 5:
            return r.randrange(6000)
        if k < 8:
            return r.choice(EDGES_FULL if self.full else EDGES)
        return r.randrange(3 * MIB if self.full else 300 * KIB)

    def content(self, n):
        r = self.rng
        k = r.randrange(6)
        if k < 3:
            return r.randbytes(n)
        if k == 3:
            line = r.randbytes(r.randint(1, 90))
            return (line * (n // len(line) + 1))[:n]
        if k == 4 and self.files:
            p = r.choice(self.files)
            try:
                with open(p, "rb") as f:
                    got = f.read(n)
                return got + r.randbytes(n - len(got))
            except OSError:
                return r.randbytes(n)
        return bytes(n)

    # ---- entries ----

    def regular(self, p, n=None):
        n = self.size() if n is None else n
        with open(p, "xb", buffering=0) as f:
            if n:
                f.write(self.content(n))
        self.files.append(p)

    def sparse(self, p, n=None):
        r = self.rng
        n = r.choice([4096, 5000, MIB, 3 * MIB + 17, 70 * MIB, 64 * MIB, 64 * MIB + 1,
                      200 * MIB + 5]) if n is None else n
        with open(p, "xb", buffering=0) as f:
            for _ in range(r.randint(0, 6)):
                at = r.randrange(n)
                if r.randrange(2):
                    at &= ~4095
                f.seek(at)
                f.write(self.content(min(r.randint(1, 20000), n - at)))
            if r.randrange(3) == 0 and n > 8192:
                libc.fallocate(f.fileno(), 0, n // 2, min(n // 4, MIB))
            f.truncate(n)
        self.files.append(p)

    def symlink(self, p):
        r = self.rng
        target = r.choice([b"nowhere/at/all", b"/etc/passwd", b"/", b".", b"..", b"../../../../..",
                           b"a" * 4095, b"x/" * 500, b"\xff\n\x01", b"loop",
                           os.path.basename(p)])
        try:
            os.symlink(target, p)
        except OSError as e:
            if e.errno != errno.ENAMETOOLONG:
                raise
            os.symlink(b"a" * 1000, p)
        self.others.append(p)

    def special(self, p):
        r = self.rng
        k = r.randrange(5 if self.can["device"] else 2)
        if k == 0:
            os.mkfifo(p, 0o600)
        elif k == 1:
            os.mknod(p, stat.S_IFSOCK | 0o640)
        else:
            kind = stat.S_IFBLK if k == 2 else stat.S_IFCHR
            os.mknod(p, kind | 0o600, os.makedev(r.choice([0, 1, 8, 259, 511]),
                                                 r.choice([0, 1, 255, 256, (1 << 18) - 1])))
        self.others.append(p)

    def hard_link(self, p):
        r = self.rng
        from_ = r.choice(self.files if r.randrange(3) or not self.others else self.others)
        try:
            os.link(from_, p, follow_symlinks=False)
        except OSError:
            self.regular(p, 10)

    def entry(self, where):
        """Makes one entry that is no directory."""
        p = self.free_path(where)
        k = self.rng.randrange(20)
        if k < 12 or not self.files:
            self.regular(p)
        elif k < 14:
            self.sparse(p)
        elif k < 16:
            self.symlink(p)
        elif k < 18:
            self.special(p)
        else:
            self.hard_link(p)
        return p

    # ---- metadata ----

    def when(self):
        r = self.rng
        s = r.choice([0, 1, -1, -1000000000, -2147483648, 2147483647, 2147483648, 4294967296,
                      15032385535, 1 << 33, r.randrange(1 << 31), r.randrange(1 << 31)])
        return s * 10**9 + r.choice([0, 1, 999999999, 500000000, r.randrange(10**9)])

    def attempt(self, call):
        """For what one file may refuse: no room, not for this type, another project."""
        try:
            call()
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EPERM, errno.EACCES,
                               errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENODATA,
                               errno.ENAMETOOLONG, errno.EDQUOT, errno.EXDEV):
                raise

    def xattrs(self, p, mode):
        r = self.rng
        plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        spaces = []
        if self.can["user"] and plain:
            spaces.append("user.")
        if self.can["trusted"]:
            spaces.append("trusted.")
        for _ in range(r.choice([1, 1, 2, 3, 40 if self.full else 10]) if spaces else 0):
            name = r.choice(spaces) + r.choice(["a", "note", "x.y", "ä\n", "n" * 200,
                                                "%d" % r.randrange(1000)])
            value = r.randbytes(r.choice([0, 0, 1, 20, 300, 1100, 3000, 15000, 65536]))
            self.attempt(lambda n=name, v=value: os.setxattr(p, n, v, follow_symlinks=False))
        if self.can["capability"] and stat.S_ISREG(mode) and r.randrange(3) == 0:
            self.attempt(lambda: os.setxattr(p, "security.capability", capability(r)))
        if self.can["acl"] and not stat.S_ISLNK(mode) and r.randrange(2):
            self.attempt(lambda: os.setxattr(p, "system.posix_acl_access", acl(r, False)))
        if self.can["acl"] and stat.S_ISDIR(mode) and r.randrange(3) == 0:
            self.attempt(lambda: os.setxattr(p, "system.posix_acl_default", acl(r, True)))

    def flags(self, p, mode):
        r = self.rng
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return
        add = 0
        if self.can["flags"] and r.randrange(2):
            add |= NODUMP
        if self.can["noatime"] and r.randrange(2):
            add |= NOATIME
        if self.can["sync"] and r.randrange(8) == 0:
            add |= DIRSYNC if stat.S_ISDIR(mode) and r.randrange(2) else SYNC
        if self.can["project"] and r.randrange(3) == 0:
            self.attempt(lambda: set_project(p, r.choice([1, 7, 65536, 4294967294])))
            if stat.S_ISDIR(mode) and r.randrange(2):
                add |= PROJINHERIT
        if add:
            self.attempt(lambda: set_flags(p, 0, add))

    def meta(self, p, chance=1.0):
        """Owner first: it takes capabilities and set-id bits away. Times last."""
        r = self.rng
        mode = os.lstat(p).st_mode
        if r.random() >= chance:
            return
        if self.can["chown"] and r.randrange(2):
            os.chown(p, r.choice([0, 1, 1000, 65534, 4294967294]),
                     r.choice([0, 5, 1000, 4294967294]), follow_symlinks=False)
        if not stat.S_ISLNK(mode) and r.randrange(3):
            bits = r.choice([0o644, 0o755, 0o4755, 0o2755, 0o6711, 0o1777, 0, 0o7777, 0o400,
                             r.randrange(0o10000)])
            if not self.root_user:
                bits |= 0o700 if stat.S_ISDIR(mode) else 0o600
            os.chmod(p, bits)
        if r.randrange(3) == 0:
            self.xattrs(p, mode)
        if r.randrange(4) == 0:
            self.flags(p, mode)
        if r.randrange(3):
            self.attempt(lambda: os.utime(p, ns=(self.when(), self.when()), follow_symlinks=False))

    # ---- a whole tree ----

    def make(self):
        r = self.rng
        dirs = [b"."]
        for _ in range(40 if self.full else 14):
            p = self.free_path(r.choice(dirs))
            os.mkdir(p)
            dirs.append(p)
        for n in EDGES_FULL if self.full else EDGES + [MIB + 1]:
            self.regular(self.free_path(r.choice(dirs)), n)
        for n in [70 * MIB, 64 * MIB, 1, 200 * MIB + 5]:
            self.sparse(self.free_path(r.choice(dirs)), n)
        if self.full:
            self.regular(self.free_path(r.choice(dirs)), 70 * MIB)
        for _ in range(500 if self.full else 120):
            self.entry(r.choice(dirs))
        self.hard_link(self.free_path(r.choice(dirs)))
        # Names whose order and the order of whole paths differ.
        os.mkdir(b"order")
        for n in (b"a", b"a.b", b"a!", b"a\x01", b"a-", b"ab", b"A"):
            os.mkdir(b"order/" + n) if n in (b"a", b"a.b", b"a\x01") else self.regular(b"order/" + n, 9)
        for n in (b"order/a/b", b"order/a.b/b", b"order/a\x01/b"):
            self.regular(n, 11)
        # Many small files in one directory, which share chunks.
        os.mkdir(b"many")
        for i in range(2000 if self.full else 200):
            self.regular(b"many/%d" % i, r.randrange(700))
        self.deep(b"deep short", [b"d"] * (600 if self.full else 60))
        self.deep(b"deep long", [b"%03d" % i + b"L" * 200 for i in range(26)])
        for where, sub, names in reversed(list(walk(b"."))):
            for n in names + sub:
                self.meta(os.path.join(where, n), 0.05 if where == b"./many" else 0.7)
        self.meta(b".")
        self.pin(0.03)

    def deep(self, top, names):
        """A chain of directories whose path may be longer than a system call takes."""
        here = os.getcwd()
        for n in [top] + names:
            os.mkdir(n)
            os.chdir(n)
        with open(b"at the bottom", "wb") as f:
            f.write(b"deep")
        os.symlink(b"at the bottom", b"link")
        os.chdir(here)

    def pin(self, chance):
        if not self.can.get("pins"):
            return
        for where, sub, names in reversed(list(walk(b"."))):
            for n in names + sub:
                p = os.path.join(where, n)
                if stat.S_IFMT(os.lstat(p).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                    if self.rng.random() < chance:
                        self.attempt(lambda: set_flags(p, PINS, self.rng.choice([APPEND, IMMUTABLE])))

    # ---- changes ----

    def all_paths(self):
        dirs, rest = [b"."], []
        for where, sub, names in walk(b"."):
            for n in sub:
                p = os.path.join(where, n)
                (rest if os.path.islink(p) else dirs).append(p)
            rest += [os.path.join(where, n) for n in names]
        # The order that a directory is read in is the file system's own affair.
        return sorted(dirs), sorted(rest)

    def free(self, p):
        if not self.can.get("pins"):
            return
        for q in (p, os.path.dirname(p)):
            if stat.S_IFMT(os.lstat(q).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                if get_flags(q) & PINS:
                    set_flags(q, PINS, 0)

    def write_at(self, p, at, data):
        fd = os.open(p, os.O_WRONLY)
        os.pwrite(fd, data, at)
        os.close(fd)

    def edit(self, p):
        r = self.rng
        st = os.stat(p)
        for _ in range(r.choice([1, 1, 3, 20])):
            at = r.randrange(st.st_size + 1)
            n = r.choice([1, 10, 4096, 8192])
            if r.randrange(2):
                at &= ~4095
            self.write_at(p, at, self.content(max(1, min(n, st.st_size - at))))
        if r.randrange(4) == 0:  # the time of change alone tells it
            self.attempt(lambda: os.utime(p, ns=(st.st_atime_ns, st.st_mtime_ns)))

    def resize(self, p):
        r = self.rng
        n = os.stat(p).st_size
        k = r.randrange(4)
        if k == 0:
            self.write_at(p, n, self.content(r.choice([1, 100, 5000, 300 * KIB])))
        elif k == 1:
            os.truncate(p, r.randrange(n + 1))
        elif k == 2:
            os.truncate(p, n + r.choice([1, 4096, 5 * MIB]))
        else:
            os.truncate(p, 0)

    def splice(self, p):
        r = self.rng
        n = os.stat(p).st_size
        if n > 20 * MIB:
            return self.edit(p)
        with open(p, "rb") as f:
            data = f.read()
        at = r.randrange(n + 1)
        if r.randrange(2):
            data = data[:at] + self.content(r.choice([1, 100, 5000])) + data[at:]
        else:
            data = data[:at] + data[at + r.choice([1, 100, 5000]):]
        with open(p, "wb") as f:
            f.write(data)

    def punch(self, p):
        r = self.rng
        n = os.stat(p).st_size
        fd = os.open(p, os.O_WRONLY)
        at = r.randrange(n + 1) & ~4095
        # Not beyond the end: what is allocated there is no part of a backup.
        span = min(r.choice([4096, 65536, MIB]), n - at)
        if span > 0:
            libc.fallocate(fd, r.choice([3, 1, 0x11]), at, span)
        os.close(fd)

    def remove(self, p):
        if stat.S_ISDIR(os.lstat(p).st_mode):
            for where, sub, names in walk(p):
                for n in [b"."] + names:
                    q = os.path.join(where, n)
                    if self.can.get("pins") and not stat.S_ISLNK(os.lstat(q).st_mode):
                        if stat.S_IFMT(os.lstat(q).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                            set_flags(q, PINS, 0)
            shutil.rmtree(p)
        else:
            os.unlink(p)

    def change(self):
        r = self.rng
        for i in range(120 if self.full else 40):
            dirs, rest = self.all_paths()
            p = r.choice(rest) if rest else self.entry(b".")
            d = r.choice(dirs)
            mode = os.lstat(p).st_mode
            self.files = [q for q in rest if stat.S_ISREG(os.lstat(q).st_mode)]
            self.others = [q for q in rest if q not in self.files] if i % 8 == 0 else self.others
            self.others = [q for q in self.others if os.path.lexists(q)]
            self.free(p)
            self.free(os.path.join(d, b"."))
            k = r.randrange(22)
            if k < 9 and stat.S_ISREG(mode):
                r.choice([self.edit, self.edit, self.resize, self.splice, self.punch])(p)
            elif k < 12:
                self.attempt(lambda: os.rename(p, self.free_path(d)))
            elif k == 12:
                self.remove(p)
            elif k == 13 and d != b"." and not d.startswith((b"./deep", b"./order")):
                self.free(d)
                self.remove(d)
            elif k == 14 and d != b".":
                self.free(d)
                to = self.free_path(r.choice([q for q in dirs if not (q + b"/").startswith(d + b"/")]))
                self.free(to[:to.rindex(b"/")] + b"/.")
                self.attempt(lambda: os.rename(d, to))
            elif k == 15:
                self.remove(p)  # another type of the same name
                r.choice([self.symlink, self.special, os.mkdir, self.regular, self.sparse])(p)
            elif k == 16 and d != b"." and not d.startswith(b"./deep"):
                self.free(d)
                self.remove(d)
                r.choice([self.symlink, self.special, self.regular])(d)
            elif k < 19:
                self.meta(self.entry(d), 0.5)
            elif k == 19:
                self.hard_link(self.free_path(d))
            elif k == 20:
                self.meta(d)
            else:
                for a in os.listxattr(p, follow_symlinks=False):
                    self.attempt(lambda a=a: os.removexattr(p, a, follow_symlinks=False))
                if stat.S_IFMT(mode) in (stat.S_IFREG, stat.S_IFDIR) and self.can["flags"]:
                    self.attempt(lambda: set_flags(p, NODUMP | NOATIME | SYNC, 0))
                self.meta(p)
        self.pin(0.01)


def unpin(root):
    for where, sub, names in walk(root):
        for n in [b"."] + names:
            p = os.path.join(where, n)
            if stat.S_IFMT(os.lstat(p).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                try:
                    if get_flags(p) & PINS:
                        set_flags(p, PINS, 0)
                except OSError:
                    pass


def main():
    verb, root = sys.argv[1], os.fsencode(sys.argv[2])
    if verb == "unpin":
        unpin(root)
        return
    os.umask(0o022)
    tree = Tree(root, sys.argv[3], sys.argv[4], "--pins" in sys.argv[5:])
    tree.make() if verb == "make" else tree.change()


main()
