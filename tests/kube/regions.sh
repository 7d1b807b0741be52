#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two clusters with the chart, as somebody would install it, and one store behind TLS. The first one writes with a
# database's habit (each line is on the disk before it is acknowledged), is backed up every minute, and is switched off
# in the middle of that. What is typed in docs/FAILOVER.md brings the second one up: what was acknowledged before the
# restored moment is all there, the interval of what is lost is the one that was told, and whoever routes traffic is
# told so only when it is done, and within a second.
#
# timeout: 1200
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"
# Pods of each cluster know the store by an address of their own.
servers_names=IP:10.90.1.254,IP:10.90.2.254

# release_values CLUSTER ROLE: the values of the cluster that bed_use has named
release_values() {
	local in_pods=${azurite_url//127.0.0.1/$bed_host}
	cat <<-YAML
		cluster: $1
		role: $2
		image: {pullPolicy: Never}
		store: {url: "${in_pods%&ca=*}", secret: aksdr-store, caConfigMap: authority}
		key: {secret: aksdr-key}
		agent: {logLevel: debug}
		serve:
		  enabled: true
		  replicas: 1
		  keySecret: aksdr-audit
		  plans: [{name: shop, primary: we, namespaces: [default]}]
	YAML
}
audit_key() { k -n aksdr create secret generic aksdr-audit --from-file="$keys/audit.key" >/dev/null; }

release_up
audit_key
release_values we primary >"$work/we.yaml"
cat >>"$work/we.yaml" <<-YAML
	policies:
	  - name: minutely
	    spec: {selector: {namespaces: [default]}, schedule: {cron: "* * * * *"}}
YAML
release install aksdr "$chart" --values "$work/we.yaml" --wait --timeout 120s >"$work/.install" ||
	bed_fail "$(cat "$work/.install")"

bed_up --region 2 1
bed_busybox
bed_image "$(echo "$work"/image/*.oci.tar)"
k create namespace aksdr >/dev/null &&
	k label namespace aksdr pod-security.kubernetes.io/enforce=baseline >/dev/null &&
	k -n aksdr create secret generic aksdr-key --from-file="$keys/agent.key" >/dev/null &&
	k -n aksdr create secret generic aksdr-store --from-literal="AZURE_STORAGE_KEY=$AZURE_STORAGE_KEY" >/dev/null &&
	k -n aksdr create configmap authority --from-file=ca.crt="$servers_ca" >/dev/null && audit_key ||
	bed_fail 'preparing the second cluster failed'
release_values ne secondary >"$work/ne.yaml"
release install aksdr "$chart" --values "$work/ne.yaml" --wait --timeout 120s >"$work/.install" ||
	bed_fail "$(cat "$work/.install")"
serving() { k -n aksdr get pods -l app.kubernetes.io/component=serve -o jsonpath='{.items[0].status.podIP}'; }
traffic=http://$(serving):9761/traffic/shop
answer() { curl -s --noproxy '*' -o "$work/.answer" -w '%{http_code}' "$traffic"; }

plan=$work/shop.yaml
cat >"$plan" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop, namespace: aksdr}
	spec:
	  mode: hot/cold
	  primary: {cluster: we}
	  secondary: {cluster: ne}
	  selector: {namespaces: [default]}
	  rpo: 10m
	  rto: 10m
YAML
export AKSDR_STORE=$azurite_url AKSDR_KEY=$keys/recovery.key AKSDR_STATE=$work/operator
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig run "$wanted" "$restore" "$@"
}

bed_use 1
bed_claim ledger 64Mi
bed_claim files 64Mi
bed_pod app ledger=/ledger files=/files
# A line is acknowledged (on the other volume of the script's own) when it is on the disk: number and time.
# shellcheck disable=SC2016 # it is the shell there that counts
k exec app -- sh -c 'i=0; while :; do i=$((i + 1)); echo "$i $(date +%s)" >>/ledger/log && sync /ledger/log &&
	echo "$i $(date +%s)" && usleep 200000; done' >"$work/acknowledged" 2>/dev/null &
bed_in app sh -c 'head -c 20000000 /dev/urandom >/files/noise && sync && md5sum /files/noise' >"$work/noise.sum"
points() { "$restore" points --output json | jq --arg name "$1" '[.items[] | select(.volume == $name)] | length'; }
# A point of the files that has them: the first one may be of before they were written.
enough() {
	[ "$(points ledger)" -ge 2 ] && "$restore" points --output json |
		jq -e '[.items[] | select(.volume == "files" and .logical_bytes >= 20000000)] | length > 0'
}

t 'the first cluster is backed up, and the second one is not served'
ok bed_wait 240 enough
ok [ "$(answer)" = 503 ]
bed_use 2
tool 0 plan "$plan"
out 'lost: at most'
out 'takes: about'

t 'the first cluster is switched off in the middle of a backup'
bed_use 1
busy() { [ -n "$(k -n aksdr get pods -o name -l aksdr.io/role=mover)" ]; }
ok bed_wait 90 busy
for node in 1 2; do bed_node_off $node; done
bed_kill apiserver
bed_use 2

t 'one command: the volumes are there, and the second cluster serves within a second of that'
tool 0 failover "$plan" --reason 'region down' --output json
promoted=$(date +%s%N)
serves() { [ "$(answer)" = 200 ]; }
ok bed_wait 20 serves
echo "served $((($(date +%s%N) - promoted) / 1000000)) ms after the command had ended"
ok [ "$(answer)" = 200 ]
cp "$work/.out" "$work/failover.json"
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/failover.json")" = restored ]
bed_pod app ledger=/ledger files=/files
ok [ "$(bed_in app md5sum /files/noise)" = "$(cat "$work/noise.sum")" ]

t 'all that was acknowledged before the moment is there, and the loss that was told is the true one'
frozen=$(date -d "$(jq -r '.items[] | select(.volume == "ledger") | .frozen' "$work/failover.json")" +%s)
acknowledged=$(awk -v moment="$frozen" '$2 < moment { n = $1 } END { print n + 0 }' "$work/acknowledged")
restored=$(bed_in app sh -c 'wc -l </ledger/log')
last=$(tail -n 1 "$work/acknowledged" | cut -d ' ' -f 2)
told=$(($(jq '.items[] | select(.volume == "ledger") | .loss_ms' "$work/failover.json") / 1000))
echo "acknowledged before the moment: $acknowledged; restored: $restored; in all: $(wc -l <"$work/acknowledged")"
ok [ "$acknowledged" -gt 0 ]
ok [ "$restored" -ge "$acknowledged" ]
ok [ "$told" -ge $((last - frozen)) ]
# No line is torn or missing.
ok [ "$(bed_in app sh -c 'cut -d " " -f 1 /ledger/log' | sort -n | uniq | wc -l)" -ge "$restored" ]

t 'nothing of the run is left, and the second cluster is told to back up'
ok [ -z "$(k -n aksdr get pvc,secrets -o name -l aksdr.io/run)" ]
ok [ -z "$(k -n aksdr get pods -o name -l aksdr.io/run)" ]
jq -r '"RTO: \(.took_ms) ms \(.phases); volumes: \([.items[] | "\(.volume) \(.took_ms) ms"] | join(", "))"' \
	"$work/failover.json"

finish
