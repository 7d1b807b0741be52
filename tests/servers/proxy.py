#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A bad network and a second region, in front of one or two object stores that speak HTTP/1.1.

  proxy.py --a HOST:PORT [--b HOST:PORT] [KEY=VALUE...]

prints the ports that it listens on, one a line, then works until it is killed:

  primary PORT     leads to A
  secondary PORT   leads to B; read-only (without --b: not there)
  control PORT     see below

What A has acknowledged (PUT, DELETE, POST with a 2xx answer) is repeated to B later, byte for byte, so
both need the same credentials. Requests for one path keep their order, others need not. The secondary
answers ?restype=service&comp=stats itself: LastSyncTime is before the receipt of everything that
B lacks. A request that still runs may be applied already, so it holds the time back as well.

The control port speaks HTTP; all answers are JSON.

  GET  /state                     settings, counts, pending
  POST /set?KEY=VALUE&...         changes settings; connections of a side that goes down or elsewhere are reset
  POST /sync?only=TEXT&n=N        repeats to B now what waits (whose path has TEXT; at most N), and then answers
  POST /failover                  what waits is lost, the primary's port leads to B, there is no secondary
  POST /rule?fault=F&method=M&path=TEXT&skip=N&times=N&side=primary|secondary
                                  F for the next `times` (1) matching requests, after the first `skip` (0)
  POST /clear                     forgets rules and counts

Settings:

  lag_ms=0          how long after its answer a request is repeated to B
  reorder=0         1: each after a random time up to twice as long
  hold=0            1: nothing is repeated but by /sync
  lst_late_s=0      the time that is told is so much older still
  geo=live          the status that is told: live, bootstrap, unavailable (without a time)
  primary=up        up; refuse (reset at once); blackhole (accepted, never answered)
  secondary=up      the same
  latency_ms=0      waited before each request is handed on
  bandwidth=0       bytes a second each way, of all connections together; 0: no limit
  worm=1            a PUT with x-ms-immutability-policy-until-date protects its path: DELETE is 409 until then, GET and
                    HEAD tell it, and PUT ?comp=immutabilityPolicies changes it, as far as its mode allows;
                    2: containers have no such thing: such a PUT is 409 FeatureNotSupportedForAccount
  worm_late_s=0     the clock for that is so far ahead
  skew_s=0          what the fault `skew` adds to the Date of an answer
  slow_ms=1000      how late the fault `slow` answers
  retry_after_s=0   Retry-After of 429, 500 and 503; 0: none
  seed=0            the plan: whether a request gets a fault follows from seed, method, path and how often
                    that came before, whatever else goes on
  repeat=2          after so many times of the same request it gets no fault of the plan
  on=primary        sides that the plan is for: primary, secondary, both
  429= 500= 503= reset= slow= stall= cut= lost= skew=     faults of the plan, in thousandths of the requests

Faults: 429, 500 and 503 are answered, and nothing is applied; `reset`: the connection is reset after
the head of the request; `stall`: never answered; `slow`, `skew`: see above; `cut`: the connection is closed
within the answer; `lost`: applied, and the connection is reset instead of the answer.

