#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract of stores over Azure's emulator.
# shellcheck source=tests/contract/lib.sh
. "$(dirname "$0")/lib.sh"
start_azurite
contract "$azurite_url" 5000 below-kept
