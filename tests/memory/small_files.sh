#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Many small files under a memory limit: backup, backup of a changed tree, and
# restore each run in a cgroup of their own with 256 MiB and no swap. The
# kernel kills what goes over, so getting through is the test. What the
# resident peak was is printed.
set -euo pipefail

files=60000
[ "${TEST_SIZE:-small}" = full ] && files=500000
limit=$((256 * 1024 * 1024))
passed=0 failed=0

dir=$(mktemp -d)
group=aksdr-test-$$
v1=/sys/fs/cgroup/memory
v2=/sys/fs/cgroup
if [ "$(id -u)" != 0 ]; then
	echo "needs root to make a cgroup"
	exit 77
elif [ -w "$v1/cgroup.procs" ] && mkdir "$v1/$group" 2>/dev/null; then
	cg=$v1/$group
	echo $limit >"$cg/memory.limit_in_bytes"
	peak() { cat "$cg/memory.max_usage_in_bytes"; }
elif grep -qw memory "$v2/cgroup.subtree_control" 2>/dev/null && mkdir "$v2/$group" 2>/dev/null; then
	cg=$v2/$group
	echo $limit >"$cg/memory.max"
	peak() { cat "$cg/memory.peak" 2>/dev/null || echo 0; }
else
	echo "no memory cgroup can be made on this machine"
	exit 77
fi
cleanup() {
	rmdir "$cg" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

limited() { # NAME COMMAND...: runs the command inside the limit
	local name=$1
	shift
	if (
		echo $BASHPID >"$cg/cgroup.procs"
		exec /usr/bin/time -f 'resident peak %M KiB, %U s user, %S s system, %e s' "$@" 2>"$dir/err" >"$dir/out"
	); then
		passed=$((passed + 1))
		echo "$name: $(tail -n 1 "$dir/err")"
	else
		failed=$((failed + 1))
		echo "$name: FAILED"
		cat "$dir/err" "$dir/out"
	fi
}

python3 - "$dir/src" "$files" <<'PY'
import os, random, sys
top, n = sys.argv[1], int(sys.argv[2])
rng = random.Random(1)
noise = rng.randbytes(1 << 20)
for i in range(n):
    if i % 500 == 0:
        d = f"{top}/n{i // 50000:02}/n{i // 5000 % 10}/n{i // 500 % 10}"
        os.makedirs(d, exist_ok=True)
    size = rng.randrange(200, 4097)
    at = rng.randrange(len(noise) - size)
    fd = os.open(f"{d}/f{i:06}", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"%016x" % i + noise[at:at + size - 16])
    os.close(fd)
PY
agent="$BIN/aksdr-agent" restore="$BIN/aksdr-restore"
export AKSDR_STATE=$dir/state AKSDR_STORE=file://$dir/store
"$agent" init --quiet --keys "$dir/keys"
limited "first backup of $files files" "$agent" backup --quiet --key "$dir/keys/agent.key" "v=$dir/src"
find "$dir/src" -name 'f*7' -exec sh -c 'for f; do echo more >>"$f"; done' sh {} +
limited "backup with a tenth changed" "$agent" backup --quiet --key "$dir/keys/agent.key" "v=$dir/src"
limited "backup with nothing changed" "$agent" backup --quiet --key "$dir/keys/agent.key" "v=$dir/src"
limited "restore" "$restore" volume --quiet --key "$dir/keys/recovery.key" v --target "$dir/back"
if diff -r --no-dereference "$dir/src" "$dir/back" >"$dir/diff"; then
	passed=$((passed + 1))
else
	failed=$((failed + 1))
	head "$dir/diff"
fi
echo "most that the cgroup held, page cache included: $(($(peak) / 1024)) KiB of $((limit / 1024))"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
