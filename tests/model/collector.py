# SPDX-License-Identifier: Apache-2.0
"""A process that collects: one generation after the other, from whatever stands of it.

  start                                     lists ctl/gc/, goes on behind what stands
  tombs commits index packs                 the mark: lists, in this order
  repack_sess _pack _segment _commit        a copy of the live chunks of a pack
  condemn
  sess sess_commits sessions                lists sess/ and commit/, puts the unresolved ones
  wait                                      for each of them: it is resolved, or is fenced now
  tombs commits index packs                 the second mark
  final
  index_sess _gc _commits _list _segment _commit _delete      the session of the new index
  delete_packs delete_commits delete_markers
  left done
  end

Each put is create-only, and whoever finds the key taken starts again. So does a collector that finds
itself fenced.
"""
from typing import NamedTuple

from store import ABORT, CHUNKS, MAINTENANCE, Segment, Tables, bits


class Collector(NamedTuple):
    at: str
    n: int = 0                  # the generation
    second: bool = False        # the second mark; while it lists sessions: condemn stands
    dead: int = 0               # packs that are as good as deleted
    expired: int = 0            # sessions that tombstones name
    needs: int = 0              # places that live points name: bit 2 * pack, and the next for chunk b
    settled: int = 0            # sessions
    resolved: int = 0           # sessions
    going: int = 0              # sessions of expired points
    named: int = 0              # packs that settled segments name; or that the new segment will
    condemn: int = 0            # packs for condemn, then for final
    session: int = -1           # its maintenance session
    copy: int = 0               # the pack that the repack makes
    todo: int = 0               # what is still to be done: sessions, segments or packs
    own: tuple = ()             # its own final (only where it does not go by the one that stands)


START, END = Collector('start'), Collector('end')


