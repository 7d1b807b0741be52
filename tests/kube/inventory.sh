#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What holds data in a cluster with a real API server: live by somebody who may only list, and kept in the store by an
# agent that leads, from where an auditor without rights in the cluster has it.
#
# timeout: 600
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
bed_up --no-nodes

k apply -f "$src/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established --timeout=30s crd/backuppolicies.aksdr.io >/dev/null || exit 1
k apply -f - >/dev/null <<-'YAML' || exit 1
	apiVersion: v1
	kind: Namespace
	metadata: {name: aksdr}
	---
	apiVersion: v1
	kind: Namespace
	metadata: {name: shop}
	---
	apiVersion: v1
	kind: Namespace
	metadata: {name: dev, annotations: {aksdr.io/protect: "false"}}
	---
	apiVersion: v1
	kind: ServiceAccount
	metadata: {name: default, namespace: shop}
	---
	apiVersion: aksdr.io/v1alpha1
	kind: BackupPolicy
	metadata: {name: gold, namespace: aksdr}
	spec: {rpo: 4h, selector: {claimSelector: {matchLabels: {tier: gold}}}, schedule: {cron: '0 0 1 1 *'}}
	---
	apiVersion: v1
	kind: PersistentVolume
	metadata: {name: pv-db}
	spec:
	  capacity: {storage: 2Gi}
	  accessModes: [ReadWriteOnce]
	  claimRef: {namespace: shop, name: data-db-0}
	  csi: {driver: disk.test, volumeHandle: h1}
	---
	apiVersion: v1
	kind: PersistentVolume
	metadata: {name: pv-old}
	spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], csi: {driver: disk.test, volumeHandle: h2}}
	---
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: data-db-0, namespace: shop, labels: {tier: gold}}
	spec: {accessModes: [ReadWriteOnce], volumeName: pv-db, storageClassName: "",
	  resources: {requests: {storage: 1Gi}}}
	---
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: bare, namespace: shop}
	spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
	---
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: mine, namespace: dev, labels: {tier: gold}}
	spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
	---
	apiVersion: apps/v1
	kind: StatefulSet
	metadata: {name: db, namespace: shop}
	spec:
	  serviceName: db
	  replicas: 3
	  selector: {matchLabels: {tier: gold}}
	  template:
	    metadata: {labels: {tier: gold}}
	    spec: {containers: [{name: db, image: x}]}
	  volumeClaimTemplates:
	    - metadata: {name: data}
	      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
	---
	apiVersion: v1
	kind: Pod
	metadata: {name: web, namespace: shop}
	spec:
	  containers: [{name: web, image: x}]
	  volumes: [{name: tmp, emptyDir: {}}, {name: logs, hostPath: {path: /var/log}}]
YAML
k patch pv pv-db --subresource=status --type=merge -p '{"status": {"phase": "Bound"}}' >/dev/null &&
	k patch pv pv-old --subresource=status --type=merge -p '{"status": {"phase": "Available"}}' >/dev/null &&
	k -n shop patch pvc data-db-0 --subresource=status --type=merge \
		-p '{"status": {"phase": "Bound"}}' >/dev/null ||
	exit 1

# who may list, and nothing else
bed_user looker
k create clusterrole looker --verb=list --resource=persistentvolumeclaims,persistentvolumes,pods,namespaces \
	--resource=statefulsets.apps,storageclasses.storage.k8s.io,backuppolicies.aksdr.io >/dev/null &&
	k create clusterrolebinding looker --clusterrole=looker --user=looker >/dev/null || exit 1

t 'who may list sees what is protected, left out and exposed, and why'
KUBECONFIG=$bed/looker.kubeconfig run 0 "$agent" inventory --output json
cp "$work/.out" "$work/live.json"
run 0 jq -r '.items[] | [.kind, .namespace, .name, .owner, .state, .reason, .policy // "-"] | join(" ")' \
	"$work/live.json"
cat >"$work/expected" <<-'TXT'
	claim dev mine  excluded opt-out -
	claim shop bare  exposed no-policy -
	claim shop data-db-0 StatefulSet/db protected policy aksdr/gold
	volume  pv-old  exposed no-claim -
	template shop data StatefulSet/db protected policy aksdr/gold
	emptyDir shop tmp Pod/web exposed kind -
	hostPath shop logs Pod/web exposed kind -
TXT
ok cmp "$work/expected" "$work/.out"
run 0 jq -e '.items[] | select(.name == "data-db-0") | .bytes == 2147483648 and .driver == "disk.test"' \
	"$work/live.json"
run 0 jq -e '.items[] | select(.kind == "template") | .count == 2' "$work/live.json"
KUBECONFIG=$bed/looker.kubeconfig run 0 "$agent" inventory --only exposed
out 'emptyDir +shop +tmp +Pod/web'
ok not grep -q data-db-0 "$work/.out"

t 'a right that is missing is named'
k delete clusterrolebinding looker >/dev/null
KUBECONFIG=$bed/looker.kubeconfig run 1 "$agent" inventory
err 'forbidden'

t 'the agent that leads keeps it in the store, and an auditor has it without the cluster'
run 0 "$agent" init --store "file://$work/store" --keys "$work/keys"
export AKSDR_STORE=file://$work/store AKSDR_STATE=$work/state
KUBECONFIG=$bed/admin.kubeconfig "$agent" run --key "$work/keys/agent.key" --node n --namespace aksdr --pod agent \
	--cluster c1 --role secondary --listen 127.0.0.1:0 >"$work/run.log" 2>&1 &
running=$!
there() {
	"$catalog" sync --quiet --key "$work/keys/audit.key" --catalog "$work/c.db" >/dev/null 2>&1 &&
		"$catalog" list coverage --catalog "$work/c.db" --output json >"$work/kept.json" &&
		jq -e '.items | length > 0' "$work/kept.json" >/dev/null
}
ok bed_wait 60 there
kill -TERM $running
wait $running
fields='[.items[] | {kind, namespace, name, owner, state, reason, policy, count}
	| with_entries(.value |= if . == "" then null else . end)] | sort_by(.kind, .namespace, .name)'
ok cmp <(jq -S "$fields" "$work/live.json") <(jq -S "$fields" "$work/kept.json")
run 0 "$catalog" query --catalog "$work/c.db" --output csv \
	"SELECT cluster, rpo_s FROM inventory WHERE name = 'data-db-0'"
out '^c1,14400'
finish
