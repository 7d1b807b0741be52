#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two regions: the cluster of the first one is backed up and lost, and the second one gets its volumes
# by plan. Only what has a point comes back; nobody sees a claim that is half filled; whoever is killed is
# gone on with; the old cluster commits nothing that counts.
#
# timeout: 1800
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-agent.sh
. "$bed_here/lib-agent.sh"

bed_up 1
bed_busybox
agent_image
agent_repo repo
agent_namespace aksdr
mover_template "$work/mover.yaml"
bed_up --region 2 1
bed_busybox
bed_image "$(echo "$work"/image/*.oci.tar)"
k create namespace aksdr >/dev/null
restore_template "$work/restore.yaml"

plan=$work/plan.yaml
cat >"$plan" <<-YAML
	apiVersion: aksdr.io/v1alpha1
	kind: RestorePlan
	metadata: {name: shop}
	spec:
	  mode: hot/cold
	  primary: {cluster: we}
	  secondary: {cluster: ne}
	  selector: {namespaces: [default]}
	  stages:
	    - {name: database, selector: {volumes: [default/orders]}}
	    - {name: rest, selector: {}}
	  rpo: 1h
YAML
# tool STATUS VERB...: aksdr-restore with the second cluster
tool() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery run "$wanted" "$restore" "$@"
}
failover() {
	local wanted=$1
	shift
	tool "$wanted" failover "$plan" --reason 'region lost' --mover-template "$work/restore.yaml" --output json "$@"
}
tree() { bed_in "$1" sh -c "cd $2 && find . ! -path './lost+found*' | sort | xargs stat -c '%n %f %u %g' &&
	find . ! -path './lost+found*' -type f | sort | xargs md5sum"; }
# staging: what a run has in the tool's namespace and between two claims
staging() { k -n aksdr get pvc,pods,secrets -o name && k get pv -o name -l aksdr.io/fill; }
# same POD: what it has is what the first cluster's had
same() {
	tree "$1" /orders >"$work/back" && ok diff "$work/orders.tree" "$work/back"
	tree "$1" /web >"$work/back" && ok diff "$work/web.tree" "$work/back"
	ok [ "$(bed_in "$1" sh -c 'md5sum </dev/disk')" = "$(cat "$work/raw.sum")" ]
}
lose() { k delete pod one --now >/dev/null; k delete pvc orders web raw >/dev/null; bed_wait 60 no_volumes; }
no_volumes() { [ -z "$(k get pv -o name)" ]; }

bed_use 1
bed_claim orders 64Mi
bed_claim web 64Mi
bed_claim raw 64Mi disk Block
k label pvc orders tier=data >/dev/null
k annotate pvc orders example.com/owner=shop >/dev/null
bed_pod one orders=/orders web=/web raw=/dev/disk
bed_in one sh -c 'mkdir -p /orders/a && echo first >/orders/a/file && head -c 3000000 /dev/urandom >/orders/noise &&
	chown 33:44 /orders/a/file && chmod 640 /orders/a/file && ln -s a/file /orders/link &&
	echo w >/web/index && sync &&
	head -c 5000000 /dev/urandom | dd of=/dev/disk conv=fsync 2>/dev/null'
tree one /orders >"$work/orders.tree"
tree one /web >"$work/web.tree"
bed_in one sh -c 'md5sum </dev/disk' >"$work/raw.sum"


t 'a plan tells what would be lost, and nothing is written'
agent_backup 0 --cluster we pvc:default/orders pvc:default/web pvc:default/raw
bed_use 2
tool 0 plan "$plan" --output json
ok [ "$(jq '.items | length' "$work/.out")" = 3 ]
ok [ "$(jq -r '.items[0] | "\(.stage) \(.volume) \(.target_namespace) \(.storage_class)"' "$work/.out")" = \
	'database orders default disk' ]
ok [ "$(jq '.blocked' "$work/.out")" = 0 ]
failover 0 --dry-run
ok [ -z "$(staging)" ]
ok [ -z "$(find "$store_dir" -path '*/ctl/run/*')" ]

t 'a failover: all volumes are there as they were, with labels, and the plan is served here'
failover 0
ok [ "$(jq -r '.fenced, .promoted' "$work/.out" | tr '\n' ' ')" = 'true true ' ]
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/.out")" = restored ]
ok [ "$(k get pvc orders -o 'jsonpath={.metadata.labels.tier} {.metadata.annotations.example\.com/owner}')" = \
	'data shop' ]
ok [ "$(k get pv -o 'jsonpath={.items[*].spec.persistentVolumeReclaimPolicy}')" = 'Delete Delete Delete' ]
ok [ -z "$(staging)" ]
bed_pod one orders=/orders web=/web raw=/dev/disk
same one

t 'the first cluster comes back: it cannot commit, and says so'
bed_use 1
agent_backup 6 --cluster we pvc:default/orders
err fenced
bed_use 2

