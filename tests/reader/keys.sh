#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The independent reader of a repository whose keys have changed: another recipient, for which packs
# were sealed anew; an agent key that was revoked; two signatures that are needed; and what shows when
# the store takes something of that back.
# shellcheck source=tests/reader/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store catalog=$BIN/aksdr-catalog
key() { "$catalog" key "$@" --store "file://$store" --state "$work/state" --key "$work/keys/recovery.key"; }
statement() { # VERB KEY ARGUMENT...
	local verb=$1 with=$2
	shift 2
	"$catalog" "$verb" --quiet --store "file://$store" --state "$work/state" --key "$with" "$@"
}
backup_by() { # KEY
	"$agent" backup --quiet --store "file://$store" --state "$work/state" --key "$1" "v=$work/src"
}
# reader_by KEY WORD...
reader_by() {
	local with=$1
	shift
	"$python" "$here/aksdr_reader.py" --store "$store" --key "$with" --passphrase-file "$work/pass" "$@"
}
session() { reader points --all | awk -v n="$1" '$1 == "v" && $2 == n { print $4 }'; }
state() { says "point $1 is $2" "^v $1 .* $2\$" reader points --all; }
comes_back() { # KEY POINT LIST
	ok "$2 is restored by ${1##*/}" reader_by "$1" restore "v@$2" --target "$work/back"
	ok "... as it was" check "$3" "$work/back"
	rm -rf "$work/back"
}

printf 'correct horse\n' >"$work/pass"
ok "a repository" "$agent" init --quiet --store "file://$store" --keys "$work/keys"
mkdir "$work/src"
head -c 300000 /dev/urandom >"$work/src/large"
ok "a first point" backup_by "$work/keys/agent.key"
scan "$work/src" "$work/list1"

ok "another recipient, with a passphrase" key add-recipient b --out "$work/b.key" \
	--new-passphrase-file "$work/pass"
ok "... and one without" key add-recipient c --out "$work/c.key"
refused "what was there before does not open with it" reader_by "$work/c.key" restore v --target "$work/back"
rm -rf "$work/back"
ok "the keys of packs are sealed anew" key reseal --to b
comes_back "$work/b.key" latest "$work/list1"
refused "... for one, and not for the other" reader_by "$work/c.key" restore v --target "$work/back"
rm -rf "$work/back"
head -c 200000 /dev/urandom >"$work/src/more"
ok "a second point" backup_by "$work/keys/agent.key"
scan "$work/src" "$work/list2"
comes_back "$work/b.key" latest "$work/list2"
ok "... for the other, too" key reseal --to c
comes_back "$work/c.key" latest "$work/list2"
ok "all of the repository follows the format" reader_by "$work/b.key" verify

ok "an agent key for a node" key add-agent node --out "$work/node.key"
echo node >"$work/src/node"
ok "a third point, by the node" backup_by "$work/node.key"
find "$store" -type f -exec touch -d '-1 hour' {} +
before=$(date -u -d '-30 minutes' +%FT%TZ)
scan "$work/src" "$work/list3"
echo thief >"$work/src/node"
ok "a fourth one, by a thief" backup_by "$work/node.key"
fourth=$(session 4)
ok "the third point is expired by the thief" statement expire "$work/node.key" "$(session 3)" --reason none
state 3 expired
ok "the key is revoked" key revoke node --accept-before "$before"
says "then points of before count, and nothing of after" '^3$' eval 'reader points | wc -l'
state 3 live
comes_back "$work/keys/recovery.key" latest "$work/list3"
ok "... not even by its name" test -z "$(session 4)"
says "all of that follows the format" 'points 3 expired 0 .* revoked 1' reader verify
mv "$store/commit/$fourth" "$work/kept"
says "a point that does not count may go" 'points 3 expired 0 .* revoked 0' reader verify
mv "$work/kept" "$store/commit/$fourth"
ok "the next point of the volume" backup_by "$work/keys/agent.key"
says "... follows the one that counts" 'points 4 ' reader verify

ok "an agent key for a second person" key add-agent second --out "$work/second.key"
ok "both must agree" key require-signatures 2
first=$(session 1)
ok "one of them expires a point" statement expire "$work/keys/agent.key" "$first" --reason none
state 1 proposed
ok "... again" statement expire "$work/keys/agent.key" "$first" --reason none
state 1 proposed
ok "the other one agrees" statement expire "$work/second.key" "$first" --reason none
state 1 expired
says "all of that follows the format" 'points 3 expired 1 ' reader verify

ok "a recipient is removed" key remove-recipient c
refused "it opens the repository no more" reader_by "$work/c.key" points
comes_back "$work/b.key" latest <(scan "$work/src" /dev/stdout)

newest=$(find "$store/ctl/config" -type f | sort | tail -n 1)
damage_noticed "a revision of the config" "$newest"
damage_noticed "a re-seal object" "$(find "$store/reseal" -type f | sort | head -n 1)"
damage_noticed "the list of what counts" "$(find "$store/ctl/revoked" -type f)"
third=$(find "$store/ctl/config" -type f | sort | sed -n 2p)
mv "$third" "$work/kept"
refused "a revision that is missing is noticed" reader verify
mv "$work/kept" "$third"
cp "$newest" "$store/ctl/config/00000099"
refused "... and one under another's number" reader verify
says "but it does not count" '^v 4 ' reader points
rm "$store/ctl/config/00000099"
list=$(find "$store/ctl/revoked" -type f)
mv "$list" "$work/kept"
refused "without the list nobody can say what counts" reader points
mv "$work/kept" "$list"
ok "put back, all is well again" reader verify

finish
