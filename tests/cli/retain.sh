#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Restore points go by policy or by name, are held, and their data is collected; and what of all that
# is told.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src other
back_up() {
	local i
	for i in $(seq "$2"); do
		noise 200000 >"$1/$i"
		rm -f "$1/$((i - 3))"
		run 0 backup "$1=$work/$1"
	done
}
gc() { "$catalog" gc --key "$agent_key" --keep-young 0s "$@"; }
states() { "$catalog" sync --key "$audit" --quiet >/dev/null && "$catalog" query "SELECT state FROM v_points
	WHERE name = '$1' ORDER BY sequence" --output csv | tail -n +2 | tr -d '\r' | tr '\n' ' '; }
last_state() { states "$1" | tr ' ' '\n' | tail -n 1; }

t 'retain --dry-run tells what would go and why, and changes nothing'
back_up src 6
back_up other 2
export AKSDR_KEY=$agent_key
before=$(find "$work/r" -type f | sort | sha256sum)
run 0 "$catalog" retain --keep-last 2 --floor-points 1 --dry-run --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 4
json_is expire items 0 action
json_is 'no rule keeps it' items 0 why
json_is src items 3 volume
ok test "$(find "$work/r" -type f | sort | sha256sum)" = "$before"
run 0 "$catalog" retain --keep-last 2 --floor-points 1 --dry-run --all
out '^other +[0-9a-f]{8} +2 .* keep +last 2, floor 1, latest$'
err 'would: 4 restore points expire, 4 stay'

t 'an audit key cannot expire anything, and nothing happens without rules'
run 1 "$catalog" retain --key "$audit" --keep-last 2
err 'cannot sign'
run 2 "$catalog" retain
err '--policy FILE'
run 2 "$catalog" retain --keep-last 0
run 2 "$catalog" retain --keep-within never

t 'retain expires; points are gone for restores at once, and their data after gc'
run 0 "$catalog" retain --keep-last 2 --floor-points 1
ok test "$(states src)" = 'expired expired expired expired present present '
run 0 "$restore" points --key "$audit" src --output csv
ok test "$(wc -l <"$work/.out")" -eq 3
size=$(du -sb r | cut -f 1)
run 0 gc --dry-run
out '^garbage .* in [1-9]'
out 'would free'
ok test "$(du -sb r | cut -f 1)" -eq "$size"
run 0 gc --output json
json_is 'done' items 0 outcome
json_is 4 items 0 points_deleted
ok test "$(du -sb r | cut -f 1)" -lt "$size"
ok test "$(states src)" = 'deleted deleted deleted deleted present present '
run 0 "$catalog" list anomalies --output json
ok test "$(json items)" = '[]'
run 0 "$catalog" list deletions
out 'no rule keeps it'
run 0 gc
out 'nothing to collect'
run 0 "$catalog" check --level 4 --key "$recovery"
run 0 "$restore" volume --key "$recovery" src --target "$work/back"
same_tree src back

t 'a policy file gives each volume its own rules; one without a policy loses nothing'
cat >policies.json <<'END'
{"schema": "aksdr/retention/v1", "policies": [
	{"name": "one", "volumes": ["src"], "keep": {"last": 1}, "floor": {"points": 1}}]}
END
back_up other 2
run 0 "$catalog" retain --policy policies.json --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 1
json_is one items 0 policy
err '1 volumes have no policy'
ok test "$(states other)" = 'present present present present '
echo '{"schema": "aksdr/retention/v1", "policies": [{"name": "x", "volumes": ["*"], "keep": {}}]}' >bad.json
run 2 "$catalog" retain --policy bad.json
err 'bad.json'
run 4 "$catalog" retain --policy none.json

t 'a hold keeps, and is told'
run 2 "$catalog" hold other --name Ada
err '--reason'
run 0 "$catalog" hold other --reason 'case 7' --name Ada --output json
json_is 1 items 0 hold
run 0 "$catalog" retain --keep-last 1 --floor-points 1 --volume other --all
out 'keep +hold'
run 0 "$catalog" expire other@latest --reason 'by mistake'
out 'held$'
ok test "$(states other)" = 'present present present held '
run 0 gc
run 0 "$restore" ls --key "$audit" other@latest
run 0 "$catalog" list holds
out '^ +1 +other +case 7 +Ada .* holds$'
run 0 "$catalog" release 1 --reason 'closed' --name Ada
run 4 "$catalog" release 1 --reason 'closed' --name Ada
run 4 "$catalog" release 9 --reason 'closed' --name Ada
ok test "$(states other)" = 'present present present expired '
run 4 "$catalog" hold other@2020-01-01 --reason 'case 8' --name Ada

t 'what would be a surprise is refused'
for i in $(seq 12); do
	echo "$i" >other/new
	run 0 backup other="$work/other"
done
run 2 "$catalog" retain --volume other --keep-last 1 --floor-points 1
err 'restore points of .other. would go at once, more than 50 %'
run 0 "$catalog" retain --volume other --keep-last 1 --floor-points 1 --max-share 100
ok test "$(states other | tr ' ' '\n' | grep -c present)" -eq 2

t 'expire names points, and says of a lost one that it is not missed'
run 2 "$catalog" expire src --reason why
err 'src@latest'
run 4 "$catalog" expire src@ffff --reason why
lost=$("$catalog" query "SELECT session FROM v_points WHERE name = 'src' AND state = 'present'" --output csv |
	tail -n 1 | tr -d '\r')
mv "r/commit/$lost" kept
ok test "$(states src)" = 'deleted deleted deleted deleted deleted lost '
run 0 "$catalog" expire "$lost" --reason 'the disk died'
ok test "$(states src)" = 'deleted deleted deleted deleted deleted deleted '
run 0 "$catalog" list anomalies --output json
ok test "$(json items)" = '[]'

t 'the chain of a volume goes on over what was expired, and over what is lost with a word'
noise 200000 20 >other/one
run 0 backup other="$work/other"
ok test "$(last_state other)" = present
run 0 "$catalog" expire other@latest --reason 'taken by mistake'
run 0 gc
ok test "$(last_state other)" = deleted
noise 200000 21 >other/two
run 0 "$agent" backup other="$work/other"
err_not 'lost, or is hidden'
ok test "$(last_state other)" = present
run 0 "$catalog" list anomalies --output json
ok test "$(json items)" = '[]'
rm "r/commit/$("$catalog" query "SELECT session FROM v_points WHERE name = 'other' ORDER BY sequence DESC LIMIT 1" \
	--output csv | tail -n 1 | tr -d '\r')"
run 0 "$agent" backup other="$work/other"
err 'does not show the restore point before this one'

t 'a point that is being read stays, also when it expires meanwhile'
mkfifo archive
"$restore" export --key "$recovery" --quiet other >archive 2>restore.err &
reader=$!
exec 7<archive
head -c 1000 <&7 >part
until [ -n "$(find r/pin -type f 2>/dev/null)" ]; do kill -0 $reader 2>/dev/null || break; done
commits=$(points r)
run 0 "$catalog" expire other@latest --reason why
run 0 gc --accept-loss
ok test "$(points r)" -ge "$commits"
ok test "$(last_state other)" = expired
cat <&7 >>part
exec 7<&-
ok wait $reader
ok test "$(tar -tf part | grep -c two)" -eq 1
ok test -z "$(find r/pin -type f)"
# The marker of the one that was lost looks like a backup at work.
run 0 gc --accept-loss --fence-after 0s --max-share 100
ok test "$(last_state other)" = deleted

t 'simulate needs no repository'
unset AKSDR_STORE AKSDR_KEY
run 0 "$catalog" retain simulate --keep-daily 3 --keep-monthly 2 --backups 6h --for 90d --start 2026-01-01 --output json
ok test "$(json items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" -eq 6
run 0 "$catalog" retain simulate --policy policies.json --volume src --backups '0 3 * * *' --for 10d --all
out '2[0-9]{3}-[0-9]{2}-[0-9]{2}T00:00:00'
run 2 "$catalog" retain simulate --keep-last 3
err '--backups'
run 2 "$catalog" retain simulate --keep-last 3 --backups 'now and then'

finish
