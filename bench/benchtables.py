# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of what the benchmarks recorded. Every figure is a median over rounds; every
ratio is taken within a round first, so that a slow spell of the machine is in both of its sides.
"""

import os
import platform
import statistics
import time
import tomllib

from benchlib import BACKUPS, GIB, MIB

MEASURED = (*BACKUPS, "restore", "check")
TITLES = dict(
    first="first backup",
    unchanged="unchanged backup",
    changed="changed backup",
    restore="restore",
    check="check",
)
STEPS = (
    "walk",
    "read",
    "cut",
    "hash",
    "compress",
    "verify",
    "encrypt",
    "write",
    "reread",
    "decrypt",
    "decompress",
    "rewrite",
)
UNITS = dict(wall_s="wall", cpu_s="CPU", rss_mib="peak MiB", stored_mib="stored MiB")


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def show(value, digits=2, plus=False):
    return "–" if value is None else f"{value:{'+' if plus else ''},.{digits}f}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def header(cells):
    return [row(cells), "|---" + "|--:" * (len(cells) - 1) + "|"]


class Results:
    """Records by corpus, contestant, phase and round."""

    def __init__(self, records):
        self.rows, self.corpora, self.contestants, self.versions = {}, {}, [], {}
        for r in records:
            self.rows.setdefault((r["corpus"], r["contestant"], r["phase"]), {})[r["run"]] = r
            self.corpora[r["corpus"]] = r
            if r["contestant"] != "limit":
                if r["contestant"] not in self.contestants:
                    self.contestants.append(r["contestant"])
                self.versions[r["contestant"]] = r.get("version", "?")

    def good(self, corpus, contestant, phase):
        """Round: record, of those that ended well."""
        rounds = self.rows.get((corpus, contestant, phase), {})
        return {i: r for i, r in rounds.items() if r.get("rc", 0) == 0}

    def failed(self, corpus, contestant, phase):
        return any(r.get("rc") for r in self.rows.get((corpus, contestant, phase), {}).values())

    def wrong(self, corpus, contestant):
        return any(r.get("differs") for r in self.good(corpus, contestant, "restore").values())

    def values(self, corpus, contestant, phase, measure):
        """Round: value. Measures beside the recorded ones: cpu_s, stored_mib, objects, and for the
        limit cpu_s of the phase, also with the verifying of what was encoded (verified_s)."""
        if contestant == "limit":
            return self._limit(corpus, phase, measure)
        out = {}
        for i, r in self.good(corpus, contestant, phase).items():
            before = {}
            if phase in BACKUPS[1:]:
                before = self.good(corpus, contestant, BACKUPS[BACKUPS.index(phase) - 1]).get(i)
            if measure == "cpu_s":
                out[i] = r["user_s"] + r["sys_s"]
            elif measure in ("stored_mib", "objects"):
                if before is None or "repo_bytes" not in r:
                    continue
                key, unit = ("repo_bytes", MIB) if measure == "stored_mib" else ("repo_files", 1)
                out[i] = (r[key] - before.get(key, 0)) / unit
            else:
                out[i] = r[measure]
        return out

    def _limit(self, corpus, phase, measure):
        out = {}
        for i, r in self.good(corpus, "limit", "limit").items():
            changed = self.good(corpus, "limit", "limit-changed").get(i)
            if measure == "stored_mib" and phase in ("first", "changed"):
                of = r if phase == "first" else changed
                if of:
                    out[i] = of["kept_bytes"] / MIB
            elif measure in ("cpu_s", "verified_s"):
                key = "backup_s" if measure == "cpu_s" else "backup_verified_s"
                if phase == "first":
                    out[i] = r[key]
                elif phase == "unchanged":
                    out[i] = r["cpu_s"]["walk"]
                elif phase == "changed" and changed:
                    out[i] = r["cpu_s"]["walk"] + changed[key]
                elif phase in ("restore", "check"):
                    out[i] = r[f"{phase}_s"]
        return out

    def value(self, *key):
        return median(self.values(*key).values())

    def ratio(self, corpus, phase, measure, a, b, measure_b=None):
        """Of a to b, round by round."""
        x = self.values(corpus, a, phase, measure)
        y = self.values(corpus, b, phase, measure_b or measure)
        return median([x[i] / y[i] for i in set(x) & set(y) if y[i] > 0])

    def best(self, corpus, phase, measure, among):
        """The contestant with the lowest median."""
        found = [(self.value(corpus, c, phase, measure), c) for c in among]
        found = [f for f in found if f[0] is not None]
        return min(found)[1] if found else None


def machine():
    """One paragraph: on what this was measured."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((x.split(":")[1].strip() for x in f if x.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) / (1 << 20)
    name = "Linux"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release", encoding="utf-8") as f:
            name = dict(x.rstrip().split("=", 1) for x in f if "=" in x)["PRETTY_NAME"].strip('"')
    return (
        f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} CPUs ({model}), {memory:.0f} GiB memory,"
        f" {name}, Linux {platform.release()}."
    )


