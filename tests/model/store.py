# SPDX-License-Identifier: Apache-2.0
"""The object store of the model: what is in it, what can be read from it, and what must hold.

Sessions, packs and index segments are numbered when a world is made, since the names that a process
may use are known then. A set of them is an integer with a bit for each. There are two chunks, a and
b, and a pack holds {a}, {b} or {a, b}.
"""
from dataclasses import dataclass, field
from typing import NamedTuple

A, B = 1, 2                     # chunks, as bits
AB = A | B
CHUNKS = (A, B)
CHUNK_NAMES = {0: '', A: 'a', B: 'b', AB: 'ab'}

# Parts of a generation that may become unreadable, as bits.
PARTS = {'condemn': 1, 'sessions': 2, 'final': 4}


def bits(n):
    """The numbers of the bits of a set, ascending."""
    while n:
        low = n & -n
        yield low.bit_length() - 1
        n ^= low


class Commit(NamedTuple):
    """commit/S"""
    kind: str                   # 'point', 'maintenance', 'abort'
    point: int = -1             # which restore point; a name that is used twice has two
    places: tuple = ()          # for a and b: the pack, or -1: the point does not have the chunk
    there: bool = True          # False: deleted, and remembered for a put that is applied late


ABORT, MAINTENANCE = Commit('abort'), Commit('maintenance')


class Segment(NamedTuple):
    """idx/D/S-N"""
    packs: int
    there: bool = True


class Generation(NamedTuple):
    """ctl/gc/n/; -1 is an object that is not there"""
    condemn: int = -1           # packs
    sessions: int = -1          # sessions
    final: int = -1             # packs
    going: int = 0              # the second part of final: sessions whose points are expired and go
    finals: int = -1            # packs of all finals so far; every few generations
    live: int = -1              # sessions of points; of those that may expire, see Tables.mortal
    done: bool = False
    kept: int = 0               # in done: segments that were replaced and could not be deleted
    settled: int = 0            # in done: so many tombstones name points that are gone
    rotten: int = 0             # PARTS that do not open any more

    def reads(self, part):
        """Is it there, and does it open?"""
        return getattr(self, part) >= 0 and not self.rotten & PARTS[part]


class Store(NamedTuple):
    packs: int                  # that are there
    segments: tuple             # by number: a Segment or None
    sess: int                   # sessions whose marker is there
    commits: tuple              # by session: a Commit or None
    tombs: tuple                # sessions named by tombstones, in the order of their numbers
    generations: tuple
    # What no process can read.
    opened: int                 # sessions whose name is used up
    born: int                   # points that were committed
    dead: int                   # points that got a tombstone while they stood
    late: int                   # how many puts may still be applied late
    rot: int                    # how many lists may still become unreadable
    returned: int               # sessions whose marker was deleted, and came back
    noted: int                  # sessions whose local note says that a run is at work
    inherited: int              # sessions that another process has taken over
    held: int                   # sessions that a hold names
    kept: int                   # of them: those of which the hold was confirmed


# The rules of docs/CONCURRENCY.md that can be taken away, and what is done instead of each.
RULES = {
    # sessions
    'register_first': "a session reads all that it needs, then puts its marker",
    'gc_first': "a session lists ctl/gc/ last, after the index",
    'condemned_absent': "a session uses packs of the open generation's condemn and final",
    'finals_absent': "for a session, packs of finals of generations that are done are not absent",
    'known_same': "a session uses the index of an earlier list, whatever has happened since",
    'index_decides': "a session uses the places of an older tree, also when the index does not have them",
    'fenced_void': "segments of fenced sessions count",
    'unmarked_void': "segments that have neither commit nor marker count",
    'commit_exclusive': "a session puts its commit over an abort",
    'adoption_looks': "packs are adopted without a look whether they are there",
    'note_ends_first': "a run that died while it committed is continued under its name",
    # what is collected
    'condemn_first': "sessions are listed, then condemn is put",
    'sessions_resolved': "nobody waits for sessions, or fences them",
    'second_mark': "final is condemn",
    'settled_only': "the second mark finds chunks by tentative segments too",
    'finals_gone': "a mark takes a pack as good that an older final names",
    'missing_stops': "a mark goes on when it does not find a chunk of a live point",
    'repack_first': "condemn is put, then the repack is committed",
    'final_stays': "final is deleted when the generation is done",
    'final_stands': "a collector goes by its own final, though another one stands",
    'finals_whole': "the list of all finals lacks those of the generations before",
    'only_dead_swept': "packs that are absent are deleted without a generation, also those of condemn",
    # points that expire
    'tombs_first': "commits are listed, then how many tombstones are settled is read, and the others are listed",
    'final_expires': "nobody looks in the finals for points, only tombstones count",
    'going_unmarked': "commits of points that go are deleted, then their markers",
    'going_not_live': "the points that go are in live too",
    'live_obeys': "live has what its collector's look has found live, also what final names",
    'kept_marker_keeps': "a commit of a point that goes is deleted though the store refuses to delete its marker",
    'tombs_before_holds': "holds are listed, then tombstones",
    # the index
    'index_rewritten': "segments that name packs of final stay as they are",
    'index_absent': "the new index leaves out packs of its final, but not what is absent else",
    'index_settles': "the replaced segments are deleted, then the commit of the new ones is put",
    'index_exclusive': "the commit of the new index is put over an abort",
    'index_turn': "a collector makes the index anew though the generation is done, as the next one's condemn says",
    'going_merged': "segments whose commit goes are not merged",
    'void_looks': "segments of sessions that were fenced are merged without a look whether the packs are there",
    'void_absent': "the same, with a look, but with packs that are absent",
    'maintenance_used': "commits of maintenance sessions are deleted though segments of theirs are there",
    'maintenance_order': "the segments of maintenance sessions are listed before their commits",
    'aborts_stay': "aborts are deleted when the markers of their sessions are",
}


