#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS before a server that has none.

  tls.py CERTIFICATE KEY HOST:PORT

prints the port of 127.0.0.1 that it listens on, then works until it is killed. Bytes go through as they are; an end or
a reset of one side ends the other one.
"""
import asyncio
import contextlib
import signal
import ssl
import sys

BLOCK = 256 << 10


async def pump(reader, writer):
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(cert, key, target):
    host, _, port = target.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def through(reader, writer):
        try:
            there = await asyncio.open_connection(host, int(port), limit=BLOCK)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    server = await asyncio.start_server(through, "127.0.0.1", 0, ssl=context, limit=BLOCK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
