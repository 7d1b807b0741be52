#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A workload's identity: tokens of a service over TLS with a CA of its own, for a blob service that takes
# nothing else. Whole backups and restores while tokens end, are refused, and the federated one is replaced.
here=$(cd "$(dirname "$0")" && pwd) cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$here/../servers/lib.sh"
need_server azurite
start_azurite azurite tls
unset AZURE_STORAGE_KEY
jwt=$work/jwt
echo the.first.assertion >jwt
export AZURE_FEDERATED_TOKEN_FILE=$jwt AZURE_CLIENT_ID=client AZURE_TENANT_ID=tenant AKSDR_RETRY=2s
mkdir -p src/dir
noise 3000000 >src/large
for i in {1..40}; do noise $((i * 1000)) "$i" >"src/dir/$i"; done
agent_key=$work/keys/agent.key recovery=$work/keys/recovery.key
export AKSDR_STORE=$azurite_url AKSDR_STATE=$work/state
given() { grep -c '^given' "$1"; }
: >written
# back_and_forth NAME: a new tree is backed up, and comes back as it is
back_and_forth() {
	noise 2500000 "$1" >src/new
	run 0 "$agent" backup --log-level debug --key "$agent_key" data="$work/src"
	cat .out .err >>written
	run 0 volume data "$work/$1.out"
	cat .out .err >>written
	ok same_tree src "$1.out"
}

t 'one token serves a whole run'
start_tokens "$jwt" "$work/log" 3600
run 0 "$agent" init --keys "$work/keys" --quiet
ok test "$(given log)" -eq 1
back_and_forth one
ok test "$(given log)" -eq 3

t 'the federated token is read again at each exchange'
echo the.second.assertion >jwt
back_and_forth rotated
ok test "$(given log)" -eq 5
ok not grep -q '^refused' log

t 'tokens that end in the middle of a run are renewed'
start_tokens "$jwt" "$work/short" 0
back_and_forth short
ok test "$(given short)" -gt 20

t 'tokens that are refused in the middle of a run are replaced'
start_tokens "$jwt" "$work/tired" 3600
start_tire 5
AKSDR_STORE=$tire_url back_and_forth tired
ok test "$(given tired)" -eq 4
ok not grep -q '^refused' tired

t 'a service that takes no token at all'
start_tire 0
AKSDR_STORE=$tire_url run 1 "$restore" points --key "$recovery"
err "the token of the identity 'client' is not accepted; is it of the account's tenant\?"

t 'an identity that trusts another cluster'
for code in AADSTS700211 AADSTS700213; do
	start_tokens "$jwt" "$work/refused" 3600 "$code"
	run 1 "$restore" points --key "$recovery"
	err "the identity 'client' gets no token, status 400, $code: .*: each cluster has an issuer of its own"
	ok test "$(grep -c . .err)" -eq 1
	cat .err >>written
done

t 'a service of tokens that is away'
stop_server tokens
run 1 "$restore" points --key "$recovery"
err 'getting a token: 127\.0\.0\.1'

t 'a federated token that is not there'
start_tokens "$jwt" "$work/log" 3600
AZURE_FEDERATED_TOKEN_FILE=$work/gone run 4 "$restore" points --key "$recovery"
err "reading the federated token '$work/gone'"

t 'a CA that is not the services'\'''
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=another' \
	-keyout other.key -out other.pem 2>openssl.log || cat openssl.log
AKSDR_STORE=${azurite_url/"$servers_ca"/$work/other.pem} run 1 "$restore" points --key "$recovery"
err "the certificate of 127\.0\.0\.1:.* is not accepted: .*; name its CA's file by the parameter 'ca'"
ok test "$(grep -c . .err)" -eq 1
AKSDR_STORE=${azurite_url%%&ca=*} run 1 "$restore" points --key "$recovery"
err 'is not accepted'
AKSDR_STORE=${azurite_url/"$servers_ca"/$work/gone.pem} run 2 "$restore" points --key "$recovery"
err "reading the CA certificates '$work/gone.pem'"

t 'no token is in anything that was written'
find keys state -type f -exec cat {} + >>written
cat log short tired refused | cut -d' ' -f2 | sort -u >tokens
{ cat tokens && echo 'the.first.assertion' && echo 'the.second.assertion'; } >secrets
ok test "$(wc -l <secrets)" -gt 20
ok not grep -aqFf secrets written
finish
