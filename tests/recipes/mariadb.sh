#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# MariaDB with tables of InnoDB, Aria and MyISAM and a binary log, while it commits: snapshots at a stand, and dumps.
needs=(mariadb mariadbd mariadb-install-db mariadb-admin mariadb-check mariadb-dump innochecksum flock)
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "$0")/lib.sh"
disk xfs
new_repo repo

data=$vol/data/main
user_dir "$data" "$work/tmp" "$work/empty" "$work/sockets" "$vol/data/dump"
install_db() {
	as_user mariadb-install-db --no-defaults --datadir="$1" --auth-root-authentication-method=normal \
		--skip-test-db --tmpdir="$work/tmp" --innodb-log-file-size=16M >/dev/null 2>&1
}
# start NAME DIR: $work/sockets/NAME; sets pid. The binary log has its name in the copy too: what was under way is
# completed or rolled back by it. A commit waits for no disk, and yet what was acknowledged must be there.
start() {
	: >"$work/sockets/$1.log"
	as_user mariadbd --no-defaults --datadir="$2" --socket="$work/sockets/$1" --skip-networking \
		--pid-file="$work/sockets/$1.pid" --tmpdir="$work/tmp" --log-bin=numbers-bin --server-id=1 \
		--sync-binlog=0 --innodb-flush-log-at-trx-commit=0 \
		--innodb-log-file-size=16M --innodb-buffer-pool-size=32M >"$work/sockets/$1.log" 2>&1 &
	pid=$!
	await_line "$work/sockets/$1.log" 'ready for connections' "$pid" ||
		{ tail -n 20 "$work/sockets/$1.log"; return 1; }
}
# client NAME [OPTION]...
client() { mariadb --no-defaults --socket="$work/sockets/$1" --user=root --batch --skip-column-names "${@:2}"; }
sql() { client "$1" --execute "$2"; }

install_db "$data" && start main "$data" || exit 1
sql main 'CREATE DATABASE d; CREATE TABLE d.t (n INT PRIMARY KEY, fill TEXT) ENGINE=InnoDB;
	CREATE TABLE d.a (n INT PRIMARY KEY, fill TEXT) ENGINE=Aria;
	CREATE TABLE d.m (n INT PRIMARY KEY, fill TEXT) ENGINE=MyISAM' || exit 1
coproc server { client main --unbuffered 2>>writer.err; }
exec 6<&"${server[0]}" 7>&"${server[1]}"
insert() {
	local answer
	echo "INSERT INTO d.t VALUES ($1, REPEAT(MD5(RAND()), 20)); INSERT INTO d.a SELECT * FROM d.t WHERE n = $1;
		INSERT INTO d.m SELECT * FROM d.a WHERE n = $1; SELECT 'ok';" >&7 &&
		read -r -u 6 answer && [ "$answer" = ok ]
}
export MARIADB_OPTIONS="--no-defaults --socket=$work/sockets/main --user=root"

# whole NAME TIME: the server of a copy has all, and is content
whole() {
	local table
	for table in t a m; do
		sql "$1" "SELECT n FROM d.$table ORDER BY n" >numbers
		judge numbers "$2"
	done
	run 0 mariadb-check --no-defaults --socket="$work/sockets/$1" --user=root --all-databases --extended
	out_not 'error|corrupt|warning'
}
# halt NAME DIR: it ends, and the pages of its files are right
halt() {
	local f
	ok mariadb-admin --no-defaults --socket="$work/sockets/$1" --user=root shutdown
	wait "$pid"
	ok test -n "$(find "$2" -name '*.ibd')"
	# Not ibdata1: the tool takes the doublewrite buffer in it for pages.
	for f in "$2"/d/*.ibd "$2"/mysql/*.ibd; do ok innochecksum "$f"; done
}

t 'a snapshot has what was committed before it, of all engines, and is at the position of the facts'
main_pid=$pid
write_numbers insert
await_acks 200
capture mariadb auto "$vol/data"
json_is reflink items 0 driver
json_is application items 0 consistency
await_acks 100
give_back back1
ok test "$(stat -c %s "back1/main/$(fact binlog-file)")" = "$(fact binlog-position)"
start back1 "$work/back1/main" || bad 'no server on the copy'
ok test "$(sql back1 'SELECT @@gtid_current_pos')" = "$(fact gtid)"
ok test -n "$(fact server-version)"
whole back1 "$frozen"
# Nothing that was not closed had to be mended.
ok not grep -iE 'crashed|corrupt|repair' sockets/back1.log
halt back1 back1/main

t 'a dump has what was committed before the hook'
export MARIADB_MODE=dump MARIADB_DUMP=$vol/data/dump/all.sql
capture mariadb live "$vol/data/dump"
await_acks 100
give_back back2
ok test "$(fact dump-bytes)" = "$(stat -c %s back2/all.sql)"
ok install_db "$work/empty"
start empty "$work/empty" || bad 'no empty server'
ok client empty <back2/all.sql
ok sql empty 'FLUSH PRIVILEGES'
# Each engine by itself: only InnoDB's tables are of one moment in a dump that locks nothing.
whole empty "$before"
halt empty empty
unset MARIADB_MODE

t 'the stand of a backup that died ends at its limit'
run 0 env MARIADB_HOLD_S=2 "$recipes/mariadb" pre
ok session_over mariadb
await_acks 5
run 1 "$recipes/mariadb" post
err 'the session is gone'

t 'what comes while it lasts is refused, and post ends it whatever happened'
run 0 "$recipes/mariadb" pre
run 1 "$recipes/mariadb" pre
err 'the session of another backup is still open'
run 0 env AKSDR_RESULT=failed "$recipes/mariadb" post
await_acks 5
run 0 env AKSDR_RESULT=failed "$recipes/mariadb" post

t 'a statement that does not end is waited for so long, and no point is made'
mkfifo statements
client main --unbuffered <statements >locked &
exec 8>statements
echo "LOCK TABLES d.a WRITE; SELECT 'locked';" >&8
: >>locked
await_line locked locked $$
run 1 env MARIADB_LOCK_S=1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/mariadb' pre" \
	--post "'$recipes/mariadb' post" "busy=$vol/data"
err 'brought to a stand|Lock wait timeout'
exec 8>&-
await_acks 5
stop_writer

t 'no server: no point'
pid=$main_pid
halt main "$data"
run 1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/mariadb' pre" "none=$vol/data"
err 'the server does not answer'
run 1 env MARIADB_MODE=none "$recipes/mariadb" pre
err "not 'none'"
finish