class Rules:
    """Which of them hold: an attribute each."""

    def __init__(self, *without):
        for name in RULES:
            setattr(self, name, name not in without)
        for name in without:
            if name not in RULES:
                raise ValueError(f"there is no rule '{name}'")


@dataclass
class Old:
    """A session of the past."""
    name: str
    packs: dict = field(default_factory=dict)   # those that its segment names: {name: chunks}
    point: dict = field(default_factory=dict)   # {chunk: name of the pack}
    kind: str = 'point'
    marker: bool = False                        # is still there


@dataclass
class Role:
    """What a process that backs up is like."""
    name: str
    sessions: tuple             # the names that it may take
    wants: int = A              # chunks
    apart: bool = False         # two new chunks go into two packs; None: or into one
    checkpoints: bool = False   # a segment after each pack, else one at the end
    may_miss: bool = False      # may store a chunk again that it could find
    adopts: bool = False        # takes over packs of fenced sessions
    inherits: bool = False      # continues a session of another process
    recalls: bool = False       # knows the index from an earlier list


@dataclass
class Scope:
    """What is in the store at the beginning, and who does what."""
    name: str
    about: str
    old: list
    writers: list = field(default_factory=list)     # (Role, how many)
    collectors: int = 1
    generations: int = 1
    repacks: int = 0            # how many there may be
    gone: dict = field(default_factory=dict)        # packs that points of the past name and that are deleted
    expired: tuple = ()         # sessions with a tombstone, at the beginning
    expire: tuple = ()          # sessions whose point may get a tombstone, at any time
    hold: str = ''              # a session whose point may get a hold, at any time
    begun: dict = field(default_factory=dict)       # what stands of generation 0, by names
    condemn_any: bool = False   # any of the packs that could be condemned, else all
    merge_all: bool = False     # all settled segments are merged, else those that must
    locked: tuple = ()          # packs, segments, 'sess/S', 'commit/S' that a delete may be refused of
    lost: tuple = ()            # kinds of puts whose answer may be lost: sess, pack, idx, commit
    late: int = 0               # how many puts may be applied again, after the object was deleted
    late_kinds: tuple = ()      # kinds, or names of segments
    rot: int = 0                # how many lists may become unreadable
    rot_kinds: tuple = ()       # parts of the open generation; 'old': a final that a list of all has
    roll_up: int = 0            # every so many generations leave a list of all finals; 0: none does
    retires: bool = False       # condemn and sessions of a generation that is done are deleted: free again
    newest_first: bool = False  # new packs have smaller ids than old ones
    occurs: tuple = ()          # what must be seen to happen, as parts of texts


class View(NamedTuple):
    """What is concluded from a list of ctl/gc/, and from what it names."""
    absent: int                 # packs that are not there, whatever is there
    dead: int                   # of them: packs of finals of generations that are done


