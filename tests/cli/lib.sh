# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Helpers for tests of the programs as a shell sees them. Sourced. A test is a story of cases:
#
#   t 'a sentence that says what holds'
#   run 0 "$agent" init ...        runs a command; its exit status must be the one given
#   out 'PATTERN'; err 'PATTERN'   what it wrote (extended regular expressions)
#   ok COMMAND...                  anything else that must hold
#   wait_for COMMAND...            until it holds, for a minute
#   finish                         last: "N passed, N failed"
#
# A case passes when all of its checks did. `t` also says when none was made. Needs BIN; uses
# TMPDIR. Each script has a directory of its own in $work and a repository by new_repo.
set -uo pipefail

: "${BIN:?BIN is the directory of the programs}"
agent=$BIN/aksdr-agent
restore=$BIN/aksdr-restore
catalog=$BIN/aksdr-catalog
for program in "$agent" "$restore" "$catalog"; do
	[ -x "$program" ] || { echo "there is no program '$program'"; exit 1; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/aksdr-cli.XXXXXX") || exit 1
work=$(cd "$work" && pwd -P)
mounted=()
clean() {
	local m
	for m in ${mounted[@]+"${mounted[@]}"}; do umount "$m" 2>/dev/null; done
	chmod -R u+rwX "$work" 2>/dev/null
	rm -rf --one-file-system "$work"
}
trap clean EXIT
export LC_ALL=C.UTF-8 TZ=UTC0 HOME=$work
unset "${!AKSDR_@}" XDG_CACHE_HOME
umask 022
cd "$work" || exit 1

passed=0 failed=0 case_name='' case_checks=0 case_bad=0

# A check whose command is not there checks nothing. bash calls this in a process of its own.
command_not_found_handle() {
	echo "$1" >>"$work/.unknown"
	echo "there is no command '$1'" >&2
	return 127
}

end_case() {
	[ -n "$case_name" ] || return 0
	if [ -s "$work/.unknown" ]; then
		echo "FAIL $case_name: there is no command '$(sort -u "$work/.unknown" | xargs)'"
		rm "$work/.unknown"
		case_bad=1
	fi
	if [ "$case_checks" -eq 0 ]; then
		echo "FAIL $case_name: nothing was checked"
		case_bad=1
	fi
	if [ "$case_bad" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok   $case_name"
	else
		failed=$((failed + 1))
		echo "FAIL $case_name"
	fi
	case_name=
}

t() {
	end_case
	case_name=$1 case_checks=0 case_bad=0
}

# bad TEXT: the present case fails
bad() {
	case_bad=1
	echo "   $case_name: $1"
	if [ -n "${shown:-}" ]; then
		echo "   command: $shown"
		sed 's/^/   stdout: /' "$work/.out" | head -n 20
		sed 's/^/   stderr: /' "$work/.err" | head -n 20
	fi
}

# keep COMMAND...: runs it; $status, $work/.out and $work/.err are what came of it
status=0 shown=
keep() {
	shown="$*"
	"$@" >"$work/.out" 2>"$work/.err" </dev/null
	status=$?
}

# run STATUSES COMMAND...: STATUSES is one, or several with '|' between
run() {
	local want=$1
	shift
	keep "$@"
	case_checks=$((case_checks + 1))
	case "|$want|" in
	*"|$status|"*) ;;
	*) bad "exit status $status, not $want" ;;
	esac
	# Whatever happens, a failure has its one sentence, and no secret or crash is in it.
	if [ "$status" -ne 0 ] && [ ! -s "$work/.err" ]; then bad "failed without a word on stderr"; fi
	if [ "$status" -gt 128 ] && [ "$status" -ne 130 ]; then bad "ended by a signal"; fi
}

out() {
	case_checks=$((case_checks + 1))
	grep -qE -- "$1" "$work/.out" || bad "stdout does not match '$1'"
}
out_not() {
	case_checks=$((case_checks + 1))
	! grep -qE -- "$1" "$work/.out" || bad "stdout matches '$1'"
}
err() {
	case_checks=$((case_checks + 1))
	grep -qE -- "$1" "$work/.err" || bad "stderr does not match '$1'"
}
err_not() {
	case_checks=$((case_checks + 1))
	! grep -qE -- "$1" "$work/.err" || bad "stderr matches '$1'"
}

# out_is: stdout, with what differs from run to run replaced, is what comes on standard input
out_is() {
	case_checks=$((case_checks + 1))
	normal <"$work/.out" >"$work/.normal"
	diff -u - "$work/.normal" >"$work/.diff" || {
		bad "stdout is not what it should be:"
		sed 's/^/   /' "$work/.diff"
	}
}
# normal: a filter: the test's directory, ids and times become words, line ends of CSV those of text
normal() {
	sed -E -e 's/\r$//' -e "s|$work|WORK|g" -e 's/[0-9a-f]{32}/<id>/g' -e 's/\b[0-9a-f]{16}-<id>/<session>/g' \
		-e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/<time>/g'
}

