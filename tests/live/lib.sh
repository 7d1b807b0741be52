# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# One story for all services: what the programs do with a real account. Sourced by tests that set
#
#   live_url      the store, below which the test has a prefix of its own
#   live_file     settings and secrets, lines NAME=VALUE
#
# The objects stay where they are: the account's rule for prefixes that begin with `live-` deletes them.
# `proved FACT` is said of what only a real service can show, and printed at the end.
# shellcheck source=tests/cli/lib.sh
. "${here:?}/../cli/lib.sh"

facts=()
proved() { facts+=("$1"); }

# live_store PREFIX [PARAMETERS]: live_url with the prefix, the settings, and these parameters
live_store() {
	: "${live_url:?}" "${live_file:?}"
	local plain=${live_url%%\?*} query=
	[[ $live_url != *\?* ]] || query=${live_url#*\?}
	echo "${plain%/}/$1?${query:+$query&}credentials=$live_file${2:+&$2}"
}

# setting NAME: its value in the file, "" when there is none
setting() { sed -n "s/^[[:space:]]*$1=//p" "$live_file" | head -n 1; }

# live_story NAME [PARAMETERS]: a repository, from nothing to a restore
live_story() {
	prefix=live-$(date +%Y%m%d-%H%M%S)-$$
	AKSDR_STORE=$(live_store "$prefix" "${2:-}") AKSDR_STATE=$work/state
	export AKSDR_STORE AKSDR_STATE
	agent_key=$work/keys/agent.key recovery=$work/keys/recovery.key
	mkdir -p src/dir
	noise 20000000 >src/large
	for i in {1..200}; do noise "$i" "$i" >"src/dir/$i"; done

	t "$1: a repository is made, once"
	run 0 "$agent" init --keys "$work/keys" --quiet
	run '1|2|3|4|5|6' "$agent" init --keys "$work/keys2" --quiet

	t "$1: what a node needs is there"
	run 0 "$agent" doctor --key "$agent_key"
	out '^create-only +ok'

	t "$1: what is backed up comes back"
	run 0 backup data="$work/src"
	run 0 volume data "$work/one"
	ok same_tree src one

	t "$1: only what is new goes up"
	noise 3000000 2 >src/new
	run 0 backup data="$work/src"
	run 0 volume data "$work/two"
	ok same_tree src two

	t "$1: all of it is whole"
	run 0 "$catalog" check --key "$recovery" --quiet
}

live_end() {
	local fact
	echo
	for fact in ${facts[@]+"${facts[@]}"}; do echo "proved: $fact"; done
	[ -z "${prefix:-}" ] || echo "what it stored is below '$prefix'"
	finish
}
