#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Objects of the store are damaged, cut, exchanged, removed, or of a later format: what comes back
# is exact, or the failure has a name. Never silently other bytes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
new_repo r
mkdir -p src/dir
noise 600000 >src/large
for i in {1..40}; do echo "small file $i" >src/dir/small$i; done
truncate -s 1M src/holes
run 0 backup data="$work/src"
cp -a src old
echo 'second state' >src/dir/small7
noise 500000 2 >src/more
run 0 backup data="$work/src"
unset AKSDR_STATE
state_of src >good.state
cp -a r pristine

# In the fast run, some places of each object; in the full one, more.
case ${TEST_SIZE:-full} in
small) again=30 ;;
*) again=100 ;;
esac
# places SIZE: offsets at which an object of this size is damaged
places() {
	echo 7 $(($1 / 3)) -1
	[ "$again" -lt 100 ] || echo 0 30 $(($1 * 2 / 3)) $(($1 - 170))
}
reset() {
	rm -rf r out
	cp -a pristine r
}
# verdict WHAT [TREE]: restores without local state; the tree exactly, or a failure with a name
verdict() {
	local what=$1
	shown="restore with $what"
	"$restore" volume --quiet --state '' --key "$recovery" data --target "$work/out" \
		>"$work/.out" 2>"$work/.err" </dev/null
	status=$?
	case_checks=$((case_checks + 1))
	case $status in
	0) diff -r out "${2:-src}" >"$work/.diff" || bad "$what: exit status 0, but $(head -n 1 "$work/.diff")" ;;
	1 | 3 | 4 | 5) [ -s "$work/.err" ] || bad "$what: failed without a word" ;;
	*) bad "$what: exit status $status" ;;
	esac
	if [ $status -ne 0 ] && [ -e out ]; then
		# What did come back is right: every file that is there is one of the source, whole.
		while IFS= read -r f; do
			if [ -f "src/$f" ] && same "src/$f" "out/$f"; then continue; fi
			bad "$what: '$f' came back with other bytes"
		done < <(cd out && find . -type f)
	fi
	rm -rf out
}
mapfile -t keys < <(cd pristine && find . \( -path ./.tmp -o -path ./audit \) -prune -o -type f -print |
	sed 's|^\./||' | LC_ALL=C sort)

newest=$(cd pristine && find commit -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)

t 'the repository has objects of each kind'
for kind in config commit/ idx/ meta/ pack/ sess/; do
	ok grep -q "^$kind" <(printf '%s\n' "${keys[@]}")
done

t 'nothing damaged: exact'
verdict 'nothing damaged'
ok test $status -eq 0

t 'one bit of any object'
failures=0
for key in "${keys[@]}"; do
	size=$(stat -c %s "pristine/$key")
	for at in $(places "$size"); do
		[ "$at" -lt "$size" ] && [ "$at" -ge -1 ] || continue
		flip "r/$key" "$at"
		verdict "bit $at of $key flipped"
		[ $status -eq 0 ] || failures=$((failures + 1))
		cp -a "pristine/$key" "r/$key"
	done
done
# Damage that a restore needs not see is fine; most of it it must.
ok test $failures -gt 8

t 'any object is cut short, empty, or longer'
for key in "${keys[@]}"; do
	for size in 0 100 $(($(stat -c %s "pristine/$key") - 1)); do
		truncate -s "$size" "r/$key"
		verdict "$key of $size bytes"
		cp -a "pristine/$key" "r/$key"
	done
	echo more >>"r/$key"
	verdict "$key with bytes behind its end"
	cp -a "pristine/$key" "r/$key"
done

t 'any object is missing'
for key in "${keys[@]}"; do
	rm "r/$key"
	if [ "$key" = "$newest" ]; then
		# Without it the point before is the newest; that one was, only those know who saw it.
		verdict "$key missing" old
	else
		verdict "$key missing"
	fi
	cp -a "pristine/$key" "r/$key"
done

t 'any two neighbours are exchanged'
for i in "${!keys[@]}"; do
	[ "$i" -gt 0 ] || continue
	a=${keys[$((i - 1))]} b=${keys[$i]}
	cp -a "pristine/$a" "r/$b" && cp -a "pristine/$b" "r/$a"
	verdict "$a and $b exchanged"
	cp -a "pristine/$a" "r/$a" && cp -a "pristine/$b" "r/$b"
done

pack=$(find pristine/pack -type f -printf '%s %P\n' | sort -rn | head -n 1 | cut -d ' ' -f 2)
t 'damaged data: exit status 5, and the object is named'
flip "r/pack/$pack" $(($(stat -c %s "r/pack/$pack") / 3))
run 5 volume data "$work/out"
err "pack/$pack"
err 'large|more'
rm -rf out

t '... each time, whatever the threads do first'
for ((i = 0; i < again; i++)); do
	keep volume data "$work/out" --state ''
	ok test "$status" -eq 5
	rm -rf out
done

t '... with --on-corrupt skip: the rest comes back, the loss is listed, exit status 3'
run 3 volume data "$work/out" --on-corrupt skip --output json
ok test "$(json items 0 missing_count)" -ge 1
ok same src/dir/small7 out/dir/small7
ok test "$(stat -c %s out/large)" -eq 600000
rm -rf out

t '... check finds it at level 3, and names the file that is hurt'
run 0 "$catalog" check --key "$audit" --level 1 --quiet
run 5 "$catalog" check --key "$audit" --level 3
out "pack/$pack"
run 5 "$catalog" check --key "$recovery" --level 4
out "pack/$pack"

t '... and the next backup stores the content again when it sees it'
# The chunk is known to the index as if it were whole, so it takes a new content with it.
run 0 "$agent" backup --key "$agent_key" --state "$work/s" --quiet --force --domain fresh healed="$work/src"
run 0 volume healed "$work/out"
ok is_state out good.state
reset

t 'a missing pack: exit status 5, and its name'
rm "r/pack/$pack"
run '4|5' volume data "$work/out"
err "pack/$pack"
run 5 "$catalog" check --key "$audit" --level 0
out "pack/$pack.*missing|missing.*pack/$pack"
reset

# future KIND KEY MESSAGE: the version in the object's head is 2
future() {
	t "a $1 of a later format is refused by name"
	printf '\2' | dd of="r/$2" bs=1 seek=5 conv=notrunc status=none
	run 5 "$restore" volume --quiet --key "$recovery" --state '' data --target "$work/out"
	err 'version 2'
	rm -rf out
	cp -a "pristine/$2" "r/$2"
}
future config config
t '... by the agent, too'
printf '\2' | dd of=r/config bs=1 seek=5 conv=notrunc status=none
run 5 "$agent" backup --key "$agent_key" data="$work/src"
err 'version 2'
cp -a pristine/config r/config
t 'an unknown feature in the config is refused by name'
printf '\200' | dd of=r/config bs=1 seek=7 conv=notrunc status=none
run 5 "$restore" volume --quiet --key "$recovery" data --target "$work/out"
err 'feature'
cp -a pristine/config r/config
future pack "pack/$pack"

t 'all restore points of a later format: refused, not absent'
for key in $(cd r && find commit -type f); do
	printf '\2' | dd of="r/$key" bs=1 seek=5 conv=notrunc status=none
done
run '4|5' volume data "$work/out"
err 'version 2|do not open|does not open'
reset

t 'a newer point that does not open is not passed over in silence'
flip "r/$newest" 200
run '0|3|5' volume data "$work/out"
err 'commit/'
reset

finish
