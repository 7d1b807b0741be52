#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Which files a path stands for: mount points, bind mounts of a part of a file system as the kubelet makes
# them, mounts on top of each other, and links; and what somebody without rights can have.
# shellcheck source=tests/volumes/lib.sh
. "$(dirname "$0")/lib.sh"
need ext4 xfs btrfs
new_repo r

# has NAME...: the restored point of volume v has these names and no others
has() {
	rm -rf "$work/back"
	run 0 volume v "$work/back"
	ok test "$(cd "$work/back" && find . -mindepth 1 | sort | tr '\n' ' ')" = \
		"$(printf './%s\n' "$@" | sort | tr '\n' ' ')"
}

t '--require-mount: a plain directory, and a mount point with nothing mounted, are refused'
mkdir -p plain/sub pods
echo 1 >plain/file
run '1|2|4' backup --require-mount "v=$work/plain"
err "'$work/plain'.*(mount|file system)"
disk ext4 ext4 100M
echo 1 >ext4/file
run 0 backup --require-mount "v=$work/ext4"
has file
unmounting "$work/ext4"
run '1|2|4' backup --require-mount "v=$work/ext4"
err "'$work/ext4'.*(mount|file system)"
ok test "$(points "$store_dir")" -eq 1
run '1|2|4' backup --require-mount "v=$work/nowhere"
err nowhere

for fs in ext4 xfs btrfs; do
	disk "$fs" "$fs" 400M
	mkdir -p "$fs/claims/mine/dir" "$fs/claims/other"
	echo 1 >"$fs/outside"
	echo 2 >"$fs/claims/other/secret"
	echo 3 >"$fs/claims/mine/dir/file"
	ln -s ../../../outside "$fs/claims/mine/link"
	ln -s /etc "$fs/claims/mine/dir/etc"
	pod=$work/pods/8d2f6c1e-$fs/volumes/kubernetes.io~csi/pvc-1/mount
	mounting --bind "$work/$fs/claims/mine" "$pod"
	for how in auto live freeze; do
		t "$fs, --driver $how: a bind mount of a part of it is that part, and links in it stay links"
		run 0 backup --require-mount --driver "$how" "v=$pod"
		has dir dir/etc dir/file link
		ok test "$(readlink back/link)" = ../../../outside
		ok test "$(readlink back/dir/etc)" = /etc
		ok test -z "$(left_over "$work/$fs" "$pod")"
	done
	t "$fs: of mounts on top of each other the upper one is read, and what is below it stays hidden"
	disk upper ext4 50M
	echo 4 >upper/top
	mounting --bind "$work/upper" "$pod"
	run 0 backup --require-mount "v=$pod"
	has top
	unmounting "$pod" # the upper one
	run 0 backup --require-mount "v=$pod"
	has dir dir/etc dir/file link
	t "$fs: another file system within it is left out, and named"
	mounting --bind "$work/upper" "$pod/dir"
	run 0 backup "v=$pod"
	ok not test -e back/dir/top
	has dir link
	run 0 "$catalog" sync --key "$audit" --quiet
	umount "$pod/dir"
	mounts=("${mounts[@]/"$pod/dir"/}")
	unmounting "$work/upper"
	ok test -z "$(left_over "$work/$fs" "$pod")"
done

t 'without rights: auto reads live, a named driver says what it lacks'
mkdir -m 0777 theirs
chown -R 65534:65534 r r.keys
echo 1 >"$work/xfs/claims/mine/dir/open"
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups -- env AKSDR_STATE="$work/theirs/state" \
		"$agent" backup --key "$agent_key" --quiet --output json "$@"
}
for fs in ext4 xfs btrfs; do
	run 0 as_nobody "u$fs=$work/$fs"
	json_is live items 0 driver
	json_is fuzzy items 0 consistency
	ok test -n "$(json items 0 fallback)"
done
for how in freeze reflink btrfs; do
	[ "$how" = freeze ] && fs=xfs || fs=$how
	[ "$how" != reflink ] || fs=xfs
	run '1|2' as_nobody --driver "$how" "n=$work/$fs"
	err 'CAP_SYS_ADMIN|permi|right|privilege|may not write to'
	echo "     $how: $(tail -n 1 "$work/.err" | cut -c 1-300)"
done
finish