def subject_table(res, corpus, who, peers):
    """One row a phase for the contestant that the bench is about."""
    some = res.corpora[corpus]
    limits = bool(res.good(corpus, "limit", "limit"))
    head = ["phase", "wall s", "CPU s", "CPU s/GiB", "peak MiB", "stored MiB", "objects"]
    if limits:
        head += ["limit CPU s", "CPU ÷ limit", "… with verify"]
    head += [f"÷ {p}" for p in peers]
    out = header(head)
    for phase in MEASURED:
        if not res.good(corpus, who, phase):
            if res.failed(corpus, who, phase):
                out.append(row([TITLES[phase], "failed"] + ["–"] * (len(head) - 2)))
            continue
        later = phase in BACKUPS[1:]
        cpu = res.value(corpus, who, phase, "cpu_s")
        stored = objects = None
        if phase in BACKUPS:
            stored = res.value(corpus, who, phase, "stored_mib")
            objects = res.value(corpus, who, phase, "objects")
        cells = [
            TITLES[phase],
            show(res.value(corpus, who, phase, "wall_s")),
            show(cpu),
            show(cpu / (some["bytes"] / GIB)),
            show(res.value(corpus, who, phase, "rss_mib"), 0),
            show(stored, 2 if later else 1, later),
            show(objects, 0, later),
        ]
        if limits:
            verified = phase in ("first", "changed")
            cells += [
                show(res.value(corpus, "limit", phase, "cpu_s")),
                show(res.ratio(corpus, phase, "cpu_s", who, "limit")),
                (
                    show(res.ratio(corpus, phase, "cpu_s", who, "limit", "verified_s"))
                    if verified
                    else ""
                ),
            ]
        for p in peers:
            pair = [show(res.ratio(corpus, phase, m, who, p)) for m in ("wall_s", "cpu_s")]
            cells.append("–" if pair == ["–", "–"] else " / ".join(pair))
        out.append(row(cells))
    return out


def contestants_table(res, corpus):
    """One row a contestant."""
    some = res.corpora[corpus]
    out = header(
        [
            "contestant",
            "rounds",
            "first wall / CPU",
            "unchanged",
            "changed",
            "restore",
            "check",
            "peak MiB first / restore",
            "stored MiB",
            "unchanged",
            "changed",
            "objects",
            "CPU s/GiB first",
        ]
    )
    for who in res.contestants:
        cells = [who + (" ≠" if res.wrong(corpus, who) else "")]
        runs = {i for p in MEASURED for i in res.good(corpus, who, p)}
        if not runs and not any(res.failed(corpus, who, p) for p in MEASURED):
            continue
        cells.append(str(len(runs)))
        for phase in MEASURED:
            pair = [show(res.value(corpus, who, phase, m)) for m in ("wall_s", "cpu_s")]
            if pair[0] == "–":
                cells.append("failed" if res.failed(corpus, who, phase) else "–")
            else:
                cells.append(" / ".join(pair))
        cells.append(
            " / ".join(show(res.value(corpus, who, p, "rss_mib"), 0) for p in ("first", "restore"))
        )
        for i, phase in enumerate(BACKUPS):
            cells.append(show(res.value(corpus, who, phase, "stored_mib"), 2 if i else 1, i > 0))
        cells.append(show(res.value(corpus, who, "first", "objects"), 0))
        cpu = res.value(corpus, who, "first", "cpu_s")
        cells.append(show(cpu / (some["bytes"] / GIB) if cpu is not None else None))
        out.append(row(cells))
    return out


