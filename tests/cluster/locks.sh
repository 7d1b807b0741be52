#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Locks at real servers: what a restore point needs is locked as long as the point is, somebody with
# the right to delete takes what he is let, and everything comes back. S3 by two servers; Azure by its
# emulator behind the proxy, which keeps the locks that the emulator lacks and has a clock to turn.
cache=${XDG_CACHE_HOME:-$HOME/.cache} # the servers are there; the next line changes HOME
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
have_python || { echo 'no python3'; exit 77; }
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$SRC/tests/servers/lib.sh"
need_server azurite seaweed versity

# fresh URL NAME: a repository there, and two points of a volume; the second uses most of the first again
fresh() {
	export AKSDR_STORE=$1 AKSDR_STATE=$work/$2.state
	recovery=$work/$2.keys/recovery.key agent_key=$work/$2.keys/agent.key audit=$work/$2.keys/audit.key
	run 0 "$agent" init --keys "$work/$2.keys" --quiet
	rm -rf src && mkdir src
	noise 3000000 "$2" >src/a
	echo 1 >src/step
	run 0 backup "data=$work/src"
	echo 2 >src/step
	run 0 backup "data=$work/src" --extend-locks
	state_of src >state
}
comes_back() {
	rm -rf back
	run 0 volume data "$work/back"
	ok is_state back state
}
lock() { "$catalog" lock --key "$audit" "$@"; }

# What holds of any service.
locks_are_extended() {
	t "$1: what is put is locked, but for what is there to be deleted"
	run 0 lock --dry-run --all --output json
	json_is 2 points_locked
	json_is 0 objects_too_short
	json_is locked items 0 state
	t "$1: a longer time is found wanting by a dry run, which changes nothing"
	run 3 lock --dry-run --for 10d --output json
	json_is 2 points_not_safe
	json_is 0 objects_extended
	json_is 'not safe' items 0 state
	run 3 lock --dry-run --for 10d
	out '^data .* not safe$'
	t "$1: and is given by a run, so that the next one finds nothing to do"
	run 0 lock --for 10d --output json
	json_is 2 points_locked
	ok test "$(json objects_extended)" = "$(json objects_too_short)"
	ok test "$(json objects_extended)" -gt 8
	run 0 lock --for 10d --output json
	json_is 0 objects_extended
	run 0 lock --for 11d --output json
	json_is 0 objects_extended
	t "$1: a single point can be locked for longer"
	run 0 lock data@latest --for 30d --margin 0s --output json
	json_is 1 points
	run 0 lock data@latest --for 30d --margin 0s --dry-run
	run 3 lock --for 30d --margin 0s --dry-run --output json
	json_is 1 points_not_safe
	t "$1: what was found is in the catalog, for reports and rules"
	run 0 "$catalog" sync --key "$audit" --quiet
	run 0 "$catalog" report immutability --output json
	json_is 2 items 0 locked
	run 3 "$catalog" comply --rules "$(wants 30d)" --output json
	json_is fail items 0 state
	json_is '1 of 2 points' items 0 got
	run 0 "$catalog" comply --rules "$(wants 10d)"
	run 3 "$catalog" comply --rules "$(wants 60d)" --output json
	out 'nobody has asked|can be deleted'
	run 3 "$catalog" status
	out '1 restore points, or parts of them, could be deleted before their time'
	run 0 "$catalog" rebuild --key "$audit" --quiet
	run 0 "$catalog" report immutability --output json
	json_is 2 items 0 locked
}
# wants TIME: a file with rules that ask for such locks
wants() {
	cat >"$work/wants.yaml" <<-YAML
		apiVersion: aksdr.io/v1alpha1
		kind: ComplianceRules
		metadata: {name: worm}
		spec: {rules: [{name: all, require: {lockedFor: $1}}]}
	YAML
	echo "$work/wants.yaml"
}

for name in versity seaweed; do
	"start_$name"
	plain="s3://locked/r?${s3_url#*\?}"
	t "$name: a repository whose store locks"
	fresh "$plain&lock=2d" "$name"
	locks_are_extended "$name"

	t "$name: who deletes every version takes no part of a point away"
	attacked=$(servers_client attack s3 "$s3_endpoint" locked)
	echo "$name: $attacked"
	ok test "${attacked#*, }" != '0 kept'
	comes_back
	run 0 "$catalog" check --key "$recovery" --level 4 --quiet

	t "$name: what was hidden by deletions is there again without their markers"
	ok servers_client hide s3 "$s3_endpoint" locked
	run 4 "$restore" points --key "$recovery"
	ok servers_client unhide s3 "$s3_endpoint" locked
	comes_back

	t "$name: a bucket without object lock says so"
	run '1|2' "$agent" init --store "s3://data/r?${s3_url#*\?}&lock=2d" --keys "$work/no.keys"
	ok not test -e "$work/no.keys/recovery.key"
	AKSDR_STORE="s3://data/without?${s3_url#*\?}" # one of the servers keeps what it refused to lock
	run 0 "$agent" init --keys "$work/$name.no.keys" --quiet
	agent_key=$work/$name.no.keys/agent.key
	run 2 backup "data=$work/src" --extend-locks
	err 'lock=30d'
	run 0 backup "data=$work/src"
	run '1|2' "$catalog" lock --key "$agent_key"
	err 'lock=30d'
	run '1|3' "$catalog" lock --key "$agent_key" --for 2d
	stop_server "$name"
done

start_azurite
start_proxy "$azurite_port"
endpoint=http://127.0.0.1:$proxy_primary/acct1
late() { proxy POST "/set?worm_late_s=$1" >/dev/null; }

for mode in unlocked locked; do
	t "azure, $mode: a repository whose store locks"
	ok make_container "$azurite_endpoint" "w-$mode"
	fresh "azure://acct1/w-$mode/r?endpoint=$endpoint&lock=2d&lock-mode=$mode" "$mode"
	locks_are_extended "azure, $mode"

	t "azure, $mode: long after the locks of the uploads have ended, nothing of a point can be deleted"
	ok late $((9 * 86400))
	attacked=$(servers_client attack azure "$endpoint" "w-$mode")
	echo "azure, $mode: $attacked"
	ok test "${attacked#*, }" != '0 kept'
	comes_back
	run 0 "$catalog" check --key "$recovery" --level 4 --quiet

	t "azure, $mode: a collection leaves what is locked, says until when, and takes it later"
	ok late 0
	noise 3000000 other >src/a
	run 0 backup "data=$work/src"
	state_of src >state
	run 0 "$restore" points --key "$recovery" data --output json
	first=$(json items 0 point) second=$(json items 1 point)
	run 0 "$catalog" expire --key "$agent_key" "data@$first" "data@$second" --reason 'a test'
	gc=("$catalog" gc --key "$agent_key" --keep-young 0s --max-share 100)
	run 0 "${gc[@]}"
	out 'locked .* kept by locks of the store until 20'
	run 0 "${gc[@]}" --output json
	ok test "$(json items 0 packs_locked)" -gt 0
	ok late $((40 * 86400))
	run 0 "${gc[@]}" --output json
	json_is 0 items 0 packs_locked
	json_is null items 0 locked_until
	ok test "$(json items 0 packs_deleted)" -gt 0
	comes_back
	ok late 0
done

t 'azure: a container that takes no locks says what is to be done'
ok proxy POST '/set?worm=2' >/dev/null
run 1 lock --for 100d
err 'takes no locks .* immutability by version must be enabled'
finish
