#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs test programs and scripts and counts what they report.
#
#   tests/run.sh TITLE TEST...      TEST: a program, a script, or PROGRAM::ARGUMENT
#
# Each test has no standard input, a temporary directory of its own in TMPDIR, and a time limit.
# The output of a failed test is shown whole; of one that passed only the closing lines. A cmocka
# program counts as its number of tests, a fuzz replay as its number of inputs, anything else as
# one. Exit status 77 means skipped. A report of a sanitizer fails the test whatever its status.
# Environment: BIN, SRC (handed on), JOBS, TEST_TIMEOUT (seconds), WRAP (command put before each
# program), SAN (what the programs were built with), TOTALS (file that the totals are added to),
# TEST_SIZE (small, full; handed on), TEST_SMALL (patterns, 'kind/name|kind/name': these are small).
set -u

title=$1
shift
jobs=${JOBS:-1}
limit=${TEST_TIMEOUT:-1800}
wrap=${WRAP:-}

if [ $# -eq 0 ]; then
	if [ -n "${TEST:-}" ]; then
		echo "$title: no test matches '$TEST'" >&2
		exit 1
	fi
	echo "$title: no tests"
	exit 0
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/aksdr-tests.XXXXXX") || exit 1
chmod 711 "$work" # tests that give up their rights must still get to what is theirs
trap 'rm -rf --one-file-system "$work"' EXIT
pids=()
stop() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
	wait
	exit 130
}
trap stop INT TERM

# A test sees the settings of its own commands only, and those that name accounts for tests/live/.
for v in $(compgen -e AKSDR_) $(compgen -e AZURE_) $(compgen -e AWS_); do
	[[ $v == AKSDR_LIVE_* ]] || unset "$v"
done
unset KUBECONFIG MAKEFLAGS MFLAGS MAKEOVERRIDES TEST
export LC_ALL=C.UTF-8 TZ=UTC0 CMOCKA_MESSAGE_OUTPUT=STDOUT
export PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
[ -n "${SAN:-}" ] || export MALLOC_PERTURB_=165

# Address randomisation wider than the thread sanitizer's memory map makes it give up.
case ${SAN:-} in
*thread*) setarch -R true 2>/dev/null && wrap="setarch -R $wrap" ;;
esac

name_of() {
	local n=${1%%::*}
	n=${n##*tests/}
	echo "${n%.sh}"
}

# run_one TEST DIR: leaves out, status and seconds in DIR
run_one() {
	local prog=${1%%::*} dir=$2 arg=() t0=$EPOCHREALTIME size=${TEST_SIZE:-}
	local name
	name=$(name_of "$1")
	# An alternative of patterns, which [[ ]] knows as it is.
	# shellcheck disable=SC2053
	[[ -z ${TEST_SMALL:-} || $name != @($TEST_SMALL) ]] || size=small
	[ "$prog" = "$1" ] || arg=("${1#*::}")
	mkdir -p "$dir/tmp" "$dir/san"
	local san=log_path=$dir/san/report
	local suppress=$SRC/tests/tsan.supp
	[ -f "$suppress" ] && suppress=:suppressions=$suppress || suppress=
	# shellcheck disable=SC2086 # wrap is a command with its arguments
	TMPDIR=$dir/tmp TEST_SIZE=$size \
	ASAN_OPTIONS=$san:exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1 \
	LSAN_OPTIONS=exitcode=99 \
	UBSAN_OPTIONS=$san:exitcode=99:print_stacktrace=1 \
	TSAN_OPTIONS=$san:exitcode=99:second_deadlock_stack=1$suppress \
		env --default-signal=INT,QUIT timeout -k 10 "$limit" $wrap "$prog" "${arg[@]}" \
		</dev/null >"$dir/out" 2>&1 &
	# shellcheck disable=SC2064 # the process that is known now
	trap "kill $!; wait $!; exit" TERM
	wait $!
	local rc=$?
	# An empty one is of a process that a test has killed, before it could say anything.
	cat "$dir"/san/report* >"$dir/reports" 2>/dev/null
	if [ -s "$dir/reports" ]; then
		cat "$dir/reports" >>"$dir/out"
		[ $rc -ne 0 ] || rc=99
	fi
	[ $rc -ne 124 ] || echo "no end after $limit seconds" >>"$dir/out"
	echo "$rc" >"$dir/status"
	awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }' >"$dir/seconds"
	rm -rf --one-file-system "$dir/tmp"
}

