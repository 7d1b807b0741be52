#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mount under a memory limit, while others outside of it list many small files, read all of them and a
# large file from several places at once: everything is as it was, and the mount lives.
# shellcheck source=tests/memory/lib.sh
. "$(dirname "$0")/lib.sh"

if ! { : <>/dev/fuse; } 2>/dev/null; then
	echo 'there is no /dev/fuse that can be opened: nothing can be mounted here'
	exit 77
fi
files=30000 size=512
[ "${TEST_SIZE:-small}" = full ] && files=300000 size=2048

python3 - "$dir/src" "$files" "$size" <<'PY'
import os, random, sys
top, n, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(1)
noise = rng.randbytes(1 << 20)
for i in range(n):
    if i % 500 == 0:
        d = f"{top}/n{i // 50000:02}/n{i // 5000 % 10}/n{i // 500 % 10}"
        os.makedirs(d, exist_ok=True)
    at = rng.randrange(len(noise) - 4096)
    fd = os.open(f"{d}/f{i:06}", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"%016x" % i + noise[at:at + rng.randrange(200, 4097)])
    os.close(fd)
with open(f"{top}/large", "wb") as f:
    for i in range(size):
        f.write(rng.randbytes(1 << 20))
PY
agent="$BIN/aksdr-agent" restore="$BIN/aksdr-restore"
export AKSDR_STATE=$dir/state AKSDR_STORE=file://$dir/store
"$agent" init --quiet --keys "$dir/keys"
"$agent" backup --quiet --key "$dir/keys/agent.key" "v=$dir/src"
mkdir "$dir/m"
(
	echo $BASHPID >"$cg/cgroup.procs"
	exec "$restore" mount --key "$dir/keys/recovery.key" v "$dir/m"
) >"$dir/out" 2>"$dir/err" </dev/null &
pid=$!
end_mount() {
	umount -l "$dir/m" 2>/dev/null || true
	wait $pid 2>/dev/null || true
	cleanup
}
trap end_mount EXIT
until [ -s "$dir/out" ] || ! kill -0 $pid 2>/dev/null; do
	sleep 0.05 # lint: allow sleep: it asks again
done

# holds NAME COMMAND...
holds() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "$name: $(sed -n 's/^VmHWM:[ \t]*//p' "/proc/$pid/status") resident at most"
	else
		failed=$((failed + 1))
		echo "$name: FAILED"
		cat "$dir/err"
	fi
}
counts() { [ "$(find "$dir/m" -type f -size -1000k -printf . | wc -c)" -eq "$files" ]; }
many_readers() {
	python3 - "$dir/src/large" "$dir/m/large" <<'PY'
import os, random, sys, threading
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
size = os.fstat(a).st_size
bad = []
def run(seed):
    r = random.Random(seed)
    for _ in range(150):
        at, n = r.randrange(size), r.choice([1, 4096, 1 << 20])
        if os.pread(a, n, at) != os.pread(b, n, at):
            bad.append(at)
threads = [threading.Thread(target=run, args=(i,)) for i in range(12)]
[t.start() for t in threads]
[t.join() for t in threads]
sys.exit(bool(bad))
PY
}
ends() { kill -INT $pid && wait $pid; }
holds "list of $files files" counts
holds 'twelve readers of a large file' many_readers
holds 'all of it compared' diff -r "$dir/src" "$dir/m"
status=$(sed -n 's/^VmHWM:[ \t]*//p' "/proc/$pid/status")
if ends; then
	passed=$((passed + 1))
	echo "the mount ends by itself; resident at most $status"
else
	failed=$((failed + 1))
fi
conclude
