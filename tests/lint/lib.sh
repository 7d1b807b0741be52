# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the lint scripts: the list of files, and how findings are told.
# Sourced; the script then runs in the root of the tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# lint_files PATTERN...: files of the tree, new ones too, that match a git pathspec
lint_files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@" | while read -r f; do
			[ ! -f "$f" ] || echo "$f"
		done | sort -u
	else
		local p
		for p; do
			find . -path ./build -prune -o -type f -path "*$p" -print
		done | sed 's|^\./||' | sort -u
	fi
}

# lint_end NAME FILE: prints the findings in FILE; the script's exit status follows
lint_end() {
	if [ -s "$2" ]; then
		cat "$2"
		echo "lint $1: $(wc -l <"$2") findings"
		exit 1
	fi
	echo "lint $1: clean"
}

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
