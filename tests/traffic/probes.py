#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Both sides of a plan as they are, `aksdr-restore serve` over one repository, and Traffic Manager as a model
(traffic_manager.py) that probes them on a virtual clock: traffic moves when a side was promoted and at no other
time, in the time that docs/REGIONS.md says, and never back by itself.
"""
import http.client
import http.server
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from traffic_manager import Client, Settings, TrafficManager

BIN = os.environ["BIN"]
PATH = "/traffic/shop"
PATIENCE_S = 0.5  # real time that stands for a probe that nobody answers
WAITED = 3  # such probes really wait; that the rest of them would is known then
HOUR = 3600.0


class Side:
    """A cluster's `serve`, and what stands between it and who probes it."""

    def __init__(self, world, cluster):
        self.world, self.cluster, self.delay, self.port = world, cluster, 0.0, 0
        self.process, self.redirect, self.unanswered = None, None, 0
        self.start()

    def start(self, store=None):
        log = os.path.join(self.world.dir, self.cluster + ".log")
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [BIN + "/aksdr-restore", "serve", "--cluster", self.cluster, "--plan", "shop=we", "--listen",
                 f"127.0.0.1:{self.port}", "--interval", "50", "--key", self.world.key("audit"), "--log-format", "json",
                 "--store", store or self.world.store], stderr=out)
        self.port = int(until(lambda: listening(log)))

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.redirect or self.port, timeout=PATIENCE_S)
        try:
            c.request("GET", path)
            answer = c.getresponse()
            return answer.status, answer.read().decode()
        finally:
            c.close()

    def probe(self):
        """Status, and the seconds that it took by the virtual clock."""
        if self.unanswered >= WAITED and stopped(self.process.pid):
            return 0, float("inf")
        try:
            status = self.get(PATH)[0]
            self.unanswered = 0
            return status, self.delay
        except OSError:
            self.unanswered += 1
            return 0, float("inf")

    def looks(self):
        return int(re.search(r"^aksdr_traffic_looks_total (\d+)$", self.get("/metrics")[1], re.M)[1])



