#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The golden repository of format version 1 comes back with today's programs; what is of a later
# version, or needs features that are unknown, is refused by name.
# shellcheck source=tests/cli/lib.sh
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../cli/lib.sh"

golden=$here/golden/v1
python=${PYTHON:-python3}
cp -r "$golden/store" "$work/store"
# A checkout does not keep the modes that keys must have.
cp -r "$golden/keys" "$work/keys"
chmod 600 "$work"/keys/*
export AKSDR_STORE=file://$work/store AKSDR_STATE=$work/state
recovery=$work/keys/recovery.key agent_key=$work/keys/agent.key audit=$work/keys/audit.key
root=no
[ "$(id -u)" -ne 0 ] || root=yes

# A file system that can hold all of it, in a mount namespace of its own.
if [ "${1:-}" = --on-xfs ]; then
	truncate -s 512M image
	mkdir fs
	mkfs.xfs -q image
	mount -o loop image fs || { echo 'skip'; exit 77; }
	mounted+=("$work/fs")
	run 0 "$restore" points --key "$recovery" shop/files --output json
	file_points=("$(json items 0 point)" "$(json items 1 point)")
	for n in 1 2; do
		t "state $n comes back on xfs with every attribute"
		run 0 volume "files@${file_points[n - 1]}" "$work/fs/$n"
		gzip -dc "$golden/expected/files-$n.jsonl.gz" >list
		ok "$python" "$here/../property/compare.py" check list "$work/fs/$n"
	done
	chattr -i fs/*/empty
	finish
	exit
fi

t 'the points are there'
run 0 "$restore" points --key "$recovery" --output json
ok test "$("$python" -c 'import json; print(len(json.load(open(".out"))["items"]))')" -eq 3
run 0 "$restore" points --key "$audit" shop/files --output json
json_is 1 items 0 sequence
json_is 2 items 1 sequence
file_points=("$(json items 0 point)" "$(json items 1 point)")
run 0 "$restore" points --key "$audit" c1/shop/disk --output json
json_is 00112233445566778899aabbccddeeff items 0 set

for n in 1 2; do
	t "state $n comes back"
	# Without root's rights owners, devices and some attributes are missing, and that is said.
	[ $root = yes ] && want='0|3' || want=3
	run "$want" volume "files@${file_points[n - 1]}" "$work/out$n"
	grep -E '^[fld]' "$golden/expected/files-$n.list" >want
	chmod u+r "out$n/empty" 2>/dev/null || chattr -i "out$n/empty" 2>/dev/null
	"$here/listing" "out$n" | grep -E '^[fld]' >have
	ok diff want have
	chattr -i "out$n/empty" 2>/dev/null
done

t 'the block volume comes back'
run 0 volume disk "$work/disk"
ok test "$(sha256sum <disk | cut -d ' ' -f 1)" = "$(cat "$golden/expected/disk-1.sha256")"

t 'it checks clean, down to each chunk'
run 0 "$catalog" check --key "$recovery" --level 4

t 'today a next backup follows it'
mkdir src && echo new >src/file
run 0 backup --cluster c1 --namespace shop --uid 0f0e0d0c files="$work/src"
run 0 volume files "$work/next"
ok same_tree src next

t 'it is collected once it was upgraded, and everything is as before'
run 1 "$catalog" gc --key "$agent_key"
err 'aksdr-catalog upgrade'
run 0 "$catalog" upgrade --key "$recovery"
out '^upgrade .*done +2'
ok same "$golden/store/config" store/config
run 0 "$catalog" gc --key "$agent_key"
run 0 "$catalog" check --key "$recovery" --level 4
run 0 volume disk "$work/disk2"
ok same disk disk2

if [ $root = yes ] && command -v mkfs.xfs >/dev/null && unshare -m true 2>/dev/null; then
	end_case
	if unshare -m --propagation private "$here/golden_v1.sh" --on-xfs >.xfs; then
		grep '^ok' .xfs
	else
		t 'on xfs'
		shown=
		if [ "$(tail -n 1 .xfs)" = skip ]; then
			echo 'skip every attribute on xfs: no loop device'
			case_name=
		else
			bad "$(cat .xfs)"
		fi
	fi
	counts=$(grep -oE '^[0-9]+ passed' .xfs)
	passed=$((passed + ${counts%% *}))
else
	echo 'skip every attribute on xfs: it needs root'
fi

# put_byte FILE OFFSET VALUE
put_byte() {
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %03o "$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

t 'a config of a later version is refused by name'
cp -r "$golden/store" later
put_byte later/config 5 2
run 5 "$restore" points --store "file://$work/later" --key "$recovery"
err 'version 2'
run 5 "$agent" backup --store "file://$work/later" --key "$agent_key" x="$work/src"
err 'version 2'
run 5 "$catalog" sync --store "file://$work/later" --key "$audit" --state "$work/state2"
err 'version 2'
ok test "$(points later)" -eq 3

t 'features that are unknown are refused by name'
cp "$golden/store/config" later/config
put_byte later/config 7 128
run 5 "$restore" points --store "file://$work/later" --key "$recovery"
err 'features 0x8000'
run 5 "$agent" backup --store "file://$work/later" --key "$agent_key" x="$work/src"
err 'features 0x8000'
cp "$golden/store/config" later/config

t 'a key file of a later version is refused by name'
sed '1s/1$/2/' "$recovery" >later.key
chmod 600 later.key
run 5 "$restore" points --key "$work/later.key"
err 'version 2'

finish
