#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The life of keys, as docs/KEYS.md tells it: passphrases, a second recipient that comes and goes, one
# agent key for each node and what becomes of it when the node is stolen, two persons who must agree, a
# store with a single writer, and a repository of an old version.
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
new_repo r
mkdir src && echo content >src/file && noise 400000 >src/large
# oldest, newest: the id of that restore point of volume data
ids() { "$restore" points --key "$audit" --output csv data | sed 1d | cut -d, -f1; }
oldest() { ids | head -n 1; }
newest() { ids | tail -n 1; }
session() { find "$store_dir/commit" -name "*-$1" -printf '%P\n'; }

t 'a new repository has one key of each kind'
run 0 "$catalog" key list --key "$audit"
out '^admin .* in use'
out '^recipient recovery .* in use'
out '^agent +agent .* in use'
err 'revision 1 of the config; many writers; 1 signature'
run 0 "$catalog" key list --key "$agent_key" --output json
json_is aksdr/keys/v1 schema
json_is 1 revision
json_is false needs_upgrade
json_is true items 2 this

t 'only the recovery key of init changes keys'
for k in "$agent_key" "$audit"; do
	run 1 "$catalog" key add-agent --key "$k" node-7 --out n7.key
	err 'takes the recovery key that init made'
	run 1 "$catalog" key require-signatures --key "$k" 2
	run 1 "$catalog" key revoke --key "$k" agent
	run 1 "$catalog" upgrade --key "$k"
done
ok not test -e n7.key
ok not test -e "$store_dir/ctl"

t 'a passphrase: the old one no longer opens the file, a copy of before still does'
cp "$recovery" plain.key
echo 'first words' >pass1
echo 'other words' >pass2
run 0 "$catalog" key passphrase "$recovery" --new-passphrase-file pass1
ok not grep -q '^secret:' "$recovery"
run 1 "$catalog" key list --key "$recovery"
err 'needs its passphrase'
run 1 env AKSDR_PASSPHRASE_FILE=pass2 "$catalog" key passphrase "$recovery" --new-passphrase-file pass1
err 'the passphrase is wrong'
run 0 env AKSDR_PASSPHRASE_FILE=pass1 "$catalog" key passphrase "$recovery" --new-passphrase-file pass2
run 1 env AKSDR_PASSPHRASE_FILE=pass1 "$catalog" key list --key "$recovery"
err 'the passphrase is wrong'
run 0 env AKSDR_PASSPHRASE_FILE=pass2 "$catalog" key list --key "$recovery"
run 2 env AKSDR_PASSPHRASE_FILE=pass2 "$catalog" key passphrase "$recovery" --unwrap --new-passphrase-file pass1
run 1 env AKSDR_PASSPHRASE_FILE=pass2 "$catalog" key passphrase "$recovery"
err 'no terminal to ask on'
ok not grep -q '^secret:' "$recovery"
run 0 env AKSDR_PASSPHRASE_FILE=pass2 "$catalog" key passphrase "$recovery" --unwrap
ok same "$recovery" plain.key
run 2 "$catalog" key passphrase "$agent_key" --new-passphrase-file pass1
err 'is no recovery key'
ok test "$(find r.keys -type f | wc -l)" -eq 3

t 'a second recipient reads what comes after it, and nothing of before'
run 0 backup data="$work/src"
run 0 "$catalog" key add-recipient --key "$recovery" site-b --out b.key --new-passphrase-file pass1 --dry-run
out 'would be done'
ok not test -e b.key
run 0 "$catalog" key add-recipient --key "$recovery" site-b --out b.key --new-passphrase-file pass1
out '^add-recipient +site-b +[0-9a-f]{16} +done +2'
err 'key reseal --to site-b'
ok test "$(stat -c %a b.key)" = 600
ok not grep -q '^admin:' b.key
run 0 "$catalog" key add-recipient --key "$recovery" site-b --out b.key --new-passphrase-file pass1
out 'was so before'
run 1 "$catalog" key add-recipient --key "$recovery" site-b --out b2.key
err "there is a recipient 'site-b' already"
run 1 "$catalog" key add-recipient --key "$recovery" site-c --out "$audit"
err 'is never replaced'
run 2 "$catalog" key add-recipient --key "$recovery" 'site c' --out c.key
export AKSDR_PASSPHRASE_FILE=$work/pass1
run 1 "$restore" volume --key b.key --quiet data --target "$work/old"
err 'was not written for this recovery key; .*key reseal'
echo new >src/new
run 0 backup data="$work/src"
run 1 "$catalog" key reseal --key b.key --to site-b
err 'takes the recovery key that init made'

