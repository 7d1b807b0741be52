# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Recipes against the real servers. Sourced, with the programs that it needs in the array `needs`: the script then
# runs in mount and process namespaces of its own, so that no mount and no server outlives it.
#
#   disk xfs|btrfs            $vol/data is a directory of nobody's (on btrfs a subvolume) on a file system of its own,
#                             in memory: what other tests do with the disk does not hold up who waits for each write
#   as_user COMMAND...        as nobody
#   write_numbers FUNCTION    in the background: FUNCTION N writes number N and returns once it is acknowledged; the
#                             time of that goes to acks. One more after the other, until stop_writer
#   await_acks N              until N more than now are acknowledged
#   capture RECIPE DRIVER PATH [OPTION]...   a backup with the recipe as its hooks; sets before and frozen; what the
#                             hooks say is in pre.out and post.out
#   give_back TARGET          restores it
#   judge FILE TIME           the numbers in FILE are 1, 2, 3 ... without a gap, with all that were acknowledged before
#                             TIME, and not all that were ever written
if [ "$(id -u)" -ne 0 ]; then
	echo 'needs root, for mounts'
	exit 77
fi
# shellcheck disable=SC2154 # the script sets needs
for program in "${needs[@]}" setpriv mkfs.xfs mkfs.btrfs; do
	PATH=$PATH:/usr/lib/postgresql/15/bin command -v "$program" >/dev/null || { echo "no $program"; exit 77; }
done
if [ -z "${RECIPES_INSIDE:-}" ]; then
	spaces=(unshare --mount --pid --fork --kill-child --mount-proc --propagation private)
	"${spaces[@]}" true 2>/dev/null || { echo 'no namespaces can be made here'; exit 77; }
	RECIPES_INSIDE=1 exec "${spaces[@]}" -- "$0" "$@"
fi
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
: "${SRC:=$(cd "$(dirname "$0")/../.." && pwd -P)}"
have_python || { echo 'no python3'; exit 77; }
recipes=$SRC/recipes
vol=$work/vol
# Servers that still run hold the file system; they end with the process namespace, right after this.
trap 'umount --lazy "$vol" "$work/memory" 2>/dev/null; mounted=(); clean' EXIT
: >"$work/acks"
chmod 755 "$work"
export AKSDR_RECIPE_DIR=$work/run

as_user() { setpriv --reuid=nobody --regid=nogroup --clear-groups -- env HOME="$work" "$@"; }
# user_dir DIR...: makes directories of nobody's
user_dir() { install -d -o nobody -g nogroup -m 700 "$@"; }

disk() {
	local image=$work/memory/disk
	mkdir "$work/memory" && mount -t tmpfs -o size=750M,mode=0755 tmpfs "$work/memory" || exit 1
	truncate -s 700M "$image"
	"mkfs.$1" -q "$image" >/dev/null && mkdir "$vol" && mount -o loop "$image" "$vol" || exit 1
	[ "$1" != btrfs ] || btrfs -q subvolume create "$vol/data" || exit 1
	user_dir "$vol/data"
}

write_numbers() {
	local write=$1
	(
		n=0
		while [ ! -e "$work/stop" ]; do
			n=$((n + 1))
			"$write" "$n" || { echo "number $n could not be written" >>"$work/writer.err"; exit 1; }
			echo "$EPOCHREALTIME $n" >>"$work/acks"
		done
	) &
	writer=$!
}
acks() { wc -l <"$work/acks"; }
await_acks() {
	local till=$(($(acks) + $1))
	# It is not waited for: the reader of the log ends with the writer.
	timeout 300 grep -q -m 1 " $till\$" < <(tail -n +1 -f --pid="$writer" "$work/acks") ||
		bad 'the writer came to its end'
}
stop_writer() {
	: >"$work/stop"
	wait "$writer"
	rm -f "$work/stop"
	[ ! -e "$work/writer.err" ] || cat "$work/writer.err"
}

# hook_line RECIPE PHASE: what it says is kept for the test
hook_line() {
	printf "'%s' %s >'%s'; rc=\$?; cat '%s'; exit \$rc" "$recipes/$1" "$2" "$work/$2.out" "$work/$2.out"
}
# fact NAME: the value of a fact in pre.out or post.out
fact() { cat "$work"/pre.out "$work"/post.out 2>/dev/null | sed -n "s/^aksdr-fact $1 //p"; }

captures=0
capture() {
	local recipe=$1 driver=$2 path=$3
	shift 3
	captures=$((captures + 1))
	# shellcheck disable=SC2034 # for the scripts
	before=$EPOCHREALTIME
	run 0 "$agent" backup --key "$agent_key" --quiet --output json --driver "$driver" --hook-timeout 2m \
		--pre "$(hook_line "$recipe" pre)" --post "$(hook_line "$recipe" post)" "$@" "v$captures=$path"
	# shellcheck disable=SC2034
	frozen=$(date -d "$(json items 0 frozen)" +%s.%3N) || bad 'no time in the result'
	case $driver in auto) ok test "$(json items 0 driver)" != live ;; esac
}
# give_back TARGET: the last capture; it is nobody's again
give_back() { run 0 volume "v$captures" "$1"; }

judge() {
	ok awk -v file="$1" -v till="$2" -v all="$(acks)" '
		FILENAME == ARGV[1] {
			if ($1 != FNR) { print "   " file ": " $1 " is number " FNR; wrong = 1 }
			n = FNR
			next
		}
		$1 < till { due = $2 }
		END {
			printf "   %d acknowledged before, %d came back, %d were written in all\n", due, n, all
			exit wrong || due == 0 || n < due || n >= all
		}' "$1" "$work/acks"
}

# free_ports N: ports that nobody listens on, and that no connection of a client is given meanwhile
free_ports() { /usr/bin/python3 "$SRC/tests/servers/client.py" ports "$1"; }
# await_line FILE PATTERN PID: until the log of a server has the line, or the server is gone
await_line() { timeout 60 grep -q -m 1 -E -- "$2" < <(tail -n +1 -f --pid="$3" "$1"); }
# session_over RECIPE[-N]: waits until nothing is left of a session that pre opened
session_over() { flock --timeout 60 "$AKSDR_RECIPE_DIR/$1/lock" true; }