t 'once more: it is done already; anew: the claims are in the way, and what is there is not touched'
failover 0
ok [ "$(jq -r '.already, .promoted, (.items | length)' "$work/.out" | tr '\n' ' ')" = 'true true 0 ' ]
tool 0 failover "$plan" --reason 'region lost'
out '^ne serves the plan .* since .*: nothing was done; --new restores it once more'
failover 1 --new
err 'stand in the way'
ok grep -q default/orders "$work/.err"
failover 3 --force
ok [ "$(jq -r '.items[0].why' "$work/.out" | grep -c 'not of this run')" = 1 ]
same one

runs() { find "$store_dir/ctl/run" -mindepth 1 -maxdepth 1 -type d | wc -l; }
# killed SECONDS [OPTION]...: a failover that is killed so long after its beginning, unless it has ended by then
killed() {
	local seconds=$1
	shift
	# The shell tells of jobs that were killed.
	{
		KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery timeout --signal KILL "$seconds" \
			"$restore" failover "$plan" --reason 'region lost' \
			--mover-template "$work/restore.yaml" --movers 1 --quiet "$@"
	} >"$work/.killed" 2>&1
}

t 'whoever is killed, at whatever it is, is gone on with, and all is as it was'
lose
before=$(runs)
first=--new # the run from before has not ended, or its cluster serves
for try in {1..20}; do
	# Each one gets a little further than the one before, whatever the machine does meanwhile.
	killed "$((try / 4 + 1)).$((try % 4 * 2))" $first && break
	[ "$(runs)" = "$before" ] || first=
done
ok [ "$try" -gt 3 ]
ok [ "$(runs)" = $((before + 1)) ]
ok [ -z "$(staging)" ]
bed_pod one orders=/orders web=/web raw=/dev/disk
same one

t 'a run of somebody else is not gone on with by chance'
lose
before=$(runs)
for try in {1..20}; do
	[ "$(runs)" = "$before" ] || break
	killed "$try" --new
done
hostname other-host
failover 6
err 'has begun this run'
failover 0 --resume
ok [ "$(runs)" = $((before + 1)) ]
bed_pod one orders=/orders web=/web raw=/dev/disk
same one

t 'the way back is not begun while something runs, and the volumes are those of the second cluster then'
bed_in one sh -c 'echo second >/orders/a/file && rm /orders/noise && echo more >/web/more && sync'
tree one /orders >"$work/orders.tree"
tree one /web >"$work/web.tree"
serving=$bed/admin.kubeconfig
# failback STATUS [OPTION]...
failback() {
	local wanted=$1
	shift
	tool "$wanted" failback "$plan" --reason 'region is back' --serving-kubeconfig "$serving" \
		--mover-template "$work/restore.yaml" --output json "$@"
}
bed_use 1
failback 6
err 'still use claims that go back'
bed_use 2
k delete pod one --now >/dev/null
bed_use 1
failback 1 --wait 1s
err 'the last backups are not there'
bed_use 2
agent_backup 0 --cluster ne pvc:default/orders pvc:default/web pvc:default/raw
bed_use 1
failback 3
ok grep -q "the pod 'default/one' uses the claim" "$work/.err"
k delete pod one --now >/dev/null
# Killed, too: each one gets a little further than the one before.
for try in {1..20}; do
	{
		KUBECONFIG=$bed/admin.kubeconfig AKSDR_KEY=$recovery timeout --signal KILL \
			"$((try / 4 + 1)).$((try % 4 * 2))" "$restore" failback "$plan" --reason 'region is back' \
			--serving-kubeconfig "$serving" --mover-template "$work/restore.yaml" --movers 1 --output json
	} >"$work/.out" 2>"$work/.err" && break
done
ok [ "$try" -gt 3 ]
ok [ "$(jq -r '[.items[].state] | unique | join(" ")' "$work/.out")" = restored ]
ok [ "$(jq '[.items[].fetched_bytes] | add' "$work/.out")" -lt 1000000 ]
ok [ -z "$(staging)" ]
ok [ "$(k get pv -o 'jsonpath={.items[*].spec.persistentVolumeReclaimPolicy}')" = 'Delete Delete Delete' ]
bed_pod one orders=/orders web=/web raw=/dev/disk
same one

t 'the first cluster backs up again, and must before it can be left; the second one does not'
tool 3 plan "$plan" --output json --no-preflight
ok [ "$(jq -r '[.findings[] | select(.severity == "block") | .code] | unique | join(" ")' "$work/.out")" = \
	NoPointSinceReturn ]
agent_backup 0 --cluster we pvc:default/orders pvc:default/web pvc:default/raw
bed_use 2
agent_backup 6 --cluster ne pvc:default/orders

t 'and over once more: the second cluster is given back to itself'
k delete pvc orders web raw >/dev/null
bed_wait 60 no_volumes
failover 0
agent_backup 0 --cluster ne pvc:default/orders
bed_pod one orders=/orders web=/web raw=/dev/disk
same one

finish
