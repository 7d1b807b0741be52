#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Azure stores whose URL, credentials, rights, clock or account are wrong: one sentence each that says
# what to do, the right exit status, nothing lost, and no secret in anything that is written.
here=$(cd "$(dirname "$0")" && pwd) cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$here/../servers/lib.sh"
export AKSDR_RETRY=1s
need_server azurite
start_azurite
key=$AZURE_STORAGE_KEY
client() { AZURE_STORAGE_KEY=$key servers_client "$@"; }
mkdir src && echo content >src/file
export AKSDR_STORE=$azurite_url AKSDR_STATE=$work/state
run 0 "$agent" init --keys "$work/keys"
agent_key=$work/keys/agent.key recovery=$work/keys/recovery.key
run 0 backup data="$work/src"
client list azure "$azurite_endpoint" data >objects

: >written
# bad_run STATUS COMMAND...: as run; what it wrote is kept for the look at secrets
bad_run() {
	run "$@"
	cat .out .err >>written
	ok test "$(grep -c . .err)" -eq 1
}
# fails_with STATUS TEXT: a backup, a list and a restore fail alike, with that text
fails_with() {
	bad_run "$1" "$agent" backup --log-level debug --key "$agent_key" data="$work/src"
	err "$2"
	bad_run "$1" "$restore" points --key "$recovery"
	err "$2"
	bad_run "$1" "$restore" volume --key "$recovery" data --target "$work/never"
	err "$2"
	ok not test -e never
}
# with NAME=VALUE... COMMAND...: with these settings alone
with() {
	local names=()
	unset AZURE_STORAGE_KEY
	while [[ $1 == [A-Z]*=* ]]; do
		names+=("${1%%=*}")
		export "${1?}"
		shift
	done
	"$@"
	unset ${names[@]+"${names[@]}"}
	export AZURE_STORAGE_KEY=$key
}

t 'a key that is not the account'\''s'
wrong=$(head -c 64 /dev/urandom | base64 -w 0)
with AZURE_STORAGE_KEY="$wrong" fails_with 1 "whether the key is this account's present one"

t 'a key that is none'
with AZURE_STORAGE_KEY='s3cr3t!' fails_with 2 'the account key \(AZURE_STORAGE_KEY\) is no base64'

t 'no credentials at all, and no machine that has an identity'
with AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:1 \
	fails_with 1 'there are no credentials: neither workload identity nor AZURE_STORAGE_SAS_TOKEN'

t 'a container that is not there'
AKSDR_STORE=${azurite_url/data/elsewhere} fails_with 1 "no container 'elsewhere'; create it, or mend the URL"

t 'a signature that has ended'
ended=$(client sas "$azurite_endpoint" data rcwld -60)
with AZURE_STORAGE_SAS_TOKEN="$ended" fails_with 1 'the shared access signature ended at 20.*Z; make a new one'

t 'a signature of another key'
false=$(AZURE_STORAGE_KEY=$wrong servers_client sas "$azurite_endpoint" data rcwld 600)
with AZURE_STORAGE_SAS_TOKEN="$false" fails_with 1 'shared access signature'

t 'a signature that lacks a right'
reader=$(client sas "$azurite_endpoint" data rl 600)
with AZURE_STORAGE_SAS_TOKEN="?$reader" bad_run 1 "$agent" backup --key "$agent_key" data="$work/src"
err 'the shared access signature lacks the right c \(create\) and w \(write\); make one that has it'
with AZURE_STORAGE_SAS_TOKEN="$reader" run 0 "$restore" volume --quiet --key "$recovery" data --target "$work/sas.out"
ok same src/file sas.out/file
blind=$(client sas "$azurite_endpoint" data rcw 600)
with AZURE_STORAGE_SAS_TOKEN="$blind" fails_with 1 'lacks the right l \(list\)'

t 'a signature that is none'
with AZURE_STORAGE_SAS_TOKEN="sv=s3cr3t" fails_with 2 "is no query with a 'sig' in it"

t 'a clock that is off by 20 minutes'
start_answer 403 AuthenticationFailed 1200
AKSDR_STORE=$answer_url fails_with 1 "this machine's clock is (19m5|20m).* behind the service's.*; set the clock"
start_answer 403 AuthenticationFailed -1200
AKSDR_STORE=$answer_url fails_with 1 "this machine's clock is 20m.* ahead of the service's"

t 'an account that refuses by policy'
start_answer 403 KeyBasedAuthenticationNotPermitted
AKSDR_STORE=$answer_url fails_with 1 "the account allows no account keys; use a workload's identity"
start_answer 403 AuthorizationFailure
AKSDR_STORE=$answer_url fails_with 1 'look at its firewall and private endpoints'
start_answer 403 AuthorizationPermissionMismatch
AKSDR_STORE=$answer_url fails_with 1 "assign the role 'Storage Blob Data Reader' on the container 'data'"
start_answer 403 AccountIsDisabled
AKSDR_STORE=$answer_url fails_with 1 'the storage account is disabled'

