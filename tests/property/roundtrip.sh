#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# restore(backup(x)) = x, over generated trees and images that change from generation to generation.
#
# TEST_SIZE=small: a small tree on the file system of TMPDIR, and an image file. TEST_SIZE=full:
# larger ones, as root also on ext4, xfs and btrfs in image files that are mounted in a mount
# namespace of their own (so that nothing of them can outlive this script), and a block device.
# TEST_SEED makes other trees; a failure names it.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"

seed=${TEST_SEED:-1} size=${TEST_SIZE:-small}
python=${PYTHON:-python3}
tree() { "$python" "$here/gen_tree.py" "$@"; }
scan() { "$python" "$here/compare.py" scan "$1" >"$2"; }
check() { "$python" "$here/compare.py" check "$1" "$2"; }
[ "$size" = full ] && generations=4 || generations=3

# discard DIR: a tree goes, whatever its flags and modes
discard() {
	[ ! -e "$1" ] || { tree unpin "$1" && chmod -R u+rwX "$1" && rm -rf --one-file-system "$1"; }
}

# based NAME TARGET FROM TO: the target, which is generation FROM, becomes TO, by what differs alone
based() {
	run 0 volume "$1@${ids[$4]}" "$2" --in-place --delete --base "${ids[$3]}"
}

# mounted_is NAME@POINT LIST TITLE: the point, as a file system, is what LIST says
mounted_is() {
	local mount_pid
	if ! { : <>/dev/fuse; } 2>/dev/null || [ "$(id -u)" -ne 0 ]; then
		echo "skip $3, mounted: no root, or no /dev/fuse"
		return
	fi
	t "$3: mounted it is what was backed up"
	mkdir "$work/m"
	"$restore" mount --key "$recovery" "$1" "$work/m" >"$work/.mount" 2>&1 </dev/null &
	mount_pid=$!
	ok wait_for test -s "$work/.mount"
	ok check "$2" "$work/m"
	kill -INT $mount_pid
	ok wait $mount_pid
	ok rmdir "$work/m"
}

# generations_of NAME DIR [--pins]: a tree in DIR, changed again and again; its restores beside it
generations_of() {
	local name=$1 dir=$2 g other lists=$work/$1.lists
	shift 2
	mkdir -p "$lists" "$dir/x"
	for ((g = 1; g <= generations; g++)); do
		t "$name, seed $seed, generation $g: what was backed up comes back"
		if [ $g -eq 1 ]; then
			ok tree make "$dir/x" "$seed.1" "$size" "$@"
		else
			ok tree change "$dir/x" "$seed.$g" "$size" "$@"
		fi
		ok scan "$dir/x" "$lists/$g"
		run 0 "$agent" backup --key "$agent_key" --quiet --output json "$name=$dir/x"
		json_is 0 items 0 unreadable
		ids[g]=$(json items 0 point)
		run 0 volume "$name" "$dir/o"
		ok check "$lists/$g" "$dir/o"
		discard "$dir/o"
		# Reading a tree for a backup leaves it as it was.
		ok check "$lists/$g" "$dir/x"
	done

	mounted_is "$name@${ids[2]}" "$lists/2" "$name, seed $seed"
	# The first of them may write small files anew whose chunks the last changes have emptied.
	t "$name, seed $seed: an unchanged tree is not read again"
	run 0 "$agent" backup --key "$agent_key" --quiet "$name=$dir/x"
	run 0 "$agent" backup --key "$agent_key" --quiet --output json "$name=$dir/x"
	json_is 0 items 0 read_bytes
	json_is 0 items 0 stored_bytes

	for ((g = 1; g < generations; g++)); do
		t "$name, seed $seed: generation $g comes back after the later ones"
		run 0 volume "$name@${ids[g]}" "$dir/o" --verify
		ok check "$lists/$g" "$dir/o"
		# What is there becomes another generation, forwards and backwards.
		for other in $(((g + 1) % generations + 1)) $g; do
			t "$name, seed $seed: in place over generation $g, then back to it: $other"
			run 0 volume "$name@${ids[other]}" "$dir/o" --in-place --delete
			ok check "$lists/$other" "$dir/o"
		done
		t "$name, seed $seed: only what differs from generation $g, and back to it"
		based "$name" "$dir/o" $g $((g % generations + 1))
		ok check "$lists/$((g % generations + 1))" "$dir/o"
		based "$name" "$dir/o" $((g % generations + 1)) $g
		ok check "$lists/$g" "$dir/o"
		discard "$dir/o"
	done

	t "$name, seed $seed: in place, over a tree that somebody else changed"
	run 0 volume "$name@${ids[2]}" "$dir/o"
	ok tree change "$dir/o" "$seed.99" "$size" "$@"
	run 0 volume "$name@${ids[3]}" "$dir/o" --in-place --delete
	ok check "$lists/3" "$dir/o"
	discard "$dir/o"

	t "$name, seed $seed: the same without the local state and with every file read"
	rm -rf "$AKSDR_STATE"
	run 0 "$agent" backup --key "$agent_key" --quiet --force "$name=$dir/x"
	run 0 volume "$name" "$dir/o"
	ok check "$lists/$generations" "$dir/o"
	discard "$dir/o"
	discard "$dir/x"
}

# on_file_system TYPE: in the mount namespace that is made for it
on_file_system() {
	local type=$1 options=()
	t "$type: the file system is made"
	truncate -s 3G "$work/$type.image"
	[ "$type" != xfs ] || options=(-q)
	ok "mkfs.$type" "${options[@]}" "$work/$type.image" >/dev/null 2>&1
	mkdir "$work/$type"
	ok mount -o loop "$work/$type.image" "$work/$type"
	mounted+=("$work/$type")
	[ "$case_bad" -ne 0 ] || generations_of "$type" "$work/$type" --pins
}

