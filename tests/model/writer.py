# SPDX-License-Identifier: Apache-2.0
"""A process that backs up: sess/S, what is there already, packs, segments, commit/S.

  recall    lists ctl/gc/, commit/ and idx/, each in a step, where it knows the index from an earlier run
  start     puts sess/S
  gc        lists ctl/gc/
  commits   lists commit/
  index     lists idx/, or goes by what it knows, where no generation is open, then and now, and the
            same are done, and commit/ has the same
  markers   lists sess/: which segments count; decides for each chunk between a place and a new pack
  packs     looks which packs of void segments are there, where it adopts
  work      puts packs and segments
  commit    puts commit/S
  end
"""
from itertools import product
from typing import NamedTuple

from store import ABORT, AB, CHUNKS, Commit, Generation, Segment, Tables, A, B, bits


class Writer(NamedTuple):
    role: int
    at: str
    session: int = -1
    absent: int = 0             # packs that are not there for this session
    settled: int = 0            # sessions
    aborted: int = 0            # sessions that were fenced
    known: tuple = ()           # generations done, sessions settled, fenced, packs of the index
    tree: int = 0               # packs that older trees name (only where the index does not decide)
    open: tuple = ()            # sessions without commit, and the packs that their segments name
    usable: int = 0             # packs that the index has
    void: int = 0               # packs of void segments
    places: tuple = ()          # what the point will name
    todo: int = 0               # packs to put
    unnamed: int = 0            # packs that are put, and are in no segment of its own
    segments: int = 0           # how many segments it has put


