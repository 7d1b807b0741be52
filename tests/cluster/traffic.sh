#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who serves a plan, by an Azure account with a second region that goes away and comes back: what a look costs,
# and what is answered meanwhile. Two Azurites and the proxy of tests/servers.
cache=${XDG_CACHE_HOME:-$HOME/.cache} # the servers are there; the next line changes HOME
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
have_python || { echo 'no python3'; exit 77; }
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$SRC/tests/servers/lib.sh"
start_geo hold=1

plain=${azurite_url%%\?*}
export AKSDR_STORE="$plain/r?${azurite_url#*\?}" AKSDR_STATE=$work/state
recovery=$work/keys/recovery.key audit=$work/keys/audit.key
run 0 "$agent" init --keys "$work/keys" --quiet
control() { proxy "$@" >/dev/null; }

sides=()
stop() { [ ${#sides[@]} -eq 0 ] || kill "${sides[@]}" 2>/dev/null; }
trap 'stop; servers_clean; clean' EXIT
listens() { grep -qs '"event":"listening"' "$1"; }
serve() { # CLUSTER: one more side; its port is in $port
	"$restore" serve --key "$audit" --cluster "$1" --plan shop=we --listen 127.0.0.1:0 --interval 200 \
		--log-format json 2>"$1.log" &
	sides+=($!)
	wait_for listens "$1.log"
	port=$(sed -n 's/.*"event":"listening","port":\([0-9]*\).*/\1/p' "$1.log")
}
answers() { # PORT STATUS [TEXT]
	[ "$(curl -s -o answer -w '%{http_code}' "http://127.0.0.1:$1/traffic/shop")" = "$2" ] &&
		grep -q "${3:-}" answer
}
# metric PORT NAME
metric() { curl -s "http://127.0.0.1:$1/metrics" | sed -n "s/^$2 //p"; }
metric_is() { [ "$(metric "$1" "$2")" = "$3" ]; }

t 'the primary serves, and a look costs a request for the config and one for the plan'
serve we
we=$port
serve ne
ne=$port
wait_for answers "$we" 200
wait_for answers "$ne" 503
curl -s "http://127.0.0.1:$we/metrics" >before
looks=$(sed -n 's/^aksdr_traffic_looks_total //p' before)
looked() { [ "$(metric "$we" aksdr_traffic_looks_total)" -ge $((looks + 10)) ]; }
wait_for looked
curl -s "http://127.0.0.1:$we/metrics" >after
grew() { echo $(($(sed -n "s/^$1 //p" after) - $(sed -n "s/^$1 //p" before))); }
ok test "$(grew aksdr_traffic_looks_total)" -ge 10
ok test "$(grew aksdr_traffic_requests_total)" -eq $((2 * $(grew aksdr_traffic_looks_total)))

t 'while the first region is away the answers stay, and it is told that the second one gives them'
ok control POST /sync
ok control POST '/set?primary=refuse'
wait_for metric_is "$we" aksdr_traffic_away 1
ok answers "$we" 200
ok answers "$ne" 503
run 1 env AKSDR_RETRY=1s "$restore" promote shop --key "$recovery" --cluster ne --reason down
ok answers "$we" 200

t 'a side that begins now answers by the second region'
serve xe
wait_for answers "$port" 503 "served by its primary 'we'"
ok answers "$port" 503 "served by its primary 'we'"

t 'after a failover of the account the promotion moves the traffic'
ok control POST /failover
run 0 "$restore" fence --key "$recovery" we --successor ne --reason down
wait_for answers "$we" 503
ok answers "$ne" 503
run 0 "$restore" promote shop --key "$recovery" --cluster ne --reason down
wait_for answers "$ne" 200
ok answers "$we" 503
wait_for metric_is "$ne" aksdr_traffic_away 0
finish
