#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Processes that die at any moment: the freezer's in the middle of a freeze, the agent wherever it
# is. The volume can be written to at once, the application's files are what they were, the next
# backup works, and reconciling leaves nothing.
# shellcheck source=tests/volumes/lib.sh
. "$(dirname "$0")/lib.sh"
need ext4 xfs btrfs
[ "$size" = full ] && rounds=10 || rounds=2
RANDOM=$seed
new_repo r
disk ext4 ext4 300M
disk xfs xfs 400M
disk btrfs btrfs 400M
for v in ext4 xfs btrfs; do
	"$python" -c '
import os, random, sys
r = random.Random(1)
for i in range(40):
    os.makedirs("%s/d/%d" % (sys.argv[1], i))
    for k in range(20):
        with open("%s/d/%d/%d" % (sys.argv[1], i, k), "wb") as f:
            f.write(r.randbytes(3000))
with open("%s/large" % sys.argv[1], "wb") as f:
    f.write(r.randbytes(8 << 20))' "$work/$v"
	sync -f "$work/$v"
done
# the application's files are what they were
untouched() { tar -C "$work/$1" --sort=name --exclude './.aksdr-*' --mtime=@0 -cf - . | sha256sum; }
for v in ext4 xfs btrfs; do untouched "$v" >"$v.sum"; done

# ---- the freezer ----

# below PID: it and all that it started
below() {
	local p
	echo "$1"
	for p in $(cat "/proc/$1/task/"*/children 2>/dev/null); do below "$p"; done
}
# freezer_of NAME: the process of that name of the freezer that the agent started
freezer_of() {
	local p
	for p in $(below "$pid"); do
		if [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$1" ]; then
			echo "$p"
			return 0
		fi
	done
	return 1
}

# Whether nobody can write: a file system is frozen once only.
frozen() {
	local said
	said=$(fsfreeze --freeze "$1" 2>&1) || { grep -q 'busy' <<<"$said"; return; }
	fsfreeze --unfreeze "$1"
	return 1
}

# die DRIVER STATUSES WHO...: in the middle of a freeze these processes of the freezer are killed
die() {
	local how=$1 want=$2 who p
	shift 2
	t "--driver $how, killed in the freeze: $*: the volume is thawed, and the run says so"
	rm -f held
	AKSDR_FREEZER=$volumes_here/slow_freezer.py AKSDR_HELD=$work/held FREEZER=$BIN/aksdr-freezer \
		"$agent" backup --key "$agent_key" --force --freeze-timeout 60s --driver "$how" --output json \
		--log-format json "v=$work/ext4" >"$work/.out" 2>"$work/.err" &
	pid=$!
	children+=("$pid")
	wait_for test -e held
	local ids=()
	for who; do
		p=$(freezer_of "$who") || bad "there is no process $who"
		ids+=("$p")
	done
	ok frozen "$work/ext4"
	kill -KILL "${ids[@]}"
	# whoever is left thaws; where nobody is, the agent sees to it
	ok thawed "$work/ext4"
	fsfreeze --unfreeze "$work/ext4" 2>/dev/null
	rm -f held
	wait "$pid"
	status=$? shown="backup --driver $how"
	case_checks=$((case_checks + 1))
	[ "$status" = "$want" ] || bad "exit status $status, not $want"
	err 'freezer|thaw'
	[ "$how" != auto ] || ok grep -qE '"driver": "live".*"fallback": ".*(freezer|thaw)' "$work/.out"
	run 0 "$agent" reconcile
	ok test -z "$(left_over "$work/ext4")"
	ok test "$(untouched ext4)" = "$(cat ext4.sum)"
}
die freeze 1 freezer-holder
die freeze 1 freezer-guard
die auto 0 freezer-holder freezer-guard
die freeze 1 aksdr-freezer
die freeze 1 aksdr-freezer freezer-holder
die freeze 1 aksdr-freezer freezer-guard
die auto 0 aksdr-freezer freezer-holder freezer-guard
die freeze 1 aksdr-freezer freezer-holder freezer-guard

# ---- the agent ----

# How long a whole run takes, in ms.
span_of() {
	local from=$EPOCHREALTIME
	run 0 backup --force --driver "$1" "v=$work/$2"
	span=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) }')
}
# kill_agent DRIVER VOLUME: rounds of killing it at random moments
kill_agent() {
	local how=$1 v=$2 i
	t "--driver $how on $v: the agent is killed at $rounds random moments"
	span_of "$how" "$v"
	for ((i = 0; i < rounds; i++)); do
		"$agent" backup --key "$agent_key" --quiet --force --driver "$how" "v=$work/$v" 2>/dev/null &
		pid=$!
		children+=("$pid")
		read -rt "$(awk -v r=$RANDOM -v s="$span" 'BEGIN { printf "%.3f", r / 32768 * s / 1000 }')" <>pause
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null
		ok thawed "$work/$v"
		ok test "$(untouched "$v")" = "$(cat "$v.sum")"
		if ((i % 2)); then
			run 0 "$agent" reconcile
			ok test -z "$(left_over "$work/$v")"
		fi
	done
	# the next one works, and cleans up by itself
	run 0 backup --driver "$how" "v=$work/$v"
	ok test -z "$(left_over "$work/$v")"
	rm -rf "$work/back"
	run 0 volume v "$work/back"
	ok diff -r "$work/$v" "$work/back"
}
mkfifo pause
kill_agent freeze ext4
kill_agent reflink xfs
kill_agent reflink btrfs
kill_agent btrfs btrfs

# ---- two at once ----

for how in 'auto ext4' 'auto xfs' 'auto btrfs' 'reflink btrfs'; do
	read -r how v <<<"$how"
	refused=
	t "two backups of the same volume at once, --driver $how on $v: a point has everything, or is not made"
	for i in 1 2; do
		"$agent" backup --key "$agent_key" --force --driver "$how" --output json "v$i=$work/$v" \
			>"out.$i" 2>"err.$i" &
		ids[i]=$!
		children+=($!)
	done
	# both have ended before the volume is looked at: until then it holds the other's view
	for i in 1 2; do
		wait "${ids[i]}"
		statuses[i]=$?
	done
	for i in 1 2; do
		status=${statuses[i]} shown="backup $i"
		cp "out.$i" "$work/.out"
		cp "err.$i" "$work/.err"
		case_checks=$((case_checks + 1))
		# a file system is frozen by one at a time: who comes second is told so
		if [ "$status" -eq 6 ] && [ "$how" = reflink ] && [ "$i$refused" != 21 ]; then
			err 'it is frozen already'
			refused=1
			continue
		fi
		[ "$status" -eq 0 ] || bad "exit status $status"
		rm -rf "$work/back"
		run 0 volume "v$i" "$work/back"
		ok diff -r "$work/$v" "$work/back"
		sed -E -n 's/.*"consistency": "([a-z]*)".*"driver": "([a-z]*)".*"fallback": "(.*)".*/     \2 \1 \3/p' \
			"out.$i"
	done
	ok test -z "$(left_over "$work/$v")"
done
finish
