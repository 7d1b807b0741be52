#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The verbs of aksdr-restore as a shell sees them: what they print, what they exit with, and what they
# refuse. How files come back is in the C tests; here it is enough that the options reach them.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

new_repo r

mkdir -p src/dir/deep
echo one >src/one
echo two >src/dir/two
noise 3000000 >src/dir/deep/large
ln -s one src/link
printf 'x' >"src/$(printf 'odd\n\377name')"
touch -d '2020-02-02T02:02:02.5Z' src/one
run_setup() { "$agent" backup --key "$agent_key" "$@" >"$work/.out" 2>"$work/.err" || { cat "$work/.err"; exit 1; }; }
run_setup data="$work/src"
echo changed >src/one
run_setup data="$work/src"
truncate -s 5M image
noise 100000 | dd of=image bs=1M seek=2 conv=notrunc status=none
run_setup disk="$work/image"
mkdir spare && echo s >spare/s
run_setup --namespace shop data="$work/spare"
export AKSDR_KEY=$recovery

t 'points lists what can be restored, the newest last'
run 0 "$restore" points
out '^POINT +NAMESPACE +VOLUME +KIND +SEQ +TIME'
out 'data +filesystem +1 '
out 'disk +block +1 '
run 0 "$restore" points --output json
ok test "$(json schema)" = aksdr/points/v1
json_is 1 items 0 sequence
json_is 2 items 1 sequence
json_is shop items 3 namespace
run 0 "$restore" points shop/data --output csv
ok test "$(wc -l <"$work/.out")" -eq 2
run 0 "$restore" points data --output json
ok test "$(grep -c '"point"' "$work/.out")" -eq 3
run 4 "$restore" points nothing
err "no restore point of a volume 'nothing'"

t 'a commit that cannot be read is told, and the others are listed'
bad=$(find "$store_dir/commit" -type f | sort | tail -n 1)
cp "$bad" saved
chmod u+w "$bad" && flip "$bad" 100
run 3 "$restore" points
err 'restore point cannot be read'
out 'filesystem'
cat saved >"$bad"

t 'show tells everything about a point'
run 0 "$restore" show shop/data
out '^NAMESPACE +shop$'
out '^SEQUENCE +1$'
run 0 "$restore" show disk --output json
ok test "$(json schema)" = aksdr/point/v1
json_is block items 0 kind
json_is 5242880 items 0 logical_bytes
ok test "$(json problems)" = '[]'
run 4 "$restore" show nothing
run 4 "$restore" show shop/data@ffff0000

