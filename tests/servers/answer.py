#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A blob service that has one answer to every request, on a loopback port that it prints.

  answer.py STATUS CODE [SECONDS]    SECONDS: how far its clock is ahead
  answer.py silent                   takes requests and never answers; prints `asked` at the first one
"""
import email.utils
import http.server
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status, code, ahead = 200, "", 0
    silent = False

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.silent:
            print("asked", flush=True)
            threading.Event().wait()
        body = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>words</Message></Error>".encode()
        self.send_response_only(self.status)
        self.send_header("Date", email.utils.formatdate(time.time() + self.ahead, usegmt=True))
        self.send_header("x-ms-error-code", self.code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def main(status, code="", ahead="0"):
    Handler.silent = status == "silent"
    Handler.status = 200 if Handler.silent else int(status)
    Handler.code, Handler.ahead = code, int(ahead)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
