#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "Am I safe?": the answer of the catalog, as text, as JSON, as an exit status, and while it is watched.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

new_repo r
mkdir src && noise 100000 >src/file

t 'without a check something needs attention'
run 0 backup data="$work/src"
run 0 "$catalog" sync --quiet --key "$audit"
run 3 "$catalog" status
out '^ATTENTION: 1 thing needs you$'
out '^  ok +backups +1 volume; the worst is data'
out '^  attention +verified +no check has ever read everything'
ok not grep -q "$(printf '\033')" "$work/.out"

t 'after it all is well, by the exit status too'
run 0 "$catalog" check --level 3 --key "$audit"
run 0 "$catalog" sync --quiet --key "$audit"
run 0 "$catalog" status
out '^SAFE: nothing needs attention$'
run 0 "$catalog" status --output json
run 0 jq -e '.schema == "aksdr/status/v1" and .level == "ok" and (.findings | length) > 4' "$work/.out"
run 2 "$catalog" status --output csv
err 'table or json'

run 0 "$catalog" status --html status.html
ok empty "$work/.out"
ok grep -q 'SAFE: nothing needs attention' status.html

t 'somebody who watches without a terminal gets a line when something changes, and can go'
"$catalog" watch --every 1s >"$work/watched" 2>&1 &
watcher=$!
lines() { [ "$(wc -l <"$work/watched")" -ge "$1" ]; }
until lines 1; do read -rt 0.1 <> <(:) || :; done
find "$work/r" -path '*/pack/*' -type f -exec \
	sh -c 'chmod u+w "$1" && printf xxxx | dd of="$1" bs=1 seek=2000 conv=notrunc status=none' _ {} \;
run 5 "$catalog" check --level 3 --key "$audit"
until lines 2; do read -rt 0.1 <> <(:) || :; done
kill -INT $watcher
wait $watcher
ok test $? -eq 0
ok grep -q 'SAFE' "$work/watched"
ok grep -q 'DAMAGE: .* verified: the last check, of level 3, found' "$work/watched"
run 5 "$catalog" status
err 'DAMAGE'
finish
