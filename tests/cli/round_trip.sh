#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A volume is backed up, changed, backed up again, and each state comes back exactly.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r

mkdir -p src/deep/er src/empty "src/a name with blanks" $'src/new\nline' src/$'bytes\xff\xfe'
echo hello >src/file
: >src/zero
printf 'x' >src/deep/er/one
noise 700000 >src/deep/large
noise 3145728 >src/pages
truncate -s 20M src/holes
printf 'in the middle' | dd of=src/holes bs=1 seek=9000000 conv=notrunc status=none
ln src/file src/deep/second-name
ln -s ../nowhere/at/all src/dangling
ln -s file src/link
mkfifo src/fifo
chmod 4751 src/deep/er/one
chmod 000 src/zero
touch -d '1969-07-20T20:17:40.123456789Z' src/file
touch -d '2222-02-02T02:02:02.000000001Z' src/deep/er
if command -v setfattr >/dev/null; then setfattr -n user.note -v 'with a value' src/file 2>/dev/null; fi
if command -v setfacl >/dev/null; then setfacl -m u:12345:rwx src/deep/large 2>/dev/null; fi
if [ "$(id -u)" -eq 0 ]; then
	chown 1234:4321 src/deep/large
	mknod src/null c 1 3
fi
for i in {1..300}; do echo "line $i of many small files" >src/deep/er/small$i; done
state_of src >first.state

t 'a directory is backed up: data on stdout, nothing on stderr'
run 0 "$agent" backup --key "$agent_key" data="$work/src"
out '^VOLUME +POINT +SEQ'
out '^data +[0-9a-f]{8} +1 +fuzzy'
ok empty "$work/.err"
ok test "$(points "$store_dir")" -eq 1

t 'it comes back exactly, metadata included'
run 0 "$restore" volume --key "$recovery" data --target "$work/first"
ok same_tree src first

t 'the holes come back as holes'
ok test "$(stat -c %b first/holes)" -le 64

t 'an unchanged volume: nothing is read, and at most four objects are stored'
before=$(objects "$store_dir")
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src"
json_is 0 items 0 read_bytes
json_is 0 items 0 stored_bytes
json_is 2 items 0 sequence
ok test $(($(objects "$store_dir") - before)) -le 4

t 'changes of every kind are taken'
echo 'and more' >>src/file
printf 'PAGE' | dd of=src/pages bs=1 seek=1000000 conv=notrunc status=none
rm -r src/deep/er/small1* src/empty
mv src/deep/er/small20 src/renamed
mkdir src/empty2
ln -sf elsewhere src/link
chmod 600 src/deep/large
rm src/dangling && echo 'a file now' >src/dangling
echo "some entry is a directory now" >src/deep/er/small3.txt
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src"
json_is 3 items 0 sequence
json_is 0 items 0 unreadable
# 3 MiB with one page changed, and some small files: far less than 3 MiB is stored.
ok test "$(json items 0 stored_bytes)" -lt 300000
run 0 "$restore" volume --key "$recovery" data --target "$work/third"
ok same_tree src third

t 'the first state is still there, by its time and by its id'
run 0 "$restore" points --key "$recovery" data --output json
time1=$(json items 0 frozen) id1=$(json items 0 point)
run 0 volume "data@$id1" "$work/by-id"
ok is_state by-id first.state
run 0 volume "data@${id1:0:8}" "$work/by-prefix"
ok is_state by-prefix first.state
run 0 volume "data@$time1" "$work/by-time"
ok is_state by-time first.state

t 'in place: an older state becomes the newer one, and only differences are written'
run 0 volume data "$work/first" --in-place --delete --output json
json_is 0 items 0 missing_count
ok test "$(json items 0 written_bytes)" -lt 100000
ok same_tree src first

t 'in place without --delete leaves what the point does not have'
echo mine >first/mine
run 0 volume data "$work/first" --in-place
ok test "$(cat first/mine)" = mine

t 'a target that is not empty is refused, and not touched'
run 1 volume data "$work/by-id"
err 'not empty'
ok is_state by-id first.state

t 'an empty directory will do as a target'
mkdir bare
run 0 volume data "$work/bare"
ok same_tree src bare

t 'ls tells the names of a directory, and with -R all of them'
run 0 "$restore" ls --key "$audit" data
out '^renamed$'
out_not 'deep/large'
out '^new\\x0aline$'
run 0 "$restore" ls --key "$audit" -R data
out '^deep/large$'
run 4 "$restore" ls --key "$audit" data nothing/here
err 'nothing/here'

t 'get brings single files, with their directories'
run 0 "$restore" get --key "$recovery" data deep/large file --target "$work/some"
ok same src/deep/large some/deep/large
ok test "$(stat -c %a some/deep/large)" = 600
ok same src/file some/file
ok test "$(find some -type f | wc -l)" -eq 2
run 1 "$restore" get --key "$recovery" data file --target "$work/some"
run 4 "$restore" get --key "$recovery" data no/such --target "$work/unused"
ok not test -e unused

t 'export writes a tar archive to stdout'
keep "$restore" export --key "$recovery" data
ok test "$status" -eq 0
mkdir untar && tar -C untar -xpf "$work/.out" 2>/dev/null
ok same src/deep/large untar/deep/large
ok test "$(stat -c %i untar/file)" = "$(stat -c %i untar/deep/second-name)"
ok same src/pages untar/pages

t 'an image file comes back, holes and all'
truncate -s 8M disk
noise 1000000 >>disk
truncate -s 40M disk
run 0 backup disk="$work/disk"
run 0 volume disk "$work/disk.back"
ok same disk disk.back
ok test "$(stat -c %b disk.back)" -le $(($(stat -c %b disk) + 4096))
run 1 volume disk "$work/disk.back"
ok same disk disk.back

t 'one block of an image changes, and hardly more is stored'
printf 'block' | dd of=disk bs=1 seek=9000000 conv=notrunc status=none
run 0 "$agent" backup --key "$agent_key" --output json disk="$work/disk"
ok test "$(json items 0 new_bytes)" -le 8192
run 0 volume disk "$work/disk.back2"
ok same disk disk.back2

t 'the local state is disposable'
rm -rf "$AKSDR_STATE"
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src"
json_is 0 items 0 stored_bytes
rm -rf "$AKSDR_STATE"
run 0 volume data "$work/stateless"
ok same_tree src stateless

t 'several volumes in one call share a set'
mkdir other && echo other >other/file
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src" other="$work/other"
ok test "$(json items 0 set)" = "$(json items 1 set)"
ok test "$(json items 0 point)" != "$(json items 1 point)"

t 'what an exclude pattern fits is left out'
run 0 backup ex="$work/src" --exclude 'small*' --exclude /deep/large
run 0 "$restore" ls --key "$audit" -R ex
out '^deep/er$'
out_not 'small2'
out_not '^deep/large$'

t 'empty volumes are backed up when that is said to be meant'
mkdir nothing
run 0 backup none="$work/nothing" --allow-empty
run 0 volume none "$work/none.back"
ok same_tree nothing none.back

finish
