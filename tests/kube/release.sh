#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A release of the chart in a cluster, with the image that `make image` makes and a store behind TLS: it
# is installed, tested, changed, upgraded and uninstalled; nothing stays that docs/INSTALL.md does not name.
#
# timeout: 1200
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"

# everything: all that can be listed, but for what comes and goes by itself
everything() {
	local kinds
	kinds=$(k api-resources --verbs=list -o name |
		grep -vE '^(events|leases|endpoints|endpointslices|nodes|csinodes)' | paste -sd,)
	k get "$kinds" -A -o json |
		jq -r '.items[] | [.kind, .metadata.namespace // "-", .metadata.name] | join(" ")' |
		grep -vE '^(Event|ReplicaSet|ControllerRevision) ' | sort
}
release_up
bed_claim data 64Mi
bed_pod app data=/data
bed_in app sh -c 'echo content >/data/file && sync'
everything >"$work/before"

echo 'maintenance: {schedule: "0 0 1 1 *"}' >>"$values"
echo 'verification: {schedule: "0 0 1 1 *"}' >>"$values"

t 'one command installs it, with policies although their kind is new'
begun=$(date +%s%N)
run 0 release install aksdr "$chart" --values "$values" --wait --timeout 120s
out 'kubectl -n aksdr rollout status daemonset/aksdr-agent'
ready() { [ "$(k -n aksdr get daemonset aksdr-agent -o 'jsonpath={.status.numberReady}')" = 2 ]; }
ok bed_wait 60 ready
run 0 k -n aksdr get bp minutely

t 'and within a minute or so there is a restore point, which comes back exactly'
there() { release_points | jq -e '.items | length > 0'; }
ok bed_wait 180 there
echo "from helm install to the first restore point: $((($(date +%s%N) - begun) / 1000000)) ms"
run 0 release_points
name=$(jq -r '.items[0].volume' "$work/.out")
run 0 "$restore" volume --store "$azurite_url" --key "$keys/recovery.key" --quiet "$name" \
	--target "$work/out"
ok test "$(cat "$work/out/file")" = content

t 'the release tests itself'
run 0 release test aksdr --timeout 120s
ok not k -n aksdr get pod aksdr-doctor

t 'metrics and probes are there for who may read them'
address=$(k -n aksdr get pods -l app.kubernetes.io/component=agent -o jsonpath='{.items[0].status.podIP}')
run 0 curl -sS --noproxy '*' "http://$address:9760/readyz"
run 0 curl -sS --noproxy '*' "http://$address:9760/metrics"
out '^aksdr_store_requests_total\{operation="list"\} [1-9]'
out '^aksdr_store_received_bytes_total\{operation="get"\} [1-9]'

t 'a collection runs by an account of its own'
run 0 k -n aksdr create job --from=cronjob/aksdr-maintenance collection
ok k -n aksdr wait --for=condition=Complete job/collection --timeout=60s
run 0 k -n aksdr logs job/collection
run 0 k -n aksdr delete job collection

t 'what is in the store is read back by another one, and what came of it is in every catalog'
run 0 k -n aksdr create job --from=cronjob/aksdr-verification readback
ok k -n aksdr wait --for=condition=Complete job/readback --timeout=60s
run 0 k -n aksdr logs job/readback
run 0 k -n aksdr delete job readback
run 0 "$BIN/aksdr-catalog" sync --store "$azurite_url" --key "$keys/audit.key" --quiet
run 0 "$BIN/aksdr-catalog" list checks --key "$keys/audit.key" --output json
ok test "$(jq -c '.items | map([.level, .problems])' "$work/.out")" = '[[3,0]]'

