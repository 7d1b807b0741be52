#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract of stores over an S3 server that keeps objects as files.
# shellcheck source=tests/contract/lib.sh
. "$(dirname "$0")/lib.sh"
start_versity
contract "$s3_url" 1000 below-unknown
