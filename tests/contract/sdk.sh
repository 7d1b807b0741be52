#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What our programs put into an object store the official clients read, and the other way round: a
# repository is copied out by them and restored from a directory, and copied in and restored from there.
set -uo pipefail
: "${BIN:?BIN is the directory of the programs}"
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/../servers/lib.sh"
need_server azurite versity sdk
here=$(cd "$(dirname "$0")" && pwd -P)
work=$servers/work
mkdir -p "$work/src/d"
head -c 3000000 /dev/urandom >"$work/src/d/random"
seq 1 100000 >"$work/src/text"
passed=0 failed=0
ok() { # NAME COMMAND...
	if "${@:2}" >"$work/out" 2>&1; then
		passed=$((passed + 1)) && echo "ok   $1"
	else
		failed=$((failed + 1)) && echo "FAIL $1" && tail -n 12 "$work/out"
	fi
}
sdk() { "$sdk_python" "$here/sdk.py" "$@"; }
restores() { # URL KEYS
	rm -rf "$work/back"
	"$BIN/aksdr-restore" volume v --quiet --store "$1" --key "$2/recovery.key" --state "$work/state.back" \
		--target "$work/back" && diff -r "$work/src" "$work/back"
}
try() { # KIND ENDPOINT URL-BEFORE-PREFIX URL-AFTER-IT
	local url="$3/ours$4" keys=$work/$1.keys
	ok "$1: a repository is made" "$BIN/aksdr-agent" init --quiet --store "$url" --keys "$keys"
	ok "$1: a backup is made" "$BIN/aksdr-agent" backup --quiet --store "$url" --key "$keys/agent.key" \
		--state "$work/$1.state" "v=$work/src"
	ok "$1: our programs read it" restores "$url" "$keys"
	ok "$1: the official client reads it" sdk "$1" "$2" out ours "$work/$1.copy"
	ok "$1: which is the repository" restores "file://$work/$1.copy" "$keys"
	ok "$1: the official client writes it" sdk "$1" "$2" in theirs "$work/$1.copy"
	ok "$1: which our programs read" restores "$3/theirs$4" "$keys"
}
start_azurite
try azure "$azurite_endpoint" azure://acct1/data "?endpoint=$azurite_endpoint"
start_versity
try s3 "$s3_endpoint" s3://data "?endpoint=$s3_endpoint"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
