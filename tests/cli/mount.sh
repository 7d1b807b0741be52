#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Points as a file system: what can be seen, by whom, what damage does, and how a mount ends.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! { : <>/dev/fuse; } 2>/dev/null; then
	echo 'there is no /dev/fuse that can be opened: nothing can be mounted here'
	exit 77
elif [ "$(id -u)" -ne 0 ] && ! command -v fusermount3 >/dev/null; then
	echo 'mounting takes root, or the program fusermount3 (package fuse3)'
	exit 77
fi

mkdir m

# begin ARGUMENT...: mounts on m in the background, as $mount_pid; its output is in mount.out and mount.err
begin() {
	rm -f mount.out mount.err
	"$restore" mount "$@" m >mount.out 2>mount.err </dev/null &
	mount_pid=$!
	wait_for is_up
	mounted+=("$work/m")
}
is_up() { [ -s mount.out ] || { gone "$mount_pid" && [ -e mount.err ]; }; }
# ended: its exit status as $status, once it has ended
ended() {
	wait "$mount_pid"
	status=$?
	mounted=()
}
end() {
	kill -INT "$mount_pid"
	ended
}
is_mount() { grep -q " $work/m .* - fuse.aksdr " /proc/self/mountinfo; }

new_repo r
mkdir -p src/dir/deep src/empty
echo one >src/one
echo two >src/dir/two
noise 9000000 >src/dir/deep/large
ln src/dir/deep/large src/hard
ln -s dir/two src/link
printf 'x' >"src/$(printf 'odd\n\377name')"
touch -d '2020-02-02T02:02:02.5Z' src/one src/dir
chmod 2751 src/dir
truncate -s 20M src/sparse
printf end >>src/sparse
for i in $(seq 1 3000); do echo "$i" >"src/empty/$i"; done
if [ "$(id -u)" -eq 0 ]; then
	mkfifo src/fifo
	mknod src/null c 1 3
	chown -h 1234:5678 src/link src/one
fi
command -v setfattr >/dev/null && setfattr -n user.note -v text src/one
truncate -s 5M image
noise 100000 | dd of=image bs=1M seek=2 conv=notrunc status=none
backup data="$work/src" || exit 1
state_of src >first
echo changed >src/one
echo new >src/new
backup data="$work/src" disk="$work/image" || exit 1
state_of src >second
mkdir spare && echo s >spare/s
backup --namespace shop data="$work/spare" || exit 1
export AKSDR_KEY=$recovery
ids() { "$restore" points "$1" --output json | python3 -c 'import json,sys
print(*(i["point"] for i in json.load(sys.stdin)["items"] if i["namespace"] in ("", None)))'; }
read -r old new <<<"$(ids data)"

t 'one point is what was backed up'
begin "data@$old"
ok grep -qE "^mounted 'data' \(point ${old:0:8}\) on 'm'" mount.out
ok is_mount
ok is_state m first
ok is_state m first
ok test "$(stat -c %i m/hard)" = "$(stat -c %i m/dir/deep/large)"
ok test "$(find m/empty -type f | wc -l)" -eq 3000
ok test "$(stat -c %b m/sparse)" -lt 100
ok cmp -s src/sparse m/sparse
ok cp --sparse=always m/sparse copy
ok same src/sparse copy

t 'nothing can be written, no device opened, no set-id bit counts'
run 1 touch m/one
err 'Read-only file system'
run 1 rm -f m/one
run 1 mkdir m/other
ok grep -qE " $work/m ro,nosuid,nodev,relatime - fuse.aksdr aksdr ro," /proc/self/mountinfo
[ "$(id -u)" -ne 0 ] || { run 1 cat m/null; err 'Permission denied'; }

t 'an interrupt unmounts, and the status is 0'
end
ok test "$status" -eq 0
ok not is_mount
ok empty mount.err

t 'several read at once'
begin data
for i in 1 2 3 4 5 6; do (cd m && find . -type f -print0 | sort -z | xargs -0 sha256sum >"$work/sums.$i") & done
# shellcheck disable=SC2046 # words
wait $(jobs -p | grep -vx "$mount_pid")
ok test "$(sort -u sums.? | wc -l)" -eq "$(wc -l <sums.1)"
(cd src && find . -type f -print0 | sort -z | xargs -0 sha256sum >"$work/sums")
ok same sums sums.1

t 'it ends when somebody unmounts, and who is inside keeps nobody from interrupting'
if [ "$(id -u)" -eq 0 ]; then ok umount m; else ok fusermount3 -u m; fi
ended
ok test "$status" -eq 0
begin data
exec 7<m/one
end
ok test "$status" -eq 0
ok not is_mount
ok not cat <&7 2>/dev/null
exec 7<&-

t 'without a name all points of all volumes are there'
begin
ok grep -qE "^mounted 4 restore points of 3 volumes on 'm'" mount.out
ok test "$(cd m && echo *)" = 'data disk shop_data'
ok test "$(find m/data -mindepth 1 -maxdepth 1 | wc -l)" -eq 3
ok is_state m/data/latest/ second
ok is_state "m/data/${old:0:8}/" first
ok is_state "m/data/$new/" second
ok test "$(cat m/shop_data/latest/s)" = s
ok test "$(cd m/disk/latest && echo *)" = disk.img
ok same image m/disk/latest/disk.img
ok not test -e m/data/00000000
ok not test -e m/none
end
ok test "$status" -eq 0

t 'a program is told by JSON'
begin disk --output json
cp mount.out .out
json_is aksdr/mount/v1 schema
json_is disk items 0 volume
json_is 1 items 0 points
ok same image m/disk.img
end

t 'damage is EIO where it is, a line that says what to do, and nothing else'
pack=$(find r/pack -type f -size +4M | head -n 1)
cp "$pack" saved
chmod u+w "$pack"
flip "$pack" 3000000
begin data
run 1 cat m/dir/deep/large
err 'Input/output error'
run 0 cat m/one m/dir/two m/link m/new
out '^changed$'
ok grep -q 'a file cannot be read.*path=.*large.*damaged.*older point' mount.err
ok test "$(grep -c 'cannot be read' mount.err)" -eq 1
cat saved >"$pack"
ok same src/dir/deep/large m/dir/deep/large
end
ok test "$status" -eq 0

t 'a store that goes away is an error of what is read, and the rest goes on when it is back'
begin data
ok test -d m/dir/deep
mv r/pack r/away
run 1 cat m/dir/two
mv r/away r/pack
run 0 cat m/dir/two
out two
end

t 'what cannot be mounted is said'
run 4 "$restore" mount data "$work/nowhere"
err "looking at '.*/nowhere', where to mount"
run 2 "$restore" mount data "$work/src/one"
err 'is no directory'
run 4 "$restore" mount nothing m
run 4 "$restore" mount data@ffff0000 m
run 1 "$restore" mount data m --key "$audit"
err 'recovery key'
run 2 "$restore" mount data m --cache 1M
run 2 "$restore" mount data m --threads 9
run 2 "$restore" mount
run 2 "$restore" mount a b c
ok not is_mount

t 'after a kill, what is left can be taken away'
begin data
kill -KILL "$mount_pid"
wait "$mount_pid" 2>/dev/null
run '1|2' ls m
if [ "$(id -u)" -eq 0 ]; then ok umount m; else ok fusermount3 -u m; fi
mounted=()
ok not is_mount
ok rmdir m

finish
