#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The daemon against a real API server, without nodes: what it begins and what it tells of policies and
# claims, who leads, and what becomes of it when the server, another agent or itself is killed.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --no-nodes
agent=$BIN/aksdr-agent
src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
k apply -f "$src/helm/aksdr/crds" -f "$BED_PROGRAMS/crds" >/dev/null &&
	k wait --for=condition=Established crd --all --timeout=30s >/dev/null || exit 1
for namespace in aksdr shop; do k create namespace $namespace >/dev/null || exit 1; done
run 0 "$agent" init --store "file://$work/store" --keys "$work/keys"
export AKSDR_STORE=file://$work/store AKSDR_KEY=$work/keys/agent.key

# claim NAMESPACE NAME [ANNOTATION=VALUE]...: one that looks bound
claim() {
	local ns=$1 name=$2
	shift 2
	k apply -f - >/dev/null <<-YAML || return 1
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $name, namespace: $ns}
		spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}, volumeName: none}
	YAML
	[ $# -eq 0 ] || k -n "$ns" annotate pvc "$name" "$@" >/dev/null || return 1
	k -n "$ns" patch pvc "$name" --subresource=status --type=merge -p '{"status": {"phase": "Bound"}}' >/dev/null
}
# policy NAMESPACE NAME SPEC
policy() {
	k apply -f - >/dev/null <<-YAML
		apiVersion: aksdr.io/v1alpha1
		kind: BackupPolicy
		metadata: {name: $2, namespace: $1}
		spec: {$3}
	YAML
}
# condition NAMESPACE POLICY TYPE: "STATUS REASON MESSAGE"
condition() {
	k -n "$1" get bp "$2" -o json |
		jq -r ".status.conditions[]? | select(.type == \"$3\") | \"\(.status) \(.reason) \(.message)\""
}
# says NAMESPACE POLICY TYPE PATTERN: within a minute
is() { grep -qE "$4" <<<"$(condition "$1" "$2" "$3")"; }
says() { bed_wait 60 is "$@" || { condition "$1" "$2" "$3" && false; }; }
# start NAME [OPTION]...: an agent with the log $work/NAME.log, whose status server is $work/NAME.url
declare -A pid
start() {
	local name=$1
	shift
	KUBECONFIG=${kubeconfig:-$bed/admin.kubeconfig} AKSDR_STATE=$work/state-$name "$agent" run --node "$name" \
		--namespace aksdr --pod "agent-$name" --cluster test --listen "127.0.0.1:${port[$name]}" "$@" \
		>"$work/$name.log" 2>&1 &
	pid[$name]=$!
}
declare -A port=([node1]=19761 [node2]=19762)
stop() {
	kill "-${2:-TERM}" "${pid[$1]}"
	wait "${pid[$1]}"
}
# answers NAME PATH PATTERN
answers() { curl -s --noproxy '*' "http://127.0.0.1:${port[$1]}$2" | grep -qE "$3"; }
logged() { [ "$(grep -cE "$2" "$work/$1.log")" -ge "${3:-1}" ]; }
leads() { answers "$1" /metrics '^aksdr_agent_leader 1'; }

t 'without a cluster, and without knowing where it is, it says so'
KUBECONFIG=$work/none run 4 "$agent" run --node n --namespace aksdr --pod p
err "'run' needs a cluster"
KUBECONFIG=$bed/admin.kubeconfig run 2 "$agent" run --node n --namespace aksdr
err '--pod is missing, and POD_NAME is not set'

t 'a key that is missing or of another repository ends it with one sentence'
KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$work/keys/none run 4 "$agent" run --node n --namespace aksdr --pod p
err 'none'
run 0 "$agent" init --store "file://$work/other" --keys "$work/other-keys"
KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$work/other-keys/agent.key keep "$agent" run --node n --namespace aksdr \
	--pod p --listen ''
ok [ "$(grep -c '^aksdr-agent: ' "$work/.err")" -eq 1 ]

t 'it is ready when the cluster is known and the store was reached, and one leads'
policy aksdr all "selector: {excludeClaims: [skip]}, schedule: {cron: '0 0 1 1 *'}"
policy shop bad "selector: {claims: [wrong]}, schedule: {cron: '* * * * *', timeZone: Middle/Earth}"
claim shop db
claim shop wrong
claim shop skip
claim shop out aksdr.io/protect=false
start node1
ok bed_wait 60 answers node1 /readyz '^ok'
ok answers node1 /healthz '^ok'
ok bed_wait 60 leads node1