ok() {
	case_checks=$((case_checks + 1))
	"$@" || { shown=; bad "not so: $*"; }
}
not() { ! "$@"; }
wait_for() {
	local until=$((SECONDS + 60))
	until "$@"; do
		[ $SECONDS -lt $until ] || { bad "waited for a minute: $*"; return 1; }
		sleep 0.01 # lint: allow sleep: it asks again
	done
}
# gone PID: whether a process is no more, or waits to be buried by whoever takes in orphans. Who was killed with
# its group may live on for a moment after the one that was waited for.
gone() { ! grep -qs '^State:.[^ZX]' "/proc/$1/status"; }
empty() { [ ! -s "$1" ]; }
# same A B: two files with the same bytes
same() { cmp -s "$1" "$2"; }

# objects DIR: how many objects a file store holds
# But for the audit trail, which grows with whatever is done.
objects() { find "$1" \( -path '*/.tmp' -o -path "$1/audit" \) -prune -o -type f -print | wc -l; }
points() { find "$1/commit" -type f 2>/dev/null | wc -l; }

# json FILTER: the value of a jq-like path in stdout, by python3; the text must be JSON as a whole
have_python() { command -v python3 >/dev/null; }
json() {
	python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2:]:
    v = v[int(k)] if isinstance(v, list) else v[k]
print(json.dumps(v) if isinstance(v, (dict, list, bool)) or v is None else v)' "$work/.out" "$@"
}
# json_is VALUE PATH...: the value at the path
json_is() {
	local want=$1 got
	shift
	case_checks=$((case_checks + 1))
	got=$(json "$@" 2>&1) || { bad "stdout: no JSON with $*: $got"; return; }
	[ "$got" = "$want" ] || bad "stdout: $* is '$got', not '$want'"
}

# state_of ROOT: everything that counts of a tree: names, types, modes, owners, times, links, sizes,
# contents, attributes, and which names are one inode
state_of() {
	(
		cd "$1" || exit 1
		find . -printf '%P\t%y\t%m\t%U:%G\t%T@\t%n\t%l\t' \( -type f -printf '%s\n' -o -printf '-\n' \) |
			LC_ALL=C sort
		find . -type f -links +1 -printf '%i %P\n' | LC_ALL=C sort |
			awk '{ i = $1; sub(/^[0-9]+ /, ""); a[i] = a[i] " = " $0 } END { for (k in a) print a[k] }' |
			LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum --
		if command -v getfattr >/dev/null; then
			find . -print0 | LC_ALL=C sort -z | xargs -0r getfattr -h -d -m - -e hex -- 2>/dev/null
		fi
		if command -v getfacl >/dev/null; then
			find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0r getfacl -n -p -- 2>/dev/null
		fi
	)
}
# is_state ROOT FILE: the tree is what state_of wrote into FILE
is_state() {
	state_of "$1" >"$work/.tree" && diff "$2" "$work/.tree" >"$work/.tree-diff" && return 0
	head -n 20 "$work/.tree-diff" | sed 's/^/   /'
	return 1
}
# same_tree A B
same_tree() { state_of "$1" >"$work/.tree-a" && is_state "$2" "$work/.tree-a"; }

# new_repo NAME: a repository in $work/NAME, its keys in $work/NAME.keys; sets store and key files
# shellcheck disable=SC2034 # for the scripts
new_repo() {
	store=file://$work/$1 store_dir=$work/$1
	"$agent" init --store "$store" --keys "$work/$1.keys" --quiet || exit 1
	recovery=$work/$1.keys/recovery.key agent_key=$work/$1.keys/agent.key audit=$work/$1.keys/audit.key
	export AKSDR_STORE=$store AKSDR_STATE=$work/$1.state
}
backup() { "$agent" backup --key "$agent_key" --quiet "$@"; }
# volume NAME[@POINT] TARGET [OPTION]...
volume() {
	local what=$1 target=$2
	shift 2
	"$restore" volume --key "$recovery" --quiet "$what" --target "$target" "$@"
}

# noise BYTES [SEED]: bytes that do not compress, the same each time
noise() {
	openssl enc -aes-128-ctr -pass "pass:${2:-1}" -nosalt -pbkdf2 -iter 1 </dev/zero 2>/dev/null |
		head -c "$1"
	return 0 # the generator is cut off, not failed
}

# flip FILE OFFSET: one bit of one byte changes; a negative offset counts from the end
flip() {
	local at=$2 byte
	[ "$at" -ge 0 ] || at=$(($(stat -c %s "$1") + at))
	byte=$(od -An -tu1 -j "$at" -N 1 "$1")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# unprivileged COMMAND...: without the right to pass over modes, also when the tests run as root
unprivileged() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --bounding-set=-dac_override,-dac_read_search -- "$@"
	else
		"$@"
	fi
}

# small_disk DIR SIZE: mounts a file system of SIZE there; fails where that is not allowed
small_disk() {
	mkdir -p "$1"
	mount -t tmpfs -o "size=$2,mode=0755" tmpfs "$1" 2>/dev/null || return 1
	mounted+=("$1")
}

finish() {
	end_case
	echo
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
