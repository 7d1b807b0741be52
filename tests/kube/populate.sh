#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Claims that name a VolumeRestore get what its point has, by a real API server: what controllers, a driver and a
# kubelet would do is done by this script, the movers' command among it, so that each step can be seen, and stopped.
#
# timeout: 300
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --no-nodes
export KUBECONFIG=$bed/admin.kubeconfig

# ---- a point, and a cluster that knows of it ----

mkdir -p "$work/data/deep" "$work/target"
echo one >"$work/data/deep/file"
ln -s deep/file "$work/data/link"
new_repo repo
run 0 backup --cluster we --namespace shop "orders=$work/data"
first=$("$restore" points --key "$audit" --output json | jq -r '.items[0].point')
echo two >"$work/data/deep/file"
run 0 backup --cluster we --namespace shop "orders=$work/data"

for namespace in aksdr shop; do k create namespace $namespace >/dev/null || exit 1; done
k apply -f "${SRC:-$bed_here/../..}/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established --timeout=30s crd/volumerestores.aksdr.io >/dev/null || exit 1
k apply -f - >/dev/null <<-YAML || exit 1
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: fast}
	provisioner: d.example.com
	---
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: late}
	provisioner: d.example.com
	volumeBindingMode: WaitForFirstConsumer
	---
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: newest, namespace: shop}
	spec: {volume: we/shop/orders}
	---
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: first, namespace: shop}
	spec: {volume: we/shop/orders, point: "${first:0:12}"}
	---
	apiVersion: v1
	kind: Node
	metadata: {name: n1, labels: {topology.kubernetes.io/zone: ne-1}}
YAML
k create serviceaccount default -n aksdr >/dev/null
echo '{"spec": {"containers": [{"name": "mover", "image": "none"}]}}' >"$work/mover.json"

# claim NAME CLASS REQUEST
claim() {
	k apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1, namespace: shop}
		spec:
		  accessModes: [ReadWriteOnce]
		  storageClassName: $2
		  resources: {requests: {storage: 1Gi}}
		  dataSourceRef: {apiGroup: aksdr.io, kind: VolumeRestore, name: $3}
	YAML
}
# It has no more rights than the chart gives it.
rules=${SRC:-$bed_here/../..}/helm/aksdr/files/rules-populator
for kind in ClusterRole Role; do
	{
		printf '%s\n' 'apiVersion: rbac.authorization.k8s.io/v1' "kind: $kind" \
			'metadata: {name: populator, namespace: aksdr}' rules:
		sed 's/^/  /' "$rules$([ $kind = Role ] || echo -cluster).yaml"
		printf '%s\n' --- 'apiVersion: rbac.authorization.k8s.io/v1' "kind: ${kind}Binding" \
			'metadata: {name: populator, namespace: aksdr}' \
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: $kind, name: populator}" \
			'subjects: [{kind: User, name: populator, apiGroup: rbac.authorization.k8s.io}]'
	} | sed "$([ $kind = Role ] || echo 's/, namespace: aksdr}$/}/')" | k apply -f - >/dev/null || exit 1
done
bed_user populator
options=(--kubeconfig "$bed/populator.kubeconfig" --key "$recovery" --mover-template "$work/mover.json")
populate() { "$restore" populate "${options[@]}" "$@"; }

# ---- what a cluster does ----