class World:
    def __init__(self, directory):
        self.dir = directory
        self.store = f"file://{directory}/store"
        os.environ["AKSDR_STATE"] = directory + "/state"
        subprocess.run([BIN + "/aksdr-agent", "init", "--store", self.store, "--keys", directory + "/keys", "--quiet"],
                       check=True)
        self.sides = {c: Side(self, c) for c in ("we", "ne")}
        self.caught_up()

    def key(self, name):
        return f"{self.dir}/keys/{name}.key"

    def do(self, verb, *arguments):
        subprocess.run([BIN + "/aksdr-restore", verb, *arguments, "--store", self.store, "--key", self.key("recovery"),
                        "--reason", "test"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.caught_up()

    def promote(self, cluster):
        self.do("promote", "shop", "--cluster", cluster)

    def caught_up(self):
        """A whole look at the store has begun and ended since, of each side that lives."""
        sides = [s for s in self.sides.values() if s.process.poll() is None and not stopped(s.process.pid)]
        for side in sides:
            until(lambda s=side: s.probe()[0])  # who was stopped has connections to end
        before = [side.looks() for side in sides]
        for side, n in zip(sides, before):
            until(lambda s=side, n=n: s.looks() >= n + 2)

    def ask(self, cluster):
        return self.sides[cluster].probe()

    def manager(self, settings=None, **more):
        return TrafficManager(settings or Settings(), ["we", "ne"], self.ask, **more)

    def close(self):
        for side in self.sides.values():
            side.stop()


def until(fn):
    end = time.monotonic() + 60
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited for a minute")
        time.sleep(0.005)  # it asks again


def listening(log):
    with open(log, encoding="utf-8") as f:
        found = re.search(r'"event":"listening","port":(\d+)', f.read())
    return found and found[1]


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def is_at(manager, *wanted):
    got = manager.answers()
    need(got == {wanted}, f"at {manager.now:.0f} s the name is {got}, and not {wanted}")


# ---- stories: each in a world of its own ----

def primary_serves(w):
    m = w.manager()
    m.run(HOUR)
    is_at(m, "we")
    need(not [x for x in m.log if x[2] == "we"], "the primary was Degraded")


def region_is_lost(w):
    """Nothing moves until somebody promotes; then it does, and stays when the region is back."""
    m = w.manager()
    m.run(600)
    w.sides["we"].process.send_signal(signal.SIGSTOP)
    m.run(600 + m.settings.worst_silent())
    is_at(m, "we", "ne")  # both are Degraded: the name is all of them
    m.run(2 * HOUR)
    is_at(m, "we", "ne")
    w.do("fence", "we")
    m.run(2 * HOUR + 600)
    is_at(m, "we", "ne")
    w.promote("ne")
    client = Client(place=1)
    m.resolve(client)
    m.run(m.now + m.settings.interval)
    is_at(m, "ne")
    m.run(m.now + m.settings.ttl)
    need(m.resolve(client) == ("ne",), "a client is still sent to the old side")
    w.sides["we"].process.send_signal(signal.SIGCONT)
    w.caught_up()
    m.run(m.now + 2 * HOUR)
    is_at(m, "ne")


def planned_move(w):
    """Fenced while it lives: it says so at once, and both directions take a record."""
    m = w.manager()
    m.run(600)
    w.do("fence", "we")
    m.run(m.now + m.settings.worst_refused())
    is_at(m, "we", "ne")
    w.promote("ne")
    m.run(m.now + m.settings.interval)
    is_at(m, "ne")
    w.do("unfence", "we")
    m.run(m.now + HOUR)
    is_at(m, "ne")
    w.do("fence", "ne")
    m.run(m.now + m.settings.worst_refused())
    is_at(m, "we", "ne")
    w.promote("we")
    m.run(m.now + m.settings.interval)
    is_at(m, "we")
    w.do("unfence", "ne")
    m.run(m.now + HOUR)
    is_at(m, "we")


def record_without_a_fence(w):
    """Promoted by hand: one side stops when the other begins, whatever is fenced."""
    m = w.manager()
    m.run(600)
    w.promote("ne")
    m.run(m.now + m.settings.worst_refused())
    is_at(m, "ne")


def restarted_without_a_store(w):
    """A side that begins and cannot read the store serves nothing, whoever was the primary."""
    m = w.manager()
    m.run(600)
    w.do("fence", "we")
    w.promote("ne")
    m.run(m.now + m.settings.worst_refused())
    is_at(m, "ne")
    we = w.sides["we"]
    we.stop()
    we.start("file:///does/not/exist")
    m.run(m.now + HOUR)
    is_at(m, "ne")
    need(we.get(PATH) == (503, "the store was not read yet\n"), "it knows what it has not read")


def store_goes_away(w):
    """Who has read the store goes on to answer."""
    w.promote("ne")
    m = w.manager()
    m.run(600)
    is_at(m, "ne")
    (record,) = [os.path.join(d, f) for d, _, fs in os.walk(w.dir + "/store/ctl/owner") for f in fs]
    with open(os.path.join(os.path.dirname(record), "00000002"), "wb") as f:
        f.write(b"nobody can read this")
    w.caught_up()
    m.run(m.now + HOUR)
    is_at(m, "ne")
    metrics = w.sides["ne"].get("/metrics")[1]
    need(re.search(r"^aksdr_traffic_failed_looks_total [1-9]", metrics, re.M), "no look failed")


def flaps(w):
    """Three failures and a success, again and again, are none; the fourth in a row is one."""
    m = w.manager(places=1, phases=[0.0, 15.0])
    for _ in range(20):
        w.sides["we"].delay = 10.1
        m.run(m.now + 3 * 30)
        w.sides["we"].delay = 0.0
        m.run(m.now + 30)
        is_at(m, "we")
    w.sides["we"].delay = 10.1
    m.run(m.now + 4 * 30)
    is_at(m, "we", "ne")
    w.sides["we"].delay = 0.0
    m.run(m.now + 30)
    is_at(m, "we")


def slow(w):
    m = w.manager()
    w.sides["we"].delay = 9.9
    m.run(HOUR)
    is_at(m, "we")
    w.sides["we"].delay = 10.1
    m.run(m.now + m.settings.worst_silent())
    is_at(m, "we", "ne")


def redirected(w):
    """A proxy that sends on to where 200 is does not serve."""
    we = w.sides["we"]
    port = we.port

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(301)
            self.send_header("Location", f"http://127.0.0.1:{port}{PATH}")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        m = w.manager()
        m.run(600)
        we.redirect = server.server_address[1]
        need(we.probe()[0] == 301, "no redirect")
        m.run(m.now + m.settings.worst_refused())
        is_at(m, "we", "ne")
    finally:
        server.shutdown()
        server.server_close()


def all_down(w):
    m = w.manager()
    for side in w.sides.values():
        side.process.send_signal(signal.SIGSTOP)
    m.run(600)
    is_at(m, "we", "ne")


def worst_case(w):
    """Over many phases of the probes: never longer than the arithmetic, and as long as it, nearly."""
    rng = random.Random(1)
    cases = [(Settings(), False, "worst_silent"), (Settings(), True, "worst_delayed"),
             (Settings(interval=10, timeout=9), False, "worst_silent"),
             (Settings(interval=10, timeout=5, tolerated=0), False, "worst_silent"),
             (Settings(interval=10, timeout=5, tolerated=1), True, "worst_delayed")]
    for settings, delayed, name in cases:
        bound, worst = getattr(settings, name)(), 0.0
        for _ in range(200):
            phases = [rng.uniform(0, settings.interval) for _ in range(6)]
            down = rng.uniform(5 * settings.interval, 6 * settings.interval)
            m = TrafficManager(settings, ["we", "ne"], lambda _: (200, 0.0), phases=phases, delayed=delayed)
            m.run(down)
            m.ask = lambda e: (0, float("inf")) if e == "we" else (200, 0.0)
            m.run(down + 2 * bound)
            took = max(at for at, _, e, state in m.log if (e, state) == ("we", "Degraded")) - down
            worst = max(worst, took)
        need(worst <= bound, f"{name} of {settings} is {worst:.1f} s, above {bound:.1f}")
        need(worst > bound - 0.1 * settings.interval, f"{name} of {settings} is {worst:.1f} s, far below {bound:.1f}")
    need((Settings().worst_silent(), Settings().worst_delayed()) == (130, 160), "not as docs/REGIONS.md says")
    fast = Settings(interval=10, timeout=5, tolerated=3)
    need((fast.worst_refused(), fast.worst_silent()) == (40, 45), "not as docs/REGIONS.md says")


STORIES = [primary_serves, region_is_lost, planned_move, record_without_a_fence, restarted_without_a_store,
           store_goes_away, flaps, slow, redirected, all_down, worst_case]


def main():
    passed = failed = 0
    for story in STORIES:
        with tempfile.TemporaryDirectory() as directory:
            world = World(directory)
            try:
                story(world)
                passed += 1
                print(f"ok   {story.__name__}")
            except Exception as e:  # whatever it is, the other stories are told
                failed += 1
                print(f"FAIL {story.__name__}: {type(e).__name__}: {e}")
            finally:
                world.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
