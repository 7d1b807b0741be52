# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the independent reader share. Sourced; needs BIN. Leaves a directory in $work.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
python=${PYTHON:-python3}
agent=$BIN/aksdr-agent
work=$(mktemp -d)
cleanup() {
	for t in "$work"/src "$work"/back*; do
		if [ -d "$t" ]; then
			"$python" "$here/../property/gen_tree.py" unpin "$t" 2>/dev/null
			chmod -R u+rwX "$t"
		fi
	done
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
passed=0 failed=0
good() { passed=$((passed + 1)) && echo "ok   $1"; }
bad() { failed=$((failed + 1)) && echo "FAIL $1" && tail -n 12 "$work/out"; }
ok() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then good "$name"; else bad "$name"; fi
}
refused() { # NAME COMMAND...: must fail, with a sentence of the reader's own
	local name=$1
	shift
	if ! "$@" >"$work/out" 2>&1 && grep -q '^aksdr_reader: ' "$work/out"; then
		good "$name"
	else
		bad "$name"
	fi
}
says() { # NAME PATTERN COMMAND...: succeeds, and the pattern is in its output
	local name=$1 pattern=$2
	shift 2
	if "$@" >"$work/out" 2>&1 && grep -qE -- "$pattern" "$work/out"; then
		good "$name"
	else
		bad "$name"
	fi
}
finish() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}

scan() { "$python" "$here/../property/compare.py" scan "$1" >"$2"; }
check() { "$python" "$here/../property/compare.py" check "$1" "$2"; }
reader() { "$python" "$here/aksdr_reader.py" --store "$work/store" --key "$work/keys/recovery.key" "$@"; }
backup() {
	"$agent" backup --quiet --store "file://$work/store" --key "$work/keys/agent.key" \
		--state "$work/state" "$@"
}
flip() { # FILE: one bit of its 41st byte
	"$python" - "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(40)
    b = f.read(1)
    f.seek(40)
    f.write(bytes([b[0] ^ 1]))
PY
}
# damage_noticed NAME FILE: a flipped bit and a missing byte are; the file is as before afterwards
damage_noticed() {
	local name=$1 object=$2
	cp -p "$object" "$work/kept"
	flip "$object"
	refused "a bit flipped in $name is noticed" reader verify
	cp -p "$work/kept" "$object"
	truncate -s -1 "$object"
	refused "a byte cut off $name is noticed" reader verify
	cp -p "$work/kept" "$object"
}
