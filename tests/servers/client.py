#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plain signed requests to object stores, by the standard library alone: what the tests start and
ask servers with, so that neither our drivers nor the official clients judge themselves.

  client.py ports N                      N loopback ports that are free at the moment
  client.py wait KIND ENDPOINT PID       until the service answers; fails when PID ends before
  client.py make KIND ENDPOINT NAME [lock]   a container or bucket; a bucket with versions and object lock
  client.py get KIND ENDPOINT KEY        the object to standard output
  client.py put KIND ENDPOINT KEY [HEADER:VALUE...]    an object from standard input
  client.py delete KIND ENDPOINT KEY
  client.py list KIND ENDPOINT CONTAINER one key a line, in the order of the server
  client.py attack KIND ENDPOINT CONTAINER    deletes all that it is let, with S3 every version; "N gone, M kept"
  client.py hide s3 ENDPOINT BUCKET      deletes every object as clients do: the versions stay below a marker
  client.py unhide s3 ENDPOINT BUCKET    takes those markers away
  client.py control PORT METHOD TARGET   a command to a proxy (proxy.py says which); prints its answer
  client.py sas ENDPOINT CONTAINER RIGHTS [SECONDS]   a service signature for a container; it ends in an
                                         hour, or so long
  client.py token                        a bearer token as Azurite's `--oauth basic` wants it: not signed

KIND is azure or s3; ENDPOINT is http://HOST:PORT, with /ACCOUNT for azure. KEY and NAME begin with
the container. Credentials are in AZURE_STORAGE_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
put, get and delete fail on a status that is no success, and say which.
"""
import base64
import datetime
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import sys
import time
import urllib.parse
import xml.etree.ElementTree as ET

API = "2021-12-02"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {k.lower(): v for k, v in headers}

    def code(self):
        """The service's own word for an error."""
        if "x-ms-error-code" in self.headers:
            return self.headers["x-ms-error-code"]
        try:
            return ET.fromstring(self.body).findtext("Code") or ""
        except ET.ParseError:
            return ""


class Service:
    """One keep-alive connection; a request is sent once, and errors of the connection are raised."""

    def __init__(self, endpoint, ca=None, timeout=60):
        self.url = urllib.parse.urlsplit(endpoint)
        self.base = self.url.path.rstrip("/")
        self.used = 0
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            self.conn = http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=timeout,
                                                    context=context)
        else:
            self.conn = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=timeout)

    def request(self, method, path, query=None, headers=None, body=b""):
        """path begins with '/', is not encoded, and is below the endpoint."""
        full = urllib.parse.quote(self.base + path, safe="/~")
        pairs = sorted((k, v) for k, v in (query or {}).items())
        text = "&".join(f"{quote(k)}={quote(v)}" for k, v in pairs)
        h = {k.lower(): str(v) for k, v in (headers or {}).items()}
        h["content-length"] = str(len(body))
        self.sign(method, full, pairs, h, body)
        if time.monotonic() - self.used > 2:
            self.conn.close() # the server may have closed what was idle; a new one is made by itself
        try:
            self.conn.request(method, full + ("?" + text if text else ""), body=body, headers=h)
            r = self.conn.getresponse()
            a = Answer(r.status, r.getheaders(), r.read())
            self.used = time.monotonic()
            return a
        except BaseException:
            self.conn.close()
            raise


def quote(text):
    return urllib.parse.quote(text, safe="~")


