# SPDX-License-Identifier: Apache-2.0
"""
Azure Traffic Manager with priority routing, as its documentation describes it
(learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring), on a virtual clock.

Agents in several places probe each endpoint, each at its own times, and count failures in a row by
themselves. A probe is a GET; 200 in time is success, all else is not, redirects included. One failure more
than are tolerated makes the endpoint Degraded there, one success Online. A name is answered with the
Online endpoint of the first priority; where all are Degraded, with all of them. Who has asked keeps the
answer for the TTL.
"""
import heapq
from dataclasses import dataclass, field


@dataclass
class Settings:
    interval: float = 30.0
    timeout: float = 10.0
    tolerated: int = 3
    ttl: float = 30.0

    def __post_init__(self):
        allowed = {30: (5, 10), 10: (5, 9)}.get(self.interval)
        if not allowed or not allowed[0] <= self.timeout <= allowed[1] or not 0 <= self.tolerated <= 9:
            raise ValueError("settings that the service refuses")

    def worst_refused(self):
        """From the first refused answer until no place hands the endpoint out: answers come at once."""
        return self.interval * (1 + self.tolerated)

    def worst_silent(self):
        """The same when nothing answers: the last probe must time out too."""
        return self.worst_refused() + self.timeout

    def worst_delayed(self):
        """The same when each probe that times out delays the next one."""
        return (self.interval + self.timeout) * (1 + self.tolerated)


@dataclass
class View:
    """What one place thinks of one endpoint."""
    failures: int = 0
    online: bool = True
    probes: int = 0


@dataclass
class Client:
    """Who asks for the name, through the place next to it."""
    place: int
    answer: tuple = ()
    until: float = -1.0


@dataclass(order=True)
class Probe:
    at: float
    place: int
    endpoint: str = field(compare=False)


class TrafficManager:
    """endpoints: names in the order of priority. ask(name) -> (status, seconds that it took)."""

    def __init__(self, settings, endpoints, ask, places=3, phases=None, delayed=False):
        self.settings, self.endpoints, self.ask = settings, endpoints, ask
        self.delayed = delayed  # a probe that times out delays the next one
        self.now, self.log = 0.0, []
        self.views = {(p, e): View() for p in range(places) for e in endpoints}
        self.places = places
        phases = phases or [i * settings.interval / (places * len(endpoints)) for i in range(places * len(endpoints))]
        self.queue = [Probe(phase, p, e) for phase, (p, e) in zip(phases, self.views)]
        heapq.heapify(self.queue)

    def run(self, until):
        """All probes up to that time."""
        while self.queue[0].at <= until:
            probe = heapq.heappop(self.queue)
            self.now = probe.at
            status, took = self.ask(probe.endpoint)
            late = took > self.settings.timeout
            self.note(probe, status == 200 and not late, min(took, self.settings.timeout))
            wait = self.settings.interval + (self.settings.timeout if late and self.delayed else 0)
            heapq.heappush(self.queue, Probe(probe.at + wait, probe.place, probe.endpoint))
        self.now = until

    def note(self, probe, good, took):
        view = self.views[probe.place, probe.endpoint]
        view.probes += 1
        view.failures = 0 if good else view.failures + 1
        before = view.online
        if good:
            view.online = True
        elif view.failures > self.settings.tolerated:
            view.online = False
        if view.online != before:
            self.log.append((probe.at + took, probe.place, probe.endpoint, "Online" if view.online else "Degraded"))

    def answer(self, place):
        online = [e for e in self.endpoints if self.views[place, e].online]
        return (online[0],) if online else tuple(self.endpoints)

    def answers(self):
        """What the name is anywhere."""
        return {self.answer(p) for p in range(self.places)}

    def resolve(self, client):
        if self.now >= client.until:
            client.answer, client.until = self.answer(client.place), self.now + self.settings.ttl
        return client.answer
