# SPDX-License-Identifier: Apache-2.0
"""A year of a repository, as facts, and the tables of a catalog that are written from them.

Points come late or not at all, clocks jump back; there are expiries (of one and of two signers, of
points that nobody knows), losses, revoked keys, holds, cuts of a second region, checks, drills and
runs, locks, inventories of clusters, anomalies. From December 2027 on, so that 400 days have a leap day and
both changes of daylight saving time.
"""
import bisect
import glob
import itertools
import os
import random
import sqlite3
from datetime import datetime, timezone

S = 10**9
DAY = 86400 * S
HOUR = 3600 * S
START = int(datetime(2027, 12, 1, tzinfo=timezone.utc).timestamp()) * S


class Thing:
    """A fact with its members."""

    def __init__(self, **kw):
        self.__dict__.update(kw)


class Point:
    """There may be a million of them."""

    __slots__ = ("v", "sequence", "started", "frozen", "finished", "received", "size", "new", "stored",
                 "unreadable", "changed", "hooks_run", "hooks_failed", "expired", "gone", "revoked", "geo",
                 "incomplete", "fallback", "wrong", "locks", "expiry", "consistency", "signer", "id", "session")


def day_of(ns, known={}):  # the cache is meant
    """The day of a session's name."""
    day = ns // DAY
    if day not in known:
        known[day] = datetime.fromtimestamp(ns // S, timezone.utc).strftime("%Y-%m-%d")
    return known[day]


def make_points(rnd, w, v, end, stretch):
    at = START + rnd.randrange(DAY)
    every = int(rnd.choice([6, 12, 24, 24, 24, 48]) * HOUR * stretch)
    sequence = 0
    while at < end:
        if rnd.random() < 0.01:
            at += rnd.randrange(1, 12) * DAY  # nothing comes for a while
            continue
        sequence += 1
        took = rnd.randrange(1, 90) * 60 * S
        jump = rnd.randrange(1, 72) * HOUR if rnd.random() < 0.02 else 0  # its clock went back
        p = Point()
        p.v, p.sequence = v, sequence
        p.started, p.frozen, p.finished = at - jump, at - jump + 5 * S, at - jump + took
        p.received = at + took
        p.size = v.size + sequence * rnd.randrange(1, 10**6)
        p.new = p.size if sequence == 1 else rnd.randrange(10**5, 10**8)
        p.stored = p.new // rnd.randrange(1, 4)
        p.unreadable = 3 if rnd.random() < 0.03 else 0
        p.changed = 1 if rnd.random() < 0.025 else 0
        p.hooks_run = rnd.randrange(3)
        p.hooks_failed = 1 if p.hooks_run and rnd.random() < 0.03 else 0
        p.fallback = "no driver could" if rnd.random() < 0.02 else None
        p.wrong = rnd.choice([0, 4096]) if rnd.random() < 0.03 else None
        p.expired = p.gone = p.revoked = p.geo = p.incomplete = p.expiry = None
        p.locks = ()
        p.consistency = rnd.choice(("crash", "application", "fuzzy"))
        p.signer = w.signers[1] if at < w.signers[2].since else rnd.choice(w.signers[1:4])
        p.id = "%032x" % rnd.getrandbits(128)
        p.session = "%s/%s-%s" % (day_of(at), v.tag, p.id)
        v.points.append(p)
        at += every + rnd.randrange(-HOUR // 2, HOUR // 2)


def make_keys(w, end):
    """Signers: the administrator, three agents (the second's key is revoked), one that never signs."""
    half = START + (end - START) // 2
    for k, (name, since, revoked) in enumerate((
            ("admin", START, None), ("agent-a", START, None), ("agent-b", START + 50 * DAY, half),
            ("agent-c", START + 50 * DAY, None), ("agent-new", START, None))):
        w.signers.append(Thing(id="%016x" % (0x1100 + k), name=name, since=since, revoked=revoked))
    for k, (name, seen, gone) in enumerate((
            ("ops", START, None), ("old", START, half), ("deputy", half + 3 * DAY, None))):
        w.recipients.append(Thing(id="%016x" % (0x2200 + k), name=name, seen=seen, gone=gone))
    for revision, (at, signatures) in enumerate((
            (START, 1), (half - DAY, None), (half, 2), (end - 30 * DAY, 1))):
        w.configs.append(Thing(revision=revision + 1, received=at, signatures=signatures))


def make_expiries(rnd, w, end):
    """Once a week: what is older than 30 days, but for the first of a month and the newest. What is
    named with one signature too few, or held, does not end."""
    left = {id(v): [p for p in v.points[:-1] if p.session[8:10] != "01"] for v in w.volumes}
    number = 0
    for at in range(START + 35 * DAY, end, 7 * DAY):
        named, again = [], []
        for v in w.volumes:
            old = left[id(v)]
            n = 0
            while n < len(old) and old[n].received < at - 30 * DAY:
                n += 1
            left[id(v)] = old[n:]
            for p in old[:n]:
                named.append(p)
                fate = rnd.random()
                if fate < 0.03:
                    p.expiry = "proposed" if fate < 0.02 else "held"
                    continue
                late = fate > 0.95  # it took a second signer, a day later
                if late:
                    again.append(p)
                p.expiry, p.expired = "expired", at + 7 * S + (DAY if late else 0)
                p.gone = p.expired + 2 * DAY if rnd.random() < 0.9 else None
        for k, points in enumerate((named, again)):
            unknown = ["2027-11-0%d/%016x-%032x" % (1 + k, 0xFFF, number)] if rnd.random() < 0.2 else []
            if points or unknown:
                number += 1
                w.tombs.append(Thing(number=number, received=at + 7 * S + k * DAY, points=points, unknown=unknown,
                                     policy=rnd.choice(["daily", None, "gfs"]), signer=w.signers[1 + 2 * k]))


def make_losses(rnd, w):
    """Points that go without a statement, and those of a key that is revoked."""
    for v in w.volumes:
        for p in v.points:
            if p.expired is None and rnd.random() < 0.002:
                p.gone = p.received + rnd.randrange(1, 40) * DAY
            at = p.signer.revoked
            if at is not None and p.gone is None and at - 20 * DAY < p.received and (
                    p.received > at or rnd.random() < 0.5):
                p.revoked = p.gone = max(at, p.received) + HOUR
            if rnd.random() < 0.001:
                p.incomplete = p.received + rnd.randrange(1, 20) * DAY


def ended(p):
    """When it could no longer be restored; None: it can be."""
    if p.expired is None:
        return p.gone
    return p.expired if p.gone is None else min(p.expired, p.gone)


def make_geo(rnd, w, end):
    for at in range(START, end, DAY):
        w.cuts.append(Thing(at=at, kind="unknown" if rnd.random() < 0.1 else "compared"))
    w.cuts[-1].kind = "unknown"
    known = [c.at for c in w.cuts if c.kind != "unknown"]
    for v in w.volumes:
        for p in v.points:
            n = bisect.bisect_left(known, p.received)
            if n < len(known) and not (p.gone and p.gone <= known[n]):
                p.geo = known[n]


def make_locks(rnd, w, end):
    """Once a month somebody asks for the locks of points: of all, or of some."""
    for i, at in enumerate(range(START + 12 * DAY, end, 30 * DAY)):
        look = Thing(id=i + 1, at=at, all=i % 4 != 1, points=0, locked=0, over=0, rows=[])
        for v in w.volumes:
            n = bisect.bisect_left(v.points, at - 40 * DAY, key=lambda p: p.received)
            for p in itertools.takewhile(lambda p: p.received <= at, v.points[n:]):
                if ended(p) is not None and ended(p) <= at or not look.all and rnd.random() < 0.8:
                    continue
                look.points += 1
                if p.received + 30 * DAY <= at:
                    look.over += 1
                    continue
                until = p.received + 30 * DAY if rnd.random() < 0.97 else 0
                look.locked += until > 0
                p.locks += ((look.id, until),)
                look.rows.append((p, until, rnd.randrange(2)))
        w.looks.append(look)


def make_drills(rnd, w, end, volumes):
    for k, at in enumerate(range(START + 9 * DAY, end, 14 * DAY)):
        d = Thing(run="%032x" % rnd.getrandbits(128), plan="plan%d" % (k % 3), began=at,
                  ended=at + rnd.randrange(60, 9000) * S, rto_target=rnd.choice([None, 3600]), volumes=[])
        for v in rnd.sample(w.volumes, max(1, volumes // 10)):
            kind = rnd.choice(["ok"] * 6 + ["damaged", "missing", "unread"])
            p = rnd.choice(v.points) if v.points else None
            d.volumes.append(Thing(v=v, p=p, restored=kind != "missing", damaged=kind == "damaged",
                                   verified=kind == "ok", ms=rnd.randrange(100, 10**6),
                                   why=None if kind == "ok" else kind))
        d.damaged = any(x.damaged for x in d.volumes)
        d.passed = all(x.verified for x in d.volumes)
        d.why = None if d.passed or k % 2 else "volumes are not as they were"
        w.drills.append(d)
    for k, at in enumerate(range(START + 20 * DAY, end, 60 * DAY)):
        w.runs.append(Thing(run="%032x" % rnd.getrandbits(128), kind=("failover", "failback")[k % 2], plan="plan0",
                            began=at, ended=at + 3 * DAY if k % 3 else None, counts=k != 1))


def make_inventory(rnd, w, end, days):
    """What agents told of claims: of most volumes, with a policy that changes once; and of what has
    no restore point."""
    middle = START + (end - START) // 2

    def add(**kw):
        w.inventory.append(Thing(**kw))

    for v in w.volumes:
        if rnd.random() < 0.8:
            rpo = rnd.choice([0, 3600, 86400, 7 * 86400])
            common = dict(cluster=v.cluster, ns=v.ns, name=v.name, kind="claim", owner="", state="protected", why="")
            if rnd.random() < 0.3:
                add(policy="", rpo=0, begin=START, until=middle, **common)
                add(policy="gold", rpo=rpo, begin=middle, until=None, **common)
            else:
                add(policy=rnd.choice(["gold", "silver"]), rpo=rpo, begin=START, until=None, **common)
    for i in range(1 + len(w.volumes) // 5):
        state = rnd.choice(["exposed", "excluded", "protected"])
        kind = rnd.choice(["claim", "claim", "emptydir", "hostpath"])
        add(cluster="c%d" % (i % 3), ns="ns%d" % (i % 7), name="other-%d" % i, kind=kind, state=state,
            owner=rnd.choice(["", "Deployment/web"]), policy="gold" if state == "protected" else "",
            rpo=86400 if state == "protected" else 0, why="no policy selects it" if state == "exposed" else "asked for",
            begin=START + rnd.randrange(days) * DAY, until=None if rnd.random() < 0.7 else end - DAY)


def make_anomalies(rnd, w, days):
    kinds = ("gap", "fork", "lost", "bad_signature", "unreadable", "statement")
    for i in range(6 + len(w.volumes) // 50):
        kind = kinds[i % len(kinds)]
        v = None if kind == "statement" else rnd.choice(w.volumes)
        found = START + rnd.randrange(days) * DAY
        w.anomalies.append(Thing(kind=kind, v=v, object="commit/%d" % i, found=found,
                                 resolved=found + rnd.randrange(1, 90) * DAY if rnd.random() < 0.5 else None))


def make(volumes, days, seed, stretch=1.0):
    """The facts. stretch: the time between points times this."""
    rnd = random.Random(seed)
    end = START + days * DAY
    w = Thing(volumes=[], tombs=[], holds=[], fenced=[], cuts=[], checks=[], drills=[], runs=[], signers=[],
              recipients=[], configs=[], inventory=[], anomalies=[], looks=[], end=end)
    make_keys(w, end)
    for i in range(volumes):
        cluster, ns = "c%d" % (i % 3), "ns%d" % (i % 7)
        name = rnd.choice(["data", "=cmd|' /C calc'!A0", "<b>web</b>", "größe", "-x", "db"])
        name = "%s-%d" % (name, i)
        v = Thing(cluster=cluster, ns=ns, name=name, tag="%016x" % (0xABC0000 + i), points=[],
                  uid="uid-%d" % i if i % 2 else None, size=rnd.randrange(10**6, 10**10), block=rnd.random() < 0.3)
        v.volume = "%s/%s/%s" % (cluster, ns, name)
        make_points(rnd, w, v, end if rnd.random() > 0.05 else START + rnd.randrange(days) * DAY, stretch)
        w.volumes.append(v)
        for _ in range(rnd.choice([0] * 5 + [2])):
            at = START + rnd.randrange(days) * DAY
            w.fenced.append(Thing(v=v, received=at, session="f/%s-%d" % (v.tag, rnd.getrandbits(60))))
    make_expiries(rnd, w, end)
    make_losses(rnd, w)
    make_geo(rnd, w, end)
    make_locks(rnd, w, end)
    for at in range(START + 5 * DAY, end, 30 * DAY):
        w.checks.append(Thing(run="%032x" % (len(w.checks) + 1), started=at, finished=at + 5 * HOUR,
                              level=rnd.choice([2, 3, 3, 4]), all=rnd.random() < 0.7,
                              problems=rnd.choice([0, 0, 0, 2]), hurt=rnd.randrange(3)))
    make_drills(rnd, w, end, volumes)
    make_inventory(rnd, w, end, days)
    make_anomalies(rnd, w, days)
    for v in rnd.sample(w.volumes, max(1, volumes // 20)):
        w.holds.append(Thing(v=v, received=START + rnd.randrange(days) * DAY,
                             released=rnd.random() < 0.5))
    return w


# ---- the catalog ----

def point_row(p):
    v = p.v
    return dict(
        session=p.session, point=p.id, voltag=v.tag, volume_uid=v.uid, kind="block" if v.block else "filesystem",
        domain=v.ns, sequence=p.sequence, started_ns=p.started, frozen_ns=p.frozen,
        finished_ns=p.finished, received_ns=p.received, consistency=p.consistency, driver="csi",
        root_id=2 * p.id, root_pack=p.id, root_offset=0, root_stored=1, root_plain=1,
        root_counter=0, root_key=0, root_compression=0, levels=1, files=p.sequence, directories=1,
        others=0, bytes_logical=p.size, bytes_read=p.size, bytes_new=p.new, bytes_stored=p.stored,
        unreadable=p.unreadable, changed=p.changed, vanished=0, host="node", agent="1.0", epoch=0,
        hash=2 * p.id, signer=p.signer.id, hooks_run=p.hooks_run, hooks_failed=p.hooks_failed,
        expiry=p.expiry, expired_ns=p.expired, gone_at_ns=p.gone, revoked_ns=p.revoked,
        incomplete_ns=p.incomplete, fallback=p.fallback, bytes_wrong=p.wrong,
        geo_kind="compared" if p.geo else None, geo_ns=p.geo)


def rows_of(w):
    """Tables in the order in which they refer to each other, each with its rows."""
    admin = w.signers[0].id
    yield "repository", [dict(one=1, id="ab" * 16, synced_ns=w.end)]
    yield "signers", [dict(signer=s.id, public="cd" * 32, name=s.name, revoked_ns=s.revoked) for s in w.signers]
    yield "recipients", [dict(recipient=r.id, public="cd" * 32, name=r.name, seen_ns=r.seen, gone_ns=r.gone)
                         for r in w.recipients]
    yield "configs", [dict(revision=c.revision, received_ns=c.received, signatures=c.signatures) for c in w.configs]
    yield "clusters", [dict(cluster=c) for c in sorted({v.cluster for v in w.volumes})]
    yield "volumes", [dict(voltag=v.tag, cluster=v.cluster, namespace=v.ns, name=v.name) for v in w.volumes]
    # In the order in which a sync finds them: by day, then by volume.
    points = sorted((p for v in w.volumes for p in v.points), key=lambda p: p.session)
    yield "points", (point_row(p) for p in points)
    yield "tombstones", [dict(number=t.number, at_ns=t.received, received_ns=t.received, policy=t.policy, user="u",
                              host="h", signer=t.signer.id, points=len(t.points)) for t in w.tombs]
    yield "tombstone_points", (dict(number=t.number, session=s, why="no rule keeps it") for t in w.tombs
                               for s in [p.session for p in t.points] + t.unknown)
    yield "holds", [dict(number=i + 1, voltag=h.v.tag, volume=h.v.volume, reason="case", ordered_by="law",
                         at_ns=h.received, received_ns=h.received, user="u", host="h", signer=admin,
                         released=i + 1000000 if h.released else None) for i, h in enumerate(w.holds)]
    yield "fenced", [dict(session=f.session, voltag=f.v.tag, received_ns=f.received) for f in w.fenced]
    yield "cuts", [dict(observed_ns=c.at, kind=c.kind, cut_ns=None if c.kind == "unknown" else c.at,
                        behind=0, status="no answer" if c.kind == "unknown" else None) for c in w.cuts]
    yield "checks", [dict(level=c.level, all_packs=int(c.all), started_ns=c.started, finished_ns=c.finished,
                          points=1, objects=1, bytes=1, packs_verified=1, bytes_verified=1, run=c.run,
                          problems=c.problems, hurt_points=c.hurt, hurt_entries=0) for c in w.checks]
    yield "drills", [dict(run=d.run, plan=d.plan, version="1", from_cluster="c0", to_cluster="c1",
                          began_ns=d.began, ended_ns=d.ended, rto_ms=(d.ended - d.began) // 10**6,
                          rto_target_s=d.rto_target, bytes=1, left_out=0, check_wanted=0, passed=int(d.passed),
                          damaged=int(d.damaged), why=d.why, user="u", host="h", signer=admin) for d in w.drills]
    yield "drill_volumes", (dict(run=d.run, n=n, volume=x.v.volume, claim="d/x", point=x.p and x.p.id,
                                 frozen_ns=x.p and x.p.frozen, bytes=1, files=1, fetched_bytes=1, gaps=0,
                                 ms=x.ms, restored=int(x.restored), verified=int(x.verified),
                                 damaged=int(x.damaged), why=x.why) for d in w.drills for n, x in enumerate(d.volumes))
    yield "run_steps", (dict(run=r.run, n=n, kind=r.kind, plan=r.plan, step=step, at_ns=at, received_ns=at,
                             user="u", host="h", signer=admin, by_admin=int(r.counts)) for r in w.runs
                        for n, step, at in ((1, "begin", r.began), (2, "end", r.ended)) if at is not None)
    yield "inventory", (dict(cluster=x.cluster, kind=x.kind, namespace=x.ns, name=x.name, owner=x.owner, state=x.state,
                             policy=x.policy, rpo_s=x.rpo, why=x.why, from_ns=x.begin, until_ns=x.until, bytes=0,
                             count=1, reason="", driver="", **{"class": ""}) for x in w.inventory)
    yield "lock_looks", [dict(id=k.id, observed_ns=k.at, all_points=int(k.all), lock_s=30 * 86400, points=k.points,
                              locked=k.locked, over=k.over, extended=0, missing=0, unreadable=0) for k in w.looks]
    yield "locks", (dict(session=p.session, look=k.id, until_ns=until, at_least=least) for k in w.looks
                    for p, until, least in k.rows)
    yield "anomalies", [dict(kind=a.kind, object=a.object, other="", voltag=a.v and a.v.tag, detail="as found",
                             found_ns=a.found, resolved_ns=a.resolved) for a in w.anomalies]


def write(w, migrations, path):
    if os.path.exists(path):
        os.unlink(path)
    db = sqlite3.connect(path, isolation_level=None)
    # Nothing is lost but time when this is interrupted.
    db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000;")
    files = sorted(glob.glob(os.path.join(migrations, "*.sql")))
    for f in files:
        db.executescript(open(f, encoding="utf-8").read())
    version = int(os.path.basename(files[-1]).split(".")[0])
    db.execute("PRAGMA application_id = %d" % 0x414B5344)
    db.execute("PRAGMA user_version = %d" % version)
    # Indexes are made when the rows are there, which sorts once and jumps nowhere.
    later = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, _ in later:
        db.execute("DROP INDEX %s" % name)
    db.execute("BEGIN")
    for table, rows in rows_of(w):
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            db.executemany("INSERT INTO %s (%s) VALUES (%s)" % (table, ", ".join(first), ", ".join("?" * len(first))),
                           (tuple(r.values()) for r in itertools.chain([first], rows)))
    for _, sql in later:
        db.execute(sql)
    db.execute("COMMIT")
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.close()
