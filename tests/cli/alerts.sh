#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The rules and the dashboard of the chart by Prometheus' own tool: they are read, alerts wake somebody when they
# should and only then, and metrics that they name exist and the other way round.
#
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
command -v promtool >/dev/null || { echo 'there is no promtool: scripts/bootstrap brings it'; exit 77; }

files=$SRC/helm/aksdr/files
cp "$files/alerts.yaml" "$SRC/tests/cli/alerts.test.yaml" "$work"

t 'the rules are read'
run 0 promtool check rules "$work/alerts.yaml"
out 'SUCCESS: [0-9]+ rules found'

t 'each alert wakes when it should, and not before'
run 0 promtool test rules "$work/alerts.test.yaml"
# The test of all counts all but AksdrSilent: a new alert needs a series there.
ok test "$(grep -c -- '- alert:' "$work/alerts.yaml")" -eq 30
grep -oE '^ +- alert: [A-Za-z]+' "$work/alerts.yaml" | sort | uniq -d >twice
ok empty twice

t 'every expression of the dashboard is one'
jq -r '.panels[].targets[]?.expr' "$files/dashboard.json" >expressions
ok test -s expressions
{
	echo 'groups: [{name: dashboard, rules: ['
	jq -c '{record: "x:y", expr: ., labels: {n: (input_line_number | tostring)}}' \
		<(jq '.panels[].targets[]?.expr' "$files/dashboard.json") |
		sed 's/$/,/'
	echo ']}]'
} >dashboard.yaml
run 0 promtool check rules dashboard.yaml

# names: of metrics that a program writes
names() {
	grep -ohE '"aksdr_[a-z0-9_]+"' "$SRC"/{agent,catalog,restore,common,store}/*.c | tr -d '"' | sort -u
}
t 'what rules and dashboard name is written by a program'
names >written
grep -ohE 'aksdr_[a-z_]+' "$files/alerts.yaml" "$files/dashboard.json" | sort -u >named
ok test "$(wc -l <named)" -gt 25
comm -23 named written >unknown
ok empty unknown

t 'every metric that a program writes is in the manual, and the other way round'
grep -ohE '`aksdr_[a-z0-9_]+' "$SRC"/docs/*.md | tr -d '`' | sort -u >told
comm -23 written told >untold
ok empty untold
comm -13 written told >unwritten
ok empty unwritten
finish
