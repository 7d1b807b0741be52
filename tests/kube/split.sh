#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The link of the first region is cut in the middle of a backup, and its cluster lives on: applications write, agents
# try. The second one takes over meanwhile. When the link is there again the first one cannot commit, its agents say
# so, nothing of the second one is overwritten, and traffic stays where it is.
#
# timeout: 1500
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-regions.sh
. "$bed_here/lib-regions.sh"
regions_up
regions_write
bed_in app sh -c 'head -c 20000000 /dev/urandom >/files/noise && sync && md5sum /files/noise' >"$work/noise.sum"
port=${azurite_url##*127.0.0.1:}
port=${port%%/*}

t 'the first cluster is backed up, and serves'
ok bed_wait 240 regions_backed_up
ok [ "$(regions_answer 1)" = 200 ]
ok [ "$(regions_answer 2)" = 503 ]

t 'its link is cut in the middle of a backup: it goes on writing, and the second cluster takes over'
ok bed_wait 90 regions_busy
ok bed_cut "$port"
known=$("$restore" points --output json | jq '.items | length')
bed_use 2
begun=$(date +%s)
tool 0 failover "$plan" --reason 'region cut off' --output json
cp "$work/.out" "$work/failover.json"
serves() { [ "$(regions_answer 2)" = 200 ]; }
ok bed_wait 20 serves
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/failover.json")" = restored ]
bed_pod app ledger=/ledger files=/files
ok [ "$(bed_in app md5sum /files/noise)" = "$(cat "$work/noise.sum")" ]
# What the first cluster writes from then on is lost by the decision to fail over.
regions_judge "$begun"
bed_in app sh -c 'echo of the second >/files/second && sync'

t 'the cut cluster was alive all the time'
bed_use 1
lines=$(wc -l <"$work/acknowledged")
more() { [ "$(wc -l <"$work/acknowledged")" -gt "$lines" ]; }
ok bed_wait 20 more
ok [ "$("$restore" points --output json | jq '.items | length')" = "$known" ]

t 'the link is there again: it cannot commit, and its agents say so'
ok bed_joined
# The plan is of a namespace, and so is the fence: each claim there has an event that says it.
told() {
	k get events -n default -o json | jq -r '.items[] | select(.involvedObject.kind == "PersistentVolumeClaim" and
		(.message | test("fenced"))).involvedObject.name' | sort -u >"$work/told"
	[ "$(paste -sd ' ' "$work/told")" = 'files ledger' ]
}
ok bed_wait 400 told
ok [ "$("$restore" points --output json | jq '.items | length')" = "$known" ]
run 0 "$restore" fences --output json
out 'region cut off'

t 'traffic goes where it went, and nothing of the second cluster was touched'
stopped() { [ "$(regions_answer 1)" = 503 ]; }
ok bed_wait 20 stopped
ok [ "$(regions_answer 2)" = 200 ]
bed_use 2
ok [ "$(bed_in app cat /files/second)" = 'of the second' ]
run 0 "$catalog" check --key "$keys/audit.key" --level 1

finish
