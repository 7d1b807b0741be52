#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The programs are killed at any moment of a backup, of the next one that goes on with it, of an
# expiry, a policy, a collection, a sync, and a sync that brings an older catalog up to date. After
# each kill every point that was committed comes back exactly, the same command works, and the check is clean.
#
#   TEST_SEED=N   what is killed, and when; else 1
#   KILLS=N       how many; else 8, and 60 when TEST_SIZE is full
#
# LeakSanitizer would be busy when the process is killed.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
have_python || { echo 'no python3'; exit 77; }
new_repo r

size=${TEST_SIZE:-small}
seed=${TEST_SEED:-1}
kills=${KILLS:-$([ "$size" = full ] && echo 60 || echo 8)}
kept=3 # points that no policy and no expiry here may take

# draw N: a number below N into $drawn, the same ones for a seed
numbers=0
draw() {
	numbers=$((numbers + 1))
	drawn=$(printf '%s.%s' "$seed" "$numbers" | cksum)
	drawn=$((${drawn%% *} % $1))
}

# ---- the volume: step N of it is in states/N ----

mkdir -p src/dir states
noise 600000 7 >src/large
for i in {1..40}; do noise $((i * 150)) "f$i" >"src/dir/$i"; done
step=0
change() {
	step=$((step + 1))
	echo "$step" >src/step
	noise 50000 "l$step" | dd of=src/large bs=1 seek=$((step * 7919 % 500000)) conv=notrunc status=none
	noise 3000 "n$step" >"src/dir/$((1 + step * 7 % 40))"
	rm -f "src/dir/new$((step - 3))"
	noise 9000 "new$step" >"src/dir/new$step"
	state_of src >"states/$step"
}

# ---- what is done, and killed ----

old_catalog() { # the catalog of the state directory becomes one of version 1, which is empty
	local file
	for file in "$AKSDR_STATE"/*/catalog.db; do
		[ -f "$file" ] || return 0
		rm -f "$file"*
		python3 - "$file" "$SRC/catalog/migrate/001.sql" <<-'EOF'
			import sqlite3, sys
			db = sqlite3.connect(sys.argv[1])
			db.executescript(open(sys.argv[2]).read())
			db.execute("PRAGMA application_id = 0x%08x" % 0x414b5344)
			db.execute("PRAGMA user_version = 1")
			db.commit()
		EOF
	done
}

command_of() { # sets $command
	case $1 in
	backup | resume) command=("$agent" backup --key "$agent_key" --quiet "data=$work/src") ;;
	expire) command=("$catalog" expire --key "$agent_key" --reason 'a test' "data@$oldest") ;;
	retain) command=("$catalog" retain --key "$agent_key" --keep-last 4 --floor-points "$kept" --max-share 100) ;;
	gc) command=("$catalog" gc --key "$agent_key" --fence-after 0s --keep-young 0s --repack 5 --max-share 100) ;;
	sync | migrate) command=("$catalog" sync --key "$audit") ;;
	check) command=("$catalog" check --key "$agent_key" --level 3) ;;
	esac
}

# points_now: the steps' sessions: "ID" lines, oldest first, into the file ids
points_now() {
	run 0 "$restore" points --key "$recovery" data --output json
	python3 -c '
import json, sys
items = json.load(open(sys.argv[1]))["items"]
for i in sorted(items, key=lambda i: i["sequence"]):
    print(i["point"])' "$work/.out" >ids
	oldest=$(head -n 1 ids)
}

# prepare VERB: so that it has something to do; false: it has nothing
prepare() {
	case $1 in
	backup) change ;;
	resume) # an attempt that died is there
		change
		command_of backup
		mortal timeout -s KILL "0.0$((20 + drawn % 30))" "${command[@]}"
		;;
	expire) [ "$(wc -l <ids)" -gt $((kept + 2)) ] ;;
	migrate) old_catalog ;;
	esac
}

# timed VERB STATUSES COMMAND...: runs it, and notes how long it takes at most, in microseconds
declare -A takes
timed() {
	local verb=$1 began=${EPOCHREALTIME/./} us
	shift
	run "$@"
	us=$((${EPOCHREALTIME/./} - began))
	[ "$us" -le "${takes[$verb]:-0}" ] || takes[$verb]=$us
}

# mortal COMMAND...: a shell between, so that this one does not tell of each kill
mortal() { keep bash -c '"$@"; exit $?' - "$@"; }

# ---- what must hold ----

newest=0 # the last step that was acknowledged
judge() {
	local id at found=0
	points_now
	ok test "$(wc -l <ids)" -ge "$least"
	while read -r id; do
		rm -rf back
		run 0 volume "data@$id" "$work/back"
		at=$(cat back/step 2>/dev/null)
		ok is_state back "states/$at"
		[ "$at" -gt "$step" ] || found=$at
	done <ids
	rm -rf back
	ok test "$found" -ge "$newest"
	run 0 "$catalog" check --key "$recovery" --level 4
}

t 'a volume is backed up a few times'
for _ in 1 2 3 4 5 6; do
	change
	timed backup 0 backup "data=$work/src"
	newest=$step
done
least=$kept
for verb in sync check gc retain; do
	command_of "$verb"
	timed "$verb" 0 "${command[@]}"
done
takes[resume]=${takes[backup]} takes[migrate]=${takes[sync]} takes[expire]=${takes[retain]}
points_now

verbs=(backup resume gc retain expire gc migrate sync backup gc check)
died=0
for ((k = 1; k <= kills; k++)); do
	draw ${#verbs[@]}
	verb=${verbs[$drawn]}
	draw 1000
	at=$drawn
	t "kill $k: $verb"
	prepare "$verb" || verb=check
	command_of "$verb"
	# What has ended before is no harm.
	us=$((at * ${takes[$verb]} / 1500))
	mortal timeout -s KILL "$(printf '%d.%06d' $((us / 1000000)) $((us % 1000000)))" "${command[@]}"
	[ "$status" -ne 137 ] || died=$((died + 1))
	ok test "$status" -eq 0 -o "$status" -eq 137
	if [ "$status" -eq 0 ]; then
		case $verb in backup | resume) newest=$step ;; esac
	fi
	judge
	# The same again works; the point that it names may be gone.
	case $verb in expire) again='0|4' ;; *) again=0 ;; esac
	timed "$verb" "$again" "${command[@]}"
	change
	timed backup 0 backup "data=$work/src"
	newest=$step
	points_now # what was just done may have taken the oldest
	if [ "$case_bad" -ne 0 ]; then
		echo "   again: make check-crash TEST=crash/kills TEST_SEED=$seed KILLS=$k"
		break
	fi
done
t "at the end everything is in order, and little is left over"
command_of gc
run 0 "${command[@]}"
command_of retain
run 0 "${command[@]}"
command_of gc
run 0 "${command[@]}"
run 0 "${command[@]}"
judge
ok test "$(find "$store_dir/sess" -type f 2>/dev/null | wc -l)" -eq 0
run 0 "$catalog" sync --key "$audit"
echo "TEST_SEED=$seed: $died of $kills were killed"
finish