Counts, for each side: requests by method, `repeated` ones (the same method, path, query and range as an
earlier one), `needless` PUTs (repeated, though each earlier one was answered), faults by name, bytes up
and down, and statuses.
"""
import asyncio
import collections
import email.utils
import hashlib
import json
import random
import signal
import socket
import struct
import sys
import time
import urllib.parse

BLOCK = 512 << 10
HEAD_MAX = 64 << 10
TRIES = 20
PLAN = ("429", "500", "503", "reset", "slow", "stall", "cut", "lost", "skew")
NUMBERS = {"lag_ms": 0, "reorder": 0, "hold": 0, "lst_late_s": 0, "latency_ms": 0, "bandwidth": 0, "worm": 1,
           "worm_late_s": 0, "skew_s": 0, "slow_ms": 1000, "retry_after_s": 0, "seed": 0, "repeat": 2,
           **{f: 0 for f in PLAN}}
WORDS = {"primary": ("up", "refuse", "blackhole"), "secondary": ("up", "refuse", "blackhole"),
         "geo": ("live", "bootstrap", "unavailable"), "on": ("primary", "secondary", "both")}
CODES = {429: ("Too Many Requests", "TooManyRequests"), 500: ("Internal Server Error", "InternalError"),
         503: ("Service Unavailable", "ServerBusy"), 403: ("Forbidden", "WriteOperationNotSupportedOnSecondary"),
         409: ("Conflict", "BlobImmutableDueToPolicy"), 400: ("Bad Request", "InvalidInput")}


class Gone(Exception):
    """The other end of a connection has gone, or sends what is no HTTP."""


class Link:
    """A connection, and what was read of it too early."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""
        self.used = time.monotonic()
        self.task = self.buffer = None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def fill(self):
        try:
            more = await asyncio.get_running_loop().sock_recv(self.sock, HEAD_MAX)
        except OSError as e:
            raise Gone from e
        if not more:
            raise Gone
        self.rest += more

    async def until(self, mark):
        """Everything up to and including mark."""
        while (at := self.rest.find(mark)) < 0:
            if len(self.rest) > HEAD_MAX:
                raise Gone
            await self.fill()
        at += len(mark)
        got, self.rest = self.rest[:at], self.rest[at:]
        return got

    async def send(self, data):
        try:
            await asyncio.get_running_loop().sock_sendall(self.sock, data)
        except OSError as e:
            raise Gone from e

    def view(self):
        """Somewhere to read to: zeroing it for each request would cost more than small requests do."""
        if not self.buffer:
            self.buffer = memoryview(bytearray(BLOCK))
        return self.buffer

    async def closed(self):
        """Until the other end gives up."""
        while True:
            self.rest = b""
            await self.fill()

    def idle(self):
        """Nothing came and the other end has not closed it."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def will_reset(self):
        """When it is closed the other end sees a reset, not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self):
        self.sock.close()


class Pipe:
    """A direction with a limited bandwidth, shared by all connections."""

    def __init__(self, settings):
        self.settings = settings
        self.free_at = 0.0

    async def take(self, n):
        rate = self.settings["bandwidth"]
        if not rate:
            return
        now = time.monotonic()
        # Waits shorter than a timer can do are made up for later, and so is what a timer was late.
        self.free_at = max(self.free_at, now - 0.05) + n / rate
        if self.free_at - now > 0.002:
            await asyncio.sleep(self.free_at - now)


