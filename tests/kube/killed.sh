#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A run that is told to end, in the middle of something, takes its cluster away. One that is killed
# outright, with a pod at work and one of its volumes frozen: no process and no mount outlives it, and
# the next run gives back what the kernel keeps, loop devices and cgroups.

if [ "${1:-}" = story ]; then
	# shellcheck source=tests/kube/lib.sh
	. "$(dirname "$0")/lib.sh"
	bed_up
	bed_busybox
	bed_claim files 64Mi
	bed_claim block 64Mi disk Block
	bed_pod one files=/data block=/dev/disk
	if [ "$2" = freeze ]; then
		bed_node 1 sh -c 'fsfreeze --freeze /var/lib/kubelet/pods/*/volumes/kubernetes.io~csi/*/mount' || exit 1
	fi
	echo "$BED_INSIDE" >"$STORY.new" && mv "$STORY.new" "$STORY"
	tail -f /dev/null &
	wait $!
elif [ "${1:-}" = next ]; then
	. "$(dirname "$0")/lib.sh"
	exit 0
fi

here=$(cd "$(dirname "$0")" && pwd -P)
again=(env "HOME=$HOME" "XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}" "$here/killed.sh")
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"

# until_so COMMAND...: within half a minute
until_so() {
	local until=$((SECONDS + 30))
	until "$@"; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.05 # lint: allow sleep: it asks again
	done
}
processes() { grep -lsaF "BED_INSIDE=$root" /proc/[0-9]*/environ; }
cgroups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "aksdr-bed-$story-*"; }
members() { find /sys/fs/cgroup -path "*/aksdr-bed-$story-*" -name cgroup.procs -exec cat {} +; }
loops() { losetup --list --noheadings --raw --output BACK-FILE | grep -F "$root/"; }
nothing() { [ -z "$("$@" 2>/dev/null)" ]; }

up() { [ -e up ] || ! kill -0 "$story" 2>/dev/null; }
# begin WORD: a run in a group of its own; $story is its first process
begin() {
	rm -f up
	STORY=$work/up setsid "${again[@]}" story "$1" >story.log 2>&1 &
	story=$!
	until up; do sleep 0.05; done # lint: allow sleep: it asks again
	if [ ! -e up ]; then
		wait $story
		rc=$?
		cat story.log
		exit $rc
	fi
	root=$(cat up)
}

t 'when a run is told to end, it takes its cluster away'
begin plain
ok test -n "$(members)"
kill -TERM -- -$story
ok until_so eval '! kill -0 $story 2>/dev/null'
ok nothing processes
ok nothing cgroups
ok nothing loops
ok not test -e "$root"
ok grep -q 'kube-apiserver\|-- apiserver.log' story.log # and shows what there was

t 'when a run is killed, all of its processes end and none of its mounts stays'
begin freeze
ok test -n "$(members)"
kill -KILL $story
wait $story 2>/dev/null
ok until_so nothing processes
ok until_so nothing members
ok not grep -F "$root" /proc/self/mountinfo
rm -rf --one-file-system "$root" # as tests/run.sh does

t 'the next run gives back its loop devices and cgroups, those of a frozen volume too'
ok test -n "$(cgroups)"
ok test -n "$(loops)"
run 0 "${again[@]}" next
ok nothing cgroups
ok nothing loops
finish
