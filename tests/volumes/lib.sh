# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Stories on real file systems, for scripts that source it first. The script is started again in a
# mount namespace of its own; whatever it mounts is thawed and unmounted at its end, whatever
# happens, and nothing of it is seen from outside. Besides the words of tests/cli/lib.sh:
#
#   need TYPE...                 skips (77) without root, loop devices, mount namespaces or a mkfs.TYPE
#   disk NAME TYPE SIZE [OPTION]...    a new file system, mounted at $work/NAME
#   writing SESSION [--sync] DIR...    starts the writer of ledger.py; its notes are SESSION.*
#   written SESSION              ends it
#   judge ARGUMENT...            ledger.py judge
#   noise_on DIR; noise_off      operations of all kinds in DIR/noise
#   taking STATUS ARGUMENT...    a backup; what its first row says is in $point, $driver, $label,
#                                $moment_ns, $frozen_ms, $together, $set_id
#   thawed DIR                   the file system there can be written to
#   left_over DIR...             lists views, copies, notes and scratch files that are left
#
# Nothing here ever freezes a file system that this script did not make.

if [ -z "${AKSDR_VOLUMES_INSIDE:-}" ]; then
	[ "$(id -u)" -eq 0 ] || { echo 'file systems are mounted by root only'; exit 77; }
	unshare --mount true 2>/dev/null || { echo 'no mount namespaces here'; exit 77; }
	AKSDR_VOLUMES_INSIDE=1 exec unshare --mount --propagation private "$BASH" "$0" "$@"
fi

volumes_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$volumes_here/../cli/lib.sh"
# shellcheck disable=SC2034 # for the scripts
size=${TEST_SIZE:-small}
seed=${TEST_SEED:-1}
python=/usr/bin/python3

# Images, repositories and state are in memory: what other tests do with the disk does not hold us up.
mount -t tmpfs -o size=3G,mode=0755 tmpfs "$work" || { echo 'no tmpfs here'; exit 77; }
cd "$work" || exit 1

mounts=() children=()
end_volumes() {
	local i
	trap '' INT TERM
	for i in ${mounts[@]+"${mounts[@]}"}; do fsfreeze --unfreeze "$i" 2>/dev/null; done
	for i in ${children[@]+"${children[@]}"}; do kill -KILL "$i" 2>/dev/null; done
	wait
	for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
		umount "${mounts[i]}" 2>/dev/null || umount --lazy "${mounts[i]}" 2>/dev/null
	done
	cd /
	umount "$work" 2>/dev/null || umount --lazy "$work"
	clean
}
trap end_volumes EXIT
trap 'exit 130' INT TERM

need() {
	local type
	have_python || { echo 'no python3'; exit 77; }
	for type; do
		command -v "mkfs.$type" >/dev/null || { echo "no mkfs.$type"; exit 77; }
	done
	truncate -s 64M "$work/probe"
	mkdir "$work/probed"
	if ! mkfs.ext4 -q "$work/probe" || ! mount -o loop "$work/probe" "$work/probed" 2>/dev/null; then
		echo 'no loop devices here'
		exit 77
	fi
	umount "$work/probed"
	rm -rf "$work/probe" "$work/probed"
}

# mounting ARGUMENT... DIR: mount, and the unmounting
mounting() {
	mkdir -p "${!#}"
	mount "$@" || { bad "cannot mount: $*"; return 1; }
	mounts+=("${!#}")
}
unmounting() {
	local i
	umount "$1" || { bad "cannot unmount $1"; return 1; }
	for i in "${!mounts[@]}"; do [ "${mounts[i]}" != "$1" ] || unset "mounts[$i]"; done
	mounts=(${mounts[@]+"${mounts[@]}"})
}