class Azure(Service):
    """SharedKey. The account is the last part of the endpoint's path."""

    def __init__(self, endpoint, key=None, account=None, token=None, **more):
        super().__init__(endpoint, **more)
        self.key = base64.b64decode(key or os.environ.get("AZURE_STORAGE_KEY", ""))
        self.account = account or self.base.rsplit("/", 1)[-1].removesuffix("-secondary")
        self.token = token

    def sign(self, method, full, pairs, h, body):
        h.setdefault("x-ms-date", email.utils.formatdate(usegmt=True))
        h.setdefault("x-ms-version", API)
        if self.token:
            h["authorization"] = "Bearer " + self.token
            return
        plain = ["content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
                 "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"]
        lines = [method] + ["" if (n, h.get(n)) == ("content-length", "0") else h.get(n, "") for n in plain]
        lines += [f"{n}:{h[n].strip()}" for n in sorted(h) if n.startswith("x-ms-")]
        lines.append(f"/{self.account}{full}")
        lines += [f"{k.lower()}:{v}" for k, v in pairs]
        mac = hmac.new(self.key, "\n".join(lines).encode(), hashlib.sha256).digest()
        h["authorization"] = f"SharedKey {self.account}:{base64.b64encode(mac).decode()}"

    def make(self, name):
        return self.request("PUT", "/" + name, {"restype": "container"})

    def put(self, key, body, headers=None):
        return self.request("PUT", "/" + key, None, {"x-ms-blob-type": "BlockBlob", **(headers or {})}, body)

    def page(self, container, prefix="", marker="", most=5000):
        """Keys of one page and the marker of the next."""
        query = {"restype": "container", "comp": "list", "prefix": prefix, "maxresults": str(most)}
        if marker:
            query["marker"] = marker
        a = self.request("GET", "/" + container, query)
        if a.status != 200:
            raise OSError(f"listing: {a.status} {a.code()}")
        root = ET.fromstring(a.body)
        return [b.findtext("Name") for b in root.iter("Blob")], root.findtext("NextMarker") or ""

    def versions(self, container):
        for key in list(keys_of(self, container)):
            yield key, None, False

    def alive(self):
        return self.request("GET", "/", {"comp": "list"}).status == 200


class S3(Service):
    """Signature Version 4, path style."""

    def __init__(self, endpoint, access=None, secret=None, region="us-east-1", **more):
        super().__init__(endpoint, **more)
        self.access = access or os.environ.get("AWS_ACCESS_KEY_ID", "")
        self.secret = secret or os.environ.get("AWS_SECRET_ACCESS_KEY", "")
        self.region = region

    def sign(self, method, full, pairs, h, body):
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        h.setdefault("x-amz-date", stamp)
        h["host"] = self.url.netloc
        h["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        signed = sorted(n for n in h if n == "host" or n.startswith(("x-amz-", "if-", "content-md5", "range")))
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in pairs)
        canonical = "\n".join([method, full, query, *(f"{n}:{h[n].strip()}" for n in signed), "",
                               ";".join(signed), h["x-amz-content-sha256"]])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", h["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        mac = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        h["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
                              f"SignedHeaders={';'.join(signed)}, Signature={mac}")

    def make(self, name, lock=""):
        return self.request("PUT", "/" + name, None, {"x-amz-bucket-object-lock-enabled": "true"} if lock else None)

    def put(self, key, body, headers=None):
        return self.request("PUT", "/" + key, None, headers, body)

    def page(self, bucket, prefix="", marker="", most=1000, after=""):
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(most)}
        if marker:
            query["continuation-token"] = marker
        if after:
            query["start-after"] = after
        a = self.request("GET", "/" + bucket, query)
        if a.status != 200:
            raise OSError(f"listing: {a.status} {a.code()}")
        root = ET.fromstring(a.body)
        ns = root.tag[:root.tag.index("}") + 1] if root.tag.startswith("{") else ""
        keys = [c.findtext(ns + "Key") for c in root.iter(ns + "Contents")]
        return keys, root.findtext(ns + "NextContinuationToken") or ""

    def versions(self, bucket):
        """Key, version, whether it is a marker: of all versions of all keys."""
        found, query = [], {"versions": ""}
        while True:
            a = self.request("GET", "/" + bucket, query)
            if a.status != 200:
                raise OSError(f"listing versions: {a.status} {a.code()}")
            root = ET.fromstring(a.body)
            ns = root.tag[:root.tag.index("}") + 1] if root.tag.startswith("{") else ""
            found += [(v.findtext(ns + "Key"), v.findtext(ns + "VersionId"), v.tag == ns + "DeleteMarker")
                      for v in root if v.tag in (ns + "Version", ns + "DeleteMarker")]
            if root.findtext(ns + "IsTruncated") != "true":
                return found
            query = {"versions": "", "key-marker": root.findtext(ns + "NextKeyMarker") or "",
                     "version-id-marker": root.findtext(ns + "NextVersionIdMarker") or ""}

    def alive(self):
        return self.request("GET", "/").status == 200


