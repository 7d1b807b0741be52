#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# aksdr-agent doctor over services: what it finds, and which right it names when one is missing.
here=$(cd "$(dirname "$0")" && pwd -P)
home=$HOME # where the servers are installed
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
HOME=$home
# shellcheck source=tests/servers/lib.sh
. "$here/lib.sh"
HOME=$work
need_server azurite versity seaweed
# doctor OPTION...: each check in one line
doctor() {
	local rc
	"$agent" doctor --quick "$@" >"$work/.wrapped"
	rc=$?
	sed -zE 's/\n {29,}/ /g' "$work/.wrapped"
	return "$rc"
}
# signed RIGHTS OPTION...: by a shared access signature for the container
signed() {
	local token
	token=$(servers_client sas "$azurite_endpoint" data "$1") || return 99
	AZURE_STORAGE_KEY='' AZURE_STORAGE_SAS_TOKEN=$token doctor --store "$azurite_url" "${@:2}"
}

all_is_well() {
	out '^credentials +ok '
	out '^create +ok +allowed$'
	out '^create-only +ok '
	out '^one of 16 creates +ok '
	out '^read after write +ok '
	out '^list after write +ok '
	out '^checksums +ok +each upload carries one'
	out '^gone after delete +ok '
	out '^clock +ok +as the store'
	out '^requests +ok +[0-9]+: [0-9]+ put, .*[0-9]+ list'
	out '^left behind +ok +nothing'
	out ' 0 FAILED$'
}

start_azurite
t 'Azurite: all is well'
run 0 doctor --store "$azurite_url"
all_is_well
out '^second region +ok +live; it has everything up to '
out '^reads from there +ok +answers in '
ok test -z "$(servers_client list azure "$azurite_endpoint" data)"

t 'Azurite keeps no locks, which is a failure for who asks for one'
run 1 doctor --store "$azurite_url&lock=30d"
out '^lock +FAILED +an object cannot be locked: .*takes no locks'
err 'failed: lock$'
ok test -z "$(servers_client list azure "$azurite_endpoint" data)"

t 'a signature that may only read: the right to create is named'
run 1 signed rl
out '^create +FAILED '
out '^create .*=> to create it needs the permissions c \(create\) and w \(write\) in the shared access signature'
out '^read +ok '
out '^list +ok '
out '^delete +ok +refused, which is right for'
err 'failed: create$'

t 'one that may not list'
run 1 signed rcw
out '^list +FAILED '
out '^list .*=> to list it needs the permission l \(list\)'
err 'failed: list$'

t 'one that may not read'
run 1 signed cwl
out '^read +FAILED '
out '^read .*=> to read it needs the permission r \(read\)'

t 'one as an agent should have: nothing fails, little stays behind'
run 0 signed rcwl
out '^delete +ok +refused, which is right for'
out '^left behind +ok +[0-9]+ objects, [0-9]{3,4} KiB, under probe/'
out_not '^gone after delete'

t 'a key of another account, a container that is not there, a service that is away'
AZURE_STORAGE_KEY=$(head -c 64 /dev/urandom | base64 -w 0) run 1 doctor --store "$azurite_url"
out '^credentials +FAILED '
out '^all else +- '
run 1 doctor --store "${azurite_url/data/nothere}"
out "^answer +FAILED +the account has no container 'nothere'"
stop_server azurite
AKSDR_RETRY=1s/10 run 1 doctor --store "$azurite_url"
out '^answer +FAILED +gave up after '

start_geo lag_ms=600000
t 'a second region that is behind, and a store that keeps locks'
run 0 doctor --store "$azurite_url&lock=7d"
out '^second region +ok +live; it has everything up to '
out '^reads from there +ok +answers in .*; what was just written is not there yet$'
out '^lock +ok +asked for 7d: '
out '^left behind +ok +1 object, 1 KiB'

t 'a second region that is away is a warning'
proxy POST '/set?secondary=refuse' >"$work/.proxy"
AKSDR_RETRY=1s/10 run 0 doctor --store "$azurite_url"
out '^second region +warning +gave up after '
out '^second region .*secondary=none$'
stop_server proxy

for server in versity seaweed; do
	"start_$server"
	t "$server: all is well"
	run 0 doctor --store "$s3_url"
	all_is_well
	out '^second region +- +there is none'
	ok test -z "$(servers_client list s3 "$s3_endpoint" data)"

	t "$server: an object with a lock is kept"
	run 0 doctor --store "${s3_url/data/locked}&lock=30d"
	out '^lock +ok +asked for 30d: the store keeps it'

	t "$server: a bucket without object lock"
	run 1 doctor --store "$s3_url&lock=30d"
	out '^lock +FAILED +an object cannot be locked: '
	err 'failed: lock$'

	t "$server: a wrong secret, a bucket that is not there"
	AWS_SECRET_ACCESS_KEY=wrong run 1 doctor --store "$s3_url"
	out '^credentials +FAILED +the signature is not accepted'
	run 1 doctor --store "${s3_url/data/nothere}"
	out "^answer +FAILED +there is no bucket 'nothere'"
done

t 'SeaweedFS: credentials that may only read'
AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID}R run 1 doctor --store "$s3_url"
out '^create +FAILED '
out '^create .*=> to create it needs s3:PutObject on the objects of the bucket'
out '^read +ok '
out '^list +ok '
err 'failed: create$'

t 'a copy in another store: what it lacks is counted'
second=$s3_endpoint
start_versity other
copy=$(printf %s "$s3_url" | sed 's/:/%3A/g; s/\//%2F/g; s/?/%3F/; s/=/%3D/g; s/&/%26/g')
run 0 doctor --store "s3://data?endpoint=$second&secondary=$copy"
out '^second region +ok +compared: it lacks nothing$'
out '^reads from there +ok +answers in '

finish
