#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A copy of a repository in another store: whole at every moment, also of a run that was killed;
# brought up to date beside backups and collections; used after a failover, and taken back.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir -p src/dir copy
noise 700000 >src/large
noise 400000 2 >src/dir/second
for i in {1..30}; do echo "small file $i" >src/dir/small$i; done
mirror() { "$catalog" mirror --quiet "$@"; }
copy=file://$work/copy
# ids DIR: the points that a store shows
ids() { find "$1/commit" -type f ! -size 512c -printf '%f\n' 2>/dev/null | grep -v '^0\{16\}-' | sed 's/.*-//'; }
# keep_state NAME: what the volume is now belongs to the newest point
declare -A tree
keep_state() {
	local id
	for id in $(ids r); do
		[ -n "${tree[$id]:-}" ] || { state_of src >"state.$id" && tree[$id]=state.$id; }
	done
}
# restores DIR: every point that the store shows comes back exactly
restores() {
	local id
	for id in $(ids "$1"); do
		rm -rf out
		"$restore" volume --store "file://$work/$1" --key "$recovery" --state '' --quiet "data@$id" \
			--target "$work/out" >"$work/.restore" 2>&1 || { cat "$work/.restore"; return 1; }
		is_state out "${tree[$id]}" || return 1
	done
}

t 'a copy needs no key, and is a repository'
run 0 backup data="$work/src"
keep_state
run 2 "$catalog" mirror
err 'name the copy by --to'
run 4 mirror --to "file://$work/nowhere"
run 2 mirror --to "$store"
err 'cannot be a copy of itself'
run 0 mirror --to "$copy" --dry-run --output json
json_is true items 0 dry_run
ok test "$(objects copy)" -eq 0
run 0 "$catalog" mirror --to "$copy" --verify
out '^copied: [0-9]+ objects .*, 1 restore points; there already: 0 '
ok restores copy
ok test ! -e copy/sess
run 0 "$catalog" check --quiet --level 3 --state '' --store "$copy" --key "$audit"

t 'a further run copies what is new'
run 0 mirror --to "$copy" --output json
json_is 0 items 0 objects_copied
noise 300000 3 >src/third
run 0 backup data="$work/src"
keep_state
run 3 "$catalog" mirror verify --to "$copy"
out ' lacking'
out ' complete'
err 'the copy lacks [0-9]+ objects'
run 0 mirror --to "$copy" --output json
json_is 1 items 0 points_copied
run 0 "$catalog" mirror verify --to "$copy" --read --output json
json_is 2 points_complete
json_is 0 objects_missing
ok restores copy

t 'a copy that was killed at any moment is a repository, and is gone on with'
for at in 1 2 3 4 5 6 7 8 9 10 11 12 14 16 18 20 24; do
	rm -rf killed
	mkdir killed
	"$catalog" mirror --quiet --parallel $((at % 3 + 1)) --to "file://$work/killed" >/dev/null 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && [ "$(objects killed)" -lt "$at" ]; do :; done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	if [ -e killed/config ]; then
		run 0 "$catalog" check --quiet --level 3 --state '' --store "file://$work/killed" --key "$audit"
	fi
	ok restores killed
	run 0 mirror --to "file://$work/killed"
	ok restores killed
	run 0 "$catalog" mirror verify --to "file://$work/killed" --read
done

t 'following copies what comes, until it is told to stop'
"$catalog" mirror --to "$copy" --follow 1s >follow.out 2>&1 &
pid=$!
while kill -0 "$pid" 2>/dev/null && ! grep -q '^copied: 0 objects' follow.out; do :; done
rm src/third
run 0 backup data="$work/src"
keep_state
while kill -0 "$pid" 2>/dev/null && ! grep -q ' 1 restore points; there already' follow.out; do :; done
kill -TERM "$pid"
wait "$pid"
status=$?
# It was waiting, or began to look once more.
ok test "$status" -eq 0 -o "$status" -eq 130
ok restores copy
run 0 "$catalog" mirror verify --to "$copy"

