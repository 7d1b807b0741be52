# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Two clusters with the chart, as somebody would install it, and one store behind TLS: sourced behind lib.sh.
#
#   regions_up             we (region 1, two nodes, primary: backed up each minute) and ne (region 2, secondary), both
#                          with `serve`; a pod app with the claims ledger and files in the first
#   tool STATUS VERB...    `run` of aksdr-restore as an operator with the recovery key, at the cluster that is in use
#   regions_write          begins to write lines into the ledger, as a database does: each is on the disk before it is
#                          acknowledged, in $work/acknowledged, with its time
#   regions_backed_up      whether there are points of both, with all that files has
#   regions_busy           whether a mover is at work in the cluster that is in use
#   regions_answer N       what `serve` of region N says to who routes traffic: a status of HTTP
#   regions_judge [TIME]   compares the ledger in the pod app here, restored by $work/failover.json, with what was
#                          acknowledged (until TIME, in seconds), and the loss that was told with the true one
#
# Variables: plan (a file).
# shellcheck disable=SC2154 # lib.sh has set what is used here

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

# shellcheck disable=SC2034 # for the scripts
plan=$work/shop.yaml
regions_up() {
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
		k -n aksdr create secret generic aksdr-store \
			--from-literal="AZURE_STORAGE_KEY=$AZURE_STORAGE_KEY" >/dev/null &&
		k -n aksdr create configmap authority --from-file=ca.crt="$servers_ca" >/dev/null && audit_key ||
		bed_fail 'preparing the second cluster failed'
	release_values ne secondary >"$work/ne.yaml"
	release install aksdr "$chart" --values "$work/ne.yaml" --wait --timeout 120s >"$work/.install" ||
		bed_fail "$(cat "$work/.install")"
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
	bed_use 1
	bed_claim ledger 64Mi
	bed_claim files 64Mi
	bed_pod app ledger=/ledger files=/files
}
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig run "$wanted" "$restore" "$@"
}

# shellcheck disable=SC2016 # it is the shell there that counts
regions_write() {
	k exec app -- sh -c 'i=0; while :; do i=$((i + 1)); echo "$i $(date +%s)" >>/ledger/log && sync /ledger/log &&
		echo "$i $(date +%s)" && usleep 200000; done' >"$work/acknowledged" 2>/dev/null &
}
# A point of the files that has them: the first one may be of before they were written.
regions_backed_up() {
	"$restore" points --output json | jq -e '([.items[] | select(.volume == "ledger")] | length >= 2) and
		([.items[] | select(.volume == "files" and .logical_bytes >= 20000000)] | length > 0)'
}
regions_busy() { [ -n "$(k -n aksdr get pods -o name -l aksdr.io/role=mover)" ]; }
regions_answer() {
	[ -s "$work/serve.$1" ] || (
		bed_use "$1"
		k -n aksdr get pods -l app.kubernetes.io/component=serve -o jsonpath='{.items[0].status.podIP}'
	) >"$work/serve.$1"
	curl -s --noproxy '*' -o "$work/.answer" -w '%{http_code}' "http://$(cat "$work/serve.$1"):9761/traffic/shop"
}

regions_judge() {
	local frozen acknowledged restored last told
	frozen=$(date -d "$(jq -r '.items[] | select(.volume == "ledger") | .frozen' "$work/failover.json")" +%s)
	acknowledged=$(awk -v moment="$frozen" '$2 < moment { n = $1 } END { print n + 0 }' "$work/acknowledged")
	restored=$(bed_in app sh -c 'wc -l </ledger/log')
	last=$(awk -v until="${1:-0}" 'until == 0 || $2 <= until { t = $2 } END { print t + 0 }' "$work/acknowledged")
	told=$(($(jq '.items[] | select(.volume == "ledger") | .loss_ms' "$work/failover.json") / 1000))
	echo "acknowledged before the moment: $acknowledged; restored: $restored" \
		"in all: $(wc -l <"$work/acknowledged")"
	ok [ "$acknowledged" -gt 0 ]
	ok [ "$restored" -ge "$acknowledged" ]
	ok [ "$told" -ge $((last - frozen)) ]
	# No line is torn or missing.
	ok [ "$(bed_in app sh -c 'cut -d " " -f 1 /ledger/log' | sort -n | uniq | wc -l)" -ge "$restored" ]
}