def service(kind, endpoint, **more):
    ca = os.environ.get("SERVERS_CA") or None
    return {"azure": Azure, "s3": S3}[kind](endpoint, ca=ca, **more)


def keys_of(s, container, prefix=""):
    marker = ""
    while True:
        keys, marker = s.page(container, prefix, marker)
        yield from keys
        if not marker:
            return


def free_ports(n):
    """Below the range that the kernel gives to clients, so that no connection takes one meanwhile."""
    held = []
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        low = min(int(f.read().split()[0]), 60000)
    while len(held) < n:
        s = socket.socket()
        port = 10240 + int.from_bytes(os.urandom(4), "big") % max(low - 10240, 1000)
        try:
            s.bind(("127.0.0.1", port))
            held.append(s)
        except OSError:
            s.close()
    return [s.getsockname()[1] for s in held]


def wait(kind, endpoint, pid, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return False
        except OSError:
            return False
        try:
            if service(kind, endpoint, timeout=5).alive():
                return True
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    return False


def jwt():
    now = int(time.time())
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=").decode()
    tenant = "00000000-0000-4000-8000-000000000001"
    claims = {"aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{tenant}/", "tid": tenant,
              "oid": "00000000-0000-4000-8000-000000000002", "nbf": now - 300, "iat": now - 300, "exp": now + 3600}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def sas(endpoint, container, rights, seconds):
    """Of version 2021-12-02: "Create a service SAS" of the REST reference."""
    account = urllib.parse.urlsplit(endpoint).path.rsplit("/", 1)[-1]
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    text = [rights, "", ends, f"/blob/{account}/{container}", "", "", "", API, "c"] + [""] * 7
    mac = hmac.new(base64.b64decode(os.environ["AZURE_STORAGE_KEY"]), "\n".join(text).encode(), hashlib.sha256)
    return urllib.parse.urlencode({"sv": API, "sr": "c", "sp": rights, "se": ends,
                                   "sig": base64.b64encode(mac.digest()).decode()})


def done(a):
    if a.status >= 300:
        sys.exit(f"client: {a.status} {a.code()}")


def main(verb, *args):
    if verb == "ports":
        print(*free_ports(int(args[0])))
    elif verb == "wait":
        sys.exit(0 if wait(args[0], args[1], int(args[2])) else 1)
    elif verb == "control":
        conn = http.client.HTTPConnection("127.0.0.1", int(args[0]), timeout=600)
        conn.request(args[1], args[2])
        r = conn.getresponse()
        sys.stdout.write(r.read().decode())
        sys.exit(0 if r.status == 200 else f"client: {r.status}")
    elif verb == "sas":
        print(sas(*args[:3], int(args[3]) if args[3:] else 3600))
    elif verb == "token":
        print(jwt())
    else:
        s = service(args[0], args[1])
        if verb == "make":
            done(s.make(*args[2:]))
        elif verb == "put":
            done(s.put(args[2], sys.stdin.buffer.read(), dict(h.split(":", 1) for h in args[3:])))
        elif verb == "delete":
            done(s.request("DELETE", "/" + args[2]))
        elif verb == "get":
            a = s.request("GET", "/" + args[2])
            done(a)
            sys.stdout.buffer.write(a.body)
        elif verb in ("attack", "unhide"):
            gone = kept = 0
            for key, version, marker in list(s.versions(args[2])):
                if marker or verb == "attack":
                    a = s.request("DELETE", f"/{args[2]}/{key}", {"versionId": version} if version else None)
                    gone, kept = gone + (a.status < 300), kept + (a.status >= 300)
            print(f"{gone} gone, {kept} kept")
        elif verb == "hide":
            for key in list(keys_of(s, args[2])):
                done(s.request("DELETE", f"/{args[2]}/{key}"))
        elif verb == "list":
            for key in keys_of(s, args[2]):
                print(key)
        else:
            sys.exit(f"client: unknown verb '{verb}'")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
