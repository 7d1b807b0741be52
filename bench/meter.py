#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one shell command and tells what it cost.

  python3 -I -S meter.py SECONDS LOG COMMAND

A process of its own, and a small one: the peak memory that the kernel reports for a child
includes what it was forked from, so the bench itself, which may have grown, must not be the parent.
What this adds is a floor of about 9 MiB. COMMAND's output goes to the end of LOG; after SECONDS its
whole process group is killed. One JSON object goes to stdout:

  wall_s, user_s, sys_s   of the command and of all children it waited for
  rss_mib                 of its largest single process
  others_cpu_s            CPU seconds that everything else on the machine used meanwhile
  rc                      exit status, or minus the number of the signal that ended it
"""

import contextlib
import os
import signal
import sys
import time


def busy_s():
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq, steal = f.readline().split()[1:9]
    ticks = int(user) + int(nice) + int(system) + int(irq) + int(softirq) + int(steal)
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for_group(pid):
    """The members of a pipeline that are no children of this process end on their own."""
    end = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(pid, 0)
            time.sleep(0.01)


def main():
    seconds, log, command = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(out, f"\n$ {command}\n".encode())
    null = os.open("/dev/null", os.O_RDONLY)
    dup = os.POSIX_SPAWN_DUP2
    busy, start = busy_s(), time.monotonic()
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", command],
        os.environ,
        setpgroup=0,
        file_actions=[(dup, null, 0), (dup, out, 1), (dup, out, 2)],
    )

    stopped = []

    def stop(signum, _):
        stopped.append(signum)
        why = f"{seconds} s have passed" if signum == signal.SIGALRM else f"signal {signum}"
        os.write(out, f"meter: killed: {why}\n".encode())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    for signum in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop)
    signal.alarm(seconds)
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - start
    signal.alarm(0)
    if stopped:
        wait_for_group(pid)
    others = max(0.0, busy_s() - busy - used.ru_utime - used.ru_stime)
    print(
        '{"wall_s":%.4f,"user_s":%.4f,"sys_s":%.4f,"rss_mib":%.1f,"others_cpu_s":%.2f,"rc":%d}'
        % (
            wall,
            used.ru_utime,
            used.ru_stime,
            used.ru_maxrss / 1024,
            others,
            os.waitstatus_to_exitcode(status),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
