#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A day of bad weather between a repository and its service: every fault of tests/servers/proxy.py, by
# a plan that follows from a seed, until so many have struck. Two volumes are backed up all the time,
# points are taken away and collected, and every committed point comes back exactly.
#
#   TEST_SEED=N   the plan; else 1
#   FAULTS=N      how many; else 250, and 1500 when TEST_SIZE is full
cache=${XDG_CACHE_HOME:-$HOME/.cache} # the servers are there; the next line changes HOME
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
have_python || { echo 'no python3'; exit 77; }
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$cache . "$SRC/tests/servers/lib.sh"
seed=${TEST_SEED:-1}
wanted=${FAULTS:-$([ "${TEST_SIZE:-small}" = full ] && echo 1500 || echo 250)}
start_azurite
start_proxy "$azurite_port"

export AKSDR_STORE="azure://acct1/data/r?endpoint=http://127.0.0.1:$proxy_primary/acct1&secondary=none"
export AKSDR_STATE=$work/state AKSDR_RETRY=2m/2
recovery=$work/keys/recovery.key agent_key=$work/keys/agent.key
control() { proxy "$@" >/dev/null; }
# counted NAME...: a figure of the proxy's state
counted() { proxy GET /state | python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1:]:
    v = v.get(k, 0) if isinstance(v, dict) else v
print(sum(v.values()) if isinstance(v, dict) else v)' "$@"; }

mkdir -p one two states
change() { # VOLUME
	step=$((step + 1))
	noise 400000 "$step" >"$1/$((step % 3))"
	for i in 1 2 3; do noise $((step * 977 % 9000)) "$step.$i" >"$1/small$i"; done
	echo "$step" >"$1/step"
	state_of "$1" >"states/$1.$step"
}
step=0
# comes_back VOLUME[@POINT]: it is the state that it says it is
comes_back() {
	rm -rf back
	run 0 volume "$1" "$work/back"
	ok is_state back "states/${1%%@*}.$(cat back/step)"
}

t 'the repository is made in good weather'
run 0 "$agent" init --keys "$work/keys" --quiet
for v in one two; do
	change $v
	run 0 backup "$v=$work/$v"
done

t "whatever strikes, each command does its work"
control POST /clear
control POST "/set?seed=$seed&429=30&500=40&503=40&reset=40&cut=40&lost=40&skew=20&skew_s=1200&slow=5&slow_ms=20"
rounds=0
while [ "$(counted primary faults)" -lt "$wanted" ] && [ "$case_bad" -eq 0 ] && [ "$rounds" -lt 2000 ]; do
	rounds=$((rounds + 1))
	for v in one two; do
		change $v
		run 0 backup "$v=$work/$v"
		comes_back $v
	done
	run 0 "$catalog" sync --key "$agent_key"
	case $((rounds % 4)) in
	1) run 0 "$catalog" retain --key "$agent_key" --keep-last 6 --floor-points 3 --max-share 100 ;;
	2) run 0 "$catalog" gc --key "$agent_key" --fence-after 0s --keep-young 0s --repack 5 --max-share 100 ;;
	3) run 0 "$catalog" check --key "$recovery" --level 4 ;;
	esac
done
struck=$(counted primary faults)
ok test "$struck" -ge "$wanted"

t 'no request is sent again without need'
# But for what tries out whether the store keeps the first of two.
proxy GET /state | python3 -c '
import json, sys
for path in json.load(sys.stdin)["primary"]["needless"]:
    if "/probe/" not in path: print(path)' >needless
ok empty needless
sed 's/^/   sent in vain: /' needless

t 'in good weather again every point is what it was'
control POST '/set?429=0&500=0&503=0&reset=0&cut=0&lost=0&skew=0&slow=0'
run 0 "$restore" points --key "$recovery" --output json
python3 -c '
import json, sys
for i in json.load(open(sys.argv[1]))["items"]: print(i["volume"] + "@" + i["point"])' "$work/.out" >all
while read -r point; do comes_back "$point"; done <all
run 0 "$catalog" check --key "$recovery" --level 4
echo "TEST_SEED=$seed: $struck faults in $rounds rounds"
finish
