#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A failover to a copy that is behind: what is in both regions is known before; what survived and
# what was lost is told; after it was accepted, backups and the catalog go on from there.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir -p src copy
noise 300000 >src/large
echo one >src/small
copy=file://$work/copy
sync() { "$catalog" sync --quiet --key "$audit" "$@"; }
list() { "$catalog" list --key "$audit" --output json "$@"; }
reconcile() { "$catalog" reconcile --quiet --store "$copy" --key "$audit" "$@"; }
# sql QUERY: as CSV without its first line
sql() { "$catalog" query --key "$audit" --output csv "$1" | tail -n +2 | tr -d '\r'; }

t 'which points are in both regions is seen by comparing the copy'
run 0 backup data="$work/src" other="$work/src"
run 0 sync
ok test "$(sql 'SELECT count(*) FROM cuts')" -eq 0
run 0 list
json_is null items 0 geo
run 0 sync --mirror "$copy" --output json
json_is compared items 0 geo_kind
json_is 0 items 0 geo_durable
run 0 list
json_is no items 0 geo
run 0 "$catalog" mirror --quiet --to "$copy"
run 0 sync --mirror "$copy" --metrics "$work/aksdr.prom" --output json
json_is 2 items 0 geo_durable
json_is 0 items 0 geo_behind
run 0 list
json_is yes items 0 geo
ok grep -qE '^aksdr_volume_geo_rpo_seconds\{volume="data"\} [0-9.]+$' aksdr.prom
ok grep -qxF 'aksdr_geo_lag_seconds 0' aksdr.prom
ok grep -qxF 'aksdr_volume_geo_waiting_points{volume="other"} 0' aksdr.prom
run 0 "$catalog" show data --key "$audit" --output json
json_is compared items 0 geo_kind
run 0 "$catalog" list geo --key "$audit" --output json
json_is 0 items 0 waiting
run 0 "$catalog" list cuts --key "$audit" --output json
json_is compared items 1 kind
run 4 sync --metrics "$work/nowhere/aksdr.prom"
err 'writing metrics'

t 'what comes later waits'
noise 100000 2 >src/later
run 0 backup data="$work/src"
run 0 "$catalog" key add-agent node --out node.key --quiet --key "$recovery"
run 0 backup data="$work/src"
run 0 sync --mirror "$copy" --output json
json_is 0 items 0 geo_durable
ok test "$(json items 0 geo_behind)" -gt 0
ok test "$(sql "SELECT waiting FROM v_geo WHERE volume = 'data'")" -eq 2
ok test "$(sql "SELECT waiting FROM v_geo WHERE volume = 'other'")" -eq 0

t 'a copy that is away is told, and the sync is none the worse'
run 0 "$catalog" sync --key "$audit" --mirror "file://$work/nowhere" --metrics "$work/aksdr.prom"
err 'nothing is known of the second region now'
ok grep -qxF 'aksdr_geo_known 0' aksdr.prom
run 0 list
json_is yes items 0 geo
json_is unknown items 1 geo
run 2 sync --mirror nonsense

t 'the copy is behind: agents refuse a config that went back, and say what to do'
run 5 "$agent" backup --store "$copy" --key "$agent_key" --quiet data="$work/src"
err 'reconcile --accept'
run 5 "$catalog" sync --store "$copy" --key "$audit"

t 'what survived and what was lost, without a trace'
before=$(sql 'SELECT count(*) FROM reconciliations')
run 3 reconcile --dry-run --output json
json_is 2 points_survived
json_is 2 points_lost
json_is 0 points_incomplete
json_is 2 config_revision_seen
json_is 1 config_revision
json_is data items 0 volume
json_is 2 items 0 lost
ok test "$(json items 0 loss_ms)" -gt 0
json_is null items 1 loss_ms
json_is lost points 0 state
ok test "$(sql 'SELECT count(*) FROM reconciliations')" -eq "$before"
ok test "$(sql "SELECT count(*) FROM v_points WHERE state = 'lost'")" -eq 0
ok test -z "$(find "$AKSDR_STATE" -name '*trial*')"

t 'a point whose packs did not make it is incomplete'
cp -a copy half
pack=$(find half/pack -type f | head -n 1)
rm "$pack"
run 3 "$catalog" reconcile --dry-run --quiet --store "file://$work/half" --key "$audit" --output json
json_is 2 points_lost
ok test "$(json points_incomplete)" -ge 1
run 2 reconcile --level 2

t 'without --accept it is told and marked, and nothing goes on'
run 3 reconcile
out '^lost: data '
out 'the config went back from revision 2 to 1'
err '2 restore points are lost and 0 are not whole'
ok test "$(sql "SELECT count(*) FROM v_points WHERE state = 'lost'")" -eq 2
run 5 "$agent" backup --store "$copy" --key "$agent_key" --quiet data="$work/src"

t 'after --accept backups and the catalog go on from what there is'
run 0 reconcile --accept --output json
json_is 2 points_lost
json_is true accepted
run 0 reconcile --output json
json_is 0 points_lost
run 0 "$catalog" sync --store "$copy" --key "$audit" --output json
json_is 0 items 0 anomalies
run 0 "$agent" backup --store "$copy" --key "$agent_key" data="$work/src"
run 0 "$catalog" sync --store "$copy" --key "$audit" --output json
json_is 1 items 0 added
json_is 0 items 0 anomalies
ok test "$(sql "SELECT sum(accepted) FROM v_reconciliations")" -eq 1
rm -rf out
run 0 "$restore" volume --store "$copy" --key "$recovery" --quiet data --target "$work/out"
ok same_tree src out
run 0 "$catalog" check --quiet --level 3 --store "$copy" --key "$audit"

t 'without a catalog there is nothing to compare with'
run 4 "$catalog" reconcile --store "$copy" --key "$audit" --state "$work/none"
finish
