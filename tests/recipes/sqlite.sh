#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# SQLite databases, in both journal modes, while they are written to.
needs=(sqlite3 flock)
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "$0")/lib.sh"
disk btrfs
new_repo repo

db=$vol/data/wal.db db2=$vol/data/del.db
user_dir "$vol/data/copies"
# In the one a number is a row, in the other, which is written after it, too.
cat >writer.py <<'END'
import sqlite3, sys
dbs = [sqlite3.connect(p, timeout=30, isolation_level=None) for p in sys.argv[1:]]
for db, mode in zip(dbs, ("wal", "delete")):
    db.execute("PRAGMA journal_mode = " + mode)
    db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, fill TEXT)")
print("ready", flush=True)
for line in sys.stdin:
    for db in dbs:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (?, hex(randomblob(200)))", (int(line),))
        db.execute("COMMIT")
    print("ok", flush=True)
END
coproc server { as_user python3 "$work/writer.py" "$db" "$db2" 2>>"$work/writer.err"; }
read -r -u "${server[0]}" _
exec 6<&"${server[0]}" 7>&"${server[1]}"
insert() {
	local answer
	echo "$1" >&7 && read -r -u 6 answer && [ "$answer" = ok ]
}
export SQLITE_FILES=$db:$db2
# whole DIR TIME: both databases of a copy
whole() {
	local f
	for f in wal.db del.db; do
		ok test ! -s "$1/$f-journal"
		ok test "$(sqlite3 "$1/$f" 'PRAGMA integrity_check' 2>&1)" = ok
		sqlite3 "$1/$f" 'SELECT n FROM t ORDER BY n' >numbers 2>&1
		judge numbers "$2"
	done
}

t 'a snapshot has what was written before it, and no transaction under way'
write_numbers insert
await_acks 200
capture sqlite auto "$vol/data"
json_is btrfs items 0 driver
json_is application items 0 consistency
await_acks 50
ok test "$(fact databases)" = 2
give_back back1
whole back1 "$frozen"

t 'read live, the databases stand still until they are read'
capture sqlite live "$vol/data"
await_acks 50
give_back back2
whole back2 "$frozen"

t 'copies have what was written before the hook'
export SQLITE_MODE=copy SQLITE_COPY_DIR=$vol/data/copies
capture sqlite live "$vol/data/copies"
await_acks 50
give_back back3
whole back3 "$before"
ok test "$(echo back3/*)" = 'back3/del.db back3/wal.db'
unset SQLITE_MODE

t 'the lock of a backup that died is given back at its limit, and what comes after it is refused'
run 0 env SQLITE_HOLD_S=2 "$recipes/sqlite" pre
ok session_over sqlite-0
ok session_over sqlite-1
await_acks 5
run 1 "$recipes/sqlite" post
err 'the lock was gone before'

t 'post gives the lock back whatever happened'
run 0 "$recipes/sqlite" pre
run 1 "$recipes/sqlite" pre
err 'the session of another backup is still open'
run 0 env AKSDR_RESULT=failed "$recipes/sqlite" post
run 0 env AKSDR_RESULT=failed "$recipes/sqlite" post
await_acks 5
stop_writer

t 'a transaction that does not end is waited for so long, and no point is made'
mkfifo -m 666 begun
exec 8> >(as_user sqlite3 -batch "$db2" >/dev/null 2>&1)
printf '%s\n' 'BEGIN EXCLUSIVE;' ".system echo >'$work/begun'" >&8
read -r _ <begun
run 1 env SQLITE_BUSY_S=1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/sqlite' pre" \
	--post "'$recipes/sqlite' post" "busy=$vol/data"
err 'database is locked|the right to write'
exec 8>&-

t 'settings that make no sense'
run 1 env SQLITE_FILES= "$recipes/sqlite" pre
err 'SQLITE_FILES is not set'
run 1 env SQLITE_FILES=/none "$recipes/sqlite" pre
err "there is no database '/none'"
run 1 env SQLITE_MODE=x "$recipes/sqlite" pre
err "not 'x'"
run 1 "$recipes/sqlite"
err "with 'pre' before"
finish
