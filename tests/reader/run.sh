#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the programs write, the independent reader restores: generated trees over three
# generations, an image, a large sparse file, a wrapped key; and it refuses damage.
# shellcheck source=tests/reader/lib.sh
. "$(dirname "$0")/lib.sh"

tree() { "$python" "$here/../property/gen_tree.py" "$@"; }
wrapped() {
	"$python" "$here/aksdr_reader.py" --store "$work/store2" --key "$work/keys2/recovery.key" \
		--passphrase-file "$work/pass" verify
}

ok "known values" "$python" "$here/test_vectors.py"
ok "a repository" "$agent" init --quiet --store "file://$work/store" --keys "$work/keys"
mkdir "$work/src"
for g in 1 2 3; do
	if [ $g = 1 ]; then
		ok "a tree" tree make "$work/src" 5.1 small
		# continuations: more than 64 MiB, mostly hole
		truncate -s 200M "$work/src/continued"
		dd if=/dev/urandom of="$work/src/continued" bs=1M count=2 seek=70 conv=notrunc status=none
		dd if=/dev/urandom of="$work/src/continued" bs=1M count=2 seek=140 conv=notrunc status=none
	else
		ok "it changes" tree change "$work/src" 5.$g small
		printf x | dd of="$work/src/continued" bs=1 seek=$((71000000 + g)) conv=notrunc status=none
	fi
	# Python's own calls take no path over PATH_MAX, which this one is.
	rm -rf "$work/src/deep long"
	scan "$work/src" "$work/list$g"
	ok "generation $g is backed up" backup "v=$work/src"
done
for g in 1 3; do
	point=$(reader points | awk -v g=$g '$1 == "v" && $2 == g { print $3 }')
	ok "generation $g: the reader restores it" reader restore "v@$point" --target "$work/back$g"
	ok "generation $g: it is what it was" check "$work/list$g" "$work/back$g"
done
truncate -s 9M "$work/image"
dd if=/dev/urandom of="$work/image" bs=4096 count=300 seek=700 conv=notrunc status=none
ok "an image is backed up" backup "disk=$work/image"
dd if=/dev/urandom of="$work/image" bs=4096 count=1 seek=800 conv=notrunc status=none
ok "a page of it changes" backup "disk=$work/image"
ok "the reader restores it" reader restore disk --target "$work/image.back"
ok "it is what it was" cmp "$work/image" "$work/image.back"
ok "all of the repository follows the format" reader verify

for kind in config commit pack meta idx sess audit; do
	damage_noticed $kind "$(find "$work/store/$kind" -type f | sort | head -n 1)"
done
ok "put back, all is well again" reader verify

printf 'correct horse\n' >"$work/pass"
ok "a repository with a wrapped key" "$agent" init --quiet --store "file://$work/store2" \
	--keys "$work/keys2" --passphrase-file "$work/pass"
mkdir "$work/one" && echo hello >"$work/one/file"
ok "... is backed up to" "$agent" backup --quiet --store "file://$work/store2" \
	--key "$work/keys2/agent.key" --state "$work/state" "w=$work/one"
ok "... and opens with the passphrase" wrapped
printf 'wrong\n' >"$work/pass"
refused "... and with no other" wrapped

rm -rf "$work/store" "$work/keys"
cp -r "$here/../format/golden/v1/store" "$here/../format/golden/v1/keys" "$work"
ok "the golden repository follows the format" reader verify
rm -rf "$work/store" "$work/keys"
cp -r "$here/../format/golden/v1-keys/store" "$here/../format/golden/v1-keys/keys" "$work"
says "... and so does the one whose keys have changed" 'collections 1 revoked 1' reader verify

finish
