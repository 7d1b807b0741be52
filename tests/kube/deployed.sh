#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Volumes come back into a cluster that its own programs run: a kubelet, a scheduler, a driver. A claim names a
# VolumeRestore and is filled by the chart's populator before its pod begins; a plan's stages wait for a command in a
# pod that has the volume of the stage before, and for a Job.
#
# timeout: 1200
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"
release_up
k -n aksdr create secret generic aksdr-recovery --from-file="$keys/recovery.key" >/dev/null || exit 1
cat >>"$values" <<-YAML
	populator: {enabled: true, keySecret: aksdr-recovery}
YAML
release install aksdr "$chart" --values "$values" --wait --timeout 120s >"$work/.install" ||
	bed_fail "$(cat "$work/.install")"
k apply -f - >/dev/null <<-YAML || exit 1
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: late}
	provisioner: disk.bed.test
	volumeBindingMode: WaitForFirstConsumer
YAML

export AKSDR_STORE=$azurite_url AKSDR_KEY=$keys/recovery.key AKSDR_STATE=$work/operator
bed_claim data 64Mi
bed_claim web 64Mi
bed_pod app data=/data web=/web
# point: of both claims, of what they have now
point() {
	since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	bed_wait 240 newer || bed_fail 'there is no point'
}
newer() {
	"$restore" points --output json | jq -e --arg since "$since" \
		'[.items[] | select(.frozen > $since).volume] | unique | length == 2'
}
bed_in app sh -c 'echo first >/data/file && head -c 5000000 /dev/urandom >/data/noise && echo web >/web/file && sync'
sum=$(bed_in app md5sum /data/noise | cut -c 1-32)
point
first=$("$restore" points data --output json | jq -r '.items[-1].point')
bed_in app sh -c 'echo second >/data/file && sync'
point
k annotate pvc data web aksdr.io/paused=true >/dev/null

# pod NAME CLAIM: in the namespace shop; it is not waited for
k create namespace shop >/dev/null
pod() {
	k -n shop apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, labels: {app: $1}}
		spec:
		  terminationGracePeriodSeconds: 1
		  volumes: [{name: data, persistentVolumeClaim: {claimName: $2}}]
		  containers:
		  - name: main
		    image: bed.test/busybox:1
		    imagePullPolicy: Never
		    command: [tail, -f, /dev/null]
		    volumeMounts: [{name: data, mountPath: /data}]
	YAML
}
in_pod() { k -n shop exec "$1" -- "${@:2}"; }
# claim NAME CLASS SOURCE
claim() {
	k -n shop apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1}
		spec:
		  accessModes: [ReadWriteOnce]
		  storageClassName: $2
		  resources: {requests: {storage: 64Mi}}
		  dataSourceRef: {apiGroup: aksdr.io, kind: VolumeRestore, name: $3}
	YAML
}
ready() { k -n shop wait --for=condition=Ready "pod/$1" --timeout=90s >/dev/null; }
# nothing_left: of ours, in our namespace and among volumes
nothing_left() {
	[ -z "$(k -n aksdr get pvc -o name)" ] && [ -z "$(k get pv -l aksdr.io/fill -o name)" ]
}

t 'what a repository in Git would have: claims that name points, and pods that use them'
k -n shop apply -f - >/dev/null <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: newest}
	spec: {volume: bed/default/data}
	---
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: first}
	spec: {volume: bed/default/data, point: "${first:0:12}"}
YAML
ok claim new disk newest
ok claim old late first
ok pod new new
ok pod old old
ok ready new
ok ready old
ok [ "$(in_pod new cat /data/file)" = second ]
ok [ "$(in_pod old cat /data/file)" = first ]
ok [ "$(in_pod new md5sum /data/noise | cut -c 1-32)" = "$sum" ]
ok bed_wait 60 nothing_left
run 0 k get pv -o 'jsonpath={range .items[*]}{.spec.claimRef.name} {.spec.persistentVolumeReclaimPolicy}{"\n"}{end}'
out '^new Delete'
out '^old Delete'

t 'it is killed while a mover writes, and the claim is filled all the same'
ok claim again disk newest
ok pod again again
moving() { [ -n "$(k -n aksdr get pods -l aksdr.io/role=populate -o name)" ]; }
ok bed_wait 60 moving
run 0 k -n aksdr delete pod -l app.kubernetes.io/component=populator --grace-period=0 --force
ok ready again
ok [ "$(in_pod again cat /data/file)" = second ]
ok bed_wait 60 nothing_left

t 'a claim that is deleted before it was filled leaves nothing'
k -n shop apply -f - >/dev/null <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: VolumeRestore
	metadata: {name: none}
	spec: {volume: bed/default/none}
YAML
ok claim none disk none
failed() { k -n shop get events -o json | jq -e '.items[] | select(.reason == "PopulateFailed")'; }
ok bed_wait 60 failed
run 0 k -n shop delete pvc none --timeout=60s
ok bed_wait 60 nothing_left

t 'a stage waits for a command in a pod that has the volume of the one before, and for a Job'
plan=$work/plan.yaml
cat >"$plan" <<-'YAML'
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: staged}
	spec:
	  mode: hot/cold
	  primary: {cluster: bed}
	  selector: {namespaces: [default]}
	  mappings: {namespaces: [{from: default, to: staged}]}
	  stages:
	    - name: data
	      selector: {volumes: ['default/data']}
	      hooks:
	        - name: reads
	          kind: command
	          command: [sh, -c, 'grep -q second /data/file && touch /data/ready']
	          pod: {namespace: staged, selector: 'app=db'}
	    - name: web
	      selector: {volumes: ['default/web']}
	      gates:
	        - {name: migrated, kind: job, job: {namespace: staged, name: migrate}}
YAML
k create namespace staged >/dev/null
# What uses the volumes is deployed before them, as is usual.
k -n staged apply -f - >/dev/null <<-YAML
	apiVersion: v1
	kind: Pod
	metadata: {name: db, labels: {app: db}}
	spec:
	  terminationGracePeriodSeconds: 1
	  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
	  containers:
	  - name: main
	    image: bed.test/busybox:1
	    imagePullPolicy: Never
	    command: [tail, -f, /dev/null]
	    volumeMounts: [{name: data, mountPath: /data}]
	---
	apiVersion: batch/v1
	kind: Job
	metadata: {name: migrate}
	spec:
	  suspend: true
	  template:
	    spec:
	      restartPolicy: Never
	      containers:
	      - {name: main, image: "bed.test/busybox:1", imagePullPolicy: Never, command: ["true"]}
YAML
KUBECONFIG=$bed/admin.kubeconfig "$restore" run "$plan" --service-account default --output json \
	>"$work/run.json" 2>"$work/run.err" &
waiting=$!
at_job() { grep -q 'waiting at a gate.*web/migrated' "$work/run.err"; }
ok bed_wait 120 at_job
run 0 k -n staged exec db -- cat /data/ready
ok not k -n staged get pvc web
run 0 k -n staged patch job migrate --type=merge -p '{"spec": {"suspend": false}}'
ok wait $waiting
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/run.json")" = restored ]
run 0 k -n staged get pvc web -o 'jsonpath={.status.phase}'
out '^Bound'

finish
