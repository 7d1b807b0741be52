#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The cases of test_proxy.sh: PRIMARY SECONDARY A B CONTROL, the first four as endpoints."""
import email.utils
import http.client
import json
import sys
import threading
import time
import traceback

import client

P = client.Azure(sys.argv[1])
S = client.Azure(sys.argv[2], account="acct1")
A = client.Azure(sys.argv[3])
B = client.Azure(sys.argv[4])
GONE = (OSError, http.client.HTTPException)


def control(method, target):
    conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[5]), timeout=60)
    conn.request(method, target)
    r = conn.getresponse()
    answer = json.loads(r.read())
    conn.close()
    return answer if r.status == 200 else {"status": r.status, **answer}


def set_(**settings):
    control("POST", "/set?" + "&".join(f"{k}={v}" for k, v in settings.items()))


def rule(fault, **more):
    control("POST", f"/rule?fault={fault}" + "".join(f"&{k}={v}" for k, v in more.items()))


def state():
    return control("GET", "/state")


def until(f):
    """Waits for what happens by itself."""
    end = time.monotonic() + 60
    while not f():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def put(key, body=b"x", **headers):
    return P.put("data/" + key, body, {"if-none-match": "*", **{k.replace("_", "-"): v for k, v in headers.items()}})


def get(s, key, **headers):
    return s.request("GET", "/data/" + key, None, {k.replace("_", "-"): v for k, v in headers.items()})


def dead(f, *args, **more):
    try:
        f(*args, **more)
    except GONE:
        return True
    return False


def last_sync():
    a = S.request("GET", "/", {"restype": "service", "comp": "stats"})
    assert a.status == 200
    text = a.body.decode()
    return text.split("<Status>")[1].split("<")[0], text.split("<LastSyncTime>")[1].split("<")[0]


# ---- cases, in this order: the last ones leave no first region behind ----

