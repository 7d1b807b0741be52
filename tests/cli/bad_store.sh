#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Stores that make no sense, cannot be written, are full, or go away: the run fails with a sentence
# that names what to do, and the restore points that were there stay whole.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
mkdir src && echo content >src/file
new_repo r
run 0 backup data="$work/src"

t 'no store at all'
run 2 env -u AKSDR_STORE "$agent" backup --key "$agent_key" data="$work/src"
err 'needs a store: give --store URL or set AKSDR_STORE'

t 'URLs that make no sense are refused by name'
nonsense() {
	run 2 "$agent" backup --store "$1" --key "$agent_key" data="$work/src"
	err "$2"
}
nonsense '' 'URL'
nonsense "$work/r" "is a path and no store's URL; did you mean 'file:///"
nonsense "ftp://host/dir" "stores of the kind 'ftp:' are not known here"
nonsense "file://relative/dir" 'with an absolute path'
nonsense "file:" 'with an absolute path'
nonsense "file:///" 'is the root of the file system'
nonsense "://" "begins with its kind"
nonsense $'file:///a\nb' 'control character'
nonsense "file:///$(printf 'x%.0s' {1..5000})" 'bytes, 4095 are allowed'

t 'a directory that is not there is not made by a backup'
run 4 "$agent" backup --store "file://$work/missing" --key "$agent_key" data="$work/src"
err "'$work/missing'"
ok not test -e missing

t 'a directory without a repository'
mkdir plain
run 4 "$agent" backup --store "file://$work/plain" --key "$agent_key" data="$work/src"
err "there is no repository in 'file://$work/plain'; check the URL, or make one with aksdr-agent init"
ok test -z "$(ls -A plain)"

t 'a store that is a file'
run 2 "$agent" backup --store "file://$work/src/file" --key "$agent_key" data="$work/src"
err 'is no directory'

t 'a store without the right to write'
chmod -R a-w "$store_dir"
echo new >src/new
run 1 unprivileged "$agent" backup --key "$agent_key" data="$work/src"
err 'has no right to do this'
run 0 unprivileged "$restore" volume --quiet --key "$recovery" data --target "$work/ro.out"
ok same src/file ro.out/file
chmod -R u+w "$store_dir"

t 'a store without the right to read'
chmod 000 "$store_dir"
run 1 unprivileged "$restore" points --key "$recovery"
err "$store_dir"
chmod 755 "$store_dir"

if small_disk disk 40m; then
	t 'a store on a file system that is mounted read-only'
	new_repo disk/r
	run 0 backup data="$work/src"
	mount -o remount,ro "$work/disk"
	echo newer >src/new
	run 1 backup data="$work/src"
	err 'mounted read-only'
	run 0 volume data "$work/romount.out"
	ok same src/file romount.out/file
	mount -o remount,rw "$work/disk"

	t 'a store that is full: the run fails, and says so'
	noise 60000000 >src/large
	run 1 backup data="$work/src"
	err 'no space is left'
	ok test "$(points "$store_dir")" -eq 1

	t '... what was there comes back, and no upload in pieces is left'
	run 0 volume data "$work/full.out"
	ok test "$(cat full.out/new)" = new
	ok test "$(find "$store_dir" -path '*/.tmp/*' | wc -l)" -eq 0
	run 0 "$catalog" check --key "$recovery" --level 4 --quiet

	t '... with room again, the backup succeeds'
	mount -o remount,size=200m "$work/disk"
	run 0 backup data="$work/src"
	run 0 volume data "$work/room.out"
	ok same_tree src room.out
	rm src/large
else
	echo "     (no mounts here: a full and a read-only file system are not tested)"
fi

# The directory is taken away once the first pack is in it, with the program stopped meanwhile, so
# that most of the work is still to come.
vanish() {
	local pid seen=
	"$agent" backup --key "$agent_key" data="$work/huge" >"$work/.out" 2>"$work/.err" </dev/null &
	pid=$!
	shown="backup while the store vanishes"
	while [ -z "$seen" ] && kill -0 "$pid" 2>/dev/null; do
		seen=$(find "$store_dir/pack" -type f -print -quit 2>/dev/null)
	done
	kill -STOP "$pid" 2>/dev/null
	mv "$store_dir" "$work/moved"
	rm -rf "$work/moved"
	kill -CONT "$pid" 2>/dev/null
	wait "$pid"
	status=$?
}

t 'a store that vanishes midway: the run fails, and no empty store takes its place'
new_repo v
mkdir huge
noise 400000000 >huge/data
vanish
ok test "$status" -eq 1
err "the store's directory '$work/v' was removed or unmounted while it was in use"
ok not test -e "$work/v"
rm -r huge

finish
