#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Gates and hooks of a plan with a real API server: approvals by both ways, Jobs, answers. Commands in pods need nodes;
# tests/kube/exec.sh has them.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --no-nodes
export KUBECONFIG=$bed/admin.kubeconfig
run=0123456789abcdef0123456789abcdef
gate() { "$BIN/tests/kube/preflight" gate "$work/plan.yaml" "$@"; }
opened() { grep -qx "open $1" "$work/gate.out"; }

k create namespace aksdr >/dev/null && k create namespace shop >/dev/null &&
	k apply -f "${SRC:-$bed_here/../..}/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established --timeout=30s crd/restoreplans.aksdr.io >/dev/null || exit 1
cat >"$work/plan.yaml" <<-'YAML'
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop, namespace: aksdr}
	spec:
	  mode: hot/cold
	  primary: {cluster: a}
	  selector: {}
	  stages:
	    - name: rest
	      selector: {}
	      gates:
	        - {name: first, kind: approval}
	        - {name: second, kind: approval, timeout: 1m}
	        - {name: migrated, kind: job, job: {namespace: shop, name: migrate}}
	      hooks:
	        - {name: last, kind: approval}
	    - name: late
	      selector: {}
	      gates: [{name: never, kind: approval, timeout: 1s}]
	    - name: bad
	      selector: {}
	      gates: [{name: failed, kind: job, job: {namespace: shop, name: failed}}]
YAML

t 'a gate that is not approved in time is told, with what opens it'
run 1 gate $run late
err "busy: the gate 'late/never' was not open within 1s: .*aksdr-restore approve 01234567 late/never"

t 'gates open one after the other, by what is said and by what is done'
gate $run rest >"$work/gate.out" 2>"$work/gate.err" &
waiting=$!
run 0 "$restore" approve 99999999 rest/first
run 0 "$restore" approve 01234567 rest/second
ok [ ! -s "$work/gate.out" ]
run 0 "$restore" approve 0123456789 rest/first
ok bed_wait 30 opened rest/second
ok [ "$(head -n 1 "$work/gate.out")" = 'open rest/first' ]
job() {
	k create -f - >/dev/null <<-YAML
		apiVersion: batch/v1
		kind: Job
		metadata: {name: $1, namespace: shop}
		spec:
		  template:
		    spec:
		      restartPolicy: Never
		      containers: [{name: main, image: none}]
	YAML
}
ok job migrate
ok eval '! opened rest/migrated'
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
# What the controller says, in the order that the server wants.
ended() {
	k patch job "$1" -n shop --subresource=status --type=merge -p "{\"status\": {\"startTime\": \"$now\",
		\"completionTime\": ${3}, \"conditions\": [{\"type\": \"$2\", \"status\": \"True\",
		\"lastTransitionTime\": \"$now\"}, {\"type\": \"$4\", \"status\": \"True\", \"message\": \"so it is\",
		\"lastTransitionTime\": \"$now\"}]}}"
}
run 0 ended migrate SuccessCriteriaMet "\"$now\"" Complete
ok bed_wait 30 opened rest/migrated

t 'the hook is approved by an annotation of the plan, which names the run'
run 0 k apply -f "$work/plan.yaml"
run 0 k annotate restoreplan shop -n aksdr aksdr.io/approve=99999999/rest/last
run 0 k annotate --overwrite restoreplan shop -n aksdr aksdr.io/approve=99999999/rest/last,01234567/rest/last
ok wait $waiting
ok opened rest/last
ok grep -q 'waiting at a gate' "$work/gate.err"

t 'a Job that has failed ends it'
ok job failed
run 0 ended failed FailureTarget null Failed
run 1 gate $run bad
err "io: the gate 'bad/failed': the Job 'failed' has failed: so it is"

t 'who may not look is told'
bed_user weak
KUBECONFIG=$bed/weak.kubeconfig run 1 gate $run bad
err 'denied: .*forbidden'
KUBECONFIG=$bed/weak.kubeconfig run 1 "$restore" approve 01234567 rest/last
err 'forbidden'
run 2 "$restore" approve 0123 rest/last
err 'is no run'

finish
