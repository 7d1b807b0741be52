#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Commands in a container of a real pod: what they write, how they end, and why they do not begin.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
bed_up 1
bed_busybox
bed_claim files 64Mi
bed_pod one files=/data
client=$BIN/tests/kube/client
export KUBECONFIG=$bed/admin.kubeconfig

t 'a command tells what it writes, on both ways, and how it ended'
run 0 "$client" exec one sh -c 'echo out; echo "a&b" >&2; exit 42'
out '^out'
out '^status 42'
err '^a&b'
run 0 "$client" exec one true
out '^status 0'

t 'a megabyte comes whole'
keep "$client" exec one sh -c 'head -c 1048576 /dev/zero | tr "\0" x'
ok [ "$(tr -cd x <"$work/.out" | wc -c)" = 1048576 ]

t 'no such program, no such pod, and no right are told apart'
run 1 "$client" exec one no-such-program
err '^not_found: .*executable file not found'
run 1 "$client" exec two true
err "^not_found: running 'true' in Pod 'default/two': .*pods \"two\" not found"
bed_user weak
KUBECONFIG=$bed/weak.kubeconfig run 1 "$client" exec one true
err '^denied: .*pods/exec'

t 'one that does not end is left at the time limit'
run 1 "$client" exec one tail -f /dev/null
err '^io: .*did not end in time'

t 'when the server ends, the command has not succeeded'
"$client" exec one sh -c 'echo begun; tail -f /dev/null' >"$work/cut.out" 2>&1 &
pid=$!
bed_wait 30 grep -q '^begun' "$work/cut.out"
bed_kill apiserver
wait $pid
ok grep -q '^retry: ' "$work/cut.out"
bed_start apiserver
finish
