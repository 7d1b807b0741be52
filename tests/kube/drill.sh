#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A plan is tried in a real cluster: restored into namespaces that nothing leaves, read back, checked by a
# command in a pod, and taken away again, whatever happens: also when whoever does it is killed. A pack
# that is damaged is found.
#
# timeout: 1200
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

bed_up 1
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"
restore_template "$work/restore.yaml"

plan=$work/plan.yaml
cat >"$plan" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop}
	spec:
	  mode: hot/cold
	  primary: {cluster: we}
	  selector: {namespaces: [default]}
	  rpo: 1h
	  rto: 1h
	  drill:
	    cron: "0 5 * * *"
	    check:
	      image: bed.test/busybox:1
	      command: [sh, -c, "grep -q first /volumes/files/a && [ -b /dev/volumes/raw ]"]
	      timeout: 1m
YAML
# tool STATUS VERB...
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery run "$wanted" "$restore" "$@"
}
drill() {
	local wanted=$1
	shift
	tool "$wanted" drill "$plan" --mover-template "$work/restore.yaml" --output json "$@"
}
# left: what drills have in the cluster, besides the journal
left() {
	k get namespaces -o name | grep drill-
	k -n aksdr get pvc,pods,secrets -o name
	k get pv -o json | jq -r '.items[] | select(.spec.claimRef.namespace != "default") | .metadata.name'
}
nothing_left() { [ -z "$(left)" ]; }

bed_claim files 64Mi
bed_claim raw 64Mi disk Block
bed_pod one files=/files raw=/dev/disk
bed_in one sh -c 'echo first >/files/a && head -c 20000000 /dev/urandom >/files/noise && sync &&
	head -c 5000000 /dev/urandom | dd of=/dev/disk conv=fsync 2>/dev/null'
agent_backup 0 --cluster we pvc:default/files pvc:default/raw

t 'a drill that passes, with its report as a page, and nothing is left'
drill 0 --html "$work/report.html"
ok [ "$(jq -r '.passed' "$work/.out")" = true ]
ok [ "$(jq '.volumes | length' "$work/.out")" = 2 ]
ok grep -q '<html' "$work/report.html"
ok bed_wait 90 nothing_left
tool 0 drills --output json
ok [ "$(jq -r '.items[0].passed' "$work/.out")" = true ]
# What was tried is not what is used.
ok [ "$(bed_in one cat /files/a)" = first ]

t 'a check that fails is a drill that has not passed'
sed 's/grep -q first/grep -q other/' "$plan" >"$work/other.yaml"
plan=$work/other.yaml drill 3
ok [ "$(jq -r '.passed' "$work/.out")" = false ]
ok bed_wait 90 nothing_left

t 'one that is killed leaves what the next one takes away'
KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery "$restore" drill "$plan" --mover-template "$work/restore.yaml" \
	--quiet >"$work/.background" 2>&1 &
pid=$!
moving() { [ -n "$(k -n aksdr get pods -o name)" ]; }
ok bed_wait 60 moving
kill -KILL $pid
wait $pid 2>/dev/null
ok not nothing_left
again() { drill '0|6' && [ "$status" -eq 0 ]; } # the dead one's Lease is waited for
ok bed_wait 120 again
ok bed_wait 90 nothing_left

t 'a damaged pack is found, and said loudly'
pack=$(find "$store_dir/pack" -type f -size +1M | sort | head -n 1)
printf 'damage' | dd of="$pack" bs=1 seek=500000 conv=notrunc 2>/dev/null
drill 5
ok [ "$(jq -r '.passed' "$work/.out")" = false ]
ok bed_wait 90 nothing_left
tool 0 drills --output json
ok [ "$(jq '[.items[] | select(.passed | not)] | length' "$work/.out")" = 3 ] # with the one that was killed

t 'an auditor sees all of it in the catalog'
tool 0 drills --output json
jq -r '.items[] | select(.passed).run' "$work/.out" | sort >"$work/passed"
AKSDR_KEY=$audit run 0 "$catalog" sync --quiet
AKSDR_KEY=$audit run 0 "$catalog" query --output csv "SELECT run FROM v_drills WHERE verdict = 'passed' ORDER BY run"
ok diff "$work/passed" <(tail -n +2 "$work/.out" | tr -d '\r')
AKSDR_KEY=$audit run 0 "$catalog" query --output csv \
	"SELECT verdict, count(*) FROM v_drills WHERE verdict <> 'passed' GROUP BY 1 ORDER BY 1"
out '^damaged,1'
out '^failed,'

finish
