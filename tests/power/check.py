#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at what a disk would hold after a power cut, for many moments of one recording.

Each moment is made an image, mounted, and used with the real programs. What must hold, in the words
of CLAIMS below. A recording is a directory with

    fs         the type of the file system, one word
    base       the device before the first entry of the log
    log        see logwrites.py
    outside    an ext4 with what was not recorded:
                 src/            the volumes as they are at the end, for the next backup
                 expect/NAME/    what the volumes of `backup NAME` held, a directory or file for each
                 made/NAME.json  what that backup said that it made
                 collected/NAME.json  what a collection said
                 keys/           the keys, as init had made them

and its marks say what had ended when (see init): acked:NAME, begin:NAME, restored:NAME.VOLUME,
leaving:NAME, gone:NAME.

A moment is named f842 (after entry 842, which is a flush or FUA write) or d842.3 (just before entry
842, of what was not flushed only a part; the third try of another part). Together with the seed that
is enough to make it again. Needs root, in a mount namespace of its own.
"""
import argparse
import concurrent.futures
import ctypes
import glob
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import logwrites  # noqa: E402

CLAIMS = ("mount", "keys", "points", "restored", "check", "backup", "state", "catalog", "collect")
TIMEOUT_S = 120
MOUNT_OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid", "btrfs": "loop"}


class Finding(Exception):
    """What does not hold: a claim and a text."""

    def __init__(self, claim, text):
        super().__init__(text)
        self.claim, self.text = claim, text


def call(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(argv), done.stdout.strip()))


class Mounted:
    """A file system in an image, mounted as long as the block is in."""

    def __init__(self, image, where, fs, extra=""):
        self.argv = ["mount", "-t", fs, "-o", MOUNT_OPTIONS[fs] + extra, image, where]
        self.where = where

    def __enter__(self):
        call(*self.argv)
        return self.where

    def __exit__(self, *_):
        call("umount", self.where)


# ---- trees ------------------------------------------------------------------------------------

def content(path):
    h = hashlib.blake2b()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(1 << 20), b""):
            h.update(piece)
    return h.hexdigest()


def describe(path, inodes, name):
    st = os.lstat(path)
    told = [stat.S_IFMT(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
    if stat.S_ISLNK(st.st_mode):
        return told + [os.readlink(path)]
    told.append(stat.S_IMODE(st.st_mode))
    told += [(a, os.getxattr(path, a).hex()) for a in sorted(os.listxattr(path))]
    if stat.S_ISREG(st.st_mode):
        told += [st.st_size, content(path), st.st_nlink, inodes.setdefault(st.st_ino, name)]
    return told


def scan(root):
    """All that counts of a tree, or of an image file: {path: description}."""
    found, inodes = {}, {}
    if not os.path.isdir(root):
        return {".": [stat.S_IFMT(os.lstat(root).st_mode), os.path.getsize(root), content(root)]}
    found["."] = describe(root, inodes, ".")
    for at, dirs, files in os.walk(root):
        for name in sorted(dirs + files):
            path = os.path.join(at, name)
            relative = os.path.relpath(path, root)
            found[relative] = describe(path, inodes, relative)
        dirs.sort()
    return found


def difference(want, have):
    for path in sorted(set(want) | set(have)):
        if path not in have:
            return "'%s' is missing" % path
        if path not in want:
            return "'%s' should not be there" % path
        if want[path] != have[path]:
            return "'%s' is %r, not %r" % (path, have[path], want[path])
    return None


# ---- the recording ----------------------------------------------------------------------------

class Recording:
    """The log, and what its names mean."""

    def __init__(self, directory, work):
        self.directory = directory
        with open(os.path.join(directory, "fs"), encoding="ascii") as f:
            self.fs = f.read().strip()
        self.base = os.path.join(directory, "base")
        self.log = logwrites.Log(os.path.join(directory, "log"))
        self.marks = [(i, *e.mark.partition(":")[::2]) for i, e in enumerate(self.log.entries) if e.is_mark()]
        if not any(kind == "end" for _, kind, _ in self.marks):
            raise RuntimeError("the recording has no end: was the log device too small?")
        self.outside = os.path.join(work, "outside")
        os.makedirs(self.outside, exist_ok=True)
        # The volumes keep their inodes and times: the next backup sees what has not changed.
        call("mount", "-t", "ext4", "-o", "loop,ro", os.path.join(directory, "outside"), self.outside)
        self.points = {}  # id: (name of the backup, volume)
        self.made = {}  # name of the backup: ids
        self.expect = {}  # (name, volume): scan
        for path in sorted(glob.glob(os.path.join(self.outside, "made", "*.json"))):
            name = os.path.basename(path)[:-5]
            with open(path, encoding="utf-8") as f:
                items = json.load(f)["items"]
            self.made[name] = [i["point"] for i in items]
            for i in items:
                self.points[i["point"]] = (name, i["volume"])
                self.expect[name, i["volume"]] = scan(os.path.join(self.outside, "expect", name, i["volume"]))
        acked = [name for _, kind, name in self.marks if kind == "acked" and name in self.made]
        if not self.points or len(acked) != len(self.made):
            raise RuntimeError("the recording has %d backups, and marks for %d" % (len(self.made), len(acked)))
        collected = self.collected()
        if not all(collected.values()):
            raise RuntimeError("the recording has no collection that did some of this: %r" % collected)
        self.sources = {}
        for volume in sorted({v for _, v in self.points.values()}):
            self.sources[volume] = os.path.join(self.outside, "src", volume)
        self.source_scan = {v: scan(p) for v, p in self.sources.items()}

    def close(self):
        call("umount", self.outside)

    def collected(self):
        """What the collections did: of no use is a recording in which they did nothing."""
        done = dict.fromkeys(("packs_repacked", "packs_deleted", "points_deleted", "segments_deleted"), 0)
        for path in glob.glob(os.path.join(self.outside, "collected", "*.json")):
            with open(path, encoding="utf-8") as f:
                said = json.load(f)["items"][0]
            for what in done:
                done[what] += said[what]
        return done

    def before_marks(self, end):
        while end > 0 and self.log.entries[end - 1].is_mark():
            end -= 1
        return end

    def marks_before(self, end):
        return sum(at < end for at, _, _ in self.marks)

    def known(self, kind, before):
        """Names of that kind of mark before a position."""
        return {name for at, k, name in self.marks if k == kind and at < before}


class Moment:
    """A cut and its name."""

    def __init__(self, cut, kind, turn=0):
        self.cut, self.kind, self.turn = cut, kind, turn
        self.name = "%s%d" % (kind, cut.end) + (".%d" % turn if kind == "d" or turn else "")


def even_order(n):
    """0 to n-1 so that each beginning of it is spread evenly (van der Corput)."""
    bits = max(1, (n - 1).bit_length())
    return [j for j in (int(format(i, "0%db" % bits)[::-1], 2) for i in range(1 << bits)) if j < n]


def moments(recording, turns, near_marks):
    """All moments, and how many of them are always looked at: those next to marks, which stand first.
    The order of the others is such that it may stop anywhere. Also the number of all of each kind."""
    entries = recording.log.entries
    flushes = [Moment(c, "f") for c in logwrites.flush_points(entries)]
    doubts = [Moment(c, "d") for c in logwrites.doubtful_points(entries)]
    both = sorted(flushes + doubts, key=lambda m: (m.cut.end, m.kind))
    near = set()
    for at, _, _ in recording.marks:
        behind = next((i for i, m in enumerate(both) if m.kind == "f" and m.cut.end > at), None)
        if behind is not None:
            near.update(i for i in (behind - 1, behind, behind + 1) if 0 <= i < len(both))
    todo = [both[i] for i in sorted(near)]
    always = len(todo)
    if not near_marks:
        # Two of the ones to one of the others; the latter get their turn when the former are done.
        a = [flushes[i] for i in even_order(len(flushes))]
        b = [doubts[i] for i in even_order(len(doubts))]
        names = {m.name for m in todo}
        order = []
        while a or b:
            order += a[:2] + b[:1]
            a, b = a[2:], b[1:]
        todo += [m for m in order if m.name not in names]
        for turn in range(1, turns):
            todo += [Moment(m.cut, m.kind, turn) for m in order]
    return todo, always, {"f": len(flushes), "d": len(doubts)}


# ---- one moment -------------------------------------------------------------------------------

class Checker:
    """What one process needs to look at moments, one after the other."""

    def __init__(self, recording, binaries, work, seed):
        self.r, self.bin, self.seed = recording, binaries, seed
        self.work = os.path.join(work, "worker.%d" % os.getpid())
        self.mnt = os.path.join(self.work, "mnt")
        os.makedirs(self.mnt)
        self.replay = logwrites.Replay(recording.log, recording.base, os.path.join(self.work, "replay"))
        self.states = os.path.join(work, "states")
        self.n = 0
        self.runs = 0
        self.met = {}  # what was looked at already, by content: see inside()
        self.same = 0
        self.env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC0",
                    "HOME": self.work}
        self.done = None

    def run(self, claim, program, *argv, allowed=(0,), store=None, state=None):
        """A program; its exit status must be an allowed one. What it said is in self.done."""
        self.runs += 1
        argv = [os.path.join(self.bin, "aksdr-" + program), *argv]
        argv[2:2] = ["--store", "file://" + (store or self.store), "--state", state or self.fresh, "--quiet"]
        try:
            self.done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                       errors="replace", env=self.env, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Finding(claim, "no end after %d s: %s" % (TIMEOUT_S, self.told(argv))) from None
        if self.done.returncode not in allowed:
            raise Finding(claim, self.failure())
        return self.done.returncode

    def told(self, argv):
        """A command without what is the same for all."""
        short = [os.path.basename(argv[0])] + [a for a in argv[1:] if a != "--quiet"]
        return self.brief(" ".join(short))

    def brief(self, text):
        return text.replace(self.work + "/", "").replace(os.path.dirname(self.work) + "/", "")

    def failure(self):
        """What the last command said."""
        said = self.brief(self.done.stderr.strip())
        return "exit status %d, '%s', of %s" % (self.done.returncode, said[:2000], self.told(self.done.args))

    def json(self, claim):
        try:
            return json.loads(self.done.stdout)
        except ValueError as e:
            raise Finding(claim, "no JSON from %s: %s" % (self.told(self.done.args), e)) from None

    def path(self, name):
        self.n += 1
        return os.path.join(self.work, "%s.%d" % (name, self.n))

    def listed(self, claim):
        """The points that the store has: {id: volume}"""
        self.run(claim, "restore", "points", "--key", self.recovery, "--output", "json")
        return {i["point"]: i["volume"] for i in self.json(claim)["items"]}

    def restored(self, claim, point, volume, want, state=None):
        """The point comes back exactly."""
        target = self.path("back")
        self.run(claim, "restore", "volume", "--key", self.recovery, "--target", target,
                 "%s@%s" % (volume, point), state=state)
        wrong = difference(want, scan(target))
        if wrong:
            raise Finding(claim, "point %s of '%s' came back wrong: %s" % (point, volume, wrong))
        if os.path.isdir(target):
            shutil.rmtree(target)
        else:
            os.unlink(target)

    def look(self, moment, image=None):
        """All findings of one moment, as (claim, text); and what was left of doubtful writes."""
        out = image or self.path("image")
        cut = moment.cut
        rng = random.Random("%s %s" % (self.seed, moment.name))
        left = self.replay.cut(cut, "%s %d" % (self.seed, moment.turn), out)
        self.fresh = self.path("fresh")
        self.store = os.path.join(self.mnt, "store")
        self.recovery = os.path.join(self.r.outside, "keys", "recovery.key")
        self.agent = os.path.join(self.r.outside, "keys", "agent.key")
        self.audit = os.path.join(self.r.outside, "keys", "audit.key")
        found = []
        try:
            if image:
                copy = self.path("image")
                logwrites.copy_sparse(image, copy)
                out = copy
            try:
                mounted = Mounted(out, self.mnt, self.r.fs)
                mounted.__enter__()
            except RuntimeError as e:
                return [("mount", self.brief(str(e)))], left
            try:
                self.inside(moment, rng, found)
            finally:
                mounted.__exit__()
        finally:
            os.unlink(out)
            shutil.rmtree(self.fresh, ignore_errors=True)
            for old in glob.glob(os.path.join(self.work, "back.*")):
                shutil.rmtree(old, ignore_errors=True)
        return found, left

    def digest(self, *names):
        """One number for all names and bytes of directories of the file system."""
        h = hashlib.blake2b(digest_size=16)
        for name in names:
            for at, dirs, files in os.walk(os.path.join(self.mnt, name)):
                dirs.sort()
                for f in sorted(files):
                    path = os.path.join(at, f)
                    h.update(("%s %o %s\n" % (path, os.lstat(path).st_mode, content(path))).encode(errors="replace"))
                h.update(("%s %s\n" % (at, dirs)).encode(errors="replace"))
        return h.digest()

    def inside(self, moment, rng, found):
        """The mounted file system. Many moments differ in the file system's own structures only: what
        was looked at with the same files, by this process, need not be again."""
        end = moment.cut.end
        self.seen = {}
        self.choose_state(moment, rng)
        store = self.digest("store", "keys", "restored")
        whole = os.path.exists(os.path.join(self.store, "config"))  # else init makes it another one
        first = (store, self.r.marks_before(end), self.r.marks_before(self.r.before_marks(end)))
        second = (store, self.other or self.digest("state"))
        steps = []
        if whole and first in self.met:
            self.seen = self.met[first]
        else:
            steps += [lambda: self.keys(end), lambda: self.restored_before(end), lambda: self.points(end), self.check]
        if steps or second not in self.met:
            steps += [self.backup, self.catalog, self.collect, self.check_all]
        self.same += not steps
        for step in steps:
            try:
                step()
            except Finding as f:
                found.append((f.claim, f.text))
                if f.claim == "keys":
                    break  # nothing can be looked at without them
        if whole:
            self.met[first] = self.seen
            self.met[second] = True

    def choose_state(self, moment, rng):
        """The next backup is made with the local state of this moment, or with that of another one, as
        when the state lies on another disk than the store, or the store was put back."""
        self.state = os.path.join(self.mnt, "state")
        self.other = None
        others = sorted(os.listdir(self.states)) if os.path.isdir(self.states) else []
        if others and (moment.kind == "d" or moment.turn) and rng.random() < 0.5:
            self.other = rng.choice(others)
        self.with_state = "state" if self.other else "backup"

    def keys(self, end):
        """init said that it is done: config and keys are there, and are the ones it made. It did not:
        a config without its keys is of no use, and where is no config, init can be run again."""
        acked = "init" in self.r.known("acked", end)
        config = os.path.exists(os.path.join(self.store, "config"))
        if acked and not config:
            raise Finding("keys", "init had been acknowledged, and the store has no config")
        if config:
            for name in sorted(os.listdir(os.path.join(self.r.outside, "keys"))):
                try:
                    same = content(os.path.join(self.mnt, "keys", name)) == content(
                        os.path.join(self.r.outside, "keys", name))
                except OSError as e:
                    raise Finding("keys", "the store has a config, and the key file: %s" % e) from None
                if not same:
                    raise Finding("keys", "the store has a config, and '%s' is not as it was made" % name)
            return
        fresh = self.path("fresh-keys")
        self.run("keys", "agent", "init", "--keys", fresh)
        self.recovery, self.agent, self.audit = (
            os.path.join(fresh, n + ".key") for n in ("recovery", "agent", "audit"))

    def points(self, end):
        seen = self.listed("points")
        wrong = []
        # What is on the disk here was there before the marks that stand here.
        for name in sorted(self.r.known("acked", end) - self.r.known("leaving", self.r.before_marks(end))):
            for point in self.r.made.get(name, ()):
                if point not in seen:
                    wrong.append("backup '%s' had been acknowledged, and its point %s is not there" % (name, point))
        for name in sorted(self.r.known("gone", end)):
            wrong += ["point %s of '%s' had gone, and is there again" % (p, name)
                      for p in self.r.made[name] if p in seen]
        for point, volume in sorted(seen.items()):
            if point not in self.r.points:
                wrong.append("there is a point %s of '%s' that nobody made" % (point, volume))
                continue
            try:
                self.restored("points", point, volume, self.r.expect[self.r.points[point]])
            except Finding as f:
                wrong.append(f.text)
        self.seen = seen
        if wrong:
            raise Finding("points", "; ".join(wrong))

    def restored_before(self, end):
        """What was restored and waited for: trees in the file system itself."""
        for which in sorted(self.r.known("restored", end)):
            name, _, volume = which.rpartition(".")
            try:
                wrong = difference(self.r.expect[name, volume], scan(os.path.join(self.mnt, "restored", which)))
            except OSError as e:
                wrong = str(e)
            if wrong:
                raise Finding("restored", "'%s' had been restored with --sync, and now: %s" % (which, wrong))

    def check(self):
        self.run("check", "catalog", "check", "--key", self.audit, "--level", "3", "--output", "json")
        if self.json("check")["verdict"] != "ok":
            raise Finding("check", self.done.stdout[:2000])

    def backup(self):
        """The next backup."""
        claim = self.with_state
        if self.other:
            shutil.rmtree(self.state, ignore_errors=True)
            shutil.copytree(os.path.join(self.states, self.other), self.state)
        try:
            self.run(claim, "agent", "backup", "--key", self.agent, "--output", "json", "--page-cache", "8MiB",
                     *["%s=%s" % v for v in sorted(self.r.sources.items())], state=self.state)
            made = {i["volume"]: i["point"] for i in self.json(claim)["items"]}
            for volume in self.r.sources:
                if volume not in made:
                    raise Finding(claim, "the next backup made no point of '%s'" % volume)
                self.restored(claim, made[volume], volume, self.r.source_scan[volume], state=self.state)
            now = self.listed(claim)
            lost = (set(self.seen) | set(made.values())) - set(now)
            if lost:
                raise Finding(claim, "after the next backup there is no point %s" % ", ".join(sorted(lost)))
        except Finding as f:
            if self.other:
                f.text = "with the state of %s: %s" % (self.other, f.text)
            raise

    def catalog_rows(self, *where):
        self.run("catalog", "catalog", "list", "--key", self.audit, "--output", "json", *where, state=self.state)
        return {i["point"]: i for i in self.json("catalog")["items"]}

    def tells_of_lost_statements(self):
        if not self.other:
            return False
        self.run("catalog", "catalog", "list", "anomalies", "--key", self.audit, "--output", "json", state=self.state)
        return any(i["kind"] == "statement" for i in self.json("catalog")["items"])

    def catalog(self):
        """The file, as the cut left it, opens or says what to do; made anew it is what the store has."""
        def says_what_to_do():
            told = self.done.stderr
            if "rebuild" not in told and "sync" not in told:
                raise Finding("catalog", "no advice: " + self.failure())

        synced, told = None, False
        if glob.glob(os.path.join(self.state, "*", "catalog.db")):
            if self.run("catalog", "catalog", "list", "--key", self.audit, allowed=(0, 1, 4, 5), state=self.state):
                says_what_to_do()
            if self.run("catalog", "catalog", "sync", "--key", self.audit, allowed=(0, 1, 4, 5), state=self.state):
                says_what_to_do()
            else:
                synced = self.catalog_rows()
                told = self.tells_of_lost_statements()
        self.run("catalog", "catalog", "rebuild", "--key", self.audit, state=self.state)
        rebuilt = self.catalog_rows()
        store = self.listed("catalog")
        if set(rebuilt) != set(store):
            raise Finding("catalog", "made anew it has %s, and the store %s" % (sorted(rebuilt), sorted(store)))
        # When the old file was of no use, a fresh one is what to compare with.
        if synced is None:
            other = os.path.join(self.fresh, "other.db")
            self.run("catalog", "catalog", "sync", "--key", self.audit, "--catalog", other)
            synced = self.catalog_rows("--catalog", other)
        if told:
            # It has seen tombstones and holds that this store has not: they count, and that is told.
            rebuilt = {point: row | {"state": synced[point]["state"]} for point, row in rebuilt.items()
                       if point in synced}
        if synced != rebuilt:
            raise Finding("catalog", "brought up to date it differs from what it is when made anew: " + "; ".join(
                "%s: %r, not %r" % (point, synced.get(point), rebuilt.get(point))
                for point in sorted(set(synced) | set(rebuilt)) if synced.get(point) != rebuilt.get(point)))

    def collect(self):
        """A collection that the cut ended is gone on with, and what it ends in lacks nothing."""
        before = self.listed("collect")
        self.run("collect", "catalog", "gc", "--key", self.agent, "--keep-young", "0s", "--fence-after", "0s",
                 "--max-share", "100", "--output", "json", state=self.state)
        outcome = self.json("collect")["items"][0]["outcome"]
        if outcome not in ("done", "nothing"):
            raise Finding("collect", "the collection ended as '%s'" % outcome)
        if self.listed("collect") != before:
            raise Finding("collect", "it took restore points: there were %s" % sorted(before))

    def check_all(self):
        """And after all that, everything decrypts to what it should be."""
        self.run(self.with_state, "catalog", "check", "--key", self.recovery, "--level", "4")


# ---- many moments -----------------------------------------------------------------------------

checker = None


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start_worker(*arguments):
    global checker
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    checker = Checker(*arguments)


def look_at(some, deadline):
    """Some moments, in the order of the log, so that the image only goes forward."""
    results = []
    before = checker.runs, checker.same
    for moment in sorted(some, key=lambda m: m.cut.end):
        if deadline and time.monotonic() > deadline:
            break
        found, left = checker.look(moment)
        results.append((moment.name, found, left))
    return results, checker.runs - before[0], checker.same - before[1]


def keep_states(recording, work):
    """The state directory as it was at each mark, to be met by the store of another moment."""
    states, mnt, image = (os.path.join(work, n) for n in ("states", "states-mnt", "states-image"))
    os.makedirs(states)
    os.makedirs(mnt)
    replay = logwrites.Replay(recording.log, recording.base, os.path.join(work, "states-replay"))
    for at, kind, name in recording.marks:
        if kind in ("acked", "end"):
            replay.cut(logwrites.Cut(at), 0, image)
            with Mounted(image, mnt, recording.fs):
                if os.path.isdir(os.path.join(mnt, "state")):
                    shutil.copytree(os.path.join(mnt, "state"), os.path.join(states, name or kind))
            os.unlink(image)
    os.unlink(replay.image)
    shutil.rmtree(mnt)


def parse(argv):
    p = argparse.ArgumentParser(description="Looks at moments of a recording.")
    p.add_argument("--recording", required=True)
    p.add_argument("--bin", required=True, help="directory of the programs")
    p.add_argument("--work", required=True, help="empty directory, in memory if possible")
    p.add_argument("--findings", help="directory; a file for each claim, empty where it holds")
    p.add_argument("--seed", default="1")
    p.add_argument("--seconds", type=float, default=0, help="start no moment later than that; 0: no limit")
    p.add_argument("--turns", type=int, default=1, help="how often to look at each moment, with other seeds")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--near-marks", action="store_true", help="only the moments next to marks")
    p.add_argument("--only", help="one moment, as f842 or d842.3")
    p.add_argument("--image", help="with --only: the device at that moment is left in this file")
    return p.parse_args(argv)


def named_moment(recording, name):
    kind, (end, _, turn) = name[:1], name[1:].partition(".")
    cuts = {"f": logwrites.flush_points, "d": logwrites.doubtful_points}[kind](recording.log.entries)
    for cut in cuts:
        if cut.end == int(end):
            return Moment(cut, kind, int(turn or 0))
    raise RuntimeError("the recording has no moment '%s'" % name)


def main(argv):
    start = time.monotonic()
    options = parse(argv)
    for name in ("recording", "bin", "work"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    os.makedirs(options.work, exist_ok=True)
    recording = Recording(options.recording, options.work)
    try:
        keep_states(recording, options.work)
        arguments = (recording, options.bin, options.work, options.seed)
        if options.only:
            one = Checker(*arguments)
            moment = named_moment(recording, options.only)
            found, left = one.look(moment, options.image)
            print("%s, moment %s: %s" % (recording.fs, moment.name, left))
            print("acknowledged: %s" % ", ".join(sorted(recording.known("acked", moment.cut.end))))
            for claim, text in found:
                print("%s: %s" % (claim, text))
            return 1 if found else 0
        if recording.fs == "btrfs" and not os.path.exists("/sys/fs/btrfs/features/temp_fsid"):
            options.jobs = 1  # this kernel cannot have two copies of one file system mounted
        todo, always, existing = moments(recording, options.turns, options.near_marks)
        deadline = start + options.seconds if options.seconds else 0
        # A piece of work is so large that the log is not read from its beginning for each moment.
        size = 8
        pieces = [(todo[i:min(i + size, always)], 0) for i in range(0, always, size)]
        for i in range(always, len(todo), size * options.jobs):
            stretch = sorted(todo[i:i + size * options.jobs], key=lambda m: m.cut.end)
            pieces += [(stretch[j:j + size], deadline) for j in range(0, len(stretch), size)]
        findings, looked_at, runs, same = [], [], 0, 0
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(options.jobs, context, start_worker, arguments) as pool:
            for results, more_runs, more_same in pool.map(look_at, *zip(*pieces)):
                runs += more_runs
                same += more_same
                for name, found, left in results:
                    looked_at.append(name)
                    findings += [(claim, name, left, text) for claim, text in found]
    finally:
        recording.close()
    first_turn = [n for n in looked_at if n.partition(".")[2] in ("", "0")]
    again = len(looked_at) - len(first_turn)
    print("     %s: looked at %d of %d states after a flush or FUA write, at %d of %d stretches between them%s" % (
        recording.fs, sum(n[0] == "f" for n in first_turn), existing["f"], sum(n[0] == "d" for n in first_turn),
        existing["d"], ", and %d times again with other parts and states" % again if again else ""))
    print("     %s: %d had the same files as another; %d runs of programs in %.0f s, %d findings" % (
        recording.fs, same, runs, time.monotonic() - start, len(findings)))
    if options.findings:
        os.makedirs(options.findings, exist_ok=True)
        for claim in CLAIMS:
            with open(os.path.join(options.findings, claim), "w", encoding="utf-8") as f:
                for c, name, left, text in findings:
                    if c == claim:
                        f.write("%s (%s): %s\n" % (name, left, text.replace("\n", " | ")))
    return 0


if __name__ == "__main__":
    die_with_parent()
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, OSError, logwrites.LogError) as problem:
        sys.stderr.write("check: %s\n" % problem)
        sys.exit(2)
