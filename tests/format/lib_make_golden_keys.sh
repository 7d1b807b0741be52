#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the golden repository of format version 1 in which collections have run and keys have changed,
# anew, with the programs in BIN:
#
#   BIN=build/release tests/format/lib_make_golden_keys.sh
#
# It has every kind of object that docs/FORMAT.md knows and golden/v1 has not. As with that one: once a
# version with it is released, it stays as it is.
set -euo pipefail
umask 022

here=$(cd "$(dirname "$0")" && pwd -P)
: "${BIN:?BIN is the directory of the programs}"
BIN=$(cd "$BIN" && pwd -P)
golden=$here/golden/v1-keys
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

noise() {
	openssl enc -aes-128-ctr -pass "pass:$2" -nosalt -pbkdf2 -iter 1 </dev/zero 2>/dev/null |
		head -c "$1" || true
}
rm -rf "$golden"
mkdir -p "$golden" "$work/src"
export AKSDR_STORE=file://$golden/store AKSDR_STATE=$work/state
keys=$golden/keys
"$BIN/aksdr-agent" init --keys "$keys" --quiet
back_up() { "$BIN/aksdr-agent" backup --key "$keys/$1.key" --quiet "data=$work/src"; }
key() { "$BIN/aksdr-catalog" key "$@" --key "$keys/recovery.key" --quiet >/dev/null; }
say() { # VERB KEY ARGUMENT...
	local verb=$1 with=$2
	shift 2
	"$BIN/aksdr-catalog" "$verb" --key "$keys/$with.key" --quiet "$@" >/dev/null
}
# latest: the id of the newest point
latest() {
	"$BIN/aksdr-restore" points --key "$keys/audit.key" --output csv data | tail -n 1 | cut -d, -f1
}
age() { find "$golden/store" -type f -exec touch -d "$1" {} +; }

# Point 1 is expired and collected later; what is left of its pack is copied into another one.
noise 90000 goes >"$work/src/goes"
echo 'golden' >"$work/src/stays"
back_up agent
first=$(latest)
printf 'correct horse\n' >"$golden/passphrase"
key add-recipient other --out "$keys/other.key" --new-passphrase-file "$golden/passphrase"
key reseal --to other
rm "$work/src/goes"
echo 'point 2' >"$work/src/number"
back_up agent
key add-agent second --out "$keys/second.key"
key require-signatures 2
for who in agent second; do say expire $who "data@$first" --reason 'no longer wanted'; done
say hold agent "data@$(latest)" --reason 'case 117' --name 'A. Lovelace'
age '-2 days'
say gc agent --max-share 100
key add-agent node --out "$keys/node.key"
echo 'point 3' >"$work/src/number"
back_up node
age '-1 day'
# Point 4 is made with a stolen key, and does not count.
cp -r "$work/src" "$golden/expected"
echo 'point 4' >"$work/src/number"
back_up node
key revoke node --accept-before "$(date -u -d '-1 hour' +%FT%TZ)"
say expire second "data@$(latest)" --reason 'proposed by one'
"$BIN/aksdr-catalog" check --key "$keys/recovery.key" --level 4 --quiet >/dev/null

rm -rf "$golden/store/.tmp"
chmod -R u=rwX,go=rX "$golden"
chmod 600 "$golden"/keys/*
find "$golden/store" -type f | sed -E "s|.*/store/||; s|[0-9a-f]{16,}|*|g; s|[0-9-]{10}|DAY|" | sort | uniq -c
du -sh --apparent-size "$golden"