class Head:
    """The first lines of a request or an answer."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw[:-4].split(b"\r\n")
        self.first = lines[0].decode("latin-1").split(" ", 2)
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            self.fields[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        if len(self.first) < 2:
            raise Gone

    def get(self, name):
        return self.fields.get(name, "")

    def length(self):
        try:
            return int(self.get("content-length") or 0)
        except ValueError as e:
            raise Gone from e

    def chunked(self):
        return "chunked" in self.get("transfer-encoding").lower()

    def to_the_end(self):
        """An answer whose body ends with the connection."""
        return self.first[0].startswith("HTTP/") and not self.chunked() and "content-length" not in self.fields

    def without(self, name):
        """Its bytes without a field."""
        lines = self.raw[:-4].split(b"\r\n")
        kept = [l for l in lines if l.partition(b":")[0].strip().lower() != name.encode()]
        return b"\r\n".join(kept) + b"\r\n\r\n"


async def relay(src, head, has_body, dst, pipe, keep=None, stop_after=None):
    """
    The body of src's message to dst (which may be None); keep gets a copy. stop_after: so many bytes
    only. When dst has gone the rest is read all the same. Returns bytes, and whether dst got all.
    """
    loop = asyncio.get_running_loop()
    total, well = 0, True

    async def put(data):
        nonlocal total, well
        await pipe.take(len(data))
        if keep is not None:
            keep.extend(data)
        total += len(data)
        if dst and well:
            try:
                await dst.send(data)
            except Gone:
                well = False

    async def exactly(n):
        while n > 0:
            if src.rest:
                data, src.rest = src.rest[:n], src.rest[n:]
            else:
                view = src.view()
                try:
                    k = await loop.sock_recv_into(src.sock, view[:min(n, BLOCK)])
                except OSError as e:
                    raise Gone from e
                if k == 0:
                    raise Gone
                data = view[:k]
            n -= len(data)
            await put(data)

    if has_body and head.chunked():
        while True:
            line = await src.until(b"\r\n")
            await put(line)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as e:
                raise Gone from e
            if size == 0:
                break
            await exactly(size + 2)
            if stop_after is not None and total > stop_after:
                return total, well
        while line != b"\r\n":
            line = await src.until(b"\r\n")
            await put(line)
    elif has_body and head.to_the_end():
        try:
            while True:
                if not src.rest:
                    await src.fill()
                data, src.rest = src.rest, b""
                await put(data)
        except Gone:
            pass
    elif has_body:
        n = head.length()
        await exactly(n if stop_after is None else min(n, stop_after))
    return total, well


def answer(status, code=None, extra=(), body=None, date=True):
    text, word = CODES.get(status, ("OK", ""))
    code = code or word
    if body is None:
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{text}.</Message></Error>'
    data = body.encode()
    lines = [f"HTTP/1.1 {status} {text}", f"Content-Length: {len(data)}", "Content-Type: application/xml", *extra]
    if status >= 400:
        lines.append(f"x-ms-error-code: {code}")
    if date:
        lines.append("Date: " + email.utils.formatdate(usegmt=True))
    return "\r\n".join(lines).encode() + b"\r\n\r\n", data


class Pending:
    """A request that B has not got yet."""

    def __init__(self, method, path, began):
        self.method, self.path, self.began = method, path, began
        self.raw = None # head and body; None while A has not answered
        self.due = 0.0
        self.tries = 0


class Side:
    def __init__(self, name, target):
        self.name, self.target = name, target
        self.links = set()
        self.clear()

    def clear(self):
        self.methods, self.faults, self.statuses = (collections.Counter() for _ in range(3))
        self.repeated = self.up = self.down = 0
        self.seen = collections.Counter()
        self.struck = collections.Counter()
        self.needless = []

    def reset_all(self):
        for link in self.links:
            link.will_reset()
            link.task.cancel()

    def counts(self):
        return {"methods": dict(self.methods), "repeated": self.repeated,
                "needless": self.needless, "faults": dict(self.faults),
                "statuses": dict(self.statuses), "bytes_up": self.up, "bytes_down": self.down}


def policy_of(head):
    """Until when (0: not at all) and how a request wants its object to be kept."""
    until = head.get("x-ms-immutability-policy-until-date")
    mode = head.get("x-ms-immutability-policy-mode").lower() or "unlocked"
    return (email.utils.parsedate_to_datetime(until).timestamp() if until else 0), mode


def policy_lines(until, mode):
    return [f"x-ms-immutability-policy-until-date: {email.utils.formatdate(until, usegmt=True)}",
            f"x-ms-immutability-policy-mode: {mode}"]


class Proxy:
    def __init__(self, a, b):
        self.settings = {**NUMBERS, **{k: v[0] for k, v in WORDS.items()}}
        self.sides = {"primary": Side("primary", a), "secondary": Side("secondary", b)}
        self.b = b
        self.pending = [] # in the order of receipt
        self.replicated, self.errors = 0, []
        self.failed_over, self.frozen = False, None
        self.rules = []
        self.worm = {}
        self.random = random.Random(0)
        self.wake = asyncio.Event()
        self.copying = asyncio.Lock()
        self.up, self.down = Pipe(self.settings), Pipe(self.settings)
        self.tasks = set()

    # ---- what happens to a request ----

    def fault(self, side, method, path, nth):
        for rule in self.rules:
            if rule["side"] == side.name and rule["method"] in ("", method) and rule["path"] in path:
                if rule["skip"] > 0:
                    rule["skip"] -= 1
                elif rule["times"] > 0:
                    rule["times"] -= 1
                    return rule["fault"]
        s = self.settings
        if s["on"] not in (side.name, "both") or nth >= s["repeat"] or not any(s[f] for f in PLAN):
            return None
        text = f"{s['seed']}\n{method}\n{path}\n{nth}".encode()
        at = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % 1000
        for f in PLAN:
            if at < s[f]:
                return f
            at -= s[f]
        return None

    def last_sync(self):
        """Everything that was received before this second is in B."""
        if self.frozen is not None:
            return self.frozen
        return min([int(time.time()), *(int(p.began) for p in self.pending)]) - self.settings["lst_late_s"]

    def set_policy(self, path, head):
        until, mode = policy_of(head)
        old, old_mode = self.worm.get(path, (0, ""))
        if old_mode == "locked" and (until < old or mode != "locked"):
            return answer(409)
        if not until:
            return answer(400)
        self.worm[path] = (until, mode)
        return answer(200, extra=policy_lines(until, mode), body="")

    def stats(self):
        lst = email.utils.formatdate(self.last_sync(), usegmt=True)
        geo = self.settings["geo"]
        return ('<?xml version="1.0" encoding="utf-8"?><StorageServiceStats><GeoReplication>'
                f"<Status>{geo}</Status><LastSyncTime>{lst if geo != 'unavailable' else ''}</LastSyncTime>"
                "</GeoReplication></StorageServiceStats>")

    def protected(self, path):
        until = self.worm.get(path, (0, ""))[0]
        return self.settings["worm"] and until and time.time() + self.settings["worm_late_s"] < until

    async def serve(self, side, sock):
        """One connection of a client."""
        link = Link(sock)
        link.task, link.server = asyncio.current_task(), None
        side.links.add(link)
        try:
            if self.settings[side.name] == "refuse":
                link.will_reset()
            elif self.settings[side.name] == "blackhole":
                await link.closed()
            else:
                while await self.request(side, link, Head(await link.until(b"\r\n\r\n"))):
                    pass
        except Gone:
            pass
        finally:
            side.links.discard(link)
            link.close()
            if link.server:
                link.server.close()

    async def connected(self, side, link):
        """A connection to the server: the one of the request before when it is still good."""
        old, link.server = link.server, None
        if old and time.monotonic() - old.used < 2 and old.idle():
            link.server = old
        else:
            if old:
                old.close()
            link.server = await dial(side.target)
        return link.server

    async def request(self, side, link, head):
        """Whether another one may follow on the client's connection."""
        method, target = head.first[0], head.first[1]
        path, _, query = target.partition("?")
        again = (method, target, head.get("range") + head.get("x-ms-range"))
        nth = side.seen[again]
        side.seen[again] += 1
        side.methods[method] += 1
        side.repeated += nth > 0
        fault = self.fault(side, method, path, nth)
        if method == "PUT" and nth > side.struck[again] and len(side.needless) < 1000:
            side.needless.append(target)
        if fault:
            side.faults[fault] += 1
            side.struck[again] += fault not in ("slow", "skew")
        goes_on = head.get("connection").lower() != "close"
        if self.settings["latency_ms"]:
            await asyncio.sleep(self.settings["latency_ms"] / 1000)
        if fault == "reset":
            link.will_reset()
            return False
        if head.get("expect"):
            await link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = Head(head.without("expect"))
        own = None
        if fault in ("429", "500", "503"):
            wait = self.settings["retry_after_s"]
            own = answer(int(fault), extra=[f"Retry-After: {wait}"] if wait else [])
        elif side.name == "secondary" and method not in ("GET", "HEAD"):
            own = answer(403)
        elif side.name == "secondary" and "comp=stats" in query:
            own = answer(200, body=self.stats())
        elif method == "DELETE" and self.protected(path):
            own = answer(409)
        elif method == "PUT" and "comp=immutabilityPolicies" in query:
            own = self.set_policy(path, head) if self.settings["worm"] == 1 else \
                answer(409, code="FeatureNotSupportedForAccount")
        if own:
            n, _ = await relay(link, head, True, None, self.up)
            side.up += n
            side.statuses[own[0][9:12].decode()] += 1
            await link.send(own[0] + (b"" if method == "HEAD" else own[1]))
            return goes_on

        waits = None
        if method not in ("GET", "HEAD") and side.name == "primary" and self.b and not self.failed_over:
            waits = Pending(method, path, time.time())
            self.pending.append(waits)
        try:
            return await self.handed_on(side, link, head, fault, waits) and goes_on
        finally:
            if waits and waits.raw is None and waits in self.pending:
                self.pending.remove(waits)

    async def handed_on(self, side, link, head, fault, waits):
        method, path = head.first[0], head.first[1].partition("?")[0]
        server = await self.connected(side, link)
        keep = bytearray(head.raw) if waits else None
        await server.send(head.raw)
        n, _ = await relay(link, head, True, server, self.up, keep)
        side.up += n
        reply = Head(await server.until(b"\r\n\r\n"))
        while reply.first[1] == "100":
            reply = Head(await server.until(b"\r\n\r\n"))
        status = reply.first[1]
        has_body = method != "HEAD" and status not in ("204", "304")
        side.statuses[status] += 1
        if status.startswith("2"):
            self.applied(method, path, head, waits, keep)
        if fault == "lost":
            link.will_reset()
            return False
        if fault == "stall":
            await link.closed()
        if fault == "slow":
            await asyncio.sleep(self.settings["slow_ms"] / 1000)
        raw = reply.raw
        if fault == "skew":
            late = email.utils.formatdate(time.time() + self.settings["skew_s"], usegmt=True)
            raw = reply.without("date")[:-2] + f"Date: {late}\r\n\r\n".encode()
        if method in ("GET", "HEAD") and status.startswith("2") and self.settings["worm"] and path in self.worm:
            raw = raw[:-2] + "".join(f"{line}\r\n" for line in policy_lines(*self.worm[path])).encode() + b"\r\n"
        if fault == "cut":
            if has_body and (reply.chunked() or reply.length() > 1):
                await link.send(raw)
                await relay(server, reply, True, link, self.down, None, max(reply.length() // 2, 1))
            else:
                await link.send(raw[:7]) # a client may forgive what is missing after the first line
            return False
        await link.send(raw)
        n, well = await relay(server, reply, has_body, link, self.down)
        side.down += n
        server.used = time.monotonic()
        if reply.get("connection").lower() == "close":
            link.server = None
            server.close()
        return well and not (has_body and reply.to_the_end())

    def applied(self, method, path, head, waits, keep):
        until, mode = policy_of(head)
        if method == "PUT" and until:
            self.worm[path] = (until, mode)
        elif method == "DELETE":
            self.worm.pop(path, None)
        if not waits or waits not in self.pending:
            return # the others are of no second region, or were given up by a failover
        waits.raw = bytes(keep)
        lag = self.settings["lag_ms"] / 1000
        waits.due = time.monotonic() + (self.random.uniform(0, 2 * lag) if self.settings["reorder"] else lag)
        self.wake.set()

    # ---- the second region ----

    def next_due(self, only=""):
        """What may be repeated next, the soonest first; nothing passes an earlier one of its path."""
        first = {}
        for p in self.pending:
            first.setdefault(p.path, p)
        ready = [p for p in first.values() if p.raw is not None and only in p.path]
        return min(ready, key=lambda p: p.due, default=None)

    async def copy(self, p):
        failed = None
        try:
            link = await dial(self.b)
            try:
                await link.send(p.raw)
                reply = Head(await link.until(b"\r\n\r\n"))
                status = reply.first[1]
                # What is there, or gone, already is so by an earlier try of the same.
                there = status in ("409", "412") or (p.method, status) == ("DELETE", "404")
                if not status.startswith("2") and not there:
                    failed = status
            finally:
                link.close()
        except Gone:
            failed = "no answer"
        p.tries += 1
        # Replication loses nothing: what B did not take for once is repeated, and holds the time back.
        if failed and p.tries < TRIES:
            await asyncio.sleep(0.1)
            return
        if failed:
            self.errors.append(f"{p.method} {p.path}: {failed}")
        if p in self.pending:
            self.pending.remove(p)
            self.replicated += 1

    async def replicate(self):
        while True:
            p = None if self.settings["hold"] else self.next_due()
            wait = p.due - time.monotonic() if p else None
            if p and wait <= 0:
                async with self.copying:
                    if p in self.pending and not self.settings["hold"]:
                        await self.copy(p)
                continue
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), wait)
            except asyncio.TimeoutError:
                pass

    async def sync(self, only, n):
        done = 0
        while done < n:
            async with self.copying:
                p = self.next_due(only)
                if not p:
                    break
                await self.copy(p)
                done += 1
        return done

    def failover(self):
        self.frozen = self.last_sync()
        self.failed_over = True
        lost = len(self.pending)
        self.pending.clear()
        self.sides["primary"].target = self.b
        self.settings["primary"], self.settings["secondary"] = "up", "refuse"
        for side in self.sides.values():
            side.reset_all()
        return lost

    # ---- control ----

    def set(self, key, value):
        if key in NUMBERS:
            self.settings[key] = int(value)
        elif key in WORDS and value in WORDS[key]:
            before, self.settings[key] = self.settings[key], value
            if key in self.sides and before != value:
                self.sides[key].reset_all()
        else:
            raise ValueError(f"there is no setting {key}={value}")
        if key == "seed":
            self.random.seed(int(value))
        self.wake.set()

    def state(self):
        return {"settings": self.settings, "failed_over": self.failed_over, "replicated": self.replicated,
                "errors": self.errors, "pending": [f"{p.method} {p.path}" for p in self.pending],
                "last_sync_s": self.last_sync(), "rules": self.rules, **{n: s.counts() for n, s in self.sides.items()}}

    async def command(self, method, target):
        url = urllib.parse.urlsplit(target)
        args = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        verb = (method, url.path)
        if verb == ("GET", "/state"):
            return self.state()
        if verb == ("POST", "/set"):
            for key, value in args.items():
                self.set(key, value)
            return self.settings
        if verb == ("POST", "/sync"):
            return {"replicated": await self.sync(args.get("only", ""), int(args.get("n", sys.maxsize)))}
        if verb == ("POST", "/failover"):
            if not self.b:
                raise ValueError("there is no second region")
            return {"lost": self.failover()}
        if verb == ("POST", "/rule"):
            rule = {"fault": args["fault"], "method": args.get("method", ""), "path": args.get("path", ""),
                    "skip": int(args.get("skip", 0)), "times": int(args.get("times", 1)),
                    "side": args.get("side", "primary")}
            if rule["fault"] not in PLAN or rule["side"] not in self.sides:
                raise ValueError("there is no such fault or side")
            self.rules.append(rule)
            return rule
        if verb == ("POST", "/clear"):
            self.rules.clear()
            for side in self.sides.values():
                side.clear()
            return {}
        raise ValueError(f"there is no {method} {url.path}")

    async def control(self, sock):
        link = Link(sock)
        try:
            while True:
                head = Head(await link.until(b"\r\n\r\n"))
                await relay(link, head, True, None, Pipe({"bandwidth": 0}))
                try:
                    status, result = 200, await self.command(head.first[0], head.first[1])
                except (ValueError, KeyError) as e:
                    status, result = 400, {"error": str(e)}
                a = answer(status, code="Bad", body=json.dumps(result) + "\n")
                await link.send(a[0] + a[1])
        except Gone:
            pass
        finally:
            link.close()

    async def listen(self, handler):
        sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        sock.setblocking(False)

        async def accept():
            loop = asyncio.get_running_loop()
            while True:
                conn, _ = await loop.sock_accept(sock)
                task = asyncio.create_task(handler(conn))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

        self.tasks.add(asyncio.create_task(accept()))
        return sock.getsockname()[1]


async def dial(target):
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, target)
    except OSError as e:
        sock.close()
        raise Gone from e
    return Link(sock)


async def main(args):
    targets = {"--a": None, "--b": None}
    while len(args) >= 2 and args[0] in targets:
        host, _, port = args[1].rpartition(":")
        targets[args[0]] = (host, int(port))
        args = args[2:]
    if not targets["--a"]:
        sys.exit(__doc__)
    p = Proxy(targets["--a"], targets["--b"])
    for arg in args:
        p.set(*arg.split("=", 1))
    ports = [("primary", await p.listen(lambda s: p.serve(p.sides["primary"], s)))]
    if p.b:
        ports.append(("secondary", await p.listen(lambda s: p.serve(p.sides["secondary"], s))))
        p.tasks.add(asyncio.create_task(p.replicate()))
    ports.append(("control", await p.listen(p.control)))
    for name, port in ports:
        print(name, port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"proxy: {error}")
