#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# `aksdr-restore serve` of two sides under the probes of Traffic Manager, as a model on a virtual clock.
set -u
: "${BIN:?BIN is the directory of the programs}"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo 'no python3'; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
exec "$python" "$(dirname "$0")/probes.py"
