#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Takes the inputs that fuzzing found into the saved corpora, as few as reach the same code.
#
#   tests/fuzz/merge.sh OUT TARGET...    OUT: where tests/fuzz/run.sh gathered them
#
# Files whose names are words stay: they were made on purpose, or once made a target fail.
set -eu

FILES_MAX=99
BYTES_MAX=$((200 * 1024))
out=$1
shift
for t in "$@"; do
	name=${t##*/fuzz_}
	# shellcheck disable=SC2254 # TEST is a pattern
	case $name in ${TEST:-*}) ;; *) continue ;; esac
	saved=tests/fuzz/corpus/$name
	new=$out/merge/$name
	rm -rf "$new"
	mkdir -p "$new" "$saved" "$out/corpus/$name"
	named=()
	for f in "$saved"/*; do
		[[ ! -f $f || ${f##*/} =~ ^[0-9a-f]{40}$ ]] || named+=("$f")
	done
	[ ${#named[@]} -eq 0 ] || cp "${named[@]}" "$new"
	# by code reached, not by how often
	TMPDIR=$out/merge "$t" -set_cover_merge=1 -use_counters=0 -rss_limit_mb=2048 \
		"$new" "$saved" "$out/corpus/$name" </dev/null >"$out/log/merge-$name" 2>&1
	# what does not fit goes: the largest first, then the last
	while [ "$(find "$new" -type f | wc -l)" -gt $FILES_MAX ] ||
		[ "$(cat "$new"/* | wc -c)" -gt $BYTES_MAX ]; do
		victim=$(find "$new" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -printf '%s %p\n' |
			sort -rn | head -n 1 | cut -d ' ' -f 2-)
		[ -n "$victim" ] || break
		rm "$victim"
	done
	find "$saved" -type f -delete
	cp "$new"/* "$saved"
	printf '%-18s %3d files %7d bytes\n' "$name" "$(find "$saved" -type f | wc -l)" "$(cat "$saved"/* | wc -c)"
done
