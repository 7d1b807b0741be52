#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A release of the chart goes on after everything that it needs was killed: an agent, a mover, the API
# server, the store, a node, and the authority of the cluster's certificates. After each there are new
# points of all claims; none of their slots has two, and at the end nothing is left over.
#
# timeout: 2400
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"

release_up --audit
claims=(one two)
for claim in "${claims[@]}"; do bed_claim "$claim" 64Mi; done
bed_pod first --node 1 one=/data
bed_pod second --node 2 two=/data
for pod in first second; do bed_in "$pod" sh -c "echo $pod >/data/file && sync"; done

all_made() {
	k get pods,pvc,volumesnapshots -A -o name -l app.kubernetes.io/managed-by=aksdr
	k get volumesnapshotcontents,pv -o name
}
# points CLAIM: how many there are
points() { release_points 2>/dev/null | jq --arg name "$1" '[.items[] | select(.volume == $name)] | length'; }
# remember: as many as there are now; go_on: there is a new one of each claim
remember() {
	local claim
	for claim in "${claims[@]}"; do had[$claim]=$(points "$claim"); done
}
declare -A had=([one]=0 [two]=0)
go_on() {
	local claim
	for claim in "${claims[@]}"; do [ "$(points "$claim")" -gt "${had[$claim]:-0}" ] || return; done
}
# processes PATTERN: process ids of ours in pods
processes() { pgrep -f "^[^ ]*aksdr-agent $1"; }
ready() { [ "$(k -n aksdr get daemonset aksdr-agent -o 'jsonpath={.status.numberReady}')" = 2 ]; }

sed -i 's|spec: {selector|spec: {bandwidth: 1Mi, selector|' "$values"

t 'points appear'
before=$(all_made)
run 0 release install aksdr "$chart" --values "$values" --wait --timeout 120s
ok bed_wait 300 go_on

t 'an agent is killed'
victim=$(processes run | head -n 1)
kill -KILL "$victim"
remember
restarted() { k -n aksdr get pods -l app.kubernetes.io/component=agent -o json |
	jq -e '[.items[].status.containerStatuses[].restartCount] | add > 0'; }
ok bed_wait 60 restarted
ok bed_wait 300 go_on

t 'a mover is killed'
# As long as it takes to send this: the policy has a limit.
bed_in first sh -c 'head -c 20000000 /dev/urandom >/data/noise && sync'
mover() { processes 'backup .*--view'; }
ok bed_wait 180 mover
mover | head -n 1 | xargs kill -KILL
remember
ok bed_wait 300 go_on

t 'the API server is killed, in the middle of a backup'
bed_in first sh -c 'head -c 20000000 /dev/urandom >/data/noise && sync'
ok bed_wait 180 mover
bed_kill apiserver
gone() { ! mover; }
ok bed_wait 120 gone
ok [ "$(processes run | wc -l)" = 2 ]
bed_start apiserver
remember
ok bed_wait 300 go_on

t 'the store is gone; backups fail and say so, and come again when it is back, without a storm'
stop_server azurite
told() { k get events -o json | jq -e '[.items[] | select(.reason == "BackupFailed") | .involvedObject.name] |
	unique == ["one", "two"]'; }
ok bed_wait 400 told
ok [ "$(processes run | wc -l)" = 2 ]
run 0 k get events --field-selector reason=BackupFailed
out 'store|connect|127|refused'
start_azurite azurite tls
remember
back=$(date +%s)
ok bed_wait 400 go_on
# One for the firing that was missed, and one for each that came since.
for claim in "${claims[@]}"; do
	most=$((had[$claim] + 2 + ($(date +%s) - back) / 60))
	ok [ "$(points "$claim")" -le "$most" ]
done

t 'a node ends and comes back'
bed_node_off 2
remember
lost() { [ "$(k get node node2 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" != True ]; }
ok bed_wait 90 lost
bed_node_on 2
bed_ready 2
ok bed_wait 120 ready
ok bed_wait 300 go_on

t 'the authority of the cluster is exchanged'
bed_rotate_ca add
signer=$(tail -n 5 "$bed_ca" | head -n 1)
known() {
	local pid
	[ "$(processes run | wc -l)" = 2 ] || return
	for pid in $(processes run); do
		grep -qF "$signer" "/proc/$pid/root/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" || return
	done
}
ok bed_wait 180 known
bed_rotate_ca switch
remember
ok bed_wait 300 go_on
ok [ "$(k -n aksdr get pods -l app.kubernetes.io/component=agent -o json |
	jq '[.items[].status.containerStatuses[].restartCount] | max')" -le 2 ]

t 'no slot of a claim has two points'
for claim in "${claims[@]}"; do
	release_points | jq -r --arg name "$claim" '.items[] | select(.volume == $name) | .sequence' |
		sort >"$work/seen"
	ok [ -z "$(uniq -d "$work/seen")" ]
done

t 'what came back is what was written, and nothing is left over'
for claim in "${claims[@]}"; do
	rm -rf "$work/back"
	run 0 "$restore" volume --store "$azurite_url" --key "$keys/recovery.key" --quiet "$claim" --target "$work/back"
	ok cmp "$work/back/file" <(case $claim in one) echo first ;; *) echo second ;; esac)
done
run 0 release upgrade aksdr "$chart" --values "$values" --set role=secondary --wait --timeout 180s
leftover() { all_made >"$work/objects" && ! diff <(echo "$before") "$work/objects"; }
clean() { ! leftover; }
# The sweep of the leader looks every five minutes at what is older than ten.
ok bed_wait 180 clean
leftover | sed 's/^/   /'
run 0 release uninstall aksdr --wait --timeout 120s

finish
