#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What goes wrong around a snapshot: no room, a view that is deleted behind our back, hooks that hang.
# Whatever it is, it is told in a sentence, nothing is left behind, and no point says more than it has.
# shellcheck source=tests/volumes/lib.sh
. "$(dirname "$0")/lib.sh"
need ext4 xfs btrfs
new_repo r

# ---- no room ----

disk full xfs 400M
noise 8000000 1 >"$work/full/data"
# what is left is less than the drivers keep aside at most
fallocate -l 230M "$work/full/much"
state_of "$work/full" >state
# Runs once the clones are there: the application writes over all of its data, and on until nothing is free.
cat >fill <<'SH'
#!/bin/sh
openssl enc -aes-128-ctr -pass pass:2 -nosalt -pbkdf2 -iter 1 </dev/zero 2>/dev/null | head -c 8000000 |
	dd of="$1/data" conv=notrunc status=none
dd if=/dev/zero of="$1/fill" bs=64k status=none 2>/dev/null
sync -f "$1"
dd if=/dev/zero of="$1/fill" bs=4k oflag=append conv=notrunc,fsync status=none 2>/dev/null
true
SH
chmod +x fill

t 'the file system is full when the clones are completed, --driver reflink: one sentence, and no point'
run 1 backup --driver reflink --pre "$work/fill $work/full" "v=$work/full"
err 'No space left|space'
err "'$work/full'|volume 'v'"
ok test "$(points "$store_dir")" -eq 0
ok test -z "$(left_over "$work/full")"
ok dd if=/dev/zero of="$work/full/own" bs=1M count=1 conv=fsync status=none
rm -f "$work/full/own" "$work/full/fill"
# XFS frees what was removed by and by
has_room() { sync -f "$work/full" && [ "$(stat -f -c %a "$work/full")" -gt $(((40 << 20) / 4096)) ]; }
wait_for has_room

t 'the same by --driver auto: read live, labelled fuzzy, and the reason is kept'
taking 0 --pre "$work/fill $work/full" "v=$work/full"
ok test "$driver $label" = 'live fuzzy'
ok grep -qE '"fallback": ".*[Ss]pace' "$work/.out"
ok test -z "$(left_over "$work/full")"
ok dd if=/dev/zero of="$work/full/own" bs=1M count=1 conv=fsync status=none
rm -f "$work/full/own"
run 0 volume "v@$point" "$work/back"
ok same "$work/full/data" "$work/back/data"
run 0 "$catalog" sync --key "$audit" --quiet
run 0 "$catalog" show v
out '^fallback .*[Ss]pace'

t 'no room from the start: reflink says how much it wants, auto takes a driver that needs none'
run 1 backup --driver reflink "v=$work/full"
err 'free, and clones .* want'
taking 0 "v=$work/full"
ok test "$driver" = live
taking 0 --copy-max 1G "v=$work/full"
ok test "$driver" = freeze
rm -rf "$work/back"
unmounting "$work/full"
rm -f full.image

# ---- a view that vanishes ----

disk sub btrfs 600M
# more than is read ahead
"$python" -c '
import os, sys
for i in range(400):
    os.makedirs("%s/z/%d" % (sys.argv[1], i))
    for k in range(40):
        with open("%s/z/%d/%d" % (sys.argv[1], i, k), "w") as f:
            f.write("%d %d" % (i, k))' "$work/sub"
noise 60000000 3 >"$work/sub/a-large"
sync -f "$work/sub"

t 'a view is deleted before it is read: no point by --driver btrfs'
run '1|4' backup --driver btrfs --post "btrfs subvolume delete $work/sub/.aksdr-view-*/view" "s=$work/sub"
err 'snapshot'
ok test -z "$(left_over "$work/sub")"
t 'the same by --driver auto: read live'
taking 0 --post "btrfs subvolume delete $work/sub/.aksdr-view-*/view" "s=$work/sub"
ok test "$driver $label" = 'live fuzzy'
ok test -z "$(left_over "$work/sub")"