t 're-sealing lets it read the packs of before, with only their headers read'
run 4 "$catalog" key reseal --key "$recovery" --to nobody
err "there is no recipient 'nobody'; there is 'recovery', 'site-b'"
run 0 "$catalog" key reseal --key "$recovery" --to site-b --dry-run
ok not test -e "$store_dir/reseal"
run 0 "$catalog" key reseal --key "$recovery" --to site-b --output json
json_is aksdr/reseal/v1 schema
json_is 1 items 0 objects
ok test "$(json items 0 sealed)" -ge 1
run 0 "$catalog" key reseal --key "$recovery" --to site-b --output json
json_is 0 items 0 sealed
run 0 "$restore" volume --key b.key --quiet data --target "$work/old"
ok same_tree src old
run 0 "$catalog" check --level 4 --key b.key

t 'a recipient that was removed reads what it could, and nothing new'
run 2 "$catalog" key remove-recipient --key "$recovery" recovery
err "is the admin's own"
run 0 "$catalog" key remove-recipient --key "$recovery" site-b
err 'what this key could read so far it can read for ever'
echo later >src/later
run 0 backup data="$work/src"
run 1 "$catalog" key list --key b.key
err 'recipient'
run 0 volume data "$work/after"
ok same_tree src after
unset AKSDR_PASSPHRASE_FILE

t 'each node has a key of its own'
run 0 "$catalog" key add-agent --key "$recovery" node-7 --out n7.key
out '^add-agent +node-7 +[0-9a-f]{16} +done'
run 1 "$catalog" key add-agent --key "$recovery" node-7 --out other.key
err "there is a key 'node-7' already"
ok not test -e other.key
echo seven >src/seven
run 0 "$agent" backup --quiet --key n7.key data="$work/src"
run 0 "$catalog" sync --key "$audit"
run 0 "$catalog" query --key "$audit" 'SELECT signer_name FROM v_points ORDER BY sequence DESC LIMIT 1'
out 'node-7'

t 'a stolen node: what it signed before a time counts, what came later is named and does not'
# The store's times of receipt are what counts; of a directory they are those of its files.
find r -type f -exec touch -d '-1 hour' {} +
between=$(date -u -d '-30 minutes' +%FT%TZ)
echo stolen >src/seven
run 0 "$agent" backup --quiet --key n7.key data="$work/src"
run 0 "$catalog" sync --key "$audit"
thief=$(newest)
before=$(find r -type f | wc -l)
run 0 "$catalog" key revoke --key "$recovery" node-7 --accept-before "$between" --dry-run --output json
json_is 'would be revoked' items 0 result
json_is 1 items 0 points_rejected
ok test "$(find r -type f | wc -l)" -eq "$before"
run 4 "$catalog" key revoke --key "$recovery" node-8
err "there is 'agent', 'node-7'"
run 2 "$catalog" key revoke --key "$recovery" node-7 --accept-before 2999-01-01
run 0 "$catalog" key revoke --key "$recovery" node-7 --accept-before "$between"
out '^node-7 +[0-9a-f]{16} +revoked'
err "restore point does not count session=$(session "$thief")"
run 1 "$agent" backup --quiet --key n7.key data="$work/src"
err "this agent key, 'node-7', was revoked"
run 0 "$catalog" key list --key "$audit"
out '^agent +node-7 +[0-9a-f]{16} +revoked +20'
run 0 "$restore" points --key "$audit" data
out_not "${thief:0:8}"
ok test "$(sed 1d "$work/.out" | wc -l)" -eq 4

run 0 volume data "$work/counts"
ok test "$(cat counts/seven)" = seven
run 1 volume "data@$thief" "$work/void"
err "does not count: it is signed by key 'node-7', which was revoked"

t 'check, sync and list say what became of its points'
run 0 "$catalog" check --key "$recovery" --level 4
out 'of revoked keys or fenced sites, not counting: [0-9]+ objects'
run 0 "$catalog" sync --key "$audit"
err 'bad_signature.*key was revoked'
err_not 'without having been expired'
run 0 "$catalog" list --gone --key "$audit"
out "^${thief:0:8} .* revoked"
run 0 "$catalog" list --key "$audit"
out_not "^${thief:0:8}"
run 0 "$catalog" query --key "$audit" 'SELECT state, count(*) AS n FROM v_points GROUP BY 1 ORDER BY 1' --output csv
out '^present,4'
out '^revoked,1'

t 'a collection waits, for the time in which a mistake can be undone'
run 5 "$catalog" gc --key "$agent_key"
err 'do not count .*accept-loss.*accept-before'
run 2 "$catalog" key revoke --key "$recovery" node-7
err 'was revoked on .*--accept-before'
run 0 "$catalog" key revoke --key "$recovery" node-7 --accept-before "$(date -u +%FT%T.%3NZ)"
out 'revoked anew'
run 0 "$catalog" sync --key "$audit"
run 0 "$catalog" query --key "$audit" 'SELECT state, count(*) AS n FROM v_points GROUP BY 1' --output csv
out '^present,5'
run 0 "$catalog" gc --key "$agent_key"
run 0 "$agent" backup --quiet --key "$agent_key" data="$work/src"
run 0 "$catalog" check --key "$recovery" --level 4

