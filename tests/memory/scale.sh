#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A large repository under a memory limit: the index fetched and opened, collections, and checks of
# each level over packs that are made when they are asked for (bench/scale.c). The repository is
# filled outside of the limit. Each phase finds what was put there, or the program fails.
# shellcheck source=tests/memory/lib.sh
. "$(dirname "$0")/lib.sh"

chunks=100000
[ "${TEST_SIZE:-small}" = full ] && chunks=1000000
scale=$BIN/bench/scale

"$scale" --dir "$dir/r" --chunks $chunks --phases fill >/dev/null
for phase in fetch open warm gc-dry check0 check1 check2 gc gc-again; do
	limited "$phase, $chunks chunks" "$scale" --dir "$dir/r" --phases $phase
	tail -n 1 "$dir/out"
done
# Small chunks, so that reading them all takes seconds.
"$scale" --dir "$dir/x" --chunks $((chunks / 10)) --chunk-bytes 1024 --exact --sparse 0 --phases fill >/dev/null
for phase in check3 gc check3; do
	limited "$phase, $((chunks / 10)) small chunks" "$scale" --dir "$dir/x" --phases $phase
done
conclude
