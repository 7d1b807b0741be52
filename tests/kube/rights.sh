#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The rights of the chart against what the agents really asked for, by the server's own record: backups
# of volumes with and without snapshots, status, events, and what is cleaned up. No right is given that
# is not used, none is asked for that is not given, and without any of them somebody says which.
#
# timeout: 1800
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"

account=system:serviceaccount:aksdr:aksdr-agent

release_up --audit --file
bed_claim data 64Mi
bed_claim share 64Mi file
bed_pod app data=/data share=/share
bed_in app sh -c 'echo content | tee /data/file >/share/file && sync'

# given: "VERB GROUP/RESOURCE", of ClusterRole and Role
given() {
	k get clusterrole/aksdr-agent-aksdr -o json >"$work/roles.json"
	k -n aksdr get role/aksdr-agent -o json >>"$work/roles.json"
	jq -r '.rules[] | .apiGroups[] as $g | .resources[] as $r | .verbs[] | "\(.) \($g)/\($r)"' "$work/roles.json" |
		sort -u
}
# used: the same by the record; reviews and discovery are everybody's
used() {
	jq -r --arg user "$account" 'select(.user.username == $user and .objectRef and
		.responseStatus.code != 403) | [.verb, (.objectRef.apiGroup // "") + "/" + .objectRef.resource +
			((.objectRef.subresource | values | "/" + .) // "")] | join(" ")' "$bed/log/audit.json" |
		grep -v 'selfsubjectaccessreviews' | sort -u
}
refused() {
	jq -r --arg user "$account" 'select(.user.username == $user and .responseStatus.code == 403) |
		[.verb, .requestURI] | join(" ")' "$bed/log/audit.json" | sort -u
}

t 'agents back up both, and the sweep and the test of the release run'
run 0 release install aksdr "$chart" --values "$values" --wait --timeout 120s
both() { release_points | jq -e '[.items[].volume] | unique | length == 2'; }
ok bed_wait 240 both
# What is skipped is told as one event, which counts.
k annotate pvc share aksdr.io/paused=true >/dev/null
run 0 release test aksdr --timeout 120s

t 'no right is given that is not used'
# Of these only clusters with managed disks of Azure have a use, and drivers whose classes keep what was made.
elsewhere='^patch snapshot.storage.k8s.io/volumesnapshots$|^patch /persistentvolumes$'
given | grep -vE "$elsewhere" >"$work/given"
unused() { used >"$work/used" && [ -z "$(comm -23 "$work/given" "$work/used")" ]; }
ok bed_wait 480 unused
ok test -z "$(comm -23 "$work/given" "$work/used")"
comm -23 "$work/given" "$work/used" | sed 's/^/   not used: /'

t 'and none is asked for that is not given'
ok test -z "$(refused)"
refused | sed 's/^/   refused: /'

t 'without any one of them the doctor says which verb of what is missing'
bed_kubeconfig "$work/kubeconfig" "token: $(k -n aksdr create token aksdr-agent)"
sed -i 's/user: bed}}/user: bed, namespace: aksdr}}/' "$work/kubeconfig"
mkdir "$work/probe"
asks() {
	KUBECONFIG=$work/kubeconfig run "$1" "$agent" doctor --cluster --quick --store "file://$work/probe"
	cp "$work/.out" "$work/said"
}
asks 0
out 'all [0-9]+ are given'
# without ROLE RULE VERB...: the role as it is, but for one verb of a rule
without() {
	local verb=${3% *} what=${3#* }
	jq --argjson rule "$2" --arg verb "$verb" \
		'.rules[$rule].verbs -= [$verb] | .rules |= map(select(.verbs != []))' \
		"$work/$1.json" | k replace -f - >/dev/null
	asks 1
	# Lines are broken between words.
	run 0 paste -sd' ' "$work/said"
	out "FAILED +may not $verb +$what +in +the"
}
count=0
for role in clusterrole/aksdr-agent-aksdr role/aksdr-agent; do
	kind=${role%/*}
	k -n aksdr get "$role" -o json | jq 'del(.metadata.resourceVersion)' >"$work/$kind.json"
	while read -r rule right; do
		without "$kind" "$rule" "$right"
		count=$((count + 1))
	done < <(jq -r '.rules | to_entries[] | .key as $n | .value | .apiGroups[0] as $g | .resources[0] as $r |
		.verbs[] | "\($n) \(.) \($r)\(if $g == "" then "" else "." + $g end)"' "$work/$kind.json")
	k replace -f "$work/$kind.json" >/dev/null
done
ok test "$count" -gt 30
asks 0

finish