# change_image FILE SEED: pages written, zeroed, punched out
change_image() {
	"$python" - "$1" "$2" <<'PY'
import ctypes, os, random, sys
r = random.Random(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.lseek(fd, 0, os.SEEK_END)
libc = ctypes.CDLL(None)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
for _ in range(60):
    at = r.randrange(size // 4096) * 4096
    n = min(r.choice([4096, 4096, 8192, 65536, 1 << 20, 1500000]), size - at)
    kind = r.randrange(6)
    if kind == 0:
        os.pwrite(fd, bytes(n), at)
    elif kind == 1:
        libc.fallocate(fd, 3, at, n)
    elif kind == 2:
        os.pwrite(fd, b"line of text\n" * (n // 13), at)
    else:
        os.pwrite(fd, r.randbytes(n), at)
if size % 4096 and r.randrange(2):
    os.pwrite(fd, b"\1", size - 1)
os.fsync(fd)
PY
}

# full_blocks FILE: how many of its blocks of 1 MiB are not all zeros
full_blocks() {
	"$python" -c '
import sys
f = open(sys.argv[1], "rb")
print(sum(any(b) for b in iter(lambda: f.read(1 << 20), b"")))' "$1"
}

# images_of NAME SOURCE FILE BYTES: SOURCE, an image or a device that FILE is behind, comes back
images_of() {
	local name=$1 source=$2 file=$3 bytes=$4 g
	for ((g = 1; g <= generations; g++)); do
		t "$name, seed $seed, generation $g: the image comes back"
		ok change_image "$source" "$seed.$g"
		ok cp --sparse=always "$source" "$file.$g"
		run 0 "$agent" backup --key "$agent_key" --quiet --output json "$name=$source"
		ids[g]=$(json items 0 point)
		run 0 volume "$name" "$file.o"
		ok same "$file.$g" "$file.o"
		ok test "$(stat -c %s "$file.o")" -eq "$bytes"
		# Pages that became zero inside a changed block may come back allocated: a tenth.
		ok test "$(stat -c %b "$file.o")" -le $(($(full_blocks "$file.$g") * 2253 + 64))
		rm -f "$file.o"
	done
	for ((g = 1; g <= generations; g++)); do
		t "$name, seed $seed: image $g comes back after the later ones, new and in place"
		run 0 volume "$name@${ids[g]}" "$file.o" --verify
		ok same "$file.$g" "$file.o"
		run 0 volume "$name@${ids[g % generations + 1]}" "$file.o" --in-place
		ok same "$file.$((g % generations + 1))" "$file.o"
		based "$name" "$file.o" $((g % generations + 1)) "$g"
		ok same "$file.$g" "$file.o"
		rm -f "$file.o"
	done
}

# device_restores NAME FILE BYTES: the generations of images_of, onto a device
device_restores() {
	local name=$1 file=$2 bytes=$3 g device
	t "$name, seed $seed: onto a device: empty, with old content by force, and in place"
	truncate -s "$bytes" "$work/target"
	device=$(losetup --find --show "$work/target") || { bad 'no loop device'; return; }
	loops+=("$device")
	run 0 volume "$name@${ids[1]}" "$device"
	ok same "$file.1" "$device"
	# What is looked at are both ends of a device.
	printf x | dd of="$device" bs=1 count=1 conv=notrunc,fsync status=none
	run 1 volume "$name@${ids[2]}" "$device"
	run 0 volume "$name@${ids[2]}" "$device" --force
	ok same "$file.2" "$device"
	for ((g = 3; g <= generations; g++)); do
		run 0 volume "$name@${ids[g]}" "$device" --in-place --verify
		ok same "$file.$g" "$device"
	done
}

loops=()
end() {
	local l
	for l in ${loops[@]+"${loops[@]}"}; do losetup -d "$l" 2>/dev/null; done
	clean
}
trap end EXIT
trap 'exit 130' INT TERM
ids=()
new_repo r

if [ "${1:-}" = --on ]; then
	on_file_system "$2"
	finish
	exit
fi

mkdir "$work/here"
generations_of here "$work/here"

[ "$size" = full ] && bytes=$((96 << 20)) || bytes=$((6 << 20))
truncate -s "$bytes" image
change_image image "$seed.0"
images_of image "$work/image" "$work/image-copy" "$bytes"

if [ "$size" = full ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	truncate -s $((bytes + 512)) odd
	if device=$(losetup --find --show "$work/odd" 2>/dev/null); then
		loops+=("$device")
		images_of device "$device" "$work/odd-copy" $((bytes + 512))
		device_restores device "$work/odd-copy" $((bytes + 512))
	else
		echo 'skip block devices: no loop devices here'
	fi
	for type in ext4 xfs btrfs; do
		command -v "mkfs.$type" >/dev/null || { echo "skip $type: there is no mkfs.$type"; continue; }
		end_case
		unshare -m --propagation private "$here/roundtrip.sh" --on "$type" >"$work/.$type"
		grep -vE '^([0-9]+ passed, [0-9]+ failed)?$' "$work/.$type"
		counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/.$type" || echo '0 passed, 1 failed')
		passed=$((passed + ${counts%% *})) counts=${counts#*, }
		failed=$((failed + ${counts%% *}))
	done
elif [ "$size" = full ]; then
	echo 'skip ext4, xfs, btrfs and block devices: they need root and a mount namespace'
fi

finish