make_fs() {
	local type=$1 image=$2
	shift 2
	case $type in
	ext4) mkfs.ext4 -q -F "$@" "$image" ;;
	*) "mkfs.$type" -q -f "$@" "$image" ;;
	esac >/dev/null || bad "cannot make a file system of type $type"
}
disk() {
	local name=$1 type=$2 bytes=$3
	shift 3
	truncate -s "$bytes" "$work/$name.image"
	make_fs "$type" "$work/$name.image" "$@"
	mounting -o loop "$work/$name.image" "$work/$name"
	# what a volume has from the start is not the application's
	[ ! -d "$work/$name/lost+found" ] || rmdir "$work/$name/lost+found"
}

declare -A writers=()
writing() {
	local session=$1
	shift
	rm -f "$session".*
	"$python" "$volumes_here/ledger.py" write "$session" --seed "$seed" "$@" 2>"$session.errors" &
	writers[$session]=$!
	children+=($!)
	wait_for test -s "$session.ready" -o -s "$session.errors"
	[ ! -s "$session.errors" ] || bad "the writer failed: $(tail -n 1 "$session.errors")"
}
written() {
	kill "${writers[$1]}"
	wait "${writers[$1]}"
	case_checks=$((case_checks + 1))
	[ ! -s "$1.errors" ] || bad "the writer failed: $(tail -n 1 "$1.errors")"
	unset "writers[$1]"
}
judge() {
	"$python" "$volumes_here/ledger.py" judge "$@" --seed "$seed" >"$work/.judged" 2>&1 && return
	tail -n 3 "$work/.judged" | sed 's/^/   /'
	return 1
}

noisy=
noise_on() {
	"$python" "$volumes_here/ledger.py" noise "$1" --seed "$seed" &
	noisy=$!
	children+=($!)
}
noise_off() {
	kill "$noisy"
	wait "$noisy"
}

# taking STATUSES [OPTION]... NAME=PATH...: a backup whose row is in $row, and whose files that
# changed while they were read are in $work/.changed. How long a freeze takes on a busy machine is not what
# is tested: it may be as long as it can.
taking() {
	local want=$1
	shift
	run "$want" "$agent" backup --key "$agent_key" --output json --log-format json --progress never \
		--freeze-timeout 60s "$@"
	"$python" - "$work/.out" "$work/.err" "$work/.changed" <<'PY' >"$work/.row"
import datetime, json, sys
try:
    items = json.load(open(sys.argv[1]))["items"]
except ValueError:
    items = []
for i in items:
    ms = datetime.datetime.strptime(i["frozen"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    ns = round(ms.timestamp() * 1000) * 1000000
    print(i["volume"], i["point"], i["driver"], i["consistency"], ns, i["frozen_ms"], i["moment"] or "-", i["set"])
with open(sys.argv[3], "w") as f:
    for line in open(sys.argv[2]):
        try:
            m = json.loads(line)
        except ValueError:
            continue
        if "file not saved" in m.get("msg", m.get("event", "")):
            f.write(m["path"] + "\n")
PY
	# shellcheck disable=SC2034 # for the scripts
	read -r _ point driver label moment_ns frozen_ms together set_id <"$work/.row"
}

# thawed DIR: it can be written to, within 20 s
thawed() {
	local writer
	rm -f "$work/.wrote"
	sh -c 'echo 1 >"$1/.thawed" && sync -f "$1" && rm "$1/.thawed" && echo 1 >"$2"' - "$1" "$work/.wrote" &
	writer=$!
	# who waits for a thaw cannot be killed
	for _ in {1..2000}; do
		kill -0 "$writer" 2>/dev/null || break
		sleep 0.01 # lint: allow sleep: it asks again
	done
	[ -e "$work/.wrote" ] && return
	fsfreeze --unfreeze "$1" 2>/dev/null
	wait "$writer"
	return 1
}

# left_over DIR...: what views, copies, notes and scratch files there are, in volumes and in the state
left_over() {
	find "$@" -xdev \( -name '.aksdr-view-*' -o -name '.aksdr-copy-*' -o -name '.aksdr-*' \) -print
	find "$AKSDR_STATE/journal" "$AKSDR_STATE/views" -mindepth 1 ! -name '*.lock' -print 2>/dev/null
}
