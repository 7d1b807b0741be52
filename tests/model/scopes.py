# SPDX-License-Identifier: Apache-2.0
"""The scopes that are searched, and the rules that are taken away in them.

A scope is small, and is searched to its end. A mutant is the same scope without one rule, or without
two of which each makes good for the other there; it must lose data. Some scopes begin in the middle:
with objects that a longer run leaves behind, so that a search need not go through that run.
"""
from store import A, AB, B, Old, Role, Scope

ALL = ('sess', 'pack', 'idx', 'commit')


def writer(count=1, **how):
    return Role('writer', tuple(f"W{n + 1}" for n in range(count)), **how), count


def other(**how):
    return Role('other writer', ('U',), **how), 1


def adopter(**how):
    return Role('adopter', ('V',), adopts=True, **how), 1


def heir(**how):
    return Role('heir', ('W1',), inherits=True, **how), 1


# Chunk a is in a point, b is garbage that the index names.
O_A_AND_GARBAGE = Old('O', {'oa': A, 'ob': B}, {A: 'oa'})
# The same in one pack, which can be repacked.
O_PARTLY_DEAD = Old('O', {'oab': AB}, {A: 'oab'})
# Nothing of b.
O_A = Old('O', {'oa': A}, {A: 'oa'})
O_B = Old('O', {'ob': B}, {B: 'ob'})
# A point whose place is gone, and the place that its chunk was moved to: by a collector; by an older point.
P_MOVED = Old('P', {}, {A: 'u'})
M_HAS_IT = Old('M', {'v': A}, kind='maintenance')
Q_HAS_IT = Old('Q', {'v': A}, {A: 'v'})
# A point that has b where O has it as garbage.
Q_B = Old('Q', {}, {B: 'ob'})
# A session that was fenced, and its pack.
F_FENCED = Old('F', {'fb': B}, kind='abort')
# The same, before a collection has seen it.
F_MARKED = Old('F', {'fb': B}, kind='abort', marker=True)


class Case:
    def __init__(self, scope, *mutants, size='small'):
        self.scope, self.size = scope, size     # small, full, or large: only when it is asked for
        self.mutants = [mutant if isinstance(mutant, tuple) else (mutant,) for mutant in mutants]


