#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The resources in helm/aksdr/crds by a real API server: what it takes and refuses is what the agent
# takes and refuses, by the same field. tests/unit/agent/test_policy.c has the agent's side.
#
# timeout: 300
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"

src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
crds=$src/helm/aksdr/crds
examples=$src/helm/aksdr/examples

bed_up --no-nodes

t 'all resources are established, with short names and a category'
run 0 k apply -f "$crds"
run 0 k wait --for=condition=Established --timeout=30s crd/backuppolicies.aksdr.io crd/restoreplans.aksdr.io \
	crd/volumerestores.aksdr.io
run 0 k get crd backuppolicies.aksdr.io restoreplans.aksdr.io volumerestores.aksdr.io -o \
	jsonpath='{range .items[*].status.conditions[*]}{.type}={.status} {.message}{"\n"}{end}'
out 'Established=True'
# shellcheck disable=SC2016 # for eval
ok eval '! grep -q NonStructuralSchema=True "$work/.out"'
run 0 k api-resources --api-group aksdr.io
out 'backuppolicies +bp,bpol +aksdr.io/v1alpha1 +true +BackupPolicy'
out 'restoreplans +rp,rplan +aksdr.io/v1alpha1 +true +RestorePlan'
out 'volumerestores +vr +aksdr.io/v1alpha1 +true +VolumeRestore'

t 'every field is explained'
run 0 k explain backuppolicy.spec.schedule.timeZone
out 'IANA'
run 0 k explain restoreplan --recursive
# undescribed: the fields without a description, but for metadata and items of lists
undescribed() {
	k get crd -o json | jq -r '.items[].spec.versions[].schema.openAPIV3Schema.properties | .spec, .status
		| .. | objects | .properties? | objects | to_entries[] | select(.value.description | not) | .key'
}
ok test -z "$(undescribed)"

# apply FILE: without leaving anything
apply() {
	k create --dry-run=server --validate=strict -f "$1"
}

# documents FILE DIR: each into a file of its own, by number
documents() {
	mkdir -p "$2"
	awk -v dir="$2" '/^---/ { n++; next } !/^#/ { print > sprintf("%s/%03d.yaml", dir, n) }' "$1"
}

t 'what is allowed at the edge is taken'
for namespace in aksdr shop; do run 0 k create namespace $namespace; done
run 0 apply "$src/tests/kube/policies-good.yaml"
run 0 apply "$examples/policies.yaml"
run 0 apply "$examples/plans.yaml"

t 'a mistake is refused by its field, and what only the agent sees is taken'
documents "$src/tests/kube/policies-bad.yaml" "$work/bad"
count=0
for file in "$work"/bad/*.yaml; do
	notes=$(sed -n 's/^  annotations: {field: "\(.*\)", by: \(.*\)}$/\1 \2/p' "$file")
	count=$((count + 1))
	if [ "${notes#* }" = agent ]; then
		run 0 apply "$file"
	else
		run 1 apply "$file"
		err "$(sed 's/[].[]/\\&/g' <<<"${notes% *}")"
	fi
done
ok test "$count" -eq 69

t 'an unknown field is refused by kubectl as it is used'
documents "$examples/policies.yaml" "$work/good"
sed 's/^  rpo: /  rto: /' "$work/good/000.yaml" >"$work/unknown.yaml"
run 1 k apply -f "$work/unknown.yaml"
err 'unknown field "spec.rto"'

t 'the columns say how it stands'
run 0 k create -f "$work/good/000.yaml"
run 0 k -n aksdr patch bp default --subresource=status --type=merge -p '{"status": {"selected": 12,
	"protected": 11, "exposed": 1, "lastRun": "2026-11-27T01:10:00Z", "nextRun": "2026-11-28T01:00:00Z",
	"conditions": [{"type": "Ready", "status": "True", "reason": "Valid", "message": "it can be used",
	"lastTransitionTime": "2026-11-27T01:00:00Z"}]}}'
run 0 k -n aksdr get aksdr
out 'NAME +SCHEDULE +PROTECTED +EXPOSED +LAST RUN +NEXT RUN +READY +AGE'
out 'default +0 2 \* \* \* +11 +1 +[^ ]+ +2026-11-28T01:00:00Z +True'

t 'the status is no part of the spec: a change of either leaves the other'
run 0 k -n aksdr patch bp default --type=merge -p '{"spec": {"paused": true}, "status": {"exposed": 9}}'
run 0 k -n aksdr get bp default -o jsonpath='{.spec.paused} {.status.exposed} {.metadata.generation}'
out '^true 1 2$'

t 'plans with mistakes are refused'
documents "$examples/plans.yaml" "$work/plans"
plan=$work/plans/000.yaml
# wrong SED FIELD
wrong() {
	sed "$1" "$plan" >"$work/plan.yaml"
	cmp -s "$plan" "$work/plan.yaml" && ok false
	run 1 apply "$work/plan.yaml"
	err "$2"
}
wrong 's,hot/cold,cold,' 'spec\.mode'
wrong 's,hot/cold,hot/hot,; /secondary:/d' 'spec\.secondary'
wrong 's,shop-ne,shop-we,' 'spec\.secondary\.cluster'
wrong 's,westeurope-2,westeurope-1,' 'spec\.mappings\.zones\[1\]'
wrong 's,least: 4Gi,least: 4GB,' 'spec\.mappings\.sizes\[1\]\.least'
wrong 's,least: 4Gi,volumes: [a],' 'spec\.mappings\.sizes\[1\]'
wrong 's,kind: approval,kind: command,' 'spec\.stages\[1\]\.gates\[0\]\.command'
wrong '/pod: {namespace/d' 'spec\.stages\[1\]\.gates\[1\]\.pod'
wrong 's,kind: approval,kind: job,' 'spec\.stages\[1\]\.gates\[0\]\.job'
wrong 's,kind: http,kind: approval,' 'spec\.stages\[1\]\.hooks\[0\]\.http'
wrong 's#"https:#"http:#' 'spec\.stages\[1\]\.hooks\[0\]\.http\.url'
wrong 's,name: shop-answers,name: database-is-up,' 'spec\.stages\[1\]\.hooks'
wrong 's,name: rest,name: database,' 'spec\.stages\[1\]'
wrong 's,rto: 4h,rto: 4hours,' 'spec\.rto'
wrong 's,0 5 \* \* sun,0 5 * *,' 'spec\.drill\.cron'

t 'a VolumeRestore names a volume and a point, and does not change'
restore_of() {
	printf '%s\n' 'apiVersion: aksdr.io/v1alpha1' 'kind: VolumeRestore' \
		'metadata: {name: before, namespace: shop}' "spec: {$1}" >"$work/restore.yaml"
	k apply -f "$work/restore.yaml"
}
run 0 restore_of 'volume: shop-we/shop/orders, point: latest, geoDurable: true'
run 0 k get vr -n shop
out 'NAME +VOLUME +POINT +AGE'
out 'before +shop-we/shop/orders +latest'
run 1 restore_of 'volume: shop-we/shop/orders, point: 00c0ffee'
err 'cannot be changed: make another one'
run 0 k delete vr before -n shop
for point in 00c0ffee "'2026-11-22T10:00:00Z'"; do
	run 0 restore_of "volume: shop-we/shop/orders, point: $point"
	run 0 k delete vr before -n shop
done
run 1 restore_of 'point: latest'
err 'spec\.volume'
run 1 restore_of 'volume: shop/orders'
err 'spec\.volume'
run 1 restore_of 'volume: a/b/c, point: newest'
err 'spec\.point'

finish
