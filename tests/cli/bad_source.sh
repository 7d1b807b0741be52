#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sources that are missing, empty or unreadable in part, names that make no sense, absurd values.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src && echo content >src/file

t 'what cannot be read is listed, the rest is saved, and the exit status is 3'
mkdir src/closed && echo hidden >src/closed/inside
echo secret >src/unreadable
chmod 000 src/unreadable src/closed
run 3 unprivileged "$agent" backup --key "$agent_key" --output json data="$work/src"
json_is 2 items 0 unreadable
err 'path="?unreadable"? .*Permission denied'
err 'path="?closed"? .*Permission denied'
err 'entries could not be read'
run 0 "$restore" ls --key "$audit" -R data
out '^file$'
out_not 'inside'
run 0 volume data "$work/part.out"
ok same src/file part.out/file
ok not test -e part.out/unreadable

t '... and is in the next point once it can be read'
chmod 700 src/closed src/unreadable
run 0 backup data="$work/src"
run 0 volume data "$work/all.out"
ok same_tree src all.out

t 'a source that is not there is never a successful empty backup'
count=$(points "$store_dir")
run 4 backup data="$work/gone"
err "volume 'data': the source '$work/gone' does not exist"
ok test "$(points "$store_dir")" -eq "$count"

t 'neither is an empty one'
mkdir empty && : >empty.img
run 2 backup data="$work/empty"
err "'$work/empty' is empty: a mount may be missing; pass --allow-empty if it is meant to be"
run 2 backup data="$work/empty.img"
err 'is empty'
ok test "$(points "$store_dir")" -eq "$count"

t 'nor one of which nothing can be read'
chmod 000 empty
run '1|3' unprivileged "$agent" backup --key "$agent_key" data="$work/empty"
err 'Permission denied'
chmod 755 empty
ok test "$(points "$store_dir")" -eq "$count"

t 'a source that is neither directory nor image nor device'
mkfifo pipe
run 2 backup data="$work/pipe"
err 'directory, (a )?block device or (an )?image'
run 2 backup data=/dev/null
ok test "$(points "$store_dir")" -eq "$count"

t 'two volumes of one name'
run 2 backup data="$work/src" data="$work/empty"
err "two volumes are called 'data'; a name stands for one volume"
ok test "$(points "$store_dir")" -eq "$count"

t 'arguments that are no NAME=PATH'
for a in data =/tmp data= '' '='; do
	run 2 backup "$a"
	err 'is not of the form NAME=PATH'
done
run 2 backup
err "'backup' needs NAME=PATH"
run 2 backup a/b="$work/src"
err "has a '/' in it"
run 2 backup a@b="$work/src"
err "control character or '@'"
run 2 backup $'a\nb'="$work/src"
err 'control character'
run 2 backup "$(printf 'n%.0s' {1..300})=$work/src"
err 'is over 255 bytes long'
ok test "$(points "$store_dir")" -eq "$count"

t 'one volume of two fails: the other one is saved, and the exit status is 3'
run 3 "$agent" backup --key "$agent_key" --output json good="$work/src" bad="$work/gone"
json_is good items 0 volume
err "$work/gone"
run 0 volume good "$work/good.out"
ok same_tree src good.out

t 'a volume of one kind does not become one of the other unseen'
noise 100000 >image
run 0 backup twice="$work/image"
keep backup twice="$work/src"
ok test "$status" -ne 130
run 0 "$restore" points --key "$audit" twice --output json
json_is block items 0 kind

