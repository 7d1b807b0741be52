#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A backup stands still for longer than a collection waits: it is fenced, and run again by itself.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src old
noise 60000000 >src/large
noise 500000 2 >old/garbage
gc() { "$catalog" gc --key "$agent_key" --keep-young 0s --max-share 100 "$@"; }

# One attempt: the backup is stopped as soon as it is registered. 1: it was faster.
stand_still() {
	rm -rf r.state
	run 0 backup old="$work/old"
	run 0 "$catalog" expire --key "$agent_key" old@latest --reason test --quiet
	touch r.keys/mark
	"$agent" backup --key "$agent_key" src="$work/src" >"$work/agent.out" 2>"$work/agent.err" &
	writer=$!
	until [ -n "$(find r/sess -type f -newer r.keys/mark 2>/dev/null)" ]; do
		kill -0 $writer 2>/dev/null || break
	done
	kill -STOP $writer 2>/dev/null
	[ "$(points r)" -lt "$1" ] && kill -0 $writer 2>/dev/null
}

t 'a backup that was fenced is run again, and keeps what it uploaded'
done_before=0
for try in 1 2 3 4 5; do
	stand_still $((done_before + 2)) && break
	kill -CONT $writer 2>/dev/null
	wait $writer
	done_before=$(points r)
	noise 60000000 $((try + 10)) >src/large
done
# It waits for the session; then the session is taken for dead.
run 0 gc --fence-after 6h
out 'waits for 1 session'
run 0 gc --fence-after 0s
out 'is done'
kill -CONT $writer
ok wait $writer
ok grep -q 'fenced by a collection' agent.err
run 0 "$catalog" check --key "$audit" --level 3
run 0 volume src "$work/out"
ok same_tree src out
ok test "$(find r/commit -type f -size -513c | wc -l)" -ge 1
finish
