#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two clusters with the chart, as somebody would install it, and one store behind TLS with a second region that lags
# (LastSyncTime is behind). The first cluster writes with a database's habit (each line is on the disk before it is
# acknowledged), is backed up every minute, and is switched off in the middle of that, with the first region of the
# store. What is typed in docs/FAILOVER.md brings the second one up with the newest set that the second region has as a
# whole: what was acknowledged before the restored moment is all there, the interval of what is lost is the one that
# was told, and whoever routes traffic is told so only when it is done, and within a second.
#
# timeout: 1200
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-regions.sh
. "$bed_here/lib-regions.sh"
release_store() { start_geo tls hold=1; }
control() { proxy "$@" >/dev/null; }
replicated() { control POST "$1" && [ "$(proxy GET /state | jq '.errors | length')" = 0 ]; }
# points_of VOLUME: how many there are; taken VOLUME: which one the last output takes; sequence POINT
points_of() { "$restore" points --output json | jq --arg v "$1" '[.items[] | select(.volume == $v)] | length'; }
taken() { jq -r --arg v "$1" '.items[] | select(.volume == $v) | .point' "$work/.out"; }
sequence() { jq --arg p "$1" '.items[] | select(.point == $p) | .sequence' "$work/points.json"; }
regions_up
regions_write
bed_in app sh -c 'head -c 20000000 /dev/urandom >/files/noise && sync && md5sum /files/noise' >"$work/noise.sum"

t 'the first cluster is backed up, and the second one is not served'
ok bed_wait 240 regions_backed_up
ok [ "$(regions_answer 2)" = 503 ]
bed_use 2
tool 0 plan "$plan" --newest
out 'lost: at most'
out 'takes: about'

t 'the second region has one set as a whole, and newer points in part: a plan takes that set, and says so'
ok replicated /sync
tool 0 plan "$plan" --output json
durable=$(taken ledger)
# One may have been on its way at that moment; of the one after it the second region has nothing.
had=$(points_of ledger)
more() { [ "$(points_of ledger)" -ge $((had + 2)) ] && [ "$(points_of files)" -ge $((had + 2)) ]; }
ok bed_wait 240 more
# Replication is out of order: commits arrive before what they name.
ok replicated '/sync?only=/commit/'
tool 0 plan "$plan" --output json
"$restore" points --output json >"$work/points.json"
newest=$(jq '[.items[] | select(.volume == "ledger") | .sequence] | max' "$work/points.json")
synchronised=$(sequence "$(taken ledger)")
ok [ "$synchronised" -ge "$(sequence "$durable")" ]
ok [ "$synchronised" -lt "$newest" ]
ok [ "$(jq '[.findings[] | select(.code == "NewerPointsPassedOver")] | length' "$work/.out")" = 2 ]

t 'the first cluster is switched off in the middle of a backup, and the first region of the store is away'
bed_use 1
ok bed_wait 90 regions_busy
for node in 1 2; do bed_node_off $node; done
bed_kill apiserver
ok control POST '/set?primary=refuse'
bed_use 2
tool 3 plan "$plan" --output json
# What is there as a whole counts, whatever is known of the time; of the newest that is not so.
reached=$(sequence "$(taken ledger)")
ok [ "$reached" -ge "$synchronised" ]
ok [ "$reached" -lt "$newest" ]
ok [ "$(jq -r .second_region_read "$work/.out")" = true ]
ok [ "$(jq -r '[.findings[] | select(.severity == "block") | .code] | join(" ")' "$work/.out")" = StoreAway ]

t 'without a store that can be written nothing is fenced, and nothing is restored'
tool 1 failover "$plan" --reason 'region down'
err 'StoreAway|nothing was done'
ok [ -z "$(k get pvc -o name)" ]

t 'the account is failed over; one command: the volumes are there, and the cluster serves within a second of that'
ok control POST /failover
tool 0 failover "$plan" --reason 'region down' --output json
promoted=$(date +%s%N)
serves() { [ "$(regions_answer 2)" = 200 ]; }
ok bed_wait 20 serves
echo "served $((($(date +%s%N) - promoted) / 1000000)) ms after the command had ended"
ok [ "$(regions_answer 2)" = 200 ]
cp "$work/.out" "$work/failover.json"
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/failover.json")" = restored ]
ok [ "$(sequence "$(taken ledger)")" = "$reached" ]
bed_pod app ledger=/ledger files=/files
ok [ "$(bed_in app md5sum /files/noise)" = "$(cat "$work/noise.sum")" ]

t 'all that was acknowledged before the moment is there, and the loss that was told is the true one'
regions_judge

t 'who types it once more is told that it is done'
tool 0 failover "$plan" --reason 'again'
out 'ne serves the plan shop since .*region down.*: nothing was done'

t 'nothing of the run is left, and the second cluster is told to back up'
ok [ -z "$(k -n aksdr get pvc,secrets -o name -l aksdr.io/run)" ]
ok [ -z "$(k -n aksdr get pods -o name -l aksdr.io/run)" ]
jq -r '"RTO: \(.took_ms) ms \(.phases); volumes: \([.items[] | "\(.volume) \(.took_ms) ms"] | join(", "))"' \
	"$work/failover.json"

finish
