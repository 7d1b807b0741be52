#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL with checksums, while it commits: snapshots, backup mode with a WAL archive, and copies.
needs=(psql initdb pg_ctl pg_amcheck pg_checksums pg_basebackup flock)
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "$0")/lib.sh"
bin=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
PATH=$bin:$PATH
disk xfs
new_repo repo

data=$vol/data/main
user_dir "$work/run-main" "$work/run-copy" "$work/archive" "$vol/data/copy"
as_user initdb --pgdata "$data" --data-checksums --auth trust --username postgres --no-sync >/dev/null || exit 1
cat >>"$data/postgresql.conf" <<END
listen_addresses = ''
archive_mode = on
archive_command = 'cp %p $work/archive/%f.new && mv $work/archive/%f.new $work/archive/%f'
checkpoint_timeout = 30s
min_wal_size = 32MB
max_wal_size = 48MB
fsync = on
END
# start DIR SOCKETS [OPTIONS]
start() {
	as_user pg_ctl --pgdata "$1" --wait --timeout 60 --log "$2/log" \
		--options "-c unix_socket_directories=$2 ${3:-}" start >/dev/null
}
stop() { as_user pg_ctl --pgdata "$1" --wait --mode "${2:-fast}" stop >/dev/null; }
export PGUSER=postgres PGHOST=$work/run-main
start "$data" "$PGHOST" || { cat "$PGHOST/log"; exit 1; }
psql -q -d postgres -c 'CREATE TABLE t (n int PRIMARY KEY, fill text); CREATE INDEX ON t (fill)' || exit 1
coproc server { psql -d postgres -q -A -t -X 2>>"$work/writer.err"; }
exec 6<&"${server[0]}" 7>&"${server[1]}"
insert() {
	local answer
	echo "INSERT INTO t SELECT $1, repeat(md5(random()::text), 20) RETURNING 'ok';" >&7 && read -r -u 6 answer &&
		[ "$answer" = ok ]
}

ask() { psql -d postgres -q -X -A -t -c "$1"; }
# whole DIR TIME: a server on the copy has all, and is content; then the checksums
whole() {
	chmod 700 "$1"
	chown -R nobody:nogroup "$1"
	rm -f "$1/postmaster.pid" "$work/run-copy/log"
	# It must not write into the archive of the first.
	if ! start "$1" "$work/run-copy" "-c archive_mode=off"; then
		bad 'the server does not start on the copy'
		tail -n 20 "$work/run-copy/log"
		return
	fi
	# Recovery from an archive goes on after the start.
	ok await_line "$work/run-copy/log" 'system is ready to accept connections' "$(head -n 1 "$1/postmaster.pid")"
	PGHOST=$work/run-copy ask 'SELECT n FROM t ORDER BY n' >numbers
	judge numbers "$2"
	ok env PGHOST="$work/run-copy" pg_amcheck --all --install-missing --heapallindexed --parent-check
	position=$(PGHOST=$work/run-copy ask "SELECT pg_current_wal_lsn() >= '$(fact recovery-position)'")
	ok test "$position" = t
	ok stop "$1"
	ok pg_checksums --check --pgdata "$1" >/dev/null
}

t 'a snapshot has what was committed before it, and recovers by itself'
write_numbers insert
await_acks 300
capture postgresql auto "$vol/data"
json_is reflink items 0 driver
json_is application items 0 consistency
await_acks 100
ok test "$(fact recovery-timeline)" = 1
ok test -n "$(fact system-identifier)"
give_back back1
whole back1/main "$frozen"

t 'backup mode: read live, with the label from the facts and the archive'
export PG_MODE=backup PG_LABEL_DIR=$work/labels
capture postgresql live "$vol/data"
await_acks 100
after=$EPOCHREALTIME
await_acks 1
psql -q -d postgres -c 'SELECT pg_switch_wal()' >/dev/null
await_acks 100
ok test -n "$(fact backup-stop)"
give_back back2
run 0 "$restore" show --key "$recovery" v2
sed -n 's/^backup-label\.[0-9]* *//p' .out >back2/main/backup_label
ok same back2/main/backup_label "$(find labels -name backup_label)"
rm -rf back2/main/pg_wal/*
: >back2/main/recovery.signal
echo "restore_command = 'cp $work/archive/%f %p'" >>back2/main/postgresql.auto.conf
all_archived() {
	test "$(ask "SELECT count(*) FROM pg_ls_dir('pg_wal/archive_status') f WHERE f LIKE '%ready'")" = 0
}
wait_for all_archived
# Not only what was committed before the hook: all that the archive has.
whole back2/main "$after"

t 'a copy is complete by itself'
export PG_MODE=copy PG_COPY_DIR=$vol/data/copy
capture postgresql live "$vol/data/copy"
await_acks 100
give_back back3
whole back3 "$before"
run 1 env PG_COPY_DIR="$work/labels" "$recipes/postgresql" pre
err 'holds something else than a copy'

t 'the session of a backup that died ends at its limit'
export PG_MODE=backup
sessions() { ask "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aksdr'"; }
run 0 env PG_HOLD_S=2 "$recipes/postgresql" pre
ok session_over postgresql
ok test "$(sessions)" = 0
run 1 "$recipes/postgresql" post
err 'the session is gone'

t 'what comes while it is open is refused, and post ends it whatever happened'
run 0 "$recipes/postgresql" pre
ok test "$(sessions)" = 1
run 1 "$recipes/postgresql" pre
err 'the session of another backup is still open'
run 0 env AKSDR_RESULT=failed "$recipes/postgresql" post
ok test "$(sessions)" = 0
run 0 env AKSDR_RESULT=failed "$recipes/postgresql" post
await_acks 5
stop_writer

t 'no server: no point'
exec 7>&-
ok stop "$data" immediate
PG_MODE=checkpoint run 1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/postgresql' pre" "none=$vol/data"
err 'the checkpoint failed'
run 1 env PG_MODE=none "$recipes/postgresql" pre
err "not 'none'"
finish
