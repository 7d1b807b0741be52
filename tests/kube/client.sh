#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The client of kube/ against a real API server: objects of all kinds, lists, watches, leases, events,
# rights and tokens; and what happens to them when the server forgets, ends, or changes its keys.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up --no-nodes --short-tokens
client=$BIN/tests/kube/client
export KUBECONFIG=$bed/admin.kubeconfig
k apply -f "$BED_PROGRAMS/crds" >/dev/null &&
	k wait --for=condition=Established crd --all --timeout=30s >/dev/null || exit 1
k create serviceaccount weak >/dev/null || exit 1
# The plug-in that gives pods an account is not told of one that a controller makes.
k create serviceaccount default >/dev/null 2>&1

# begin NAME ARGUMENT...: a client that runs until `end`; what it says goes to NAME.out
declare -A pid
declare -A input
begin() {
	local name=$1 fd
	shift
	mkfifo "$work/$name.in"
	"$client" "$@" <"$work/$name.in" >"$work/$name.out" 2>&1 &
	pid[$name]=$!
	exec {fd}>"$work/$name.in"
	input[$name]=$fd
}
end() {
	# The server that was started meanwhile has this descriptor too: closing it is no end.
	(trap '' PIPE && printf q >&"${input[$1]}") 2>/dev/null # it may have ended by itself
	wait "${pid[$1]}"
}
# says NAME PATTERN [TIMES]: it has, or does within a minute
said() { [ "$(grep -cE "$2" "$work/$1.out")" -ge "${3:-1}" ]; }
says() { bed_wait 60 said "$@" || { cat "$work/$1.out" && false; }; }
kinds='Pod Node Namespace PersistentVolumeClaim PersistentVolume Secret StorageClass CSIDriver VolumeAttachment Lease '
kinds+='Event VolumeSnapshot VolumeSnapshotContent VolumeSnapshotClass'

t 'objects of all kinds are made, read, replaced, changed, applied and deleted; who comes late learns of it'
run 0 "$client" crud
ok [ "$(xargs <"$work/.out")" = "$kinds" ]

t 'a kind that the server does not know is told from an object that is not there'
run 1 "$client" unknown
err 'not_found: .*this kind of object is not known there'
run 1 "$client" get missing
err "not_found: reading Secret 'default/missing': the API server says 404 NotFound: secrets \"missing\" not found"

t 'a list of 705 objects comes in pages, and a selector goes with each'
run 0 "$client" fill 705
run 0 "$client" list
out '^704 in 3 requests'

t 'a watch tells what is there, what comes, what changes and what goes'
begin w watch
ok says w '^synced'
k label secret s1 v=2 >/dev/null
k delete secret s2 >/dev/null
ok says w '^put s1 2'
ok says w '^gone default/s2'

t 'a server that is killed and comes back is trouble, and then works; what went meanwhile is told'
bed_kill apiserver
ok says w '^retry: '
bed_start apiserver
ok says w '^works'
k label secret s3 v=3 >/dev/null
ok says w '^put s3 3'
end w
ok grep -q 'stopped within [12] s' "$work/w.out"

t 'a version that the server has forgotten leads to a list, and what went meanwhile is gone'
begin w2 watch
ok says w2 '^synced'
k_etcd() { ETCDCTL_API=3 etcdctl --endpoints "http://127.0.0.1:20101" "$@"; }
bed_kill apiserver
ok says w2 '^retry: '
k_etcd del /registry/secrets/default/s4 >/dev/null
k_etcd compact "$(k_etcd get / --write-out=json | jq .header.revision)" >/dev/null
bed_start apiserver
ok says w2 '^gone default/s4'
ok says w2 '^synced' 2
end w2

t 'of two who want a lease one gets it; after its death the other one does, and sees its notes'
begin a lease a now
ok says a '^noted'
run 1 "$client" lease b now
out '^by a'
err "busy: taking Lease 'default/one': it is held by 'a'"
begin b lease b wait
kill -KILL "${pid[a]}"
ok says b '^held after a'
ok says b '^noted'

t 'a lease that is given up is free at once; one that another takes is lost'
end b
ok grep -q '^released' "$work/b.out"
begin c lease c now
ok says c '^noted'
ok grep -q '^held after b' "$work/c.out"
k patch lease one --type merge -p '{"spec": {"holderIdentity": "d"}}' >/dev/null
ok says c '^lost'
end c

