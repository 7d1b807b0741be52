# SPDX-License-Identifier: Apache-2.0
"""A process that collects: one generation after the other, from whatever stands of it.

  start                                     lists ctl/gc/, goes on behind what stands
  tombs holds view commits markers packs index  a look: lists, in this order; with the last two it is a mark
  sweep                                     deletes what older finals name
  repack_sess _pack _segment _commit        a copy of the live chunks of a pack
  condemn
  sess sess_commits sessions                lists sess/ and commit/, puts the unresolved ones
  wait                                      for each of them: it is resolved, or is fenced now
  tombs ... index                           the second mark
  final
  index_sess _list _view _commits _heads _segment _commit _delete     the session of the new index
  delete_packs
  ended delete_markers delete_commits       lists commit/; markers of who has ended, points that go
  idle idle_index delete_idle               commits of maintenance sessions without segments
  live finals done
  end

Each put is create-only. Whoever finds the key taken starts again, or goes on with what stands there.
So does a collector that finds itself fenced.
"""
from typing import NamedTuple

from store import ABORT, CHUNKS, MAINTENANCE, PARTS, Segment, Tables, bits

FIRST, SECOND, FINISH = 0, 1, 2     # what a look is for: condemn, final, or what follows final


class Collector(NamedTuple):
    at: str
    n: int = 0                  # the generation
    look: int = FIRST           # while it lists sessions, SECOND: condemn stands
    absent: int = 0             # packs
    dead: int = 0               # of them: those of finals of generations that are done
    doomed: int = 0             # sessions that finals name
    points: int = 0             # sessions
    settled: int = 0            # sessions
    expired: int = 0            # sessions that tombstones name
    held: int = 0               # sessions that holds name
    known: int = 0              # how many tombstones there are
    pending: int = 0            # sessions of tombstones whose commit is there
    needs: int = 0              # places that live points name: bit 2 * pack, and the next for chunk b
    going: int = 0              # sessions of expired points
    live: int = 0               # sessions of points, of those that may expire
    packs: int = 0              # that are listed
    condemn: int = 0            # packs for condemn, then for final
    session: int = -1           # its maintenance session
    copy: int = 0               # the pack that the repack makes
    todo: int = 0               # what is still to be done: sessions, segments or packs
    named: int = 0              # packs that the new segment will name
    void: int = 0               # the same, of void segments, if they are there
    kept: int = 0               # segments that the store refuses to delete
    own: tuple = ()             # packs and sessions of the final it goes by, where that may change


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
        self.one_final = (rules.final_stays and rules.final_stands and rules.second_mark and rules.index_rewritten and
                          not scope.rot)
        # Is nobody else there who changes ctl/gc/?
        self.alone = scope.collectors == 1 and not scope.rot
        self.look_begins = 'tombs' if rules.tombs_first else 'view'
        if scope.hold and not rules.tombs_before_holds:
            self.look_begins = 'holds'

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
            view = self.view(store)
            if view and view.dead & store.packs:
                yield ("lists ctl/gc and pack: the scope ends here, but for packs that are dead",
                       Collector('sweep', n, todo=view.dead & store.packs), store)
            return
        generation = store.generations[n]
        text = f"lists ctl/gc: generation {n} "
        decided = self.decided(generation)
        if generation.condemn < 0:
            yield text + "begins", self.looks(n, FIRST), store
        elif decided:
            yield text + "has final", self.looks(n, FINISH, decided), store
        elif generation.final >= 0 and (not generation.reads('condemn') or generation.sessions < 0):
            return              # nobody can say what was decided: it stops
        elif generation.final >= 0:
            yield text + "has a final that does not open", Collector('undecide', n, condemn=generation.condemn), store
        elif not generation.reads('condemn') or generation.sessions >= 0 and not generation.reads('sessions'):
            yield text + "has a list that does not open", Collector('final', n), store
        elif generation.sessions >= 0:
            yield text + "has sessions", self.waiting(n, store, generation.sessions, generation.condemn), store
        else:
            yield text + "has condemn", Collector('sess', n, SECOND, condemn=generation.condemn), store

    def collector_undecide(self, me, store):
        generation = store.generations[me.n]
        changed = self.set_generation(store, me.n, final=-1, going=0, rotten=generation.rotten & ~PARTS['final'])
        text = f"deletes gc/{me.n}/final"
        if generation.done or not generation.reads('sessions'):
            yield text + ", and what it came from does not open or is gone: stops", START, changed
        else:
            yield text, self.waiting(me.n, store, generation.sessions, me.condemn), changed

    # ---- a look, and the mark ----

    def looks(self, n, look, own=(), condemn=0):
        own = own if own and not self.one_final else ()
        at = self.look_begins if self.mortal else 'view'
        if look == FINISH and not self.mortal:
            at = 'index_sess'   # it looks for points that may expire, of which there are none
        return Collector(at, n, look, own=own, condemn=condemn if self.scope.rot else 0)

    def collector_tombs(self, me, store):
        expired = self.tombs_listed(store)
        me = me._replace(expired=expired, known=len(store.tombs))
        text = f"lists tomb: {self.say_sessions(expired)}"
        if self.scope.hold and self.rules.tombs_before_holds:
            yield text, me._replace(at='holds'), store
        else:
            yield from self.said(me, store, text)

    def collector_holds(self, me, store):
        me, text = me._replace(held=store.held), f"lists hold: {self.say_sessions(store.held)}"
        if self.rules.tombs_before_holds:
            yield from self.said(me, store, text)
        else:
            yield text, me._replace(at='tombs'), store

    def said(self, me, store, text):
        if self.rules.tombs_first:
            yield text, me._replace(at='view'), store
        else:
            yield from self.judge(me, store, text)

    def collector_view(self, me, store):
        view = self.view(store)
        text = "lists ctl/gc: "
        if view is None:
            yield text + "nobody can say what is absent: stops", START, store
            return
        absent = view.absent if self.rules.finals_gone else view.absent & ~view.dead
        yield (text + f"absent are {self.say_packs(view.absent)}",
               me._replace(at='commits', absent=absent, dead=view.dead, doomed=self.doomed(store)), store)

    def collector_commits(self, me, store):
        points, settled = self.standing(store, 'point'), self.settled(store)
        me = me._replace(points=points, settled=settled, doomed=me.doomed & points)
        text = f"lists commit: settled are {self.say_sessions(settled)}"
        if me.look == SECOND and not self.rules.settled_only:
            me = me._replace(settled=settled | store.sess & ~self.standing(store, 'abort'))
        if me.doomed:
            yield text, me._replace(at='markers'), store
        else:
            yield from self.looked(me, store, text)

    def collector_markers(self, me, store):
        doomed = me.doomed & ~store.sess
        yield from self.looked(me._replace(doomed=doomed), store,
                               f"lists sess: finals name {self.say_sessions(doomed)}")

    def looked(self, me, store, text):
        if self.rules.tombs_first or not self.mortal:
            yield from self.judge(me, store, text)
        else:
            yield text, me._replace(at='tombs'), store

    def judge(self, me, store, text):
        """All is known that says which points are live: they are opened."""
        expired = me.expired & ~me.held | me.doomed
        going, live = me.points & expired, me.points & ~expired
        needs = 0
        for session in bits(live):
            commit = store.commits[session]
            if not self.stands(commit) or commit.kind != 'point':
                yield f"{text}; commit/{self.session_names[session]} does not open: stops", START, store
                return
            for which, pack in enumerate(commit.places):
                if pack >= 0:
                    needs |= 1 << 2 * pack + which
        text += f"; live are {self.say_sessions(live)}"
        found = {'live': live & self.mortal, 'known': me.known, 'pending': me.expired & me.points}
        if me.look == FINISH:
            yield text, Collector('index_sess', me.n, own=me.own, **found), store
            return
        me = Collector('packs', me.n, me.look, me.absent, me.dead, needs=needs, settled=me.settled, condemn=me.condemn)
        yield text, me if me.look == FIRST else me._replace(going=going, **found), store

    def collector_packs(self, me, store):
        yield f"lists pack: {self.say_packs(store.packs)}", me._replace(at='index', packs=store.packs), store

    def collector_index(self, me, store):
        there = me.packs & ~me.absent
        condemn = me.condemn
        if me.look == SECOND and not self.scope.rot:
            condemn = store.generations[me.n].condemn
        settled = self.named_by(store, me.settled) & there
        needed, live, missing = 0, {}, False
        for need in bits(me.needs):
            pack, chunk = need // 2, CHUNKS[need % 2]
            copies = settled & self.holding[chunk]
            if not there >> pack & 1:
                if copies:
                    pack = self.smallest(copies)
                elif not (me.look == SECOND and condemn & me.packs) >> pack & 1:
                    missing = True
                    continue
            needed |= 1 << pack
            live[pack] = live.get(pack, 0) | chunk
        text = f"lists idx: settled are {self.say_packs(settled)}, needed are {self.say_packs(needed)}"
        if missing and self.rules.missing_stops:
            yield text + ", a chunk is not found: stops", START, store
        elif me.look == SECOND:
            yield text, Collector('final', me.n, condemn=condemn & ~needed, going=me.going, live=me.live,
                                  known=me.known, pending=me.pending), store
        else:
            yield from self.begin(me, store, text, there & ~needed, live)

    def begin(self, me, store, text, garbage, live):
        """After the first mark."""
        dead = me.dead if self.rules.only_dead_swept else me.absent
        then = self.swept(Collector('sweep', me.n, condemn=garbage, todo=dead & me.packs))
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
                           self.swept(Collector('sweep', me.n, condemn=garbage | 1 << pack, copy=chunks,
                                                todo=dead & me.packs)), store)

    def swept(self, me):
        if me.todo:
            return me
        if me.copy:
            return me._replace(at='repack_sess')
        return me._replace(at='condemn' if self.rules.condemn_first else 'sess')

    def collector_sweep(self, me, store):
        for n in bits(me.todo & store.packs):
            yield from self.delete_pack(n, me._replace(todo=me.todo & ~(1 << n)), store)
            return
        if me.n < len(store.generations):
            yield from self.steps_of_collector(self.swept(me._replace(todo=0)), store)

    def delete_pack(self, n, after, store):
        yield f"deletes pack {self.pack_names[n]}", after, store._replace(packs=store.packs & ~(1 << n))
        if self.locked_packs >> n & 1:
            yield f"is refused to delete pack {self.pack_names[n]}", after, store

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
            after = Collector('condemn' if self.rules.condemn_first else 'sess', me.n, condemn=me.condemn)
        else:
            after = Collector('sess', me.n, SECOND, condemn=me.condemn)
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
        free_again = store.generations[me.n].done and self.scope.retires
        if store.generations[me.n].condemn >= 0:
            yield f"gc/{me.n}/condemn is taken", START, store
            if not free_again:
                return
        if me.session >= 0:
            after = Collector('repack_commit', me.n, session=me.session)
        elif self.rules.condemn_first:
            after = Collector('sess', me.n, SECOND, condemn=me.condemn if self.scope.rot else 0)
        else:
            after = Collector('sessions', me.n, todo=me.todo)
        text = f"put gc/{me.n}/condemn {self.say_packs(me.condemn)}"
        if free_again:
            # Nobody reads it any more: the store stays as it is.
            yield text + ", which was deleted when all was done", after, store
        else:
            yield text, after, self.set_generation(store, me.n, condemn=me.condemn)

    def collector_sess(self, me, store):
        yield (f"lists sess: {self.say_sessions(store.sess)}",
               me._replace(at='sess_commits', todo=store.sess), store)

    def collector_sess_commits(self, me, store):
        todo = me.todo & ~self.standing(store, 'point', 'maintenance', 'abort')
        yield (f"lists commit: unresolved are {self.say_sessions(todo)}",
               me._replace(at='sessions' if me.look == SECOND else 'condemn', look=FIRST, todo=todo), store)

    def collector_sessions(self, me, store):
        if store.generations[me.n].sessions >= 0:
            yield f"gc/{me.n}/sessions is taken", START, store
            if store.generations[me.n].done and self.scope.retires:
                yield (f"put gc/{me.n}/sessions {self.say_sessions(me.todo)}, which was deleted when all was done",
                       self.waiting(me.n, store, me.todo, me.condemn), store)
        else:
            yield (f"put gc/{me.n}/sessions {self.say_sessions(me.todo)}",
                   self.waiting(me.n, store, me.todo, me.condemn),
                   self.set_generation(store, me.n, sessions=me.todo))

    def waiting(self, n, store, sessions, condemn=0):
        if sessions and self.rules.sessions_resolved:
            return Collector('wait', n, todo=sessions, condemn=condemn if self.scope.rot else 0)
        if self.rules.second_mark:
            return self.looks(n, SECOND, condemn=condemn)
        return Collector('final', n, condemn=store.generations[n].condemn)

    def collector_wait(self, me, store):
        fences = []
        for session in bits(me.todo):
            name = self.session_names[session]
            after = self.waiting(me.n, store, me.todo & ~(1 << session), me.condemn)
            if self.stands(store.commits[session]):
                yield f"{name} is resolved", after, store
                return
            fences.append((f"fences {name}", after, self.set_commit(store, session, ABORT)))
        yield from fences

    # ---- what is decided ----

    def collector_final(self, me, store):
        generation = store.generations[me.n]
        text = f"put gc/{me.n}/final {self.say_packs(me.condemn)}, points that go: {self.say_sessions(me.going)}"
        after = Collector('index_sess', me.n, live=me.live, known=me.known, pending=me.pending)
        mine = (me.condemn, me.going)
        if generation.done and not self.rules.final_stays:
            yield text, Collector('delete_packs', me.n, todo=me.condemn), store
        elif generation.final >= 0 and not self.rules.final_stands:
            yield (f"gc/{me.n}/final is taken, goes by its own: {self.say_packs(me.condemn)}",
                   after._replace(own=mine), store)
        elif generation.final >= 0:
            stands = self.decided(generation)
            if stands:
                yield (f"gc/{me.n}/final is taken: {self.say_packs(generation.final)}, points that go: "
                       f"{self.say_sessions(generation.going)}", after._replace(own=self.owned(stands)), store)
            else:
                yield f"gc/{me.n}/final is taken, and does not open: stops", START, store
        else:
            # What is behind the collectors is left out of the state, where nobody will use it.
            unused = {'condemn': 0, 'sessions': 0} if self.one_final and self.reduced else {}
            yield (text, after._replace(own=self.owned(mine)),
                   self.set_generation(store, me.n, final=me.condemn, going=me.going, **unused))

    def owned(self, decided):
        return () if self.one_final else decided

    def final_of(self, me, store):
        return me.own or self.decided(store.generations[me.n])

    # ---- the new index ----

    def collector_index_sess(self, me, store):
        if not self.rules.index_rewritten:
            yield "leaves the index as it is", self.deleting(me, store), store
            return
        session = me.session if me.session >= 0 else self.first_unused(self.index_sessions, store)
        if session < 0:
            return
        me = me._replace(session=session)
        yield from self.put('sess', f"put sess/{self.session_names[session]}", me, me._replace(at='index_list'), store,
                            store._replace(sess=store.sess | 1 << session, opened=store.opened | 1 << session))

    def collector_index_list(self, me, store):
        todo = self.segments_there(store)
        # Of sessions that are at work, or were fenced just now, segments are left alone.
        at_work = store.sess & ~(1 << me.session) & self.sessions_of(todo)
        yield (f"lists idx and sess: {self.say_segments(todo)}, markers of {self.say_sessions(at_work)}",
               me._replace(at='index_view', todo=todo, settled=at_work), store)

    def sessions_of(self, segments):
        return sum(1 << session for session in {self.session_of_segment[n] for n in bits(segments)})

    def collector_index_view(self, me, store):
        view = self.view(store)
        if view is None:
            yield "lists ctl/gc: nobody can say what is absent: stops", START, store
            return
        if store.generations[me.n].done and self.rules.index_turn:
            yield f"lists ctl/gc: generation {me.n} is done: stops", START, store
            return
        absent = view.absent if self.rules.index_absent else self.final_of(me, store)[0]
        yield (f"lists ctl/gc: absent are {self.say_packs(absent)}",
               me._replace(at='index_commits', absent=absent), store)

    def collector_index_commits(self, me, store):
        going = self.final_of(me, store)[1] if self.rules.going_merged else 0
        settled, aborted = self.settled(store), self.standing(store, 'abort')
        done = self.done_count(store)
        drop = store.generations[done - 1].kept if done else 0
        replaced = named = void = 0
        for n in bits(me.todo & self.segments_there(store)):
            session, packs = self.session_of_segment[n], store.segments[n].packs
            marked = me.settled >> session & 1
            is_settled = settled >> session & 1
            if not is_settled and marked:
                continue        # tentative, or there for who may adopt what it names
            if drop >> n & 1:
                replaced |= 1 << n
            elif not is_settled:
                replaced |= 1 << n
                void |= packs
            elif packs & me.absent or going >> session & 1 or self.scope.merge_all:
                replaced |= 1 << n
                named |= packs
        named &= ~me.absent
        if self.rules.void_absent:
            void &= ~me.absent
        if not self.rules.void_looks:
            named, void = named | void, 0
        me = me._replace(absent=0, settled=0, todo=replaced, named=named, void=void & ~named)
        yield (f"lists commit: settled are {self.say_sessions(settled)}, fenced {self.say_sessions(aborted)}, "
               f"replaces {self.say_segments(replaced)}", self.merging(me), store)

    @staticmethod
    def merging(me):
        return me._replace(at='index_heads' if me.void else 'index_segment' if me.named else 'index_merged')

    def collector_index_heads(self, me, store):
        found = me.void & store.packs
        yield (f"looks for {self.say_packs(me.void)}: there are {self.say_packs(found)}",
               self.merging(me._replace(named=me.named | found, void=0)), store)

    def collector_index_segment(self, me, store):
        yield from self.put_segment(me, me._replace(at='index_merged', named=0), store, me.named)

    def collector_index_merged(self, me, store):
        if self.rules.index_settles:
            yield from self.collector_index_commit(me, store)
        else:
            yield from self.collector_index_delete(me._replace(at='index_delete'), store)

    def collector_index_commit(self, me, store):
        yield from self.put_maintenance(me, me._replace(at='index_delete', session=-1), store,
                                        self.rules.index_exclusive)

    def collector_index_delete(self, me, store):
        for n in bits(me.todo):
            after = me._replace(todo=me.todo & ~(1 << n))
            if store.segments[n] is not None and store.segments[n].there:
                yield f"deletes idx/{self.segment_names[n]}", after, self.delete_segment(store, n)
                if self.locked_segments >> n & 1:
                    yield (f"is refused to delete idx/{self.segment_names[n]}",
                           after._replace(kept=me.kept | 1 << n), store)
                return
        if me.session >= 0:
            yield from self.collector_index_commit(me, store)
        else:
            yield from self.collector_delete_packs(self.deleting(me, store), store)

    # ---- deletes ----

    # To delete what is not there changes nothing: such steps are passed over.

    def deleting(self, me, store):
        return Collector('delete_packs', me.n, todo=self.final_of(me, store)[0], live=me.live, known=me.known,
                         pending=me.pending, kept=me.kept, own=me.own)

    def collector_delete_packs(self, me, store):
        for n in bits(me.todo & store.packs):
            yield from self.delete_pack(n, me._replace(todo=me.todo & ~(1 << n)), store)
            return
        if store.generations[me.n].done and not self.rules.final_stays:
            yield "has deleted by its own final", START, store
        else:
            yield from self.collector_ended(me._replace(at='ended', todo=0), store)

    def collector_ended(self, me, store):
        going = self.final_of(me, store)[1]
        points = self.standing(store, 'point')
        ended = self.standing(store, 'maintenance', 'abort') | points & (going | me.live | ~self.mortal)
        if not self.rules.aborts_stay:
            going |= self.standing(store, 'abort') & store.sess
        me = me._replace(at='delete_markers', todo=ended, going=going)
        if not self.rules.going_unmarked:
            me = me._replace(at='delete_commits', todo=going, going=ended)
        yield f"lists commit: ended are {self.say_sessions(ended)}", me, store

    def collector_delete_markers(self, me, store):
        for session in bits(me.todo & store.sess):
            after = me._replace(todo=me.todo & ~(1 << session))
            yield (f"deletes sess/{self.session_names[session]}", after,
                   store._replace(sess=store.sess & ~(1 << session)))
            if self.locked_markers >> session & 1:
                if self.rules.kept_marker_keeps:
                    after = after._replace(going=me.going & ~(1 << session))
                yield f"is refused to delete sess/{self.session_names[session]}", after, store
            return
        if self.rules.going_unmarked:
            yield from self.collector_delete_commits(me._replace(at='delete_commits', todo=me.going, going=0), store)
        else:
            yield from self.collector_idle(me._replace(at='idle', todo=0), store)

    def collector_delete_commits(self, me, store):
        for session in bits(me.todo):
            after = me._replace(todo=me.todo & ~(1 << session), pending=me.pending & ~(1 << session))
            if self.stands(store.commits[session]):
                yield f"deletes commit/{self.session_names[session]}", after, self.delete_commit(store, session)
                if self.locked_commits >> session & 1:
                    yield (f"is refused to delete commit/{self.session_names[session]}",
                           after._replace(pending=me.pending), store)
                return
            me = after
        if self.rules.going_unmarked:
            yield from self.collector_idle(me._replace(at='idle', todo=0), store)
        else:
            yield from self.collector_delete_markers(me._replace(at='delete_markers', todo=me.going, going=0), store)

    # Maintenance sessions none of whose segments is left.

    def collector_idle(self, me, store):
        """Their commits are listed, then segments; by the rule that is one step, see the head of model.py."""
        if not self.rules.maintenance_order:
            yield (f"lists idx: {self.say_segments(self.segments_there(store))}",
                   me._replace(at='idle_index', todo=self.sessions_of(self.segments_there(store))), store)
            return
        used = self.sessions_of(self.segments_there(store))
        yield from self.idling(me, store, used)

    def collector_idle_index(self, me, store):
        yield from self.idling(me, store, me.todo)

    def idling(self, me, store, used):
        idle = self.standing(store, 'maintenance')
        if self.rules.maintenance_used:
            idle &= ~used
        me = me._replace(at='delete_idle', todo=idle, copy=0)
        if idle:
            yield f"lists commit and idx: nothing is left of {self.say_sessions(idle)}", me, store
        else:
            yield from self.collector_live(me._replace(at='live'), store)

    def collector_delete_idle(self, me, store):
        for session in bits(me.todo):
            name = self.session_names[session]
            if store.sess >> session & 1 and not me.copy:
                after = me._replace(copy=1)
                yield f"deletes sess/{name}", after, store._replace(sess=store.sess & ~(1 << session))
                if self.locked_markers >> session & 1:
                    yield f"is refused to delete sess/{name}", after, store
                return
            after = me._replace(copy=0, todo=me.todo & ~(1 << session))
            if self.stands(store.commits[session]):
                yield f"deletes commit/{name}", after, self.delete_commit(store, session)
                if self.locked_commits >> session & 1:
                    yield f"is refused to delete commit/{name}", after, store
                return
            me = after
        yield from self.collector_live(me._replace(at='live'), store)

    # ---- the end ----

    def collector_live(self, me, store):
        live, going = me.live, self.final_of(me, store)[1]
        if self.rules.live_obeys:
            live &= ~going
        if not self.rules.going_not_live:
            live |= going
        roll_up = self.scope.roll_up and (me.n + 1) % self.scope.roll_up == 0
        after = Collector('finals' if roll_up else 'done', me.n, known=me.known, pending=me.pending, kept=me.kept)
        if store.generations[me.n].live >= 0:
            yield from self.steps_of_collector(after, store)
        else:
            yield f"put gc/{me.n}/live {self.say_sessions(live)}", after, self.set_generation(store, me.n, live=live)

    def collector_finals(self, me, store):
        """A list of all finals, from the list before and what came later."""
        after = me._replace(at='done')
        before = store.generations[:me.n]
        if store.generations[me.n].finals >= 0:
            yield from self.collector_done(after, store)
        elif any(not generation.reads('final') for generation in before) or not self.final_of(me, store):
            yield from self.collector_done(after, store)    # it would not be all
        else:
            packs = self.final_of(me, store)[0]
            if self.rules.finals_whole:
                packs |= self.dead(store)
            yield (f"put gc/{me.n}/finals {self.say_packs(packs)}", after,
                   self.set_generation(store, me.n, finals=packs))

    def collector_done(self, me, store):
        if store.generations[me.n].done:
            yield f"gc/{me.n}/done is taken", START, store
            return
        settled = store.generations[me.n - 1].settled if me.n else 0
        while settled < me.known and not me.pending >> store.tombs[settled] & 1:
            settled += 1
        yield (f"put gc/{me.n}/done, {settled} tombstones are settled", START,
               self.set_generation(store, me.n, done=True, settled=settled, kept=me.kept))

    # ---- steps without effect ----

    def settle_collector(self, me, store):
        """The collector that it may be taken for, see there.

        What it would do until it lists ctl/gc/ the next time is only to read, and to put what is taken:
        nothing that anybody sees. It may as well list ctl/gc/ next, which can be as late as it likes.
        """
        if me.at == 'view' and self.alone:
            for _, after, _ in self.collector_view(me, store):
                return after
        if not self.one_final:
            return me
        if me.at == 'sweep' and not self.comes_back:
            me = me._replace(todo=me.todo & store.packs)
            if me.todo == 0:
                return self.swept(me) if me.n < len(store.generations) else START
        if me.n >= len(store.generations):
            return me
        at, generation = me.at, store.generations[me.n]
        if self.scope.retires and at in ('view', 'commits', 'packs', 'index', 'condemn', 'sess', 'sess_commits',
                                         'sessions'):
            return me           # what it puts may be free again, later
        if at in ('tombs', 'holds', 'view', 'commits', 'markers', 'packs', 'index'):
            if me.look == FIRST:
                if (generation.condemn >= 0 and self.first_unused(self.repack_sessions, store) < 0 and
                        not self.may_sweep(store)):
                    return START
            elif generation.done if self.mortal else generation.final >= 0:
                return START
        elif at in ('sess', 'sess_commits', 'sessions'):
            if generation.sessions >= 0 and self.rules.condemn_first:
                return START
        elif at == 'wait':
            if generation.final >= 0 and not any(self.may_be_free(store, session) for session in bits(me.todo)):
                return START
        elif (at == 'condemn' and me.session < 0 and generation.condemn >= 0 or
              at == 'done' and generation.done):
            return START
        elif at == 'final' and generation.final >= 0:
            return Collector('index_sess', me.n, live=me.live, known=me.known, pending=me.pending)
        elif at == 'live' and generation.live >= 0:
            return me._replace(at='done', live=0)
        elif at == 'start':
            return END if store.generations[-1].done and not self.may_sweep(store) else me
        elif self.comes_back:
            return me
        elif at == 'delete_packs':
            return me._replace(todo=me.todo & store.packs)
        elif at == 'delete_markers':
            return me._replace(todo=me.todo & store.sess)
        return me

    def may_sweep(self, store):
        """Is a pack there that a final of a done generation names, or can it come back?"""
        dead = 0
        for generation in store.generations:
            dead |= generation.final if generation.done else 0
        comes_back = store.late and 'pack' in self.scope.late_kinds or 'pack' in self.scope.lost
        return dead if comes_back else dead & store.packs

    def may_be_free(self, store, session):
        """Is commit/S free, or can it be, once a point that expired is deleted?"""
        commit = store.commits[session]
        return not self.stands(commit) or commit.kind == 'point' and self.mortal >> session & 1
