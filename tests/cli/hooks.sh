#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Commands before and behind the moment, as a shell sees them; drivers by name; and what runs that died
# have left.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir v
echo data >v/file
backup() { "$agent" backup --key "$agent_key" "$@"; }
count() {
	"$catalog" sync --quiet --key "$audit" >/dev/null &&
		"$catalog" query --key "$audit" --output csv "$1" | tail -n 1 | tr -d '\r"'
}

t 'hooks run around the moment, and the point tells of them'
# shellcheck disable=SC2016 # the hooks' shell shall see it
run 0 backup --pre 'echo "$AKSDR_HOOK of $AKSDR_VOLUMES" >said; echo aksdr-fact recovery-position 0/3A' \
	--post 'echo "$AKSDR_HOOK $AKSDR_RESULT" >>said; echo good bye' v="$work/v" --output json
ok grep -qx 'pre of v' said
ok grep -qx 'post captured' said
run 0 "$catalog" sync --quiet --key "$audit"
run 0 "$catalog" show --key "$audit" v
out 'recovery-position +0/3A'
out 'good bye'
run 0 "$catalog" show --key "$audit" v --output json
out '"recovery-position"'

t 'what is secret does not reach a hook'
run 0 env AWS_SECRET_ACCESS_KEY=s3cr3t AZURE_STORAGE_KEY=s3cr3t \
	"$agent" backup --key "$agent_key" --pre 'env >environment' v="$work/v"
ok not grep -qE 's3cr3t|AKSDR_KEY|PASSPHRASE' environment

t 'a hook that fails keeps the point from being made, and the others still run'
points=$(count 'SELECT count(*) FROM v_points')
run 1 backup --pre 'echo the database is away >&2; exit 7' --post 'echo post >ran' v="$work/v"
err "the pre hook 'echo the database is away"
err 'the database is away'
ok test "$(count 'SELECT count(*) FROM v_points')" = "$points"
ok test -s ran

t 'unless it may fail'
run 0 backup --on-hook-error continue --pre 'exit 7' v="$work/v"
err 'a hook failed; the backup goes on'

t 'one that hangs is ended at its time, with all that it started'
run 1 backup --hook-timeout 1s --pre 'tail -f /dev/null & echo $! >child; wait' v="$work/v"
err 'did not end within 1\.000 s and was killed'
ok wait_for gone "$(cat child)"

t 'a dry run runs no hook and makes nothing'
run 0 backup --dry-run --pre 'touch touched' v="$work/v"
ok not test -e touched

t 'read live as asked for: hooks behind it run when the last volume that is there was read, and are kept'
run 3 backup --driver live --post 'echo aksdr-fact went-on yes' w="$work/v" none="$work/none"
run 0 "$catalog" sync --quiet --key "$audit"
run 0 "$catalog" show --key "$audit" w
out 'went-on +yes'

t 'a driver that the volume does not support says why'
run 1 backup --driver btrfs v="$work/v"
err "driver 'btrfs' does not work for"
run 2 backup --driver zfs v="$work/v"

t 'a path must be a mount point where that is asked for'
run 4 backup --require-mount v="$work/v"
err "mount"

t 'reconcile has nothing to do where nothing was left, and tells programs too'
run 0 "$agent" reconcile
out '^ +0$'
run 0 "$agent" reconcile --output json
json_is 0 items 0 removed

t 'a note that it cannot act on is told and stays'
state=${AKSDR_STATE:-$work/.cache/aksdr}
[ "$(id -u)" -ne 0 ] || state=${AKSDR_STATE:-/var/lib/aksdr}
printf 'aksdr-journal 1\nnewer\nsomething\n' >"$state/journal/0123.note"
run 1 "$agent" reconcile
err "'newer'"
ok test -e "$state/journal/0123.note"
run 0 backup v="$work/v"
err 'what an earlier run left could not be removed'
rm "$state/journal/0123.note"

finish
