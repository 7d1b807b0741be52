# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Runs the contract suite over a store. Sourced; brings tests/servers/lib.sh. Needs BIN.
#
#   contract URL PAGE TRAIT...    what PAGE and TRAIT are: store_contract.c
set -uo pipefail
: "${BIN:?BIN is the directory of the programs}"
# shellcheck source=tests/servers/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../servers/lib.sh"

contract() {
	# Pages of the size that the service has need many objects.
	if [ "${TEST_SIZE:-small}" = full ]; then export CONTRACT_PAGE=$2; fi
	CONTRACT_URL=$1 CONTRACT_TRAITS="${*:3}" "$BIN/tests/contract/store_contract"
}
