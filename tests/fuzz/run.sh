#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes for a bounded time and tells of each target what it came to.
#
#   tests/fuzz/run.sh OUT TARGET...      TARGET: a program that libFuzzer is linked to
#
# New inputs gather in OUT/corpus/NAME. What made a target fail is in OUT/found; its path is printed,
# and its bytes where they are few. Every target runs, whatever became of those before.
# Environment: FUZZ_SECONDS (of each), FUZZ_JOBS (at once), FUZZ_SEED (of all; without it, one that
# follows from the commit, so that a run can be repeated), TEST (a pattern of names), TOTALS (file
# that the totals are added to).
set -u

# one SEED OUT TARGET: fuzzes, prints a line or the reason, leaves a verdict in $FUZZ_TMP
one() {
	local seed=$1 out=$2 target=$3 name=${3##*/fuzz_} dict=() dirs rc f
	local log=$out/log/$name
	mkdir -p "$out/corpus/$name" "$FUZZ_TMP/$name"
	rm -f "$out/found/$name"-*
	dirs=("$out/corpus/$name")
	[ ! -d "tests/fuzz/corpus/$name" ] || dirs+=("tests/fuzz/corpus/$name")
	[ ! -f "tests/fuzz/dict/$name.dict" ] || dict=("-dict=tests/fuzz/dict/$name.dict")
	TMPDIR=$FUZZ_TMP/$name timeout -k 10 $((FUZZ_SECONDS + 120)) "$target" -seed="$seed" \
		-max_total_time="$FUZZ_SECONDS" -rss_limit_mb=2048 -timeout=20 -artifact_prefix="$out/found/$name-" \
		"${dict[@]}" "${dirs[@]}" </dev/null >"$log" 2>&1
	rc=$?
	rm -rf --one-file-system "${FUZZ_TMP:?}/$name"
	if [ $rc -eq 0 ]; then
		local stats='s|^#([0-9]+)\tDONE +cov: ([0-9]+) .* corp: ([0-9]+).* exec/s: ([0-9]+) .*|\1 \4 \2 \3|p'
		touch "$FUZZ_TMP/passed.$name"
		sed -nE "$stats" "$log" |
			while read -r runs speed edges inputs; do
				printf 'ok   %-18s %9d runs %7d /s %6d edges %5d inputs\n' \
					"$name" "$runs" "$speed" "$edges" "$inputs"
			done
		return
	fi
	touch "$FUZZ_TMP/failed.$name"
	{
		printf 'FAIL %-18s exit %d, seed %s\n' "$name" $rc "$seed"
		tail -n 60 "$log" | cut -c 1-300 | sed 's/^/     | /'
		for f in "$out/found/$name"-*; do
			[ -f "$f" ] || continue
			printf '     reproducer: %s\n     replay:     %s %s\n' "$f" "$target" "$f"
			[ "$(stat -c %s "$f")" -gt 4096 ] || base64 -w 100 "$f" | sed 's/^/     base64:     /'
		done
	} >"$FUZZ_TMP/report.$name"
	cat "$FUZZ_TMP/report.$name"
}

if [ "$1" = --one ]; then
	shift
	one "$@"
	exit 0
fi

out=$1
shift
commit=$(git rev-parse --short=7 HEAD 2>/dev/null) || commit=1
seed=${FUZZ_SEED:-$((16#${commit:0:7}))}
export FUZZ_SECONDS=${FUZZ_SECONDS:-60} LC_ALL=C.UTF-8 TZ=UTC0 UBSAN_OPTIONS=print_stacktrace=1
for v in $(compgen -e AKSDR_); do unset "$v"; done
targets=()
for t in "$@"; do
	# shellcheck disable=SC2254 # TEST is a pattern
	case ${t##*/fuzz_} in ${TEST:-*}) targets+=("$t") ;; esac
done
if [ ${#targets[@]} -eq 0 ]; then
	echo "fuzz: no target matches '${TEST:-*}'" >&2
	exit 1
fi
# Some targets make files: in memory, where there is such a place.
base=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || base=/dev/shm
FUZZ_TMP=$(mktemp -d "$base/aksdr-fuzz.XXXXXX") || exit 1
export FUZZ_TMP
trap 'rm -rf --one-file-system "$FUZZ_TMP"' EXIT
mkdir -p "$out/log" "$out/found"
echo "${#targets[@]} targets, $FUZZ_SECONDS s each, seed $seed (FUZZ_SEED=$seed repeats it)"
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "${FUZZ_JOBS:-1}" "$0" --one "$seed" "$out"
passed=$(compgen -G "$FUZZ_TMP/passed.*" | wc -l)
failed=$((${#targets[@]} - passed))
[ -z "${TOTALS:-}" ] || echo "$passed $failed 0" >>"$TOTALS"
printf '\nfuzz:\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
