#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-agent doctor over a directory: each check, with and without a key, what it leaves, and what it
# says to programs. tests/servers/doctor.sh does the same over services.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
doctor() { "$agent" doctor --quick "$@"; }
files() { find "$1/probe" -type f 2>/dev/null | wc -l; }

t 'without a key the store is examined, and the repository is left out'
run 0 doctor
out '^answer +ok +it is there$'
out '^create +ok +allowed$'
out '^delete +ok +allowed; collections need it, backups do not$'
out '^create-only +ok '
out '^one of 16 creates +ok +16 writers of one name at once: one wins \(2 races\)$'
out '^read after write +ok '
out '^list after write +ok '
out '^range reads +ok '
out '^gone after delete +ok '
out '^clock +ok +as the store'
out '^second region +- '
out '^latency +ok +median .*\(8 reads\)$'
out '^upload +(ok|warning) '
out '^download +(ok|warning) '
out '^left behind +ok +nothing: all [0-9]+ objects are deleted again$'
out '^repository and key +- +not looked at: no key was given \(--key FILE\)$'
out '^[0-9]+ checks: [0-9]+ ok, [0-9]+ warnings?, 0 FAILED$'
ok test "$(files "$store_dir")" -eq 0

t 'no line is wider than 80 columns'
grep -v '^store' "$work/.out" >narrow # a path has no place to break
ok not grep -qE '^.{81}' narrow

t 'with a key also the repository is looked at'
run 0 doctor --key "$agent_key"
out '^repository and key +ok +agent key of repository'
out '^may write +ok '
out '^cipher +'
out '^local state +ok '

t 'of a volume it says how a view of it would be made'
run 0 doctor "$work"
out '^freezer +(ok|warning) '
out '^volume +(ok|warning) '
run 1 doctor "$work/none"
err 'of the checks failed: volume$'

t 'quiet: nothing is said of what is right'
run 0 doctor --quiet --key "$agent_key"
out_not '^[a-z-]+ +ok'

t 'one thing that fails is said even so, and the status is 1'
run 1 doctor --quiet --key "$audit"
out '^may write +FAILED +only an agent key'
err 'of the checks failed: may write$'

t 'programs get all at once'
run 0 doctor --output json
json_is aksdr/doctor/v1 schema
json_is 0 checks failed
json_is store items 0 check
json_is ok items 0 result
json_is 0 measured objects_left
ok test "$(json measured upload_bytes_s_many)" -gt 0
run 0 doctor --output csv
out '^group,check,result,detail,remedy'

t 'a directory that cannot be written'
chmod -R a-w "$store_dir"
run 1 unprivileged "$agent" doctor --quick
out '^create +FAILED '
out '=> to create it needs permission to write in the$'
out '^read +ok '
out '^list +ok '
out '^guarantees +- '
err 'failed: create$'
chmod -R u+w "$store_dir"

t 'a directory that is not there is not made'
run 1 doctor --store "file://$work/nowhere"
out '^store +FAILED '
ok not test -e "$work/nowhere"

t 'one that is stopped takes its objects away'
"$agent" doctor >"$work/.out" 2>"$work/.err" </dev/null &
pid=$!
shown='doctor, stopped'
# The writing of large objects is the longest of it.
while kill -0 "$pid" 2>/dev/null && ! grep -q '^latency' "$work/.out"; do :; done
kill -TERM "$pid" 2>/dev/null
wait "$pid"
status=$?
ok test "$status" -eq 130 -o "$status" -eq 0
ok test "$(files "$store_dir")" -eq 0

finish
