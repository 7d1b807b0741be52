#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is wrong with a release of the chart is told where one looks: in the events of pods and claims,
# and in the policy's conditions, each in a sentence that says what to do.
#
# timeout: 1500
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"

release_up --audit
bed_claim data 64Mi
bed_pod app --node 1 data=/data
bed_in app sh -c 'echo content >/data/file && sync'

# told REASON PATTERN: there is such an event, of pods or claims
told() {
	k get events -A -o json | jq -r --arg reason "$1" '.items[] | select(.reason == $reason) | .message' |
		grep -E "$2"
}
protected() {
	k -n aksdr get bp minutely -o json |
		jq -r '.status.conditions[]? | select(.type == "Protected") | "\(.status) \(.message)"'
}
exposed() { protected | grep -E "False .*$1"; }
ends() { run 0 release uninstall aksdr --wait --timeout 60s; }

t 'a key that is not there: the pods wait, and say for what'
run 1 release install aksdr "$chart" --values "$values" --set key.secret=none --wait --timeout 15s
ok bed_wait 30 told FailedMount 'secret "none" not found'
ends

t 'a key that is none: an event of the pod'
echo garbage >"$work/agent.key"
k -n aksdr create secret generic bad --from-file="$work/agent.key" >/dev/null
run 1 release install aksdr "$chart" --values "$values" --set key.secret=bad --wait --timeout 15s
ok bed_wait 60 told AgentFailed 'key'
told AgentFailed . | head -n 1 | sed 's/^/   /'
ends

t 'the key of another repository: the same'
"$agent" init --store "${azurite_url/data?/data/other?}" --keys "$work/other" --quiet
k -n aksdr create secret generic other --from-file="$work/other/agent.key" >/dev/null
run 1 release install aksdr "$chart" --values "$values" --set key.secret=other --wait --timeout 15s
ok bed_wait 120 told AgentFailed 'the key is of another repository'
ends

t 'a container that is not there: the claim says so, and the pods are not ready'
in_pods=${azurite_url//127.0.0.1/$bed_host}
in_pods=${in_pods%&ca=*}
run 0 release install aksdr "$chart" --values "$values" --set-string "store.url=${in_pods/data?/none?}"
ok bed_wait 180 told BackupFailed "the account has no container 'none'; create it"
ok bed_wait 60 exposed "no container 'none'"
ok [ "$(k -n aksdr get daemonset aksdr-agent -o 'jsonpath={.status.numberReady}')" = 0 ]
ends

t 'a class of snapshots that is not there: a fuzzy point, whose event names the class'
sed -i 's|spec: {selector|spec: {snapshot: {class: none}, selector|' "$values"
run 0 release install aksdr "$chart" --values "$values" --wait --timeout 120s
ok bed_wait 240 told BackupFuzzy "none"
told BackupFuzzy . | head -n 1 | sed 's/^/   /'

t 'a claim that waits for its first pod has no points, and the policy says why'
k apply -f - >/dev/null <<-YAML
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: nobody}
	provisioner: nobody.bed.test
YAML
bed_claim waiting 64Mi nobody
ok bed_wait 120 exposed 'waiting'
protected | sed 's/^/   /'
ends

finish
