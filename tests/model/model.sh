#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The protocol of docs/CONCURRENCY.md, as a model of which every state is looked at (model.py says what
# is in it). Each scope must be SAFE, and searched to its end; without one of the rules, it must lose
# data. A mutant that takes away two rules is one where each of the two is enough.
#
#   model.sh [-v] [SCOPE...]      -v: how each mutant loses data, step by step
#
# What covers what; each two of the first seven lines meet in some scope, and that is checked:
#
#   session, writers, tentative             writers, checkpoints, expiry, one collector
#   take-over, zombies                      a second collector at each step, also generations later
#   repack, moved, segments that go         places that are gone, chunks that have another place
#   left, locked segment, locked marker     deletes that are refused
#   adoption, fenced                        sessions that were fenced, and their packs
#   lost answers, late puts, late …         puts that are applied unanswered, twice, or late
#   heir                                    a session that is continued by another process
#   index session, index and mark           the new index, while others look, or are further
#   hold                                    holds that come in time, and too late
#   finals, roll-up, rot                    two finals, a list of all, and lists that do not open any more
#   known                                   an index that was listed earlier
#
# MODEL_SIZE=full: larger scopes, where more of these meet, and of two rules that one is enough: some five
# minutes of one core, and 1 GiB of memory. large: those that take minutes each, too.
set -u

arguments=("$@")
case ${MODEL_SIZE:-small} in
small) ;;
full | large) arguments=("--$MODEL_SIZE" "$@") ;;
*) echo "model: MODEL_SIZE is small, full or large" >&2 && exit 2 ;;
esac
export PYTHONDONTWRITEBYTECODE=1
here=$(dirname "$0")
failed=0
# Fences are a model of their own: a site, its writers, and who fences it.
if [ $# -eq 0 ] || [ "$*" = -v ]; then
	"${PYTHON:-python3}" "$here/fence.py" "$@" || failed=1
fi
"${PYTHON:-python3}" "$here/model.py" ${arguments[@]+"${arguments[@]}"} || failed=1
exit $failed
