# SPDX-License-Identifier: Apache-2.0
"""What make-corpora, peers and run share: where the corpora are and how their two states are
swapped, the contestants of peers.toml, one measured round of a contestant over a corpus, and the
comparison of a restored tree with its source.
"""

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
MIB, GIB = 1 << 20, 1 << 30
BACKUPS = ("first", "unchanged", "changed")
PHASES = ("init", *BACKUPS, "restore", "check")
CORPORA = ("src", "pg", "rand", "rand1g", "logs", "many", "many100k", "img", "edit")


class Problem(Exception):
    """One sentence for the person who called; the program ends with it."""


def cache_dir():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "aksdr")


def corpora_dir(given, scale):
    top = os.path.abspath(
        given or os.environ.get("AKSDR_BENCH_DIR") or os.path.join(cache_dir(), "bench")
    )
    return top if scale == 1 else os.path.join(top, f"scale-{scale:g}")


def programs_dir():
    """Where the product's programs are: BIN, which the Makefile sets, or the usual build folder."""
    return os.environ.get("BIN") or os.path.join(os.path.dirname(HERE), "build", "release")


def peers_dir():
    return os.environ.get("AKSDR_PEERS_DIR") or os.path.join(cache_dir(), "peers")


def pick(only, names, error):
    """The names in only (commas between), in the order of names; error() for one that is none."""
    wanted = only.split(",") if only else list(names)
    for name in wanted:
        if name not in names:
            error(f"'{name}' is none of {', '.join(names)}")
    return [n for n in names if n in wanted]


def remove(top, but=None):
    """Removes a tree, folders that forbid it included, or with `but` all in it except that name."""

    def unlock(function, path, _):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path)
        elif os.path.lexists(path):
            function(path)

    if not os.path.lexists(top):
        return
    for path in [os.path.join(top, n) for n in os.listdir(top) if n != but] if but else [top]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, onerror=unlock)
        else:
            os.unlink(path)


@contextlib.contextmanager
def locked(base):
    """Only one program at a time may make, swap or measure a corpus."""
    with open(os.path.join(base, "lock"), "a", encoding="ascii") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another program that uses {base}", file=sys.stderr, flush=True)
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


class Corpus:
    """A corpus that make-corpora made. Use it under locked()."""

    def __init__(self, base):
        self.base = os.path.abspath(base)
        self.name = os.path.basename(self.base)
        self.live = os.path.join(self.base, "live")
        self.new = os.path.join(self.base, "delta", "new")
        self.away = os.path.join(self.base, "away")
        with open(os.path.join(self.base, "made"), encoding="utf-8") as f:
            self.made = json.load(f)
        self.kind = self.made["kind"]
        self.file = ""

    def open(self):
        """Finishes a swap that was interrupted, and finds the file of a one-file corpus."""
        self.state(1)
        if self.made["files"] == 1:
            self.file = next(os.path.join(d, n) for d, _, ns in os.walk(self.live) for n in ns)
        return self

    def facts(self):
        return dict(
            corpus=self.name,
            kind=self.kind,
            scale=self.made["scale"],
            files=self.made["files"],
            bytes=self.made["bytes"],
            disk_bytes=self.made["disk_bytes"],
            origin=self.made.get("origin", ""),
        )

    def warm(self):
        """Reads all data once: the page cache and not the disk is to be behind every contestant."""
        for top in (self.live, self.new):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(folder, name)
                    if os.path.isfile(path) and not os.path.islink(path):
                        with open(path, "rb", buffering=0) as f:
                            while f.read(MIB):
                                pass

    def state(self, number):
        """Swaps state 2 in, or out again, by rename; folders keep their times. What was moved is
        logged before it is moved, so that a killed bench is put right by the next one."""
        if (number == 2) == os.path.exists(self.away):
            return
        times = {}

        def move(a, b):
            for folder in (os.path.dirname(a), os.path.dirname(b)):
                os.makedirs(folder, exist_ok=True)
                st = os.stat(folder)
                times.setdefault(folder, (st.st_atime_ns, st.st_mtime_ns))
            os.rename(a, b)

        def below(top):
            return sorted(
                os.path.relpath(os.path.join(d, n), top)
                for d, _, names in os.walk(top)
                for n in names
            )

        text = dict(encoding="utf-8", errors="surrogateescape")
        live, old, gone = self.live, os.path.join(self.away, "old"), os.path.join(self.away, "gone")
        log = os.path.join(self.away, "log")
        if number == 2:
            os.makedirs(self.away)
            with open(os.path.join(self.base, "delta", "gone"), **text) as f:
                lost = [line.rstrip("\n") for line in f]
            with open(log, "w", **text) as f:
                f.writelines(name + "\n" for name in below(self.new))
            for name in below(self.new):
                if os.path.lexists(f"{live}/{name}"):
                    move(f"{live}/{name}", f"{old}/{name}")
                move(f"{self.new}/{name}", f"{live}/{name}")
            for name in lost:
                if os.path.lexists(f"{live}/{name}"):
                    move(f"{live}/{name}", f"{gone}/{name}")
        else:
            names = []
            if os.path.exists(log):
                with open(log, **text) as f:
                    names = [line.rstrip("\n") for line in f]
            for name in names:
                if not os.path.lexists(f"{self.new}/{name}"):
                    move(f"{live}/{name}", f"{self.new}/{name}")
                if os.path.lexists(f"{old}/{name}"):
                    move(f"{old}/{name}", f"{live}/{name}")
            for name in below(gone):
                move(f"{gone}/{name}", f"{live}/{name}")
            shutil.rmtree(self.away)
        for folder, ns in times.items():
            if os.path.isdir(folder):
                os.utime(folder, ns=ns)


