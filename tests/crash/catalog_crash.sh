#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The catalog is only a copy of what the store says, and whatever happens to it that is what it is
# again afterwards: aksdr-catalog is killed at steps of its work, the disk is full, pages of the file
# are torn, exchanged or damaged.
#
# Steps are system calls, as in backup_crash.sh.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
new_repo r

full() { [ "${TEST_SIZE:-small}" = full ]; }

mkdir src other && echo other >other/file
for i in {1..4}; do
	noise 3000 "$i" >"src/$i"
	backup src="$work/src" >/dev/null || { echo 'a backup failed'; exit 1; }
done
export AKSDR_KEY=$agent_key
"$catalog" sync --quiet >/dev/null || { echo 'the first sync failed'; exit 1; }
cp -a "$AKSDR_STATE" "$work/early.state" # a catalog that is behind
for i in {5..8}; do
	noise 3000 "$i" >"src/$i"
	backup src="$work/src" other="$work/other" >/dev/null || { echo 'a backup failed'; exit 1; }
done
"$catalog" expire "src@$("$restore" points src --output csv --quiet | awk -F , 'NR == 2 { print $1 }')" --reason test \
	--quiet >/dev/null || { echo 'a point could not be expired'; exit 1; }
db=$(cd "$AKSDR_STATE" && echo */catalog.db)

# What the catalog says of points and statements; not when it was looked at.
rows() {
	"$catalog" query "SELECT session, name, sequence, state FROM v_points ORDER BY session" --output csv \
		--quiet "$@"
}
if ! "$catalog" rebuild --quiet --catalog none/db >/dev/null || ! rows --catalog none/db >want.rows; then
	echo 'no catalog could be made'
	exit 1
fi
[ "$(wc -l <want.rows)" -eq 13 ] || { echo 'the catalog lacks points'; exit 1; }

# begin_with none|early: the local state before a step
begin_with() {
	rm -rf "$AKSDR_STATE"
	[ "$1" = none ] || cp -a "$work/$1.state" "$AKSDR_STATE"
}
sound() { # the file itself: what a page says fits the others
	! have_python || python3 -c '
import sqlite3, sys
found = sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check").fetchall()
sys.exit(0 if found == [("ok",)] else str(found))' "$AKSDR_STATE/$db"
}
as_wanted() { rows >got.rows && diff want.rows got.rows; }
# right: brought up to date it is what the store says
right() {
	run 0 "$catalog" sync --quiet
	ok as_wanted
}
# all_right: and so is one that is made anew, and nothing is left beside it
all_right() {
	right
	ok sound
	run 0 "$catalog" rebuild --quiet
	ok as_wanted
	ok not test -e "$AKSDR_STATE/$db.rebuild"
}

traces=no
if command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null; then traces=yes; fi
mortal() { keep bash -c '"$@"; exit $?' - "$@"; }
# kill_at CALL N COMMAND...: the process dies when its Nth CALL begins; $killed says whether it did
kill_at() {
	local call=$1 n=$2
	shift 2
	mortal strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:error=EIO:signal=KILL:when=$n" "$@"
	killed=no
	[ "$status" -ne 137 ] || killed=yes
	shown="$* killed at $call $n"
	ok test "$status" -eq 137 -o "$status" -eq 0
}
# steps CALL: which of them
steps() {
	case $1 in
	pwrite64) if full; then seq 1 7 220; else echo 1 5 40 75; fi ;;
	*) if full; then seq 1 12; else echo 1 3; fi ;;
	esac
}

if [ $traces = yes ]; then
	for verb in sync rebuild; do
		for state in none early; do
			t "$verb is killed at any step, with $state catalog: the next sync and rebuild are right"
			for call in pwrite64 fdatasync ftruncate unlink rename; do
				for n in $(steps $call); do
					begin_with $state
					kill_at $call "$n" "$catalog" "$verb" --quiet
					[ $killed = yes ] || break
					# What it left is there to be read, or is not there yet.
					run '0|4' "$catalog" list --quiet
					right
				done
			done
			all_right
		done
	done
	t 'retain is killed at any step: all of a tombstone is there or nothing of it, and it can be repeated'
	cp -a r kept.store
	keep_three() {
		"$@" "$catalog" retain --volume src --keep-last 3 --floor-points 1 --max-share 100 --quiet
	}
	for call in pwrite64 fdatasync writev linkat unlink; do
		for n in $(steps $call); do
			begin_with early
			rm -rf r && cp -a kept.store r
			keep_three kill_at $call "$n"
			[ $killed = yes ] || break
			run 0 "$catalog" sync --quiet
			keep_three run 0
			run 0 "$catalog" sync --quiet
			run 0 rows
			ok test "$(grep -c ',src,.*,present' "$work/.out")" -eq 3
			ok test "$(grep -c ',src,.*,expired' "$work/.out")" -eq 5
			ok test "$(grep -c ',other,.*,present' "$work/.out")" -eq 4
		done
	done
	rm -rf r && mv kept.store r
