#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands between an agent and the freezer that it starts, and does not hand on the request to thaw.

In the place of aksdr-freezer (AKSDR_FREEZER): starts $FREEZER with the same arguments, hands packets
on in both directions, and when the agent wants the thaw makes the file $AKSDR_HELD and waits until
that is gone again, or the freezer is. What is frozen stays so meanwhile, up to the freezer's deadline.
"""
import os
import select
import socket
import subprocess
import sys

AGENT = 3
PACKET = 1 << 16
FDS = 64


def main():
    agent = socket.socket(fileno=AGENT)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.set_inheritable(theirs.fileno(), True)
    argv = [os.environ["FREEZER"]] + sys.argv[1:]
    argv[argv.index("--fd") + 1] = str(theirs.fileno())
    child = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
    theirs.close()
    held = os.environ["AKSDR_HELD"]
    requests, kept = 0, None
    while True:
        ready, _, _ = select.select([ours] if kept else [agent, ours], [], [], 0.02 if kept else None)
        if kept and not os.path.exists(held):
            ours.send(kept)
            kept = None
        if not ready:
            continue
        one = ready[0]
        data, fds, _, _ = socket.recv_fds(one, PACKET, FDS)
        if not data:
            break
        requests += one is agent
        if requests == 2 and one is agent:
            kept = data
            with open(held, "w"):
                continue
        socket.send_fds(ours if one is agent else agent, [data], fds)
        for fd in fds:
            os.close(fd)
    ours.close()
    # killed, or at its end: its processes may be thawing still
    child.wait()


main()