passed=0 failed=0 skipped=0
failures=()

# report TEST DIR: prints the verdict and counts it
report() {
	local name rc ran=0 good=0 bad=0 skip=0 words line
	name=$(name_of "$1")
	rc=$(cat "$2/status" 2>/dev/null || echo 99)
	while read -r line; do
		words=$(grep -oE '[0-9]+' <<<"$line" | tr '\n' ' ')
		# shellcheck disable=SC2086 # the numbers are meant to split
		set -- "$1" "$2" $words
		case $line in
		*'run.') ran=$((ran + $3)) ;;
		'[  PASSED  ]'*) good=$((good + $3)) ;;
		'[  SKIPPED ]'*'test(s)'*) skip=$((skip + $3)) ;;
		'[  FAILED  ]'*'test(s)'*) bad=$((bad + $3)) ;;
		*' passed, '*) good=$((good + $3)) bad=$((bad + $4)) ran=$((ran + $3 + $4)) ;;
		esac
	done < <(sed -E 's/^([a-z0-9_]+): ([0-9]+ passed, )/\2/' "$2/out" | grep -E \
		-e '^\[==========\] [0-9]+ test\(s\) run\.' -e '^\[  (PASSED|SKIPPED|FAILED)  ?\] [0-9]+ test\(s\)' \
		-e '^[0-9]+ passed, [0-9]+ failed$')

	if [ "$rc" = 77 ]; then
		skipped=$((skipped + 1))
		printf 'skip %-45s %s\n' "$name" "$(tail -n 1 "$2/out")"
		return
	fi
	if [ "$rc" = 0 ] && [ $ran -eq 0 ] && grep -qE 'Running 0 test\(s\)|: 0 passed, 0 failed' "$2/out"; then
		echo 'it ran no test' >>"$2/out"
		rc=1
	fi
	if [ "$rc" = 0 ] && [ $bad -eq 0 ]; then
		[ $ran -ne 0 ] || good=1
		passed=$((passed + good))
		skipped=$((skipped + skip))
		printf 'ok   %-45s %6s s\n' "$name" "$(cat "$2/seconds")"
		grep -E -e '^\[==========\] [0-9]+ test\(s\) run\.' -e '^\[  (PASSED|SKIPPED)  ?\] [0-9]+ test\(s\)' \
			-e '^[a-z0-9_]+: [0-9]+ passed, [0-9]+ failed$' "$2/out" | sed 's/^/     /'
	else
		[ $bad -ne 0 ] || bad=1
		passed=$((passed + good))
		failed=$((failed + bad))
		failures+=("$name (exit $rc)")
		printf 'FAIL %-45s %6s s, exit %s\n' "$name" "$(cat "$2/seconds" 2>/dev/null)" "$rc"
		sed 's/^/     | /' "$2/out"
		# Told again at the end, where a long log is looked at first.
		{ echo "$name:" && tail -n 25 "$2/out" | cut -c 1-300 | sed 's/^/     | /'; } >>"$work/failures"
	fi
}

# Up to `jobs` at once; results are told in the order of the list.
started=0 told=0 tests=("$@") ended=()
while [ $told -lt $# ]; do
	while [ $started -lt $# ] && [ ${#pids[@]} -lt "$jobs" ]; do
		mkdir -p "$work/$started"
		run_one "${tests[$started]}" "$work/$started" 2>>"$work/$started/out" &
		pids[started]=$!
		started=$((started + 1))
	done
	wait -n -p pid "${pids[@]}"
	for i in "${!pids[@]}"; do
		if [ "${pids[$i]}" = "$pid" ]; then
			unset "pids[$i]"
			ended[i]=1
		fi
	done
	while [ -n "${ended[$told]:-}" ]; do
		report "${tests[$told]}" "$work/$told"
		rm -rf --one-file-system "${work:?}/$told"
		told=$((told + 1))
	done
done

[ -z "${TOTALS:-}" ] || echo "$passed $failed $skipped" >>"$TOTALS"
if [ ${#failures[@]} -ne 0 ]; then
	echo
	cat "$work/failures"
	printf 'failed: %s\n' "${failures[@]}"
fi
echo
echo "$title:"
if [ $skipped -ne 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