status() { k patch "$1" "$2" -n "$3" --subresource=status --type=merge -p "{\"status\": $4}" >/dev/null; }
# bound NAMESPACE NAME PV
bound() {
	k patch pvc "$2" -n "$1" --type=merge -p "{\"spec\": {\"volumeName\": \"$3\"}}" >/dev/null
	status pvc "$2" "$1" '{"phase": "Bound"}'
	status pv "$3" "$1" '{"phase": "Bound"}'
}
# One step of it: the driver makes volumes for claims of ours, the kubelet runs movers, claims that are deleted go, and
# a volume that is reserved for a claim is bound to it.
provision() {
	local name uid
	for name in $(k get pvc -n aksdr -o json |
		jq -r '.items[] | select(.spec.volumeName == null) | .metadata.name'); do
		uid=$(k get pvc "$name" -n aksdr -o jsonpath='{.metadata.uid}')
		k create -f - >/dev/null <<-YAML
			apiVersion: v1
			kind: PersistentVolume
			metadata: {name: pv-$name}
			spec:
			  accessModes: [ReadWriteOnce]
			  capacity: {storage: 1Gi}
			  storageClassName: $(k get pvc "$name" -n aksdr -o jsonpath='{.spec.storageClassName}')
			  persistentVolumeReclaimPolicy: Delete
			  hostPath: {path: /none}
			  claimRef: {namespace: aksdr, name: $name, uid: $uid}
		YAML
		bound aksdr "$name" "pv-$name"
	done
	for name in $(k get pvc -n aksdr -o json |
		jq -r '.items[] | select(.metadata.deletionTimestamp) | .metadata.name'); do
		k patch pvc "$name" -n aksdr --type=merge -p '{"metadata": {"finalizers": null}}' >/dev/null
	done
	k get pv -o json | jq -r '.items[].spec.claimRef | select(.namespace == "shop") | .name + " " + .uid' |
		while read -r name uid; do
			[ "$(k get pvc "$name" -n shop -o jsonpath='{.metadata.uid}/{.spec.volumeName}')" = "$uid/" ] ||
				continue
			bound shop "$name" "$(k get pv -o json | jq -r --arg uid "$uid" '.items[] |
				select(.spec.claimRef.uid == $uid) | .metadata.name')"
		done
}
moved=0
move() {
	local name args=()
	for name in $(k get pods -n aksdr -o json | jq -r '.items[] | select(.status.phase == "Pending" and
			.metadata.deletionTimestamp == null) | .metadata.name'); do
		# A kubelet waits for the volume.
		[ -n "$(k get pvc "$name" -n aksdr -o jsonpath='{.spec.volumeName}')" ] || continue
		mapfile -t args < <(k get pod "$name" -n aksdr -o json | jq -r '.spec.containers[0].args[]')
		mkdir -p "$work/target/$name"
		rm -f "$work/result"
		AKSDR_KEY=$recovery "$restore" "${args[@]/\/target/$work/target/$name}" --quiet \
			--result "$work/result" 2>"$work/mover.err"
		moved=$((moved + 1))
		status pod "$name" aksdr "$(jq -n --arg message "$(cat "$work/result")" '
			{phase: "Succeeded", containerStatuses: [{name: "mover",
				 image: "none", imageID: "none", ready: false, restartCount: 0,
			state: {terminated: {exitCode: 0, message: $message}}}]}')"
	done
}
# cluster PID: until it ends
cluster() {
	while kill -0 "$1" 2>/dev/null; do
		provision
		move
	done
	wait "$1"
}
# filled NAME POINT: the claim has it, and its volume is as any other one
filled() {
	local volume
	volume=$(k get pvc "$1" -n shop -o jsonpath='{.spec.volumeName}')
	[ -n "$volume" ] &&
		[ "$(k get pvc "$1" -n shop -o jsonpath='{.metadata.annotations.aksdr\.io/point}')" = "$2" ] &&
		[ "$(k get pv "$volume" -o jsonpath='{.spec.persistentVolumeReclaimPolicy}')" = Delete ] &&
		[ -z "$(k get pv "$volume" -o jsonpath='{.metadata.labels.aksdr\.io/fill}')" ]
}

t 'a claim gets the point that its VolumeRestore names'
ok claim old fast first
populate --once 2>"$work/populate.err" &
cluster $!
ok [ $? -eq 0 ]
ok filled old "$first"
ok grep -qx one "$work"/target/*/deep/file
ok [ "$(k get pvc,pods -n aksdr -o name | wc -l)" -eq 0 ]
run 0 k get events -n shop -o 'jsonpath={range .items[*]}{.regarding.name} {.involvedObject.name} {.reason}{"\n"}{end}'
out 'old Populating'
out 'old Populated'

t 'one that is killed anywhere is gone on with, and the mover ran once'
rm -rf "$work/target" && moved=0
newest=$("$restore" points --key "$audit" --output json |
	jq -r --arg first "$first" '.items[] | select(.point != $first).point')
ok claim new fast newest
made() { [ -n "$(k get "$1" -n aksdr -o name)" ]; }
reserved() {
	provision
	k get pv -o json | jq -e '.items[].spec.claimRef | select(.name == "new")' >/dev/null
}
for signal in staging pod volume; do
	"$restore" populate "${options[@]}" 2>>"$work/populate.err" &
	pid=$!
	case $signal in
	staging) ok bed_wait 30 made pvc ;;
	pod)
		provision
		ok bed_wait 30 made pods
		move
		;;
	volume) ok bed_wait 30 reserved ;;
	esac
	kill -KILL $pid
	wait $pid 2>/dev/null
done
populate --once 2>>"$work/populate.err" &
cluster $!
ok [ $? -eq 0 ]
ok filled new "$newest"
ok [ $moved -eq 1 ]
ok grep -qx two "$work"/target/*/deep/file

t 'where the class waits for a first consumer, so does this, and the volume is in its zone'
ok claim late late newest
run 3 populate --once
err '1 claims are not filled yet'
ok [ -z "$(k get pvc -n aksdr -o name)" ]
k annotate pvc late -n shop volume.kubernetes.io/selected-node=n1 >/dev/null
populate --once 2>>"$work/populate.err" &
pid=$!
ok bed_wait 30 made pods
run 0 k get pods -n aksdr -o json
out '"ne-1"'
cluster $pid
ok [ $? -eq 0 ]
ok filled late "$newest"

t 'what cannot be is an event of the claim, and does not hold others up'
k apply -f - >/dev/null <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: none, namespace: shop}
	spec: {volume: we/shop/none}
YAML
ok claim bad fast none
ok claim good fast first
populate --once 2>"$work/populate.err" &
cluster $!
ok [ $? -eq 3 ]
ok filled good "$first"
ok grep -q 'a claim is not filled' "$work/populate.err"
run 0 k get events -n shop -o 'jsonpath={range .items[*]}{.type} {.involvedObject.name} {.reason}{"\n"}{end}'
out 'Warning bad PopulateFailed'

finish
