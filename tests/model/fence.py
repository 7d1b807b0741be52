# SPDX-License-Identifier: Apache-2.0
"""Fences (docs/CONCURRENCY.md), as a model of which every state is looked at.

  fence.py [-v]                  all scopes, and mutants that must do harm; -v: how, step by step
  fence.py --list                names of scopes and rules

What is modelled
----------------
One volume of a site, in a store of commits and of a config whose revisions say what is fenced. The
site may be fenced, given back, and fenced again. A step of a process is one operation on the store,
and any process may stand still for ever between two of them, or go on when all others have ended.

  writer     opens the repository, and learns the epoch; takes a view of the volume; looks at the
             config again; puts its commit, with the epoch; looks again, and says "done" or "fenced"
  fencer     announces the fence; lists the commits; puts the list; gives back; and so on. Of two that
             do the same each goes on from what stands
  network    applies puts of commits again, late: when the object was lost
  region     the store becomes its copy in the other region, which lacks some commits; before the site
             is fenced

What must hold in every state, for who reads now:
  - whoever said "done" has a point that counts, unless the store has lost it;
  - what counted when a list was put counts from then on, unless the store has lost it;
  - a point of a view of before the site was fenced, whose commit came behind the list, never counts,
    also when the site was given back since. (One that is in the list, is lost, and is put again is no
    other one.)

What is left out: volumes of other sites, of which nobody asks; keys and signatures; what a collection
does with points that do not count, which is what it does with those of a revoked signer.
"""
import argparse
import sys
from typing import NamedTuple

from explore import Explorer

RULES = {
    'announce_first': "the fencer lists the commits before it announces",
    'lists_count': "all points count, also those that no list has",
    'list_once': "a list may be put in the place of another one",
    'look_behind': "the writer does not look at the config behind its commit",
    'epoch_first': "the writer takes the epoch when it commits, and not before its view",
    'lift_by_epoch': "a fence that was lifted counts for nobody any more",
}
STATES_MAX = 3_000_000


class Fence(NamedTuple):
    announced: bool = False
    counts: int = -1            # sessions in its list; -1: there is none yet
    lifted: bool = False


class Store(NamedTuple):
    fences: tuple
    commits: tuple              # of each session the epoch that it names, or None
    era: int = 0                # how often the site was given back
    # What nobody sees, for what must hold:
    was: tuple = ()             # of each session epoch and era of the commit that was put, or None
    lost: int = 0               # those whose commit the store has lost
    done: int = 0               # those that said "done"
    decided: int = 0            # those that counted when a list was put
    stale: int = 0              # those whose commit came too late for their view
    losses: int = 0


class Writer(NamedTuple):
    session: int
    at: str = 'open'
    epoch: int = -1
    era: int = -1


class Fencer(NamedTuple):
    at: str = 'announce'
    n: int = 0                  # which fence
    counts: int = 0


class Scope(NamedTuple):
    name: str
    about: str
    writers: int = 1
    fencers: int = 1
    fences: int = 1
    losses: int = 0
    late: int = 0
    mutants: tuple = ()
    occurs: tuple = ()


SCOPES = [
    Scope('failover', 'two writers, a fencer', writers=2,
          mutants=('announce_first', 'lists_count', 'look_behind'),
          occurs=('says done', 'says fenced: its point counts', 'says fenced: its point does not count',
                  'is refused at its beginning', 'is refused before its commit')),
    Scope('failback', 'two writers, the site is fenced, given back, and fenced again', writers=2, fences=2,
          mutants=('lists_count', 'epoch_first', 'lift_by_epoch')),
    Scope('two fencers', 'two that fence and give back at once', writers=2, fencers=2, fences=2,
          mutants=('list_once',)),
    Scope('another region', 'the store loses commits, and puts are applied again', writers=2, fences=2, losses=2,
          late=1, mutants=('lists_count', 'lift_by_epoch'), occurs=('loses commit', 'applies commit/0 again')),
]


