#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A real storage account: AKSDR_LIVE_AZURE and AKSDR_LIVE_AZURE_CREDENTIALS say which (docs/TESTING.md).
# Says what it proved of: (1) signatures and tokens, (2) the second region, (3) immutability by upload,
# (4) the exchange of a workload's token.
here=$(cd "$(dirname "$0")" && pwd)
live_url=${AKSDR_LIVE_AZURE:-} live_file=${AKSDR_LIVE_AZURE_CREDENTIALS:-}
live_lock=${AKSDR_LIVE_AZURE_LOCK:-} live_wait=${AKSDR_LIVE_GEO_WAIT:-900}
if [ -z "$live_url" ] || [ -z "$live_file" ]; then
	echo 'AKSDR_LIVE_AZURE and AKSDR_LIVE_AZURE_CREDENTIALS are not set'
	exit 77
fi
# shellcheck source=tests/live/lib.sh
. "$here/lib.sh"
account=${live_url#azure://} account=${account%%/*}
# parameter NAME: its value in the URL, decoded
parameter() {
	python3 -c 'import sys, urllib.parse as u
print(dict(u.parse_qsl(u.urlsplit(sys.argv[1]).query)).get(sys.argv[2], ""))' "$live_url" "$1"
}
suffix=$(parameter suffix) endpoint=$(parameter endpoint)
endpoint=${endpoint:-https://$account.blob.${suffix:-core.windows.net}}
live_story azure
if [ "$failed" -eq 0 ] && [ "$case_bad" -eq 0 ]; then
	if [ -n "$(setting AZURE_FEDERATED_TOKEN_FILE)" ]; then
		proved "(1) a bearer token is accepted by $endpoint"
		proved "(4) a workload's token is exchanged, without identity bindings"
	elif [ -n "$(setting AZURE_STORAGE_SAS_TOKEN)" ]; then
		proved "(1) a shared access signature is accepted by $endpoint"
	elif [ -n "$(setting AZURE_STORAGE_KEY)" ]; then
		proved "(1) SharedKey is accepted by $endpoint"
	fi
fi

# The second region itself, as if it were a store of its own.
second=$(parameter secondary)
if [ "$second" != none ]; then
	[ -n "$second" ] || second=${endpoint/$account/$account-secondary}
	bare=${live_url%%\?*}
	away="${bare%/}/$prefix?endpoint=$second&secondary=none&credentials=$live_file"
	[ -z "$(parameter ca)" ] || away+="&ca=$(parameter ca)"

	t 'azure: the second region cannot be written'
	run 1 "$agent" doctor --store "$away" --key "$agent_key"
	if grep -q 'the second region cannot be written' .out .err; then
		proved '(2) a write to the second region is WriteOperationNotSupportedOnSecondary'
	else
		echo "   what it says: $(grep -h FAILED .out | head -n 1)"
	fi

	t 'azure: the second region has a restore point after a while, and then it is whole'
	began=$SECONDS tries=0
	until [ "$tries" -gt 0 ] && [ "$status" -eq 0 ] || [ $((SECONDS - began)) -gt "$live_wait" ]; do
		[ "$tries" -eq 0 ] || sleep 10 # lint: allow sleep: replication tells nobody
		tries=$((tries + 1))
		rm -rf "$work/away"
		keep "$restore" volume --store "$away" --key "$recovery" --quiet data --target "$work/away"
	done
	ok test "$status" -eq 0
	ok same_tree src away
	[ "$case_bad" -ne 0 ] || proved "(2) the second region has what was written: after $((SECONDS - began)) s"
fi

# The programs never try to delete what is locked: this is asked by a plain request.
delete_config() {
	PYTHONPATH=$here/../servers AZURE_STORAGE_KEY=$(setting AZURE_STORAGE_KEY) python3 - "$@" <<-'P'
		import sys
		from client import Azure
		endpoint, account, container, prefix = sys.argv[1:]
		a = Azure(endpoint, account=account)
		answer = a.request("DELETE", f"/{container}/{prefix}/config")
		print(answer.status, answer.code())
	P
}
if [ "$live_lock" = 1 ] && [ -n "$(setting AZURE_STORAGE_KEY)" ]; then
	t 'azure: what is locked cannot be deleted'
	run 0 "$agent" init --keys "$work/locked-keys" --quiet \
		--store "$(live_store "$prefix-lock" 'lock=2m&lock-mode=unlocked')"
	below=${live_url#azure://*/} below=${below%%\?*}
	container=${below%%/*} below=${below#"$container"} below=${below#/}
	run 0 delete_config "$endpoint" "$account" "$container" "${below:+${below%/}/}$prefix-lock"
	out '^409 BlobImmutableDueToPolicy$'
	[ "$case_bad" -ne 0 ] || proved '(3) an object is immutable by the headers of its upload'
fi
live_end