def bytes_go_through():
    for n in (0, 1, 1000, (3 << 20) + 17):
        body = bytes(i * 7 % 251 for i in range(min(n, 5000))) * (n // 5000 + 1)
        assert put(f"size/{n}", body[:n]).status == 201
        assert get(A, f"size/{n}").body == body[:n]
        assert get(P, f"size/{n}").body == body[:n]
    assert get(P, "size/1000", x_ms_range="bytes=10-19").status == 206
    assert P.request("HEAD", "/data/size/1000").headers["content-length"] == "1000"
    assert put("size/1").code() == "BlobAlreadyExists"
    keys, _ = P.page("data", "size/")
    assert keys == ["size/0", "size/1", "size/1000", f"size/{(3 << 20) + 17}"]
    assert P.request("DELETE", "/data/size/0").status == 202


def what_was_acknowledged_comes_to_the_second_region():
    until(lambda: not state()["pending"])
    assert get(S, "size/1000").body == get(P, "size/1000").body
    assert get(S, "size/0").status == 404
    assert state()["errors"] == []


def a_refused_put_is_not_repeated():
    before = state()["replicated"]
    assert put("size/1").status == 409
    assert state()["pending"] == [] and state()["replicated"] == before


def the_second_region_is_read_only():
    a = S.put("data/no", b"x")
    assert (a.status, a.code()) == (403, "WriteOperationNotSupportedOnSecondary")
    assert S.request("DELETE", "/data/size/1").status == 403
    assert get(P, "no").status == 404


def what_is_held_waits_in_any_order():
    set_(hold=1)
    assert put("held/pack").status == 201
    assert put("held/commit").status == 201
    status, lst = last_sync()
    received = P.request("HEAD", "/data/held/pack").headers["last-modified"]
    assert status == "live"
    assert email.utils.parsedate_to_datetime(lst) <= email.utils.parsedate_to_datetime(received)
    assert get(S, "held/pack").status == 404
    assert control("POST", "/sync?only=commit") == {"replicated": 1}
    assert get(S, "held/commit").status == 200 and get(S, "held/pack").status == 404
    assert state()["pending"] == ["PUT /acct1/data/held/pack"]
    assert last_sync()[1] <= received or email.utils.parsedate_to_datetime(last_sync()[1]) <= \
        email.utils.parsedate_to_datetime(received)
    assert control("POST", "/sync") == {"replicated": 1}
    assert get(S, "held/pack").status == 200
    set_(hold=0)


def one_path_keeps_its_order():
    set_(lag_ms=20, reorder=1)
    for _ in range(5):
        assert put("again").status == 201
        assert P.request("DELETE", "/data/again").status == 202
    assert put("again", b"last").status == 201
    until(lambda: not state()["pending"])
    assert get(S, "again").body == b"last" and state()["errors"] == []
    set_(lag_ms=0, reorder=0)


def the_last_sync_time_is_told():
    now = time.time()
    set_(lst_late_s=900)
    at = email.utils.parsedate_to_datetime(last_sync()[1]).timestamp()
    assert now - 960 < at <= time.time() - 899
    set_(lst_late_s=0, geo="unavailable")
    assert last_sync() == ("unavailable", "")
    set_(geo="live")


def errors_are_answered_and_nothing_is_applied():
    set_(retry_after_s=7)
    for status, code in ((429, "TooManyRequests"), (500, "InternalError"), (503, "ServerBusy")):
        rule(status, path="errors/")
        a = put(f"errors/{status}", b"y" * 100000)
        assert (a.status, a.code(), a.headers["retry-after"]) == (status, code, "7")
        assert get(A, f"errors/{status}").status == 404
        assert put(f"errors/{status}").status == 201
    set_(retry_after_s=0)
    rule(503, method="HEAD")
    assert P.request("HEAD", "/data/size/1").status == 503
    assert P.request("HEAD", "/data/size/1").status == 200


def a_reset_applies_nothing():
    rule("reset", path="reset/")
    assert dead(put, "reset/1")
    assert get(A, "reset/1").status == 404


def a_lost_answer_is_applied():
    rule("lost", path="lost/")
    assert dead(put, "lost/1")
    assert get(A, "lost/1").status == 200
    assert put("lost/1").status == 409
    until(lambda: get(S, "lost/1").status == 200)


def an_answer_is_cut():
    rule("cut", path="size/1000", method="GET")
    assert dead(get, P, "size/1000")
    rule("cut", path="size/1", method="HEAD")
    assert dead(P.request, "HEAD", "/data/size/1")
    rule("cut", method="GET", path="/data")
    assert dead(P.page, "data")


def an_answer_never_comes():
    rule("stall", path="stall/")
    q = client.Azure(sys.argv[1], timeout=0.2)
    assert dead(q.put, "data/stall/1", b"x")
    until(lambda: get(A, "stall/1").status == 200)


def an_answer_is_late_or_of_another_time():
    set_(slow_ms=80, skew_s=-7200)
    rule("slow", path="size/1")
    t = time.monotonic()
    assert get(P, "size/1").status == 200 and time.monotonic() - t >= 0.08
    rule("skew", path="size/1")
    a = get(P, "size/1")
    assert email.utils.parsedate_to_datetime(a.headers["date"]).timestamp() < time.time() - 7000
    assert a.body == b"\0"


def rules_skip_and_count():
    rule(503, path="skip/", skip=1, times=2)
    assert [get(P, "skip/x").status for _ in range(4)] == [404, 503, 503, 404]
    rule("lost", side="secondary", path="size/1")
    assert get(P, "size/1").status == 200 and dead(get, S, "size/1")


def a_plan_follows_from_its_seed():
    def round_(seed):
        control("POST", "/clear")
        set_(**{"seed": seed, "503": 300, "500": 100})
        seen = [[get(P, f"plan/{i}").status for _ in range(3)] for i in range(40)]
        set_(**{"503": 0, "500": 0})
        return seen
    first, second, third = round_(5), round_(5), round_(6)
    assert first == second != third
    flat = [s for row in first for s in row[:2]]
    assert 15 <= sum(s in (500, 503) for s in flat) <= 50
    assert all(row[2] == 404 for row in first) # repeat=2


def a_locked_object_stays():
    soon = email.utils.formatdate(time.time() + 3600, usegmt=True)
    assert put("locked", x_ms_immutability_policy_until_date=soon,
               x_ms_immutability_policy_mode="unlocked").status == 201
    a = P.request("DELETE", "/data/locked")
    assert (a.status, a.code()) == (409, "BlobImmutableDueToPolicy")
    assert get(P, "locked").status == 200
    set_(worm_late_s=3601)
    assert P.request("DELETE", "/data/locked").status == 202
    set_(worm_late_s=0)


def a_lock_is_made_longer():
    def policy(path, seconds, mode):
        return P.request("PUT", path, {"comp": "immutabilityPolicies"}, {
            "x-ms-immutability-policy-until-date": email.utils.formatdate(time.time() + seconds, usegmt=True),
            "x-ms-immutability-policy-mode": mode})
    assert put("longer").status == 201
    assert "x-ms-immutability-policy-mode" not in P.request("HEAD", "/data/longer").headers
    assert policy("/data/longer", 3600, "unlocked").status == 200
    assert P.request("HEAD", "/data/longer").headers["x-ms-immutability-policy-mode"] == "unlocked"
    assert P.request("DELETE", "/data/longer").status == 409
    assert policy("/data/longer", 60, "unlocked").status == 200
    assert policy("/data/longer", 7200, "locked").status == 200
    assert policy("/data/longer", 3600, "locked").status == 409
    assert policy("/data/longer", 9000, "unlocked").status == 409
    set_(worm=2)
    assert policy("/data/longer", 9000, "locked").status == 409
    set_(worm=1, worm_late_s=7201)
    assert P.request("DELETE", "/data/longer").status == 202
    set_(worm_late_s=0)


def requests_are_counted():
    control("POST", "/clear")
    for _ in range(3):
        get(P, "size/1")
    get(P, "size/1000", x_ms_range="bytes=1-2")
    get(P, "size/1000", x_ms_range="bytes=3-4")
    put("counted", b"12345")
    rule(503, path="size/1000")
    get(P, "size/1000")
    get(S, "size/1")
    s = state()
    assert s["primary"] == {"methods": {"GET": 6, "PUT": 1}, "repeated": 2, "needless": [], "faults": {"503": 1},
                            "statuses": {"200": 3, "206": 2, "201": 1, "503": 1}, "bytes_up": 5, "bytes_down": 7}, s
    assert s["secondary"]["methods"] == {"GET": 1}


def latency_and_bandwidth_hold():
    set_(latency_ms=50)
    t = time.monotonic()
    get(P, "size/1")
    assert time.monotonic() - t >= 0.05
    set_(latency_ms=0, bandwidth=4 << 20)
    t = time.monotonic()
    assert len(get(P, f"size/{(3 << 20) + 17}").body) == (3 << 20) + 17
    assert time.monotonic() - t >= 0.5
    set_(bandwidth=0)


def many_at_once():
    wrong = []

    def work(i):
        s = client.Azure(sys.argv[1])
        for k in range(20):
            body = bytes([i, k]) * 5000
            if s.put(f"data/many/{i}/{k}", body).status != 201 or get(s, f"many/{i}/{k}").body != body:
                wrong.append((i, k))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    until(lambda: not state()["pending"])
    assert sorted(client.keys_of(S, "data", "many/")) == sorted(client.keys_of(A, "data", "many/"))
    assert state()["errors"] == []


def mistakes_of_control_are_told():
    assert control("POST", "/set?nothing=1")["status"] == 400
    assert control("POST", "/set?primary=sideways")["status"] == 400
    assert control("POST", "/rule?fault=flood")["status"] == 400
    assert control("GET", "/set")["status"] == 400


def a_region_goes_down_and_comes_back():
    for how in ("refuse", "blackhole"):
        set_(primary=how)
        assert dead(client.Azure(sys.argv[1], timeout=0.3).request, "GET", "/data/size/1")
        assert get(S, "size/1").status == 200
        set_(primary="up")
        P.conn.close()
        assert get(P, "size/1").status == 200
    # Going down breaks off what is under way.
    rule("stall", path="size/1")
    t = threading.Thread(target=lambda: broken.append(dead(client.Azure(sys.argv[1]).request, "GET", "/data/size/1")))
    broken = []
    t.start()
    until(lambda: state()["primary"]["faults"].get("stall"))
    set_(primary="refuse")
    t.join(60)
    assert broken == [True]
    set_(primary="up")
    P.conn.close()


def a_failover_loses_what_was_not_there():
    set_(hold=1)
    assert put("over/lost").status == 201
    assert put("over/kept").status == 201
    assert control("POST", "/sync?only=kept") == {"replicated": 1}
    assert control("POST", "/failover") == {"lost": 1}
    P.conn.close()
    assert get(P, "over/kept").status == 200 and get(P, "over/lost").status == 404
    assert put("over/new").status == 201 and get(B, "over/new").status == 200 and get(A, "over/new").status == 404
    assert dead(get, S, "over/kept")
    assert state()["pending"] == [] and state()["failed_over"] is True


def main():
    failed = 0
    cases = [f for n, f in globals().items() if getattr(f, "__module__", "") == "__main__" and
             f.__code__.co_firstlineno > last_sync.__code__.co_firstlineno and f is not main]
    for f in cases:
        name = f.__name__.strip("_").replace("_", " ")
        try:
            f()
            print("ok  ", name)
        except Exception: # a case may fail in any way; the others go on
            failed += 1
            print("FAIL", name)
            traceback.print_exc(file=sys.stdout)
            control("POST", "/clear")
            P.conn.close()
    print(f"{len(cases) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
