#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The independent reader of a repository of which sites were fenced: what counts of them for the programs
# counts for it, a late point does not, and one that was given back goes on.
# shellcheck source=tests/reader/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
by() { # SITE NAME
	"$agent" backup --quiet --store "file://$store" --state "$work/state" --key "$work/keys/agent.key" \
		--cluster "$1" --namespace shop "$2=$work/src"
}
fences() { # VERB ARGUMENT...
	"$BIN/aksdr-restore" "$1" --quiet --store "file://$store" --state "$work/state" \
		--key "$work/keys/recovery.key" "${@:2}"
}

ok "a repository" "$agent" init --quiet --store "file://$store" --keys "$work/keys"
mkdir "$work/src"
echo first >"$work/src/file"
ok "a point of a site" by one a
ok "... of another volume" by one b
ok "... and of another site" by two c
ok "all of that follows the format" reader verify

ok "the first one is fenced" fences fence one --reason down
says "what was there counts, for the reader too" 'points 3 .* revoked 0' reader verify
late=$(find "$store/commit" -type f -printf '%T@ %P\n' | sort -n | head -n 1 | cut -d' ' -f2)
ok "it is given back" fences unfence one --reason back
mv "$store/commit/$late" "$work/kept"
ok "... and fenced again, when the store does not show a point" fences fence one --reason again
mv "$work/kept" "$store/commit/$late"
says "a point that shows later does not count" 'points 2 .* revoked 1' reader verify
says "... also for the programs" '^2$' eval "fences points --output csv | sed 1d | wc -l"
ok "it is accepted" fences accept "$late"
says "... and counts again" 'points 3 .* revoked 0' reader verify

ok "a plan changes hands, twice" fences promote shop --cluster two --reason down
ok "..." fences promote shop --cluster three --reason back
says "... and the reader knows of it" 'points 3 ' reader verify

ok "a volume alone" fences fence two/shop/c --reason moved
ok "... is given back" fences unfence two/shop/c --reason back
ok "... and goes on" by two c
says "... for the reader too" 'points 4 .* revoked 0' reader verify
finish
