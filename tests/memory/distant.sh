#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Packs and reads of a distant store under a memory limit: data that hardly compresses, with more threads
# than a small machine has, so that all the memory there may be is used; backup, backup with nothing
# changed, and restore. The server is outside of the limit.
# shellcheck source=tests/memory/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/../servers/lib.sh"
set +e # its functions count on it

size=512
[ "${TEST_SIZE:-small}" = full ] && size=2048
start_versity
mkdir "$dir/src"
for i in 1 2 3 4; do head -c $((size / 4))M /dev/urandom >"$dir/src/$i"; done

agent="$BIN/aksdr-agent" restore="$BIN/aksdr-restore"
export AKSDR_STATE=$dir/state AKSDR_STORE=$s3_url
"$agent" init --quiet --keys "$dir/keys" || exit 1
limited "first backup of $size MiB" "$agent" backup --quiet --threads 8 --key "$dir/keys/agent.key" "v=$dir/src"
limited "backup with nothing changed" "$agent" backup --quiet --key "$dir/keys/agent.key" "v=$dir/src"
limited "restore" "$restore" volume --quiet --threads 8 --key "$dir/keys/recovery.key" v --target "$dir/back"
if diff -r --no-dereference "$dir/src" "$dir/back" >"$dir/diff"; then
	passed=$((passed + 1))
else
	failed=$((failed + 1))
	head "$dir/diff"
fi
conclude
