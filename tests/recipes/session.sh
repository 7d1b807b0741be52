#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sessions that recipes keep open: their answers, line by line, by recipes/lib.sh itself and with no server.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
: "${SRC:?SRC is the root of the tree}"

# answers SCRIPT: hold_wait with `answer TEXT`, by which the client says something (it is no line by itself), and
# with what the script does besides
answers() {
	rm -rf session && mkdir session && mkfifo session/in session/out session/stop
	bash -c '. "$1"
		exec 8<>session/out
		answer() { printf "$@" >&8; }
		eval "$2"
		hold_wait session || fail "it has ended"' recipe "$SRC/recipes/lib.sh" "$1"
}

t 'what a client says is handed on until it is ready'
run 0 answers 'answer "one\ntwo  words\n@ready\nlater\n"'
out_is <<'END'
one
two  words
END

t 'a line whose end comes later is one line'
# After a second without a whole line it is asked whether the session is there: the rest comes then.
# shellcheck disable=SC2016 # it is for the other shell
run 0 answers 'rest=("st\n@re" "ad" "y\n")
	hold_free() { answer "${rest[0]}"; rest=("${rest[@]:1}"); return 1; }
	answer fir'
out_is <<'END'
first
END

t 'a client that has ended is told from one that is ready'
run 1 answers 'answer "no such table\n@ended 1\n"'
err '^recipe: it has ended$'
out '^no such table$'
finish