def limits_table(res):
    """Where the limit's nanoseconds go."""
    names = [c for c in res.corpora if res.good(c, "limit", "limit")]
    if not names:
        return []
    out = ["### Where the limit goes: CPU nanoseconds per byte of data", ""]
    out += header(["step", *names])
    for step in STEPS:
        cells = []
        for c in names:
            rounds = res.good(c, "limit", "limit").values()
            cells.append(
                show(median([r["cpu_s"][step] * 1e9 / max(1, r["data_bytes"]) for r in rounds]), 3)
            )
        out.append(row([step, *cells]))
    for title, key in (
        ("backup", "backup_s"),
        ("backup with verify", "backup_verified_s"),
        ("restore", "restore_s"),
        ("check", "check_s"),
    ):
        cells = [
            show(
                median(
                    [
                        r[key] * 1e9 / max(1, r["data_bytes"])
                        for r in res.good(c, "limit", "limit").values()
                    ]
                ),
                3,
            )
            for c in names
        ]
        out.append(row([f"**{title}**", *cells]))
    changed = [
        median([r["kept_bytes"] / MIB for r in res.good(c, "limit", "limit-changed").values()])
        for c in names
    ]
    out.append(row(["changed 4 KiB pages, compressed, MiB", *[show(v, 1) for v in changed]]))
    return out + [""]


def facts_of(res, corpus):
    some = res.corpora[corpus]
    text = (
        f"{some['files']:,} file{'s' if some['files'] != 1 else ''}, {some['bytes'] / MIB:,.0f} MiB"
    )
    if some["disk_bytes"] < some["bytes"] * 0.9:
        text += f", {some['disk_bytes'] / MIB:,.0f} MiB of it on disk"
    if some.get("origin"):
        text += f"; {some['origin']}"
    if some["scale"] != 1:
        text += f", scale {some['scale']:g}"
    return f"{text}; work on {some['work']}"


def as_list(value):
    return value if isinstance(value, list) else [value]


def goals_table(res, who, path, yardsticks):
    """Met or missed, and by how much."""
    with open(path, "rb") as f:
        goals = tomllib.load(f)["goal"]
    peers = [c for c in res.contestants if c not in yardsticks and not c.startswith(who)]
    lines = []
    for goal in goals:
        for corpus, some in res.corpora.items():
            if not {corpus, some["kind"]} & set(goal["corpora"]):
                continue
            phases = as_list(goal["phase"])
            if goal.get("worst"):
                values = [(res.value(corpus, who, p, goal["measure"]) or 0, p) for p in phases]
                phases = [max(values)[1]]
            for phase in phases:
                for measure in as_list(goal["measure"]):
                    factor, of = goal["factor"], goal.get("of")
                    if of == "best":
                        of = res.best(corpus, phase, measure, peers)
                        if not of:
                            continue
                    if of:
                        got = res.ratio(corpus, phase, measure, who, of)
                        name = "changed pages, compressed" if measure == "stored_mib" else of
                        text = f"{factor:g} × {name if of == 'limit' else of}"
                    else:
                        got = res.value(corpus, who, phase, measure)
                        factor *= some["scale"] if goal.get("scaled") else 1
                        text = f"{factor:g}"
                    if got is not None:
                        lines.append((corpus, phase, UNITS[measure], text, got, factor))
    if not lines:
        return []
    met = sum(got <= factor for *_, got, factor in lines)
    out = [f"### Goals: {met} of {len(lines)} met", ""]
    out += header(["corpus, phase", "measure", "at most", "measured", "verdict"])
    for corpus, phase, measure, text, got, factor in lines:
        verdict = "met" if got <= factor else f"**missed by {(got / factor - 1) * 100:.0f} %**"
        out.append(row([f"{corpus}, {TITLES[phase]}", measure, text, show(got), verdict]))
    return out + [""]


NOTE = (
    "Medians over rounds; ratios are taken within a round. CPU is user + system seconds of the"
    " command and its children, peak MiB the largest single process, GiB the apparent size of the"
    " corpus. Stored MiB and objects of a later backup are what it added. ≠: the restored tree was"
    " not the source (content, mode, owner, time to the nanosecond, links, extended attributes)."
)


def report(res, who, peers, yardsticks, goals):
    """The whole page for one subject; peers are those it is set against in every table."""
    out = [f"Measured {machine()}", ""]
    out += [f"- {c}: {res.versions[c]}" for c in res.contestants] + [""]
    for corpus in res.corpora:
        if who not in res.contestants:
            break
        against = [p for p in peers if any(res.good(corpus, p, x) for x in MEASURED)]
        wrong = " — **the restored tree differs**" if res.wrong(corpus, who) else ""
        out += [f"### {corpus}: {facts_of(res, corpus)}{wrong}", ""]
        out += subject_table(res, corpus, who, against) + [""]
    out += goals_table(res, who, goals, yardsticks)
    out += limits_table(res)
    if len(res.contestants) > 1:
        out += contestants_report(res)
    return out + [NOTE, ""]


def contestants_report(res):
    out = []
    for corpus in res.corpora:
        out += [f"### {corpus}, all: {facts_of(res, corpus)}", ""]
        out += contestants_table(res, corpus) + [""]
    return out
