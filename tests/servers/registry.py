#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who gives tokens for a registry of images, on a loopback port that it prints:
https://distribution.github.io/distribution/spec/auth/token/

  registry.py CERT KEY

To reader:secret, by Basic credentials or by the refresh token `refresh`, for what is asked; to all others for
nothing. Tokens are signed by the key, whose certificate is in them, and name what may be done.
"""
import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse

cert, key = sys.argv[1:3]
pem = open(cert, encoding="ascii").read()
der = "".join(pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END CERTIFICATE-----")[0].split())


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def raw(signature):
    """The two numbers of a signature in DER, 32 bytes each."""
    at, numbers = 2, []
    while at < len(signature):
        n = signature[at + 1]
        numbers.append(signature[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + n
    return b"".join(numbers)


def token(service, scope, allowed):
    kind, name, actions = scope.split(":")
    now = int(time.time())
    head = {"typ": "JWT", "alg": "ES256", "x5c": [der]}
    access = [{"type": kind, "name": name, "actions": actions.split(",")}] if allowed else []
    body = {"iss": "test", "sub": "reader", "aud": service, "exp": now + 300, "nbf": now - 60, "iat": now,
            "jti": str(now), "access": access}
    text = b".".join(coded(json.dumps(x).encode()) for x in (head, body))
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text, capture_output=True, check=True)
    return (text + b"." + coded(raw(signed.stdout))).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        given = self.headers.get("authorization", "")
        known = given == "Basic " + base64.b64encode(b"reader:secret").decode()
        if given and not known:
            self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
        else:
            self.answer(200, {"token": token(asked["service"], asked["scope"], known)})

    def do_POST(self):
        asked = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        if asked["grant_type"] == "refresh_token" and asked["refresh_token"] == "refresh":
            self.answer(200, {"access_token": token(asked["service"], asked["scope"], True)})
        else:
            self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
