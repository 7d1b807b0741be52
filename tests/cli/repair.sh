#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Objects are damaged, cut and lost: a repair mends what can be mended, marks and names the rest,
# and the next backup heals what it has the data of.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir -p src/dir
noise 700000 >src/large
noise 400000 2 >src/dir/second
for i in {1..60}; do echo "small file $i" >src/dir/small$i; done
run 0 backup data="$work/src"
cp -a src first
noise 300000 3 >src/third
run 0 backup data="$work/src"
cp -a r pristine
check() { "$catalog" check --quiet --state '' --key "$audit" "$@"; }
repair() { "$catalog" repair --quiet --key "$agent_key" "$@"; }
# Everything is taken back, and what this machine remembers of it.
reset() {
	rm -rf r r.state out
	cp -a pristine r
}
# back POINT TREE: the point restores, and is the tree
back() {
	rm -rf out
	run 0 volume "$1" "$work/out" --state ''
	ok same_tree "$2" out
}
oldest=data@$(cd r/commit && find . -type f -printf '%T@ %f\n' | sort -n | head -n 1 | sed 's/.*-//')
largest() { find r/pack -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2; }

t 'nothing to mend is nothing to do'
before=$(objects r)
run 0 repair
out '^put back: 0 objects'
out 'problems before: 0, left: 0'
ok test "$(objects r)" -eq "$before"
run 1 "$catalog" repair --key "$audit"
err 'agent key'

t 'the index is made again from the packs'
rm -rf r/idx
run 5 check --level 2
err_not 'hurt'
run 5 repair --dry-run
out 'would do: .* indexed again: [1-9]'
ok test ! -d r/idx
run 0 repair --output json
ok test "$(json packs_indexed)" -eq "$(find r/pack r/meta -type f | wc -l)"
json_is 0 problems_left
run 0 check --level 3
back data src
before=$(du -sb r/pack | cut -f 1)
cp -a src newer
noise 1000 5 >newer/new
run 0 backup --state '' data="$work/newer"
ok test "$(($(du -sb r/pack | cut -f 1) - before))" -lt 100000

t 'a segment that does not open is replaced by one that does'
reset
segment=$(find r/idx -type f | head -n 1)
flip "$segment" 60
run 5 check --level 0
run 0 repair
out ' dropped '
ok test ! -e "$segment"
run 0 check --level 3

t 'a chunk that is damaged is marked, the files are named, and the next backup heals them'
reset
victim=$(largest)
flip "$victim" 300000
run 5 repair --output json
json_is 1 chunks_marked
json_is 2 hurt_points
json_is 2 hurt_entries
run 5 repair --output json
json_is 0 chunks_marked
run 5 volume data "$work/out" --state ''
rm -rf out r.state
run 0 backup data="$work/src"
run 0 check --level 3
back "$oldest" first
run 0 repair

t 'also with the machine that remembers all of it'
reset
run 0 backup data="$work/src"
flip "$(largest)" 300000
run 5 repair
run 0 backup data="$work/src"
run 0 check --level 3
back "$oldest" first

t 'a pack that is gone: what is lost is marked, and healed'
reset
rm "$(largest)"
run 5 check --level 0
run 5 "$catalog" gc --key "$agent_key"
err 'repair'
run 5 repair
out ' marked '
out '^hurt: data '
run 0 "$catalog" gc --key "$agent_key"
run 0 backup data="$work/src"
run 0 check --level 3
back "$oldest" first

t 'tree nodes that are gone are marked, and the next backup makes a tree that is whole'
reset
rm "$(find r/meta -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)"
run 5 repair
run 0 backup data="$work/src"
back data src

t 'a second store has what is lost here'
reset
cp -a pristine copy
flip "$(largest)" 300000
rm "$(find r/meta -type f | head -n 1)" "$(find r/meta -type f | tail -n 1)"
truncate -s 1000 "$(find r/pack -type f -printf '%s %p\n' | sort -n | head -n 1 | cut -d ' ' -f 2)"
gone=$(find r/commit -type f -printf '%T@ %p\n' | sort -n | head -n 1 | cut -d ' ' -f 2)
flip "$gone" 200
run 5 repair --dry-run --from "file://$work/copy"
out ' replaced '
run 0 repair --from "file://$work/copy" --output json
ok test "$(json objects_replaced)" -ge 4
json_is 0 chunks_marked
json_is 0 problems_left
run 0 check --level 3
back data src
back "$oldest" first

t 'a restore point that is gone is put back, too'
reset
rm "$gone"
run 5 check --level 0
run 0 repair --from "file://$work/copy"
ok same "$gone" "copy/${gone#r/}"

t 'a copy that is damaged as well is not put back'
reset
victim=$(largest)
flip "$victim" 300000
flip "copy/${victim#r/}" 300001
run 5 repair --from "file://$work/copy"
out 'failed .*the copy in the second store'
out ' marked '
run 4 repair --from "file://$work/nowhere"
new_repo other
run 1 "$catalog" repair --store "file://$work/r" --key "$work/r.keys/agent.key" --from "file://$work/other"
finish