class World:
    def __init__(self, scope, without=()):
        self.scope = scope
        self.rules = {rule: rule not in without for rule in RULES}
        nothing = (None,) * scope.writers
        self.store = Store((Fence(),) * scope.fences, nothing, was=nothing)
        self.groups = [[Writer(n)] for n in range(scope.writers)] + [[Fencer()] * scope.fencers]
        self.names = [f"writer {n}" for n in range(scope.writers)] + [f"fencer {n}" for n in range(scope.fencers)]
        if scope.losses:
            self.groups.append(['region'])
            self.names.append('region')
        if scope.late:
            self.groups.append([('network', scope.late)])
            self.names.append('network')

    # ---- what the config says ----

    @staticmethod
    def epoch_of(store):
        return sum(f.announced + f.lifted for f in store.fences)

    def heeds(self, fence, n, epoch):
        """Whether fence number n is one for who names this epoch: it began with 2 n + 1, and ended with 2 n + 2."""
        if not fence.announced:
            return False
        if fence.lifted and not self.rules['lift_by_epoch']:
            return False
        return not (fence.lifted and epoch >= 2 * n + 2)

    def counts(self, store, session):
        epoch = store.commits[session]
        if epoch is None:
            return False
        if not self.rules['lists_count']:
            return True
        return all(fence.counts < 0 or fence.counts >> session & 1
                   for n, fence in enumerate(store.fences) if self.heeds(fence, n, epoch))

    # ---- steps ----

    def settle(self, me, store):
        return me

    def steps(self, me, store):
        if isinstance(me, Writer):
            return getattr(self, 'writer_' + me.at)(me, store)
        if isinstance(me, Fencer):
            return getattr(self, 'fencer_' + me.at)(me, store)
        return self.region(me, store) if me == 'region' else self.network(me, store)

    def writer_end(self, me, store):
        return ()

    def writer_open(self, me, store):
        if any(f.announced and not f.lifted for f in store.fences):
            yield "is refused at its beginning", me._replace(at='end'), store
        else:
            yield f"opens, epoch {self.epoch_of(store)}", me._replace(at='view', epoch=self.epoch_of(store)), store

    def writer_view(self, me, store):
        yield f"takes a view, era {store.era}", me._replace(at='look', era=store.era), store

    def writer_look(self, me, store):
        if not self.rules['epoch_first']:
            me = me._replace(epoch=self.epoch_of(store))
        if any(self.heeds(f, n, me.epoch) for n, f in enumerate(store.fences)):
            yield "is refused before its commit", me._replace(at='end'), store
        else:
            yield "looks: it may commit", me._replace(at='commit'), store

    @staticmethod
    def instead(values, n, value):
        return values[:n] + (value,) + values[n + 1:]

    def put(self, store, session, epoch, era):
        fence = store.fences[era] if era < len(store.fences) else Fence()
        # What counted when the list was put, was lost, and is put again is the same point.
        late = fence.counts >= 0 and not store.decided >> session & 1
        return store._replace(commits=self.instead(store.commits, session, epoch),
                              was=self.instead(store.was, session, (epoch, era)),
                              stale=store.stale | late << session)

    def writer_commit(self, me, store):
        after = me._replace(at='behind' if self.rules['look_behind'] else 'say')
        if store.commits[me.session] is not None:
            yield "commit is its own", after, store     # the answer of the first put was lost
            return
        changed = self.put(store, me.session, me.epoch, me.era)
        yield f"put commit/{me.session}, epoch {me.epoch}", after, changed
        yield f"put commit/{me.session}, epoch {me.epoch} (the answer is lost)", me, changed

    def writer_say(self, me, store):
        yield "says done", me._replace(at='end'), store._replace(done=store.done | 1 << me.session)

    def writer_behind(self, me, store):
        for n, fence in enumerate(store.fences):
            if self.heeds(fence, n, me.epoch) and not (fence.counts >= 0 and fence.counts >> me.session & 1):
                counts = 'counts' if self.counts(store, me.session) else 'does not count'
                yield f"says fenced: its point {counts}", me._replace(at='end'), store
                return
        yield from self.writer_say(me, store)

    def fencer_end(self, me, store):
        return ()

    def set_fence(self, store, n, **change):
        fences = list(store.fences)
        fences[n] = fences[n]._replace(**change)
        return store._replace(fences=tuple(fences))

    def listed(self, store):
        return sum(1 << s for s, epoch in enumerate(store.commits) if epoch is not None)

    def fencer_announce(self, me, store):
        """Goes on from what stands; a revision that is taken by another one is read."""
        fence = store.fences[me.n]
        then = me._replace(at='list')
        if not self.rules['announce_first']:
            then = me._replace(at='settle')
            if me.at == 'announce' and not me.counts and not fence.announced:
                me = me._replace(counts=self.listed(store) | 1 << self.scope.writers)
                yield f"lists commits {self.listed(store):b}", me, store
                return
            then = then._replace(counts=me.counts)
        if fence.announced:
            yield f"fence {me.n} is announced", then, store
        else:
            yield f"announces fence {me.n}", then, self.set_fence(store, me.n, announced=True)

    def fencer_list(self, me, store):
        yield f"lists commits {self.listed(store):b}", me._replace(at='settle', counts=self.listed(store)), store

    def fencer_settle(self, me, store):
        then = Fencer('lift', me.n)
        fence = store.fences[me.n]
        if fence.counts >= 0 and self.rules['list_once']:
            yield f"fence {me.n} has a list", then, store
            return
        if fence.lifted:
            return
        counts = me.counts & ~(1 << self.scope.writers)
        changed = self.set_fence(store, me.n, counts=counts)
        if fence.counts < 0:
            decided = sum(1 << s for s in range(self.scope.writers) if self.counts(changed, s))
            changed = changed._replace(decided=changed.decided | decided)
        yield f"puts the list of fence {me.n}: {counts:b}", then, changed

    def fencer_lift(self, me, store):
        if me.n + 1 == self.scope.fences:
            return
        then = Fencer('announce', me.n + 1)
        if store.fences[me.n].lifted:
            yield f"fence {me.n} is lifted", then, store
        else:
            yield f"lifts fence {me.n}", then, self.set_fence(store, me.n, lifted=True)._replace(era=store.era + 1)

    def region(self, me, store):
        if store.losses == self.scope.losses or any(f.announced and not f.lifted for f in store.fences):
            return
        for session, epoch in enumerate(store.commits):
            if epoch is not None:
                yield (f"loses commit/{session}", me, store._replace(
                    commits=self.instead(store.commits, session, None),
                    lost=store.lost | 1 << session, losses=store.losses + 1))

    def network(self, me, store):
        for session in range(self.scope.writers):
            if me[1] and store.lost >> session & 1 and store.commits[session] is None:
                yield (f"applies commit/{session} again", ('network', me[1] - 1),
                       self.put(store, session, *store.was[session]))

    # ---- what must hold ----

    def broken(self, store):
        for session, epoch in enumerate(store.commits):
            if store.lost >> session & 1 and epoch is None:
                continue
            counts = self.counts(store, session)
            if store.done >> session & 1 and not store.lost >> session & 1 and not counts:
                return f"writer {session} said done, and its point does not count"
            if store.decided >> session & 1 and not store.lost >> session & 1 and not counts:
                return f"the point of writer {session} counted, and does not any more"
            if store.stale >> session & 1 and counts:
                return f"the point of writer {session} is of before the fence, came behind it, and counts"
        return None


