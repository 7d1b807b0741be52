#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts here share: commands run in a cgroup of their own with 256 MiB and no swap. The
# kernel kills what goes over, so getting through is the test.
#
# Sets dir, an empty directory that is removed at the end, and passed and failed, which limited()
# counts up. Ends the script as skipped where no cgroup can be made.
set -euo pipefail

# It writes to memory that the program has only reserved.
unset MALLOC_PERTURB_

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

conclude() { # the closing lines
	echo "most that the cgroup held, page cache included: $(($(peak) / 1024)) KiB of $((limit / 1024))"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