t 'names with any bytes'
mkdir odd
for c in $'\x01' $'\x7f' $'\xff' '"' "'" '\' '$' '*' '?' '[' '~' '#' '%' '&' ';' '|' '<' '>' ' ' $'\t' \
	$'\n' '-' '--' '\x41' 'é' $'\xc3'; do
	echo "$c" >"odd/$c"
done
mkdir -p "odd/$(printf 'long%.0s' {1..63})/$(printf 'd%.0s' {1..255})"
echo deep >"odd/$(printf 'long%.0s' {1..63})/$(printf 'd%.0s' {1..255})/x"
run 0 backup odd="$work/odd"
run 0 volume odd "$work/odd.out"
ok same_tree odd odd.out
run 0 "$restore" ls --key "$audit" -R odd --output json
json_is aksdr/ls/v1 schema
run 0 "$restore" ls --key "$audit" -R odd
ok not grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$work/.out"

t 'odd names of volumes'
for name in 'with blank' 'Ünïcode' '-dash' '%41' "quote'd"; do
	run 0 backup -- "$name=$work/odd"
	run 0 "$restore" points --key "$audit" --output json -- "$name"
	json_is "$name" items 0 volume
done

t 'absurd values of options'
absurd() {
	run 2 "$agent" backup --key "$agent_key" "$@" data="$work/src"
	err "$1"
}
absurd --level 0
absurd --level 20
absurd --level -1
absurd --level 3x
absurd --level ''
absurd --threads 0
absurd --threads 65
absurd --threads 99999999999999999999999
absurd --page-cache ''
absurd --page-cache 1XB
absurd --page-cache -5
absurd --page-cache 99999999999P
absurd --set abc
absurd --set "$(printf 'g%.0s' {1..32})"
absurd --driver zfs
absurd --output yaml
absurd --progress sometimes
run 2 "$agent" backup --key "$agent_key" --domain '' data="$work/src"
run 2 "$agent" backup --key "$agent_key" --domain "$(printf 'd%.0s' {1..500})" data="$work/src"
run 2 "$agent" backup --key "$agent_key" --domain $'a\nb' data="$work/src"
run 2 "$agent" backup --key "$agent_key" --exclude '' data="$work/src"
run 2 "$agent" backup --key "$agent_key" --exclude 'a/../b' data="$work/src"
run 2 "$restore" volume --key "$recovery" data --target "$work/x" --memory 1
run 2 "$restore" volume --key "$recovery" data --target "$work/x" --on-corrupt maybe
run 2 "$restore" volume --key "$recovery" data
err 'target'
run 2 "$restore" volume --key "$recovery" data --target ''
run 2 "$catalog" check --key "$audit" --level 5
run 2 "$catalog" check --key "$audit" --level x

t 'the smallest and the largest values work'
run 0 "$agent" backup --key "$agent_key" --level 19 --threads 64 --page-cache 0 large="$work/src"
run 0 "$agent" backup --key "$agent_key" --level 1 --threads 1 --page-cache 1KiB small="$work/src"
run 0 volume small "$work/small.out"
ok same_tree src small.out

t 'points that are not there, or not clear'
run 4 volume nothing "$work/x"
err "there is no volume 'nothing' in the repository; there are: "
run 4 volume data@ffff "$work/x"
run 4 volume data@1970-01-01T00:00:00Z "$work/x"
err 'no restore point at or before'
run 2 volume data@yesterday "$work/x"
run '2|4' volume '' "$work/x"
run '2|4' volume data@ "$work/x"
ok not test -e x

t 'a volume name that fits several volumes is ambiguous'
run 0 backup --namespace one same="$work/src"
run 0 backup --namespace two same="$work/src"
run 4 volume same "$work/x"
err "'same' is ambiguous: there are .*one/same.*two/same|'same' is ambiguous: there are .*two/same.*one/same"
run 0 volume one/same "$work/one.out"
ok same_tree src one.out

t 'claims want a cluster, and are not backed up together with paths'
mkdir -p claims/dir
run 2 backup pvc:shop/data data="$work/claims/dir"
err 'claims and paths are not backed up in one call'
run 4 env KUBECONFIG="$work/claims/none" "$agent" backup --key "$agent_key" pvc:shop/data
err 'claims are of a cluster: reading the kubeconfig'
cat >claims/kubeconfig <<-'YAML'
	current-context: c
	contexts: [{name: c, context: {cluster: c, user: u}}]
	clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
	users: [{name: u, user: {token: x}}]
YAML
for claim in pvc: pvc:shop pvc:/data pvc:shop/ pvc:shop/a/b pvc:../a; do
	run 2 env KUBECONFIG="$work/claims/kubeconfig" "$agent" backup --key "$agent_key" "$claim"
	err "'$claim' is (not of the form|no claim)"
done
run 2 backup --view '{}' a="$work/claims/dir" b="$work/claims"
err 'view is of one volume NAME=PATH'
run 2 backup --policy "$work/claims/kubeconfig" data="$work/claims/dir"
err 'kubeconfig'
# Whoever began it learns what could not be told to the claims.
run 4 env KUBECONFIG="$work/claims/none" "$agent" backup --key "$agent_key" --result "$work/result" pvc:shop/data
ok grep -q '"class":"not_found".*claims are of a cluster' "$work/result"
run 2 backup --policy "$work/claims/kubeconfig" --result "$work/result" pvc:shop/data
ok grep -q '"class":"invalid"' "$work/result"
finish