t 'the status of a policy says who is exposed, and a mistake by its field'
ok says aksdr all Ready '^True Valid'
ok says aksdr all Protected "^False ClaimsExposed 1 of 1 claims: 'shop/db': it has no restore point"
ok says shop bad Ready '^False Invalid .*spec.schedule.timeZone'
ok says shop bad Protected "^False .*'shop/wrong': policy 'shop/bad' has a mistake"
ok [ "$(k -n aksdr get bp all -o jsonpath='{.status.selected} {.status.exposed}')" = '1 1' ]

t 'a claim that is let out or in again is counted so'
k -n shop annotate pvc out aksdr.io/protect=true --overwrite >/dev/null
ok says aksdr all Protected '^False .* 2 of 2 claims'
k -n shop annotate pvc out aksdr.io/protect=false --overwrite >/dev/null
ok says aksdr all Protected '^False .* 1 of 1 claims'

t 'a slot that passes while a claim is paused is told once'
claim shop paused aksdr.io/paused=true
skipped() {
	[ "$(k -n shop get events.events.k8s.io -o json | jq -r '.items[] | select(.regarding.name == "paused") |
		"\(.reason) \(.note)"' | grep -c '^BackupSkipped .*paused by the annotation')" -eq 1 ]
}
ok bed_wait 200 skipped

t 'a server that was away is seen again, and what changed meanwhile too'
bed_kill apiserver
ok bed_wait 60 logged node1 'the cluster is not seen as it is'
bed_start apiserver
policy aksdr all "selector: {claims: [none]}, schedule: {cron: '0 0 1 1 *'}"
ok says aksdr all Protected '^True NoClaims'

t 'when the leader is killed another agent leads, and tells of policies'
start node2
ok bed_wait 60 answers node2 /readyz '^ok'
ok bed_wait 60 leads node1
ok eval '! leads node2'
stop node1 KILL
ok bed_wait 60 leads node2
policy aksdr all "selector: {claims: [db]}, schedule: {cron: '0 0 1 1 *'}"
ok says aksdr all Protected '^False .* 1 of 1 claims'

t 'an agent that is asked to end gives the lead up at once, and ends well'
stop node2
ok [ $? -eq 0 ]
ok [ "$(k -n aksdr get lease aksdr-leader -o 'jsonpath={.spec.holderIdentity}')" = '' ]

t 'a secondary begins nothing'
policy aksdr all "selector: {claims: [db]}, schedule: {cron: '* * * * *'}"
start node1 --role secondary
ok says aksdr all Protected '^False'
ok eval '! grep -q "a run begins" "$work/node1.log"'
stop node1

t 'policies in files are used in place of those of the cluster'
mkdir "$work/policies"
cat >"$work/policies/one.yaml" <<-'YAML'
	apiVersion: aksdr.io/v1alpha1
	kind: BackupPolicy
	metadata: {name: file}
	spec: {selector: {claims: [db]}, schedule: {cron: '* * * * *'}}
YAML
start node1 --policies "$work/policies"
# Nobody uses the claim: it is begun when two minutes have passed.
ok bed_wait 240 logged node1 'a run begins.*shop/db'
stop node1

t 'what a policy lets go expires, and nothing of a claim that no policy is for'
k delete bp --all -A >/dev/null
claim shop other
mkdir "$work/volume"
for n in 1 2 3 4; do
	echo "$n" >"$work/volume/file"
	for name in db other; do
		run 0 "$agent" backup --quiet --state "$work/state-hand" --cluster test --namespace shop \
			"$name=$work/volume"
	done
done
policy aksdr some "selector: {claims: [db]}, schedule: {cron: '0 0 1 1 *'}, retention: {keepLast: 2,
	floor: {points: 1}}"
start node1 --role secondary
ok bed_wait 60 leads node1
ok says aksdr some Ready '^True Valid'
stop node1
expired() {
	"$BIN/aksdr-catalog" list deletions --output json --state "$work/state-catalog" |
		jq -r '.items[].volume' | sort | uniq -c | tr -s ' '
}
run 0 "$BIN/aksdr-catalog" sync --state "$work/state-catalog"
ok [ "$(expired)" = '' ] # a secondary lets nothing go
start node1
ok says aksdr some Retained '^True Applied'
ok answers node1 /metrics '^aksdr_agent_expired_points_total 2'
ok answers node1 /metrics '^aksdr_agent_retention_failed 0'
run 0 "$BIN/aksdr-catalog" sync --state "$work/state-catalog"
ok [ "$(expired)" = ' 2 test/shop/db' ]
stop node1

finish
