#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A region is lost and comes back, as docs/REGIONS.md tells it: the old site is fenced while a backup of it
# stands still, makes nothing that counts any more, and backs up again when it was given back.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
new_repo r
mkdir src && echo first >src/file && noise 60000000 >src/large
# by SITE ARGUMENT...: a backup of a volume "data" of namespace "shop" there
by() {
	local site=$1
	shift
	"$agent" backup --key "$agent_key" --quiet --cluster "$site" --namespace shop data="$work/src" "$@"
}
fence() { "$restore" fence --key "$recovery" "$@"; }
count() { "$restore" points --key "$audit" --output csv | sed 1d | grep -c "$1" || true; }

t 'a repository without fences says so'
run 0 "$restore" fences --key "$audit" --output json
json_is aksdr/fences/v1 schema
json_is 0 epoch
json_is '[]' items

t 'what is wrong with an order is said before anything is done'
run 0 by one
run 2 fence one
err '^aksdr-restore: --reason is missing'
run 2 fence / --reason down
err 'is no site: write CLUSTER'
run 1 "$restore" fence --key "$agent_key" one --reason down
err 'takes the recovery key that init made'
run 4 "$restore" unfence --key "$recovery" one --reason back
err 'there is no fence of exactly this; those that stand have the epochs: none'
run 4 "$restore" accept --key "$recovery" 2026-11-22/0011223344556677-00112233445566778899aabbccddeeff
ok not test -e "$store_dir/ctl"

t 'a dry run fences nothing'
run 0 fence one --reason down --dry-run
out '^ *1 .*would be fenced'
ok not test -e "$store_dir/ctl"

# One attempt: the backup is stopped as soon as it is registered. False: it was faster.
stand_still() {
	touch r.keys/mark
	by one >agent.out 2>agent.err &
	writer=$!
	until [ -n "$(find r/sess -type f -newer r.keys/mark 2>/dev/null)" ]; do
		kill -0 $writer 2>/dev/null || break
	done
	kill -STOP $writer 2>/dev/null
	[ "$(count '')" = "$1" ] && kill -0 $writer 2>/dev/null
}

t 'a site is fenced while a backup of it stands still: it ends as fenced, and makes nothing'
before=1
for try in 1 2 3 4 5; do
	noise 60000000 $((try + 10)) >src/large
	stand_still $before && break
	kill -CONT $writer 2>/dev/null
	wait $writer
	before=$(count '')
done
run 0 fence one --reason 'region down' --successor two --output json
json_is aksdr/fence/v1 schema
json_is 1 items 0 epoch
json_is "$before" items 0 points
json_is fenced items 0 state
kill -CONT $writer
wait $writer
ok test $? -eq 6
ok grep -q "'one/shop/data' is fenced since .* and belongs to 'two' now (region down)" agent.err
ok test "$(count '')" = "$before"
run 0 fence one --reason again
out 'was so before'

t 'its agents do nothing from then on, and others go on'
objects_before=$(objects r)
run 6 by one
err '^aksdr-agent: .*is fenced since .*: nothing is backed up here until it is given back'
ok test "$(objects r)" = "$objects_before"
run 0 by two
ok test "$(count two)" = 1
ok test "$(count '')" = $((before + 1))
run 0 volume one/shop/data "$work/back"

t 'the fence is there for everybody to see, but for the store'
run 0 "$restore" fences --key "$audit" --output json
json_is 1 epoch
json_is one items 0 of
json_is fenced items 0 state
json_is two items 0 successor
json_is 'region down' items 0 reason
ok not grep -rq 'region down' r
run 0 "$restore" fences --key "$audit"
out '^ *1 one +fenced '

t 'the catalog and a check have nothing to say of it'
run 0 "$catalog" sync --key "$audit"
run 0 "$catalog" check --key "$audit" --level 3

t 'a part of a site'
run 0 fence two/shop --reason moved
run 6 by two
run 0 "$agent" backup --key "$agent_key" --quiet --cluster two --namespace office data="$work/src"
run 0 "$restore" unfence --key "$recovery" two/shop --reason 'moved back'
run 0 by two

t 'given back, its agents back up again'
run 4 "$restore" unfence --key "$recovery" one/shop --reason back
err 'epochs: 1 \('
run 0 "$restore" unfence --key "$recovery" one --reason back
out 'given back'
run 0 by one
ok test "$(count one)" = $((before + 1))
run 0 "$restore" show --key "$audit" one/shop/data --output json
json_is 4 items 0 epoch
run 0 "$restore" fences --key "$audit" --output json
json_is 4 epoch
json_is 'given back' items 0 state
json_is back items 0 lifted_reason

t 'a point that comes too late does not count, is listed, and can be accepted'
# It is on its way while its site is fenced.
late=$(find r/commit -type f -newer r.keys/mark -printf '%T@ %P\n' | sort -n | tail -n 1 | cut -d' ' -f2)
mv "r/commit/$late" kept
run 0 fence one --reason 'down again'
mv kept "r/commit/$late"
ok test "$(count one)" = "$before"
run 0 "$restore" fences --late --key "$audit" --output json
json_is "$late" items 0 session
run 0 "$catalog" check --key "$audit" --level 2
out 'not counting: 1 objects'
run 0 "$restore" accept --key "$recovery" "$late"
out 'accepted'
ok test "$(count one)" = $((before + 1))
run 0 "$restore" fences --late --key "$audit" --output json
json_is '[]' items

t 'a mirror is fenced, and the way back takes the fence to the store that was left'
new_repo m
mkdir copy
run 0 by one
run 0 "$catalog" mirror --key "$agent_key" --to "file://$work/copy"
echo more >>src/file
run 0 by one
export AKSDR_STATE=$work/elsewhere.state
run 0 "$restore" fence --key "$recovery" --store "file://$work/copy" one --reason 'region down'
run 5 "$catalog" mirror --key "$agent_key" --to "file://$work/copy"
err 'somebody else wrote there since'
run 0 "$catalog" mirror --back --key "$agent_key" --store "file://$work/copy" --to "$store"
export AKSDR_STATE=$work/m.state
run 6 by one
ok test "$(count one)" = 1
run 0 "$restore" fences --late --key "$audit" --output json
ok grep -q 'does not count: its site was fenced on' .out
finish
