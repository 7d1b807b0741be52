#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Many small files under a memory limit: backup, backup of a changed tree, and
# restore. What the resident peak was is printed.
# shellcheck source=tests/memory/lib.sh
. "$(dirname "$0")/lib.sh"

files=60000
[ "${TEST_SIZE:-small}" = full ] && files=500000

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
conclude
