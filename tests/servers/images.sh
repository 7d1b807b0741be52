#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Images are looked for in real registries: one that is open, one of another region that lacks a digest, one
# with passwords, and one with tokens of a service of its own. tests/unit/restore/test_registry.c has the answers
# that real ones do not give.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
# shellcheck source=tests/servers/lib.sh
. "$here/lib.sh"

look=$BIN/tests/kube/preflight
# image TAG: an archive with one file that no other has
image() {
	echo "$1" >"$work/$1.txt"
	"$here/../kube/image.py" "$work/$1.tar" "test/$1:1" "$work/$1.txt=/$1.txt" -- "/$1.txt" >/dev/null || exit 1
	echo "$work/$1.tar"
}
# auths HOST FIELD: a file of credentials
auths() {
	printf '{"auths": {"%s": {%s}}}\n' "$1" "$2" >"$work/config.json"
	echo "$work/config.json"
}
right='"auth": "cmVhZGVyOnNlY3JldA=="'
wrong='"auth": "cmVhZGVyOmd1ZXNz"'
orders=$(image orders) carts=$(image carts)

t 'an image is found by its digest, and missed where it was not copied to'
start_registry first
first=$registry_host
one=$(push_image "$first" shop/orders:1 "$orders")
two=$(push_image "$first" shop/carts:1 "$carts")
start_registry second
second=$registry_host
push_image "$second" shop/orders:7 "$orders" >"$work/same"
ok [ "$(cat "$work/same")" = "$one" ]
run 0 "$look" images "$first/shop/orders@$one" "$first/shop/carts@$two" "$second/shop/orders@$one" \
	"$second/shop/carts@$two" "$second/shop/orders@$two" "$second/shop/orders:7" "$second/shop/orders:1"
out "^there $first/shop/orders@"
out "^there $first/shop/carts@"
out "^there $second/shop/orders@$one"
out "^missing $second/shop/carts@.*does not have it"
out "^missing $second/shop/orders@$two"
out "^there $second/shop/orders:7"
out "^missing $second/shop/orders:1"

t 'a registry that is not there is told as such'
stop_server second
run 0 "$look" images "$second/shop/orders@$one"
out "^unknown $second/shop/orders@.*cannot be asked"

t 'one with passwords tells those who have one'
stop_server first
start_registry first basic
first=$registry_host
run 0 "$look" images "$first/shop/orders@$one"
out '^denied .*no credentials for it'
run 0 "$look" images --auths "$(auths "$first" "$wrong")" "$first/shop/orders@$one"
out '^denied .*does not accept our credentials'
run 0 "$look" images --auths "$(auths "$first" "$right")" "$first/shop/orders@$one" "$first/shop/none@$one"
out '^there .*shop/orders'
out '^missing .*shop/none'

t 'one with tokens, too: by a password, by a refresh token, and not without'
stop_server first
start_registry first token
first=$registry_host
run 0 "$look" images --auths "$(auths "$first" "$right")" "$first/shop/orders@$one" "$first/shop/none@$one"
out '^there .*shop/orders'
out '^missing .*shop/none'
run 0 "$look" images --auths "$(auths "$first" '"identitytoken": "refresh"')" "$first/shop/orders@$one"
out '^there '
run 0 "$look" images --auths "$(auths "$first" '"identitytoken": "stale"')" "$first/shop/orders@$one"
out '^denied .*service for tokens answers with status 401'
run 0 "$look" images --auths "$(auths "$first" "$wrong")" "$first/shop/orders@$one"
out '^denied .*service for tokens answers with status 401'
run 0 "$look" images "$first/shop/orders@$one"
out '^denied .*does not accept that we have no credentials'

finish
