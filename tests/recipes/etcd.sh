#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# etcd with one member, while keys are put: snapshots of its directory, and copies of its own.
needs=(etcd etcdctl curl)
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "$0")/lib.sh"
disk xfs
new_repo repo

data=$vol/data/member1
user_dir "$work/logs" "$vol/data/copy"
export ETCDCTL_API=3 no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
# start NAME DIR [OPTION]...: sets endpoint and pid
start() {
	local name=$1 dir=$2 client peer
	shift 2
	read -r client peer < <(free_ports 2)
	client=http://127.0.0.1:$client peer=http://127.0.0.1:$peer
	: >"$work/logs/$name.log"
	as_user etcd --name member1 --data-dir "$dir" --listen-client-urls "$client" --advertise-client-urls "$client" \
		--listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "member1=$peer" \
		--snapshot-count 200 --logger zap "$@" >"$work/logs/$name.log" 2>&1 &
	pid=$!
	endpoint=$client
	await_line "$work/logs/$name.log" 'serving client|published local member' "$pid" ||
		{ tail -n 20 "$work/logs/$name.log"; return 1; }
}
ask() { ETCDCTL_ENDPOINTS=$1 etcdctl "${@:2}"; }
start main "$data" || exit 1
main=$endpoint
export ETCDCTL_ENDPOINTS=$main
insert() {
	local key
	key=$(printf 'n/%08d' "$1" | base64)
	curl -sf "$main/v3/kv/put" -d "{\"key\":\"$key\",\"value\":\"$key\"}" >/dev/null
}
# whole ENDPOINT TIME: the server of a copy has all, in the order of revisions, from the revision of the facts on
whole() {
	local revision
	ask "$1" get n/ --prefix --keys-only --sort-by=CREATE | sed -n 's|^n/0*||p' >numbers
	judge numbers "$2"
	revision=$(ask "$1" endpoint status --write-out=json | sed 's/.*"revision":\([0-9]*\).*/\1/')
	ok test "$revision" -ge "$(fact revision)"
	run 0 ask "$1" endpoint hashkv
	run 0 ask "$1" snapshot save "$work/of-copy.db"
	run 0 etcdctl snapshot status "$work/of-copy.db"
}

t 'a snapshot has what was acknowledged before it'
write_numbers insert
await_acks 300
capture etcd auto "$vol/data"
json_is reflink items 0 driver
json_is application items 0 consistency
await_acks 50
ok test -n "$(fact cluster-id)"
ok test "$(fact raft-term)" -ge 1
give_back back1
start back1 "$work/back1/member1" --force-new-cluster || bad 'no server on the copy'
whole "$endpoint" "$frozen"

t 'a copy has what was acknowledged before the hook'
export ETCD_MODE=copy ETCD_COPY=$vol/data/copy/snapshot.db
capture etcd live "$vol/data/copy"
await_acks 50
give_back back2
ok test "$(echo back2/*)" = back2/snapshot.db
run 0 etcdctl snapshot status back2/snapshot.db
run 0 etcdctl snapshot restore back2/snapshot.db --data-dir restored
chown -R nobody:nogroup restored
start back2 "$work/restored" --force-new-cluster || bad 'no server from the copy'
whole "$endpoint" "$before"
stop_writer

t 'settings that make no sense'
run 1 env ETCD_COPY= "$recipes/etcd" pre
err 'ETCD_COPY is not set'
run 1 env ETCD_MODE=none "$recipes/etcd" pre
err "not 'none'"
run 0 "$recipes/etcd" post

t 'no server: no point'
unset ETCD_MODE
ETCDCTL_ENDPOINTS=http://127.0.0.1:$(free_ports 1)
run 1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/etcd' pre" "none=$vol/data"
err 'the member does not answer'
finish
