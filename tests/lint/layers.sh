#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A folder includes only itself and folders of lower rank; so do its unit tests. Our own headers are
# included by their path from the root, and exist.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

lint_files '*.c' '*.h' | xargs -r awk '
	BEGIN {
		rank["common"] = 0
		rank["store"] = rank["kube"] = 1
		rank["snapshot"] = rank["repo"] = 2
		rank["catalog"] = 3
		rank["agent"] = rank["restore"] = rank["freezer"] = 4
	}
	FNR == 1 {
		split(FILENAME, at, "/")
		folder = at[1] == "tests" && at[2] == "unit" ? at[3] : at[1]
		product = at[1] in rank
	}
	/^[ \t]*#[ \t]*include[ \t]*"/ {
		name = $0
		sub(/^[^"]*"/, "", name)
		sub(/".*/, "", name)
		where = FILENAME ":" FNR ": "
		if (index(name, "/") == 0) {
			print where "\"" name "\": write the path from the root, as in \"store/store.h\""
			next
		}
		if (name !~ /\.gen\.h$/ && (getline line < name) < 0)
			print where "\"" name "\": there is no such file"
		close(name)
		split(name, to, "/")
		if (product && !(to[1] in rank))
			print where "\"" name "\": a source of the programs includes only folders of the programs"
		if ((folder in rank) && (to[1] in rank) && to[1] != folder && rank[to[1]] >= rank[folder])
			print where folder "/ (rank " rank[folder] ") may not include " to[1] "/ (rank " rank[to[1]] ")"
	}
' >"$findings"
lint_end layers "$findings"
