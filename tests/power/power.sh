#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The power fails at any moment. A virtual machine runs the scenario on a file system whose every
# write, flush and FUA is recorded (dm-log-writes); afterwards, what the disk would have held at each
# moment is made from the record, mounted here, and used with the real programs: check.py says what
# must hold. The machine is emulated and only records, so that neither hardware nor this kernel need
# to have anything but loop devices.
#
#   power.sh                                        the test
#   power.sh --prepare                              fetches the kernel of the machine into the cache
#   power.sh --repeat DIR MOMENT SEED [IMAGE]       looks at one moment of a recording that was kept
#
# Environment: TEST_SIZE, TEST_SEED; POWER_FS: file systems (small "ext4 xfs", full also btrfs);
# POWER_SECONDS: after so many the rest of the moments is left out (small 210, full 400); POWER_KEEP:
# a directory in which recordings are kept, also those that show nothing.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd -P)
python=${PYTHON:-python3}
[ -z "${POWER_KEEP:-}" ] || POWER_KEEP=$(realpath -m "$POWER_KEEP")
modules=(virtio_pci virtio_blk dm-log-writes xfs btrfs)
# shellcheck source=tests/power/libmachine.sh
. "$here/libmachine.sh"

if [ "${1:-}" = --prepare ]; then
	get_kernel || { echo "power: $why" >&2 && exit 1; }
	echo "$kernel"
	exit 0
fi

# ---- can it run here --------------------------------------------------------------------------

: "${BIN:?BIN is the directory of the programs}"
BIN=$(cd "$BIN" && pwd -P) || exit 1
[ "$(uname -m)" = x86_64 ] || cannot 'the recording machine is an x86_64; this is another'
[ "$(id -u)" -eq 0 ] || cannot 'only root can mount'
[ -z "${SAN:-}" ] || cannot 'programs with sanitizers are too slow in an emulated machine'
# Whatever becomes of this process, what it mounts goes with it.
if [ -z "${POWER_INSIDE:-}" ]; then
	unshare --mount true 2>/dev/null || cannot 'no mount namespace can be made here'
	export POWER_INSIDE=1
	exec unshare --mount --propagation private -- "$here/power.sh" "$@"
fi
for tool in qemu-system-x86_64 busybox cpio dmsetup mkfs.ext4 losetup setpriv "$python"; do
	command -v "$tool" >/dev/null || cannot "$tool is missing"
done

# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
seed=${TEST_SEED:-1}
small_disk "$work/ram" 4g || cannot 'no tmpfs can be mounted here'
ram=$work/ram
initrd=$ram/initrd
trap 'umount --recursive --lazy "$ram"; clean' EXIT

# ours FILE ARGUMENT...: one of our Python programs; it dies with this script
ours() { setpriv --pdeathsig KILL -- "$python" -B "$@"; }

if [ "${1:-}" = --repeat ]; then
	[ $# -ge 4 ] || { echo 'usage: power.sh --repeat DIR MOMENT SEED [IMAGE]' >&2 && exit 2; }
	cd "$OLDPWD" || exit 1
	ours "$here/check.py" --recording "$2" --bin "$BIN" --work "$ram/check" --only "$3" --seed "$4" \
		${5:+--image "$5"}
	exit
fi

full() { [ "${TEST_SIZE:-small}" = full ]; }
seconds=${POWER_SECONDS:-$(full && echo 400 || echo 210)}
[ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -ge 3000 ] ||
	cannot 'less than 3000 MiB of memory are free'
get_kernel || cannot "$why"

# ---- the machine ------------------------------------------------------------------------------

make_machine() {
	local f root=$ram/root
	mkdir -p "$ram"/root/{bin,lib,usr/bin,proc,sys,dev,root} || return 1
	into "$(command -v busybox)" bin && ln -s busybox "$ram/root/bin/sh" || return 1
	for f in "$agent" "$restore" "$catalog" "$(type -P dmsetup)" "$(type -P cp)"; do into "$f" || return 1; done
	printf '%s\n' 'int fsync(int fd) { (void)fd; return 0; }' 'int fdatasync(int fd) { (void)fd; return 0; }' |
		"${CC:-gcc}" -shared -fPIC -x c -o "$ram/root/lib/nosync.so" - || return 1
	cp -r "$kernel/modules" "$here/init" "$here/scenario" "$ram/root/" || return 1
	(cd "$ram/root" && find . | cpio --quiet -o -H newc) >"$initrd" && rm -r "$ram/root"
}

# The volumes, and noise that the scenario makes changes of.
make_volumes() {
	local i
	mkdir -p "$ram/volumes/src/data/dir/sub" && cd "$ram/volumes" || return 1
	noise 1048576 "noise $seed" >noise
	noise 2500000 "large $seed" >src/data/large
	for i in {1..80}; do noise $((i * 53)) "small $i $seed" >"src/data/dir/$i"; done
	for i in {1..200}; do echo "line $i of a text that compresses well" >>src/data/text; done
	truncate -s 3M src/data/holes
	ln -s ../large src/data/dir/link
	noise 600000 "image $seed" >src/image
	chmod 640 src/data/dir/9
	cd "$work" || return 1
	truncate -s 160M "$ram/volumes.img" && mkfs.ext4 -qF -d "$ram/volumes" "$ram/volumes.img"
}

# base FS FILE: a new file system, and whether it can be mounted here
base() {
	mkdir -p "$ram/try"
	case $1 in
	# Small file systems would have blocks of 1 KiB; inode tables would be written while it is in use.
	ext4) truncate -s 256M "$2" && mkfs.ext4 -qF -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$2" ;;
	xfs) truncate -s 310M "$2" && mkfs.xfs -q "$2" ;; # about the least
	btrfs) truncate -s 256M "$2" && mkfs.btrfs -q "$2" ;;
	*) false ;;
	esac >/dev/null && mount -t "$1" -o loop "$2" "$ram/try" && umount "$ram/try" &&
		cp --sparse=always "$2" "$2.sparse" && mv "$2.sparse" "$2"
}

