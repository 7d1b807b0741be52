#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Volumes of several file systems in one call: one set, and one moment where that can be. An
# application writes number k to volume k mod 3; the three points together have the numbers 1 to N.
# shellcheck source=tests/volumes/lib.sh
. "$(dirname "$0")/lib.sh"
need ext4 xfs btrfs
[ "$size" = full ] && points=8 || points=2

# all_back: the points of the rows of the last backup, in $work/back/VOLUME
all_back() {
	local name id _
	rm -rf "$work/back"
	mkdir "$work/back"
	while read -r name id _; do
		run 0 volume "$name@$id" "$work/back/$name"
	done <"$work/.row"
}
# column N: the different values of a column of the rows
column() { cut -d ' ' -f "$1" "$work/.row" | sort -u; }

new_repo r
disk a ext4 400M
disk b xfs 400M
disk c btrfs 400M

t "$points sets of ext4, XFS and btrfs: one set, one moment, and one sequence without a gap"
for v in a b c; do mkdir "$work/$v/app"; done
writing s "$work/a/app" "$work/b/app" "$work/c/app"
for ((i = 0; i < points; i++)); do
	taking 0 "a=$work/a" "b=$work/b" "c=$work/c"
	late=$(date +%s%N)
	ok test "$(column 3 | tr '\n' ' ')" = 'btrfs freeze reflink '
	ok test "$(column 7)" = one
	ok test "$(column 8 | wc -l)" -eq 1
	ok test "$(wc -l <"$work/.row")" -eq 3
	# the first moment of the three; nothing of any is later than the call
	moment_ns=$(column 5 | head -n 1)
	all_back
	ok judge s --acked-by "$moment_ns" --begun-by "$late" "$work/back/a/app" "$work/back/b/app" "$work/back/c/app"
done

t 'the same with all three frozen and copied'
for ((i = 0; i < points; i++)); do
	taking 0 --driver freeze "a=$work/a" "b=$work/b" "c=$work/c"
	ok test "$(column 3)" = freeze
	ok test "$(column 4)" = filesystem
	ok test "$(column 7)" = one
	moment_ns=$(column 5 | head -n 1)
	all_back
	ok judge s --acked-by "$moment_ns" --begun-by $(($(column 5 | tail -n 1) + 1000000)) \
		"$work/back/a/app" "$work/back/b/app" "$work/back/c/app"
done
written s

t 'the catalog has the window, the moment and the set of each'
run 0 "$catalog" sync --key "$audit" --quiet
run 0 "$catalog" query --output json \
	"select name, moment, driver, freeze_ms, set_id from v_points where set_id = '$set_id' order by name"
json_is a items 0 name
json_is one items 0 moment
json_is c items 2 name
json_is one items 2 moment
ok test "$(json items 0 set_id)" = "$(json items 2 set_id)"
ok grep -qE '"freeze_ms": [0-9]+' "$work/.out"
run 0 "$catalog" show a
out '^moment +one'
out '^freeze_ms +'

t 'of two btrfs volumes in a set the moments differ: the word is "window"'
disk d btrfs 400M
echo 1 >"$work/d/file"
taking 0 "c=$work/c" "d=$work/d"
ok test "$(column 3)" = btrfs
ok test "$(column 7)" = window
taking 0 "a=$work/a" "c=$work/c" "d=$work/d"
ok test "$(column 7)" = window
run 0 "$catalog" sync --key "$audit" --quiet
run 0 "$catalog" show d --output json
json_is window items 0 moment

t 'one that is read live makes no set of one moment'
mkdir "$work/plain"
echo 1 >"$work/plain/file"
taking 0 "a=$work/a" "plain=$work/plain"
ok grep -q '^plain [^ ]* live fuzzy .* window ' "$work/.row"
ok grep -q '^a [^ ]* freeze filesystem .* window ' "$work/.row"

t 'a volume that is not there fails alone'
taking 3 "a=$work/a" "gone=$work/nowhere" "b=$work/b"
ok test "$(column 1 | tr '\n' ' ')" = 'a b '
err "nowhere"

t 'nothing is left'
ok test -z "$(left_over "$work/a" "$work/b" "$work/c" "$work/d")"
for v in a b c d; do ok thawed "$work/$v"; done
finish
