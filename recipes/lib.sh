# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the recipes have in common. Sourced. A recipe is called `NAME pre` and `NAME post`, as a hook of
# aksdr-agent; see docs/RECIPES.md.
#
# A session that stays open from pre to post, because a database gives its lock or its backup mode up when the
# session ends, is a client in the background that reads from a fifo:
#
#   hold_start DIR SECONDS CLIENT...   starts it
#   hold_say DIR LINE...               lines for it
#   hold_wait DIR                      reads its answers until the line @ready; others are printed, or handed to
#                                      hold_answer where that function is defined. False: the client has ended
#   hold_end DIR                       ends it, and waits for that
#
# A keeper, which is this shell waiting for SECONDS or for a word, holds the fifos open. When it ends, so does the
# client's input, and with it the session: also when nobody ever calls post. A lock on a file of DIR is held as long
# as the keeper or the client lives, so nothing depends on a number of a process.
set -uo pipefail

recipe=${0##*/}
phase=${1:-}
AKSDR_SET=${AKSDR_SET:-}

say() { echo "$recipe: $*" >&2; }
fail() {
	say "$*"
	exit 1
}
# fact NAME VALUE: goes into the restore point; nothing for an empty value
fact() { [ -z "$2" ] || printf 'aksdr-fact %s %s\n' "$1" "$2"; }
need() { command -v "$1" >/dev/null || fail "there is no program '$1' on PATH: install the server's client here"; }

# failed: whether there is no restore point to be made, so that post has only to undo
failed() { [ "${AKSDR_RESULT:-captured}" = failed ]; }

# recipe_main PRE POST: calls one of the functions
recipe_main() {
	case $phase in
	pre) "$1" ;;
	post) "$2" ;;
	*) fail "call it with 'pre' before a snapshot and with 'post' after it" ;;
	esac
}

# runtime [NAME]: the directory of this recipe for what must be known between pre and post
runtime() {
	local dir=${AKSDR_RECIPE_DIR:-${XDG_RUNTIME_DIR:-/run}/aksdr-recipes}/$recipe${1:+-$1}
	(umask 077 && mkdir -p "$dir") || fail "the directory '$dir' cannot be made; set AKSDR_RECIPE_DIR to another"
	# It is root's, or whoever runs the agent: what lies in it is believed.
	[ -O "$dir" ] || fail "the directory '$dir' belongs to somebody else; set AKSDR_RECIPE_DIR to another"
	echo "$dir"
}

# hold_free DIR: whether no session is open there
hold_free() {
	[ ! -e "$1/lock" ] || flock --nonblock "$1/lock" true
}

hold_start() {
	local dir=$1 limit=$2
	shift 2
	exec 9>"$dir/lock"
	flock --nonblock 9 || fail 'the session of another backup is still open; it ends by itself at its time limit'
	rm -f "$dir/in" "$dir/out" "$dir/stop"
	mkfifo -m 600 "$dir/in" "$dir/out" "$dir/stop" || fail "fifos cannot be made in '$dir'"
	exec 3<>"$dir/in" 4<>"$dir/out" 5<>"$dir/stop"
	(
		exec </dev/null >/dev/null 2>&1
		read -r -t "$limit" _ <&5
	) &
	(
		exec <"$dir/in" >"$dir/out" 2>&1 3>&- 4>&- 5>&-
		"$@"
		echo "@ended $?"
	) &
	exec 3>&- 4>&- 5>&- 9>&-
}

# Nothing here blocks for lack of somebody at the other end: a fifo that is open both ways has both.
hold_say() {
	local dir=$1
	shift
	printf '%s\n' "$@" 1<>"$dir/in"
}

hold_wait() {
	local line begun=
	exec 4<>"$1/out"
	while :; do
		# Now and then a look whether anybody is left to answer. A line may have come in part by then.
		if ! read -r -t 1 line <&4; then
			begun+=$line
			hold_free "$1" || continue
			say 'the session is gone'
			break
		fi
		line=$begun$line begun=
		case $line in
		@ready)
			exec 4>&-
			return 0
			;;
		'@ended '*) break ;;
		*) if declare -F hold_answer >/dev/null; then hold_answer "$line"; else echo "$line"; fi ;;
		esac
	done
	exec 4>&-
	hold_end "$1"
	return 1
}

# hold_end DIR: false where the session cannot be ended, which its time limit then does
hold_end() {
	[ -p "$1/stop" ] && ! hold_free "$1" || return 0
	echo 1<>"$1/stop"
	flock --timeout 10 "$1/lock" true
}
