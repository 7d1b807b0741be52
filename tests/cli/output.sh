#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the programs write where: data on stdout, talk on stderr; JSON with a schema; help, man pages
# and completion from one table; --dry-run that changes nothing; mistakes that name the nearest word.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir src && echo content >src/file && noise 300000 >src/large
programs="aksdr-agent aksdr-restore aksdr-catalog"

t '--version and --help work without anything else'
for p in $programs; do
	run 0 env -u AKSDR_STORE "$BIN/$p" --version
	out "^$p [0-9]+\.[0-9]+\.[0-9]+"
	run 0 env -u AKSDR_STORE "$BIN/$p" --help
	out "^usage: $p "
	out 'Exit status:'
	ok empty "$work/.err"
	run 0 env -u AKSDR_STORE "$BIN/$p" help
done

# verbs PROGRAM: as its help lists them, one a line; some have two words
verbs() { "$BIN/$1" --help | sed -n '/^Verbs:/,/^$/p' | sed -n 's/^  \([a-z][a-z -]*[a-z]\) .*/\1/p' | sed 's/  .*//'; }

t 'every verb has help, with its options'
for p in $programs; do
	ok test "$(verbs "$p" | wc -l)" -ge 3
	while read -ra v; do
		run 0 "$BIN/$p" help "${v[@]}"
		out "^usage: $p ${v[*]}"
		run 0 "$BIN/$p" "${v[@]}" --help
		out "^usage: $p ${v[*]}"
		ok empty "$work/.err"
		ok test "$(awk '{ if (length($0) > 100) n++ } END { print n + 0 }' "$work/.out")" -eq 0
	done < <(verbs "$p")
done

t 'man pages render without a complaint and name every verb and option'
for p in $programs; do
	run 0 "$BIN/$p" help --man
	cp "$work/.out" "$p.1"
	while read -r v; do out "${v//-/.*-}"; done < <(verbs "$p")
	for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' ENVIRONMENT; do
		out "^\\.SH \"?$section\"?"
	done
	if command -v man >/dev/null && command -v groff >/dev/null; then
		keep env MANWIDTH=80 man --warnings -l "$p.1"
		ok test "$status" -eq 0
		ok empty "$work/.err"
	fi
done

t 'completion scripts are scripts, and complete verbs and options'
for p in $programs; do
	run 0 "$BIN/$p" completion bash
	cp "$work/.out" "$p.bash"
	ok bash -n "$p.bash"
	for v in $(verbs "$p"); do out "\\b$v\\b"; done # word by word
	run 0 "$BIN/$p" completion zsh
	out "^#compdef $p"
	run 0 "$BIN/$p" completion fish
	out "^complete -c $p"
done
run 2 "$agent" completion tcsh
# completed PROGRAM WORD...: what bash offers for the last word
completed() {
	bash -c '
		. "./$1.bash"
		program=$1
		shift
		COMP_WORDS=("$program" "$@")
		COMP_CWORD=$#
		COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE} COMPREPLY=()
		"$(complete -p "$program" | sed "s/.*-F \([^ ]*\).*/\1/")" "$program" "${!#}" ""
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@" | sed 's/ *$//'
}
ok grep -qx backup <(completed aksdr-agent ba)
ok grep -qx -- --no-verify-encode <(completed aksdr-agent backup --no)
ok grep -qx volume <(completed aksdr-restore vol)
ok grep -qx json <(completed aksdr-restore points --output j)
ok grep -qx add-agent <(completed aksdr-catalog key add)
ok grep -qx -- --accept-before <(completed aksdr-catalog key revoke --acc)

t 'mistakes name the nearest word, dump no help, and exit with 2'
run 2 "$agent" backp
err "'backp'.*backup"
run 2 "$agent" backup --levelx 3 a=b
err "levelx.*--level"
run 2 "$restore" volum
err 'volume'
run 2 "$catalog" synk
err 'sync'
run 2 "$agent" backup --output jsn a=b
err 'json'
run 2 "$agent"
err 'no verb given'
run 2 "$agent" init extra
err "extra"
run 2 "$agent" init --keys
err "'--keys' needs a value"
run 2 "$agent" init --dry-run --keys "$work/k2"
err "'init' has no --dry-run"
run 2 "$agent" backup --force=yes a=b
err "'--force' takes no value"
ok test "$(wc -l <"$work/.err")" -eq 1

