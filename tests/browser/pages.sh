#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Pages of reports, of compliance and of a drill in a real Chromium (look.js): on a desk and on a
# phone, light and dark. Pictures are kept where $KEEP names a directory.
here=$(cd "$(dirname "$0")" && pwd)
modules=$("$here/install" --print) # in the user's cache, before there is another home
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"

chromium=$(command -v chromium || true)
if [ -z "$chromium" ] || [ ! -e "$modules/complete" ]; then
	echo "there is no Chromium, or no driver for it: scripts/bootstrap installs both" >&2
	exit 1
fi
pictures=${KEEP:-$work/pictures}
mkdir -p "$pictures"

python3 "$here/../cli/report_year.py" make "$here/../../catalog/migrate" year.db 8 200 4 >/dev/null || exit 1
printf 'currency: EUR\nstorageGibMonth: 0.02\n' >prices.yaml
cat >rules.yaml <<'END'
apiVersion: aksdr.io/v1alpha1
kind: ComplianceRules
metadata: {name: gold}
spec:
  rules:
  - name: all
    require: {rpo: 26h, geoRpo: 26h, testedWithin: 90d, keepPoints: 7, encrypted: true, deletionSigners: 2}
  exceptions:
  - {volume: "c1/*", requirement: rpo, until: 2030-01-01, reason: moves, approver: boss}
END
as_of=(--catalog year.db --as-of 2028-06-01 --quiet)

t 'pages of all reports, of one without rows, of compliance and of a sample are written'
run 0 "$catalog" report all "${as_of[@]}" --target 26h --prices prices.yaml --limit 20 --html reports.html
run 0 "$catalog" report coverage "${as_of[@]}" --volume nothing --html empty.html
run 3 "$catalog" comply "${as_of[@]}" --rules rules.yaml --html comply.html
run 0 "$catalog" sample "${as_of[@]}" --seed 1 --n 5 --html sample.html
run 5 "$catalog" status --catalog year.db --html status.html

t 'a browser shows them without a complaint, whatever its size and colours; so does axe'
ok env NODE_PATH="$modules/node_modules" "$modules/node" "$here/look.js" "$chromium" "$pictures" \
	reports.html empty.html comply.html sample.html status.html

finish
