#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A run that is told to stop, or killed: exit status 130, no half restore point, and the next run works.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src && noise 160000000 >src/data

# interrupted SIGNAL EVENT COMMAND...: sends the signal once EVENT (a path below the work directory
# that find knows) is there; the exit status is in $status
interrupted() {
	local signal=$1 event=$2 pid seen=
	shift 2
	shown="$* ($signal)"
	"$@" >"$work/.out" 2>"$work/.err" </dev/null &
	pid=$!
	while [ -z "$seen" ] && kill -0 "$pid" 2>/dev/null; do
		seen=$(find "$event" -type f -size +0 -print -quit 2>/dev/null)
	done
	kill "-$signal" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	status=$?
	case_checks=$((case_checks + 1))
}

for signal in INT TERM; do
	t "SIG$signal during a backup: 130, and no restore point"
	interrupted $signal r/pack "$agent" backup --key "$agent_key" data="$work/src"
	ok test $status -eq 130
	err 'cancelled'
	ok test "$(points r)" -eq 0
	ok test "$(find r -path '*/.tmp/*' -type f | wc -l)" -eq 0
	# What it uploaded is in the index, for the next run; here each run starts with nothing.
	rm -rf r/pack r/meta r/idx r/sess
done

t 'SIGKILL during a backup: the next one succeeds'
interrupted KILL r/pack "$agent" backup --key "$agent_key" data="$work/src"
ok test $status -eq 137
ok test "$(points r)" -eq 0
run 0 backup data="$work/src"
run 0 volume data "$work/out"
ok same_tree src out
rm -rf out

t 'a check finds the leftovers of dead runs, and no damage'
run 0 "$catalog" check --key "$recovery" --level 4 --quiet

t 'SIGTERM during a restore: 130, and a restore in place finishes the work'
interrupted TERM out "$restore" volume --key "$recovery" data --target "$work/out"
ok test $status -eq 130
run 0 volume data "$work/out" --in-place
ok same_tree src out

finish
