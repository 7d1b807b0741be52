#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The web page of the agent that leads, with a real API server, and agents that have no more rights than the chart
# gives: who is let in, who is told what, what is forgotten when, who leads; and the page in a real Chromium, which
# is asked for a password, where there is one.
#
# timeout: 600
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
modules=$(XDG_CACHE_HOME=$bed_cache "$src/tests/browser/install" --print)
chromium=$(command -v chromium || true)
bed_up --no-nodes

k apply -f "$src/helm/aksdr/crds" >/dev/null &&
	k wait --for=condition=Established --timeout=30s crd/backuppolicies.aksdr.io >/dev/null || exit 1
k create namespace aksdr >/dev/null || exit 1
# role KIND FILE...: the rules of the chart
role() {
	local kind=$1
	shift
	printf '%s\n' 'apiVersion: rbac.authorization.k8s.io/v1' "kind: $kind" \
		'metadata: {name: agent, namespace: aksdr}' rules:
	for file; do cat "$src/helm/aksdr/files/rules-$file.yaml"; done
}
role ClusterRole cluster page >roles.yaml
{ echo ---; role Role own; } >>roles.yaml
bed_user agent
k apply -f roles.yaml >/dev/null && k create clusterrolebinding agent --clusterrole=agent --user=agent >/dev/null &&
	k -n aksdr create rolebinding agent --role=agent --user=agent >/dev/null &&
	k create clusterrole page-reader --verb=get --non-resource-url=/aksdr >/dev/null || exit 1
