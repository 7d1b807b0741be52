#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A store that locks what it gets, by a real server: the agent that leads keeps the locks of restore points long enough
# and tells what came of it, without anybody who runs `aksdr-catalog lock`.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$bed_cache . "$bed_here/../servers/lib.sh"
need_server versity
bed_up --no-nodes
agent=$BIN/aksdr-agent catalog=$BIN/aksdr-catalog
src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
k apply -f "$src/helm/aksdr/crds" -f "$BED_PROGRAMS/crds" >/dev/null &&
	k wait --for=condition=Established crd --all --timeout=30s >/dev/null || exit 1
k create namespace aksdr >/dev/null || exit 1
start_versity
url="s3://locked/r?${s3_url#*\?}"
export AKSDR_KEY=$work/keys/agent.key AKSDR_STATE=$work/state
run 0 "$agent" init --store "$url&lock=2d" --keys "$work/keys" --quiet
mkdir data && head -c 3000000 /dev/urandom >data/a
for step in 1 2; do
	echo $step >data/step
	run 0 "$agent" backup "data=$work/data" --store "$url&lock=2d" --quiet
done

# start TIME [OPTION]...: an agent whose store locks for that long
start() {
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_STATE=$work/agent AKSDR_STORE="$url&lock=$1" "$agent" run --node node1 \
		--namespace aksdr --pod agent --cluster test --listen 127.0.0.1:19763 "${@:2}" >>"$work/log" 2>&1 &
	pid=$!
}
stop() { kill "$pid" && wait "$pid"; }
answers() { curl -s --noproxy '*' "http://127.0.0.1:19763/metrics" | grep -qE "$1"; }
# short TIME: objects whose locks are too short for points that are to be locked so long
short() {
	"$catalog" lock --store "$url&lock=2d" --for "$1" --margin 0s --dry-run --output json | jq .objects_too_short
}

t 'a secondary, and an agent that is to leave locks alone, change none'
ok [ "$(short 10d)" -gt 4 ]
start 10d --role secondary
ok bed_wait 60 answers '^aksdr_catalog_points\{state="present"\} 2'
stop
start 10d --no-locks
ok bed_wait 60 answers '^aksdr_catalog_points\{state="present"\} 2'
ok not answers '^aksdr_agent_locks_failed'
stop
ok [ "$(short 10d)" -gt 4 ]

t 'the agent that leads extends them, and says that all is locked'
start 10d
ok bed_wait 60 answers '^aksdr_agent_locks_failed 0'
ok bed_wait 60 answers '^aksdr_points_not_locked 0'
ok answers '^aksdr_lock_look_timestamp_seconds [1-9]'
ok [ "$(short 10d)" = 0 ]
ok grep -q 'restore points are locked' "$work/log"

t 'what was done is in the audit trail, and who has an eye on the catalog of another machine sees it, too'
run 0 "$catalog" sync --store "$url" --key "$work/keys/audit.key" --quiet
run 0 "$catalog" audit list --act lock --output json
out "locks of the store, daily, by cluster 'test': [1-9][0-9]* objects extended"
out '"all restore points: 2"'

t 'once a day is enough: an agent that begins anew has nothing to do'
stop
start 20d
ok bed_wait 60 answers '^aksdr_points_not_locked 0'
ok not answers '^aksdr_agent_locks_failed'
ok [ "$(short 20d)" -gt 4 ]
stop

t 'what cannot be locked, since it is not there, is told'
rm -rf "$work/agent"
find "$servers/versity.data/root/locked/r/pack" -type f -delete
start 30d
ok bed_wait 60 answers '^aksdr_agent_locks_failed 1'
ok grep -q 'not all restore points are locked.*so not all is known that must be locked' "$work/log"
stop
finish