t 'ls lists a directory, or all that is below it'
run 0 "$restore" ls disk
out '^\.$'
run 0 "$restore" ls shop/data
ok test "$(cat "$work/.out")" = s
points=$("$restore" points --output json | python3 -c 'import json,sys
print([i["point"] for i in json.load(sys.stdin)["items"] if i["volume"]=="data" and not i["namespace"]][-1])')
id=$points
data=data@$id
run 0 "$restore" ls "$data"
ok test "$(grep -cE '^(dir|link|one)$' "$work/.out")" -eq 3
out '^odd\\x0a\\xffname$'
out_not two
run 0 "$restore" ls "$data" /dir/
out '^dir/two$'
out_not large
run 0 "$restore" ls "$data" -R dir
out '^dir/deep/large$'
run 0 "$restore" ls "$data" -l
out '^lrwxrwxrwx .* link -> one$'
run 0 "$restore" ls "$data" -R --output json
ok test "$(json schema)" = aksdr/ls/v1
ok python3 - "$work/.out" <<'PY'
import json, sys
items = {i["path"]: i for i in json.load(open(sys.argv[1]))["items"]}
assert items["link"]["link"] == "one" and items["link"]["type"] == "symlink"
assert items["dir/deep/large"]["size_bytes"] == 3000000
assert items["dir"]["type"] == "directory"
assert "odd\n\\xffname" in items, items.keys()
PY
run 0 "$restore" ls "$data" one --output csv
ok test "$(wc -l <"$work/.out")" -eq 2
run 4 "$restore" ls "$data" no/such/thing
err "no 'no/such/thing'"
run 2 "$restore" ls "$data" ../etc

t 'an audit key lists, and cannot restore'
run 0 "$restore" ls --key "$audit" "$data" dir
run 1 "$restore" volume --key "$audit" "$data" --target denied
err 'recovery key'

t 'volume restores, and says what it did'
run 0 "$restore" volume "$data" --target "$work/full"
out "^restored 'data' \(point [0-9a-f]{8}\) to '.*/full' in [0-9.]+ s$"
out '4 files, 3 directories, 1 symbolic link; 2.9 MiB of content'
ok same_tree src full
run 0 "$restore" volume "data@${id:0:10}" --target "$work/json" --output json
ok test "$(json schema)" = aksdr/restore/v1
json_is 4 items 0 files
json_is 0 items 0 missing_count
json_is false items 0 dry_run
run 0 "$restore" volume "$data" --target "$work/quiet" --quiet
ok empty "$work/.out"

t 'a result is for the program that started this one, of a failure as well'
# told MEMBER... VALUE: what the file of the result says
told() {
	cp "$work/result" "$work/.out"
	json_is "${@:$#}" "${@:1:$#-1}"
}
run 0 "$restore" volume "$data" --target "$work/told" --verify --result "$work/result" --quiet
told schema aksdr/filled/v1
told point "$id"
told files 4
told verified true
told partial false
run 1 "$restore" volume "$data" --target "$work/told" --result "$work/result"
told class exists
run 4 "$restore" volume nothing --target "$work/untold" --result "$work/result"
told class not_found
run 2 "$restore" volume "$data" --target "$work/untold" --result "$work/result" --dry-run
run 4 "$restore" volume "$data" --target "$work/untold" --result "$work/nowhere/result"
err "telling the result to '.*/nowhere/result'"

t 'with a base only what differs is looked at, and a target that is not the base is told'
older=$("$restore" points data --output json | python3 -c 'import json,sys
print([i["point"] for i in json.load(sys.stdin)["items"] if i["volume"]=="data" and not i["namespace"]][0])')
run 0 "$restore" volume "data@$older" --target "$work/based"
run 0 "$restore" volume "$data" --target "$work/based" --in-place --delete --base "$older" --result "$work/result" \
	--verify
told base "$older"
told files 1
ok same_tree src based
run 0 "$restore" volume "data@$older" --target "$work/based" --in-place --delete --base "$id" --quiet
ok test "$(cat based/one)" = one
echo other >based/one
run 5 "$restore" volume "$data" --target "$work/based" --in-place --delete --base "$older" --result "$work/result"
err "'one' is not as point .* run again without --base"
told class corrupt
run 0 "$restore" volume "$data" --target "$work/based" --in-place --delete --base "$older" --dry-run --output json
json_is 1 items 0 differ_count
run 0 "$restore" volume "$data" --target "$work/based" --in-place --delete
ok same_tree src based
run 2 "$restore" volume "$data" --target "$work/based" --in-place --base "$older"
run 2 "$restore" volume "$data" --target "$work/based" --in-place --delete --base disk@latest
run 4 "$restore" volume "$data" --target "$work/based" --in-place --delete --base ffff0000
echo extra >based/dir/extra
run 5 "$restore" volume "$data" --target "$work/based" --in-place --delete --base "$id" --verify
err 'differ'

t 'verify reads everything back'
run 0 "$restore" volume "$data" --target "$work/verified" --verify
out 'read back and compared: all as in the point'
run 0 "$restore" volume disk --target "$work/verified.image" --verify --output json
json_is true items 0 verified
ok same image verified.image

t 'dry-run changes nothing and tells what would be'
run 0 "$restore" volume "$data" --target "$work/nothing" --dry-run
out "^would restore 'data'"
out '2.9 MiB to be written'
ok not test -e nothing
echo other >full/one
run 0 "$restore" volume "$data" --target "$work/full" --dry-run --in-place --output json
json_is 1 items 0 differ_count
ok test "$(json missing 0 path)" = one
ok test "$(cat full/one)" = other
run 1 "$restore" volume "$data" --target "$work/full" --dry-run
err 'is not empty'

t 'in place only what differs is written'
run 0 "$restore" volume "$data" --target "$work/full" --in-place --output json
json_is 8 items 0 written_bytes
ok same_tree src full

t 'options that make no sense are refused with exit status 2'
run 2 "$restore" volume "$data"
err '.--target. is missing|--target is missing'
run 2 "$restore" volume "$data" --target x --delete
err -- '--in-place'
run 2 "$restore" volume "$data" --target x --on-corrupt maybe
run 2 "$restore" volume "$data" --target x --threads 0
run 2 "$restore" volume "$data" --target x --memory 1k
run 2 "$restore" volume "$data" --target ''
run 2 "$restore" get "$data" --target x
run 2 "$restore" get "$data" ../x --target x
run 2 "$restore" get disk . --target x
run 2 "$restore" volume "$data" --target "$work/full" --no-such-option
run 1 "$restore" volume "$data" --target "$work/image"
run 2 "$restore" volume disk --target "$work/full"
ok not test -e x

t 'get takes files and directories'
run 0 "$restore" get "$data" dir /one --target "$work/some"
ok same src/one some/one
ok same src/dir/deep/large some/dir/deep/large
ok not test -e some/link
run 0 "$restore" get "$data" dir dir/deep dir/two --target "$work/once" --output json
json_is 2 items 0 files
run 0 "$restore" get "$data" link --target "$work/dry" --dry-run
ok not test -e dry

t 'get takes what patterns fit, and says how many'
mkdir -p pats/etc/deep pats/var
touch pats/etc/a.conf pats/etc/deep/b.conf pats/etc/c.txt pats/var/d.conf 'pats/var/e[1].txt'
touch -d 2003-03-03 pats/etc
run_setup pats="$work/pats"
run 0 "$restore" get pats 'etc/**/*.conf' --target "$work/p1"
out '^  2 entries fit what was asked for$'
ok test "$(cd p1 && find . -type f | sort | paste -sd' ')" = './etc/a.conf ./etc/deep/b.conf'
run 0 "$restore" get pats '*.conf' var/ --target "$work/p2" --output json
json_is 4 items 0 matched
ok test "$(cd p2 && find . -type f | sort | paste -sd' ')" = \
	'./etc/a.conf ./etc/deep/b.conf ./var/d.conf ./var/e[1].txt'
run 0 "$restore" get pats 'var/e[1].txt' --target "$work/p3" --output json
json_is 0 items 0 matched
ok test "$(cd p3 && find . -type f)" = './var/e[1].txt'
run 4 "$restore" get pats '*.conf' '*.none' --target "$work/p4"
err "nothing in this restore point fits '\*.none'"
ok not test -e p4
run 2 "$restore" get pats '../*' --target "$work/p4"
run 0 "$restore" get pats 'e*/' --target "$work/p5" --dry-run
out '^  1 entry fits'
ok not test -e p5

t 'volume --only restores parts, with the metadata of what is above them'
touch -d 2002-02-02 pats
run_setup pats="$work/pats"
run 0 "$restore" volume pats --only etc/deep --only 'var/*.conf' --target "$work/o1"
ok test "$(cd o1 && find . -type f | sort | paste -sd' ')" = './etc/deep/b.conf ./var/d.conf'
ok test "$(stat -c %Y o1 o1/etc)" = "$(stat -c %Y pats pats/etc)"
run 0 "$restore" volume pats --only etc/a.conf --target "$work/o2" --verify
ok test "$(stat -c %Y o2 o2/etc)" = "$(stat -c %Y pats pats/etc)"
run 1 "$restore" volume pats --only etc --target "$work/o2"
err 'is not empty'
run 0 "$restore" volume pats --only etc --target "$work/o2" --in-place
ok same_tree pats/etc o2/etc
ok not test -e o2/var
run 4 "$restore" volume pats --only nothing --target "$work/o3"
run 4 "$restore" volume pats --only 'no*' --target "$work/o3"
ok not test -e o3
run 2 "$restore" volume pats --only etc --in-place --delete --target "$work/o2"
run 2 "$restore" volume disk --only etc --target "$work/o3"
err 'block volume'

t 'damage: fail stops with 5, skip goes on with 3, and nothing is silently wrong'
for pack in "$store_dir"/pack/*/*; do
	chmod u+w "$pack"
	cp "$pack" "$work/keep.$(basename "$pack")"
	size=$(stat -c %s "$pack")
	for part in 2 3 4 5; do
		printf 'damage' | dd of="$pack" bs=1 seek=$((size * part / 7)) conv=notrunc status=none
	done
done
run 5 "$restore" volume "$data" --target "$work/hurt"
err 'is damaged'
err 'is incomplete'
ok not test -e hurt/dir/deep/large
run 3 "$restore" volume "$data" --target "$work/skipped" --on-corrupt skip --output json --result "$work/result"
err 'bytes missing, left as a hole'
ok test "$(json items 0 missing_count)" -gt 0
ok test "$(json missing 0 kind)" = range
ok test "$(stat -c %s skipped/dir/deep/large)" -eq 3000000
told partial true
told class partial
told paths 0 dir/deep/large
keep "$restore" export "$data"
case_checks=$((case_checks + 1))
[ "$status" -eq 5 ] || bad "export of damaged data: exit status $status, not 5"
err 'the archive is incomplete'
for pack in "$store_dir"/pack/*/*; do cat "$work/keep.$(basename "$pack")" >"$pack"; done
run 0 "$restore" volume "$data" --target "$work/healed"
ok same_tree src healed

t 'export writes what tar understands'
mkdir x1 && "$restore" export "$data" | tar -C x1 -xpf - 2>/dev/null
ok same_tree src x1
mkdir x2 && "$restore" export "$data" dir/deep | tar -C x2 -xpf -
ok same src/dir/deep/large x2/dir/deep/large
ok test "$(find x2 -type f | wc -l)" -eq 1
"$restore" export disk | tar -tv >list
ok grep -q '5242880 .* disk$' list
run 4 "$restore" export "$data" no/such
if command -v script >/dev/null; then
	script -qec "'$restore' export '$data'" /dev/null >"$work/.out" 2>&1
	case_checks=$((case_checks + 1))
	grep -q 'not for a terminal' "$work/.out" || bad 'an archive went to a terminal'
fi

t 'export keeps holes, links and attributes'
mkdir tarry
truncate -s 100M tarry/hole
truncate -s 200M tarry/sparse
noise 10000 | dd of=tarry/sparse bs=1M seek=150 conv=notrunc status=none
echo l >tarry/a && ln tarry/a tarry/b
mkdir tarry/sub && ln tarry/sparse tarry/sub/second
mkfifo tarry/fifo
setfattr -n user.note -v value tarry/a 2>/dev/null
setfacl -m u:12345:rwx tarry/sub 2>/dev/null
run_setup tarry="$work/tarry"
mkdir x3 && "$restore" export tarry | tar --xattrs --xattrs-include='*' --acls -C x3 -xpf -
ok same_tree tarry x3
ok test "$(stat -c %b x3/sparse)" -le 200
ok test "$(stat -c %b x3/hole)" -le 200
mkdir x4 && "$restore" export tarry sub | tar -C x4 -xpf -
ok same tarry/sparse x4/sub/second

t 'a lost store is said, with what is incomplete'
mv "$store_dir/pack" "$store_dir/pack-away"
run 5 "$restore" volume "$data" --target "$work/lost"
err 'is incomplete'
mv "$store_dir/pack-away" "$store_dir/pack"
run 4 "$restore" points --store "file://$work/nowhere"

finish
