#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The agent is killed at each step of a backup, and the restore at steps of its work. Afterwards
# every committed point comes back exactly, the next backup succeeds, the repository checks clean,
# and a restore that is repeated with --in-place ends with the exact tree.
#
# Steps are system calls: strace kills the process when the Nth of a kind begins. Where strace is
# missing or may not trace, only the kills at points in time are made.
# LeakSanitizer and strace both want to be the tracer.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
new_repo r

full() { [ "${TEST_SIZE:-small}" = full ]; }

# The volume, and three states of it: what each session that is killed would store is new.
mkdir -p src/dir/sub
noise 900000 7 >src/large
for i in {1..60}; do echo "small file $i" >"src/dir/$i"; done
ln src/dir/1 src/dir/sub/again
ln -s ../large src/dir/link
mkfifo src/dir/fifo
truncate -s 10M src/holes
state_of src >first.state
backup data="$work/src" >/dev/null || { echo 'the first backup failed'; exit 1; }
change() { # change N: small changes that differ with N
	noise 70000 "change $1" | dd of=src/large bs=1 seek=200000 conv=notrunc status=none
	noise 5000 "file $1" >"src/dir/$((1 + $1 % 60))"
	echo "$1" >"src/dir/new$1"
}

# after_kill: what must hold whenever a backup was cut off
after_kill() {
	run 0 volume data "$work/back"
	if [ "$(points "$store_dir")" -eq "$committed" ]; then
		ok is_state back committed.state
	else # it was killed after its commit
		committed=$((committed + 1))
		ok test "$(points "$store_dir")" -eq "$committed"
		ok same_tree src back
		state_of src >committed.state
	fi
	rm -rf back
}

# next_backup: it succeeds, and everything is in order
next_backup() {
	run 0 backup data="$work/src"
	run 0 volume data "$work/back"
	ok same_tree src back
	rm -rf back
	run 0 volume "data@$first" "$work/back"
	ok is_state back first.state
	rm -rf back
	run 0 "$catalog" check --key "$recovery" --level 4
	committed=$(points "$store_dir")
	state_of src >committed.state
}

run 0 "$restore" points --key "$recovery" data --output json
first=$(json items 0 point)
committed=1
cp first.state committed.state

traces=no
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then traces=yes; fi

# mortal COMMAND...: a shell between, so that this one does not tell of each kill
mortal() { keep bash -c '"$@"; exit $?' - "$@"; }

# kill_at CALL N COMMAND...: the process dies when its Nth CALL begins; $killed says whether it did
kill_at() {
	local call=$1 n=$2
	shift 2
	mortal strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:error=EIO:signal=KILL:when=$n" "$@"
	killed=no
	[ "$status" -ne 137 ] || killed=yes
	shown="$* killed at $call $n"
}

n_kills=0
if [ $traces = yes ]; then
	step=1 most=5
	full && most=40
	for call in writev linkat fdatasync fsync mkdirat openat; do
		t "a backup is killed at each $call: nothing that was committed is hurt"
		full || [ $call != openat ] || step=10
		full && [ $call = openat ] && step=2
		for ((n = 1; n <= most * step; n += step)); do
			change $((++n_kills))
			kill_at "$call" "$n" "$agent" backup --key "$agent_key" --quiet data="$work/src"
			[ $killed = yes ] || break
			after_kill
		done
		# The last one was not killed: there was no such call any more, or it is enough.
		if [ "$killed" = no ]; then ok test "$status" -eq 0; fi
		t "after the kills at $call the next backup is whole, and the repository is sound"
		next_backup
		step=1
	done
else
	echo 'skip kills at system calls: strace may not trace here'
fi

t 'a backup is killed at any moment'
moments=(5 12 20 35 60 100)
full && moments=(1 2 3 5 8 12 16 20 25 30 35 40 50 60 70 80 100 130 160 200 300)
for ms in "${moments[@]}"; do
	change $((++n_kills))
	mortal timeout -s KILL "0.$(printf %03d "$ms")" \
		"$agent" backup --key "$agent_key" --quiet data="$work/src"
	ok test "$status" -eq 0 -o "$status" -eq 137
	after_kill
done
t 'and the next one is whole'
next_backup

t 'the same with a local state that was cut off'
mortal timeout -s KILL 0.02 "$agent" backup --key "$agent_key" --quiet data="$work/src" --force
ok test -n "$(find "$AKSDR_STATE" -type f -size +8c)"
find "$AKSDR_STATE" -type f -size +8c -exec truncate -s 7 {} +
next_backup

if [ $traces = yes ]; then
	most=4
	full && most=60
	for call in pwrite64 mkdirat fchmod openat2 linkat symlinkat utimensat; do
		t "a restore is killed at each $call, and repeated in place"
		step=1
		case $call in openat2 | utimensat) full && step=7 || step=30 ;; esac
		for ((n = 1; n <= most * step; n += step)); do
			rm -rf out
			kill_at "$call" "$n" "$restore" volume --key "$recovery" --quiet data --target "$work/out"
			if [ "$killed" = no ]; then
				ok test "$status" -eq 0
				ok same_tree src out
				break
			fi
			run 0 volume data "$work/out" --in-place --delete
			ok same_tree src out
		done
	done
	t 'a restore in place over an older state is killed, and repeated'
	for n in 1 3 8; do
		rm -rf out
		run 0 volume "data@$first" "$work/out"
		kill_at pwrite64 "$n" "$restore" volume --key "$recovery" --quiet data --target "$work/out" \
			--in-place --delete
		run 0 volume data "$work/out" --in-place --delete
		ok same_tree src out
	done
fi

finish
