#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A year of a repository as a catalog, and what reports must say of it.

    report_year.py make  MIGRATIONS FILE VOLUMES DAYS SEED [STRETCH]             writes the catalog
    report_year.py check MIGRATIONS FILE VOLUMES DAYS SEED [STRETCH] -- PROGRAM  and compares all reports

STRETCH, a number, is what the times between points are multiplied by: 10,000 volumes, 400 days and
5.5 make a million points. The facts are made first, as objects (year_facts.py). The catalog's tables are
written from them, and what each report must say is computed from them (year_expected.py).
"""
import json
import os
import subprocess
import sys
from datetime import datetime, timezone

import year_expected as expected
import year_facts as facts
from year_expected import rfc
from year_facts import DAY, START, Thing

ZONES = ("Pacific/Apia", "America/St_Johns", "Europe/Dublin")
USES = {"coverage": {"target"}, "rpo": {"target", "period"}, "gaps": {"target", "period"},
        "success": {"period"}, "restore-tests": {"target"}, "retention": {"period"}, "immutability": set(),
        "keys": {"target"}, "deletions": {"period", "policy"}, "inventory": set(), "exceptions": set(),
        "capacity": {"period"}, "cost": {"period", "prices"}}


def ask(program, path, name, q, uses, zone="UTC0"):
    args = [program, "report", name, "--catalog", path, "--as-of", rfc(q.as_of), "--output", "json"]
    if "period" in uses:
        args += ["--from", rfc(q.frm), "--to", rfc(q.to)]
    if "target" in uses and q.target:
        args += ["--target", "%ds" % q.target]
    if "policy" in uses and q.policy:
        args += ["--policy", q.policy]
    if "prices" in uses:
        args += ["--prices", path + ".prices"]
    for option, value in (("--cluster", q.cluster), ("--namespace", q.ns)):
        args += [option, value] if value else []
    return subprocess.run(args, check=True, capture_output=True, env=dict(os.environ, TZ=zone)).stdout


def compare(name, want, got):
    """Every member of every row; and no row more or less."""
    if len(want) != len(got):
        raise SystemExit("%s: %d rows, expected %d" % (name, len(got), len(want)))
    key = lambda row: json.dumps([row.get(k) for k in sorted(want[0])])
    for a, b in zip(sorted(want, key=key), sorted(got, key=key)):
        if a != b:
            raise SystemExit("%s:\n  expected %r\n  got      %r\n  differ   %s" % (
                name, a, b, sorted(k for k in a.keys() | b.keys() if a.get(k, "-") != b.get(k, "-"))))


def check_others(w, path, program, q):
    def run(*args):
        return subprocess.run([program, *args, "--catalog", path, "--as-of", rfc(q.as_of), "--from", rfc(q.frm),
                               "--to", rfc(q.to), "--output", "json", "--quiet"], capture_output=True, check=False)
    for seed, n in (("audit 2028", 25), ("é", 100)):
        got = [x["session"] for x in json.loads(run("sample", "--seed", seed, "--n", str(n)).stdout)["items"]]
        if got != expected.expect_sample(w, q, seed, n):
            raise SystemExit("sample: %r" % got)
    with open(path + ".rules", "w", encoding="utf-8") as f:
        f.write(expected.RULES)
    answer = run("comply", "--rules", path + ".rules")
    if answer.returncode != 3:
        raise SystemExit("comply: exit status %d, %s" % (answer.returncode, answer.stderr))
    got = json.loads(answer.stdout)["items"]
    keys = ("volume", "rule", "requirement", "state")
    rows = sorted(tuple(x[k] for k in keys) for x in got)
    want = sorted(tuple(x[k] for k in keys) for x in expected.expect_compliance(w, q))
    if rows != want:
        raise SystemExit("comply:\n%r" % sorted(set(rows) ^ set(want)))
    if not {x[3] for x in want} == {"pass", "fail", "excepted"}:
        raise SystemExit("comply: not every verdict is in this year")


def check(w, path, program):
    rows = 0
    end = w.end - 1 * facts.S
    leap = int(datetime(2028, 2, 29, 12, tzinfo=timezone.utc).timestamp()) * facts.S
    queries = [
        Thing(as_of=end, frm=START, to=end, target=86400, cluster=None, ns=None, policy=None),
        Thing(as_of=leap, frm=leap - 40 * DAY, to=leap, target=13 * 3600, cluster=None, ns=None, policy="gfs"),
        Thing(as_of=leap + 27 * DAY, frm=leap, to=leap + 2 * DAY, target=None, cluster="c1", ns=None, policy=None),
        Thing(as_of=end - 100 * DAY, frm=START + 50 * DAY, to=end - 200 * DAY, target=30 * 86400, cluster="c2",
              ns="ns2", policy=None),
    ]
    with open(path + ".prices", "w", encoding="utf-8") as f:
        f.write("currency: EUR\nstorageGibMonth: %s\nreadGib: %s\ncopies: %d\n"
                % (expected.PRICE, expected.READ, expected.COPIES))
    expected.by_volume(w)
    for i, q in enumerate(queries):
        if q.frm >= q.to or q.as_of > end:
            continue
        want = expected.expect(w, q)
        for name, uses in USES.items():
            first = ask(program, path, name, q, uses)
            # Wherever it is asked, and however often: the same bytes.
            zone = ZONES[i % len(ZONES)]
            if ask(program, path, name, q, uses, zone=zone) != first:
                raise SystemExit("%s: other bytes in %s" % (name, zone))
            compare(name, want[name], json.loads(first)["items"])
            rows += len(want[name])
            if i == 0 and not want[name]:
                raise SystemExit("%s: this year has no row of it" % name)
    check_others(w, path, program, queries[0])
    print("%d rows as expected" % rows)


def main():
    args = sys.argv[1:]
    program = args[args.index("--") + 1] if "--" in args else None
    mode, migrations, path, volumes, days, seed, *stretch = args[:args.index("--")] if program else args
    w = facts.make(int(volumes), int(days), int(seed), float(stretch[0]) if stretch else 1.0)
    facts.write(w, migrations, path)
    if mode == "check":
        check(w, path, program)
    else:
        print(sum(len(v.points) for v in w.volumes))


main()