def search(scope, without, verbose):
    explorer = Explorer(World(scope, without))
    result = explorer.run(STATES_MAX)
    wanted = 'VIOLATION' if without else 'SAFE'
    verdict = 'VIOLATION' if result.wrong else 'SAFE' if result.complete else 'TOO LARGE'
    missing = [] if without or verdict != 'SAFE' else \
        [text for text in scope.occurs if not any(text in x for x in explorer.texts())]
    good = verdict == wanted and not missing
    name = f"{scope.name}: {scope.about}" if not without else f"  without {', '.join(without)}"
    print(f"{'ok  ' if good else 'FAIL'} {name}\n     {verdict:9} {result.states:9,} states {result.edges:10,} steps "
          f"{result.seconds:6.1f} s{'  ' + result.wrong if result.wrong else ''}", flush=True)
    for text in missing:
        print(f"     this never happens: {text}")
    if result.trace and (verbose or not good):
        for n, line in enumerate(result.trace, 1):
            print(f"       {n:3} {line}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--list', action='store_true', help='names of scopes and rules')
    parser.add_argument('-v', '--verbose', action='store_true', help='show how harm is done, step by step')
    chosen = parser.parse_args()
    if chosen.list:
        for scope in SCOPES:
            print(f"{scope.name:16} {scope.about}")
        for rule, text in RULES.items():
            print(f"{rule:16} without it: {text}")
        return 0
    results = []
    for scope in SCOPES:
        results.append(search(scope, (), chosen.verbose))
        results += [search(scope, (rule,), chosen.verbose) for rule in scope.mutants]
    unused = set(RULES) - {rule for scope in SCOPES for rule in scope.mutants}
    if unused:
        print(f"FAIL no mutant is without {', '.join(sorted(unused))}")
    failed = results.count(False) + bool(unused)
    print(f"{results.count(True)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
