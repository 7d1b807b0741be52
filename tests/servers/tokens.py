#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A service that exchanges federated tokens, as Entra does, and a front of a blob service that tires of
tokens; both over TLS on a loopback port that they print.

  tokens.py give CERT KEY ASSERTION LOG EXPIRES_IN [ERROR]
          a bearer token for whoever sends what the file ASSERTION has now; says that it ends in so many seconds;
          a line in LOG for each exchange. With ERROR (AADSTS...) it refuses.
  tokens.py tire CERT KEY CA HOST:PORT REQUESTS
          hands requests on; of the tokens that come, the first, third, ... are answered with 401 when they were
          used so often, the others are good for ever: a request that is sent again once must come through.
          With 0 none is good
"""
import collections
import http.client
import http.server
import json
import ssl
import sys
import threading
import urllib.parse

from client import jwt

lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, headers, body=b""):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def log_message(self, *_):
        pass


def give(assertion, log, expires_in, error=""):
    made = [0]

    def answer(self):
        form = dict(urllib.parse.parse_qsl(self.body().decode()))
        with lock, open(assertion, encoding="ascii") as f, open(log, "a", encoding="ascii") as to:
            expected = {"grant_type": "client_credentials", "client_id": "client",
                        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                        "client_assertion": f.read().strip(), "scope": "https://storage.azure.com/.default"}
            right = form == expected and self.path == "/tenant/oauth2/v2.0/token"
            made[0] += 1
            token = jwt() + str(made[0]) # each another one; nobody looks at the signature
            print("given" if right and not error else "refused", token, file=to)
        if right and not error:
            status, text = 200, {"token_type": "Bearer", "expires_in": int(expires_in), "access_token": token}
        else:
            status, text = 400, {"error": "invalid_client",
                                 "error_description": f"{error or 'AADSTS700213'}: No matching identity.\r\nTrace"}
        body = json.dumps(text).encode()
        self.reply(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

    Handler.do_POST = answer


def tire(ca, upstream, requests):
    used = collections.Counter()
    local = threading.local()
    context = ssl.create_default_context(cafile=ca)

    def hand_on(self):
        if not hasattr(local, "conn"):
            local.conn = http.client.HTTPSConnection(upstream, context=context)
        body = self.body()
        with lock:
            token = self.headers["authorization"]
            used[token] += 1
            tired = used[token] > int(requests) and (requests == "0" or list(used).index(token) % 2 == 0)
        if tired:
            self.reply(401, [("x-ms-error-code", "InvalidAuthenticationInfo"), ("Content-Length", "0")])
            return
        local.conn.request(self.command, self.path, body=body, headers=dict(self.headers))
        r = local.conn.getresponse()
        body = r.read()
        headers = [h for h in r.getheaders() if h[0].lower() not in ("transfer-encoding", "connection", "keep-alive")]
        if not r.getheader("content-length"):
            headers.append(("Content-Length", str(len(body))))
        self.reply(r.status, headers, body)

    for method in ("GET", "HEAD", "PUT", "DELETE"):
        setattr(Handler, "do_" + method, hand_on)


def main(verb, cert, key, *args):
    {"give": give, "tire": tire}[verb](*args)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    # The handshake is the business of the connection's own thread.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