t 'a service that is busy for longer than we wait, and one that is not there'
start_answer 503 ServerBusy
AKSDR_STORE=$answer_url fails_with 1 'the service is busy'
stop_server answer
AKSDR_STORE=$answer_url fails_with 1 '127.0.0.1'

t 'a version of the interface that the service does not know'
AKSDR_STORE="$azurite_url&api=2099-01-01" fails_with 1 "does not know version 2099-01-01.*the parameter 'api'"

t 'URLs that make no sense'
base=azure://acct1/data
AKSDR_STORE="$base?endpoint=http://example.com" fails_with 2 'must begin with https:// \(http:// is for loopback'
AKSDR_STORE="$base?color=red" fails_with 2 "'color' is no parameter that a store like 'azure://acct1/data' has"
AKSDR_STORE="$base?tier=archive" fails_with 2 'tier=archive is none of hot, cool, cold'
AKSDR_STORE="$base?auth=workload" fails_with 2 'auth=workload wants AZURE_FEDERATED_TOKEN_FILE, which is not set'
AKSDR_STORE=azure://acct1 fails_with 2 'azure://ACCOUNT/CONTAINER'
AKSDR_STORE=azure://Acct1/data fails_with 2 "'Acct1' is no storage account"

t 'a secret in the URL is refused, and not repeated'
good=$(client sas "$azurite_endpoint" data rcwld 600)
AKSDR_STORE="$azurite_url&sig=s3cr3t" fails_with 2 'has a secret in it, which would be seen by others'
AKSDR_STORE="$azurite_url&$good" fails_with 2 'has a secret in it'
AKSDR_STORE="$base?$good" fails_with 2 'has a secret in it'
AKSDR_STORE="$azurite_url&key=$key" fails_with 2 'has a secret in it'
AKSDR_STORE="azure://acct1:$wrong@host/data" fails_with 2 'something else'
AKSDR_STORE="$base?endpoint=https://me:s3cr3t@host" fails_with 2 'has a secret in it'

t 'a file of credentials'
printf '# of the test\nAZURE_STORAGE_KEY=%s\n' "$key" >credentials
chmod 640 credentials
AKSDR_STORE="$azurite_url&credentials=$work/credentials" with fails_with 1 'by others than their owner; run chmod 600'
chmod 600 credentials
AKSDR_STORE="$azurite_url&credentials=$work/credentials" with run 0 "$restore" points --key "$recovery"
AKSDR_STORE="$azurite_url&credentials=$work/gone" with fails_with 4 "opening the credentials '$work/gone'"
echo s3cr3t >lines && chmod 600 lines
AKSDR_STORE="$azurite_url&credentials=$work/lines" with fails_with '1|5' "line 1 of '$work/lines' is not NAME=VALUE"

t 'a program at work shows no secret, and leaves none when it dies'
start_answer silent
(
	ulimit -c unlimited
	AKSDR_STORE="$answer_url&credentials=$work/credentials" AKSDR_RETRY=10m
	export AKSDR_STORE AKSDR_RETRY
	unset AZURE_STORAGE_KEY
	exec "$agent" backup --key "$agent_key" data="$work/src"
) >hung.out 2>&1 &
hung=$!
read -r word <&"$answer_fd"
ok test "$word" = asked
tr '\0' '\n' <"/proc/$hung/cmdline" >cmdline
ok grep -q backup cmdline
ok not grep -qF "$key" cmdline
ok grep -qE '^Max core file size +0 +0 ' "/proc/$hung/limits"
cat "/proc/$hung/environ" >>written 2>/dev/null
kill -ABRT "$hung"
{ wait "$hung"; } 2>/dev/null
ok test -z "$(find . -name 'core*' -newer credentials)"
cat hung.out cmdline >>written
stop_server answer

t 'nothing was lost, and nothing was added'
client list azure "$azurite_endpoint" data | diff objects - >lost || bad "$(cat lost)"
run 0 "$restore" volume --quiet --key "$recovery" data --target "$work/out"
ok same src/file out/file
run 0 backup data="$work/src"

t 'no secret is in anything that was written'
ok test "$(wc -l <written)" -gt 50
find keys state -type f -exec cat {} + >>written
for secret in s3cr3t "${key:0:24}" "${wrong:0:24}" "${ended##*sig=}" "${false##*sig=}" "${reader##*sig=}" \
	"${good##*sig=}" "${blind##*sig=}"; do
	ok not grep -aqF -- "$secret" written
done
finish
