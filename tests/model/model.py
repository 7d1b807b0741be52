# SPDX-License-Identifier: Apache-2.0
"""Checks the protocol of docs/CONCURRENCY.md by trying everything that can happen, at small scope.

  model.py                       the small scopes, and mutants that must lose data: about a minute
  model.py --full                larger ones too; and of two rules that are taken away, that one is enough
  model.py --large               those that take minutes each, too
  model.py -v                    and the trace of each loss
  model.py SCOPE...              these scopes
  model.py --without RULE,... [SCOPE...]    is anything lost without these rules?
  model.py --unreduced           the same without the reductions: the verdicts must be the same
  model.py --list                names of scopes and rules

What is modelled
----------------
A store of objects, and processes: writers, collectors, whoever expires points, and a network that
applies a put again, late. A step of a process is one operation on one object or one list of one
prefix: put if absent, get, list, delete. Between any two steps any other process may do any number
of its own. A process may stay where it is for ever, which is a crash or a suspension, and go on when
all others are generations further, which is a zombie. A second collector goes on from whatever stands
of a generation, so each can be taken over at each step.

What must hold in every state: a restore point that was committed and that no tombstone names, or a
confirmed hold keeps, is there, and for each place that it names the pack is there and in no final, or
another such pack is, of the same chunk, that a settled segment names. A point that was expired and
collected does not come back as a live one, and none counts as lost that was expired.
The search is breadth-first through all states that can be reached. SAFE is said only when it came to
its end; VIOLATION comes with a shortest trace.

  writer     marker; ctl/gc/, commits, markers, index, each a list of its own; for each chunk any place
             that may be used, or a pack; segments, before the commit too; commit, or fenced
  adopter    a writer that takes over the packs of a fenced session
  heir       a process that continues the session of one that died, of which a last put may be under way
  collector  mark (tombstones, holds, ctl/gc/, commits, packs, index: each a list), packs that are dead,
             repack with a session of its own, condemn, sessions, waiting or fencing, the second mark,
             final, the index with a session of its own, deletes one at a time (packs, markers, commits),
             live, the list of all finals, done, and the next generation
  hold       is put; then its owner looks for tombstones, and is told whether it came in time

A put may be applied without an answer; it is then repeated, finds the key taken and compares. A delete
may be refused, and be granted later. A list of a generation may become unreadable. Which of this is in
which scope: scopes.py. Each two of its features meet in some scope, and that is checked.

What is left out, and why that is right
---------------------------------------
- Contents, keys, signatures, sizes: the protocol looks at names only. Two chunks are enough to have
  packs of which a part is dead, and points that share a part.
- Time. Any session may be fenced at any time, any pack condemned, any point expired: the delays of the
  page can only make less happen.
- A list with the gets of what it names is one step. What it names never changes; what was deleted
  meanwhile is an object that the reader does without, or lists again.
- Beats, probes, the share of bytes: they only make a collection later, or stop it. The guard that a mark
  can need is there: it stops when it does not find a chunk of a live point.
- A list of all finals is left every second generation where it is in the scope, not every 32nd.
- Lost answers of puts under ctl/gc/ and of aborts: who finds his own object there does what any other
  collector would do with it.
- Deletes of what is not there, and the list of markers before they are deleted: they change nothing. The
  chunks of a repack count as read when they were marked: then the old pack was there.
- Processes of one kind are exchangeable, so who is who is not told apart, and the first takes the first
  name. A collector whose next steps can do nothing but read, until it lists ctl/gc/ again, is taken as
  listing it next; that may be as late as it likes, so nothing is lost by it. --unreduced does without.
- Names that a process may use are fixed beforehand, a collector may start a bounded number of repacks,
  there are one to three generations, at most three processes that write, at most two late puts. This is
  the small scope: a fault that needs more is not found.

Not covered: pins and restores that run, damage marks and repair, keys that are revoked, single-writer
mode, lists that are not atomic, a hold that is too late for a point whose marker the store keeps, and whether
anything ever comes to an end. A final that becomes unreadable is covered while nothing expires and nothing is
refused: it is then decided again, with the same outcome. When a point expires in just these hours, what the first one
had released may go by the second, also when a session that is at work relies on it.

How to read a counterexample
----------------------------
Each line is a step: who, and what. W1, U, V are sessions of writers, R1 of a repack, I1 of a new index;
O, P, Q, M, F were there before. Packs are named by their session and chunks: w1b is of W1 and holds b.
`lists` lines say what was concluded from the list. The last line is the step that lost something; look
upwards for the line where somebody believed what was not so any more.
"""
import argparse
import sys
from itertools import combinations

from collector import Collector, Collectors
from explore import Explorer
from scopes import CASES, features
from store import RULES, Rules
from writer import Writer, Writers

STATES_MAX = 6_000_000          # a search that comes here has failed: it must end by itself


