#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Reports of drills, as far as there are none: what makes them needs a cluster.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
new_repo r

t 'a repository without drills says so'
run 0 "$restore" drills --key "$audit" --output json
json_is aksdr/drills/v1 schema
json_is '[]' items
run 0 "$restore" drills shop --key "$audit"
run 4 "$restore" drills shop --key "$audit" --html page.html
err 'there is no drill that has come to its end'
ok not test -e page.html
run 4 "$restore" drills --key "$audit" --run abcd
err 'there is no drill of this name'

t 'what is no name of a run is refused'
run 2 "$restore" drills --key "$audit" --run abc
err 'no name of a run'
run 2 "$restore" drills --key "$audit" --run ABCD
run 2 "$restore" drills --key "$audit" --run abcdabcdabcdabcdabcdabcdabcdabcdabcd
finish
