#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-agent init and doctor: what they make, and what they refuse.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

t 'init makes a repository and three key files, and says what they are for'
run 0 "$agent" init --store "file://$work/r" --keys "$work/k"
out_is <<'END'
made a repository in file://WORK/r

  WORK/k/recovery.key  reads everything: keep it offline, in two places
  WORK/k/agent.key     writes backups, cannot read them back: for the nodes
  WORK/k/audit.key     reads what there is, not what is in it: for auditors

Without recovery.key nothing can ever be restored.
END
ok empty "$work/.err"
ok test -f "$work/r/config"
ok test "$(objects "$work/r")" -eq 1
ok test "$(stat -c %a "$work/k")" = 700
for key in recovery agent audit; do
	ok test "$(stat -c %a "$work/k/$key.key")" = 600
	ok grep -qx "aksdr $key key 1" "$work/k/$key.key"
done

t 'the umask does not weaken the keys'
run 0 bash -c "umask 000; '$agent' init --quiet --store 'file://$work/u' --keys '$work/uk'"
ok test "$(stat -c %a "$work/uk/recovery.key")" = 600
ok empty "$work/.out"

t 'init as JSON'
run 0 "$agent" init --output json --store "file://$work/j" --keys "$work/jk"
json_is aksdr/init/v1 schema
json_is many writers
json_is "$work/jk/agent.key" keys agent

t 'a second init in the same place is refused and changes nothing'
before=$(sha256sum <"$work/r/config")
run 1 "$agent" init --store "file://$work/r" --keys "$work/k2"
err 'holds a repository already'
ok test "$(sha256sum <"$work/r/config")" = "$before"
ok not test -e "$work/k2"

t 'key files that are there are never replaced, and no repository is left behind'
before=$(cat "$work"/k/*.key | sha256sum)
run 1 "$agent" init --store "file://$work/r3" --keys "$work/k"
err 'is there already and is never replaced'
ok test "$(cat "$work"/k/*.key | sha256sum)" = "$before"
ok not test -e "$work/r3/config"

t 'init without --keys says what is missing'
run 2 "$agent" init --store "file://$work/r4"
err 'init needs --keys DIR'
ok not test -e "$work/r4/config"

t 'keys that cannot be written leave no repository behind'
mkdir "$work/ro" && chmod 555 "$work/ro"
run 1 unprivileged "$agent" init --store "file://$work/r5" --keys "$work/ro/k"
err "creating the directory '.*/ro/k' for the keys: Permission denied"
ok not test -e "$work/r5/config"

t 'a store that cannot be written leaves no keys behind'
run 1 unprivileged "$agent" init --store "file://$work/ro/r" --keys "$work/k6"
err '/ro'
ok not test -e "$work/k6"

t 'a passphrase wraps the recovery key and no other'
printf 'correct horse\n' >"$work/pass"
run 0 "$agent" init --quiet --store "file://$work/p" --keys "$work/pk" --passphrase-file "$work/pass"
ok grep -q '^kdf: argon2id ' "$work/pk/recovery.key"
ok not grep -q '^secret:' "$work/pk/recovery.key"
ok grep -q '^secret:' "$work/pk/agent.key"

t 'an empty passphrase is refused'
: >"$work/nopass"
run 2 "$agent" init --store "file://$work/p2" --keys "$work/pk2" --passphrase-file "$work/nopass"
err 'holds no passphrase'
ok not test -e "$work/p2/config"

t 'a passphrase of several lines is refused, since the key would not open with it'
printf 'one\ntwo\n' >"$work/lines"
run 2 "$agent" init --store "file://$work/p4" --keys "$work/pk4" --passphrase-file "$work/lines"
err 'more than one line'
ok not test -e "$work/pk4"

t 'a passphrase file with a line end of DOS opens the key that it made'
printf 'correct horse\r\n' >"$work/dos"
run 0 "$agent" init --quiet --store "file://$work/p5" --keys "$work/pk5" --passphrase-file "$work/dos"
export AKSDR_PASSPHRASE_FILE=$work/dos
run 0 "$restore" points --store "file://$work/p5" --key "$work/pk5/recovery.key"
unset AKSDR_PASSPHRASE_FILE

t 'a passphrase file that is not there is named'
run 4 "$agent" init --store "file://$work/p3" --keys "$work/pk3" --passphrase-file "$work/gone"
err "reading the passphrase: .*gone"

t 'a single writer is said aloud, when the repository is made and at each backup'
run 0 "$agent" init --single-writer --store "file://$work/one" --keys "$work/onek"
out '^SINGLE WRITER: this store cannot keep writers apart'
mkdir -p "$work/src" && echo content >"$work/src/file"
one() { "$agent" backup --quiet --store "file://$work/one" --key "$work/onek/agent.key" --state "$work/ones" "$@"; }
run 0 one data="$work/src"
err 'has a single writer at a time'
ok test "$(grep -c 'single writer' "$work/.err")" -eq 1
ok empty "$work/.out"
run 0 one data="$work/src" more="$work/src"
ok test "$(grep -c 'single writer' "$work/.err")" -eq 1
run 0 "$agent" doctor --store "file://$work/one" --key "$work/onek/agent.key" --state "$work/ones"
out '^writers +ok +one at a time'
run 0 "$agent" init --single-writer --output json --store "file://$work/two" --keys "$work/twok"
json_is single writers

t 'a second session beside an open one is refused, and taken over when it is dead'
mv "$work/one/commit" "$work/one.commit" # as if none had ended
run 6 one data="$work/src"
err "session '.*' of host '.*' is open since 20.*single writer at a time.*--take-over"
run 0 one --take-over data="$work/src"
run 0 one data="$work/src"

t 'doctor finds everything in order'
run 0 "$agent" doctor --store "file://$work/r" --key "$work/k/agent.key" --state "$work/s"
out '^create-only +ok'
out '^repository and key +ok +agent key of repository'
out_not '^[a-z -]+ FAILED'
ok test "$(find "$work/r/probe" -type f 2>/dev/null | wc -l)" -eq 0

t 'doctor says that an audit key cannot write'
run 1 "$agent" doctor --store "file://$work/r" --key "$work/k/audit.key" --state "$work/s"
out '^may write +FAILED +only an agent key'

t 'doctor tells of a key of another repository, and still probes the store'
run 1 "$agent" doctor --store "file://$work/r" --key "$work/jk/agent.key" --state "$work/s"
out '^create +ok'
out '^repository and key +FAILED '
ok grep -zqE 'of[[:space:]]+another[[:space:]]+repository' "$work/.out"

t 'doctor tells of a store that is not there'
run 1 "$agent" doctor --store "file://$work/nowhere" --key "$work/k/agent.key" --state "$work/s"
out '^store +FAILED'
ok not test -e "$work/nowhere"

t 'doctor as JSON has one item a check'
run 0 "$agent" doctor --output json --store "file://$work/r" --key "$work/k/agent.key" --state "$work/s"
json_is aksdr/doctor/v1 schema
json_is store items 0 check
json_is ok items 0 result

finish
