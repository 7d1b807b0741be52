#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-catalog report: numbers as they are computed elsewhere, forms, and what is refused.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
year() { python3 "$here/report_year.py" "$1" "$here/../../catalog/migrate" "$work/year.db" "${@:2}"; }

t 'a year of volumes: every report says what was computed from the facts, in every time zone'
ok year check 8 400 2 -- "$catalog" >said
ok grep -q 'rows as expected' said

t 'the list of reports'
run 0 "$catalog" report
out '^coverage +Which volumes'
run 0 "$catalog" report --output json
json_is coverage items 0 report
json_is cost items 12 report

export AKSDR_STATE=$work/state
report() { "$catalog" report "$@" --catalog "$work/year.db" --as-of 2028-06-01; }

t 'all reports in one page, the same bytes each time'
ok report all --html one.html --target 24h
TZ=Asia/Kathmandu LC_ALL=C ok report all --html two.html --target 24h
ok cmp one.html two.html
ok grep -q '<h2 id="coverage-title">Coverage</h2>' one.html
ok not grep -qi '<script' one.html
ok not grep -q 'id="cost"' one.html

t 'prices make the report of cost'
printf 'currency: EUR\nstorageGibMonth: 0.02\n' >prices.yaml
run 0 report cost --prices prices.yaml --output csv
out 'EUR'
run 2 report cost
err 'needs --prices'
printf 'currency: EUR\nstorageGibMonth: -1\n' >bad.yaml
run 2 report cost --prices bad.yaml
err 'storageGibMonth: expected a number'

t 'CSV is fit for a spreadsheet: no formula, every row as long as the first'
run 0 report inventory --output csv
report inventory --output csv >inventory.csv
ok python3 - <<'P'
import csv
rows = list(csv.reader(open("inventory.csv", newline="")))
assert len({len(r) for r in rows}) == 1 and len(rows) == 9, rows
assert not any(c[:1] in ("=", "+", "@") for r in rows for c in r)
assert any(c.startswith("'=cmd") for r in rows for c in r)
P

t 'JSON of all reports is one document'
report all --output json >all.json
ok python3 - <<'P'
import json
d = json.load(open("all.json"))
assert d["schema"] == "aksdr/reports/v1" and len(d["reports"]) == 12
assert all(r["schema"] == "aksdr/report/%s/v1" % r["report"] for r in d["reports"])
P

t 'a sample needs a seed, and is the same each time'
sample() { "$catalog" sample "$@" --catalog "$work/year.db" --as-of 2028-06-01; }
run 2 sample
err '--seed is needed'
sample --seed 1 --output csv >a.csv
sample --seed 1 --output csv >b.csv
sample --seed 2 --output csv >c.csv
ok cmp a.csv b.csv
ok not cmp -s a.csv c.csv
ok test "$(wc -l <a.csv)" -eq 26

t 'rules: what is met is exit 0, what is not 3, what is wrong in them 2 with its place'
comply() { "$catalog" comply "$@" --catalog "$work/year.db" --as-of 2028-06-01; }
rules() {
	printf 'apiVersion: aksdr.io/v1alpha1\nkind: ComplianceRules\nmetadata: {name: r}\nspec:\n  rules:\n' >r.yaml
	printf '  - {name: x, require: {%s}}\n' "$1" >>r.yaml
}
run 2 comply
err '--rules is needed'
rules 'encrypted: true'
run 0 comply --rules r.yaml --volume '*-7'
out 'encrypted +pass'
rules 'keepPoints: 100000'
run 3 comply --rules r.yaml
err '8 requirements are not met'
rules 'rpo: soon'
run 2 comply --rules r.yaml
err "rules 'r': spec.rules\\[0\\].require.rpo"
rules 'rop: 1h'
run 2 comply --rules r.yaml
err 'rpo'
rules 'keepPoints: 100000'
run 3 comply --rules r.yaml --html c.html
ok grep -q '<td class="bad">fail</td>' c.html
ok not grep -qi '<script' c.html
run 3 comply --rules r.yaml --output csv --quiet
out '^c0/ns0/'

t 'what makes no sense is refused'
run 2 report coverag
err "did you mean 'coverage'"
run 2 report all --output csv
err 'one kind of row'
run 2 report rpo --from 2028-05-01 --to 2028-04-01
err 'ends before it begins'
run 2 report rpo --to 2029-01-01
err 'ends after the time of the report'
run 2 report inventory --target 1h
err '--target has no meaning'
run 2 report keys --from 2028-05-01
run 2 report keys --policy x
run 2 report keys --html x.html --limit 10001
run 4 "$catalog" report keys --catalog nothing.db

finish
