#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# That the cluster of the tests is a cluster: nodes, networks, volumes and snapshots are real, what is
# killed can be started again, what is to go wrong does, and nothing is left behind.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --file --audit --short-tokens 2
bed_busybox

# is WANTED COMMAND...: what it prints
is() {
	local got
	got=$("${@:2}" 2>&1)
	[ "$got" = "$1" ] || { echo "   '$got', not '$1'" && false; }
}
# says PATTERN COMMAND...: it fails, and says this
says() {
	local got
	got=$("${@:2}" 2>&1) && echo '   it did not fail' && return 1
	grep -qE "$1" <<<"$got" || { echo "   '$got' does not match '$1'" && false; }
}
field() { k get "$1" -o "jsonpath={$2}"; }
# told OBJECT PATTERN: there is such an event of it
told() { k get events --field-selector "involvedObject.name=$1" -o 'jsonpath={.items[*].message}' | grep -E "$2"; }
ip_of() { field "pod/$1" .status.podIP; }

t 'two nodes are ready, and have both drivers'
ok is 'True True' field node '.items[*].status.conditions[?(@.type=="Ready")].status'
drivers_of() { field "csinode/$1" '.spec.drivers[*].name' | xargs -n 1 | sort | xargs; }
ok is 'disk.bed.test file.bed.test' drivers_of node2

t 'a pod writes to a claim with a file system and to one that is a block device'
bed_claim files 64Mi
bed_claim block 64Mi disk Block
bed_pod one --node 1 files=/data block=/dev/disk
ok bed_in one sh -c 'echo first >/data/file && sync -f /data/file &&
	echo first | dd of=/dev/disk conv=fsync 2>/dev/null'
ok is 67108864 bed_in one blockdev --getsize64 /dev/disk
ok is ext4 bed_in one sh -c "grep ' /data ' /proc/mounts | cut -d ' ' -f 3"
ok is 'Bound Bound' field pvc '.items[*].status.phase'

t 'what is on a file system made by a snapshot is of the moment of the snapshot'
bed_snapshot s-files files
bed_snapshot s-block block
ok bed_in one sh -c 'echo second >/data/file && sync -f /data/file &&
	echo second | dd of=/dev/disk conv=fsync 2>/dev/null'
bed_claim back-files 96Mi disk Filesystem s-files
bed_claim back-block 64Mi disk Block s-block
bed_pod two --node 2 back-files=/data back-block=/dev/disk
ok is first bed_in two cat /data/file
ok is first bed_in two head -n 1 /dev/disk
ok is second bed_in one cat /data/file
ok is larger bed_in two sh -c '[ $(df -k /data | awk "NR == 2 { print \$2 }") -gt 80000 ] && echo larger' # 96Mi

t 'pods of two nodes talk to each other, to the API server and to what the script runs'
bed_in two sh -c 'mkdir /tmp/www && echo here >/tmp/www/x && httpd -p 8080 -h /tmp/www'
ok is here bed_in one wget -q -O - "http://$(ip_of two):8080/x"
busybox httpd -f -p 127.0.0.1:18080 -h "$(mkdir www && echo script >www/x && echo www)" &
ok is script bed_in one wget -q -O - "http://$bed_host:18080/x"
ok is script bed_in two wget -q -O - "http://$bed_host:18080/x"
ok bed_in two sh -c 'nc -w 5 10.96.0.1 443 </dev/null'
kill $!

t 'a frozen volume is one volume alone'
# at_node N CLAIM: where the volume is mounted there
at_node() {
	bed_node "$1" sh -c 'ls -d /var/lib/kubelet/pods/*/volumes/kubernetes.io~csi/"$1"/mount' - \
		"$(field "pvc/$2" .spec.volumeName)"
}
ok bed_node 1 fsfreeze --freeze "$(at_node 1 files)"
ok bed_in two sh -c 'echo other >/data/other && sync -f /data/other'
ok bed_node 1 fsfreeze --unfreeze "$(at_node 1 files)"
ok bed_in one sh -c 'echo thawed >/data/other && sync -f /data/other'

t 'a disk is at one node at a time; a file share is at both'
k delete pod two --now >/dev/null
k run three --image=bed.test/busybox:1 --overrides='{"spec": {"nodeName": "node2", "containers": [{"name": "c",
	"image": "bed.test/busybox:1", "volumeMounts": [{"name": "v", "mountPath": "/data"}]}],
	"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "files"}}]}}' >/dev/null
ok bed_wait 30 told three 'attached to node node1'
k delete pod three --now --wait=false >/dev/null
bed_claim share 64Mi file
bed_pod left --node 1 share=/data
bed_pod right --node 2 share=/data
ok bed_in left sh -c 'echo shared >/data/file'
ok is shared bed_in right cat /data/file

t 'a driver fails, is late, and has its limits, as a test wants it'
bed_fault CreateSnapshot 'error RESOURCE_EXHAUSTED the quota of the account is used up'
k apply -f - >/dev/null <<-YAML
	apiVersion: snapshot.storage.k8s.io/v1
	kind: VolumeSnapshot
	metadata: {name: refused}
	spec: {volumeSnapshotClassName: disk, source: {persistentVolumeClaimName: files}}
