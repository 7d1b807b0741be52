#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The independent reader of a repository in which points are expired and held, sessions have died,
# and collections have moved chunks and taken packs, commits and markers; and of gaps in a chain.
# What is no verb of a program is done by act.c.
# shellcheck source=tests/reader/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
act() { "$BIN/tests/reader/act" "file://$store" "$work/keys/agent.key" "$@"; }
session() { reader points --all | awk -v n="$1" '$1 == "v" && $2 == n { print $4 }'; }
state() { says "point $1 is $2" "^v $1 .* $2\$" reader points --all; }
comes_back() { # N LIST
	ok "point $1 is restored" reader restore "v@$(session "$1" | sed 's/.*-//')" --target "$work/back"
	ok "... as it was" check "$2" "$work/back"
	rm -rf "$work/back"
}

ok "a repository" "$agent" init --quiet --store "file://$store" --keys "$work/keys"
# Files with chunks of their own, and so many names that the tree has several leaves; then most of
# both goes, so that packs of data and of nodes hold mostly garbage.
mkdir -p "$work/src/many"
"$python" - "$work/src" <<'PY'
import os, random, sys
os.chdir(sys.argv[1])
r = random.Random(5)
for i in range(24):
    with open(f"{i:02}-" + r.randbytes(100).hex(), "wb") as f:
        f.write(r.randbytes(300_000))
for i in range(3000):
    with open(f"many/{i:04}-" + r.randbytes(100).hex(), "wb") as f:
        f.write(b"%d" % i)
PY
ok "a first point" backup "v=$work/src"
rm -f "$work"/src/0* "$work"/src/1[0-7]* "$work"/src/many/[01]*
ok "a second one, with less in it" backup "v=$work/src"
scan "$work/src" "$work/list2"
first=$(session 1) second=$(session 2)

ok "a point is held" act hold "$first"
state 1 live
ok "a tombstone" act tomb "$first"
state 1 held
state 2 live
ok "a restore pins it" act pin "$first"
ok "the hold is released" act release 1
state 1 pinned
act hold-volume v 2>/dev/null # which tells that it came too late for that one
state 1 held
ok "the hold is released" act release 3
state 1 pinned
ok "a session dies" act dead default
ok "... and one of another domain" act dead elsewhere
says "all of that follows the format" \
	'points 2 expired 0 .* markers 4 beats 4 settled 2 tentative 2 void 0' reader verify
for kind in tomb hold pin; do
	damage_noticed $kind "$(find "$store/$kind" -type f | sort | head -n 1)"
done
damage_noticed "a beat" "$(find "$store/sess" -name '*-0001' | sort | head -n 1)"
mv "$store/hold/00000002" "$work/kept"
refused "a hold that is missing is noticed" reader points
cp -p "$store/hold/00000003" "$store/hold/00000002"
refused "... and one under another's name" reader points
mv "$work/kept" "$store/hold/00000002"
rm -r "$store/pin"
state 1 expired
says "an expired point is not offered" '^2$' eval 'reader points | cut -d " " -f 2'
refused "... nor restored" reader restore "v@${first##*-}" --target "$work/back"

says "a collection waits for sessions" '^waiting .* repacked [1-9]' act collect 3600
says "then it follows the format" 'maintenance 1 aborts 0 .* tentative 2 .* collections 1' reader verify
damage_noticed condemn "$store/ctl/gc/00000001/condemn"
damage_noticed "a maintenance commit" "$(find "$store/commit" -name '0000000000000000-*')"
comes_back 2 "$work/list2"
says "it ends" '^done fenced 2 .* deleted [1-9]' act collect 0
says "the expired point and all markers are gone" \
	'points 1 expired 0 maintenance [1-9].* aborts 2 markers 0 beats 0 ' reader verify
says "... and chunks and nodes have moved" ' moved [1-9].* nodes_moved [1-9].* lost 0 collections 1' reader verify
comes_back 2 "$work/list2"
for part in final live 'done'; do damage_noticed $part "$store/ctl/gc/00000001/$part"; done
damage_noticed "an abort" "$(find "$store/commit" -type f -size 512c | head -n 1)"
commit=$store/commit/$second
cp -p "$commit" "$work/kept"
truncate -s 512 "$commit"
refused "a point cut to the length of an abort is noticed" reader verify
rm "$commit"
refused "a live point that is gone is noticed" reader verify
mv "$work/kept" "$commit"
touch "$store/ctl/other"
refused "an object that the format does not know is noticed" reader verify
rm "$store/ctl/other"

echo new >"$work/src/new"
ok "a third point" backup "v=$work/src"
scan "$work/src" "$work/list3"
comes_back 3 "$work/list3"
comes_back 2 "$work/list2"
# A place that is marked counts as gone: it has to be stored again, and is then found there.
place=$(reader places v@latest | sort | head -n 1)
# shellcheck disable=SC2086 # four words
ok "a chunk is marked as damaged" act damage $place
says "it is lost" ' lost [1-9]' reader verify
refused "... and not restored" reader restore v --target "$work/back"
rm -rf "$work/back"
ok "a fourth point" backup "v=$work/src"
says "which has stored it again" ' lost 0' reader verify
comes_back 2 "$work/list2"
comes_back 4 "$work/list3"
damage_noticed "a mark of damage" "$(find "$store/ctl/damage" -type f)"

fourth=$(session 4)
mv "$store/commit/$fourth" "$work/hidden"
ok "a point is made while the one before is hidden" backup "v=$work/src"
says "that is told" "gap: .* follows $fourth, which its writer could not see" reader points
refused "... and refused by who verifies" reader verify
comes_back 5 "$work/list3"
mv "$work/hidden" "$store/commit/$fourth"
ok "when it is shown again all is well" reader verify

ok "points are expired" act tomb "$second" "$(session 3)"
says "they are collected" '^done' act collect 0
says "what is left follows the format" 'points 2 expired 0 .* lost 0 collections 2' reader verify
comes_back 4 "$work/list3"
comes_back 5 "$work/list3"

finish
