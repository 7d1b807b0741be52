#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What two points have different: every kind of change, ranges of images, and how points are named.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

new_repo r
mkdir -p src/dir src/same
for i in $(seq 1 2000); do echo "$i" >"src/same/$i"; done
echo one >src/content
echo two >src/mode
echo three >src/touched
echo four >src/gone
noise 6000000 >src/large
echo x >src/dir/becomes-file
ln -s content src/link
truncate -s 8M image
noise 3000000 | dd of=image bs=1M seek=1 conv=notrunc status=none
ids() { "$restore" points "$1" --output json | python3 -c 'import json,sys
print(*(i["point"] for i in json.load(sys.stdin)["items"]))'; }
backup data="$work/src" disk="$work/image" || exit 1
export AKSDR_KEY=$recovery

t 'one point alone has nothing to be compared with'
run 4 "$restore" diff data
err 'only one restore point'

rm -r src/dir
echo file >src/dir
echo uno >src/content
chmod 600 src/mode
touch -d 2001-01-01 src/touched
rm src/gone
echo new >"src/$(printf 'new\nname')"
flip src/large 3000000
ln -sfn mode src/link
flip image 2000000
flip image 7000000
backup data="$work/src" disk="$work/image" || exit 1
read -r old new <<<"$(ids data)"

t 'each kind of change has its letter'
run 0 "$restore" diff data
out_is <<'OUT'
m . (mtime)
M content
T dir
- dir/becomes-file
- gone
M large
M link
m mode (mode)
+ new\x0aname
m touched (mtime)
OUT

t 'points are named by id, time, latest, or not at all, in both directions'
cp .out first
run 0 "$restore" diff "data@$old"
ok same .out first
run 0 "$restore" diff "data@${old:0:8}" "$new"
ok same .out first
run 0 "$restore" diff "data@$old" data@latest
ok same .out first
run 0 "$restore" diff "data@$new" "$old"
out '^\+ gone$'
out '^- new'
run 0 "$restore" diff "data@$old" "$old"
ok empty .out
run 4 "$restore" diff "data@ffff0000"
run 4 "$restore" diff "data@$old" ffff0000
run 2 "$restore" diff "data@$old" disk@latest
err 'nothing to compare'

t 'totals'
run 0 "$restore" diff data --stat
out '^1 added \(4 B\), 2 removed \(7 B\), 3 changed \(.* KiB\), 3 with other metadata, 1 of another type$'
ok test "$(wc -l <.out)" -eq 1

t 'JSON and CSV have names and figures exactly'
run 0 "$restore" diff data --output json
json_is aksdr/diff/v1 schema
json_is "$old" old
json_is 1 totals added
json_is 3 totals content
ok python3 - .out <<'PY'
import json, sys
items = {i["path"]: i for i in json.load(open(sys.argv[1]))["items"]}
assert items["new\nname"]["change"] == "added" and items["new\nname"]["new_size_bytes"] == 4
assert items["mode"]["fields"] == ["mode"] and items["mode"]["change"] == "metadata"
assert items["large"]["bytes"] == 4096, items["large"]
assert items["gone"]["old_size_bytes"] == 5 and "new_mode" not in items["gone"]
PY
run 0 "$restore" diff data --output csv
out '^change,path,fields,bytes'
out '^metadata,"mode",mode,0'

t 'of an image the ranges are told'
run 0 "$restore" diff disk
out_is <<'OUT'
M 1998848+4096
M 6995968+4096
OUT
run 0 "$restore" diff disk --stat
out '^2 ranges, 8.0 KiB$'
run 0 "$restore" diff disk --output json
json_is 1998848 items 0 offset
json_is 8192 totals changed_bytes

t 'what was only stored anew is no change'
backup --force data="$work/src" || exit 1
run 0 "$restore" diff data
ok empty .out

t 'an audit key compares as well, without reading contents'
run 0 "$restore" diff data@"$old" "$new" --key "$audit"
out '^M content$'
out '^- gone$'

t 'damage of what has to be read is status 5'
mv r/meta r/away
run 5 "$restore" diff data@"$old" "$new"
mv r/away r/meta
run 0 "$restore" diff data@"$old" "$new"

finish
