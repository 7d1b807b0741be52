#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A year of a repository as a catalog, and what reports must say of it.

    report_year.py make  MIGRATIONS FILE VOLUMES DAYS SEED      writes the catalog
    report_year.py check MIGRATIONS FILE VOLUMES DAYS SEED PROGRAM   and compares all reports

The facts are made first, as objects: points that come late or not at all, clocks that jump back,
expiries, losses, holds, cuts of a second region, checks and drills. The catalog's tables are
written from them, and what each report must say is computed from them here, in plain loops, with
nothing of the program's SQL. The year has a leap day and both changes of daylight saving time.
"""
import bisect
import glob
import hashlib
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone

S = 10**9
DAY = 86400 * S
HOUR = 3600 * S
START = int(datetime(2027, 12, 1, tzinfo=timezone.utc).timestamp()) * S


def rfc(ns):
    """As the program writes a time; None stays."""
    if ns is None:
        return None
    t = datetime.fromtimestamp(ns // S, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return "%s.%03dZ" % (t, ns % S // 10**6)


class Thing:
    """A fact with its members."""

    def __init__(self, **kw):
        self.__dict__.update(kw)


def make_points(rnd, v, end):
    at = START + rnd.randrange(DAY)
    every = rnd.choice([6, 12, 24, 24, 24, 48]) * HOUR
    sequence = 0
    while at < end:
        if rnd.random() < 0.01:
            at += rnd.randrange(1, 12) * DAY  # nothing comes for a while
            continue
        sequence += 1
        took = rnd.randrange(1, 90) * 60 * S
        jump = rnd.randrange(1, 72) * HOUR if rnd.random() < 0.02 else 0  # its clock went back
        size = v.size + sequence * rnd.randrange(1, 10**6)
        p = Thing(v=v, sequence=sequence, started=at - jump, frozen=at - jump + 5 * S,
                  finished=at - jump + took, received=at + took, size=size,
                  new=size if sequence == 1 else rnd.randrange(10**5, 10**8),
                  unreadable=rnd.choice([0] * 30 + [3]), changed=rnd.choice([0] * 40 + [1]),
                  hooks_failed=rnd.choice([0] * 60 + [1]), expired=None, gone=None, geo=None,
                  consistency=rnd.choice(["crash", "application", "fuzzy"]))
        p.stored = p.new // rnd.randrange(1, 4)
        p.id = "%032x" % rnd.getrandbits(128)
        day = datetime.fromtimestamp(at // S, timezone.utc).strftime("%Y-%m-%d")
        p.session = "%s/%s-%s" % (day, v.tag, p.id)
        v.points.append(p)
        at += every + rnd.randrange(-HOUR // 2, HOUR // 2)


def make(volumes, days, seed):
    rnd = random.Random(seed)
    end = START + days * DAY
    w = Thing(volumes=[], tombs=[], holds=[], fenced=[], cuts=[], checks=[], drills=[], end=end)
    for i in range(volumes):
        cluster, ns = "c%d" % (i % 3), "ns%d" % (i % 7)
        name = rnd.choice(["data", "=cmd|' /C calc'!A0", "<b>web</b>", "größe", "-x", "db"])
        name = "%s-%d" % (name, i)
        v = Thing(cluster=cluster, ns=ns, name=name, tag="%016x" % (0xABC0000 + i), points=[],
                  size=rnd.randrange(10**6, 10**10), block=rnd.random() < 0.3)
        v.volume = "%s/%s/%s" % (cluster, ns, name)
        make_points(rnd, v, end if rnd.random() > 0.05 else START + rnd.randrange(days) * DAY)
        w.volumes.append(v)
        for _ in range(rnd.choice([0] * 5 + [2])):
            at = START + rnd.randrange(days) * DAY
            w.fenced.append(Thing(v=v, received=at, session="f/%s-%d" % (v.tag, rnd.getrandbits(60))))
    # Expiry, once a week: what is older than 30 days, but for the first of a month and the newest.
    number = 0
    for at in range(START + 35 * DAY, end, 7 * DAY):
        named = []
        for v in w.volumes:
            old = [p for p in v.points if p.received < at - 30 * DAY and p.expired is None]
            for p in old:
                if p is not v.points[-1] and not p.session[8:10] == "01":
                    p.expired = at + 7 * S
                    p.gone = at + 2 * DAY if rnd.random() < 0.9 else None
                    named.append(p)
        if named:
            number += 1
            w.tombs.append(Thing(number=number, received=at + 7 * S, points=named,
                                 policy=rnd.choice(["daily", None, "gfs"])))
    for v in w.volumes:
        for p in v.points:
            if p.expired is None and p.gone is None and rnd.random() < 0.002:
                p.gone = p.received + rnd.randrange(1, 40) * DAY  # lost
    for at in range(START, end, DAY):
        w.cuts.append(Thing(at=at, kind="unknown" if rnd.random() < 0.1 else "compared"))
    known = [c.at for c in w.cuts if c.kind != "unknown"]
    for v in w.volumes:
        for p in v.points:
            after = known[bisect.bisect_left(known, p.received):][:1]
            if after and not (p.gone and p.gone <= after[0]):
                p.geo = after[0]
    for at in range(START + 5 * DAY, end, 30 * DAY):
        w.checks.append(Thing(started=at, finished=at + 5 * HOUR, level=rnd.choice([2, 3, 3, 4]),
                              all=rnd.random() < 0.7, problems=rnd.choice([0, 0, 0, 2])))
    for k, at in enumerate(range(START + 9 * DAY, end, 14 * DAY)):
        d = Thing(run="%032x" % rnd.getrandbits(128), plan="plan%d" % (k % 3), began=at,
                  ended=at + rnd.randrange(60, 9000) * S, volumes=[])
        for v in rnd.sample(w.volumes, max(1, volumes // 10)):
            kind = rnd.choice(["ok"] * 6 + ["damaged", "missing", "unread"])
            p = rnd.choice(v.points) if v.points else None
            d.volumes.append(Thing(v=v, p=p, restored=kind != "missing", damaged=kind == "damaged",
                                   verified=kind == "ok", ms=rnd.randrange(100, 10**6)))
        d.damaged = any(x.damaged for x in d.volumes)
        d.passed = all(x.verified for x in d.volumes)
        w.drills.append(d)
    for v in rnd.sample(w.volumes, max(1, volumes // 20)):
        w.holds.append(Thing(v=v, received=START + rnd.randrange(days) * DAY,
                             released=rnd.random() < 0.5))
    return w


# ---- the catalog ----

def write(w, migrations, path):
    if os.path.exists(path):
        os.unlink(path)
    db = sqlite3.connect(path)
    files = sorted(glob.glob(os.path.join(migrations, "*.sql")))
    for f in files:
        db.executescript(open(f, encoding="utf-8").read())
    version = int(os.path.basename(files[-1]).split(".")[0])
    db.execute("PRAGMA application_id = %d" % 0x414B5344)
    db.execute("PRAGMA user_version = %d" % version)

    def ins(table, rows):
        """Rows may be any number: they are made as they are written."""
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            db.executemany("INSERT INTO %s (%s) VALUES (%s)" % (table, ", ".join(first), ", ".join("?" * len(first))),
                           (tuple(r.values()) for r in itertools.chain([first], rows)))

    signer = "0011223344556677"
    ins("repository", [dict(one=1, id="ab" * 16, synced_ns=w.end)])
    ins("signers", [dict(signer=signer, public="cd" * 32, name="agent")])
    ins("clusters", [dict(cluster=c) for c in sorted({v.cluster for v in w.volumes})])
    ins("volumes", [dict(voltag=v.tag, cluster=v.cluster, namespace=v.ns, name=v.name) for v in w.volumes])
    ins("points", (dict(
        session=p.session, point=p.id, voltag=v.tag, kind="block" if v.block else "filesystem",
        domain=v.ns, sequence=p.sequence, started_ns=p.started, frozen_ns=p.frozen,
        finished_ns=p.finished, received_ns=p.received, consistency=p.consistency, driver="csi",
        root_id="0" * 64, root_pack="0" * 32, root_offset=0, root_stored=1, root_plain=1,
        root_counter=0, root_key=0, root_compression=0, levels=1, files=p.sequence, directories=1,
        others=0, bytes_logical=p.size, bytes_read=p.size, bytes_new=p.new, bytes_stored=p.stored,
        unreadable=p.unreadable, changed=p.changed, vanished=0, host="node", agent="1.0", epoch=0,
        hash="0" * 64, signer=signer, hooks_run=p.hooks_failed, hooks_failed=p.hooks_failed,
        expiry="expired" if p.expired else None, expired_ns=p.expired, gone_at_ns=p.gone,
        geo_kind="compared" if p.geo else None, geo_ns=p.geo)
        for v in w.volumes for p in v.points))
    ins("tombstones", [dict(number=t.number, at_ns=t.received, received_ns=t.received, policy=t.policy,
                            user="u", host="h", signer=signer, points=len(t.points)) for t in w.tombs])
    ins("tombstone_points", [dict(number=t.number, session=p.session, why="no rule keeps it")
                             for t in w.tombs for p in t.points])
    ins("holds", [dict(number=i + 1, voltag=h.v.tag, volume=h.v.volume, reason="case", ordered_by="law",
                       at_ns=h.received, received_ns=h.received, user="u", host="h", signer=signer,
                       released=i + 1000 if h.released else None) for i, h in enumerate(w.holds)])
    ins("fenced", [dict(session=f.session, voltag=f.v.tag, received_ns=f.received) for f in w.fenced])
    ins("cuts", [dict(observed_ns=c.at, kind=c.kind, cut_ns=None if c.kind == "unknown" else c.at,
                      behind=0) for c in w.cuts])
    ins("checks", [dict(level=c.level, all_packs=int(c.all), started_ns=c.started, finished_ns=c.finished,
                        points=1, objects=1, bytes=1, packs_verified=1, bytes_verified=1,
                        problems=c.problems, hurt_points=0, hurt_entries=0, run="%032x" % (i + 1))
                   for i, c in enumerate(w.checks)])
    ins("drills", [dict(run=d.run, plan=d.plan, version="1", from_cluster="c0", to_cluster="c1",
                        began_ns=d.began, ended_ns=d.ended, rto_ms=(d.ended - d.began) // 10**6, bytes=1,
                        left_out=0, check_wanted=0, passed=int(d.passed), damaged=int(d.damaged),
                        user="u", host="h", signer=signer) for d in w.drills])
    ins("drill_volumes", [dict(run=d.run, n=n, volume=x.v.volume, claim="d/x", point=x.p and x.p.id,
                               frozen_ns=x.p and x.p.frozen, bytes=1, files=1, fetched_bytes=1, gaps=0,
                               ms=x.ms, restored=int(x.restored), verified=int(x.verified),
                               damaged=int(x.damaged)) for d in w.drills for n, x in enumerate(d.volumes)])
    db.commit()
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.close()


# ---- what reports must say ----

def ended(p):
    return min([x for x in (p.expired, p.gone) if x is not None], default=None)


def alive(p, at):
    return p.received <= at and (ended(p) is None or ended(p) > at)


def newest(points):
    return max(points, key=lambda p: (p.sequence, p.received, p.session), default=None)


def ms(ns):
    """As SQLite divides."""
    return None if ns is None else (ns // 10**6 if ns >= 0 else -(-ns // 10**6))


def spans(v, q):
    """(oldest freeze time that counts, from, to, closed) in the period."""
    pts = sorted((p for p in v.points if p.received <= q.as_of), key=lambda p: (p.received, p.session))
    best = None
    for i, p in enumerate(pts):
        best = p.frozen if best is None else max(best, p.frozen)
        nxt = pts[i + 1].received if i + 1 < len(pts) else None
        until = q.to if nxt is None else min(nxt, q.to)
        if p.received < q.to and (q.to if nxt is None else nxt) > q.frm:
            yield best, max(p.received, q.frm), until, nxt is not None and nxt <= q.to


def drills_of(w, v, q):
    got = [(d, x) for d in w.drills if d.ended <= q.as_of for x in d.volumes if x.v is v]
    good = [(d, x) for d, x in got if x.restored and x.verified and not x.damaged]
    last = lambda l: max(l, key=lambda dx: dx[0].began, default=(None, None))
    return last(got), last(good)


def full_check(w, q):
    return max((c.started for c in w.checks if c.level >= 3 and c.all and c.problems == 0
                and c.finished <= q.as_of), default=None)


def selected(w, q):
    for v in w.volumes:
        if (q.cluster is None or v.cluster == q.cluster) and (q.ns is None or v.ns == q.ns):
            yield v


def expect_volume(w, v, q):
    full = full_check(w, q)
    e = {"volume": v.volume}
    up = [p for p in v.points if alive(p, q.as_of)]
    n = newest(up)
    g = newest([p for p in up if p.geo is not None and p.geo <= q.as_of])
    # as the report has it: verified is what was received before the check began, and not ended
    c = newest([p for p in v.points if full is not None and p.received < full
                and (ended(p) is None or ended(p) > q.as_of)])
    (ld, lx), (gd, _) = drills_of(w, v, q)
    target = q.target and q.target * S
    age = n and q.as_of - n.frozen
    cov = dict(e, points=len(up), newest=rfc(n and n.frozen), age_ms=ms(age),
               geo_age_ms=ms(g and q.as_of - g.frozen), verified=rfc(c and c.frozen),
               tested=rfc(gd and gd.began),
               state="exposed" if not n else "late" if target and age > target else "protected")
    sp = list(spans(v, q))
    worst = max((t - f for f, _, t, _ in sp), default=None)
    late = sum(max(0, t - max(a, f + target)) for f, a, t, _ in sp) if target and sp else None
    covered = sum(t - a for _, a, t, _ in sp)
    rpo = dict(e, newest=rfc(n and n.frozen), age_ms=ms(age), worst_ms=ms(worst), late_ms=ms(late),
               met_percent=None if late is None else "%.2f" % (100.0 * (covered - late) / covered),
               geo_age_ms=ms(g and q.as_of - g.frozen), verified_age_ms=ms(c and q.as_of - c.frozen),
               state="no point" if not n else "no target" if not target else
               "missed" if (worst is not None and worst > target) or age > target else "met")
    limit = (q.target or 86400) * S
    gaps = [dict(e, since=rfc(f), until=rfc(t), length_ms=ms(t - f), state="ended" if closed else "open")
            for f, _, t, closed in sp if t - f > limit]
    made = [p for p in v.points if p.received <= q.as_of and q.frm <= p.received < q.to]
    bad = [p for p in made if p.unreadable or p.changed or p.hooks_failed]
    fenced = sum(f.v is v and q.frm <= f.received < q.to and f.received <= q.as_of for f in w.fenced)
    success = dict(e, points=len(made), whole=len(made) - len(bad), partly=len(bad), fenced=fenced,
                   state="none" if not made else "partly" if bad else "fenced" if fenced else "ok",
                   whole_percent="%.2f" % (100.0 * (len(made) - len(bad)) / (len(made) + fenced))
                   if made or fenced else None,
                   unreadable=sum(p.unreadable for p in made) if made else None)
    tests = dict(e, last=rfc(ld and ld.began), verified=rfc(gd and gd.began),
                 age_ms=ms(gd and q.as_of - gd.began), run=ld and ld.run, took_ms=lx and lx.ms,
                 state="never" if not ld else "damaged" if lx.damaged else "failed" if not lx.restored
                 else "not read back" if not lx.verified
                 else "old" if target and q.as_of - gd.began > target else "verified")
    within = lambda days: sum(p.frozen > q.as_of - days * DAY for p in up)
    over = [p for p in v.points if p.received <= q.as_of and ended(p) is not None
            and q.frm <= ended(p) < q.to and ended(p) <= q.as_of]
    keep = dict(e, points=len(up), oldest=rfc(min((p.frozen for p in up), default=None)),
                newest=rfc(max((p.frozen for p in up), default=None)), day=within(1), week=within(7),
                month=within(31), year=within(366), expired=sum(p.expired is not None for p in over),
                lost=sum(p.expired is None for p in over),
                holds=sum(h.v is v and h.received <= q.as_of and not h.released for h in w.holds),
                bytes_stored=sum(p.stored for p in up) if up else None)
    seen = [p for p in v.points if p.received <= q.as_of]
    lost = sum(ended(p) is not None and ended(p) <= q.as_of and p.expired is None for p in seen)
    immut = dict(e, points=len(seen), present=len(up), lost=lost, state="missing" if lost else "whole",
                 expired=sum(p.expired is not None and p.expired <= q.as_of for p in seen))
    inventory = dict(e, points=len(seen), first=rfc(min((p.frozen for p in seen), default=None)),
                     newest=rfc(n and n.frozen), bytes_logical=n and n.size,
                     kind=n and ("block" if v.block else "filesystem"), state="present" if n else "gone")
    return {"coverage": [cov], "rpo": [rpo], "gaps": gaps, "success": [success], "restore-tests": [tests],
            "retention": [keep], "immutability": [immut], "inventory": [inventory]}


def expect_spaces(w, q):
    spaces = {}
    for v in selected(w, q):
        s = spaces.setdefault((v.cluster, v.ns), dict(cluster=v.cluster, namespace=v.ns, volumes=0, points=0,
                              bytes_logical=0, bytes_points=0, bytes_stored=0, bytes_added=0))
        up = [p for p in v.points if alive(p, q.as_of)]
        n = newest(up)
        s["volumes"] += 1
        s["points"] += len(up)
        s["bytes_logical"] += n.size if n else 0
        s["bytes_points"] += sum(p.size for p in up)
        s["bytes_stored"] += sum(p.stored for p in up)
        s["bytes_added"] += sum(p.stored for p in up if q.frm <= p.received < q.to)
    return list(spaces.values())


def expect_deletions(w, q):
    chosen = {id(v) for v in selected(w, q)}
    return [dict(received=rfc(t.received), volume=p.v.volume, session=p.session, policy=t.policy, signers=1,
                 state="deleted" if p.gone is not None and p.gone <= q.as_of else "expired")
            for t in w.tombs if q.frm <= t.received < q.to and t.received <= q.as_of
            and (q.policy is None or t.policy == q.policy) for p in t.points if id(p.v) in chosen]


# ---- comparing ----

def ask(program, path, name, q, uses, output="json", zone="UTC0"):
    args = [program, "report", name, "--catalog", path, "--as-of", rfc(q.as_of), "--output", output]
    if "period" in uses:
        args += ["--from", rfc(q.frm), "--to", rfc(q.to)]
    if "target" in uses and q.target:
        args += ["--target", "%ds" % q.target]
    if "policy" in uses and q.policy:
        args += ["--policy", q.policy]
    for option, value in (("--cluster", q.cluster), ("--namespace", q.ns)):
        args += [option, value] if value else []
    return subprocess.run(args, check=True, capture_output=True, env=dict(os.environ, TZ=zone)).stdout


USES = {"coverage": {"target"}, "rpo": {"target", "period"}, "gaps": {"target", "period"},
        "success": {"period"}, "restore-tests": {"target"}, "retention": {"period"}, "immutability": set(),
        "inventory": set(), "capacity": {"period"}, "deletions": {"period", "policy"}}


def key(row):
    return json.dumps([row.get(k) for k in ("volume", "since", "until", "session", "cluster", "namespace")])


def compare(name, want, got):
    """Every member that is expected, in every row; and no row more or less."""
    if len(want) != len(got):
        raise SystemExit("%s: %d rows, expected %d" % (name, len(got), len(want)))
    for a, b in zip(sorted(want, key=lambda r: key({k: r.get(k) for k in r})),
                    sorted(({k: r[k] for k in r if k in want[0]} for r in got), key=key)):
        if a != b:
            raise SystemExit("%s:\n  expected %r\n  got      %r" % (name, a, b))


def expect_sample(w, q, seed, n):
    """As docs/REPORTS.md tells it."""
    rank = lambda text: hashlib.sha256(("%s\n%s" % (seed, text)).encode()).hexdigest()
    lists = [sorted((p.session for p in v.points if q.frm <= p.received < q.to and p.received <= q.as_of), key=rank)
             for v in sorted(selected(w, q), key=lambda v: rank(v.volume))]
    return [l[turn] for turn in range(max(map(len, lists))) for l in lists if turn < len(l)][:n]


RULES = """
apiVersion: aksdr.io/v1alpha1
kind: ComplianceRules
metadata: {name: year}
spec:
  rules:
  - name: all
    require: {rpo: 3d, geoRpo: 30h, verifiedWithin: 60d, testedWithin: 100d, keepPoints: 20, keepFor: 90d}
  - name: first
    select: {clusters: [c0], namespaces: ["ns[0-3]"]}
    require: {keepPoints: 40, consistency: crash}
  exceptions:
  - {volume: "c1/*", requirement: testedWithin, until: "2030-01-01", reason: later, approver: boss}
  - {volume: "c2/*", requirement: "*", until: "2020-01-01", reason: is over, approver: boss}