else
	echo 'skip kills at system calls: strace may not trace here'
fi

t 'sync and rebuild are killed at any moment'
moments=(2 4 7 11 16)
full && moments=(1 2 3 4 5 6 7 8 9 10 12 14 17 20 25 30 40)
for ms in "${moments[@]}"; do
	for verb in sync rebuild; do
		begin_with early
		mortal timeout -s KILL "0.$(printf %03d "$ms")" "$catalog" "$verb" --quiet
		ok test "$status" -eq 0 -o "$status" -eq 137
		run 0 "$catalog" list --quiet
		right
	done
done
all_right

# The state on a disk with room for a part of it.
if small_disk "$work/small" 64m; then
	t 'a full disk is told, and hurts nothing: with room again the catalog is right'
	state=$AKSDR_STATE
	export AKSDR_STATE=$work/small/state
	told=0
	for kib in 8 96 192 320 640; do
		for verb in sync rebuild; do
			for from in none early; do
				mount -o remount,size=64m "$work/small"
				begin_with $from
				# As much as it has, and so much more.
				used=$(du -sk "$work/small" | cut -f 1)
				mount -o "remount,size=$((used + kib))k" "$work/small"
				run '0|1' "$catalog" "$verb" --quiet
				if [ "$status" -ne 0 ]; then
					told=$((told + 1))
					err 'o space left'
					[ $from = none ] || run 0 "$catalog" list --quiet
				fi
				mount -o remount,size=64m "$work/small"
				right
			done
		done
	done
	ok test "$told" -ge 4
	all_right
	umount "$work/small"
	export AKSDR_STATE=$state
else
	echo 'skip the full disk: no tmpfs can be mounted here'
fi

# of_use: the programs do with the file, or say what makes it good again, and that does; whether they said
# so. Of what is within a value, as the name of a file, SQLite does not know whether it is as it was.
of_use() {
	local told=no verb
	for verb in list sync; do
		run '0|4|5' "$catalog" $verb --quiet
		case $status in
		4) err "run 'aksdr-catalog sync'" && told=yes ;; # nothing is left of it
		5) err "run 'aksdr-catalog rebuild'" && told=yes ;;
		esac
	done
	run 0 "$catalog" rebuild --quiet
	ok as_wanted
	[ $told = yes ]
}
# page FILE N: where page N begins, from 0
page() { echo $(($2 * 4096)); }

t 'a file that is cut off, torn or damaged is made again from the store'
begin_with early
run 0 "$catalog" sync --quiet
cp -a "$AKSDR_STATE" late.state
size=$(stat -c %s "$AKSDR_STATE/$db")
found=0
for at in 0 16 100 4096 "$((size / 2))" "$((size / 2 / 4096 * 4096))" "$((size - 1))"; do
	begin_with late
	truncate -s "$at" "$AKSDR_STATE/$db"
	of_use && found=$((found + 1))
done
for ((n = 0; n < size / 4096; n += 1 + size / 4096 / 12)); do
	# half a page as it was, half of another write; then all of it zeros
	begin_with late
	noise 2048 "$n" | dd of="$AKSDR_STATE/$db" bs=1 seek=$(($(page "$db" "$n") + 2048)) conv=notrunc status=none
	of_use && found=$((found + 1))
	begin_with late
	dd if=/dev/zero of="$AKSDR_STATE/$db" bs=4096 count=1 seek="$n" conv=notrunc status=none
	of_use && found=$((found + 1))
done
ok test "$found" -ge 10

t 'a log that is not of this file, cut off, or noise'
begin_with early
for n in 1 2 3; do
	begin_with late
	case $n in
	1) noise 40000 >"$AKSDR_STATE/$db-wal" ;;
	2) printf '\x37\x7f\x06\x82\x00' >"$AKSDR_STATE/$db-wal" ;;
	3) noise 40000 >"$AKSDR_STATE/$db-journal" ;;
	esac
	of_use
done

t 'a database of another program is left alone'
begin_with late
if have_python; then
	rm "$AKSDR_STATE/$db"
	python3 -c '
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as c:
	c.execute("CREATE TABLE t (x)")' "$AKSDR_STATE/$db"
	cp "$AKSDR_STATE/$db" other.db
	run 5 "$catalog" sync --quiet
	err 'another program'
	ok same "$AKSDR_STATE/$db" other.db
fi

finish
