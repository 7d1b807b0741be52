#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the servers of the tests really do, asked by plain requests: the table in docs/STORES.md.

  facts.py AZURITE-ENDPOINT VERSITY-ENDPOINT SEAWEED-ENDPOINT      prints the table

Each has a container `data`, those of S3 a bucket `locked`. tests/servers/facts.sh compares it with the document.
"""
import base64
import datetime
import http.client
import sys
import threading

import client

KEYS = ["b", "a/b", "a-b", "a.b", "a0", "a_b", "a/a/z", "a/a0", "a/a-z", "a-/b", "a-/-", "a/a.z", "9"]


def crc64(data):
    """CRC-64/NVME."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return crc ^ (1 << 64) - 1


def b64(data):
    return base64.b64encode(data).decode()


def says(a):
    code = a.code()
    return f"{a.status} {code}" if code else str(a.status)


def racers(kind, endpoint, n=16):
    """What the losers of a race for one new key are told."""
    start = threading.Barrier(n)
    answers = []

    def one(i):
        s = client.service(kind, endpoint)
        start.wait()
        answers.append(s.put("data/race", b"%d" % i, {"if-none-match": "*"}))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    won = [a for a in answers if a.status in (200, 201)]
    told = sorted({says(a) for a in answers if a.status not in (200, 201)})
    return f"{len(won)} wins; {', '.join(told)}"


def order(s, empty):
    for key in KEYS:
        a = s.put("data/order/" + key, b"" if empty else b"x")
        if a.status >= 300:
            return f"{key}: {says(a)}"
    got = [k.removeprefix("order/") for k in client.keys_of(s, "data", "order/")]
    # One key a page, as well: an order that only a single page has is none.
    paged, marker = [], ""
    while True:
        keys, marker = s.page("data", "order/", marker, most=1)
        paged += [k.removeprefix("order/") for k in keys]
        if not marker:
            break
    want = sorted(KEYS, key=str.encode)
    if got != want:
        lost = [k for k in want if k not in got]
        return "lacks " + " ".join(lost) if lost else "no: " + " ".join(got)
    return "bytes" if paged == want else "bytes in a page; over pages: " + " ".join(paged)


def below(s):
    """An object whose key lies below another one's, and one whose key lies above."""
    out = []
    for d, first, second in (("1", "a", "a/b"), ("2", "a/b", "a")):
        s.put(f"data/below{d}/{first}", b"1")
        a = s.put(f"data/below{d}/{second}", b"2")
        keys = [k.removeprefix(f"below{d}/") for k in client.keys_of(s, "data", f"below{d}/")]
        read = [s.request("GET", f"/data/below{d}/{k}").body for k in (first, second)]
        whole = sorted(keys) == ["a", "a/b"] and read == [b"1", b"2"]
        out.append("both kept" if whole else says(a) if a.status >= 300 else f"{says(a)}, then {' '.join(keys)}")
    return out[0] if out[0] == out[1] else "; ".join(out)


def ranges(s, name):
    s.put("data/r", b"12345")
    s.put("data/empty", b"")
    told = []
    for key, spec in (("r", "bytes=1-2"), ("r", "bytes=3-9"), ("r", "bytes=5-9"), ("empty", "bytes=0-0")):
        a = s.request("GET", "/data/" + key, None, {name: spec})
        told.append(f"{a.status}" + (f" ({len(a.body)} B)" if a.status < 300 else ""))
    return ", ".join(told)


def head_missing(s):
    return says(s.request("HEAD", "/data/no-such-key")) + ", " + says(s.request("GET", "/data/no-such-key"))


def times(s, kind):
    """The same object's time of receipt by HEAD and by a listing."""
    s.put("data/times/x", b"x")
    head = s.request("HEAD", "/data/times/x").headers["last-modified"]
    query = {"restype": "container", "comp": "list"} if kind == "azure" else {"list-type": "2"}
    text = s.request("GET", "/data", {**query, "prefix": "times/"}).body.decode()
    tag = "Last-Modified" if kind == "azure" else "LastModified"
    listed = text.split(f"<{tag}>")[1].split("<")[0]
    if kind == "azure":
        return "seconds" if listed == head else f"{listed}, by HEAD {head}"
    return "seconds" if "." not in listed or listed.endswith(".000Z") else "fractions of a second"


def checks(s, name, order_of_bytes, extra=None):
    good = b64(crc64(b"12345").to_bytes(8, order_of_bytes))
    bad = b64(crc64(b"54321").to_bytes(8, order_of_bytes))
    a = s.put("data/sum-good", b"12345", {name: good, **(extra or {})})
    b = s.put("data/sum-bad", b"12345", {name: bad, **(extra or {})})
    back = a.headers.get(name) == good
    return f"{says(a)}{', echoed' if back else ''}; wrong: {says(b)}"