# account NAME [reader]: its token is in $work/NAME.token, and as a header in $work/NAME.header
account() {
	k -n aksdr create serviceaccount "$1" >/dev/null &&
		k -n aksdr create token "$1" >"$1.token" || exit 1
	echo "Authorization: Bearer $(cat "$1.token")" >"$1.header"
	[ $# -eq 1 ] || k create clusterrolebinding "page-$1" --clusterrole=page-reader --serviceaccount="aksdr:$1" \
		>/dev/null || exit 1
}
for name in reader fired gone late; do account $name reader; done
account poor
k -n aksdr create token reader --audience=aksdr.page >audience.token || exit 1
echo "Authorization: Bearer $(cat audience.token)" >audience.header

export AKSDR_STORE=file://$work/store
"$agent" init --keys "$work/keys" >/dev/null || exit 1
mkdir data && echo content >data/file
AKSDR_STATE=$work/own "$agent" backup --key keys/agent.key --quiet 'docs=data' >/dev/null || exit 1
declare -A page=([a]=19001 [b]=19002) pids=()
# starts NAME [OPTION]...: an agent, whose page is at ${page[NAME]}
starts() {
	local name=$1
	shift
	KUBECONFIG=$bed/agent.kubeconfig AKSDR_STATE=$work/state-$name "$agent" run --key "$work/keys/agent.key" \
		--node "node-$name" --namespace aksdr --pod "agent-$name" --cluster c1 --role secondary \
		--listen "127.0.0.1:1800${page[$name]: -1}" --page "127.0.0.1:${page[$name]}" "$@" >"$name.log" 2>&1 &
	pids[$name]=$!
}
# get WHO PATH [OPTION]...: of the page of agent a; the answer's status in $code, its head in $head, the rest in $body
at=a head=$work/head body=$work/body
get() {
	local who=$1 path=$2
	shift 2
	code=$(curl --silent --max-time 40 --header "@$work/$who.header" --dump-header "$head" --output "$body" \
		--write-out '%{http_code}' "$@" "http://127.0.0.1:${page[$at]}$path")
}
# gets CODE WHO PATH [OPTION]...: that this is the answer
gets() {
	get "${@:2}"
	[ "$code" = "$1" ] || { echo "   '$code', not $1: $(head -c 300 "$body")" && false; }
}
says() { grep -qE "$1" "$body" || { echo "   not '$1': $(head -c 300 "$body")" && false; }; }
has() { grep -qiE "$1" "$head" || { echo "   not '$1': $(cat "$head")" && false; }; }
: >none.header

starts a
bed_wait 60 gets 200 reader / >/dev/null || { cat a.log && exit 1; }
starts b --page-audience aksdr.page --page-hosts backups.example

t 'who has a token and the right sees how it stands, and reports'
ok bed_wait 60 gets 200 reader /
ok says 'Am I safe\?'
ok says 'The catalog was brought up to the store [0-9]+s ago'
ok says '<a href="/reports/coverage">'
ok has '^content-type: text/html; charset=utf-8'
ok gets 200 reader /reports/inventory
ok says '>docs<'
ok gets 200 reader '/reports/inventory?namespace=nothing'
ok says 'There is nothing to tell'
ok gets 200 none /reports/rpo --user "whoever:$(cat reader.token)"
ok says 'href="/"'
ok gets 404 reader /reports/cost
ok gets 400 reader '/reports/rpo?volumes=x'

t 'nobody else does, and is told why'
ok gets 401 none /
ok has '^www-authenticate: Basic realm='
ok has '^www-authenticate: Bearer'
echo 'Authorization: Bearer eyJhbGciOiJub25lIn0.e30.' >bad.header
ok gets 401 bad /
ok says 'knows nobody by this token'
ok gets 403 poor /
ok says "'system:serviceaccount:aksdr:poor' may not see this page.*page-reader"
ok gets 403 poor /reports/inventory
ok gets 401 audience / # the API server would not take it either

t 'it is read by GET, under its own name, and not kept or framed anywhere'
ok gets 405 reader / --request POST
ok gets 421 reader / --header 'Host: evil.example'
ok gets 200 reader / --header 'Host: localhost:8080'
ok gets 200 reader / --head
for header in "content-security-policy: default-src 'none'; style-src 'sha256-.*frame-ancestors 'none'" \
	'cache-control: no-store' 'x-content-type-options: nosniff' 'x-frame-options: DENY' \
	'referrer-policy: no-referrer'; do
	ok has "^$header"
done
ok not grep -qi '^set-cookie' "$head"

t 'the server for probes and metrics has nothing of it'
run 0 curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:18001/reports/inventory
out '^404$'
run 0 curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:18001/healthz
out '^200$'

t 'an agent that does not lead says which one does; and takes tokens for its audience alone'
at=b
ok bed_wait 60 gets 503 audience /
ok says "that is the pod 'agent-a': kubectl -n aksdr port-forward pod/agent-a 19002"
ok has '^retry-after: '
ok gets 401 reader /
ok gets 503 audience / --header 'Host: Backups.Example:8443'
at=a
ok gets 421 reader / --header 'Host: backups.example'

t 'a right or an account that was taken away counts within a minute'
ok gets 200 fired /
ok gets 200 gone /
k delete clusterrolebinding page-fired >/dev/null
k -n aksdr delete serviceaccount gone >/dev/null
ok bed_wait 75 gets 403 fired /
ok bed_wait 75 gets 401 gone /

t 'while the API server is away, who was let in before is, and nobody else'
ok gets 200 reader /
bed_kill apiserver
ok gets 200 reader /reports/rpo
ok gets 503 late /
ok says 'cannot be asked who you are'
ok not grep -q refused "$body" # the reason is the agent's own
bed_start apiserver
ok bed_wait 60 gets 200 late /

if [ -n "$chromium" ] && [ -e "$modules/complete" ]; then
	t 'a browser that is asked for a password shows it, whatever its size and colours; so does axe'
	pictures=${KEEP:-$work/pictures}
	mkdir -p "$pictures"
	ok bed_wait 60 gets 200 reader /
	ok env NODE_PATH="$modules/node_modules" PAGE_TOKEN="$(cat reader.token)" "$modules/node" \
		"$src/tests/browser/look.js" "$chromium" "$pictures" "http://localhost:${page[a]}/" \
		"http://localhost:${page[a]}/reports/coverage" "http://localhost:${page[a]}/reports/inventory"
else
	echo 'there is no Chromium, or no driver for it: the page was not looked at'
fi

t 'the log says who saw and who did not, and no token'
ok grep -q 'a page was shown user=system:serviceaccount:aksdr:reader path=/reports/inventory' a.log
ok grep -q 'a page was refused user=system:serviceaccount:aksdr:poor' a.log
for token in *.token; do
	ok not grep -qF "$(cut -d . -f 3 "$token")" a.log b.log
done

t 'it ends with the agent'
kill -TERM "${pids[a]}" "${pids[b]}"
for pid in "${pids[@]}"; do
	wait "$pid"
	ok test $? -eq 0
done
get reader /
ok test "$code" = 000
finish
