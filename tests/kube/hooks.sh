#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A policy's hooks in real pods: they run in the pods that use the claim, before and after the moment,
# what they say is in the point, and one that fails makes no point, unless it may. What came of each
# backup is told on the claim.
#
# timeout: 1200
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

bed_up --file 1
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"

bed_claim files 64Mi
bed_pod one --node 1 files=/data
bed_pod idle --node 1
k label pod one app=db >/dev/null
bed_in one sh -c 'echo content >/data/file && sync -f /data'

# policy NAME HOOK...: a policy for one backup, with these hooks
policy() {
	local hook
	cat >"$work/$1.yaml" <<-YAML
		apiVersion: aksdr.io/v1alpha1
		kind: BackupPolicy
		metadata: {name: $1, namespace: default}
		spec:
		  selector: {}
		  schedule: {cron: '@hourly'}
		  hooks:
	YAML
	for hook in "${@:2}"; do echo "  - {$hook}" >>"$work/$1.yaml"; done
}
claim_annotation() { k get pvc files -o json | jq -r --arg key "aksdr.io/$1" '.metadata.annotations[$key] // ""'; }
# told REASON PATTERN: there is such an event of the claim
told() {
	k get events -o json | jq -r --arg reason "$1" '.items[] | select(.reason == $reason and
		.involvedObject.name == "files") | .message' | grep -qE "$2"
}

t 'hooks run in the pod that uses the claim, around the moment, and what they say is in the point'
policy good "phase: pre, command: [sh, -c, 'echo before >/data/mark && sync -f /data && echo aksdr-fact lsn 0/16B3']" \
	"phase: post, command: [sh, -c, 'echo after >/data/mark']"
agent_backup 0 --policy "$work/good.yaml" pvc:default/files
json_is application items 0 consistency
first=$(json items 0 point)
ok [ "$(bed_in one cat /data/mark)" = after ]
AKSDR_KEY='' run 0 "$restore" volume --key "$recovery" --quiet files --target "$work/back"
ok [ "$(cat "$work/back/mark")" = before ]
ok [ "$(cat "$work/back/file")" = content ]
AKSDR_KEY='' run 0 "$restore" show --key "$recovery" --output json files
out '0/16B3'
out 'default/one: sh -c'

t 'the claim says so: an event, and which point is its last'
ok [ "$(claim_annotation last-restore-point)" = "$first" ]
ok [ "$(claim_annotation last-restore-point-consistency)" = application ]
ok told BackupSucceeded "restore point $first \(application,"

t 'a hook that fails makes no point, says why, and those behind the moment run'
policy bad "phase: pre, command: [sh, -c, 'echo no space >&2; exit 7']" \
	"phase: post, command: [sh, -c, 'echo went on >/data/mark']"
agent_backup 1 --policy "$work/bad.yaml" pvc:default/files
err "hook 'default/one: sh -c .*' ended with status 7: no space"
ok [ "$(bed_in one cat /data/mark)" = 'went on' ]
ok [ "$(claim_annotation last-restore-point)" = "$first" ]
ok told BackupFailed 'ended with status 7: no space'

t 'one that may fail makes a point of less, and one of a program that is not there tells so'
policy may "phase: pre, onError: continue, command: [/no/such/program]"
agent_backup 0 --policy "$work/may.yaml" pvc:default/files
json_is crash items 0 consistency
err 'a hook failed; the backup goes on'

t 'a command that does not end in time is a failure'
policy late "phase: pre, timeout: 2s, command: [sleep, '60']"
agent_backup 1 --policy "$work/late.yaml" pvc:default/files
err "default/one: sleep 60" # lint: allow sleep: it is what must be ended

t 'hooks are for the pods that the selector names; without one the point says so'
policy other "phase: pre, podSelector: {matchLabels: {app: none}}, command: [sh, -c, 'echo wrong >/data/mark']"
agent_backup 0 --policy "$work/other.yaml" pvc:default/files
json_is crash items 0 consistency
ok [ "$(bed_in one cat /data/mark)" = 'went on' ]
AKSDR_KEY='' run 0 "$restore" show --key "$recovery" --output json files
out '1 of 1 hooks of policy default/other had no running pod'

t 'a point of less than the policy wants is none'
policy strict "phase: pre, onError: continue, command: [sh, -c, 'exit 1']"
sed -i 's|^  hooks:|  consistency: {want: application, onLess: fail}\n  hooks:|' "$work/strict.yaml"
agent_backup 1 --policy "$work/strict.yaml" pvc:default/files
err application
finish
