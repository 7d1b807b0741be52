#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each header compiles alone, and twice in one file, with gcc and with clang.
#
#   tests/lint/headers.sh [HEADER...]      default: all; LINT_CFLAGS: the build's flags
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

flags=${LINT_CFLAGS:--std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra}
[ $# -ne 0 ] || mapfile -t headers < <(lint_files '*.h')
[ $# -eq 0 ] || headers=("$@")
[ ${#headers[@]} -ne 0 ] || headers=()

compile() {
	# shellcheck disable=SC2086 # flags are meant to split
	printf '#include "%s"\n#include "%s"\nextern int lint_headers;\n' "$2" "$2" |
		"$1" $flags -Werror -fsyntax-only -x c - 2>&1 | sed "s|^|$2 ($1): |"
}
export -f compile
export flags
for cc in gcc "${CLANG:-clang-14}"; do
	printf '%s\n' "${headers[@]}" | grep . |
		xargs -r -P "${JOBS:-2}" -I{} bash -c 'compile "$0" "$1"' "$cc" {} >>"$findings" || true
done
lint_end headers "$findings"
