#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the golden repository of the present format version, anew, with the programs in BIN:
#
#   BIN=build/release tests/format/lib_make_golden.sh        (root, xfsprogs)
#
# It holds two states of a file system volume and one of a block volume, with every kind of record
# that docs/FORMAT.md has. It is made on xfs, where all of them exist, in a mount namespace of its
# own. A format version that is released never gets another repository: readers must keep reading
# the one that is there.
set -euo pipefail
umask 022

here=$(cd "$(dirname "$0")" && pwd -P)
: "${BIN:?BIN is the directory of the programs}"
BIN=$(cd "$BIN" && pwd -P)
golden=$here/golden/v1
if [ "${1:-}" != --inside ]; then
	BIN=$BIN exec unshare --mount --uts --propagation private "$here/lib_make_golden.sh" --inside
fi
hostname golden

work=$(mktemp -d)
trap 'cd /; umount "$work/fs" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
truncate -s 512M "$work/image"
mkfs.xfs -q "$work/image"
mkdir "$work/fs"
mount -o loop "$work/image" "$work/fs"
x=$work/fs/x
mkdir "$x" && cd "$x"

noise() {
	openssl enc -aes-128-ctr -pass "pass:$2" -nosalt -pbkdf2 -iter 1 </dev/zero 2>/dev/null |
		head -c "$1" || true
}
settle() { # everything gets a fixed time, which differs a little from name to name
	local n=0 p
	while IFS= read -r -d '' p; do
		n=$((n + 1))
		touch -h -d "@$((1000000000 + n)).$(printf %09d $((n * 7919)))" -- "$p"
	done < <(find . -depth -print0 | LC_ALL=C sort -z)
	touch -d '1901-12-14T00:00:00.000000001Z' text
	touch -d '2400-02-29T12:00:00.999999999Z' random
}

: >empty
printf 'golden\n' >text
for i in {1..400}; do echo "line $i of a file that compresses well"; done >lines
noise 40000 1 >random
noise 3000 tail | dd of=holes bs=1 seek=150000000 status=none
truncate -s 200M holes
fallocate -l 300000 zeros
printf x | dd of=zeros bs=1 seek=299999 conv=notrunc status=none
mkdir -p dir/below/below 'dir/a name with blanks' many
for i in {1..90}; do echo "small $i" >"many/$i"; done
# Large attributes, so that there are several leaves, and a node above them.
for i in {1..60}; do setfattr -n user.filler -v "$(printf "$i%.0s" {1..1500})" "many/$i"; done
printf 'bytes' >dir/$'\xff\xfe\x01 and\nnewline'
printf 'long' >"dir/$(printf 'n%.0s' {1..255})"
ln text dir/below/second-name
ln -s ../../text dir/below/link
ln -s /nowhere/at/all dangling
ln dangling dir/second-link
mkfifo -m 600 fifo
python3 -c 'import os, stat; os.mknod("socket", stat.S_IFSOCK | 0o640)'
mknod -m 600 char c 5 1
mknod -m 660 block b 259 262143
chown 1234:4321 lines dir/below
chown -h 77:78 dangling
chmod 4751 lines
chmod 1777 dir/below
chmod 0 empty
setfattr -n user.note -v 'with a value' text
setfattr -n user.empty text
setfattr -n trusted.secret -v 0x00ff00 dir
setfattr -h -n trusted.link -v target dangling
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 random
setfacl -m u:12345:rw,g:54321:r,m::rw text
setfacl -d -m u:12345:rwx dir
chattr +d lines
chattr +A dir
xfs_io -c 'chproj 42' text
xfs_io -c 'chproj -R 4294967294' dir/below
settle
chattr +i empty

rm -rf "$golden"
mkdir -p "$golden/expected"
export AKSDR_STORE=file://$golden/store AKSDR_STATE=$work/state
"$BIN/aksdr-agent" init --keys "$golden/keys" --quiet
back_up() { "$BIN/aksdr-agent" backup --key "$golden/keys/agent.key" --quiet "$@" >/dev/null; }
expect() {
	python3 "$here/../property/compare.py" scan "$x" |
		gzip -9n >"$golden/expected/files-$1.jsonl.gz"
	"$here/listing" "$x" >"$golden/expected/files-$1.list"
}
set=00112233445566778899aabbccddeeff

noise 20000 image >"$work/disk"
truncate -s 5M "$work/disk"
noise 5000 image2 >>"$work/disk"
truncate -s 9M "$work/disk"
back_up --cluster c1 --namespace shop --uid 0f0e0d0c --set $set files="$x" disk="$work/disk"
expect 1
sha256sum <"$work/disk" | cut -d ' ' -f 1 >"$golden/expected/disk-1.sha256"

chattr -i empty
printf 'PAGE' | dd of=random bs=1 seek=9000 conv=notrunc status=none
echo 'one line more' >>lines
rm many/1? fifo dangling
mv many/20 dir/moved
mkdir fifo
ln -s elsewhere dangling
setfattr -x user.empty text
settle
back_up --cluster c1 --namespace shop --uid 0f0e0d0c files="$x"
expect 2

rm -rf "$golden/store/.tmp"
chmod -R u=rwX,go=rX "$golden"
chmod 600 "$golden"/keys/*
du -sh --apparent-size "$golden"