def size_of(top):
    """Bytes, files and allocated bytes below a folder."""
    total = count = disk = 0
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                st = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            total, count, disk = total + st.st_size, count + 1, disk + st.st_blocks * 512
    return total, count, disk


# ---- contestants ---------------------------------------------------------------------------------


class Contestant:
    """One table of peers.toml with its program found."""

    def __init__(self, name, table, path, ask):
        self.name, self.table, self.path = name, table, path
        self.program, self.version = self._newest() if ask else (None, "?")

    def _newest(self):
        """Of the programs of that name on the path the one that says the highest version."""
        name = self.table.get("program", "sh")
        found, seen = [], set()
        for folder in self.path.split(os.pathsep):
            program = os.path.join(folder, name)
            real = os.path.realpath(program)
            if os.access(program, os.X_OK) and os.path.isfile(program) and real not in seen:
                seen.add(real)
                found.append((self._says(program), program))
        if not found:
            return None, f"no {name} on PATH"

        def number(says):
            m = re.search(r"\d+(\.\d+)+", says)
            return [int(x) for x in m.group().split(".")] if m else []

        says, program = max(found, key=lambda f: number(f[0])) if len(found) > 1 else found[0]
        return program, says

    def _says(self, program):
        command = self.table.get("version", "echo -").replace("{program}", shlex.quote(program))
        r = subprocess.run(
            ["sh", "-c", command],
            env=dict(os.environ, PATH=self.path),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines = r.stdout.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else "?"

    def command(self, key, corpus):
        """The template for this corpus, for corpora of its kind, or for all."""
        for k in (f"{key}-{corpus.name}", f"{key}-{corpus.kind}", key):
            if k in self.table:
                return self.table[k]
        return None

    def takes(self, corpus):
        names = {corpus.name, corpus.kind}
        return not names & set(self.table.get("skip", [])) and (
            "only" not in self.table or bool(names & set(self.table["only"]))
        )


def contestants(config, programs, ask=True):
    """All tables of peers.toml, in its order, those without a program included; without ask no
    program is looked for."""
    path = os.pathsep.join(
        p
        for p in (
            programs,
            os.path.join(peers_dir(), "bin"),
            os.environ.get("PATH", ""),
            "/usr/sbin:/sbin",
        )
        if p
    )
    with open(config, "rb") as f:
        tables = tomllib.load(f)
    return {name: Contestant(name, table, path, ask) for name, table in tables.items()}


# ---- comparison ----------------------------------------------------------------------------------


def _same_bytes(a, b):
    with open(a, "rb", buffering=0) as x, open(b, "rb", buffering=0) as y:
        while True:
            p, q = x.read(MIB), y.read(MIB)
            if p != q:
                return False
            if not p:
                return True


def _xattrs(path):
    try:
        return {
            n: os.getxattr(path, n, follow_symlinks=False)
            for n in os.listxattr(path, follow_symlinks=False)
        }
    except OSError:
        return {}


def _entry_differs(a, b, x, y, times):
    if x.st_mode != y.st_mode:
        return f"mode {x.st_mode:o} became {y.st_mode:o}"
    if (x.st_uid, x.st_gid) != (y.st_uid, y.st_gid):
        return f"owner {x.st_uid}:{x.st_gid} became {y.st_uid}:{y.st_gid}"
    unit = 1 if times == "ns" else 1_000_000_000
    if x.st_mtime_ns // unit != y.st_mtime_ns // unit:
        return f"time {x.st_mtime_ns} became {y.st_mtime_ns}"
    if stat.S_ISREG(x.st_mode):
        if x.st_size != y.st_size or not _same_bytes(a, b):
            return "content"
    elif stat.S_ISLNK(x.st_mode):
        if os.readlink(a) != os.readlink(b):
            return "link target"
    elif not stat.S_ISDIR(x.st_mode) and x.st_rdev != y.st_rdev:
        return "device"
    if _xattrs(a) != _xattrs(b):
        return "extended attributes"
    return ""


def differs(a, b, times="ns", top=True):
    """'' when tree b is tree a: names, kinds, content, modes, owners, times of files and folders
    (to the nanosecond, or to the second with times='s'), link targets, devices, extended
    attributes. Else the first few differences and how many there are. top: the two folders
    themselves too."""
    bad, count = [], 0
    queue = ["."]
    while queue:
        at = queue.pop()
        with os.scandir(os.path.join(a, at)) as x, os.scandir(os.path.join(b, at)) as y:
            mine, theirs = {e.name: e for e in x}, {e.name: e for e in y}
        found = [
            (f"{at}/{n}", "missing" if n in mine else "extra") for n in set(mine) ^ set(theirs)
        ]
        for name in sorted(set(mine) & set(theirs)):
            e, f = mine[name], theirs[name]
            st = e.stat(follow_symlinks=False)
            why = _entry_differs(e.path, f.path, st, f.stat(follow_symlinks=False), times)
            if why:
                found.append((f"{at}/{name}", why))
            if stat.S_ISDIR(st.st_mode) and f.is_dir(follow_symlinks=False):
                queue.append(f"{at}/{name}")
        if at == "." and top:
            why = _entry_differs(a, b, os.lstat(a), os.lstat(b), times)
            if why:
                found.append((".", why))
        count += len(found)
        bad.extend(found[: 3 - len(bad)])
    text = "; ".join(f"{os.path.normpath(p)}: {why}" for p, why in bad)
    return f"{text}; {count} in all" if count > len(bad) else text


# ---- measuring -----------------------------------------------------------------------------------


def measure(command, env, log, seconds):
    """See meter.py. When this is interrupted the command is ended first."""
    meter = [sys.executable, "-I", "-S", os.path.join(HERE, "meter.py"), str(seconds), log, command]
    p = subprocess.Popen(meter, env=env, stdout=subprocess.PIPE)
    try:
        out, _ = p.communicate()
    except BaseException:
        p.terminate()
        p.wait()
        raise
    if p.returncode:
        raise Problem(f"meter.py ended with status {p.returncode}; see {log}")
    return json.loads(out)


@contextlib.contextmanager
def work_dir(corpus, given):
    """A folder for repositories and restored trees, and what it is on. It is on tmpfs, so that no
    disk is timed, when there is room for two repositories and two restored trees beside the corpus
    in the page cache; else beside the corpus. Gone afterwards."""
    need = 2 * corpus.made["bytes"] + 2 * corpus.made["disk_bytes"] + GIB
    top = os.path.abspath(given) if given else corpus.base
    with contextlib.suppress(OSError):
        room = os.statvfs("/dev/shm")
        with open("/proc/meminfo", encoding="ascii") as f:
            free = next(int(x.split()[1]) << 10 for x in f if x.startswith("MemAvailable"))
        if not given and need <= min(room.f_bavail * room.f_frsize, free - GIB):
            top = "/dev/shm"
    for name in os.listdir(top):  # what a bench left that was killed
        m = re.fullmatch(r"aksdr-bench-(\d+)", name)
        if m and not os.path.exists(f"/proc/{m[1]}"):
            remove(os.path.join(top, name))
    top = os.path.join(top, f"aksdr-bench-{os.getpid()}")
    os.makedirs(top, mode=0o700)
    try:
        kind = subprocess.run(["stat", "-f", "-c", "%T", top], stdout=subprocess.PIPE, check=True)
        yield top, kind.stdout.decode().strip()
    finally:
        remove(top)


def fill(text, values, quote=True):
    return re.sub(
        r"\{(\w+)\}",
        lambda m: (
            (shlex.quote(values[m[1]]) if quote else values[m[1]]) if m[1] in values else m[0]
        ),
        text,
    )


class Rounds:
    """Measured rounds over one corpus: contestants by turns, each phase a record for write()."""

    def __init__(self, corpus, work, fs, options, write):
        self.corpus, self.work, self.fs = corpus, work, fs
        self.options, self.write = options, write
        self.dead = set()

    def record(self, contestant, phase, run, **more):
        rec = dict(
            schema="aksdr-bench/1",
            **self.corpus.facts(),
            contestant=contestant,
            phase=phase,
            run=run,
            work=self.fs,
            **more,
        )
        self.write(rec)
        return rec

    def limit(self, program, run, level):
        """The primitives' own cost over state 1, and over what state 2 changes or adds."""
        self.corpus.state(1)
        live, new = self.corpus.live, self.corpus.new
        for phase, folders in (("limit", [live]), ("limit-changed", ["--against", live, new])):
            r = subprocess.run(
                [program, "--level", str(level), "--work", self.work, *folders],
                stdout=subprocess.PIPE,
                check=False,
            )
            if r.returncode:
                raise Problem(f"{program} failed over {self.corpus.name}")
            self.record(
                "limit",
                phase,
                run,
                **{
                    k: v
                    for k, v in json.loads(r.stdout).items()
                    if k not in ("schema", "files", "bytes")
                },
            )

    def contest(self, who, run):
        """All phases of one contestant, once. One that fails is not asked again."""
        if who.name in self.dead:
            return
        box = os.path.join(self.work, who.name)
        log = os.path.join(self.options.logs, f"{who.name}.{self.corpus.name}.log")
        remove(box)
        try:
            if not self._phases(who, run, box, log):
                self.dead.add(who.name)
        finally:
            self.corpus.state(1)
            remove(box)

    def _phases(self, who, run, box, log):
        corpus, table = self.corpus, who.table
        values = dict(
            repo=f"{box}/repo",
            dst=f"{box}/dst",
            cache=f"{box}/cache",
            src=corpus.live,
            file=corpus.file,
            name=os.path.basename(corpus.file),
            program=who.program,
            c="file" if corpus.file else "tree",
            n="0",
        )
        for key in ("repo", "dst", "cache"):
            os.makedirs(values[key])
        env = dict(
            os.environ,
            PATH=who.path,
            LC_ALL="C.UTF-8",
            HOME=values["cache"],
            TMPDIR=values["cache"],
        )
        env.pop("XDG_CACHE_HOME", None)
        env.pop("XDG_CONFIG_HOME", None)
        env.update({k: fill(v, values, quote=False) for k, v in table.get("env", {}).items()})
        count = 0
        for phase in PHASES:
            command = who.command("backup" if phase in BACKUPS else phase, corpus)
            if not command or phase not in table.get("phases", PHASES):
                continue
            if phase in BACKUPS:
                count += 1
                values["n"] = str(count)
                corpus.state(2 if phase == "changed" else 1)
            prep = who.command("prep", corpus)
            if phase == "restore" and prep:
                subprocess.run(
                    ["sh", "-c", fill(prep, values)],
                    env=env,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            if self.fs != "tmpfs":
                subprocess.run(["sync", "-f", self.work], check=False)
            got = measure(fill(command, values), env, log, self.options.limit)
            got["load"] = round(os.getloadavg()[0], 1)
            if phase in BACKUPS:
                got["repo_bytes"], got["repo_files"], _ = size_of(values["repo"])
            if phase == "restore":
                _, _, got["restored_disk_bytes"] = size_of(values["dst"])
            check_now = self.options.verify == "always" or (
                self.options.verify == "first" and run == self.options.start
            )
            if phase == "restore" and got["rc"] == 0 and check_now and table.get("verify", True):
                got["differs"] = differs(
                    corpus.live,
                    fill(table.get("root", "{dst}"), values, False),
                    table.get("times", "ns"),
                    table.get("top", False),
                )
            self.record(who.name, phase, run, version=who.version, **got)
            if phase == "restore":
                remove(values["dst"])
            if got["rc"] != 0:
                print(
                    f"{who.name}: {phase} of {corpus.name} ended with status {got['rc']};"
                    f" see {log}",
                    file=sys.stderr,
                    flush=True,
                )
                if phase != "check":
                    return False
        return True


def writer(path):
    """A function that appends records to a file of JSON lines and says each on the terminal."""
    f = open(path, "a", encoding="utf-8")  # closed by the end of the program

    def write(rec):
        f.write(json.dumps(rec) + "\n")
        f.flush()
        head = f"{time.strftime('%H:%M:%S')} {rec['corpus']:9} "
        head += f"{rec['contestant']:18} {rec['phase']:13}"
        if rec["contestant"] == "limit":
            text = f"{rec['backup_s']:8.2f} s cpu backup {rec['restore_s']:8.2f} s cpu restore"
        else:
            text = (
                f"{rec['wall_s']:8.2f} s wall {rec['user_s'] + rec['sys_s']:8.2f} s cpu"
                f" {rec['rss_mib']:7.0f} MiB"
            )
            if "repo_bytes" in rec:
                text += f"  {rec['repo_bytes'] / MIB:.1f} MiB in {rec['repo_files']} objects"
            if rec["rc"]:
                text += f"  FAILED, status {rec['rc']}"
            if rec.get("differs"):
                text += f"  DIFFERS: {rec['differs']}"
        print(f"{head} {text}", flush=True)

    return write


def add_options(ap):
    ap.add_argument("--corpora", help="their folder; default as in make-corpora")
    ap.add_argument("--scale", type=float, default=1.0, help="which scale of the corpora")
    ap.add_argument("--only", help="corpora, with commas between")
    ap.add_argument("--runs", type=int, default=3, help="rounds")
    ap.add_argument(
        "--start",
        type=int,
        default=0,
        help="number of the first round, for a later call that adds to the same file",
    )
    ap.add_argument(
        "--work",
        help="folder for repositories and restored trees; default: tmpfs when"
        " it has room, else beside the corpora",
    )
    ap.add_argument(
        "--logs",
        default=os.path.join(cache_dir(), "logs"),
        help="folder for what the contestants print",
    )
    ap.add_argument("--limit", type=int, default=3600, help="seconds that a phase may take")
    ap.add_argument(
        "--verify",
        choices=["always", "first", "never"],
        default="first",
        help="compare restored trees with their source",
    )
    ap.add_argument("--config", default=os.path.join(HERE, "peers.toml"))
    ap.add_argument("--programs", default=programs_dir(), help="folder of the product's programs")


def guarded(main):
    """Runs main; one sentence instead of a trace for what a person can put right."""
    try:
        return main()
    except (Problem, BrokenPipeError) as e:
        print(f"{os.path.basename(sys.argv[0])}: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def records(paths):
    out = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            out.extend(json.loads(line) for line in f if line.strip())
    return out
