#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The chart's other profiles in a cluster that enforces the level of Pod Security which each is for:
# `automatic`, whose movers read what their user may, and `privileged`, whose agents read at the node.
#
# timeout: 1500
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"

release_up --file
bed_claim data 64Mi
bed_claim share 64Mi file
bed_pod app --node 1 data=/data share=/share
bed_in app sh -c 'mkdir /data/own && echo own >/data/own/file && chown -R 1000:2000 /data/own &&
	echo root >/data/root && chmod 600 /data/root && echo shared >/share/file && chmod 755 /data && sync'

level() {
	k label --overwrite namespace aksdr "pod-security.kubernetes.io/enforce=$1" \
		"pod-security.kubernetes.io/warn=$1" >/dev/null
}
# newest CLAIM AFTER: its newest point of a later time, as JSON
newest() {
	release_points 2>/dev/null | jq -ce --arg name "$1" --arg after "$2" '[.items[] |
		select(.volume == $name and .frozen > $after)] | select(length > 0) | max_by(.sequence)'
}
# back CLAIM: its newest point in $work/back
back() {
	rm -rf "$work/back"
	run "${2:-0}" "$restore" volume --store "$azurite_url" --key "$keys/recovery.key" --quiet "$1" \
		--target "$work/back"
}
# ends: the release goes, and nothing that it made is left
ends() {
	run 0 release upgrade aksdr "$chart" --values "$values" --set "$1,role=secondary" --wait --timeout 180s
	nothing() { [ -z "$(k get pods,pvc,volumesnapshots -A -o name -l app.kubernetes.io/managed-by=aksdr)" ]; }
	ok bed_wait 150 nothing
	run 0 release uninstall aksdr --wait --timeout 120s
}

t 'automatic: where only what is restricted is let in, movers read what their user may'
level restricted
run 0 release install aksdr "$chart" --values "$values" \
	--set profile=automatic,mover.runAsUser=1000,mover.runAsGroup=2000 --wait --timeout 120s
ok not grep -i 'would violate' "$work/.err"
ok bed_wait 240 newest data ''
ok [ "$(newest data '' | jq .unreadable)" -ge 1 ]
back data '0|3'
ok [ "$(cat "$work/back/own/file")" = own ]
ok [ ! -s "$work/back/root" ]
run 0 release test aksdr --timeout 120s
partial() { k get events -o json | jq -e '.items[] | select(.reason == "BackupPartial")'; }
ok bed_wait 60 partial
ends profile=automatic,mover.runAsUser=1000,mover.runAsGroup=2000

t 'privileged: agents read all at the node, what has no snapshots, too'
level privileged
since=$(date -u +%FT%TZ)
run 0 release install aksdr "$chart" --values "$values" --set profile=privileged --wait --timeout 120s
ok bed_wait 240 newest data "$since"
ok [ "$(newest data "$since" | jq .unreadable)" = 0 ]
ok bed_wait 240 newest share "$since"
ok [ "$(newest share "$since" | jq -r .consistency)" = fuzzy ]
back data
ok [ "$(cat "$work/back/root")" = root ]
back share
ok [ "$(cat "$work/back/file")" = shared ]
# By pods that only hold a view, where it is in use.
held() { k -n aksdr get pods -o json | jq -e '.items[] | select(.metadata.labels["aksdr.io/role"] != null) |
	select([.spec.containers[].args[]?, .spec.containers[].command[]?] | index("hold"))'; }
ok bed_wait 120 held
run 0 release test aksdr --timeout 120s
ends profile=privileged

finish
