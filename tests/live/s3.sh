#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A real bucket: AKSDR_LIVE_S3 and AKSDR_LIVE_S3_CREDENTIALS say which (docs/TESTING.md).
here=$(cd "$(dirname "$0")" && pwd)
live_url=${AKSDR_LIVE_S3:-} live_file=${AKSDR_LIVE_S3_CREDENTIALS:-}
if [ -z "$live_url" ] || [ -z "$live_file" ]; then
	echo 'AKSDR_LIVE_S3 and AKSDR_LIVE_S3_CREDENTIALS are not set'
	exit 77
fi
# shellcheck source=tests/live/lib.sh
. "$here/lib.sh"
live_story s3
[ "$failed" -ne 0 ] || [ "$case_bad" -ne 0 ] ||
	proved "Signature Version 4, create-only uploads and checksums are accepted by ${live_url%%\?*}"
live_end