t 'what the agent lacks is named by the test, and its pod stays to be read'
# A run that loses its rights in the middle would leave things for a sweep, which takes a quarter of an hour.
made() { k get pods,pvc,volumesnapshots -A -o name -l app.kubernetes.io/managed-by=aksdr; }
idle() { [ -z "$(made)" ]; }
run 0 k annotate pvc data aksdr.io/paused=true
ok bed_wait 150 idle
k get clusterrole aksdr-agent-aksdr -o json >"$work/role.json"
jq '.rules |= map(select(.resources != ["volumesnapshotcontents"]))' "$work/role.json" >"$work/less.json"
run 0 k replace -f "$work/less.json"
run 1 release test aksdr --timeout 120s
run 0 k -n aksdr logs aksdr-doctor
out 'FAILED +may not create'
out 'volumesnapshotcontents\.snapshot\.storage\.k8s\.io in'
run 0 k -n aksdr delete pod aksdr-doctor

t 'an upgrade with other values: agents are replaced, rights are given back'
run 0 release upgrade aksdr "$chart" --values "$values" --set agent.concurrency=3 --set page.enabled=true \
	--set page.audience=aksdr-page --wait --timeout 180s
run 0 k -n aksdr get pods -l app.kubernetes.io/component=agent -o jsonpath='{.items[*].spec.containers[0].args}'
ok test "$(grep -o -- '--concurrency=3' "$work/.out" | wc -l)" -eq 2
run 0 release test aksdr --timeout 120s
run 0 k annotate pvc data aksdr.io/paused-

t 'the page of the agent that leads is reached through a port-forward, by who has the two roles that the chart makes'
k -n aksdr create serviceaccount auditor >/dev/null
bed_kubeconfig "$bed/auditor.kubeconfig" "token: $(k -n aksdr create token auditor)"
echo "Authorization: Bearer $(k -n aksdr create token auditor --audience=aksdr-page)" >auditor.header
auditor() { KUBECONFIG=$bed/auditor.kubeconfig "$bed_programs/kubectl" -n aksdr "$@"; }
# page CODE: what the leader's pod answers
page() {
	local pod forward code
	pod=$(auditor get lease aksdr-leader -o jsonpath='{.spec.holderIdentity}') || return 1
	auditor port-forward "pod/$pod" 19764:9764 >forward.log 2>&1 &
	forward=$!
	bed_wait 10 grep -q 'Forwarding from' forward.log
	code=$(curl --silent --noproxy '*' --max-time 60 --header @auditor.header --output page.html \
		--write-out '%{http_code}' http://localhost:19764/)
	kill $forward && wait $forward
	[ "$code" = "$1" ] || { echo "   $code: $(cat forward.log) $(head -c 300 page.html)" && false; }
}
ok not page 200
k -n aksdr create rolebinding auditor --role=aksdr-page-reader --serviceaccount=aksdr:auditor >/dev/null
ok bed_wait 120 page 403
k create clusterrolebinding auditor --clusterrole=aksdr-page-reader --serviceaccount=aksdr:auditor >/dev/null
seen() { page 200 && grep -q '1 volume; the worst is bed/default/data' page.html; }
ok bed_wait 120 seen
k delete clusterrolebinding auditor >/dev/null
k -n aksdr delete rolebinding/auditor serviceaccount/auditor >/dev/null

t 'a secondary ends what is going on and begins nothing; then nothing is left but what is said to stay'
run 0 release upgrade aksdr "$chart" --values "$values" --set role=secondary --wait --timeout 180s
ok bed_wait 150 idle
# `--wait` is content with one of two; a process that has hardly begun does not see a signal yet.
ok bed_wait 60 ready
run 0 release uninstall aksdr --wait --timeout 120s
# The kinds of the chart stay (docs/INSTALL.md), and the API group that they make.
kinds=$(find "$chart/crds" -name '*.yaml' | sed 's,.*/\(.*\)\.yaml$,> CustomResourceDefinition - \1,')
gone() {
	everything >"$work/after"
	diff "$work/before" "$work/after" | grep '^[<>]' | grep -vxF "$kinds" |
		grep -vxF '> APIService - v1alpha1.aksdr.io' >"$work/left"
	[ ! -s "$work/left" ]
}
bed_wait 150 gone || cat "$work/left"
ok gone

finish
