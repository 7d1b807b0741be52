#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Claims of a real cluster are backed up and come back as they were at the moment of their snapshots:
# file systems, block devices, sets, claims that nobody uses, and those that can have no snapshot. A
# backup that is killed at any step leaves what the next one removes; after each there is nothing left.
#
# timeout: 1200
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

bed_up --file 2
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"
before=$(agent_objects)

# left: what there is that was not there before the backups. Deleting takes its time.
nothing_left() { [ "$(agent_objects)" = "$before" ]; }
# back CLAIM: restores the newest point of the claim into a directory or file of its own, and prints where
back() {
	rm -rf "$work/back"
	AKSDR_KEY='' "$restore" volume --key "$recovery" --quiet "$1" --target "$work/back" >"$work/.back" 2>&1 ||
		sed 's/^/   /' "$work/.back"
	echo "$work/back"
}
# tree CLAIM-POD PATH: what is there as the pod sees it: names, modes, owners, contents
tree() { bed_in "$1" sh -c "cd $2 && find . ! -path './lost+found*' -type f | sort | xargs md5sum"; }
own_tree() { (cd "$1" && find . ! -path './lost+found*' -type f | sort | xargs md5sum); }
lease_of() { k -n aksdr get lease "aksdr-v-$(k get pvc "$1" -o 'jsonpath={.metadata.uid}' | tr -d '\n' |
	sha256sum | cut -c 1-16)" -o json; }
noted() { lease_of "$1" | jq -r --arg key "aksdr.io/$2" '.metadata.annotations[$key] // ""'; }

bed_claim files 64Mi
bed_claim block 64Mi disk Block
bed_pod one --node 1 files=/data block=/dev/disk
bed_in one sh -c 'mkdir -p /data/a/b && echo first >/data/a/file && head -c 300000 /dev/urandom >/data/a/b/noise &&
	chmod 600 /data/a/file && ln -s a/file /data/link && sync -f /data &&
	head -c 5000000 /dev/urandom | dd of=/dev/disk conv=fsync 2>/dev/null'
before=$(agent_objects)

t 'a claim with a file system comes back, and nothing is left in the cluster'
tree one /data >"$work/files.sums"
agent_backup 0 pvc:default/files
json_is files items 0 volume
json_is crash items 0 consistency
json_is csi items 0 driver
own_tree "$(back files)" >"$work/back.sums"
ok diff "$work/files.sums" "$work/back.sums"
ok [ "$(readlink "$work/back/link")" = a/file ]
ok [ "$(stat -c %a "$work/back/a/file")" = 600 ]
ok bed_wait 60 nothing_left
ok [ "$(noted files outcome)" = succeeded ]
ok [ "$(noted files intents)" = '' ]
ok [ "$(noted files claim)" = default/files ]

t 'its point says what the claim was, for a cluster that has it no more'
AKSDR_KEY='' run 0 "$restore" show --key "$recovery" --output json files
ok [ "$(jq -r '.claim | "\(.storage_class) \(.driver) \(.size_bytes) \(.access_modes[0])"' "$work/.out")" = \
	'disk disk.bed.test 67108864 ReadWriteOnce' ]
ok [ "$(jq -r '.claim.images[]' "$work/.out" | sed 's/@.*//; s|.*bed.test/||')" = busybox:1 ]

t 'a block device comes back'
agent_backup 0 pvc:default/block
bed_in one sh -c 'md5sum </dev/disk' >"$work/block.sum"
ok diff "$work/block.sum" <(md5sum <"$(back block)")
ok bed_wait 60 nothing_left

t 'two claims of one call are one set, with their snapshots asked for together'
agent_backup 0 pvc:default/files pvc:default/block
json_is files items 0 volume
json_is block items 1 volume
ok [ "$(json items 0 set)" = "$(json items 1 set)" ]
ok [ "$(json items 0 moment)" = window ]
ok bed_wait 60 nothing_left

t 'what a pod writes after the moment is not in the point, and a claim that nobody uses is backed up too'
tree one /data >"$work/files.sums"
bed_fault ready-after 3s
KUBECONFIG=$bed/admin.kubeconfig "$agent" backup --agent-namespace aksdr --mover-template "$work/mover.yaml" \
	pvc:default/files >"$work/run.log" 2>&1 &
pid=$!
taken() { [ -n "$(k get volumesnapshot -n default -o 'jsonpath={.items[*].status.creationTime}')" ]; }
ok bed_wait 30 taken
bed_in one sh -c 'echo later >/data/a/file; echo more >/data/later; sync -f /data'
ok wait $pid
bed_fault ready-after
own_tree "$(back files)" >"$work/back.sums"
ok diff "$work/files.sums" "$work/back.sums"
tree one /data >"$work/files.sums"
k delete pod one --now >/dev/null
agent_backup 0 pvc:default/files
own_tree "$(back files)" >"$work/back.sums"
ok diff "$work/files.sums" "$work/back.sums"
ok bed_wait 60 nothing_left
bed_pod one --node 1 files=/data block=/dev/disk

t 'the agent reads at its node, without a mover'
sed "s|server: .*|server: https://$bed_host:$bed_port|" "$bed/admin.kubeconfig" >"$bed/node.kubeconfig"
# at_node1 STATUS OPTION... CLAIM...
at_node1() {
	local wanted=$1
	shift
	run "$wanted" bed_node 1 env KUBECONFIG="$bed/node.kubeconfig" "$agent" backup --agent-namespace aksdr \
		--mover-template "$work/mover.yaml" --reader node --node node1 --output json "$@"
}
at_node1 0 pvc:default/files pvc:default/block
json_is csi items 0 driver
own_tree "$(back files)" >"$work/back.sums"
ok diff "$work/files.sums" "$work/back.sums"
ok diff "$work/block.sum" <(md5sum <"$(back block)")
ok bed_wait 60 nothing_left