CASES = [
    Case(Scope('session', 'a writer, a collector, points that expire',
               [O_A_AND_GARBAGE], [writer(wants=B)], expire=('O', 'W1'),
               occurs=('fences W1', 'deletes pack ob', 'put commit/W1: b@ob', 'put commit/W1: b@w1b',
                       'deletes commit/W1', 'commit/W1 is taken')),
         'register_first', 'condemn_first', 'sessions_resolved', 'second_mark', 'commit_exclusive',
         'condemned_absent', 'aborts_stay', 'tombs_first', 'going_not_live',
         ('index_rewritten', 'finals_absent'), ('gc_first', 'finals_absent')),
    Case(Scope('writers', 'two writers, both chunks, packs of one or of both, checkpoints',
               [O_A_AND_GARBAGE], [writer(2, wants=AB, apart=None, checkpoints=True)], expire=('O',))),
    Case(Scope('tentative', 'two writers that share what one of them stored, over two generations',
               [O_A], [writer(2, wants=B)], generations=2,
               occurs=('put commit/W2: b@w1b', 'deletes pack w1b', 'put idx/W1-0')),
         'settled_only', ('fenced_void', 'finals_absent'), ('void_absent', 'finals_absent')),
    Case(Scope('take-over', 'a writer, two collectors, points that expire',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, expire=('O', 'W1'))),
    Case(Scope('zombies', 'a writer, two collectors over two generations',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, generations=2)),
    Case(Scope('repack', 'two collectors over two generations, packs that are partly dead',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=2,
               occurs=('deletes pack oab', 'deletes pack r1a', 'put commit/R2', 'fences R1')),
         ('repack_first', 'second_mark')),
    Case(Scope('repack and writers', 'two writers, one of both chunks with checkpoints, a repack',
               [O_PARTLY_DEAD], [writer(wants=AB, apart=None, checkpoints=True), other(wants=A)],
               repacks=1, expire=('O',))),
    Case(Scope('moved', 'a chunk that is not where the point names it, and may be condemned',
               [P_MOVED, M_HAS_IT], [writer(wants=A)], collectors=2, gone={'u': A}, expire=('P',)),
         'index_decides'),
    Case(Scope('segments that go', 'the chunk of a live point is in the segment of an expired one',
               [P_MOVED, Q_HAS_IT], [writer(wants=A)], gone={'u': A}, expire=('Q',)),
         'going_merged', 'index_settles'),
    Case(Scope('left', 'a pack that was repacked may not be deleted at first; two collectors, two generations',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, locked=('oab',),
               occurs=('is refused to delete pack oab', 'deletes pack oab')),
         'finals_gone'),
    Case(Scope('adoption', 'packs of a session that was fenced, which may not be deleted at first',
               [O_A], [writer(wants=B), adopter(wants=B)], generations=2, locked=('w1b',),
               occurs=('adopts {w1b}', 'is refused to delete pack w1b')),
         'finals_absent'),
    Case(Scope('adoption, gone', 'packs of a session that was fenced, which are deleted',
               [O_A], [writer(wants=B), adopter(wants=B)], generations=2),
         ('adoption_looks', 'finals_absent')),
    Case(Scope('known', 'a writer that knows the index from before; two generations, and a repack',
               [O_PARTLY_DEAD], [writer(wants=AB, recalls=True)], generations=2, repacks=1, expire=('O',),
               occurs=('knows idx', 'put commit/W1: a@oab b@oab')),
         ('known_same', 'finals_absent')),
    Case(Scope('finals', 'two collectors come to their own final; the point that needs a pack expires',
               [O_A_AND_GARBAGE, Q_B], [writer(wants=B)], collectors=2, expire=('Q',),
               begun={'condemn': ('ob',), 'sessions': ()}),
         'final_stays', 'final_stands', 'live_obeys'),
    Case(Scope('index session', 'a collector in the index while the next generation is under way',
               [O_A], [writer(wants=A)], collectors=2, generations=2, expired=('O',), merge_all=True,
               begun={'condemn': (), 'sessions': (), 'final': ()}),
         ('index_exclusive', 'finals_absent')),
    Case(Scope('index and mark', 'a collector lists the index while another one replaces it; a chunk that was moved',
               [P_MOVED, M_HAS_IT], collectors=2, generations=2, gone={'u': A}, merge_all=True,
               begun={'condemn': (), 'sessions': (), 'final': ()}),
         'maintenance_order', 'maintenance_used', 'missing_stops'),
    Case(Scope('lost answers', 'any put may be applied and not answered, and is repeated; two generations',
               [O_A_AND_GARBAGE], [writer(wants=B)], generations=2, expire=('O', 'W1'), lost=ALL),
         'final_expires'),
    Case(Scope('late puts', 'two puts of any kind are applied again when the objects are deleted',
               [O_A_AND_GARBAGE], [writer(wants=B)], expire=('O', 'W1'), late=2, late_kinds=ALL),
         'final_expires', 'finals_absent'),
    Case(Scope('late segment', 'one of a session that was collected',
               [O_B], [writer(wants=B)], expire=('O',), late=1, late_kinds=('O-0',)),
         ('unmarked_void', 'finals_absent')),
    Case(Scope('late pack', 'one that was repacked comes back; two collectors, two generations',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, late=1, late_kinds=('pack',))),
    Case(Scope('late pack, adopted', 'one of a session that was fenced comes back; two collectors',
               [O_A, F_FENCED], [adopter(wants=B)], collectors=2, late=1, late_kinds=('pack',))),
    Case(Scope('locked segment', 'segments and packs may not be deleted; two collectors',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, locked=('O-0', 'ob')),
         'finals_absent'),
    Case(Scope('heir', 'a run of both chunks that died is continued, and its point may expire; two generations',
               [O_A], [writer(wants=AB, checkpoints=True), heir(wants=B)], generations=2, expire=('W1',),
               lost=('commit',), occurs=('by a process that is dead',)),
         'note_ends_first'),
    Case(Scope('heir and another', 'the segment of a run that died is late, and is found by another writer',
               [O_A], [writer(wants=B), heir(wants=A), other(wants=B)]),
         'finals_absent'),
    Case(Scope('locked marker', 'a marker and the commit of a point may not be deleted; it comes back; two generations',
               [O_A], [writer(wants=B)], generations=2, expire=('W1',), locked=('sess/W1', 'commit/W1'), late=1,
               late_kinds=('commit',)),
         'going_unmarked', 'kept_marker_keeps'),
    Case(Scope('late marker', 'any two puts but those of packs are applied again; two generations',
               [O_A], [writer(wants=B)], generations=2, expire=('W1',), late=2, late_kinds=('sess', 'idx', 'commit'))),
    Case(Scope('late collector', 'a collector that puts lists of a generation that is done; two collectors',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, generations=2, retires=True,
               occurs=('}, which was deleted', 'sessions {'))),
    Case(Scope('roll-up', 'a list of all finals; nothing old may be deleted, and an old final does not open any more',
               [O_A_AND_GARBAGE], [writer(wants=B)], generations=2, roll_up=2, locked=('O-0', 'ob'), rot=1,
               rot_kinds=('old',), occurs=('put gc/1/finals {ob}', 'gc/0/final becomes unreadable')),
         'finals_whole'),
    Case(Scope('rot', 'a list of the open generation does not open any more; two collectors',
               [O_A_AND_GARBAGE, Q_B], [writer(wants=B)], collectors=2, rot=1,
               rot_kinds=('condemn', 'sessions', 'final'), begun={'condemn': ('ob',), 'sessions': ()})),
    Case(Scope('rot, lists', 'condemn, sessions; two collectors',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, rot=1, rot_kinds=('condemn', 'sessions')),
         'only_dead_swept'),
    Case(Scope('hold', 'a point may be held and expired at any time; two collectors',
               [O_A_AND_GARBAGE, Q_B], collectors=2, expire=('Q',), hold='Q',
               occurs=('the hold came in time', 'the hold came too late', 'deletes commit/Q')),
         'tombs_before_holds'),
    Case(Scope('hold, index', 'a chunk that was moved; a collector in the index while the next generation is under way',
               [P_MOVED, M_HAS_IT], collectors=2, generations=2, expire=('P',), hold='P', gone={'u': A},
               begun={'condemn': (), 'sessions': (), 'final': ()}),
         'index_turn'),
    Case(Scope('hold, repack', 'a repack meanwhile, a writer',
               [O_A, Old('Q', {'qab': AB}, {A: 'qab'}), Old('N', {}, {B: 'qab'})], [writer(wants=B)], repacks=1,
               expire=('N',), hold='N')),
    Case(Scope('fenced', 'a session that was fenced, whose pack may not be deleted; two generations',
               [O_A, F_MARKED], [writer(wants=B)], generations=2, locked=('fb',)),
         ('index_absent', 'finals_absent')),
    Case(Scope('fenced, gone', 'the same, and the pack is deleted; two generations',
               [O_A, F_MARKED], [writer(wants=B)], generations=2),
         ('void_looks', 'void_absent', 'finals_absent')),

    # ---- only at full size ----

    Case(Scope('zombies, expiry', 'a writer whose point may expire, two collectors over two generations',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, generations=2, expire=('W1',)), size='full'),
    Case(Scope('two of each', 'two writers, two collectors',
               [O_A_AND_GARBAGE], [writer(2, wants=B)], collectors=2), size='full'),
    Case(Scope('writers, take-over', 'a writer of both chunks with checkpoints, two collectors',
               [O_A_AND_GARBAGE], [writer(wants=AB, apart=None, checkpoints=True)], collectors=2, expire=('O', 'W1')),
         size='full'),
    Case(Scope('copies', 'a writer that stores again what is there, and another',
               [O_A_AND_GARBAGE], [writer(wants=AB, apart=None, checkpoints=True, may_miss=True), other(wants=B)],
               expire=('O', 'W1')), size='full'),
    Case(Scope('any garbage', 'two writers, two generations that condemn any part of the garbage; all segments merged',
               [O_A_AND_GARBAGE], [writer(2, wants=B)], generations=2, expire=('W1',), locked=('ob', 'O-0'),
               condemn_any=True, merge_all=True), size='full'),
    Case(Scope('repack, zombies', 'a writer, two collectors over two generations',
               [O_PARTLY_DEAD], [writer(wants=A)], collectors=2, generations=2, repacks=1), size='full'),
    Case(Scope('repack, locks', 'two collectors over two generations; old and new packs may not be deleted',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, expire=('O',), locked=('oab', 'r1a')),
         size='full'),
    Case(Scope('repack, three generations', 'a writer of both chunks; packs and segments may not be deleted',
               [O_PARTLY_DEAD], [writer(wants=AB, checkpoints=True)], generations=3, repacks=2, expire=('O', 'W1'),
               locked=('oab', 'O-0', 'r1a', 'R1-0')), size='full'),
    Case(Scope('repack, late', 'two collectors over two generations; a put of any kind is applied again',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, late=1, late_kinds=ALL), size='full'),
    Case(Scope('repack, lost, late', 'a writer of both chunks, two generations',
               [O_PARTLY_DEAD], [writer(wants=AB)], generations=2, repacks=2, expire=('O', 'W1'), lost=ALL, late=1,
               late_kinds=ALL), size='full'),
    Case(Scope('repack, small ids', 'two collectors over two generations; new packs sort before old ones',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, expire=('O',), newest_first=True), size='full'),
    Case(Scope('moved, small ids', 'as `moved`, with a repack, checkpoints; new packs sort before old ones',
               [P_MOVED, M_HAS_IT], [writer(wants=AB, apart=None, checkpoints=True)], collectors=2, repacks=1,
               gone={'u': A}, expire=('P',), newest_first=True), size='full'),
    Case(Scope('lost, late', 'a writer of both chunks with checkpoints, two generations',
               [O_A_AND_GARBAGE], [writer(wants=AB, apart=None, checkpoints=True)], generations=2, expire=('O', 'W1'),
               lost=ALL, late=1, late_kinds=ALL), size='full'),
    Case(Scope('lost, two writers', 'over two generations; a segment may not be deleted',
               [O_A], [writer(2, wants=B)], generations=2, expire=('W1',), lost=ALL, locked=('W1-0',)), size='full'),
    Case(Scope('lost, take-over', 'a writer, two collectors',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, expire=('O', 'W1'), lost=ALL), size='full'),
    Case(Scope('late, two writers', 'a put of any kind is applied again',
               [O_A], [writer(2, wants=B)], expire=('W1',), late=1, late_kinds=ALL), size='full'),
    Case(Scope('late, take-over', 'a writer, two collectors; a put of any kind is applied again',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, expire=('O',), late=1, late_kinds=ALL), size='full'),
    Case(Scope('adoption, repack', 'of a session with checkpoints, while a pack is repacked',
               [O_PARTLY_DEAD], [writer(wants=AB, apart=None, checkpoints=True), adopter(wants=AB)], repacks=1),
         size='full'),
    Case(Scope('adoption, take-over', 'two collectors; a pack may not be deleted at first',
               [O_A], [writer(wants=B), adopter(wants=B)], collectors=2, locked=('w1b',)), size='full'),
    Case(Scope('adoption, late', 'two generations; a put of any kind is applied again; deletes are refused',
               [O_A], [writer(wants=B), adopter(wants=B)], generations=2, expire=('V', 'W1'), locked=('w1b', 'W1-0'),
               late=1, late_kinds=ALL), size='full'),
    Case(Scope('adoption, lost, late', 'any answer is lost, a put of any kind is applied again',
               [O_A], [writer(wants=B), adopter(wants=B)], expire=('V',), lost=ALL, late=1, late_kinds=ALL),
         size='full'),
    Case(Scope('heir, take-over', 'two collectors, any commit may not be answered',
               [O_A], [writer(wants=B), heir(wants=B)], collectors=2, expire=('W1',), lost=('commit',)), size='full'),
    Case(Scope('heir, repack', 'a put of any kind is applied again; deletes are refused',
               [O_PARTLY_DEAD], [writer(wants=AB, checkpoints=True), heir(wants=AB)], repacks=1, expire=('W1',),
               locked=('oab', 'W1-0'), late=1, late_kinds=ALL), size='full'),
    Case(Scope('heir, adoption', 'the heir is fenced, and a third process adopts',
               [O_A], [writer(wants=B), heir(wants=B), adopter(wants=B)], expire=('W1',)), size='full'),

    # ---- only when they are asked for: minutes each ----

    Case(Scope('zombies, any expiry', 'a writer, two collectors over two generations, points that expire',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, generations=2, expire=('O', 'W1')), size='large'),
    Case(Scope('zombies, lost', 'the same, and commits may not be answered',
               [O_A_AND_GARBAGE], [writer(wants=B)], collectors=2, generations=2, expire=('W1',), lost=('commit',)),
         size='large'),
    Case(Scope('two repacks, locks', 'two collectors over two generations; old and new packs may not be deleted',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=2, expire=('O',), locked=('oab', 'r1a')),
         size='large'),
    Case(Scope('repack, expiry, late', 'two collectors over two generations; a put of any kind is applied again',
               [O_PARTLY_DEAD], collectors=2, generations=2, repacks=1, expire=('O',), late=1, late_kinds=ALL),
         size='large'),
    Case(Scope('index session, expiry', 'as `index session`, at any time',
               [O_A], [writer(wants=A)], collectors=2, generations=2, expire=('O',), merge_all=True,
               begun={'condemn': (), 'sessions': (), 'final': ()}), size='large'),
]


def features(scope):
    """What is in a scope, for the table of what meets what."""
    roles = [role for role, _ in scope.writers]
    return {name for name, has in {
        'two writers': sum(count for role, count in scope.writers if not role.inherits) > 1,
        'checkpoints': any(role.checkpoints for role in roles),
        'expiry': scope.expire or scope.expired,
        'repack': scope.repacks,
        'two collectors': scope.collectors > 1,
        'two generations': scope.generations > 1,
        'refused deletes': scope.locked,
        'adoption': any(role.adopts for role in roles),
        'heir': any(role.inherits for role in roles),
        'lost answers': scope.lost,
        'late puts': scope.late,
    }.items() if has}
