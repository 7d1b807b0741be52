#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The protocol of docs/CONCURRENCY.md, as a model of which every state is looked at (model.py says what
# is in it). Each scope must be SAFE, and searched to its end; without one of the rules, it must lose
# data. A mutant that takes away two rules is one where each of the two is enough.
#
#   model.sh [-v] [SCOPE...]      -v: how each mutant loses data, step by step
#
# What covers what; each two of these meet in some scope, and that is checked:
#
#   session, writers, tentative, copies     writers, checkpoints, expiry, one collector
#   take-over, two of each                  a second collector at each step
#   zombies, index session, finals          collectors and sessions that go on generations later
#   repack, moved, segments that go         places that are gone, chunks that have another place
#   left, locked segment, … locks           deletes that are refused
#   adoption                                sessions that were fenced, and their packs
#   lost answers, late puts, late …         puts that are applied unanswered, twice, or late
#   heir                                    a session that is continued by another process
#
# TEST_SIZE=full: larger scopes, where more of these meet; minutes, and 1 GiB of memory.
set -u

arguments=("$@")
[ "${TEST_SIZE:-small}" != full ] || arguments=(--full "$@")
export PYTHONDONTWRITEBYTECODE=1
exec "${PYTHON:-python3}" "$(dirname "$0")/model.py" ${arguments[@]+"${arguments[@]}"}
