#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Policies in files, as aksdr-agent tells of them.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

src=${SRC:?}

t 'the examples are told with their firings by their own clocks'
run 0 "$agent" policies check --from 2027-03-27 --output json "$src/helm/aksdr/examples"
out '"schema": "aksdr/policies/v1"'
out '"policy": "aksdr/default", "result": "ok", "cron": "0 2 \* \* \*", "time_zone": "Europe/Berlin"'
out '"next_1": "2027-03-27T02:00:00\+01:00", "next_2": "2027-03-28T03:00:00\+02:00",'
out '"next_3": "2027-03-29T02:00:00\+02:00", "jitter_ms": 7200000'
out '"keeps": "last 3, hourly 48, daily 14, weekly 8, monthly 24, yearly 10, within 2d00h"'
run 0 "$agent" policies check "$src/helm/aksdr/examples/policies.yaml"
out 'POLICY +RESULT +SCHEDULE +ZONE +NEXT'
out '^shop/orders-db +ok '

t 'a mistake is told by its field, and ends with status 2'
cat >p.yaml <<'END'
apiVersion: aksdr.io/v1alpha1
kind: BackupPolicy
metadata: {name: here}
spec:
  selector: {}
  schedule: {cron: "0 2 * * *", timeZone: Europe/Atlantis}
END
run 2 "$agent" policies check p.yaml
out '^aksdr/here +invalid'
err "policy 'aksdr/here': spec.schedule.timeZone: there is no time zone 'Europe/Atlantis' in '"
run 2 "$agent" policies check "$src/tests/kube/policies-bad.yaml"
err '69 policies have a mistake, first: policy '

t 'the namespace of the agent is taken where none is given'
sed -i 's,Europe/Atlantis,UTC,' p.yaml
run 0 "$agent" policies check --namespace backup p.yaml
out '^backup/here +ok'

t 'what is no policy is refused with its place'
echo 'kind: Pod' >pod.yaml
run 2 "$agent" policies check pod.yaml
err "pod.yaml: document at line 1: kind: 'Pod' is no BackupPolicy"
run 2 "$agent" policies check p.yaml p.yaml
err "policy 'aksdr/here' is there twice"
run 4 "$agent" policies check none.yaml
err 'none.yaml'
run 2 "$agent" policies check --from yesterday p.yaml
err '^aksdr-agent: --from'

finish