t 'a freezer that is not there: auto reads live and says so, a named driver fails'
taking 0 --driver auto --freezer "$work/nowhere" "s=$work/sub"
ok test "$driver" = btrfs
disk other ext4 100M
echo 1 >"$work/other/file"
taking 0 --freezer "$work/nowhere" "o=$work/other"
ok test "$driver $label" = 'live fuzzy'
ok grep -q '"fallback": ".*freezer' "$work/.out"
run '1|4' backup --driver freeze --freezer "$work/nowhere" "o=$work/other"
err "freezer at '.*/nowhere'"
unmounting "$work/other"

# The moments at which it goes: it is there, its directories are read, a file is.
is_there() { compgen -G "$work/sub/.aksdr-view-*/view" >/dev/null; }
has_open() { find "/proc/$pid/fd" -lname "*/view/$1" 2>/dev/null | grep -q .; }
vanish() {
	local before lost='' ended
	t "a view is deleted while it is read, once $*: what the point lacks is listed, or there is none"
	before=$(points "$store_dir")
	"$agent" backup --key "$agent_key" --quiet --force --threads 1 --level 19 --driver btrfs \
		"s=$work/sub" >"$work/.out" 2>"$work/.err" &
	pid=$!
	children+=("$pid")
	wait_for "$@"
	kill -STOP "$pid"
	ok btrfs subvolume delete "$work/sub"/.aksdr-view-*/view >/dev/null
	echo 2 >/proc/sys/vm/drop_caches
	kill -CONT "$pid"
	wait "$pid"
	ended=$? shown=backup
	case_checks=$((case_checks + 1))
	case $ended in
	0 | 3)
		run 0 "$catalog" sync --key "$audit" --quiet
		run 0 "$catalog" query --output json \
			"select unreadable from v_points where name = 's' order by sequence desc limit 1"
		lost=$(json items 0 unreadable)
		ok test $((lost > 0)) -eq $((ended == 3))
		run 0 volume s "$work/back"
		diff -r "$work/sub" "$work/back" >.differ
		# a directory that is not there counts once
		ok test "$(grep -c '^Only in .*/sub' .differ)" -le "$lost"
		ok not grep -q '^[^O]' .differ
		rm -rf "$work/back"
		;;
	1 | 4)
		ok test "$(points "$store_dir")" -eq "$before"
		err '.'
		;;
	*) bad "exit status $ended" ;;
	esac
	echo "     exit status $ended, ${lost:-no} entries lost"
	ok test -z "$(left_over "$work/sub")"
}
vanish is_there
vanish has_open 'z/*'
vanish has_open a-large
t 'and the next backup has everything'
run 0 backup --driver btrfs "s=$work/sub"
run 0 volume s "$work/back"
ok diff -r "$work/sub" "$work/back"
rm -rf "$work/back"
unmounting "$work/sub"
rm -f sub.image

# ---- hooks ----

disk app ext4 200M
echo 1 >"$work/app/file"
for how in freeze live; do
	t "--driver $how: a hook that hangs is killed with all that it started, post hooks run, and there is no point"
	before=$(points "$store_dir")
	rm -f post
	# long enough for the one that does its work
	run 1 backup --driver "$how" --hook-timeout 3s --pre "tail -f /dev/null & echo \$! >pid; wait" \
		--post "echo \$AKSDR_RESULT >post" "h=$work/app"
	err 'did not end within 3\.000 s and was killed'
	ok grep -qx failed post
	ok wait_for gone "$(cat pid)"
	ok test "$(points "$store_dir")" -eq "$before"
	t "--driver $how, --on-hook-error continue: a point that is not called application-consistent"
	rm -f post
	taking 0 --driver "$how" --hook-timeout 3s --on-hook-error continue --pre "tail -f /dev/null" \
		--post "echo \$AKSDR_RESULT >post" "h=$work/app"
	[ "$how" = freeze ] && want=filesystem || want=fuzzy
	ok test "$label" = "$want"
	ok grep -qx captured post
	ok thawed "$work/app"
done
t 'a hook that works makes the point one of the application'
taking 0 --driver freeze --pre true "h=$work/app"
ok test "$label" = application
t 'a post hook that hangs is killed, and there is no point'
before=$(points "$store_dir")
run 1 backup --driver freeze --hook-timeout 1s --post "tail -f /dev/null" "h=$work/app"
ok test "$(points "$store_dir")" -eq "$before"
ok thawed "$work/app"
ok test -z "$(left_over "$work/app")"
finish
