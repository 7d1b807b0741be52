#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/servers/proxy.py does what its head says, in front of two Azurites.
set -uo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"
need_server azurite
start_geo
"$servers_python" "$servers_here/try_proxy.py" "$azurite_endpoint" "$azurite_secondary" "$first_endpoint" \
	"$second_endpoint" "$proxy_control"
