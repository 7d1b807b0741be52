#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Redis with its append-only file and with snapshots of its own, while it is written to.
needs=(redis-server redis-cli redis-check-aof redis-check-rdb)
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "$0")/lib.sh"
disk xfs
new_repo repo

data=$vol/data
user_dir "$work/sockets"
# start NAME DIR APPENDONLY: at $work/sockets/NAME; sets pid
start() {
	: >"$work/sockets/$1.log"
	as_user redis-server --port 0 --unixsocket "$work/sockets/$1" --unixsocketperm 777 --dir "$2" \
		--appendonly "$3" --appendfsync everysec --save '' --auto-aof-rewrite-min-size 32kb \
		>"$work/sockets/$1.log" 2>&1 &
	pid=$!
	await_line "$work/sockets/$1.log" 'eady to accept connections' "$pid" ||
		{ tail -n 20 "$work/sockets/$1.log"; return 1; }
}
ask() { redis-cli -s "$work/sockets/$1" "${@:2}"; }
# whole NAME TIME: the server of a copy has all
whole() {
	ask "$1" LRANGE numbers 0 -1 >numbers
	judge numbers "$2"
	ask "$1" SHUTDOWN NOSAVE >/dev/null 2>&1
	wait "$pid"
}
start main "$data" yes || exit 1
main_pid=$pid
coproc server { redis-cli -s "$work/sockets/main" 2>>writer.err; }
exec 6<&"${server[0]}" 7>&"${server[1]}"
insert() {
	local answer
	# What takes the space is replaced each time, so that the log is rewritten now and then.
	echo "SET fill $(printf '%04000d' "$1")" >&7 && read -r -u 6 answer && [ "$answer" = OK ] &&
		echo "RPUSH numbers $1" >&7 && read -r -u 6 answer && [ "$answer" = "$1" ]
}
export REDIS_OPTIONS="-s $work/sockets/main"

t 'with the append-only file a snapshot has what was acknowledged before it'
write_numbers insert
await_acks 300
capture redis auto "$data"
json_is reflink items 0 driver
json_is application items 0 consistency
await_acks 100
ok test "$(fact persistence)" = aof
ok test "$(ask main CONFIG GET appendfsync | tail -n 1)" = everysec
give_back back1
run 0 redis-check-aof back1/appendonlydir/appendonly.aof.manifest
out 'is valid'
start back1 "$work/back1" yes || bad 'no server on the copy'
whole back1 "$frozen"

t 'the setting of before is kept over a post that never came'
run 0 "$recipes/redis" pre
ok test "$(ask main CONFIG GET appendfsync | tail -n 1)" = always
run 0 "$recipes/redis" pre
run 0 env AKSDR_RESULT=failed "$recipes/redis" post
ok test "$(ask main CONFIG GET appendfsync | tail -n 1)" = everysec
run 0 "$recipes/redis" post

t 'BGSAVE, read live, has what was acknowledged before the hook'
export REDIS_MODE=rdb
# A rewrite of the log goes on (of each key it waits so many microseconds): until it ends no BGSAVE can begin. The
# server begins rewrites by itself, too: such a one would be over soon, and none could begin beside it.
ask main CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
at_rest() { ask main INFO persistence | grep -q '^aof_rewrite_in_progress:0'; }
wait_for at_rest
ask main CONFIG SET rdb-key-save-delay 1000000 >/dev/null
ok test "$(ask main BGREWRITEAOF)" = 'Background append only file rewriting started'
ask main CONFIG SET rdb-key-save-delay 0 auto-aof-rewrite-percentage 100 >/dev/null
capture redis live "$data" --exclude /appendonlydir
await_acks 100
ok test "$(fact persistence)" = rdb
ok test "$(fact last-save)" -gt 0
give_back back2
run 0 redis-check-rdb back2/dump.rdb
out 'RDB looks OK'
start back2 "$work/back2" no || bad 'no server on the copy'
whole back2 "$before"

t 'with writes that wait, also what was acknowledged before the snapshot'
export REDIS_PAUSE_S=60
capture redis auto "$data"
await_acks 100
give_back back3
rm -rf back3/appendonlydir
start back3 "$work/back3" no || bad 'no server on the copy'
whole back3 "$frozen"

t 'a pause that ended too early is told'
run 0 env REDIS_PAUSE_S=1 "$recipes/redis" pre
await_acks 20
run 1 env REDIS_PAUSE_S=1 "$recipes/redis" post
err 'writes went on after REDIS_PAUSE_S=1 s'
run 0 "$recipes/redis" post
stop_writer
unset REDIS_MODE REDIS_PAUSE_S

t 'settings that do not fit'
run 1 env REDIS_MODE=none "$recipes/redis" pre
err "not 'none'"
run 1 env REDIS_PAUSE_S=x "$recipes/redis" pre
err "not 'x'"
ask main CONFIG SET appendonly no >/dev/null
run 1 env REDIS_MODE=aof "$recipes/redis" pre
err 'appendonly of the server is not yes'
run 0 "$recipes/redis" pre
out '^aksdr-fact persistence rdb$'

t 'no server: no point'
ask main SHUTDOWN NOSAVE >/dev/null 2>&1
wait "$main_pid"
run 1 "$agent" backup --key "$agent_key" --quiet --pre "'$recipes/redis' pre" "none=$data"
err 'the server does not tell'
finish