class Writers(Tables):
    def make_writers(self):
        self.new_packs_of = {}  # (session, inherited): {chunks: pack}
        inherited = {name for role, _ in self.scope.writers if role.inherits for name in role.sessions}
        self.inheritable = bool(inherited)
        self.first_list = 'gc' if self.rules.gc_first else 'commits'
        for n, (role, count) in enumerate(self.scope.writers):
            self.roles.append(role)
            for name in role.sessions:
                if role.inherits:
                    self.new_packs_of[self.session(name), True] = self.new_packs('heir', role.wants)
                    continue
                several = role.checkpoints or role.adopts or name in inherited
                session = self.new_session(name, 2 if several else 1)
                self.new_packs_of[session, False] = self.new_packs(name, role.wants)
            self.groups.append([Writer(n, 'start')] * count)
            self.names += [role.name if count == 1 else f"{role.name} {i + 1}" for i in range(count)]

    def first_free(self, role, store):
        """A name that is not used up. Who is first takes the first: the processes are alike."""
        for session in map(self.session, role.sessions):
            if not store.opened >> session & 1:
                return session
        return -1

    def steps_of_writer(self, me, store):
        role = self.roles[me.role]
        if me.at == 'end':
            return
        if not role.inherits and me.session >= 0 and store.inherited >> me.session & 1:
            # The process is dead. A put that was on its way may still be applied.
            for text, _, changed in getattr(self, 'writer_' + me.at)(me, store, role):
                if text.startswith('put '):
                    yield text + ' (by a process that is dead)', Writer(me.role, 'end'), changed
            return
        yield from getattr(self, 'writer_' + me.at)(me, store, role)

    # ---- what is there ----

    def writer_start(self, me, store, role):
        if role.inherits:
            for session in map(self.session, role.sessions):
                if (store.noted >> session & 1 and not store.inherited >> session & 1 and store.sess >> session & 1 and
                        not self.stands(store.commits[session])):
                    yield (f"finds the note of {self.session_names[session]}, which has not ended: goes on",
                           me._replace(at='gc', session=session),
                           store._replace(inherited=store.inherited | 1 << session))
        elif role.recalls and not me.known:
            yield from self.writer_recall(me, store, role)
        elif self.rules.register_first:
            session = me.session if me.session >= 0 else self.first_free(role, store)
            if session >= 0:
                yield from self.register(me._replace(session=session), self.first_list, store)
        else:
            yield from getattr(self, 'writer_' + self.first_list)(me, store, role)

    @staticmethod
    def generations_done(store):
        """How many, or -1 while one is open."""
        if any(g != Generation() and not g.done for g in store.generations):
            return -1
        return sum(g.done for g in store.generations)

    def writer_recall(self, me, store, role):
        """What an earlier run has listed; of that one nothing else matters here."""
        done = self.generations_done(store)
        if done >= 0:
            yield 'an earlier run lists ctl/gc', me._replace(at='recall_commits', known=(done,)), store

    def writer_recall_commits(self, me, store, role):
        yield ('an earlier run lists commit', me._replace(at='recall_index', known=(
            *me.known, self.settled(store), self.standing(store, 'abort'))), store)

    def writer_recall_index(self, me, store, role):
        segments = self.segments_there(store)
        packs = self.named_by(store, me.known[1])
        yield (f"an earlier run lists idx: {self.say_segments(segments)}",
               me._replace(at='start', known=(*me.known, packs)), store)

    def register(self, me, then, store):
        session = me.session
        changed = store._replace(sess=store.sess | 1 << session, opened=store.opened | 1 << session)
        if any(role.inherits and self.session_names[session] in role.sessions for role in self.roles):
            changed = changed._replace(noted=changed.noted | 1 << session)
        yield from self.put('sess', f"put sess/{self.session_names[session]}", me, me._replace(at=then), store, changed)

    def absent(self, store):
        """Packs that are not there for a session that lists ctl/gc/ now; -1: nobody can say."""
        view, rules = self.view(store), self.rules
        if view is None:
            return -1
        absent = view.absent
        if not rules.condemned_absent:
            absent &= view.dead
        if not rules.finals_absent:
            absent &= ~view.dead
        return absent

    def writer_gc(self, me, store, role):
        absent = self.absent(store)
        if absent < 0:
            return              # it lists again, or gives up
        text = f"lists ctl/gc: absent are {self.say_packs(absent)}"
        if me.known and self.rules.known_same and self.generations_done(store) != me.known[0]:
            me = me._replace(known=())
        if self.rules.gc_first:
            yield text, me._replace(at='commits', absent=absent), store
        else:
            yield from self.decide(me, store, role, text, me.usable & ~absent, 0)

    def writer_commits(self, me, store, role):
        settled, aborted = self.settled(store), self.standing(store, 'abort')
        if me.known and self.rules.known_same and (settled, aborted) != me.known[1:3]:
            me = me._replace(known=())
        tree = 0
        if not self.rules.index_decides:
            for commit in store.commits:
                if commit is not None and commit.there:
                    tree |= sum(1 << pack for pack in commit.places if pack >= 0)
        yield (f"lists commit: settled are {self.say_sessions(settled)}, fenced {self.say_sessions(aborted)}",
               me._replace(at='index', settled=settled, aborted=aborted, tree=tree & ~me.absent), store)

    def writer_index(self, me, store, role):
        if me.known:
            known = Writer(me.role, 'markers', me.session, usable=me.tree | me.known[3] & ~me.absent)
            yield from self.choose(known, store, role, 'knows idx')
            me = me._replace(known=())
        usable, void, open_ = me.tree, 0, {}
        for n in bits(self.segments_there(store)):
            session, packs = self.session_of_segment[n], store.segments[n].packs & ~me.absent
            if me.settled >> session & 1 or me.aborted >> session & 1 and not self.rules.fenced_void:
                usable |= packs
            elif me.aborted >> session & 1:
                void |= packs
            else:
                open_[session] = open_.get(session, 0) | packs
        me = Writer(me.role, 'markers', me.session, absent=0 if self.rules.gc_first else me.absent, usable=usable,
                    void=void if role.adopts else 0, open=tuple(open_.items()))
        text = f"lists idx: {self.say_segments(self.segments_there(store))}"
        if open_:
            yield text, me, store
        else:
            # All have ended, and nobody asks who is at work.
            yield from self.choose(me, store, role, text)

    def writer_markers(self, me, store, role):
        counted = 0
        for session, packs in me.open:
            if store.sess >> session & 1 or not self.rules.unmarked_void:
                me = me._replace(usable=me.usable | packs)
                counted |= 1 << session
            elif role.adopts:
                me = me._replace(void=me.void | packs)
        yield from self.choose(me, store, role, f"lists sess: at work are {self.say_sessions(counted)}")

    def choose(self, me, store, role, text):
        text += f", usable are {self.say_packs(me.usable)}"
        if not self.rules.gc_first:
            yield text, Writer(me.role, 'gc', me.session, usable=me.usable), store
        elif not role.adopts:
            yield from self.decide(me, store, role, text, me.usable, 0)
        elif me.void & ~me.usable:
            # With nothing to adopt it is a writer as any other: that is for other scopes.
            yield (f"{text}, void are {self.say_packs(me.void)}",
                   Writer(me.role, 'packs', me.session, usable=me.usable, void=me.void & ~me.usable), store)

    def writer_packs(self, me, store, role):
        adopt = me.void & store.packs if self.rules.adoption_looks else me.void
        if adopt:
            yield from self.decide(me, store, role, f"looks for packs: adopts {self.say_packs(adopt)}",
                                   me.usable | adopt, adopt)

    def decide(self, me, store, role, text, usable, adopt):
        """For each chunk a place that can be used, any of them, or else a new pack."""
        session = me.session if me.session >= 0 else self.first_free(role, store)
        if session < 0:
            return
        new_pack = self.new_packs_of[session, role.inherits]
        choices = []
        for chunk in CHUNKS:
            if role.wants & chunk:
                found = list(bits(usable & self.holding[chunk]))
                choices.append(found + [None] if role.may_miss or not found else found)
            else:
                choices.append([-1])
        for chosen in product(*choices):
            new = sum(chunk for chunk, pack in zip(CHUNKS, chosen) if pack is None)
            ways = [[new]] if new else [[]]
            if new == AB and role.apart is not False:
                ways = [[A, B]] if role.apart else [[A, B], [AB]]
            for way in ways:
                holder = {chunk: new_pack[x] for x in way for chunk in CHUNKS if x & chunk}
                places = tuple(holder[chunk] if pack is None else pack for chunk, pack in zip(CHUNKS, chosen))
                yield (f"{text}; will commit {self.say_places(places)}",
                       Writer(me.role, 'work' if self.rules.register_first else 'late_start', session, places=places,
                              todo=sum(1 << new_pack[x] for x in way), unnamed=adopt,
                              segments=1 if role.inherits else 0), store)

    def writer_late_start(self, me, store, role):
        if not store.opened >> me.session & 1:
            yield from self.register(me, 'work', store)

    # ---- what it adds ----

    def writer_work(self, me, store, role):
        if me.unnamed and (role.checkpoints or not me.todo):
            n = self.segments_of_session[me.session][me.segments]
            after = me._replace(unnamed=0, segments=me.segments + 1)
            name = f"idx/{self.segment_names[n]}"
            if store.segments[n] is not None and store.segments[n].there:
                yield f"{name} is there already", after, store
            else:
                yield from self.put('idx', f"put {name} {self.say_packs(me.unnamed)}", me, after, store,
                                    self.set_segment(store, n, Segment(me.unnamed)))
        elif me.todo:
            n = next(bits(me.todo))
            after = me._replace(todo=me.todo & ~(1 << n), unnamed=me.unnamed | 1 << n)
            yield from self.put('pack', f"put pack {self.pack_names[n]}", me, after, store,
                                store._replace(packs=store.packs | 1 << n))
        elif self.inheritable and self.rules.note_ends_first:
            yield ("removes its note", me._replace(at='commit'),
                   store._replace(noted=store.noted & ~(1 << me.session)))
        else:
            yield from self.writer_commit(me._replace(at='commit'), store, role)

    def writer_commit(self, me, store, role):
        name = f"commit/{self.session_names[me.session]}"
        point = len(self.session_names) if role.inherits else me.session
        mine = Commit('point', point, me.places)
        stands = store.commits[me.session]
        end, unnoted = Writer(me.role, 'end'), store.noted & ~(1 << me.session)
        if stands == mine:
            yield f"{name} is its own", end, store._replace(noted=unnoted)
        elif self.stands(stands) and (self.rules.commit_exclusive or stands != ABORT):
            yield f"{name} is taken: fenced", end, store._replace(noted=unnoted)
        else:
            changed = self.set_commit(store, me.session, mine)
            changed = changed._replace(born=store.born | 1 << point)
            text = f"put {name}: {self.say_places(me.places)}"
            yield text, end, changed._replace(noted=unnoted)
            if 'commit' in self.scope.lost:
                yield text + ' (the answer is lost)', me, changed