class World(Writers, Collectors):
    """All that is in a scope, under some rules."""

    def __init__(self, scope, rules, reduced=True):
        super().__init__(scope, rules)
        self.reduced = reduced
        self.make_past()
        self.make_writers()
        self.make_collectors()
        for name, wanted in (('expiry', scope.expire), ('hold', scope.hold), ('network', scope.late),
                             ('rot', scope.rot)):
            if wanted:
                self.groups.append(['hold_begins' if name == 'hold' else name])
                self.names.append(name)
        self.finish()

    def steps(self, me, store):
        if isinstance(me, Writer):
            return self.steps_of_writer(me, store)
        if isinstance(me, Collector):
            return self.steps_of_collector(me, store)
        return getattr(self, 'steps_of_' + me)(me, store)

    def settle(self, me, store):
        if not isinstance(me, Collector) or not self.reduced:
            return me
        settled = self.settle_collector(me, store)
        return settled if settled == me else self.settle(settled, store)


class Report:
    def __init__(self, verbose, reduced):
        self.verbose, self.reduced = verbose, reduced
        self.passed = self.failed = 0

    def count(self, good, text):
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {text}", flush=True)

    def search(self, scope, without, wanted):
        """Searches a scope. `wanted` is the verdict that it must have; None: any, as nobody knows it."""
        explorer = Explorer(World(scope, Rules(*without), self.reduced))
        result = explorer.run(STATES_MAX)
        if result.wrong:
            verdict, more = 'VIOLATION', f"in {len(result.trace)} steps: {result.wrong}"
        elif result.complete:
            verdict, more = 'SAFE', ''
        else:
            verdict, more = 'TOO LARGE', 'not searched to its end'
        good = wanted == verdict or wanted is None and verdict != 'TOO LARGE'
        if result.complete and not without:
            texts = explorer.texts()
            never = [text for text in scope.occurs if not any(text in x for x in texts)]
            if never:
                good, more = False, f"this never happens: {never[0]}"
        name = f"{scope.name}: {scope.about}" if not without else 'without ' + ', '.join(without)
        if without:
            name = f"  {name}" if wanted else f"{scope.name}, {name}"
        self.count(good, f"{name}\n     {verdict:9} {result.states:9,} states {result.edges:10,} steps "
                         f"{result.seconds:6.1f} s  {more}".rstrip())
        if result.trace and (self.verbose or not good):
            for rule in without:
                print(f"       {rule}: {RULES[rule]}")
            for n, line in enumerate(result.trace, 1):
                print(f"       {n:3} {line}")


def check_features(report):
    found = {name for case in CASES for name in features(case.scope)}
    missing = [pair for pair in combinations(sorted(found), 2)
               if not any(set(pair) <= features(case.scope) for case in CASES if case.size != 'large')]
    report.count(not missing, f"each two of {len(found)} features meet in a scope" +
                 ''.join(f"\n     not {a} and {b}" for a, b in missing))


def check_rules(report):
    missing = set(RULES) - {rule for case in CASES for mutant in case.mutants for rule in mutant}
    report.count(not missing, f"each of {len(RULES)} rules is taken away in a mutant" +
                 ''.join(f"\n     not {rule}" for rule in sorted(missing)))


def options():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('scopes', nargs='*', metavar='SCOPE', help='only these (default: all of the size)')
    parser.add_argument('--full', action='store_true', help='larger scopes too; and of two rules, each is enough')
    parser.add_argument('--large', action='store_true', help='those that take minutes each, too')
    parser.add_argument('--without', metavar='RULE[,RULE...]', help='take rules away, and see')
    parser.add_argument('--unreduced', action='store_true', help='leave out no steps that have no effect')
    parser.add_argument('--list', action='store_true', help='names of scopes and rules')
    parser.add_argument('-v', '--verbose', action='store_true', help='show how data is lost, step by step')
    chosen = parser.parse_args()
    for name in chosen.scopes:
        if name not in {case.scope.name for case in CASES}:
            parser.error(f"there is no scope '{name}': --list has the names")
    chosen.without = tuple(chosen.without.split(',')) if chosen.without else ()
    for rule in chosen.without:
        if rule not in RULES:
            parser.error(f"there is no rule '{rule}': --list has the names")
    return chosen


def main():
    chosen = options()
    if chosen.list:
        for case in CASES:
            print(f"{case.scope.name:26} {case.size:6} {case.scope.about}")
        for rule, text in RULES.items():
            print(f"{rule:26} without it: {text}")
        return 0
    sizes = ['small', 'full', 'large'][:3 if chosen.large else 2 if chosen.full else 1]
    report = Report(chosen.verbose, not chosen.unreduced)
    for case in CASES:
        if case.scope.name not in chosen.scopes if chosen.scopes else case.size not in sizes:
            continue
        if chosen.without:
            report.search(case.scope, chosen.without, None)
            continue
        report.search(case.scope, (), 'SAFE')
        for mutant in case.mutants:
            report.search(case.scope, mutant, 'VIOLATION')
            if 'full' in sizes and len(mutant) > 1:
                for rule in mutant:
                    report.search(case.scope, (rule,), 'SAFE')
    if not chosen.without and not chosen.scopes:
        check_features(report)
        check_rules(report)
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == '__main__':
    sys.exit(main())