t 'what a collection takes is deleted from the copy when that is asked for'
run 0 "$catalog" retain --quiet --key "$agent_key" --keep-last 1 --floor-points 1 --max-share 100 --all
run '0' "$catalog" gc --quiet --key "$agent_key" --keep-young 0s --fence-after 0s --max-share 100 --wait
ok test "$(ids r | wc -l)" -eq 1
run 0 mirror --to "$copy" --output json
ok test "$(json items 0 surplus)" -gt 0
json_is 0 items 0 objects_deleted
ok restores r
run 2 mirror --to "$copy" --delete
err '--delete needs --key'
run 0 mirror --to "$copy" --delete --key "$audit" --dry-run --output json
would=$(json items 0 objects_deleted)
ok test "$would" -gt 0
run 0 mirror --to "$copy" --delete --key "$audit" --output json
json_is "$would" items 0 objects_deleted
json_is 0 items 0 surplus
ok test "$(ids copy | wc -l)" -eq 1
ok restores copy
run 0 "$catalog" check --quiet --level 3 --state '' --store "$copy" --key "$audit"

t 'what the store lost stays in the copy, and is named'
cp -a r lossy
pack=$(cd r && find pack -type f | sort | head -n 1)
rm "lossy/$pack"
run 0 "$catalog" mirror --quiet --store "file://$work/lossy" --to "$copy" --delete --key "$audit" --state ''
out "^surplus: $pack: only the copy has it"
ok test -e "copy/$pack"

t 'a conflict is named and nothing is written over'
cp -a copy other
flip "other/$pack" 100
truncate -s -1 "other/$pack"
size=$(stat -c %s "other/$pack")
run 5 mirror --to "file://$work/other"
out "^conflict: $pack: the copy has another length"
ok test "$(stat -c %s "other/$pack")" -eq "$size"
run 5 "$catalog" mirror verify --to "file://$work/other"
cp -a copy/"$pack" other/"$pack"
flip "other/$pack" 100
run 0 "$catalog" mirror verify --to "file://$work/other"
run 5 "$catalog" mirror verify --to "file://$work/other" --read
out "^conflict: $pack: the content differs"

t 'a pack that is damaged in the store is not copied'
cp -a r rotten
flip "rotten/$pack" -100
rm -rf other
mkdir other
run 5 "$catalog" mirror --quiet --store "file://$work/rotten" --to "file://$work/other"
out "^damaged: $pack: "
ok test ! -e "other/$pack"

t 'a store of another repository is refused'
first_r=$work/r first_state=$AKSDR_STATE first_recovery=$recovery first_audit=$audit first_agent=$agent_key
new_repo stranger
run 2 "$catalog" mirror --to "$copy"
err 'holds another repository'
export AKSDR_STORE=file://$first_r AKSDR_STATE=$first_state
recovery=$first_recovery audit=$first_audit agent_key=$first_agent

t 'a copy that somebody writes to is no mirror any more; the one that was left is taken back'
# A failover: the last point of r is not in the copy, and backups go on there.
noise 200000 7 >src/lost
run 0 backup data="$work/src"
keep_state
lost=$(comm -13 <(ids copy | sort) <(ids r | sort))
cp -a src src.lost
rm src/lost
noise 200000 8 >src/after
run 0 "$agent" backup --store "$copy" --key "$agent_key" --quiet --state "$work/copy.state" data="$work/src"
for id in $(ids copy); do
	[ -n "${tree[$id]:-}" ] || { state_of src >"state.$id" && tree[$id]=state.$id; }
done
run 6 mirror --to "$copy"
err 'somebody writes there'
run 0 "$catalog" mirror --quiet --store "$copy" --to "file://$work/r" --back
out "^surplus: commit/.*$lost: only the copy has this restore point"
ok restores r
ok restores copy
run 0 "$catalog" check --quiet --level 3 --state '' --key "$audit"

t 'two that went their own ways are not joined'
run 0 "$catalog" hold data --quiet --key "$agent_key" --reason 'a test' --name tester
run 5 "$catalog" mirror --quiet --store "$copy" --to "file://$work/r" --back
err "'hold/00000001' of the copy is not of this repository"
finish