class Collectors(Tables):
    def make_collectors(self):
        scope, rules = self.scope, self.rules
        self.repack_sessions, self.repack_packs, self.index_sessions = [], {}, []
        for n in range(scope.repacks):
            session = self.new_session(f"R{n + 1}", 1)
            self.repack_sessions.append(session)
            packs = self.new_packs(f"r{n + 1}", 3)
            self.repack_packs[session] = {chunk: packs[chunk] for chunk in CHUNKS}
        for n in range(scope.collectors * scope.generations):
            self.index_sessions.append(self.new_session(f"I{n + 1}", 1))
        if scope.collectors:
            self.groups.append([START] * scope.collectors)
            self.names += [f"collector {'XYZ'[n]}" for n in range(scope.collectors)]
        # Is it sure that a final which stands is the one that is gone by?
        self.one_final = rules.final_stays and rules.final_stands and rules.second_mark and rules.index_rewritten

    def steps_of_collector(self, me, store):
        return getattr(self, 'collector_' + me.at)(me, store)

    @staticmethod
    def first_unused(sessions, store):
        for session in sessions:
            if not store.opened >> session & 1:
                return session
        return -1

    # ---- where to go on ----

    def collector_end(self, me, store):
        return ()

    def collector_start(self, me, store):
        n = self.done_count(store)
        if n == len(store.generations):
            yield "lists ctl/gc: the scope ends here", END, store
            return
        generation, dead = store.generations[n], 0
        if self.rules.finals_gone:
            dead = self.finals(store)
        elif self.rules.left_gone and n:
            dead = store.generations[n - 1].left
        text = f"lists ctl/gc: generation {n} "
        if generation.condemn < 0:
            yield text + "begins", Collector('tombs', n, dead=dead), store
        elif generation.left >= 0:
            yield text + "has left", Collector('done', n), store
        elif generation.final >= 0:
            yield text + "has final", Collector('index_sess', n), store
        elif generation.sessions >= 0:
            yield text + "has sessions", self.waiting(n, dead, store, generation.sessions), store
        else:
            yield text + "has condemn", Collector('sess', n, second=True, dead=dead), store

    # ---- the mark ----

    def collector_tombs(self, me, store):
        expired = self.tombs_listed(store, me.n)
        yield f"lists tomb: {self.say_sessions(expired)}", me._replace(at='commits', expired=expired), store

    def collector_commits(self, me, store):
        needs = going = 0
        for session, commit in enumerate(store.commits):
            if commit is None or not commit.there or commit.kind != 'point':
                continue
            if me.expired >> session & 1:
                going |= 1 << session
                continue
            for which, pack in enumerate(commit.places):
                if pack >= 0:
                    needs |= 1 << 2 * pack + which
        settled = self.settled(store)
        text = f"lists commit: settled are {self.say_sessions(settled)}, expired {self.say_sessions(going)}"
        if me.second and not self.rules.settled_only:
            settled |= store.sess & ~self.standing(store, 'abort')
        yield (text, Collector('index', me.n, me.second, me.dead, needs=needs, settled=settled,
                               going=going if me.second else 0), store)

    def collector_index(self, me, store):
        named = self.named_by(store, me.settled)
        yield f"lists idx: {self.say_packs(named)}", me._replace(at='packs', settled=0, named=named), store

    def collector_packs(self, me, store):
        there = store.packs & ~me.dead
        condemn = store.generations[me.n].condemn if me.second else 0
        settled = me.named & there
        needed, live, missing = 0, {}, False
        for need in bits(me.needs):
            pack, chunk = need // 2, CHUNKS[need % 2]
            copies = settled & self.holding[chunk]
            elsewhere = copies & ~condemn
            if me.second and elsewhere:
                needed |= 1 << self.smallest(elsewhere)
            elif there >> pack & 1:
                needed |= 1 << pack
                live[pack] = live.get(pack, 0) | chunk
            elif copies:
                needed |= 1 << self.smallest(copies)
            else:
                missing = True
        text = f"lists pack: {self.say_packs(store.packs)}, needed are {self.say_packs(needed)}"
        if missing and self.rules.missing_stops:
            yield text + ", a chunk is not found: stops", START, store
            return
        if me.second:
            yield text, Collector('final', me.n, condemn=condemn & ~needed, going=me.going), store
            return
        garbage = there & ~needed
        then = Collector('condemn' if self.rules.condemn_first else 'sess', me.n, dead=me.dead, condemn=garbage)
        if self.scope.condemn_any:
            for some in range(garbage + 1):
                if some & garbage == some:
                    yield f"{text}, will condemn {self.say_packs(some)}", then._replace(condemn=some), store
        else:
            yield text, then, store
        if self.first_unused(self.repack_sessions, store) >= 0:
            for pack, chunks in live.items():
                if chunks in CHUNKS and self.chunks_of_pack[pack] & ~chunks:
                    yield (f"{text}, repacks {self.pack_names[pack]}",
                           then._replace(at='repack_sess', condemn=garbage | 1 << pack, copy=chunks), store)

    # ---- repack: me.copy is the chunk, then the pack ----

    def collector_repack_sess(self, me, store):
        session = me.session
        if session < 0:
            session = self.first_unused(self.repack_sessions, store)
            if session < 0:
                return
            me = me._replace(session=session, copy=self.repack_packs[session][me.copy])
        yield from self.put('sess', f"put sess/{self.session_names[session]}", me, me._replace(at='repack_pack'), store,
                            store._replace(sess=store.sess | 1 << session, opened=store.opened | 1 << session))

    def collector_repack_pack(self, me, store):
        # The chunks were read when they were marked: the old pack need not be there any more.
        yield from self.put('pack', f"put pack {self.pack_names[me.copy]}", me, me._replace(at='repack_segment'), store,
                            store._replace(packs=store.packs | 1 << me.copy))

    def collector_repack_segment(self, me, store):
        after = me._replace(at='repack_commit' if self.rules.repack_first else 'condemn', copy=0)
        yield from self.put_segment(me, after, store, 1 << me.copy)

    def put_segment(self, me, after, store, packs):
        n = self.segments_of_session[me.session][0]
        name = f"idx/{self.segment_names[n]}"
        if store.segments[n] is not None and store.segments[n].there:
            yield f"{name} is there already", after, store
        else:
            yield from self.put('idx', f"put {name} {self.say_packs(packs)}", me, after, store,
                                self.set_segment(store, n, Segment(packs)))

    def collector_repack_commit(self, me, store):
        if self.rules.repack_first:
            after = Collector('condemn' if self.rules.condemn_first else 'sess', me.n, dead=me.dead, condemn=me.condemn)
        else:
            after = Collector('sess', me.n, second=True, dead=me.dead)
        yield from self.put_maintenance(me, after, store, True)

    def put_maintenance(self, me, after, store, exclusive):
        name, stands = f"commit/{self.session_names[me.session]}", store.commits[me.session]
        if stands == MAINTENANCE:
            yield f"{name} is its own", after, store
        elif self.stands(stands) and exclusive:
            yield f"{name} is taken: fenced", START, store
        else:
            yield from self.put('commit', f"put {name}", me, after, store,
                                self.set_commit(store, me.session, MAINTENANCE))

    # ---- condemn, sessions ----

    def collector_condemn(self, me, store):
        if store.generations[me.n].condemn >= 0:
            yield f"gc/{me.n}/condemn is taken", START, store
            return
        if me.session >= 0:
            after = Collector('repack_commit', me.n, dead=me.dead, session=me.session)
        elif self.rules.condemn_first:
            after = Collector('sess', me.n, second=True, dead=me.dead)
        else:
            after = Collector('sessions', me.n, dead=me.dead, todo=me.todo)
        yield (f"put gc/{me.n}/condemn {self.say_packs(me.condemn)}", after,
               self.set_generation(store, me.n, condemn=me.condemn))

    def collector_sess(self, me, store):
        yield (f"lists sess: {self.say_sessions(store.sess)}",
               me._replace(at='sess_commits', todo=store.sess), store)

    def collector_sess_commits(self, me, store):
        todo = me.todo & ~self.standing(store, 'point', 'maintenance', 'abort')
        yield (f"lists commit: unresolved are {self.say_sessions(todo)}",
               me._replace(at='sessions' if me.second else 'condemn', second=False, todo=todo), store)

    def collector_sessions(self, me, store):
        if store.generations[me.n].sessions >= 0:
            yield f"gc/{me.n}/sessions is taken", START, store
        else:
            yield (f"put gc/{me.n}/sessions {self.say_sessions(me.todo)}",
                   self.waiting(me.n, me.dead, store, me.todo), self.set_generation(store, me.n, sessions=me.todo))

    def waiting(self, n, dead, store, sessions):
        if sessions and self.rules.sessions_resolved:
            return Collector('wait', n, dead=dead, todo=sessions)
        if self.rules.second_mark:
            return Collector('tombs', n, second=True, dead=dead)
        return Collector('final', n, condemn=store.generations[n].condemn)

    def collector_wait(self, me, store):
        fences = []
        for session in bits(me.todo):
            name = self.session_names[session]
            after = self.waiting(me.n, me.dead, store, me.todo & ~(1 << session))
            if self.stands(store.commits[session]):
                yield f"{name} is resolved", after, store
                return
            fences.append((f"fences {name}", after, self.set_commit(store, session, ABORT)))
        yield from fences

    def collector_final(self, me, store):
        generation = store.generations[me.n]
        text = f"put gc/{me.n}/final {self.say_packs(me.condemn)}, points that go: {self.say_sessions(me.going)}"
        after = Collector('index_sess', me.n)
        if generation.done and not self.rules.final_stays:
            yield text, Collector('delete_packs', me.n, todo=me.condemn), store
        elif generation.final >= 0 and not self.rules.final_stands:
            yield (f"gc/{me.n}/final is taken, goes by its own: {self.say_packs(me.condemn)}",
                   after._replace(own=(me.condemn, me.going)), store)
        elif generation.final >= 0:
            yield f"gc/{me.n}/final is taken", START, store
        else:
            # What is behind the collectors is left out of the state, where nobody will use it.
            unused = {'condemn': 0, 'sessions': 0} if self.one_final and self.reduced else {}
            yield text, after, self.set_generation(store, me.n, final=me.condemn, going=me.going, **unused)

    def final_of(self, me, store):
        return me.own or (store.generations[me.n].final, store.generations[me.n].going)

    # ---- the new index ----

    def collector_index_sess(self, me, store):
        if not self.rules.index_rewritten:
            resolved = self.standing(store, 'point', 'maintenance', 'abort')
            yield "leaves the index as it is", self.deleting(me._replace(resolved=resolved), store), store
            return
        session = me.session if me.session >= 0 else self.first_unused(self.index_sessions, store)
        if session < 0:
            return
        me = me._replace(session=session)
        after = me._replace(at='index_gc' if self.rules.index_looks_again else 'index_commits')
        yield from self.put('sess', f"put sess/{self.session_names[session]}", me, after, store,
                            store._replace(sess=store.sess | 1 << session, opened=store.opened | 1 << session))

    def collector_index_gc(self, me, store):
        if store.generations[me.n].done:
            yield f"lists ctl/gc: generation {me.n} is done", START, store
        else:
            yield f"lists ctl/gc: generation {me.n} is not done", me._replace(at='index_commits'), store

    def collector_index_commits(self, me, store):
        settled = self.settled(store)
        yield (f"lists commit: settled are {self.say_sessions(settled)}",
               me._replace(at='index_list', settled=settled, resolved=settled | self.standing(store, 'abort')), store)

    def collector_index_list(self, me, store):
        final, going = self.final_of(me, store)
        if not self.rules.going_merged:
            going = 0
        replaced = merged = 0
        for n, segment in enumerate(store.segments):
            session = self.session_of_segment[n]
            if segment is None or not segment.there or not me.settled >> session & 1:
                continue
            if segment.packs & final or going >> session & 1 or self.scope.merge_all:
                replaced |= 1 << n
                merged |= segment.packs
        merged &= ~final
        yield (f"lists idx: replaces {self.say_segments(replaced)}",
               me._replace(at='index_segment' if merged else 'index_commit', settled=0, todo=replaced, named=merged),
               store)

    def collector_index_segment(self, me, store):
        yield from self.put_segment(me, me._replace(at='index_commit', named=0), store, me.named)

    def collector_index_commit(self, me, store):
        yield from self.put_maintenance(me, me._replace(at='index_delete', session=-1), store,
                                        self.rules.index_exclusive)

    def collector_index_delete(self, me, store):
        for n in bits(me.todo):
            if store.segments[n] is not None and store.segments[n].there:
                after = me._replace(todo=me.todo & ~(1 << n))
                yield f"deletes idx/{self.segment_names[n]}", after, self.delete_segment(store, n)
                if self.locked_segments >> n & 1:
                    yield f"is refused to delete idx/{self.segment_names[n]}", after, store
                return
        yield from self.collector_delete_packs(self.deleting(me, store), store)

    # ---- deletes ----

    # To delete what is not there changes nothing: such steps are passed over.

    def deleting(self, me, store):
        packs = self.final_of(me, store)[0]
        if me.n:
            packs |= store.generations[me.n - 1].left
        return Collector('delete_packs', me.n, todo=packs, resolved=me.resolved, own=me.own)

    def collector_delete_packs(self, me, store):
        packs = me.todo & store.packs
        for n in bits(packs):
            after = me._replace(todo=me.todo & ~(1 << n))
            yield f"deletes pack {self.pack_names[n]}", after, store._replace(packs=store.packs & ~(1 << n))
            if self.locked_packs >> n & 1:
                yield f"is refused to delete pack {self.pack_names[n]}", after, store
        if packs:
            return
        if store.generations[me.n].done and not self.rules.final_stays:
            yield "has deleted by its own final", START, store
            return
        going = self.final_of(me, store)[1]
        if not self.rules.aborts_stay:
            going |= me.resolved & self.standing(store, 'abort')
        yield from self.collector_delete_commits(
            Collector('delete_commits', me.n, resolved=me.resolved, todo=going), store)

    def collector_delete_commits(self, me, store):
        for session in bits(me.todo):
            if self.stands(store.commits[session]):
                yield (f"deletes commit/{self.session_names[session]}", me._replace(todo=me.todo & ~(1 << session)),
                       self.delete_commit(store, session))
                return
        yield from self.collector_delete_markers(Collector('delete_markers', me.n, todo=me.resolved), store)

    def collector_delete_markers(self, me, store):
        for session in bits(me.todo & store.sess):
            yield (f"deletes sess/{self.session_names[session]}", me._replace(todo=me.todo & ~(1 << session)),
                   store._replace(sess=store.sess & ~(1 << session)))
            return
        left = 0
        for generation in store.generations[:me.n + 1]:
            left |= generation.final & store.packs
        yield f"lists pack: left are {self.say_packs(left)}", Collector('left', me.n, todo=left), store

    def collector_left(self, me, store):
        if store.generations[me.n].left >= 0:
            yield f"gc/{me.n}/left is taken", START, store
        else:
            yield (f"put gc/{me.n}/left {self.say_packs(me.todo)}", Collector('done', me.n),
                   self.set_generation(store, me.n, left=me.todo))

    def collector_done(self, me, store):
        yield f"put gc/{me.n}/done", START, self.set_generation(store, me.n, done=True)

    # ---- steps without effect ----

    def settle_collector(self, me, store):
        """The collector that it may be taken for, see there.

        What it would do until it lists ctl/gc/ the next time is only to read, and to put what is taken:
        nothing that anybody sees. It may as well list ctl/gc/ next, which can be as late as it likes.
        """
        if not self.one_final or me.n >= len(store.generations):
            return me
        at, generation = me.at, store.generations[me.n]
        if at in ('tombs', 'commits', 'index', 'packs'):
            if generation.final >= 0 if me.second else (
                    generation.condemn >= 0 and self.first_unused(self.repack_sessions, store) < 0):
                return START
        elif at in ('sess', 'sess_commits', 'sessions'):
            if generation.sessions >= 0 and self.rules.condemn_first:
                return START
        elif at == 'wait':
            if generation.final >= 0 and not any(self.may_be_free(store, session) for session in bits(me.todo)):
                return START
        elif (at == 'condemn' and me.session < 0 and generation.condemn >= 0 or
              at == 'final' and generation.final >= 0 or
              at == 'left' and generation.left >= 0 or
              at == 'done' and generation.done):
            return START
        elif at == 'start':
            return END if store.generations[-1].done else me
        elif self.comes_back:
            return me
        elif at == 'delete_packs':
            return me._replace(todo=me.todo & store.packs, resolved=me.resolved & store.sess)
        elif at == 'delete_markers':
            me = me._replace(todo=me.todo & store.sess)
            return me if me.todo or generation.left < 0 else START
        elif at.startswith('index_') or at == 'delete_commits':
            return me._replace(resolved=me.resolved & store.sess)
        return me

    def may_be_free(self, store, session):
        """Is commit/S free, or can it be, once a point that expired is deleted?"""
        commit = store.commits[session]
        return not self.stands(commit) or commit.kind == 'point' and (self.expirable | store.tombs) >> session & 1
