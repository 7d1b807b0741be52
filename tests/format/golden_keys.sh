#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The golden repository of format version 1 in which collections have run and keys have changed is read
# by today's programs as it was meant: who may read it, what counts, what is expired and by whom.
# shellcheck source=tests/cli/lib.sh
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../cli/lib.sh"

golden=$here/golden/v1-keys
cp -r "$golden/store" "$work/store"
# A checkout does not keep the modes that keys must have.
cp -r "$golden/keys" "$work/keys"
chmod 600 "$work"/keys/*
export AKSDR_STORE=file://$work/store AKSDR_STATE=$work/state AKSDR_PASSPHRASE_FILE=$golden/passphrase
recovery=$work/keys/recovery.key audit=$work/keys/audit.key

t 'the keys are what they became'
run 0 "$catalog" key list --key "$audit" --output json
json_is 7 revision
json_is 2 destroy_signatures
json_is false needs_upgrade
run 0 "$catalog" key list --key "$audit"
out '^recipient other '
out '^agent +second .* in use'
out '^agent +node .* revoked'
run 1 "$agent" backup --quiet --key keys/node.key data="$golden/expected"
err "'node', was revoked"

t 'two points are there: the first is collected, the last does not count'
run 0 "$restore" points --key "$audit" --output json data
ok test "$(grep -c '"point"' "$work/.out")" -eq 2
json_is 2 items 0 sequence
json_is 3 items 1 sequence

for k in recovery other; do
	t "the $k key reads them"
	run 0 "$restore" volume --key "keys/$k.key" --quiet data --target "$work/$k"
	ok diff -r "$golden/expected" "$k"
	run 0 "$catalog" check --key "keys/$k.key" --level 4 --state "$work/state.$k"
	out 'of revoked keys or fenced sites, not counting: [1-9]'
done

t 'the catalog says who expired what, what is held, and what was revoked'
run 0 "$catalog" sync --key "$audit"
run 0 "$catalog" query --key "$audit" --output csv \
	'SELECT signer_name, why, expiry FROM v_deletions ORDER BY tombstone'
out '^agent,no longer wanted,unknown'
out '^second,no longer wanted,unknown'
out '^second,proposed by one,proposed'
run 0 "$catalog" list holds --key "$audit"
out 'case 117'
run 0 "$catalog" list anomalies --key "$audit"
out 'bad_signature .*was revoked'

t 'today another signer agrees, a backup follows, and a collection runs'
run 0 "$agent" backup --quiet --key keys/agent.key data="$golden/expected"
run 0 "$catalog" expire --key keys/agent.key "data@$(
	"$restore" points --key "$audit" --output csv data | sed -n 3p | cut -d, -f1
)" --reason 'agreed'
out 'expired'
run 0 "$catalog" gc --key keys/agent.key --accept-loss --max-share 100 --keep-young 0s
run 0 "$catalog" check --key "$recovery" --level 4
run 0 "$restore" volume --key "$recovery" --quiet data --target "$work/last"
ok diff -r "$golden/expected" last

finish