t 'a holder who cannot reach the server knows that it has lost the lease'
k patch lease one --type merge -p '{"spec": {"holderIdentity": null}}' >/dev/null
begin f lease f now
ok says f '^noted'
bed_kill apiserver
ok says f '^lost'
bed_start apiserver
end f

t 'an event that comes again counts up'
run 0 "$client" event
event() { k get events.events.k8s.io -o "jsonpath={.items[?(@.regarding.name==\"s1\")]$1}"; }
ok [ "$(event .series.count)" = 3 ]
ok [ "$(event .type)/$(event .reason)" = Warning/BackupFailed ]

t 'rights are asked for, of us and of others'
bed_user weak
k create role reader --verb=get --resource=secrets >/dev/null
k create rolebinding weak --role=reader --user=weak >/dev/null
run 0 "$client" may self delete secrets
out '^yes'
run 0 "$client" may weak get secrets
out '^yes'
run 0 "$client" may weak delete secrets
out '^no'
KUBECONFIG=$bed/weak.kubeconfig run 0 "$client" may self list secrets
out '^no'
KUBECONFIG=$bed/weak.kubeconfig run 1 "$client" list
err 'denied: listing secrets in namespace .default.: the API server says 403 Forbidden: .*cannot list'

t 'a token of a service account is good for its audience, and one that is refused is read again at once'
k create rolebinding weak-account --role=reader --serviceaccount=default:weak >/dev/null
run 0 "$client" token weak https://kubernetes.default.svc
ok [ "$(wc -l <"$work/.out")" = 1 ]
cp "$work/.out" "$work/good"
echo no-token >"$work/token"
bed_kubeconfig "$work/token.kubeconfig" "tokenFile: $work/token"
export KUBECONFIG=$work/token.kubeconfig
begin g gets s1
printf . >&"${input[g]}"
ok says g '^denied: .*401 Unauthorized'
cp "$work/good" "$work/token"
printf . >&"${input[g]}"
ok says g '^s1'
KUBECONFIG=$bed/admin.kubeconfig run 0 "$client" token weak https://kubernetes.default.svc
cp "$work/.out" "$work/older"
bed_rotate_accounts
bed_rotate_accounts drop
printf . >&"${input[g]}"
ok says g '^denied: .*401 Unauthorized' 2
KUBECONFIG=$bed/admin.kubeconfig run 0 "$client" token weak https://kubernetes.default.svc
cp "$work/.out" "$work/token"
printf . >&"${input[g]}"
ok says g '^s1' 2

t 'a token for another audience is not taken'
KUBECONFIG=$bed/admin.kubeconfig run 0 "$client" token weak elsewhere
cp "$work/.out" "$work/token"
run 1 "$client" get s1
err '^denied: .*401'
end g

t 'a plugin is asked for the token'
KUBECONFIG=$bed/admin.kubeconfig run 0 "$client" token weak https://kubernetes.default.svc
cp "$work/.out" "$work/good"
cat >"$work/plugin" <<-'PLUGIN'
	#!/bin/sh
	echo "$KUBERNETES_EXEC_INFO" >info
	printf '{"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "%s"}}' "$(cat "$1")"
PLUGIN
chmod +x "$work/plugin"
bed_kubeconfig "$work/exec.kubeconfig" \
	"exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [\"$work/good\"]," \
	'  provideClusterInfo: true}'
KUBECONFIG=$work/exec.kubeconfig run 0 "$client" get s1
out '^s1'
ok jq -e '.spec.cluster.server != null and .spec.interactive == false' "$work/info"

t 'a CA that is exchanged is read again, and a server of an unknown CA is refused'
cp "$bed_ca" "$work/old-ca"
export KUBECONFIG=$bed/weak.kubeconfig
begin h gets s1
printf . >&"${input[h]}"
ok says h '^s1'
bed_rotate_ca add
bed_rotate_ca switch
printf . >&"${input[h]}"
ok says h '^s1' 2
end h
sed "s|certificate-authority: .*|certificate-authority: $work/old-ca|" "$KUBECONFIG" >"$work/old.kubeconfig"
KUBECONFIG=$work/old.kubeconfig run 1 "$client" get s1
err 'denied: .*certificate of 127.0.0.1:.* is not accepted'
finish
