#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Tells whether a tree is exactly what another was.
#
#   compare.py scan DIR > LIST       everything that counts of a tree, one JSON line an entry
#   compare.py check LIST DIR        exit status 0: the tree in DIR is what LIST says; else 1
#
# Compared: the set of names, type, mode, owner, mtime to the nanosecond, size, content,
# which names are one inode, the number of links, device numbers, link targets, extended attributes
# (ACLs and capabilities are some), file flags, project ids. Holes: a file may not have noticeably
# more allocated than it had. Paths may be longer than system calls take.
import errno
import fcntl
import hashlib
import json
import os
import stat
import struct
import sys

GETFLAGS, GETX = 0x80086601, 0x801C581F
# What a user can set and a copy must have: not what file systems set by themselves.
KEPT = 0x04 | 0x400 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | 0x4000 | 0x8000 | 0x10000 | 0x20000 \
    | 0x800000 | 0x20000000
SLACK = 256 << 10


BLOCK = 64 << 10


def content_of(fd, size):
    """A hash of the content that does not depend on what of it is holes and what is zeros."""
    h = hashlib.sha256(b"%d" % size)
    zeros = bytes(BLOCK)
    at, done = 0, 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                break
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        # Whole blocks at multiples of their size, each once.
        for pos in range(max(done, start - start % BLOCK), at, BLOCK):
            block = os.pread(fd, BLOCK, pos)
            if block != zeros[:len(block)]:
                h.update(b"%d " % pos + block)
            done = pos + BLOCK
    return h.hexdigest()


def describe(dir_fd, name, st):
    kind = stat.S_IFMT(st.st_mode)
    e = {
        "mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid, "mtime": st.st_mtime_ns,
    }
    if kind != stat.S_IFDIR:
        e["nlink"] = st.st_nlink
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        e["rdev"] = st.st_rdev
    if kind == stat.S_IFLNK:
        e["target"] = os.readlink(name, dir_fd=dir_fd).decode("latin-1")
        del e["mode"]
        e["type"] = "link"
    where = b"/proc/self/fd/%d/%s" % (dir_fd, name)
    try:
        e["xattrs"] = {a: os.getxattr(where, a, follow_symlinks=False).hex()
                       for a in sorted(os.listxattr(where, follow_symlinks=False))}
    except OSError as err:
        if err.errno != errno.EOPNOTSUPP:
            raise
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        return e
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        try:
            e["flags"] = struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0" * 8)[:4])[0] & KEPT
        except OSError:
            pass
        try:
            e["project"] = struct.unpack("5I8s", fcntl.ioctl(fd, GETX, b"\0" * 28))[3]
        except OSError:
            pass
        if kind == stat.S_IFREG:
            e["size"] = st.st_size
            e["content"] = content_of(fd, st.st_size)
            e["allocated"] = st.st_blocks * 512
    finally:
        os.close(fd)
    return e


def walk(fd, path, found):
    for name in sorted(os.listdir(fd)):
        raw = os.fsencode(name)
        st = os.stat(raw, dir_fd=fd, follow_symlinks=False)
        p = path + b"/" + raw if path else raw
        found[p] = (describe(fd, raw, st), st.st_ino)
        if stat.S_ISDIR(st.st_mode):
            sub = os.open(raw, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            try:
                walk(sub, p, found)
            finally:
                os.close(sub)


def scan(root):
    sys.setrecursionlimit(10000)
    found = {}
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    found[b""] = (describe(fd, b".", os.fstat(fd)), 0)
    walk(fd, b"", found)
    os.close(fd)
    first, entries = {}, {}
    for p in sorted(found):
        e, ino = found[p]
        if e.get("nlink", 1) > 1:
            e["same as"] = first.setdefault(ino, p).decode("latin-1")
        entries[p.decode("latin-1")] = e
    return entries


def differences(want, have):
    for p in sorted(set(want) | set(have)):
        if p not in have:
            yield p, "is missing"
        elif p not in want:
            yield p, "should not be there"
        else:
            a, b = want[p], have[p]
            for k in sorted(set(a) | set(b)):
                if k == "allocated":
                    if k in a and k in b and b[k] > a[k] + a[k] // 16 + SLACK:
                        yield p, "%d bytes are allocated, not %d" % (b[k], a[k])
                elif a.get(k) != b.get(k):
                    yield p, "%s is %.300r, not %.300r" % (k, b.get(k), a.get(k))


def main():
    if sys.argv[1] == "scan":
        for p, e in scan(sys.argv[2]).items():
            print(json.dumps([p, e]))
        return 0
    with open(sys.argv[2]) as f:
        want = dict(json.loads(line) for line in f)
    found = list(differences(want, scan(sys.argv[3])))
    for p, what in found[:20]:
        print("   %.200r: %s" % (p, what))
    if len(found) > 20:
        print("   and %d differences more" % (len(found) - 20))
    return 1 if found else 0


sys.exit(main())