"""


def expect_compliance(w, q):
    for v in selected(w, q):
        up = [p for p in v.points if alive(p, q.as_of)]
        n = newest(up)
        g = newest([p for p in up if p.geo is not None and p.geo <= q.as_of])
        full = full_check(w, q)
        c = newest([p for p in up if full is not None and p.received < full])
        _, (gd, _) = drills_of(w, v, q)
        worst = max([t - f for f, _, t, _ in spans(v, q)], default=0)
        want = {
            ("all", "rpo"): n and max(worst, q.as_of - n.frozen) // S <= 3 * 86400 and
            max(worst, q.as_of - n.frozen) <= 3 * DAY,
            ("all", "geoRpo"): n and g and q.as_of - g.frozen <= 30 * HOUR,
            ("all", "verifiedWithin"): n and c and q.as_of - full <= 60 * DAY,
            ("all", "testedWithin"): n and gd and q.as_of - gd.began <= 100 * DAY,
            ("all", "keepPoints"): n and len(up) >= 20,
            ("all", "keepFor"): n and min(p.frozen for p in up) <= q.as_of - 90 * DAY,
        }
        if v.cluster == "c0" and v.ns in ("ns0", "ns1", "ns2", "ns3"):
            want["first", "keepPoints"] = n and len(up) >= 40
            want["first", "consistency"] = n and n.consistency != "fuzzy"
        for (rule, what), good in want.items():
            yield dict(volume=v.volume, rule=rule, requirement=what, state="pass" if good else
                       "excepted" if v.cluster == "c1" and what == "testedWithin" else "fail")


def check_others(w, path, program, q):
    def run(*args):
        return subprocess.run([program, *args, "--catalog", path, "--as-of", rfc(q.as_of), "--from", rfc(q.frm),
                               "--to", rfc(q.to), "--output", "json", "--quiet"], capture_output=True, check=False)
    for seed, n in (("audit 2028", 25), ("é", 100)):
        got = [x["session"] for x in json.loads(run("sample", "--seed", seed, "--n", str(n)).stdout)["items"]]
        if got != expect_sample(w, q, seed, n):
            raise SystemExit("sample: %r" % got)
    with open(path + ".rules", "w", encoding="utf-8") as f:
        f.write(RULES)
    answer = run("comply", "--rules", path + ".rules")
    if answer.returncode != 3:
        raise SystemExit("comply: exit status %d, %s" % (answer.returncode, answer.stderr))
    got = json.loads(answer.stdout)["items"]
    keys = ("volume", "rule", "requirement", "state")
    rows = sorted(tuple(x[k] for k in keys) for x in got)
    want = sorted(tuple(x[k] for k in keys) for x in expect_compliance(w, q))
    if rows != want:
        raise SystemExit("comply:\n%r" % sorted(set(rows) ^ set(want)))
    if not {x[3] for x in want} == {"pass", "fail", "excepted"}:
        raise SystemExit("comply: not every verdict is in this year")


def check(w, path, program):
    rows = 0
    end = w.end - 1 * S
    leap = int(datetime(2028, 2, 29, 12, tzinfo=timezone.utc).timestamp()) * S
    queries = [
        Thing(as_of=end, frm=START, to=end, target=86400, cluster=None, ns=None, policy=None),
        Thing(as_of=leap, frm=leap - 40 * DAY, to=leap, target=13 * 3600, cluster=None, ns=None, policy="gfs"),
        Thing(as_of=leap + 27 * DAY, frm=leap, to=leap + 2 * DAY, target=None, cluster="c1", ns=None, policy=None),
        Thing(as_of=end - 100 * DAY, frm=START + 50 * DAY, to=end - 200 * DAY, target=30 * 86400, cluster="c2",
              ns="ns2", policy=None),
    ]
    for q in queries:
        if q.frm >= q.to or q.as_of > end:
            continue
        want = {n: [] for n in USES}
        for v in selected(w, q):
            for n, r in expect_volume(w, v, q).items():
                want[n] += r
        want["capacity"] = expect_spaces(w, q)
        want["deletions"] = expect_deletions(w, q)
        for name, uses in USES.items():
            first = ask(program, path, name, q, uses)
            # Wherever it is asked, and however often: the same bytes.
            for zone in ("Pacific/Apia", "America/St_Johns", "Europe/Dublin"):
                if ask(program, path, name, q, uses, zone=zone) != first:
                    raise SystemExit("%s: other bytes in %s" % (name, zone))
            compare(name, want[name], json.loads(first)["items"])
            rows += len(want[name])
    check_others(w, path, program, queries[0])
    print("%d rows as expected" % rows)


def main():
    mode, migrations, path, volumes, days, seed = sys.argv[1:7]
    w = make(int(volumes), int(days), int(seed))
    write(w, migrations, path)
    if mode == "check":
        check(w, path, sys.argv[7])
    else:
        print(sum(len(v.points) for v in w.volumes))


main()