def lock_s3(s):
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    out = []
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        key = "/locked/lock-" + mode.lower()
        a = s.request("PUT", key, None, {"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until,
                                         "x-amz-checksum-crc64nvme": b64(crc64(b"x").to_bytes(8, "big"))}, b"x")
        version = a.headers.get("x-amz-version-id")
        plain = s.request("DELETE", key)
        gone = s.request("DELETE", key, {"versionId": version or ""})
        out.append(f"{mode.lower()}: {says(a)}, delete {says(plain)}, of the version {says(gone)}")
    return "; ".join(out)


def lock_azure(s):
    until = "Fri, 01 Jan 2100 00:00:00 GMT"
    a = s.put("data/lock", b"x", {"x-ms-immutability-policy-until-date": until,
                                  "x-ms-immutability-policy-mode": "unlocked"})
    return f"ignored: {says(a)}, delete {says(s.request('DELETE', '/data/lock'))}"


def start_after(s):
    keys, _ = s.page("data", "order/", after="order/a/a")
    want = ["order/" + k for k in sorted(KEYS, key=str.encode) if k > "a/a"]
    more = [k.removeprefix("order/") for k in keys if k not in want]
    less = [k.removeprefix("order/") for k in want if k not in keys]
    if more or less:
        return "after `a/a` also " + " ".join(more) + (", not " + " ".join(less) if less else "")
    return "yes" if keys == want else "not in order"


def put_again(s, container):
    """Create-only over an object, and over one that was deleted."""
    key = container + "/again"
    s.put(key, b"1", {"if-none-match": "*"})
    taken = says(s.put(key, b"2", {"if-none-match": "*"}))
    s.request("DELETE", "/" + key)
    return f"{taken}; after its deletion {says(s.put(key, b'3', {'if-none-match': '*'}))}"


def stats(s):
    sec = client.Azure(f"http://{s.url.netloc}{s.base}-secondary", account=s.account)
    a = sec.request("GET", "/", {"restype": "service", "comp": "stats"})
    w = sec.put("data/on-secondary", b"x")
    return f"{a.status} {a.body.decode().split('<Status>')[1].split('<')[0]}; a PUT to the secondary {w.status}"


def tiers(s):
    out = []
    for tier in ("Hot", "Cool", "Cold", "Archive"):
        out.append(str(s.put("data/tier-" + tier.lower(), b"x", {"x-ms-access-tier": tier}).status))
    return "/".join(out) + "; read of archived: " + says(s.request("GET", "/data/tier-archive"))


def classes(s):
    out = []
    for name in ("STANDARD_IA", "GLACIER_IR"):
        a = s.put("data/class", b"x", {"x-amz-storage-class": name})
        out.append(f"{name} {says(a)}")
    got = s.request("HEAD", "/data/class").headers.get("x-amz-storage-class", "not told")
    return ", ".join(out) + f"; then {got}"


def guard(f, *args):
    try:
        return f(*args)
    except (OSError, http.client.HTTPException, IndexError, KeyError) as e:
        return f"{type(e).__name__}: {e}"


def main(azurite, versity, seaweed):
    az = client.service("azure", azurite)
    s3 = [client.service("s3", versity), client.service("s3", seaweed)]
    none = "–"
    rows = [
        ("create-only PUT of a key that is there", [guard(put_again, s, "data") for s in (az, *s3)]),
        ("the same in a bucket with versions", [none] + [guard(put_again, s, "locked") for s in s3]),
        ("16 create-only PUTs of one key at once", [guard(racers, k, e) for k, e in
                                                   (("azure", azurite), ("s3", versity), ("s3", seaweed))]),
        ("order of a listing", [guard(order, s, False) for s in (az, *s3)]),
        ("`start-after`", [none] + [guard(start_after, s) for s in s3]),
        ("`a`, then `a/b`; the other way round", [guard(below, s) for s in (az, *s3)]),
        ("of 5 bytes 1–2, 3–9, 5–9; of none 0–0", [guard(ranges, az, "x-ms-range")] +
            [guard(ranges, s, "range") for s in s3]),
        ("HEAD, GET of a missing key", [guard(head_missing, s) for s in (az, *s3)]),
        ("times in a listing are of", [guard(times, az, "azure")] + [guard(times, s, "s3") for s in s3]),
        ("CRC-64/NVME", [guard(checks, az, "x-ms-content-crc64", "little")] +
            [guard(checks, s, "x-amz-checksum-crc64nvme", "big") for s in s3]),
        ("lock", [guard(lock_azure, az)] + [guard(lock_s3, s) for s in s3]),
        ("tier, class", [guard(tiers, az)] + [guard(classes, s) for s in s3]),
        ("second region", [guard(stats, az), none, none]),
    ]
    print("| | Azurite 3.37.0 | versitygw 1.8.0 | SeaweedFS 4.48 |")
    print("|---|---|---|---|")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
