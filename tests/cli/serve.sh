#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who serves a plan, over HTTP: the primary, nobody, the other one, and back when somebody says so.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
command -v curl >/dev/null || { echo 'no curl'; exit 77; }
new_repo r

# serve CLUSTER [OPTION]...: one more side; its port is in $port
sides=()
stop() { [ ${#sides[@]} -eq 0 ] || kill "${sides[@]}" 2>/dev/null; }
trap 'stop; clean' EXIT
listens() { grep -qs '"event":"listening"' "$1"; }
serve() {
	local cluster=$1
	shift
	"$restore" serve --key "$audit" --cluster "$cluster" --listen 127.0.0.1:0 \
		--log-format json "$@" 2>"$cluster.log" &
	sides+=($!)
	wait_for listens "$cluster.log"
	port=$(sed -n 's/.*"event":"listening","port":\([0-9]*\).*/\1/p' "$cluster.log")
}
# answers PORT STATUS TEXT [PATH]: what is told of the plan
answers() {
	[ "$(curl -s -o answer -w '%{http_code}' "http://127.0.0.1:$1/${4:-traffic/shop}")" = "$2" ] &&
		grep -qE -- "$3" answer
}
promote() { "$restore" promote shop --key "$recovery" --cluster "$@"; }

t 'what is wrong with an order is said before anything is done'
run 2 "$restore" serve --key "$audit" --plan shop=we
err '^aksdr-restore: --cluster is missing'
run 2 "$restore" serve --key "$audit" --cluster we
err '^aksdr-restore: --plan is missing'
run 2 "$restore" serve --key "$audit" --cluster we --plan shop=
err 'name is missing'
run 2 "$restore" serve --key "$audit" --cluster we --plan Shop=we
err "'Shop' is no name of a plan"
run 4 "$restore" serve --key "$audit" --cluster we --plan ./none.yaml
run 2 "$restore" serve --key "$audit" --cluster we --plan shop=we/
run 2 "$restore" serve --key "$audit" --cluster we --plan shop=we/a,,b
run 2 "$restore" serve --key "$audit" --cluster we --plan shop=we --interval 1
run 2 "$restore" promote shop --key "$recovery" --reason down
err '^aksdr-restore: --cluster is missing'
run 2 "$restore" promote shop --key "$recovery" --cluster ne
err '^aksdr-restore: --reason is missing'
run 1 "$restore" promote shop --key "$agent_key" --cluster ne --reason down
err 'takes the recovery key that init made'
ok not test -e "$store_dir/ctl"

t 'the primary serves, and the other side says who does'
serve we --plan shop=we --plan other=ne
we=$port
cat >plan.yaml <<'END'
apiVersion: aksdr.io/v1alpha1
kind: RestorePlan
metadata: {name: shop}
spec:
  mode: hot/cold
  primary: {cluster: we, region: westeurope}
  secondary: {cluster: ne, region: northeurope}
  selector: {namespaces: [shop]}
END
serve ne --plan "$work/plan.yaml"
ne=$port
wait_for answers "$we" 200 "plan 'shop' is served by 'we'"
wait_for answers "$ne" 503 "served by its primary 'we', and not by 'ne'"
ok answers "$we" 503 "served by its primary 'ne'" traffic/other
ok answers "$ne" 404 'no such plan here' traffic/other
ok answers "$we" 404 'there are /metrics, /healthz, /readyz and /traffic/PLAN here' nothing
ok answers "$we" 200 ok healthz
ok answers "$we" 200 ok readyz
run 0 curl -si "http://127.0.0.1:$ne/traffic/shop"
out '^HTTP/1.1 503 '
out '^Cache-Control: no-store'
out_not '^Location'
run 0 curl -sI "http://127.0.0.1:$we/traffic/shop"
out '^HTTP/1.1 200 '
run 0 curl -s -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$we/traffic/shop"
out '^405$'

t 'a dry run promotes nobody'
run 0 promote ne --reason down --dry-run --output json
json_is aksdr/promote/v1 schema
json_is 'would be promoted' items 0 state
json_is 1 items 0 record
json_is null items 0 before
ok not test -e "$store_dir/ctl"

t 'who is fenced serves no more, and nobody does'
run 0 "$restore" fence --key "$recovery" we --successor ne --reason down
wait_for answers "$we" 503 "cluster 'we' was fenced on .*, and no later record says that it serves plan 'shop'"
ok answers "$ne" 503 "and not by 'ne'"

t 'within a second of the promotion the other side does'
run 6 promote we --reason 'by mistake'
err "cluster 'we' is fenced .epoch 1."
run 0 promote ne --reason down
out 'shop +ne +promoted'
promoted=$EPOCHREALTIME
wait_for answers "$ne" 200 "plan 'shop' is served by 'ne'"
ok test $((${EPOCHREALTIME/./} - ${promoted/./})) -lt 1000000
wait_for answers "$we" 503 "served by 'ne' since .*, and not by 'we'"
run 0 promote ne --reason down
out 'was so before'

t 'giving back moves nothing; a record does'
run 0 "$restore" unfence --key "$recovery" we --reason back
run 0 "$restore" fence --key "$recovery" ne --reason back
wait_for answers "$ne" 503 "cluster 'ne' was fenced"
ok answers "$we" 503 "and not by 'we'"
run 0 promote we --reason 'all is back' --output json
json_is ne items 0 before
wait_for answers "$we" 200 "served by 'we'"
wait_for answers "$ne" 503 "served by 'we' since"
run 0 curl -s "http://127.0.0.1:$we/metrics"
out '^aksdr_traffic_served\{plan="shop"\} 1$'
out '^aksdr_traffic_served\{plan="other"\} 0$'
out '^aksdr_traffic_record\{plan="shop"\} 2$'
out '^aksdr_traffic_age_seconds 0'
out '^aksdr_traffic_epoch 3$'

t 'a namespace of the plan that is fenced is enough'
serve se --plan crm=se/a,b --plan hr=se/a
wait_for answers "$port" 200 "plan 'crm' is served by 'se'" traffic/crm
run 0 "$restore" fence --key "$recovery" se/b --reason part
wait_for answers "$port" 503 "namespace 'b' of cluster 'se' was fenced on" traffic/crm
ok answers "$port" 200 "plan 'hr' is served by 'se'" traffic/hr

t 'what is recorded is a repository that checks well'
run 0 "$catalog" check --key "$audit" --level 3

t 'without a store nobody serves; with one that is there later, its owner does'
AKSDR_STORE=file://$work/later serve xe --plan shop=xe
xe=$port
ok answers "$xe" 503 'the store was not read yet'
ok answers "$xe" 503 'the store was not read yet' readyz
ok answers "$xe" 200 ok healthz
mv "$store_dir" later
wait_for answers "$xe" 503 "served by 'we' since"
wait_for answers "$xe" 200 ok readyz
mv later "$store_dir"

t 'it ends when it is told to'
kill -TERM "${sides[0]}"
wait "${sides[0]}"
ok test $? -eq 0
finish