t 'a dry run of a backup says what would be done and writes nothing'
before=$(find r -type f -newermt 1970-01-02 | wc -l)
run 0 "$agent" backup --dry-run --key "$agent_key" --output json data="$work/src"
json_is aksdr/backup/v1 schema
ok test "$(json items 0 new_bytes)" -gt 300000
ok test "$(find r -type f | wc -l)" -eq "$before"
ok test "$(points "$store_dir")" -eq 0
chmod -R a-w r
run 0 unprivileged "$agent" backup --dry-run --quiet --key "$agent_key" data="$work/src"
chmod -R u+w r

t 'backup as JSON: one and many have the same shape'
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src"
json_is aksdr/backup/v1 schema
json_is data items 0 volume
json_is 1 items 0 sequence
ok empty "$work/.err"
echo x >>src/file
run 0 "$agent" backup --key "$agent_key" --output json data="$work/src" again="$work/src"
json_is again items 1 volume

t 'backup as CSV: names first, one row a volume'
run 0 "$agent" backup --key "$agent_key" --output csv data="$work/src"
ok test "$(wc -l <"$work/.out")" -eq 2
ok grep -q '^volume,point,sequence,' "$work/.out"

t '--quiet is quiet'
run 0 "$agent" backup --key "$agent_key" --quiet data="$work/src"
ok empty "$work/.out"
ok empty "$work/.err"

t 'a dry run of a restore writes nothing'
run 0 "$restore" volume --dry-run --key "$recovery" data --target "$work/dry"
ok not test -e dry
run 0 "$restore" volume --key "$recovery" --quiet data --target "$work/out"
echo changed >out/file
run 0 "$restore" volume --dry-run --in-place --key "$recovery" data --target "$work/out" --output json
json_is true items 0 dry_run
ok test "$(cat out/file)" = changed

t 'every verb that prints data has JSON with a schema'
schema() {
	local name=$1
	shift
	run 0 "$@" --output json
	json_is "aksdr/$name/v1" schema
	ok empty "$work/.err"
}
schema points "$restore" points --key "$audit"
schema ls "$restore" ls --key "$audit" data
schema point "$restore" show --key "$audit" data
schema sync "$catalog" sync --key "$audit"
schema points "$catalog" list --key "$audit"
schema volumes "$catalog" list volumes --key "$audit"
schema anomalies "$catalog" list anomalies --key "$audit"
schema check "$catalog" check --key "$audit"
schema checks "$catalog" list checks --key "$audit"
schema query "$catalog" query --key "$audit" 'SELECT 1 AS one'

t 'progress on stderr when asked for, none when not'
noise 30000000 >src/more
run 0 "$agent" backup --key "$agent_key" --progress never data="$work/src"
ok empty "$work/.err"
run 0 "$agent" backup --key "$agent_key" --progress always --force data="$work/src"
out '^data '

t 'messages as JSON lines'
chmod 000 src/file
run 3 unprivileged "$agent" backup --key "$agent_key" --log-format json data="$work/src"
cp "$work/.err" lines
ok python3 -c 'import json, sys
for line in open(sys.argv[1]): assert "event" in json.loads(line) or "msg" in json.loads(line), line' lines
chmod 644 src/file

t 'a full or closed stdout is a failure, not a silent success'
keep bash -c "'$restore' points --key '$audit' >/dev/full"
ok test "$status" -eq 1
err 'writing to standard output failed|No space left'
keep bash -c "'$restore' points --key '$audit' >&-"
ok test "$status" -ne 0

t 'options may stand anywhere, and -- ends them'
run 0 "$restore" points data --key "$audit"
run 0 "$restore" --key "$audit" points data
run 0 "$restore" points --key "$audit" -- data

finish
