#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-freezer as a service: its socket, who finds it taken, what is left of a dead one, how it ends.
# What it does is tested by tests/unit/freezer/ and tests/crash/test_freezer_kills.c.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
freezer=$BIN/aksdr-freezer
[ "$(id -u)" = 0 ] || { echo 'not root'; exit 77; }

pid=
stop() { [ -z "$pid" ] || kill "$pid" 2>/dev/null; }
trap 'stop; clean' EXIT

# start OPTION...: in the background, until it listens; its first line is in $line
start() {
	rm -f log
	mkfifo log
	"$freezer" serve --socket socket --notes notes "$@" 2>log &
	pid=$!
	exec 7<log
	read -r -u 7 line
}

t 'it wants a socket, in one way'
run 2 "$freezer" serve
err 'name either --socket or --fd$'
run 2 "$freezer" serve --socket socket --fd 3
run 2 "$freezer" serve --fd 2
run 2 "$freezer" serve --fd 9
err '--fd 9 is no socket of packets$'
run 2 "$freezer" serve --socket socket --allow-uid root
run 2 "$freezer" serve --socket "$(printf 'x%.0s' {1..200})" --notes notes
err 'a socket.s path has 1 to 107 bytes, not 200$'

t 'what is no socket is not replaced'
echo text >file
run 1 "$freezer" serve --socket file --notes notes
err "'file' is there and no socket$"
ok grep -q text file

t 'it listens, for its own user alone'
start
ok grep -q 'listening socket=socket' <<<"$line"
ok [ "$(stat -c %a socket)" = 600 ]
run 6 "$freezer" serve --socket socket --notes notes
err "a freezer listens at 'socket' already$"

t 'the socket of one that was killed is taken over'
kill -9 "$pid"
wait "$pid" 2>/dev/null
ok [ -S socket ]
start --allow-uid 4711
ok [ "$(stat -c '%a %u' socket)" = '660 4711' ]

t 'it ends when it is told to, and takes its socket along'
kill "$pid"
wait "$pid"
ok [ $? = 0 ]
ok [ ! -e socket ]
pid=

t 'it has a manual'
run 0 "$freezer" help serve
out '--allow-uid N '
finish
