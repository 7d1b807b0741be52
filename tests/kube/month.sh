#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A month: every night a volume is backed up and its plan is tried, every week old points expire and a collection
# follows. In the seventeenth night a pack is damaged. The drill of that night says so, and those after it, until a
# repair and the next backup have made it whole. Every other night passes, and nothing piles up in the cluster.
#
# timeout: 2400
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

nights=${NIGHTS:-30}
damaged=17
repaired=19

bed_up 1
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"
restore_template "$work/restore.yaml"

plan=$work/plan.yaml
cat >"$plan" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop}
	spec:
	  mode: hot/cold
	  primary: {cluster: we}
	  selector: {namespaces: [default]}
	  rpo: 24h
	  rto: 1h
	  drill:
	    cron: "0 5 * * *"
	    check:
	      image: bed.test/busybox:1
	      command: [sh, -c, "tail -n 1 /volumes/data/log && cd /volumes/data && md5sum -c sums"]
	      timeout: 1m
YAML
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery run "$wanted" "$restore" "$@"
}
drill() { tool "$1" drill "$plan" --mover-template "$work/restore.yaml" --output json; }
left() {
	k get namespaces -o name | grep drill-
	k -n aksdr get pvc,pods,secrets -o name
	k get pv -o json | jq -r '.items[] | select(.spec.claimRef.namespace != "default") | .metadata.name'
}
nothing_left() { [ -z "$(left)" ]; }
# night N: what the application has done that day
day() {
	bed_in one sh -c "cd /data && echo 'day $1' >>log && head -c 1500000 /dev/urandom >day$1 &&
		rm -f day$(($1 - 6)) && md5sum day* >sums && sync"
}
newest_pack() { find "$store_dir/pack" -type f -size +1M -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f 2; }

bed_claim data 64Mi
bed_pod one data=/data

good=0
for ((night = 1; night <= nights; night++)); do
	case $night in
	1) t 'the nights before: every drill passes' ;;
	"$damaged") t 'a pack is damaged: the drill of that night finds it, and says so loudly' ;;
	$((damaged + 1))) t 'and so does the next one: nobody has done anything' ;;
	"$repaired") t 'a repair and the next backup: what comes back is whole again' ;;
	$((repaired + 1))) t 'and every night after it' ;;
	esac
	day $night
	if [ $night -eq $repaired ]; then
		run 5 "$catalog" repair --key "$agent_key"
	fi
	agent_backup 0 --cluster we pvc:default/data
	if [ $night -eq $damaged ]; then
		pack=$(newest_pack)
		printf 'damage' | dd of="$pack" bs=1 seek=700000 conv=notrunc 2>/dev/null
	fi
	if [ $night -ge $damaged ] && [ $night -lt $repaired ]; then
		drill 5
		ok [ "$(jq -r '.passed' "$work/.out")" = false ]
	else
		drill 0
		ok [ "$(jq -r '.passed' "$work/.out")" = true ]
		good=$((good + 1))
	fi
	ok bed_wait 90 nothing_left
	if [ $((night % 7)) -eq 0 ]; then
		run 0 "$catalog" retain --key "$agent_key" --keep-last 7 --floor-age 1s --max-share 100
		run 0 "$catalog" gc --key "$agent_key" --keep-young 0s --max-share 100 --wait
	fi
done

t 'all of it can be shown afterwards'
tool 0 drills --output json
ok [ "$(jq '.items | length' "$work/.out")" = "$nights" ]
ok [ "$(jq '[.items[] | select(.passed)] | length' "$work/.out")" = "$good" ]
run 0 "$catalog" check --key "$recovery" --level 4
ok [ "$(bed_in one tail -n 1 /data/log)" = "day $nights" ]

finish