YAML
error_of() { field "volumesnapshot/$1" .status.error.message | grep -E "$2"; }
ok bed_wait 30 error_of refused 'the quota of the account is used up'
bed_fault CreateSnapshot 'late 1s'
ok k wait --for='jsonpath={.status.readyToUse}=true' volumesnapshot/refused --timeout=60s >/dev/null
bed_fault CreateSnapshot
bed_fault snapshots-per-volume 2
says_so() { grep -q "$1" "$bed/log/disk.log"; }
k apply -f - >/dev/null <<-YAML
	apiVersion: snapshot.storage.k8s.io/v1
	kind: VolumeSnapshot
	metadata: {name: third}
	spec: {volumeSnapshotClassName: disk, source: {persistentVolumeClaimName: files}}
YAML
ok bed_wait 30 error_of third 'has 2 snapshots'
bed_fault ready-after 1h
bed_fault snapshots-per-volume
ok bed_wait 30 says_so 'CreateSnapshot.*<nil>'
# of its moment already, and not to be used yet
begun() { field volumesnapshot/third '.status.readyToUse} {.status.creationTime' | grep '^false 2'; }
ok bed_wait 60 begun
bed_fault ready-after
ok k wait --for='jsonpath={.status.readyToUse}=true' volumesnapshot/third --timeout=60s >/dev/null

t 'what was killed works again: the API server, etcd, the driver, a kubelet'
place=$(at_node 1 files)
bed_kill apiserver
ok says 'refused' k get nodes
ok is thawed bed_node 1 cat "$place/other"
bed_kill etcd
bed_start etcd
bed_start apiserver
for name in disk disk@1 kubelet@1 manager scheduler disk-provisioner disk-snapshotter snapshot-controller; do
	bed_kill $name
	bed_start $name
done
bed_claim later 64Mi
bed_pod four --node 1 later=/data
bed_snapshot s-later later
ok is Running field pod/one .status.phase
ok is thawed bed_in one cat /data/other

t 'a node loses its power, is missed, and comes back with what was on its disks'
ok bed_in one sh -c 'echo kept >/data/kept && sync -f /data/kept'
bed_node_off 1
missed() { [ "$(field node/node1 '.status.conditions[?(@.type=="Ready")].status')" = Unknown ]; }
ok bed_wait 60 missed
bed_node_on 1
bed_ready 1
# The pod is there as before; its processes are new.
again() { [ "$(field pod/one '.status.containerStatuses[0].restartCount')" -ge 1 ] && bed_in one true; }
ok bed_wait 90 again
ok is kept bed_in one cat /data/kept

t 'rights are those of RBAC, and which of them are used is known'
k create serviceaccount reader >/dev/null
k create role reader --verb=get,list --resource=pods >/dev/null
k create rolebinding reader --role=reader --serviceaccount=default:reader >/dev/null
token=$(k create token reader --duration=10m)
bed_kubeconfig "$bed/reader.kubeconfig" "token: $token"
as_reader() { KUBECONFIG=$bed/reader.kubeconfig "$bed_programs/kubectl" "$@"; }
ok as_reader get pods >/dev/null
ok says 'cannot list resource "secrets"' as_reader get secrets
ok is 'list /pods default' bash -c 'head -n 1' <<<"$(bed_rights system:serviceaccount:default:reader)"

t 'a CA and the key of service accounts are exchanged'
bed_rotate_ca add
bed_rotate_ca switch
ok as_reader get pods >/dev/null
ok is 'issuer=CN = CA 2 of a test' openssl x509 -noout -issuer -in "$bed/pki/server.crt"
bed_rotate_accounts
ok as_reader get pods >/dev/null
ok bed_wait 60 bed_in right true # the kubelets know of their pods again
bed_pod five --node 1 later=/data
bed_rotate_accounts drop
ok says 'Unauthorized|logged in' as_reader get pods

t 'helm sees the cluster'
ok is NAME bash -c 'cut -f 1 | xargs' <<<"$(helm list)"

t 'a second cluster beside the first has its own nodes and the same network'
first=$(ip_of two 2>/dev/null || ip_of right)
bed_up --region 2
bed_busybox
bed_pod far
ok is 'node1' field node '.items[*].metadata.name'
ok bed_in far ping -c 1 -W 5 "$first" >/dev/null
bed_down

t 'a cluster that was taken away has left nothing'
bed_use 1
bed_down
processes() { cat /proc/[0-9]*/comm | grep -vxE 'bash|cat|grep'; }
ok is '' processes
ok is '' bash -c 'grep -E "/aksdr-bed\.|netns" /proc/self/mountinfo'
ok is lo bash -c 'ls /proc/sys/net/ipv4/conf | grep -vE "^(all|default)$"'
ok is '' bash -c 'nft list ruleset'
ok is '' bed_loops below "$BED_INSIDE/"
ok is '' find /sys/fs/cgroup -name "aksdr-bed-$BED_ID-*"
ok is pid ls "$BED_INSIDE"
finish
