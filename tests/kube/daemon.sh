#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two agents in a real cluster: each backs up what its node uses, one of them what nobody uses, and none
# the same claim at the same time; pausing, cancelling, and the death of an agent.
#
# timeout: 1200
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

bed_up 2
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"
k apply -f "${SRC:-$(cd "$bed_here/../.." && pwd -P)}/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established crd/backuppolicies.aksdr.io --timeout=30s >/dev/null || exit 1

for claim in one two idle; do bed_claim $claim 64Mi; done
bed_pod first --node 1 one=/data
bed_pod second --node 2 two=/data
bed_pod third idle=/data
bed_in first sh -c 'echo first >/data/file && sync -f /data'
bed_in second sh -c 'echo second >/data/file && sync -f /data'
bed_in third sh -c 'echo third >/data/file && sync -f /data'
k delete pod third --wait=true >/dev/null

declare -A pid port=([node1]=19761 [node2]=19762)
start() {
	local name=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_STATE=$work/state-$name "$agent" run --node "$name" --namespace aksdr \
		--pod "agent-$name" --cluster test --listen "127.0.0.1:${port[$name]}" \
		--mover-template "$work/mover.yaml" "$@" >>"$work/$name.log" 2>&1 &
	pid[$name]=$!
}
logged() { [ "$(grep -cE "$2" "$work/$1.log")" -ge "${3:-1}" ]; }
# note CLAIM KEY: of its Lease
note() {
	k -n aksdr get lease -l aksdr.io/volume=true -o json | jq -r --arg claim "default/$1" --arg key "aksdr.io/$2" \
		'.items[].metadata.annotations | select(.["aksdr.io/claim"] == $claim) | .[$key] // ""'
}
has_point() { [ "$(note "$1" outcome)" = succeeded ] && [ -n "$(note "$1" point)" ]; }
# slots CLAIM: those of runs that made a point, one a line
slots() {
	cat "$work"/node*.log | grep 'a run has ended' | grep "claim=\"\?default/$1[\" ]" | grep 'status=0' |
		grep -o 'slot="\?[^" ]*'
}

t 'points appear, made by the agent of the node where a claim is used'
k apply -f - >/dev/null <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: BackupPolicy
	metadata: {name: all, namespace: aksdr}
	spec: {selector: {namespaces: [default]}, schedule: {cron: '* * * * *'}, rpo: 1h}
YAML
start node1
start node2
ok bed_wait 180 has_point one
ok bed_wait 180 has_point two
ok logged node1 'a run begins.*default/one'
ok logged node2 'a run begins.*default/two'
ok eval '! logged node1 "a run begins.*default/two"'
ok eval '! logged node2 "a run begins.*default/one"'
AKSDR_KEY='' run 0 "$restore" volume --key "$recovery" --quiet one --target "$work/back"
ok [ "$(cat "$work/back/file")" = first ]

t 'a claim that nobody uses is backed up too, and once for each slot'
ok bed_wait 300 has_point idle

t 'the policy says that all are protected'
protected() { [ "$(k -n aksdr get bp all -o json | jq -r '.status | "\(.protected) \(.exposed)"')" = '3 0' ]; }
ok bed_wait 60 protected
ok [ "$(k -n aksdr get bp all -o json | jq -r '.status.conditions[] | select(.type == "Protected") | .status')" = True ]

t 'what is paused begins nothing, and goes on later'
k annotate pvc two aksdr.io/paused=true >/dev/null
idle() { ! pgrep -f 'aksdr-agent backup.*pvc:default/two' >/dev/null; }
ok bed_wait 120 idle
runs=$(grep -c 'a run begins.*default/two' "$work/node2.log")
skipped() { k get events -o json | jq -e '.items[] | select(.reason == "BackupSkipped")' >/dev/null; }
ok bed_wait 150 skipped
ok [ "$(grep -c 'a run begins.*default/two' "$work/node2.log")" -eq "$runs" ]
k annotate pvc two aksdr.io/paused- >/dev/null
ok bed_wait 120 logged node2 'a run begins.*default/two' $((runs + 1))

t 'a run that is going on is ended when its claim says so'
# From the first snapshot on.
k annotate pvc one aksdr.io/paused=true >/dev/null
still() { ! pgrep -f 'aksdr-agent backup.*pvc:default/one' >/dev/null; }
ok bed_wait 120 still
bed_fault ready-after 1h
k annotate pvc one aksdr.io/paused- >/dev/null
waits() { k get volumesnapshots -A -o json | jq -e '.items[] | select(.metadata.deletionTimestamp == null and
	.spec.source.persistentVolumeClaimName == "one" and .status.readyToUse != true)' >/dev/null; }
ok bed_wait 180 waits
k annotate pvc one "aksdr.io/cancel=$(date -u -d '+1 second' +%FT%TZ)" >/dev/null
ok bed_wait 60 logged node1 'a run is ended, as its claim says.*default/one'
ok bed_wait 120 logged node1 'a run has ended.*default/one.*status=130'
bed_fault ready-after
k annotate pvc one aksdr.io/cancel- >/dev/null

t 'an agent that is killed comes back, and goes on'
kill -KILL "${pid[node1]}"
start node1
runs=$(grep -c 'a run has ended.*default/one.*status=0' "$work/node1.log")
ok bed_wait 300 logged node1 'a run has ended.*default/one.*status=0' $((runs + 1))

t 'no slot of a claim has two points'
for claim in one two idle; do
	ok [ -z "$(slots $claim | sort | uniq -d)" ]
done

t 'at its end an agent ends what runs, and nothing is left'
for name in node1 node2; do
	kill "${pid[$name]}"
	wait "${pid[$name]}"
	ok [ $? -eq 0 ]
done
nothing_left() { [ -z "$(k get pods,pvc,volumesnapshots -A -o name -l app.kubernetes.io/managed-by=aksdr)" ]; }
ok bed_wait 120 nothing_left

finish
