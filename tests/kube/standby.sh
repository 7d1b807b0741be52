#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Claims in the second cluster follow the points of the first: each new point is applied by what differs,
# whoever is killed in between is made up for, and a failover takes them over and brings only what is missing.
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
bed_up --region 2 1
bed_busybox
bed_image "$(echo "$work"/image/*.oci.tar)"
k create namespace aksdr >/dev/null
restore_template "$work/restore.yaml"

plan=$work/plan.yaml
cat >"$plan" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop}
	spec:
	  mode: hot/warm
	  primary: {cluster: we}
	  secondary: {cluster: ne}
	  selector: {namespaces: [default]}
YAML
# tool STATUS VERB...: aksdr-restore with the second cluster
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery run "$wanted" "$restore" "$@"
}
standby() { tool "$1" standby "$plan" --once --mover-template "$work/restore.yaml" --output json; }
tree() { bed_in "$1" sh -c "cd $2 && find . ! -path './lost+found*' | sort | xargs stat -c '%n %f %u %g' &&
	find . ! -path './lost+found*' -type f | sort | xargs md5sum"; }
held() { k -n aksdr get pvc -l aksdr.io/role=standby -o json |
	jq -r --arg for "default/$1" '.items[] | select(.metadata.annotations["aksdr.io/for"] == $for) |
		.metadata.annotations["aksdr.io/point"] // ""'; }
point() { AKSDR_KEY=$recovery "$restore" points "$1" --output json | jq -r '.items[-1].point'; }

bed_use 1
bed_claim files 128Mi
bed_claim raw 64Mi disk Block
bed_pod one files=/files raw=/dev/disk
# shellcheck disable=SC2016 # it is the shell there that counts
bed_in one sh -c 'mkdir /files/d && for i in $(seq 1 200); do echo "file $i" >/files/d/$i; done &&
	head -c 40000000 /dev/urandom >/files/noise && sync &&
	head -c 20000000 /dev/urandom | dd of=/dev/disk conv=fsync 2>/dev/null'
agent_backup 0 --cluster we pvc:default/files pvc:default/raw

t 'the first time all of it is restored, out of sight'
bed_use 2
standby 0
ok [ "$(held files)" = "$(point files)" ]
ok [ "$(held raw)" = "$(point raw)" ]
ok [ -z "$(k get pvc -o name)" ]

t 'a new point is applied by what differs'
bed_use 1
bed_in one sh -c 'echo changed >/files/d/7 && rm /files/d/8 && mkdir /files/e && mv /files/d/9 /files/e/ && sync &&
	echo changed | dd of=/dev/disk bs=1 seek=1000000 conv=notrunc,fsync 2>/dev/null'
agent_backup 0 --cluster we pvc:default/files pvc:default/raw
bed_use 2
standby 0
ok [ "$(held files)" = "$(point files)" ]
results=$(k -n aksdr get pvc -l aksdr.io/role=standby -o json | jq '.items[].metadata.annotations["aksdr.io/result"]')
ok [ "$(jq -rs 'map(fromjson | select(.base != "")) | length' <<<"$results")" = 2 ]
ok [ "$(jq -rs 'map(fromjson | .fetched) | add' <<<"$results")" -lt 4000000 ]
echo "fetched for the second point: $(jq -rs 'map(fromjson | .fetched) | add' <<<"$results") bytes"

t 'one that was killed in the middle is made up for'
bed_use 1
bed_in one sh -c 'head -c 30000000 /dev/urandom >/files/more && echo third >/files/d/1 && sync'
agent_backup 0 --cluster we pvc:default/files pvc:default/raw
bed_use 2
KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery "$restore" standby "$plan" --once \
	--mover-template "$work/restore.yaml" --quiet >"$work/.background" 2>&1 &
pid=$!
applying() { [ -n "$(k -n aksdr get pods -o name)" ]; }
ok bed_wait 60 applying
kill -KILL $pid
wait $pid 2>/dev/null
k -n aksdr delete pods --all --now >/dev/null
standby 0
ok [ "$(held files)" = "$(point files)" ]

t 'it follows by itself, and its lag is what the last difference takes'
KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery "$restore" standby "$plan" --interval 1s \
	--mover-template "$work/restore.yaml" --quiet >"$work/.background" 2>&1 &
pid=$!
bed_use 1
bed_in one sh -c 'head -c 40000000 /dev/urandom >/files/noise && sync'
agent_backup 0 --cluster we pvc:default/files
newest=$(point files)
committed=$(date +%s%N)
bed_use 2
follows() { [ "$(held files)" = "$newest" ]; }
ok bed_wait 120 follows
lag=$((($(date +%s%N) - committed) / 1000000))
kill -TERM $pid
wait $pid 2>/dev/null
k -n aksdr get pvc -l aksdr.io/role=standby -o json | jq -r --argjson lag $lag '.items[] |
	select(.metadata.annotations["aksdr.io/for"] == "default/files") |
	.metadata.annotations["aksdr.io/result"] | fromjson |
	"lag: \($lag) ms after the commit; \(.written) bytes written, " +
	"\(.fetched) fetched, \(.requests) requests, \(.ms) ms in the mover"'

t 'a failover takes them over, and brings only what is missing'
bed_use 1
bed_in one sh -c 'echo last >/files/d/2 && sync'
agent_backup 0 --cluster we pvc:default/files pvc:default/raw
tree one /files >"$work/files.tree"
bed_in one sh -c 'md5sum </dev/disk' >"$work/raw.sum"
bed_use 2
tool 0 failover "$plan" --reason 'region lost' --mover-template "$work/restore.yaml" --output json
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/.out")" = 'from standby' ]
ok [ "$(jq '[.items[].fetched_bytes] | add' "$work/.out")" -lt 4000000 ]
jq -r '"RTO from a standby: \(.took_ms) ms, fetched \([.items[].fetched_bytes] | add) bytes"' "$work/.out"
bed_pod one files=/files raw=/dev/disk
tree one /files >"$work/back"
ok diff "$work/files.tree" "$work/back"
ok [ "$(bed_in one sh -c 'md5sum </dev/disk')" = "$(cat "$work/raw.sum")" ]
ok [ -z "$(k -n aksdr get pvc,pods -o name)" ]

finish
