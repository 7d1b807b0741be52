#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Thin volumes of LVM, in an emulated machine with Debian's kernel: this machine's own need not have
# a device mapper. The cases are in `scenario` beside; each is a line of the console.
#
#   lvm.sh              the test
#   lvm.sh --prepare    fetches the kernel of the machine into the cache
#
# Environment: LVM_CONSOLE: a file that gets what the machine said.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck disable=SC2034 # for libmachine.sh
modules=(virtio_pci virtio_blk dm-thin-pool xfs)
# shellcheck source=tests/power/libmachine.sh
. "$here/../power/libmachine.sh"

if [ "${1:-}" = --prepare ]; then
	get_kernel || { echo "lvm: $why" >&2 && exit 1; }
	echo "$kernel"
	exit 0
fi

: "${BIN:?BIN is the directory of the programs}"
BIN=$(cd "$BIN" && pwd -P) || exit 1
[ "$(uname -m)" = x86_64 ] || cannot 'the emulated machine is an x86_64; this is another'
[ -z "${SAN:-}" ] || cannot 'programs with sanitizers are too slow in an emulated machine'
for tool in qemu-system-x86_64 busybox cpio dmsetup lvm thin_delta mkfs.ext4 mkfs.xfs blkdiscard setpriv; do
	command -v "$tool" >/dev/null || cannot "$tool is missing"
done
[ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -ge 2500 ] ||
	cannot 'less than 2500 MiB of memory are free'
get_kernel || cannot "$why"

# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
initrd=$work/initrd

make_machine() {
	local f root=$work/root
	mkdir -p "$root"/{bin,lib,sbin,usr/bin,usr/sbin,proc,sys,dev,root,etc/lvm} || return 1
	into "$(command -v busybox)" bin && ln -s busybox "$root/bin/sh" || return 1
	for f in "$agent" "$restore" "$BIN/tests/lvm/view" "$(type -P sync)" "$(type -P diff)"; do
		into "$f" || return 1
	done
	for f in dmsetup lvm mkfs.ext4 e2fsck mkfs.xfs blkdiscard pdata_tools; do
		into "$(type -P "$f")" usr/sbin || return 1
	done
	for f in pvcreate vgcreate lvcreate lvextend lvchange lvremove lvs; do
		ln -s lvm "$root/usr/sbin/$f" || return 1
	done
	for f in thin_check thin_delta; do ln -s pdata_tools "$root/usr/sbin/$f" || return 1; done
	cp "$here/lvm.conf" "$root/etc/lvm/" || return 1
	cp -r "$kernel/modules" "$here/init" "$here/scenario" "$root/" || return 1
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$initrd" && rm -r "$root"
}

t 'a machine is made'
ok make_machine
ok truncate -s 1500M "$work/disk"
[ "$case_bad" -eq 0 ] || { finish; exit 1; }

start_machine 1500 "$work" '' -m 1300 -drive "file=$work/disk,if=virtio,format=raw,cache=unsafe,discard=unmap"
tr -d '\r' <"$work/console" >"$work/said"
[ -z "${LVM_CONSOLE:-}" ] || cp "$work/said" "$LVM_CONSOLE"

t 'the machine has run to its end'
ok grep -q '^lvm: the machine is done' "$work/said"
[ "$case_bad" -eq 0 ] || tail -n 30 "$work/said" "$work/qemu"
while read -r line; do
	case $line in
	'ok '*)
		t "${line#ok }"
		ok true
		;;
	'not ok '*)
		line=${line#not ok }
		t "${line%%: *}"
		ok false
		echo "   ${line#*: }"
		;;
	esac
done <"$work/said"
finish