t 'a Lease of somebody else: nothing is begun, and the status is 6'
lease=aksdr-v-$(k get pvc files -o 'jsonpath={.metadata.uid}' | tr -d '\n' | sha256sum | cut -c 1-16)
hold() {
	k -n aksdr patch lease "$lease" --type merge -p "{\"spec\": {\"holderIdentity\": \"node9-1\",
		\"leaseDurationSeconds\": 15, \"renewTime\": \"$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)\"}}" >/dev/null
}
hold
agent_backup 6 pvc:default/files
err "being backed up by 'node9-1'"
ok nothing_left
k -n aksdr patch lease "$lease" --type merge -p '{"spec": {"holderIdentity": null}}' >/dev/null

t 'a shared directory, which can have no snapshot, is read as it is, and the point says so'
bed_claim share 64Mi file
bed_pod two --node 2 share=/data
bed_in two sh -c 'mkdir /data/d && echo shared >/data/d/file && sync'
before=$(agent_objects)
tree two /data >"$work/share.sums"
agent_backup 0 pvc:default/share
json_is fuzzy items 0 consistency
ok grep -q 'no VolumeSnapshotClass of the driver' <<<"$(json items 0 fallback)"
ok grep -q 'no VolumeSnapshotClass of the driver' <<<"$(noted share message)"
own_tree "$(back share)" >"$work/back.sums"
ok diff "$work/share.sums" "$work/back.sums"
ok bed_wait 60 nothing_left
ok bed_in two cat /data/d/file >/dev/null

t 'without a class of snapshots a disk is read as it is at the node that has it, and stays as it is'
k delete volumesnapshotclass disk >/dev/null
agent_backup 0 pvc:default/files
json_is fuzzy items 0 consistency
own_tree "$(back files)" >"$work/back.sums"
ok diff "$work/files.sums" "$work/back.sums"
ok bed_wait 60 nothing_left
ok bed_in one sh -c 'echo works >/data/works && sync -f /data'
agent_backup 1 --driver csi pvc:default/files
err 'there is no VolumeSnapshotClass of the driver'
k create --raw /apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses -f "$bed_here/snapshot-class.json" >/dev/null

t 'a policy that wants more than fuzzy has no point of less'
cat >"$work/policy.yaml" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: BackupPolicy
	metadata: {name: strict}
	spec: {selector: {}, schedule: {cron: '@daily'}, consistency: {want: crash, onLess: fail}, exclude: [works]}
YAML
agent_backup 1 --policy "$work/policy.yaml" pvc:default/share
err 'the view is fuzzy and not crash'
ok [ "$(noted share outcome)" = failed ]
agent_backup 0 --policy "$work/policy.yaml" pvc:default/files
ok [ ! -e "$(back files)/works" ]
ok [ -e "$work/back/a/file" ]
ok bed_wait 60 nothing_left

# background CLAIM...: a backup whose process is $pid
background() {
	KUBECONFIG=$bed/admin.kubeconfig "$agent" backup --agent-namespace aksdr --mover-template "$work/mover.yaml" \
		--output json "$@" >"$work/.background" 2>&1 &
	pid=$!
}
# ended STATUS: it ends so
ended() {
	wait $pid
	local got=$?
	[ $got -eq "$1" ] || { echo "   status $got" && sed 's/^/   /' "$work/.background" && false; }
}
# there is one of ours: there KIND NAMESPACE
there() { [ -n "$(k -n "$2" get "$1" -o name -l app.kubernetes.io/managed-by=aksdr)" ]; }
lease_free() { agent_backup '0|6' pvc:default/files && [ "$status" -eq 0 ]; }

t 'a backup that is killed at any step leaves what the next one removes'
for step in 'volumesnapshots default' 'persistentvolumeclaims aksdr' 'pods aksdr'; do
	case $step in
	vol*) bed_fault ready-after 5s ;;
	*) bed_fault NodePublishVolume 'delay 3s' ;;
	esac
	background pvc:default/files
	# shellcheck disable=SC2086 # two words
	ok bed_wait 30 there $step
	kill -KILL $pid
	wait $pid 2>/dev/null
	bed_fault ready-after
	bed_fault NodePublishVolume
	ok not nothing_left
	agent_backup 6 pvc:default/files
	ok bed_wait 90 lease_free
	ok bed_wait 60 nothing_left
	ok [ "$(noted files outcome)" = succeeded ]
done

t 'a backup that is told to end takes all away, and its status is 130'
bed_fault ready-after 60s
background pvc:default/files
ok bed_wait 30 there volumesnapshots default
kill -TERM $pid
ok ended 130
bed_fault ready-after
ok bed_wait 60 nothing_left
ok [ "$(noted files outcome)" = cancelled ]

t 'a mover that is taken away is told, and leaves nothing'
bed_fault NodePublishVolume 'delay 5s'
background pvc:default/files
ok bed_wait 30 there pods aksdr
k -n aksdr delete pods -l app.kubernetes.io/managed-by=aksdr --now --wait=false >/dev/null
ok ended 1
ok grep -q 'the mover .*deleted\|the mover ended' "$work/.background"
bed_fault NodePublishVolume
ok bed_wait 60 nothing_left
ok [ "$(noted files failures)" = 2 ] # with the one before

t 'a limit of snapshots that stays is told in a fuzzy point; one that goes is waited for'
bed_fault CreateSnapshot 'error RESOURCE_EXHAUSTED the quota of the account is used up'
background pvc:default/files
ok bed_wait 30 there volumesnapshots default
bed_fault CreateSnapshot
ok ended 0
ok grep -q '"consistency": *"crash"' "$work/.background"
ok bed_wait 60 nothing_left
finish
