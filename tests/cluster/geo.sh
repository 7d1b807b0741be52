#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A repository in an Azure account with a second region, and that region as it is: late, out of
# order, readable only, and one day the only one. Two Azurites and the proxy of tests/servers.
cache=${XDG_CACHE_HOME:-$HOME/.cache} # the servers are there; the next line changes HOME
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
have_python || { echo 'no python3'; exit 77; }
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$SRC/tests/servers/lib.sh"
start_geo hold=1

plain=${azurite_url%%\?*}
export AKSDR_STORE="$plain/r?${azurite_url#*\?}" AKSDR_STATE=$work/state
recovery=$work/keys/recovery.key agent_key=$work/keys/agent.key
run 0 "$agent" init --keys "$work/keys" --quiet

mkdir src
change() { # the next state of the volume is in states/N
	step=$((step + 1))
	noise 3000000 "$step" >src/a
	noise 90000 "b$step" >src/b
	echo "$step" >src/step
	state_of src >"states/$step"
}
step=0
mkdir states

control() { proxy "$@" >/dev/null; }

# comes_back STEP WHAT: this is what a restore of WHAT gives
comes_back() {
	rm -rf back
	run 0 volume "$2" "$work/back"
	ok is_state back "states/$1"
}

t 'two points are made, and the second region has the first alone'
change
run 0 backup "data=$work/src"
ok control POST /sync
change
run 0 backup "data=$work/src"
run 0 "$restore" points --key "$recovery" data --output json
ok test "$(json items 1 sequence)" = 2
second=$(json items 1 point)
comes_back 2 data

t 'while the first region is away, the newest complete point of the second comes back'
ok control POST '/set?primary=refuse'
comes_back 1 data
err 'the first region does not answer: restoring what the second has.*state_of'
run 0 "$restore" points --key "$recovery" data --output json
ok test "$(json items 0 sequence)" = 1

t 'what is seen of a newer point is not taken for all of it: the interval of lost data is told'
# The commit arrives before the packs, which is how replication is.
ok control POST '/sync?only=/commit/'
comes_back 1 data
err 'newer points are not complete there.*points=1.*from=.*to='
run 3 volume "data@$second" "$work/part" --on-corrupt skip
err 'not complete in the second'

t 'a writer does not write by what the second region shows, and says what is the matter'
run 1 env AKSDR_RETRY=2s "$agent" backup --key "$agent_key" --quiet "data=$work/src"
err '127.0.0.1'

t 'when the first region is back everything is as it was'
ok control POST '/set?primary=up'
comes_back 2 data
change
run 0 backup "data=$work/src"
comes_back 3 data
run 0 "$catalog" check --key "$recovery" --level 4

t 'the first region goes away in the middle of a restore, which goes on in the second'
ok control POST /sync
rm -rf back
ok control POST '/rule?fault=reset&side=primary&method=GET&path=/pack/&skip=2&times=100000'
run 0 volume data "$work/back"
ok is_state back states/3
ok control POST /clear

t 'the first region goes away in the middle of a backup: nothing is lost, and the next one works'
change
ok control POST '/rule?fault=reset&side=primary&method=PUT&path=/pack/&times=100000'
run 1 env AKSDR_RETRY=2s "$agent" backup --key "$agent_key" --quiet "data=$work/src"
ok control POST /clear
comes_back 3 data
run 0 backup "data=$work/src"
comes_back 4 data

# plan STATUS [OPTION]...: of two volumes that are backed up together
plan() {
	local wanted=$1
	shift
	run "$wanted" env KUBECONFIG=/none "$restore" plan --key "$recovery" --from we --output json "$@"
}
pair() { run 0 backup --cluster we --namespace shop "a=$work/src" "b=$work/src"; }
of_step() { jq -r --arg name "$1" '.items[] | select(.volume == $name) | .point' "$work/.out"; }

t 'a plan takes what the second region has as a whole, both volumes of one moment, and tells the loss'
pair
ok control POST /sync
plan 0
first_a=$(of_step a) first_b=$(of_step b)
synchronised=$(jq -r .synchronised "$work/.out")
ok test "$synchronised" != null
change
pair
plan 0
# While the first region answers: what the second one does not have yet counts when that is asked for.
ok test "$(of_step a)" = "$first_a"
ok test "$(jq '[.findings[] | select(.code == "NewerPointsPassedOver")] | length' "$work/.out")" = 2
plan 0 --newest
ok test "$(of_step a)" != "$first_a"
loss=$(jq .loss_s "$work/.out")
# Replication is out of order: commits arrive, and what they name does not.
ok control POST '/sync?only=/commit/'
ok control POST '/set?primary=refuse'
plan 0
ok test "$(jq -r .second_region_read "$work/.out")" = true
ok test "$(of_step a) $(of_step b)" = "$first_a $first_b"
ok test "$(jq .loss_s "$work/.out")" -ge "$loss"
ok test "$(jq '[.items[].frozen] | length' "$work/.out")" = 2
ok control POST '/set?primary=up'

t 'after a failover of the account the second region is the store, without what it had not got'
ok control POST /sync
change
run 0 backup "data=$work/src"
ok control POST /failover
comes_back 4 data
err_not 'does not answer'
finish
