#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract of stores over SeaweedFS, an S3 server that lists by path components.
# shellcheck source=tests/contract/lib.sh
. "$(dirname "$0")/lib.sh"
# Its writes and its races are slow: no part of the fast tests.
[ "${TEST_SIZE:-small}" = full ] || { echo 'only at full size' && exit 77; }
start_seaweed
contract "$s3_url" 1000 below-unknown by-component
