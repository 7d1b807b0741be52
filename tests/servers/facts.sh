#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The table of docs/STORES.md that says what the servers of the tests do is what they do.
set -uo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"
need_server azurite versity seaweed
start_azurite
start_versity
versity=$s3_endpoint
start_seaweed
"$servers_python" "$servers_here/facts.py" "$azurite_endpoint" "$versity" "$s3_endpoint" >"$servers/facts" ||
	{ echo 'asking the servers failed' && exit 1; }
sed -n '/^| | Azurite/,/^$/ { /^|/p }' "$servers_here/../../docs/STORES.md" |
	diff -u --label docs/STORES.md --label 'what they do' - "$servers/facts"
