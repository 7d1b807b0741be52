#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is in a point, judged by an application whose writes are numbered (ledger.py), on real file
# systems, while it writes as fast as it is let. Of an atomic driver the numbers are 1 to N without
# a gap and without a torn record; all that was done before the moment is there, and nothing that
# began later. Read live, each file that is not listed as changed is one that there was at some time.
# Image files with file systems in them, in use, come back as after a power cut.
# shellcheck source=tests/volumes/lib.sh
. "$(dirname "$0")/lib.sh"
need ext4 xfs btrfs
[ "$size" = full ] && points=10 || points=2
taken=0

# back POINT: restored into $work/back
back() {
	rm -rf "$work/back"
	run 0 volume "$1" "$work/back"
}

# session FS DRIVER EXPECTED [OPTION]...: points of a volume by a driver; OPTIONs are the writer's
session() {
	local fs=$1 how=$2 expected=$3 i late
	shift 3
	t "$fs, --driver $how${1:+, $*}: $points points, each of one moment by $expected"
	mkdir "$work/$fs/app"
	writing s "$@" "$work/$fs/app"
	noise_on "$work/$fs/app"
	for ((i = 0; i < points; i++)); do
		taking 0 --driver "$how" "$fs=$work/$fs"
		late=$(date +%s%N)
		ok test "$driver" = "$expected"
		back "$fs@$point"
		rm -rf "$work/back/app/noise"
		case $expected in
		live)
			ok test "$label" = fuzzy
			sed 's|^app/||' "$work/.changed" >changed
			ok judge s --live changed --no-map "$work/back/app"
			;;
		btrfs)
			ok test "$label" = crash
			ok judge s --acked-by "$moment_ns" --begun-by "$late" "$work/back/app"
			;;
		*)
			ok test "$label" = filesystem
			# the time is told in ms
			ok judge s --acked-by "$moment_ns" --begun-by $((moment_ns + 1000000)) "$work/back/app"
			;;
		esac
		taken=$((taken + 1))
	done
	noise_off
	written s
	ok test -z "$(left_over "$work/$fs")"
	rm -rf "$work/$fs/app"
}

on_ext4() {
	session ext4 auto freeze
	session ext4 freeze freeze
	session ext4 live live --no-map
}
on_xfs() {
	session xfs auto reflink
	session xfs reflink reflink
	session xfs freeze freeze
	session xfs live live --no-map
}
on_btrfs() {
	session btrfs auto btrfs --sync
	session btrfs btrfs btrfs --sync
	session btrfs reflink reflink
	session btrfs freeze freeze
	session btrfs live live --no-map
}

new_repo r
for fs in ${ONLY:-ext4 xfs btrfs}; do
	disk "$fs" "$fs" 1G
	"on_$fs"
	unmounting "$work/$fs"
	rm -f "$work/$fs.image"
done
finish