# record DIR FS NOSYNC: runs the machine. DIR then is a recording, as check.py wants it, and has the
# device as the machine left it in data.
record() {
	local d=$1 drive=if=virtio,format=raw,cache=unsafe
	mkdir -p "$d" && cp --sparse=always "$ram/$2.img" "$d/base" && cp --sparse=always "$d/base" "$d/data" &&
		cp --sparse=always "$ram/volumes.img" "$d/outside" && truncate -s 1G "$d/log" &&
		echo "$2" >"$d/fs" || return 1
	start_machine 1200 "$d" "FS=$2 NOSYNC=$3" -m 512 \
		-drive "file=$d/data,$drive" -drive "file=$d/log,$drive" -drive "file=$d/outside,$drive"
	grep -q 'power: the scenario ended with status 0' "$d/console"
}

# recorded DIR: whether that went well, and the record is complete: replayed, it is the device
recorded() {
	[ -e "$1/whole" ] || { tail -n 30 "$1/qemu" "$1/console"; return 1; }
	ours "$here/logwrites.py" info "$1/log" | sed -n '1,2s/^/     /p'
	ours "$here/logwrites.py" image "$1/log" "$1/base" "$1/replayed" && cmp "$1/replayed" "$1/data" || return
	rm "$1/replayed" "$1/data"
}

# keep_recording DIR FS: one that showed a fault, for --repeat; the last one of each file system
keep_recording() {
	local to=${POWER_KEEP:-$cache/power-failed}/$2 f
	rm -rf "$to" && mkdir -p "$to" || return
	for f in fs base log outside console; do cp --sparse=always "$1/$f" "$to/"; done
	echo "   kept in '$to'; to look at one moment again:"
	echo "   BIN='$BIN' '$here/power.sh' --repeat '$to' MOMENT '$seed'"
	echo "   where MOMENT is the first word of a line above, as f842 or d842.0"
}

# ---- the cases --------------------------------------------------------------------------------

t 'a log is read as the kernel writes it'
ok ours "$here/logwrites.py" self-test

file_systems=()
for fs in ${POWER_FS:-ext4 xfs$(full && echo ' btrfs')}; do
	if base "$fs" "$ram/$fs.img" 2>"$work/base.err"; then
		file_systems+=("$fs")
	else
		echo "skip $fs: it cannot be made or mounted here: $(tail -n 1 "$work/base.err")"
	fi
done
[ ${#file_systems[@]} -gt 0 ] || cannot 'no file system can be made and mounted in a loop device here'

t 'a machine for recording is made'
ok make_machine
ok make_volumes
[ "$case_bad" -eq 0 ] || { finish; exit 1; }

# All at once: each waits for its disks now and then.
for fs in "${file_systems[@]}"; do
	{ record "$ram/$fs" "$fs" 0 && touch "$ram/$fs/whole"; } &
done
# What the test is worth: the same on the first, while fsync does nothing.
{ record "$ram/nosync" "${file_systems[0]}" 1 && touch "$ram/nosync/whole"; } &
wait

declare -A sentences=(
	[mount]='what is left can be mounted'
	[keys]='init is whole once it was acknowledged, and can be run again before'
	[points]='acknowledged restore points come back exactly, and what is listed is whole'
	[check]='a check finds no damage'
	[backup]='the next backup succeeds, and comes back'
	[state]='local state of another moment makes no backup wrong'
	[collect]='a collection is gone on with, and takes nothing that is needed'
	[catalog]='the catalog opens or says what to do; made anew it is what the store has'
	[restored]='what was restored with --sync is there'
)

# holds FILE: no finding is in it; some are shown
holds() {
	[ -f "$1" ] || return 1
	head -n 5 "$1" | cut -c 1-1000 | sed 's/^/   /'
	[ ! -s "$1" ]
}

left=${#file_systems[@]}
for fs in "${file_systems[@]}"; do
	share=$(((seconds - SECONDS) / left--))
	t "$fs: the scenario is recorded"
	ok recorded "$ram/$fs"
	[ "$case_bad" -eq 0 ] || continue
	t "$fs: moments are looked at"
	ok ours "$here/check.py" --recording "$ram/$fs" --bin "$BIN" --work "$ram/check.$fs" \
		--findings "$work/found.$fs" --seed "$seed" --seconds "$((share > 10 ? share : 10))" \
		--turns "$(full && echo 20 || echo 1)"
	rm -rf --one-file-system "$ram/check.$fs"
	for claim in mount keys points check backup state catalog collect restored; do
		t "$fs, after a power cut: ${sentences[$claim]}"
		ok holds "$work/found.$fs/$claim"
	done
	end_case
	if [ -n "${POWER_KEEP:-}$(find "$work/found.$fs" -type f -size +0)" ]; then keep_recording "$ram/$fs" "$fs"; fi
	rm -rf "${ram:?}/$fs"
done

t "${file_systems[0]}, with an fsync that does nothing: acknowledged points are lost, and that is found"
ok recorded "$ram/nosync"
ok ours "$here/check.py" --recording "$ram/nosync" --bin "$BIN" --work "$ram/check.nosync" \
	--findings "$work/found.nosync" --seed "$seed" --near-marks
ok grep -q 'had been acknowledged, and its point .* is not there' "$work/found.nosync/points"

finish
