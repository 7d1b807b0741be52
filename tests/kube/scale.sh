#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What agents cost a large cluster: 500 claims and 5,000 pods, as objects alone. What two agents, one of which
# leads, ask of the API server in a minute does not grow with them, and neither does their memory much. The
# server's audit log counts.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --no-nodes --audit
agent=$BIN/aksdr-agent
src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
namespaces=10 claims=50 pods=500 nodes=50 # of each namespace; nodes in all
k apply -f "$src/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established crd --all --timeout=30s >/dev/null || exit 1
k create namespace aksdr >/dev/null || exit 1
run 0 "$agent" init --store "file://$work/store" --keys "$work/keys"
export AKSDR_STORE=file://$work/store AKSDR_KEY=$work/keys/agent.key

declare -A pid port=([node1]=19771 [node2]=19772)
for node in node1 node2; do bed_user "agent-$node" system:masters; done
# start NAME: an agent that is a user of its own
start() {
	KUBECONFIG=$bed/agent-$1.kubeconfig AKSDR_STATE=$work/state-$1 "$agent" run --node "$1" --namespace aksdr \
		--pod "agent-$1" --cluster test --listen "127.0.0.1:${port[$1]}" >"$work/$1.log" 2>&1 &
	pid[$1]=$!
}
# answers NAME PATH PATTERN
answers() { curl -s --noproxy '*' "http://127.0.0.1:${port[$1]}$2" | grep -qE "$3"; }
# ticks NAME: CPU time that it has used, in hundredths of a second
ticks() { awk '{ print $14 + $15 }' "/proc/${pid[$1]}/stat"; }
rss_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/${pid[$1]}/status"; }
# post: sends requests, lines of JSON with path, method and body, over one connection
post() {
	# `next` forgets all that was said before it.
	jq -r --arg pki "$bed/pki" --arg ca "$bed_ca" --arg server "$bed_server" '"next
		request = \(.method | @json)
		url = \($server + .path | @json)
		data = \(.body | tojson | @json)
		header = \("Content-Type: " + .type | @json)
		cacert = \($ca | @json)
		cert = \($pki + "/admin.crt" | @json)
		key = \($pki + "/admin.key" | @json)
		noproxy = *
		fail\nsilent\nshow-error\noutput = \"/dev/null\""' |
		sed '1d; s/^\t*//' | curl --fail-early --config -
}
# objects: the namespaces with their claims and pods
objects() {
	jq -n -c --argjson namespaces "$namespaces" --argjson claims "$claims" --argjson pods "$pods" \
		--argjson nodes "$nodes" '
		def make($path; $body): {method: "POST", path: $path, body: $body, type: "application/json"};
		range($namespaces) as $n | "n\($n)" as $ns |
		make("/api/v1/namespaces"; {metadata: {name: $ns}}),
		make("/api/v1/namespaces/\($ns)/serviceaccounts"; {metadata: {name: "default"}}),
		(range($claims) as $c | make("/api/v1/namespaces/\($ns)/persistentvolumeclaims"; {
				metadata: {name: "c\($c)"}, spec: {accessModes: ["ReadWriteOnce"],
				resources: {requests: {storage: "1Mi"}}, volumeName: "none"}}),
			{method: "PATCH", path: "/api/v1/namespaces/\($ns)/persistentvolumeclaims/c\($c)/status",
				type: "application/merge-patch+json", body: {status: {phase: "Bound"}}}),
		(range($pods) as $p | make("/api/v1/namespaces/\($ns)/pods"; {metadata: {name: "p\($p)"},
			spec: {nodeName: "node\($p % $nodes + 1)", automountServiceAccountToken: false,
				containers: [{name: "c", image: "none", env: [{name: "SOME", value: "text"}]}],
				volumes: [select($p < $claims) |
					{name: "v", persistentVolumeClaim: {claimName: "c\($p)"}}]}}))'
}
# minute: until the server has written down a minute of requests; asked NAME: how many were of this agent
minute() {
	since=$(date -u +%FT%TZ)
	local ends
	ends=$(date -u -d "$since + 60 seconds" +%FT%TZ)
	passed() {
		k get --raw /healthz >/dev/null &&
			[[ $(tail -n 1 "$bed/log/audit.json" | jq -r .stageTimestamp) > $ends ]]
	}
	bed_wait 120 passed
}
asked() {
	jq -r --arg user "agent-$1" --arg since "$since" 'select(.user.username == $user and .stageTimestamp > $since) |
		"\(.verb) \(.objectRef.resource)"' "$bed/log/audit.json" >"$work/asked"
	sort "$work/asked" | uniq -c | sort -rn >"$work/asked.$1"
	wc -l <"$work/asked"
}

t 'two agents of a cluster with nothing in it, and how much they ask'
k apply -f - >/dev/null <<-'YAML'
	apiVersion: aksdr.io/v1alpha1
	kind: BackupPolicy
	metadata: {name: all, namespace: aksdr}
	spec: {selector: {}, schedule: {cron: '0 0 1 1 *'}, paused: true}
YAML
start node1
ok bed_wait 60 answers node1 /metrics '^aksdr_agent_leader 1'
start node2
ok bed_wait 60 answers node2 /readyz '^ok'
ok minute
empty1=$(asked node1) empty2=$(asked node2)
echo "   leader $empty1, other $empty2 requests a minute; $(rss_kib node1) and $(rss_kib node2) KiB"
ok [ "$empty1" -gt 0 ]

t "$((namespaces * claims)) claims and $((namespaces * pods)) pods are seen"
objects >"$work/objects"
ok post <"$work/objects"
count() { k get "$1" -A -o name | wc -l; }
ok [ "$(count pvc)" -eq $((namespaces * claims)) ]
ok [ "$(count pods)" -eq $((namespaces * pods)) ]
selected() { [ "$(k -n aksdr get bp all -o 'jsonpath={.status.selected}')" = $((namespaces * claims)) ]; }
ok bed_wait 120 selected

t 'they ask no more of the server than before'
ticks1=$(ticks node1) ticks2=$(ticks node2)
ok minute
echo "   CPU of a minute: leader $(($(ticks node1) - ticks1))0 ms, other $(($(ticks node2) - ticks2))0 ms"
full1=$(asked node1) full2=$(asked node2)
echo "   leader $full1, other $full2 requests a minute"
sed 's/^/   /' "$work/asked.node1"
ok [ "$full1" -le $((empty1 + 12)) ]
ok [ "$full2" -le $((empty2 + 12)) ]

t 'an agent that has nothing to do needs at most 64 MiB'
echo "   leader $(rss_kib node1), other $(rss_kib node2) KiB"
ok [ "$(rss_kib node1)" -le 65536 ]
ok [ "$(rss_kib node2)" -le 65536 ]

t 'where nothing happens nothing is taken for lost'
for node in node1 node2; do ok not grep 'is not seen as it is' "$work/$node.log"; done

finish
