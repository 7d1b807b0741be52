#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that read a share of the packs, remember what was read, and restore on trial.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src
for i in 1 2 3 4 5 6; do
	noise 300000 $i >src/file$i
	run 0 backup a="$work/src"
done
mkdir other
noise 100000 9 >other/file
run 0 backup b="$work/other"
check() { "$catalog" check --quiet "$@"; }
records() { find r/check -type f 2>/dev/null | wc -l; }
packs=$(find r/pack r/meta -type f | wc -l)

t 'whoever cannot sign records nothing, and neither does who is asked not to'
run 0 check --key "$audit" --level 3 --output json
json_is false recorded
json_is "$packs" packs_verified
run 0 check --key "$agent_key" --level 3 --no-record
ok test "$(records)" -eq 0
run 0 check --key "$audit" --level 3 --budget 1MiB
err 'not recorded: that needs an agent key'

t 'a budget reads a share each time, and gets around everything'
seen=0
for i in {1..20}; do
	run 0 check --key "$agent_key" --level 3 --budget 400KiB --output json
	json_is true recorded
	json_is false all
	ok test "$(json packs_verified)" -ge 1
	ok test "$(json bytes_verified)" -le 409600
	seen=$((seen + $(json packs_verified)))
	[ "$(json never_verified)" -gt "$(json packs_verified)" ] || break
done
ok test "$seen" -ge "$packs"
ok test "$i" -gt 2
run 0 check --key "$agent_key" --level 3 --budget 400KiB
out '^read in full: [0-9]+ of '"$packs"' packs'
out 'verified the longest ago: 20'

t 'an age leaves out what was read lately, also by other machines'
run 0 check --key "$audit" --level 3 --max-age 1d --state "$work/elsewhere" --output json
json_is 0 packs_chosen
json_is 0 never_verified
noise 200000 11 >src/new
run 0 backup a="$work/src"
run 0 check --key "$agent_key" --level 3 --max-age 1d --output json
ok test "$(json packs_chosen)" -gt 0
ok test "$(json packs_chosen)" -lt "$packs"
json_is "$(json packs_chosen)" packs_verified

t 'a level above asks for its own records'
run 0 check --key "$recovery" --level 4 --max-age 1d --output json
json_is "$(find r/pack r/meta -type f | wc -l)" packs_chosen

t 'damage in what is read is found, and what is damaged is not recorded as good'
victim=$(find r/pack -type f -size +200k | LC_ALL=C sort | head -n 1)
flip "$victim" 150000
run 5 check --key "$agent_key" --level 3 --output json
json_is damaged verdict
run 5 check --key "$agent_key" --level 3 --max-age 1d --output json
json_is 1 packs_chosen
flip "$victim" 150000
run 0 check --key "$agent_key" --level 3 --max-age 1d --output json
json_is 1 packs_verified
run 0 check --key "$agent_key" --level 3 --max-age 1d --output json
json_is 0 packs_chosen

t 'options that make no sense together are refused'
run 2 check --key "$audit" --level 2 --budget 1MiB
err 'levels that read packs'
run 2 check --key "$audit" --level 3 --budget 1MiB --sample 10
run 2 check --key "$recovery" --level 5
err '--scratch DIR'
run 2 check --key "$recovery" --level 4 --scratch "$work"
run 2 check --key "$recovery" --level 6
run 2 check --key "$recovery" --level 3 --sample 0

t 'level 5 restores the newest point of each volume, and leaves nothing behind'
mkdir scratch
run 0 check --key "$recovery" --level 5 --scratch "$work/scratch" --output json
json_is 5 level
json_is 2 points_restored
ok test -z "$(ls -A scratch)"
run 0 check --key "$recovery" --level 5 --scratch "$work/scratch" --volume b
out 'level 5: ok: .* 1 restored on trial'
run 4 check --key "$recovery" --level 5 --scratch "$work/scratch" --volume none
run 4 check --key "$recovery" --level 5 --scratch "$work/nowhere"
run 0 "$catalog" query 'SELECT max(level) AS level FROM checks' --output json
json_is 5 items 0 level

t 'what level 5 cannot restore is a problem of the restore point'
flip "$victim" 150000
run 5 check --key "$recovery" --level 5 --scratch "$work/scratch" --output csv
out '^commit/.*,damaged,'
ok test -z "$(ls -A scratch)"
flip "$victim" 150000

t 'the check is shown with its numbers'
run 0 "$catalog" list checks
finish
