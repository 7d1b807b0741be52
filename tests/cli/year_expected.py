# SPDX-License-Identifier: Apache-2.0
"""What reports must say of the facts of year_facts.py, every column of every row: computed in plain
loops over them, with nothing of the program's SQL.
"""
import hashlib
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal

from year_facts import DAY, HOUR, S, ended

PRICE, READ, COPIES = 0.02, 0.01, 2


def rfc(ns):
    """As the program writes a time; None stays."""
    if ns is None:
        return None
    t = datetime.fromtimestamp(ns // S, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return "%s.%03dZ" % (t, ns % S // 10**6)


def ms(ns):
    """As SQLite divides."""
    return None if ns is None else (ns // 10**6 if ns >= 0 else -(-ns // 10**6))


def two(number):
    """Two digits behind the point."""
    return str(Decimal(number).quantize(Decimal("0.01"), ROUND_HALF_UP))


def since(now, then):
    return None if then is None else ms(now - then)


def alive(p, at):
    return p.received <= at and (p.expired is None or p.expired > at) and (p.gone is None or p.gone > at)


def newest(points):
    return max(points, key=lambda p: (p.sequence, p.received, p.session), default=None)


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


def by_volume(w):
    """What concerns single volumes, found by them: once for all questions."""
    for v in w.volumes:
        v.drills, v.fenced, v.holds, v.claims, v.anomalies = [], [], [], [], []
    claims = {(x.cluster, x.ns, x.name): [] for x in w.inventory if x.kind == "claim"}
    for x in w.inventory:
        if x.kind == "claim":
            claims[x.cluster, x.ns, x.name].append(x)
    for v in w.volumes:
        v.claims = claims.get((v.cluster, v.ns, v.name), [])
    for d in w.drills:
        for x in d.volumes:
            x.v.drills.append((d, x))
    for things, name in ((w.fenced, "fenced"), (w.holds, "holds"), (w.anomalies, "anomalies")):
        for x in things:
            if x.v:
                getattr(x.v, name).append(x)


def drills_of(v, q):
    got = [(d, x) for d, x in v.drills if d.ended <= q.as_of]
    good = [(d, x) for d, x in got if x.restored and x.verified and not x.damaged]
    last = lambda l: max(l, key=lambda dx: dx[0].began, default=(None, None))
    return last(got), last(good)


def full_check(w, q):
    return max((c.started for c in w.checks if c.level >= 3 and c.all and c.problems == 0
                and c.finished <= q.as_of), default=None)


def signatures(w, q):
    known = [c for c in w.configs if c.received <= q.as_of and c.signatures is not None]
    return max(known, key=lambda c: c.revision).signatures if known else None


def selected(w, q):
    for v in w.volumes:
        if (q.cluster is None or v.cluster == q.cluster) and (q.ns is None or v.ns == q.ns):
            yield v


def listed(items, q):
    return [x for x in items if x.begin <= q.as_of and (x.until is None or x.until > q.as_of)]


class Volume:
    """A volume at the time of a report."""

    def __init__(self, w, v, q):
        self.v, self.q = v, q
        self.seen = [p for p in v.points if p.received <= q.as_of]
        self.up = [p for p in self.seen if alive(p, q.as_of)]
        self.newest = newest(self.up)
        self.geo = newest([p for p in self.up if p.geo is not None and p.geo <= q.as_of])
        full = full_check(w, q)
        # verified is what was received before the check began, and has not ended
        self.verified = newest([p for p in v.points if full is not None and p.received < full
                                and (ended(p) is None or ended(p) > q.as_of)])
        self.tried, self.proved = drills_of(v, q)
        self.signatures = signatures(w, q)
        self.looks = {k.id for k in w.looks if k.at <= q.as_of}
        self.looked = max((k.at for k in w.looks if k.at <= q.as_of and k.all), default=None)

    def locks(self):
        """Until when those present are locked, by the newest look at each."""
        for p in self.up:
            until = max((l for l in p.locks if l[0] in self.looks), default=(0, 0))[1]
            if until > self.q.as_of:
                yield until

    def age(self):
        return self.newest and self.q.as_of - self.newest.frozen

    def coverage(self):
        v, q, n = self.v, self.q, self.newest
        said = listed(v.claims, q)
        claim = said[0] if said else None
        target = q.target or (claim and claim.rpo) or None
        reason = None
        if n is None and not self.seen:
            reason = "there was no point yet"
        elif n is None:
            reason = ("all points are expired or lost" if any(p.expired is not None and p.expired <= q.as_of
                      for p in v.points) else "all points are lost or revoked")
        late = n is not None and target is not None and self.age() > target * S
        if late:
            reason = "the newest point is older than the target"
        return dict(volume=v.volume, cluster=v.cluster, namespace=v.ns, reason=reason, points=len(self.up),
                    state="exposed" if n is None else "late" if late else "protected",
                    newest=rfc(n and n.frozen), age_ms=ms(self.age()), target_ms=target and 1000 * target,
                    policy=(claim and claim.policy) or None, geo_age_ms=since(q.as_of, self.geo and self.geo.frozen),
                    verified=rfc(self.verified and self.verified.frozen),
                    tested=rfc(self.proved[0] and self.proved[0].began), consistency=n and n.consistency,
                    session=n and n.session)

    def rpo(self):
        q, n = self.q, self.newest
        target = q.target and q.target * S
        sp = list(spans(self.v, q))
        worst, at = max(((t - f, t) for f, _, t, _ in sp), key=lambda x: x[0], default=(None, None))
        late = sum(max(0, t - max(a, f + target)) for f, a, t, _ in sp) if target and sp else None
        covered = sum(t - a for _, a, t, _ in sp)
        age = self.age()
        missed = target and n is not None and ((worst is not None and worst > target) or age > target)
        return dict(volume=self.v.volume, newest=rfc(n and n.frozen), age_ms=ms(age), worst_ms=ms(worst),
                    worst_at=rfc(at), late_ms=ms(late),
                    met_percent=None if late is None else two(100.0 * (covered - late) / covered),
                    geo_age_ms=since(q.as_of, self.geo and self.geo.frozen),
                    verified_age_ms=since(q.as_of, self.verified and self.verified.frozen),
                    state="no point" if n is None else "no target" if not target else "missed" if missed else "met",
                    target_ms=q.target and 1000 * q.target, session=n and n.session)

    def gaps(self):
        limit = self.q.target or 86400
        return [dict(volume=self.v.volume, since=rfc(f), until=rfc(t), length_ms=ms(t - f),
                     over_ms=ms(t - f) - 1000 * limit, state="ended" if closed else "open")
                for f, _, t, closed in spans(self.v, self.q) if t - f > limit * S]

    def success(self):
        q = self.q
        made = [p for p in self.seen if q.frm <= p.received < q.to]
        bad = [p for p in made if p.unreadable or p.changed or p.hooks_failed]
        fenced = sum(q.frm <= f.received < q.to and f.received <= q.as_of for f in self.v.fenced)
        took = [p.finished - p.started for p in made]
        return dict(volume=self.v.volume, points=len(made), whole=len(made) - len(bad), partly=len(bad), fenced=fenced,
                    state="none" if not made else "partly" if bad else "fenced" if fenced else "ok",
                    whole_percent=two(100.0 * (len(made) - len(bad)) / (len(made) + fenced))
                    if made or fenced else None,
                    unreadable=sum(p.unreadable for p in made) if made else None,
                    changed=sum(p.changed for p in made) if made else None,
                    hooks_failed=sum(p.hooks_failed for p in made) if made else None,
                    took_ms=sum(took) // len(made) // 10**6 if made else None,
                    longest_ms=ms(max(took, default=None)))

    def tests(self):
        (ld, lx), (gd, _) = self.tried, self.proved
        target = self.q.target and self.q.target * S
        return dict(volume=self.v.volume, last=rfc(ld and ld.began), verified=rfc(gd and gd.began),
                    age_ms=since(self.q.as_of, gd and gd.began), run=ld and ld.run, took_ms=lx and lx.ms,
                    plan=ld and ld.plan, point=lx and lx.p and lx.p.id, frozen=rfc(lx and lx.p and lx.p.frozen),
                    rto_ms=ld and ms(ld.ended - ld.began), why=lx and lx.why, verified_run=gd and gd.run,
                    rto_target_ms=ld and ld.rto_target and 1000 * ld.rto_target,
                    state="never" if not ld else "damaged" if lx.damaged else "failed" if not lx.restored
                    else "not read back" if not lx.verified
                    else "old" if target and self.q.as_of - gd.began > target else "verified")

    def holding(self):
        return sum(h.received <= self.q.as_of and not h.released for h in self.v.holds)

    def retention(self):
        q, up = self.q, self.up
        within = lambda days: sum(p.frozen > q.as_of - days * DAY for p in up)
        over = [p for p in self.seen if ended(p) is not None and q.frm <= ended(p) < q.to and ended(p) <= q.as_of]
        return dict(volume=self.v.volume, points=len(up), oldest=rfc(min((p.frozen for p in up), default=None)),
                    newest=rfc(max((p.frozen for p in up), default=None)), day=within(1), week=within(7),
                    month=within(31), year=within(366), expired=sum(p.expired is not None for p in over),
                    lost=sum(p.expired is None for p in over), holds=self.holding(),
                    bytes_stored=sum(p.stored for p in up) if up else None)

    def immutability(self):
        at = self.q.as_of
        lost = sum(ended(p) is not None and ended(p) <= at and p.expired is None for p in self.seen)
        open_now = [a for a in self.v.anomalies if a.found <= at and (a.resolved is None or a.resolved > at)]
        missing = sum(a.kind in ("gap", "lost") for a in open_now)
        changed = sum(a.kind in ("fork", "bad_signature", "unreadable") for a in open_now)
        locks = list(self.locks())
        return dict(volume=self.v.volume, points=len(self.seen), present=len(self.up), lost=lost,
                    locked=len(locks), locked_until=rfc(max(locks, default=None)), looked=rfc(self.looked),
                    state="missing" if lost or missing else "changed" if changed else "whole",
                    expired=sum(p.expired is not None and p.expired <= at for p in self.seen),
                    revoked=sum(p.revoked is not None and p.revoked <= at for p in self.seen),
                    missing=missing, changed=changed, holds=self.holding(), signatures=self.signatures)

    def inventory(self):
        v, n = self.v, self.newest
        return dict(volume=v.volume, cluster=v.cluster, namespace=v.ns, name=v.name, points=len(self.seen),
                    first=rfc(min((p.frozen for p in self.seen), default=None)), newest=rfc(n and n.frozen),
                    bytes_logical=n and n.size, files=n and n.sequence, domain=n and v.ns, driver=n and "csi",
                    consistency=n and n.consistency, host=n and "node", agent=n and "1.0", volume_uid=n and v.uid,
                    kind=n and ("block" if v.block else "filesystem"), state="present" if n else "gone")

    def exceptions(self):
        """Of its points."""
        n = self.newest
        for p in self.up:
            if p.incomplete is not None and p.incomplete <= self.q.as_of:
                yield ("incomplete", "bad", p, p.incomplete, "something that the point names is not in the store")
        if n is None:
            return
        for is_so, kind, state, detail in (
                (n.unreadable, "unreadable entries", "bad", "%d entries could not be read" % n.unreadable),
                (n.changed, "torn entries", "warn", "%d entries kept changing while they were read" % n.changed),
                (n.consistency == "fuzzy", "fuzzy", "warn", "files may be torn: the volume was not frozen"),
                (n.fallback, "fallback", "warn", n.fallback),
                (n.hooks_failed, "hooks failed", "bad", "%d of %d commands failed" % (n.hooks_failed, n.hooks_run)),
                (n.wrong, "wrong changes", "bad", "%s bytes had changed that the driver said had not" % n.wrong)):
            if is_so:
                yield kind, state, n, n.frozen, detail


def expect_unprotected(w, q):
    """What the inventory of a cluster has, and the catalog no volume of."""
    known = {(v.cluster, v.ns, v.name) for v in w.volumes}
    for x in listed(w.inventory, q):
        if (x.kind == "claim" and (x.cluster, x.ns, x.name) in known) or q.cluster not in (None, x.cluster) or \
                q.ns not in (None, x.ns):
            continue
        what = "" if x.kind == "claim" else " (%s%s)" % (x.kind, " of " + x.owner if x.owner else "")
        target = q.target or x.rpo or None
        yield dict(volume="%s/%s/%s%s" % (x.cluster, x.ns, x.name, what), cluster=x.cluster, namespace=x.ns,
                   state="excluded" if x.state == "excluded" else "exposed",
                   reason="a policy covers it, and there was no point yet" if x.state == "protected" else x.why,
                   points=0, newest=None, age_ms=None, target_ms=target and 1000 * target, policy=x.policy or None,
                   geo_age_ms=None, verified=None, tested=None, consistency=None, session=None)


def expect_exceptions(w, q, volumes):
    def row(kind, state, volume, what, at, detail):
        return dict(kind=kind, state=state, volume=volume, object=what, since=rfc(at), detail=detail)

    chosen = {id(x.v) for x in volumes}
    everything = q.cluster is None and q.ns is None
    for a in w.anomalies:
        mine = a.v is not None and id(a.v) in chosen
        if a.found <= q.as_of and (a.resolved is None or a.resolved > q.as_of) and (mine or everything):
            yield row(a.kind, "bad", a.v.volume if mine else "", a.object, a.found, "as found")
    for x in volumes:
        for kind, state, p, at, detail in x.exceptions():
            yield row(kind, state, x.v.volume, p.session, at, detail)
    for c in w.checks:
        if c.problems and c.finished <= q.as_of and not any(
                k.started > c.started and k.finished <= q.as_of and k.level >= c.level and k.all and not k.problems
                for k in w.checks):
            detail = "%d problems, %d restore points hurt" % (c.problems, c.hurt)
            yield row("check", "bad", "", c.run, c.started, detail)
    for d in w.drills:
        if not d.passed and d.ended <= q.as_of and not any(
                k.plan == d.plan and k.began > d.began and k.passed and k.ended <= q.as_of for k in w.drills):
            yield row("drill", "bad", "", d.run, d.began, "%s: %s" % (d.plan, d.why or ""))
    for r in w.runs:
        if r.counts and r.began <= q.as_of and (r.ended is None or r.ended > q.as_of):
            yield row("run not ended", "warn", "", r.run, r.began, "%s of %s" % (r.kind, r.plan))
    whole = [k for k in w.looks if k.at <= q.as_of and k.all]
    if whole and whole[-1].points > whole[-1].locked + whole[-1].over:
        k = whole[-1]
        yield row("not locked", "warn", "", "look %d" % k.id, k.at, "%d points, or parts of them, can be deleted "
                  "before their time" % (k.points - k.locked - k.over))
    looks = [(i, c) for i, c in enumerate(w.cuts) if c.at <= q.as_of]
    if looks and looks[-1][1].kind == "unknown":
        i, c = looks[-1]
        yield row("second region", "warn", "", "cut %d" % (i + 1), c.at, "nothing is known of it: no answer")


def expect_keys(w, q):
    first, last, count = {}, {}, {}
    for v in w.volumes:
        for p in v.points:
            if p.received <= q.as_of:
                k = p.signer.id
                first[k] = min(first.get(k, p.received), p.received)
                last[k] = max(last.get(k, p.received), p.received)
                count[k] = count.get(k, 0) + 1
    old = lambda at: bool(q.target) and at is not None and q.as_of - at > q.target * S
    for s in w.signers:
        revoked = s.revoked is not None and s.revoked <= q.as_of
        admin = s.name == "admin"
        yield dict(role="admin" if admin else "signer", name=s.name, key=s.id, points=count.get(s.id, 0),
                   state="revoked" if revoked else "in use" if admin else "unused" if s.id not in count
                   else "old" if old(first[s.id]) else "in use", first=rfc(first.get(s.id)),
                   last=rfc(last.get(s.id)), age_ms=since(q.as_of, first.get(s.id)),
                   ended=rfc(s.revoked) if revoked else None)
    for r in w.recipients:
        if r.seen <= q.as_of:
            gone = r.gone is not None and r.gone <= q.as_of
            yield dict(role="recipient", name=r.name, key=r.id, points=None, first=rfc(r.seen), last=None,
                       age_ms=ms(q.as_of - r.seen), ended=rfc(r.gone) if gone else None,
                       state="removed" if gone else "old" if old(r.seen) else "in use")


def expect_spaces(q, volumes):
    """Capacity and cost."""
    spaces = {}
    for x in volumes:
        s = spaces.setdefault((x.v.cluster, x.v.ns), dict(
            cluster=x.v.cluster, namespace=x.v.ns, volumes=0, points=0, bytes_logical=0, bytes_points=0, bytes_new=0,
            bytes_stored=0, bytes_added=0))
        s["volumes"] += 1
        s["points"] += len(x.up)
        s["bytes_logical"] += x.newest.size if x.newest else 0
        for p in x.up:
            s["bytes_points"] += p.size
            s["bytes_new"] += p.new
            s["bytes_stored"] += p.stored
            s["bytes_added"] += p.stored if q.frm <= p.received < q.to else 0
    capacity, cost = list(spaces.values()), []
    for s in capacity:
        stored = s["bytes_stored"]
        s["ratio"] = two(float(s["bytes_points"]) / stored) if stored else None
        s["compression"] = two(float(s["bytes_new"]) / stored) if stored else None
        s["bytes_added_day"] = int(s["bytes_added"] / max(1.0, (q.to - q.frm) / DAY))
        if s["points"]:
            row = {k: s[k] for k in ("cluster", "namespace", "points", "bytes_stored", "bytes_added")}
            month = stored / 2**30 * PRICE * COPIES
            cost.append(dict(row, month=two(month), year=two(month * 12), restore=two(stored / 2**30 * READ),
                             currency="EUR"))
    return capacity, cost


def expect_deletions(w, q, volumes):
    chosen = {id(x.v) for x in volumes}
    said = {}
    for t in w.tombs:
        if t.received <= q.as_of:
            for s in [p.session for p in t.points] + t.unknown:
                said.setdefault(s, set()).add(t.signer.id)
    for t in w.tombs:
        if not q.frm <= t.received < q.to or t.received > q.as_of or (q.policy and t.policy != q.policy):
            continue
        common = dict(received=rfc(t.received), policy=t.policy, why="no rule keeps it", user="u", host="h",
                      signer=t.signer.name, tombstone=t.number)
        for p in t.points:
            if id(p.v) not in chosen:
                continue
            gone = p.gone is not None and p.gone <= q.as_of
            later = p.expired is not None and p.expired > q.as_of
            yield dict(common, volume=p.v.volume, point=p.id, session=p.session, signers=len(said[p.session]),
                       state="expired later" if later else p.expiry if not gone
                       else "deleted" if p.expired is not None else "revoked" if p.revoked is not None else "lost",
                       frozen=rfc(p.frozen), gone=rfc(p.gone))
        if q.cluster is None and q.ns is None:
            for s in t.unknown:
                yield dict(common, volume="", point=None, session=s, signers=len(said[s]), state="unknown point",
                           frozen=None, gone=None)


def expect(w, q):
    """Rows of every report."""
    volumes = [Volume(w, v, q) for v in selected(w, q)]
    capacity, cost = expect_spaces(q, volumes)
    return {
        "coverage": [x.coverage() for x in volumes] + list(expect_unprotected(w, q)),
        "rpo": [x.rpo() for x in volumes],
        "gaps": [g for x in volumes for g in x.gaps()],
        "success": [x.success() for x in volumes],
        "restore-tests": [x.tests() for x in volumes],
        "retention": [x.retention() for x in volumes],
        "immutability": [x.immutability() for x in volumes],
        "keys": list(expect_keys(w, q)),
        "deletions": list(expect_deletions(w, q, volumes)),
        "inventory": [x.inventory() for x in volumes],
        "exceptions": list(expect_exceptions(w, q, volumes)),
        "capacity": capacity,
        "cost": cost,
    }


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
    full = full_check(w, q)
    for v in selected(w, q):
        x = Volume(w, v, q)
        n, up = x.newest, x.up
        c = newest([p for p in up if full is not None and p.received < full])
        gd = x.proved[0]
        worst = max([t - f for f, _, t, _ in spans(v, q)], default=0)
        want = {
            ("all", "rpo"): n and max(worst, x.age()) <= 3 * DAY,
            ("all", "geoRpo"): n and x.geo and q.as_of - x.geo.frozen <= 30 * HOUR,
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
