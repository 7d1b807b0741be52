# SPDX-License-Identifier: Apache-2.0
"""Breadth-first search through all states of a world of processes around one store.

A world has `store`, the initial one; `groups`, lists of local states, where the processes of one
group run the same program and may be exchanged; `names` of the processes; and

  steps(local, store)   (text, local, store) of each thing that the process can do next
  settle(local, store)  the local state that the process may be taken to be in, see there
  broken(store)         what is wrong, or None

What a process can do depends on its own state and on the store alone. So stores and local states
are numbered, each pair is worked out once, and a state of the whole is a short tuple of numbers.
Within a group the numbers are sorted: states that differ only in who is who are one state.
Nothing is hashed down: two states are taken as one only if they are equal.
"""
import gc
import time


class Result:
    def __init__(self):
        self.states = self.edges = self.depth = 0
        self.seconds = 0.0
        self.complete = False   # every state that can be reached was looked at, and none is broken
        self.wrong = None       # what is broken, as the world says it
        self.trace = []         # the way there, a line a step


class Explorer:
    def __init__(self, world):
        self.world = world
        self.stores, self.store_ids, self.wrong = [], {}, []
        self.locals, self.local_ids = [], {}
        self.moves_of, self.settled_of = {}, {}
        self.groups, at = [], 1
        for group in world.groups:
            if len(group) > 1:
                self.groups.append((at, at + len(group)))
            at += len(group)

    def store_id(self, store):
        n = self.store_ids.get(store)
        if n is None:
            n = self.store_ids[store] = len(self.stores)
            self.stores.append(store)
            self.wrong.append(self.world.broken(store))
        return n

    def local_id(self, local):
        n = self.local_ids.get(local)
        if n is None:
            n = self.local_ids[local] = len(self.locals)
            self.locals.append(local)
        return n

    def settle(self, local, store):
        found = self.settled_of.get((local, store))
        if found is None:
            found = self.local_id(self.world.settle(self.locals[local], self.stores[store]))
            self.settled_of[local, store] = found
        return found

    def moves(self, local, store):
        """(text, local, store) by number, for each step of a process."""
        found = self.moves_of.get((local, store))
        if found is None:
            found = []
            for text, to_local, to_store in self.world.steps(self.locals[local], self.stores[store]):
                to_store = self.store_id(to_store)
                to_local = self.settle(self.local_id(to_local), to_store)
                if (to_local, to_store) != (local, store):
                    found.append((text, to_local, to_store))
            self.moves_of[local, store] = found
        return found

    def successors(self, state):
        """(index of the process, text, state) of each step, not sorted yet."""
        store, settle = state[0], self.settle
        for i in range(1, len(state)):
            for text, local, to_store in self.moves(state[i], store):
                if to_store == store:
                    to = list(state)
                else:
                    to = [settle(other, to_store) for other in state[1:]]
                    to.insert(0, to_store)
                to[i] = local
                yield i, text, to

    def canonical(self, state):
        for begin, end in self.groups:
            if end - begin == 2:
                if state[begin] > state[begin + 1]:
                    state[begin], state[begin + 1] = state[begin + 1], state[begin]
            else:
                state[begin:end] = sorted(state[begin:end])
        return tuple(state)

    def run(self, limit=None):
        result, began = Result(), time.process_time()
        gc_was_on = gc.isenabled()
        gc.disable()
        try:
            self.search(result, limit)
        finally:
            if gc_was_on:
                gc.enable()
        result.seconds = time.process_time() - began
        return result

    def search(self, result, limit):
        store = self.store_id(self.world.store)
        locals_ = [self.settle(self.local_id(x), store) for group in self.world.groups for x in group]
        self.first = [store] + locals_
        first = self.canonical(list(self.first))
        parents = {first: None}
        level, last = [first], None
        while level and last is None and not (limit and len(parents) > limit):
            following = []
            for state in level:
                if self.wrong[state[0]]:
                    last = state
                    break
                for _, _, to in self.successors(state):
                    result.edges += 1
                    to = self.canonical(to)
                    if to not in parents:
                        parents[to] = state
                        following.append(to)
            result.depth += 1
            level = following
        result.states = len(parents)
        result.complete = last is None and not level
        if last is not None:
            result.wrong = self.wrong[last[0]]
            result.trace = self.retrace(parents, last)

    def retrace(self, parents, last):
        """The steps to a state. Who is who is lost in the sorted states, so they are walked again."""
        path = []
        while last is not None:
            path.append(last)
            last = parents[last]
        state, lines = self.first, []
        for wanted in path[-2::-1]:
            for i, text, to in self.successors(tuple(state)):
                if self.canonical(list(to)) == wanted:
                    lines.append(f"{self.world.names[i - 1]}: {text}")
                    state = to
                    break
            else:
                raise AssertionError('a step of the trace is not found')
        return lines

    def texts(self):
        """What was done by anybody in any state."""
        return {text for moves in self.moves_of.values() for text, _, _ in moves}
