#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The audit trail as its users meet it: what is recorded, what is told of it, and what is found when
# somebody has changed it.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$work" || exit 1
mkdir src
echo one >src/file
export AKSDR_STORE=file://$work/r AKSDR_STATE=$work/state
run 0 "$agent" init --quiet --keys "$work/k"
agent_key=$work/k/agent.key recovery=$work/k/recovery.key audit=$work/k/audit.key
trail() { find r/audit -type f | wc -l; }
# acts: what the trail says was done, in its order, one a line
acts() { "$catalog" sync --quiet --key "$audit" >/dev/null && "$catalog" audit export | "$PYTHON" -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print(r["act"], r["result"], *r["objects"][:1], *([r["why"]] if r["why"] else []))'; }

t 'making a repository is its first record'
ok test "$(trail)" -eq 1
ok test "$(acts)" = 'init done'

t 'a backup that went well waits, one that failed does not'
run 0 "$agent" backup --quiet --key "$agent_key" data="$work/src"
ok test "$(trail)" -eq 1
run 4 "$agent" backup --quiet --key "$agent_key" data="$work/none"
ok test "$(trail)" -eq 2
ok test "$(acts)" = 'init done
backup done data
backup failed data'

t 'a restore is recorded with its reason, and a dry run is not'
run 0 "$restore" volume --quiet --key "$recovery" data --target "$work/out" --reason 'ticket 7'
run 0 "$catalog" gc --quiet --key "$agent_key" --dry-run
ok test "$(acts | tail -n 1)" = 'restore done data ticket 7'
run 0 "$catalog" hold --key "$agent_key" data@latest --reason 'a court' --name judge --quiet
ok test "$(acts | tail -n 1)" = 'hold done data@latest a court'

t 'reading is recorded when it is asked for, by a key that signs'
before=$(trail)
run 0 "$restore" points --key "$recovery" --quiet
run 0 "$restore" points --key "$audit" --quiet --audit-reads
ok test "$(trail)" -eq "$before"
run 0 "$restore" points --key "$recovery" --quiet --audit-reads
AKSDR_AUDIT_READS=1 run 0 "$catalog" list --key "$agent_key"
ok test "$(trail)" -eq $((before + 2))

t 'what cannot be recorded is not done, where that is required'
run 1 "$catalog" check --key "$audit" --audit required
err "this key cannot sign records of the audit trail"
AKSDR_AUDIT=Required run 2 "$catalog" check --key "$agent_key"
err "AKSDR_AUDIT 'Required' is not one of best, required"
mv r/audit r/audit.away
echo in the way >r/audit
run 2 "$restore" volume --quiet --key "$recovery" data --target "$work/never" --audit required
err "recording that 'restore' begins"
ok test ! -e never
run 0 "$restore" volume --quiet --key "$recovery" data --target "$work/out2"
err 'an act is not in the audit trail of the store .*waits in the state directory'
rm r/audit
mv r/audit.away r/audit
run 0 "$catalog" gc --quiet --key "$agent_key"
ok test "$(acts | tail -n 2 | head -n 1)" = 'restore done data'

t 'an anchor, and a head to be noted elsewhere'
run 0 "$catalog" audit anchor --key "$agent_key"
head=$(cat .out)
run 0 "$catalog" audit head
out "$head"
run 0 "$catalog" audit verify --head "$head"
out 'records in .* batches of 1 chains, 1 anchors; 0 records since the newest anchor'
run 5 "$catalog" audit verify --head "9-${head#*-}"
out 'rolled back'
run 2 "$catalog" audit verify --head x

t 'filters, and the Common Event Format'
run 0 "$catalog" audit list --act restore --object data --output json
json_is aksdr/audit-list/v1 schema
json_is restore items 0 act
json_is 'ticket 7' items 0 why
run 0 "$catalog" audit list --user nobody-there --output csv
ok test "$(wc -l <.out)" -eq 1
run 0 "$catalog" audit export --format cef --act restore
out '^CEF:0\|aksdr\|aksdr-restore\|.*\|restore\|restore done\|5\|rt=[0-9]{13} .*reason=ticket 7 '
run 0 "$catalog" query "SELECT act, result FROM v_audit WHERE act = 'hold'" --output csv
out 'hold,done'

t 'the store is compared with the copy'
run 0 "$catalog" audit verify --key "$audit"
victim=$(find r/audit -type f | LC_ALL=C sort | sed -n 2p)
cp "$victim" kept
flip "$victim" 200
run 5 "$catalog" audit verify --key "$audit" --output json
json_is changed items 0 kind
json_is 2 items 0 number
rm "$victim"
run 5 "$catalog" audit verify --key "$audit"
out 'gone .* 2 .*the store has this batch no longer'
run 0 "$catalog" rebuild --quiet --key "$audit"
run 5 "$catalog" audit verify
out 'cut .* 2 .*batches from this one on are missing'
cp kept "$victim"
run 0 "$catalog" rebuild --quiet --key "$audit"
run 0 "$catalog" audit verify --key "$audit"

t 'the copy is compared with itself'
"$PYTHON" - "$(echo state/*/catalog.db)" <<'PY'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.executescript("DROP TRIGGER audit_fixed; UPDATE audit SET user = 'somebody' WHERE act = 'restore' AND place = "
                "(SELECT min(place) FROM audit WHERE act = 'restore')")
PY
run 5 "$catalog" audit verify --output json
json_is edited items 0 kind
json_is 4 items 0 place
finish
