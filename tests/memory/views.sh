#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Views of many files under a memory limit: a tree on XFS by clones and a freeze, the same on ext4 by
# copies, and what is unchanged the second time. The file systems are made outside of the limit.
# shellcheck source=tests/memory/lib.sh
. "$(dirname "$0")/lib.sh"
[ -n "${VIEWS_INSIDE:-}" ] || {
	unshare --mount true 2>/dev/null || { echo "no mount namespace can be made here" && exit 77; }
	cleanup
	VIEWS_INSIDE=1 exec unshare --mount --propagation private -- "$0"
}

many=20000 few=5000
[ "${TEST_SIZE:-small}" = full ] && many=100000 few=20000
agent=$BIN/aksdr-agent
export AKSDR_STATE=$dir/state AKSDR_STORE=file://$dir/store
"$agent" init --quiet --keys "$dir/keys"
for how in "reflink xfs $many" "freeze ext4 $few"; do
	read -r driver fs files <<<"$how"
	truncate -s 3G "$dir/$fs.image"
	mkfs."$fs" -q "$dir/$fs.image" ||
		{ echo "no file system $fs can be made" && exit 77; }
	mkdir "$dir/$fs"
	mount -o loop "$dir/$fs.image" "$dir/$fs" || { echo "$fs cannot be mounted" && exit 77; }
	python3 - "$dir/$fs" "$files" <<-'END'
		import os, sys
		for i in range(int(sys.argv[2])):
		    d = "%s/d%03d" % (sys.argv[1], i // 1000)
		    if i % 1000 == 0:
		        os.mkdir(d)
		    with open("%s/file-with-a-name-of-some-length-%06d" % (d, i), "w") as f:
		        f.write("%d\n" % i * 20)
	END
	for turn in first second; do
		limited "$driver on $fs, $files files, $turn" "$agent" backup --quiet --key "$dir/keys/agent.key" \
			--driver "$driver" --copy-max 2GiB "$fs=$dir/$fs"
	done
	umount "$dir/$fs"
done
conclude