class Tables:
    """Names and numbers of a scope, and what can be read from a store."""

    def __init__(self, scope, rules):
        self.scope, self.rules = scope, rules
        self.session_names, self.pack_names, self.segment_names = [], [], []
        self.chunks_of_pack = []
        self.segments_of_session, self.session_of_segment = [], []
        self.groups, self.names, self.roles = [], [], []

    # ---- names ----

    def new_session(self, name, segments):
        session = len(self.session_names)
        self.session_names.append(name)
        self.segments_of_session.append([])
        for n in range(segments):
            self.segments_of_session[session].append(len(self.segment_names))
            self.segment_names.append(f"{name}-{n}")
            self.session_of_segment.append(session)
        return session

    def new_pack(self, name, chunks):
        self.pack_names.append(name)
        self.chunks_of_pack.append(chunks)
        return len(self.pack_names) - 1

    def new_packs(self, name, wants):
        """The packs that a session may make: {chunks: pack}."""
        return {chunks: self.new_pack(name.lower() + CHUNK_NAMES[chunks], chunks)
                for chunks in (A, B, AB) if chunks & wants == chunks}

    def session(self, name):
        return self.session_names.index(name)

    def sessions_named(self, names):
        return sum(1 << self.session(name) for name in names)

    def packs_named(self, names):
        return sum(1 << self.pack_names.index(name) for name in names)

    def say_packs(self, packs):
        return '{' + ' '.join(self.pack_names[n] for n in bits(packs)) + '}'

    def say_sessions(self, sessions):
        return '{' + ' '.join(self.session_names[n] for n in bits(sessions)) + '}'

    def say_segments(self, segments):
        return '{' + ' '.join(self.segment_names[n] for n in bits(segments)) + '}'

    def say_places(self, places):
        return ' '.join(f"{'ab'[n]}@{self.pack_names[pack]}" for n, pack in enumerate(places) if pack >= 0)

    # ---- the beginning ----

    def make_past(self):
        """Sessions, packs and the store as they are before anybody does anything."""
        scope = self.scope
        packs = sess = born = 0
        segments, commits = [], []
        for old in scope.old:
            self.new_session(old.name, 1)
            for name, chunks in old.packs.items():
                packs |= 1 << self.new_pack(name, chunks)
        for name, chunks in scope.gone.items():
            self.new_pack(name, chunks)
        for session, old in enumerate(scope.old):
            segments.append(Segment(self.packs_named(old.packs)) if old.packs else None)
            sess |= old.marker << session
            if old.kind == 'point':
                places = tuple(self.pack_names.index(old.point[chunk]) if chunk in old.point else -1
                               for chunk in CHUNKS)
                commits.append(Commit('point', session, places))
                born |= 1 << session
            else:
                commits.append(Commit(old.kind))
        generations = [Generation()] * scope.generations
        if scope.begun:
            generations[0] = Generation(**{
                what: (self.sessions_named if what in ('sessions', 'going') else self.packs_named)(names)
                for what, names in scope.begun.items()})
        self.past = Store(packs, tuple(segments), sess, tuple(commits), tuple(map(self.session, scope.expired)),
                          tuple(generations), opened=(1 << len(scope.old)) - 1, born=born,
                          dead=self.sessions_named(scope.expired), late=scope.late, rot=scope.rot, returned=0,
                          noted=0, inherited=0, held=0, kept=0)

    def finish(self):
        """All names are known: the first store."""
        scope = self.scope
        self.holding = {chunk: sum(1 << n for n, chunks in enumerate(self.chunks_of_pack) if chunks & chunk)
                        for chunk in CHUNKS}
        self.expirable = self.sessions_named(scope.expire)
        # Sessions whose points may be expired: of others no final ever says anything.
        self.mortal = self.expirable | self.sessions_named(scope.expired)
        self.locked_packs = self.packs_named(x for x in scope.locked if x in self.pack_names)
        self.locked_segments = sum(1 << self.segment_names.index(x) for x in scope.locked if x in self.segment_names)
        self.locked_markers, self.locked_commits = (
            self.sessions_named(x[len(prefix):] for x in scope.locked if x.startswith(prefix))
            for prefix in ('sess/', 'commit/'))
        past = self.past
        self.store = past._replace(
            segments=past.segments + (None,) * (len(self.segment_names) - len(past.segments)),
            commits=past.commits + (None,) * (len(self.session_names) - len(past.commits)))
        # Can a key that was deleted be taken again, but by a fence?
        self.comes_back = bool(scope.late or scope.lost or any(role.inherits for role in self.roles))

    # ---- reads ----

    @staticmethod
    def standing(store, *kinds):
        """Sessions that have a commit of one of the kinds: a list of commit/."""
        found = 0
        for session, commit in enumerate(store.commits):
            if commit is not None and commit.there and commit.kind in kinds:
                found |= 1 << session
        return found

    def settled(self, store):
        return self.standing(store, 'point', 'maintenance')

    @staticmethod
    def segments_there(store):
        """A list of idx/."""
        return sum(1 << n for n, segment in enumerate(store.segments) if segment is not None and segment.there)

    def named_by(self, store, sessions, segments=-1):
        """Packs that the segments of the sessions name, of those that are there."""
        packs = 0
        for n, segment in enumerate(store.segments):
            if (segment is not None and segment.there and segments >> n & 1 and
                    sessions >> self.session_of_segment[n] & 1):
                packs |= segment.packs
        return packs

    def tombs_listed(self, store):
        """Sessions named by tombstones that are not settled, as the newest done generation says now."""
        n = self.done_count(store)
        listed = 0
        for session in store.tombs[store.generations[n - 1].settled if n else 0:]:
            listed |= 1 << session
        return listed

    @staticmethod
    def decided(generation):
        """(packs, sessions) of a generation's final; None: there is none that opens."""
        return (generation.final, generation.going) if generation.reads('final') else None

    def view(self, store):
        """None: nobody can say what is absent."""
        absent, dead = 0, self.dead(store)
        for generation in store.generations:
            decided = self.decided(generation)
            if generation.done:
                continue
            if decided:
                absent |= decided[0]
            if not decided and (generation.condemn >= 0 or generation.final >= 0):
                if not generation.reads('condemn'):
                    return None
                absent |= generation.condemn
            break
        return View(absent | dead, dead)

    def dead(self, store):
        """Packs of the finals of all generations that are done: the newest list of all, and what came later."""
        dead = 0
        for generation in store.generations:
            if not generation.done:
                break
            if generation.finals >= 0:
                dead = generation.finals
            elif generation.reads('final'):
                dead |= generation.final
        return dead

    def doomed(self, store):
        """Sessions that finals name, of which that is found out: who is in `live` is not looked for."""
        if not self.rules.final_expires:
            return 0
        doomed = live = 0
        for generation in store.generations:
            decided = self.decided(generation)
            doomed |= decided[1] if decided else 0
            if not generation.done:
                break
            live = max(generation.live, 0)
        return doomed & ~live

    def finals(self, store):
        """Packs that any final names, whether it opens or not: those that may be deleted."""
        packs = 0
        for generation in store.generations:
            packs |= max(generation.final, 0)
        return packs

    @staticmethod
    def done_count(store):
        return sum(generation.done for generation in store.generations)

    @staticmethod
    def stands(commit):
        return commit is not None and commit.there

    def smallest(self, packs):
        return packs.bit_length() - 1 if self.scope.newest_first else (packs & -packs).bit_length() - 1

    # ---- changes ----

    def put(self, kind, text, waiting, after, store, changed):
        """A put that is applied: it is answered, or, where that is in the scope, the answer is lost."""
        yield text, after, changed
        if kind in self.scope.lost:
            yield text + ' (the answer is lost)', waiting, changed

    @staticmethod
    def set_segment(store, n, segment):
        return store._replace(segments=store.segments[:n] + (segment,) + store.segments[n + 1:])

    @staticmethod
    def set_commit(store, session, commit):
        return store._replace(commits=store.commits[:session] + (commit,) + store.commits[session + 1:])

    @staticmethod
    def set_generation(store, n, **what):
        changed = store.generations[n]._replace(**what)
        return store._replace(generations=store.generations[:n] + (changed,) + store.generations[n + 1:])

    def remembers(self, store, *kinds):
        return store.late and any(kind in self.scope.late_kinds for kind in kinds)

    def delete_segment(self, store, n):
        segment = store.segments[n]
        kept = self.remembers(store, 'idx', self.segment_names[n])
        return self.set_segment(store, n, segment._replace(there=False) if kept else None)

    def delete_commit(self, store, session):
        commit = store.commits[session]
        kept = commit.kind != 'abort' and self.remembers(store, 'commit')
        return self.set_commit(store, session, commit._replace(there=False) if kept else None)

    # ---- what nobody does ----

    def steps_of_expiry(self, me, store):
        for session in bits(self.expirable):
            commit = store.commits[session]
            if session not in store.tombs and self.stands(commit) and commit.kind == 'point':
                kept = store.kept >> session & 1
                yield (f"tombstone for {self.session_names[session]}", me,
                       store._replace(tombs=store.tombs + (session,),
                                      dead=store.dead | (0 if kept else 1 << commit.point)))

    def steps_of_hold_begins(self, me, store):
        session = self.session(self.scope.hold)
        if self.stands(store.commits[session]):
            yield f"hold for {self.scope.hold}", 'hold_looks', store._replace(held=store.held | 1 << session)

    def steps_of_hold_looks(self, me, store):
        session = self.session(self.scope.hold)
        in_time = not self.tombs_listed(store) >> session & 1 and self.stands(store.commits[session])
        yield (f"the hold came {'in time' if in_time else 'too late'}", 'hold_ends',
               store._replace(kept=store.kept | in_time << session))

    def steps_of_hold_ends(self, me, store):
        return ()

    def steps_of_network(self, me, store):
        """Puts that were applied once and are applied again, after the object was deleted."""
        if not store.late:
            return
        kinds, late = self.scope.late_kinds, store.late - 1
        found = []
        if 'pack' in kinds:
            for n in bits(self.finals(store) & ~store.packs):
                found.append((f"pack {self.pack_names[n]}", store._replace(packs=store.packs | 1 << n)))
        if 'sess' in kinds:
            for n in bits(store.opened & ~store.sess):
                found.append((f"sess/{self.session_names[n]}",
                              store._replace(sess=store.sess | 1 << n, returned=store.returned | 1 << n & self.mortal)))
        for n, segment in enumerate(store.segments):
            if segment is not None and not segment.there:
                found.append((f"idx/{self.segment_names[n]}",
                              self.set_segment(store, n, segment._replace(there=True))))
        for n, commit in enumerate(store.commits):
            if commit is not None and not commit.there:
                found.append((f"commit/{self.session_names[n]}",
                              self.set_commit(store, n, commit._replace(there=True))))
        for what, changed in found:
            changed = changed._replace(late=late)
            if not late:
                changed = changed._replace(
                    segments=tuple(x if x is None or x.there else None for x in changed.segments),
                    commits=tuple(x if x is None or x.there else None for x in changed.commits))
            yield f"a put of {what} is applied again, late", me, changed

    def steps_of_rot(self, me, store):
        """Lists that do not open any more."""
        if not store.rot:
            return
        for n, generation in enumerate(store.generations):
            for part, bit in PARTS.items():
                rolled_up = any(later.done and later.finals >= 0 for later in store.generations[n:])
                if generation.reads(part) and (part in self.scope.rot_kinds if not generation.done else
                                               part == 'final' and 'old' in self.scope.rot_kinds and rolled_up):
                    yield (f"gc/{n}/{part} becomes unreadable", me,
                           self.set_generation(store, n, rotten=generation.rotten | bit)._replace(rot=store.rot - 1))

    # ---- what must hold ----

    def broken(self, store):
        """Says which live point is not whole, or what else is wrong, or None."""
        going = 0
        for generation in store.generations:
            going |= generation.going
        # A point that goes may be held too late: who restores it looks for that (expiry_pin()).
        expired = self.tombs_listed(store) & ~(store.held & ~going) | self.doomed(store) & ~store.sess
        dead = self.finals(store)
        there = store.packs & ~dead
        usable = self.named_by(store, self.settled(store)) & there
        standing = 0
        for session, commit in enumerate(store.commits):
            if commit is None or not commit.there or commit.kind != 'point' or expired >> session & 1:
                continue
            if store.dead >> commit.point & 1 and not store.held >> session & 1:
                # With the marker that came back too, it is taken for a point; that is known.
                if not store.returned >> session & 1:
                    return f"the point of {self.session_names[session]} was expired, and is live again"
                continue
            standing |= 1 << commit.point
            for chunk, pack in zip(CHUNKS, commit.places):
                if pack >= 0 and not there >> pack & 1 and not usable & self.holding[chunk]:
                    return (f"the point of {self.session_names[session]} is live, and its chunk {CHUNK_NAMES[chunk]} "
                            "is nowhere" + ", but in a pack that a final names" * (store.packs >> pack & 1))
        if store.born & ~store.dead & ~standing:
            return "a point that was committed, and that no tombstone named since, is gone or counts as expired"
        n = self.done_count(store)
        live = store.generations[n - 1].live if n else 0
        missing = live & ~self.standing(store, 'point') & ~(expired | store.returned)
        if missing:
            return f"{self.say_sessions(missing)} counts as lost, which was expired: nothing is collected any more"
        return None
