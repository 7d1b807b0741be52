#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Wrong, missing, foreign, damaged and wrapped keys: a clear refusal, and nothing changes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
mkdir src && echo content >src/file
new_repo a
a_agent=$agent_key a_recovery=$recovery a_audit=$audit
run 0 backup data="$work/src"
new_repo b
b_agent=$agent_key b_recovery=$recovery
export AKSDR_STORE=file://$work/a AKSDR_STATE=$work/a.state
count=$(objects "$work/a")

t 'no key at all'
run 2 "$agent" backup data="$work/src"
err 'needs a key: give --key FILE or set AKSDR_KEY'
run 2 "$restore" volume data --target "$work/out"
err 'needs a key'

t 'a key from the environment'
run 0 env AKSDR_KEY="$a_recovery" "$restore" volume data --target "$work/from-env" --quiet
ok same src/file from-env/file

t 'a key file that is not there'
run 4 "$agent" backup --key "$work/no.key" data="$work/src"
err "reading the key: opening '.*/no.key': No such file or directory"

t 'a key file that others can read'
cp "$a_agent" loose.key && chmod 644 loose.key
run 1 "$agent" backup --key "$work/loose.key" data="$work/src"
err 'can be read or changed by others \(mode 0644\); run chmod 600'

t 'a file that is no key'
echo 'some text' >text.key && chmod 600 text.key
run 5 "$agent" backup --key "$work/text.key" data="$work/src"
err "key file '.*/text.key': this is no key file"
run 5 "$restore" points --key /dev/null
err 'is no key file'
noise 100000 >large.key && chmod 600 large.key
run 5 "$restore" points --key "$work/large.key"
err 'is no key or passphrase file'

t 'a key file that was cut, or has a line too many'
head -n 2 "$a_agent" >cut.key && chmod 600 cut.key
run 5 "$agent" backup --key "$work/cut.key" data="$work/src"
err "has no line"
{ cat "$a_agent" && echo 'extra: 1'; } >extra.key && chmod 600 extra.key
run 5 "$agent" backup --key "$work/extra.key" data="$work/src"
err 'line [0-9]+ of the key file has an unknown name'

t 'no message shows what is in a key'
secret=$(sed -n 's/^secret: //p' "$a_agent")
sed "s|^secret: .*|secret: ${secret:0:20}|" "$a_agent" >short.key && chmod 600 short.key
run 5 "$agent" backup --key "$work/short.key" data="$work/src"
err "the value of 'secret' is malformed"
err_not "${secret:0:12}"

t 'a key file from the future'
sed '1s/1$/2/' "$a_agent" >new.key && chmod 600 new.key
run 5 "$agent" backup --key "$work/new.key" data="$work/src"
err 'has version 2, this program knows 1'

t 'the key of another repository'
for key in "$b_agent" "$b_recovery"; do
	run 1 "$agent" backup --key "$key" data="$work/src"
	err 'the key is of another repository'
done
run 1 "$restore" volume --key "$b_recovery" data --target "$work/out"
err 'the key is of another repository'
run 1 "$catalog" sync --key "$b_recovery"
err 'the key is of another repository'

t 'an audit key does not write'
run 1 "$agent" backup --key "$a_audit" data="$work/src"
err 'this key cannot write; backups need the agent key'

t 'an agent key does not read data'
run 1 "$restore" volume --key "$a_agent" data --target "$work/out"
err 'recovery key'
ok not test -e "$work/out/file"
run 1 "$restore" get --key "$a_agent" data file --target "$work/out"
ok not test -e "$work/out/file"
run 1 "$restore" export --key "$a_agent" data
out_not content

t 'an audit key does not read data, and lists names'
run 1 "$restore" volume --key "$a_audit" data --target "$work/out"
err 'recovery key'
ok not test -e "$work/out/file"
run 0 "$restore" ls --key "$a_audit" data
out '^file$'

t 'an agent key of which the signing half is another one'
sign=$(grep '^sign: ' "$b_agent")
sed "s|^sign: .*|$sign|" "$a_agent" >mixed.key && chmod 600 mixed.key
run 1 "$agent" backup --key "$work/mixed.key" data="$work/src"
err 'this agent key is no signer of the repository'

t 'none of this stored anything'
ok test "$(objects "$work/a")" -eq "$count"

t 'a wrapped recovery key: without its passphrase'
printf 'correct horse\n' >pass
run 0 "$agent" init --quiet --store "file://$work/w" --keys "$work/wk" --passphrase-file "$work/pass"
export AKSDR_STORE=file://$work/w AKSDR_STATE=$work/w.state
run 0 "$agent" backup --quiet --key "$work/wk/agent.key" data="$work/src"
run 1 "$restore" volume --key "$work/wk/recovery.key" data --target "$work/w.out"
err 'needs its passphrase; give it by AKSDR_PASSPHRASE_FILE'
ok not test -e w.out/file

t '... with a wrong one'
printf 'incorrect horse\n' >wrong
run 1 env AKSDR_PASSPHRASE_FILE="$work/wrong" "$restore" volume --key "$work/wk/recovery.key" data \
	--target "$work/w.out"
err 'the passphrase is wrong, or the key file was changed'
err_not horse

t '... with an empty one, and with a file that is not there'
: >none
run 2 env AKSDR_PASSPHRASE_FILE="$work/none" "$restore" points --key "$work/wk/recovery.key"
err 'holds no passphrase'
run 4 env AKSDR_PASSPHRASE_FILE="$work/gone" "$restore" points --key "$work/wk/recovery.key"
err 'reading the passphrase: .*gone'

t '... with the right one'
run 0 env AKSDR_PASSPHRASE_FILE="$work/pass" "$restore" volume --quiet --key "$work/wk/recovery.key" data \
	--target "$work/w.out"
ok same src/file w.out/file

finish