t 'two persons: one key proposes, and another one expires'
run 2 "$catalog" key require-signatures --key "$recovery" 2
err 'add one first'
run 0 "$catalog" key add-agent --key "$recovery" second --out second.key
run 0 "$catalog" key require-signatures --key "$recovery" 2
out '^require-signatures +2 +done'
run 0 "$catalog" key require-signatures --key "$recovery" 2
out 'was so before'
run 2 "$catalog" key require-signatures --key "$recovery" 3
first=$(oldest)
run 0 "$catalog" expire --key "$agent_key" "data@$first" --reason 'no longer wanted'
out 'proposed'
run 0 "$catalog" expire --key "$agent_key" "data@$first" --reason 'the same person again'
out 'proposed'
run 0 "$restore" points --key "$audit" data
out "^${first:0:8}"
run 0 "$catalog" expire --key second.key "data@$first" --reason 'agreed'
out 'expired'
run 0 "$restore" points --key "$audit" data
out_not "^${first:0:8}"
run 0 "$catalog" sync --key "$audit"
run 0 "$catalog" query --key "$audit" "SELECT signer_name, why, expiry FROM v_deletions ORDER BY tombstone" --output csv
out '^agent,no longer wanted,expired'
out '^second,agreed,expired'

t 'two persons: a hold ends when both have released it'
held=$(oldest)
run 0 "$catalog" hold --key "$agent_key" "data@$held" --reason 'case 117' --name 'A. Lovelace'
run 0 "$catalog" release --key "$agent_key" 1 --reason 'closed' --name 'A. Lovelace'
for k in "$agent_key" second.key; do
	run 0 "$catalog" expire --key "$k" "data@$held" --reason 'no longer wanted'
done
out 'held'
run 0 "$catalog" release --key second.key 1 --reason 'closed' --name 'C. Babbage'
run 0 "$restore" points --key "$audit" data
out_not "^${held:0:8}"

t 'going back to one takes the admin key'
run 1 "$catalog" key require-signatures --key second.key 1
run 0 "$catalog" key require-signatures --key "$recovery" 1
last=$(oldest)
run 0 "$catalog" expire --key second.key "data@$last" --reason 'alone'
out 'expired'

t 'a store that takes back a change of the keys is told'
newest=$(find "$store_dir/ctl/config" -type f | sort | tail -n 1)
mv "$newest" hidden
run 5 "$catalog" key list --key "$audit"
err 'revision'
run 5 "$agent" backup --quiet --key "$agent_key" data="$work/src"
# Without memory nobody can know it, until a restore point names the revision.
run 0 "$catalog" key list --key "$audit" --state "$work/fresh"
mv hidden "$newest"
run 0 backup --force data="$work/src"
mv "$newest" hidden
run 5 "$catalog" check --key "$audit" --state "$work/fresh2"
out 'hides or lost'
mv hidden "$newest"

t 'single writer: it is said, and keys change as elsewhere'
export AKSDR_STORE=file://$work/one AKSDR_STATE=$work/one.state
run 0 "$agent" init --single-writer --quiet --keys "$work/one.keys"
run 0 "$catalog" key list --key one.keys/audit.key
err 'single writer'
run 0 "$catalog" key add-agent --key one.keys/recovery.key node-1 --out n1.key
run 0 "$agent" backup --quiet --key n1.key data="$work/src"
err 'single writer at a time'
run 0 "$catalog" key list --key one.keys/audit.key --output json
json_is single writers
json_is 2 revision

t 'a repository of an old version is collected once it was upgraded'
golden=$here/../format/golden/v1
cp -r "$golden/store" past && cp -r "$golden/keys" past.keys && chmod 600 past.keys/*
export AKSDR_STORE=file://$work/past AKSDR_STATE=$work/past.state
run 0 "$catalog" key list --key past.keys/audit.key
err "of an old version: 'upgrade'"
run 1 "$catalog" gc --key past.keys/agent.key
err "aksdr-catalog upgrade"
run 0 "$catalog" upgrade --key past.keys/recovery.key --dry-run
out 'would be done'
ok not test -e past/ctl
run 0 "$catalog" upgrade --key past.keys/recovery.key
out '^upgrade .* done +2'
run 0 "$catalog" upgrade --key past.keys/recovery.key
out 'was so before'
ok same "$golden/store/config" past/config
run 0 "$agent" backup --quiet --key past.keys/agent.key more="$work/src"
run 0 "$catalog" gc --key past.keys/agent.key
run 0 "$catalog" check --key past.keys/recovery.key --level 4
run 0 "$catalog" key list --key past.keys/audit.key --output json
json_is false needs_upgrade

finish
