#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract of stores over an S3 server that lists in the order of path components.
# shellcheck source=tests/contract/lib.sh
. "$(dirname "$0")/lib.sh"
start_seaweed
contract "$s3_url" 1000 below-unknown by-component
