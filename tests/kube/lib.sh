# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A real cluster on this machine, for scripts that source it first: etcd, the Kubernetes API server,
# controller manager and scheduler, and nodes with containerd, runc, a kubelet and a CSI driver whose
# volumes and snapshots are real. tests/kube/install has built the programs.
#
# The script is started again in namespaces of its own: of processes, so that everything ends with it
# whatever happens; of mounts and of the network, so that nothing is seen from outside and every
# cluster has the same addresses. A node is a set of such namespaces inside. What the kernel does not
# take back by itself, loop devices and cgroups, is removed at the end, and a test that leaves anything
# fails. Besides the words of tests/cli/lib.sh:
#
#   bed_up [OPTION]... [NODES]   a cluster with so many nodes (1); exits 77 where that cannot be
#     --no-nodes                 etcd and the API server alone, within 3 s. Nobody acts on objects then:
#                                no service accounts appear, nothing is collected
#     --file                     a second driver, `file`: shared directories, no snapshots, no block devices
#     --audit                    each request is written down; bed_rights reads it
#     --short-tokens             service account tokens live for as long as is asked (10 minutes is the
#                                least); without it the server makes those of pods last for a year
#     --api FLAG                 one more flag of the API server
#     --region N                 beside others: a cluster of its own in the same network (1 to 9)
#   bed_down                     takes the cluster away, before the script's end
#   bed_use N                    the words below are about the cluster of region N
#   k ARGUMENT...; helm ...      kubectl and helm as administrator
#   bed_image FILE [NODE]...     loads an image (archive of docker or OCI) into all nodes, or these
#   bed_busybox                  loads bed.test/busybox:1
#   bed_claim NAME SIZE [CLASS [MODE [SNAPSHOT]]]   a PVC: class disk, Filesystem or Block, of a snapshot
#   bed_pod NAME [--node N] CLAIM=PATH...   a pod of busybox with these volumes that waits; a PATH below
#                                /dev is a block device. Returns when it is ready
#   bed_in POD COMMAND...        in a pod
#   bed_snapshot NAME CLAIM      a VolumeSnapshot; returns when it is ready to use
#   bed_wait SECONDS COMMAND...  until it holds; fails when it does not
#   bed_user NAME [GROUP]...     a kubeconfig with a client certificate, $bed/NAME.kubeconfig
#   bed_kubeconfig FILE FIELD...     writes one; FIELDs are of a user in YAML, as "token: x"
#   bed_rights USER              what the user has asked for: "VERB GROUP/RESOURCE NAMESPACE", once each
#   bed_fault VERB [LINE]...     what goes wrong in the driver `disk` (programs/csi/faults.go); none: nothing
#   bed_kill NAME [SIGNAL]       KILL without one. NAMEs: etcd apiserver manager scheduler
#                                snapshot-controller disk disk-provisioner disk-snapshotter file
#                                file-provisioner, and at node N: containerd@N kubelet@N disk@N file@N
#   bed_start NAME               again; returns when it works
#   bed_node_off N; bed_node_on N    the power of a node; what was on its disk is there again
#   bed_node N COMMAND...        at a node; bed_node 1 crictl is not there, `ctr -n k8s.io` is
#   bed_cut PORT; bed_joined     no packet of this cluster comes to a port of this machine; it does again
#   bed_rotate_ca add|switch     a new CA: trusted beside the old one; then the server's certificate is its
#   bed_rotate_accounts [drop]   a new key signs service account tokens; `drop`: older tokens are refused.
#                                Both start the API server and its clients of the cluster anew
#   bed_dump                     what there is and what was logged; is done when a test fails
#
# Variables: bed (a directory of the cluster: pki/, log/, volumes/), bed_server (the API's URL), bed_ca,
# bed_host (the script's own address for pods: what listens at 127.0.0.1 on a port from 10000 on is
# reached there), bed_programs, bed_cache (the caller's XDG_CACHE_HOME, for tests/servers/lib.sh).

bed_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# ---- outside of the namespaces: start the script in them, and see that nothing is left ----

# bed_loops below DIR/: loop devices of files there; bed_loops on MAJOR:MINOR [INODE]: of files on that device
bed_loops() {
	losetup --list --noheadings --raw --output NAME,BACK-MAJ:MIN,BACK-INO,BACK-FILE 2>/dev/null |
		awk -v how="$1" -v value="$2" -v inode="${3:-}" '
			{ gsub(/\\x20/, "", $2) } # the column is padded
			how == "below" && index($4, value) == 1 { print $1 }
			how == "on" && $2 == value && (inode == "" || $3 == inode) { print $1 }'
}

# bed_release DIR/: gives back loop devices of image files below DIR, and those on top of them
bed_release() {
	local base device number try point
	for try in {1..200}; do
		[ -n "$(bed_loops below "$1")" ] || return 0
		for base in $(bed_loops below "$1"); do
			number=$(cat "/sys/block/${base#/dev/}/dev")
			for device in $(bed_loops on "$number") "$base"; do
				losetup --detach "$device" 2>/dev/null
			done
			# A file system that was frozen when its last mount went away is kept by that.
			[ $((try % 50)) -eq 0 ] || continue
			point=$(mktemp -d)
			for device in $(bed_loops on "$number"); do
				mount "$device" "$point" 2>/dev/null || continue
				fsfreeze --unfreeze "$point" 2>/dev/null
				umount "$point"
			done
			rmdir "$point"
		done
		sleep 0.05 # lint: allow sleep: it asks again
	done
	return 1
}

# bed_cgroups NAME: removes these and all below them
bed_cgroups() {
	local try left
	for try in {1..200}; do
		left=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$1" 2>/dev/null)
		[ -n "$left" ] || return 0
		# shellcheck disable=SC2086 # one word each
		find $left -depth -type d -exec rmdir {} + 2>/dev/null
		[ "$try" -eq 1 ] || sleep 0.05 # lint: allow sleep: it asks again
	done
	return 1
}

# bed_sweep: what runs that were killed have left
bed_sweep() {
	local dir file
	find /sys/fs/cgroup -maxdepth 2 -type d -name 'aksdr-bed-*' 2>/dev/null | while read -r dir; do
		[[ $dir =~ /aksdr-bed-([0-9]+)- ]] || continue
		[ -d "/proc/${BASH_REMATCH[1]}" ] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	losetup --list --noheadings --raw --output BACK-FILE 2>/dev/null |
		grep -E '/aksdr-bed\.[^/]*/r[0-9]/volumes\.img' |
		while read -r file; do
			file=${file%%/r[0-9]/volumes.img*}
			[ ! -d "/proc/$(cat "$file/pid" 2>/dev/null || echo none)" ] || continue
			bed_release "$file/"
			rm -rf --one-file-system "$file"
		done
}

bed_outside() {
	local cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache} programs root program rc
	[ "$(id -u)" -eq 0 ] || { echo 'a cluster is started by root only'; exit 77; }
	programs=$("$bed_here/install" --print 2>/dev/null) ||
		{ echo 'the programs of the test cluster are not built: scripts/bootstrap does it'; exit 77; }
	export PATH=$PATH:/usr/sbin:/sbin
	for program in etcd containerd runc nft ip busybox mkfs.xfs jq; do
		command -v $program >/dev/null ||
			{ echo "$program is not installed: scripts/bootstrap does it"; exit 77; }
	done
	unshare --mount --net --pid --uts --fork --mount-proc ip link add lan1 type bridge 2>/dev/null ||
		{ echo 'no namespaces or no bridges here'; exit 77; }
	bed_sweep
	root=$(mktemp -d "${TMPDIR:-/tmp}/aksdr-bed.XXXXXX") || exit 1
	root=$(cd "$root" && pwd -P)
	echo $$ >"$root/pid"
	# When this shell is killed, so is unshare, and with it the first process of the namespace, and so all. A
	# session of its own: who ends a group of processes means the script, which still wants its cluster.
	setpriv --pdeathsig KILL setsid env BED_INSIDE="$root" BED_ID=$$ BED_PROGRAMS="$programs" BED_CACHE="$cache" \
		unshare --mount --net --pid --uts --fork --mount-proc --kill-child "$BASH" "$0" "$@" <&0 &
	# shellcheck disable=SC2064 # the process that is known now; unshare itself takes no such signal
	trap "pkill -TERM -P $!" INT TERM
	wait $!
	rc=$?
	while kill -0 $! 2>/dev/null; do
		wait $!
		rc=$?
	done
	if [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "aksdr-bed-$$-*" 2>/dev/null)" ] ||
		[ -n "$(bed_loops below "$root/")" ]; then
		echo 'the cluster left cgroups or loop devices behind'
		[ $rc -ne 0 ] || rc=1
	fi
	if ! bed_cgroups "aksdr-bed-$$-*" || ! bed_release "$root/"; then
		echo 'cgroups or loop devices of the cluster cannot be removed'
		[ $rc -ne 0 ] || rc=1
	fi
	rm -rf --one-file-system "$root"
	exit $rc
}
[ -n "${BED_INSIDE:-}" ] || bed_outside "$@"

# ---- inside ----

# shellcheck source=tests/cli/lib.sh
. "$bed_here/../cli/lib.sh"

# shellcheck disable=SC2034 # for the scripts
bed_programs=$BED_PROGRAMS bed_cache=$BED_CACHE bed_region=1
declare -A bed_pid=() bed_init=()
bed_regions=() bed_apiserver=()
bed='' bed_host='' bed_server='' bed_ca='' # bed_use sets them
mount -t tmpfs tmpfs /run # sockets, with short names
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward

exec {bed_out}>&1 # whoever ends it may have sent its own output elsewhere
bed_end() {
	local status=$?
	exec >&"$bed_out" 2>&1
	trap '' INT TERM
	if [ $status -ne 0 ] && [ $status -ne 77 ]; then
		for bed_region in "${bed_regions[@]}"; do bed_use "$bed_region" && bed_dump; done
	fi
	for bed_region in "${bed_regions[@]}"; do bed_use "$bed_region" && bed_down; done
	clean
}
trap bed_end EXIT
trap 'exit 130' INT TERM

bed_fail() {
	echo "cluster $bed_region: $*" >&"$bed_out"
	exit 1
}

bed_wait() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || { echo "   waited in vain for: $*"; return 1; }
		sleep 0.05 # lint: allow sleep: it asks again
	done
}

bed_use() {
	bed_region=$1
	bed=$BED_INSIDE/r$bed_region
	bed_lan=10.90.$bed_region
	bed_pods=10.$((100 + bed_region))
	bed_host=$bed_lan.254
	bed_port=$((6442 + bed_region))
	bed_server=https://127.0.0.1:$bed_port
	bed_ca=$bed/pki/ca.crt
}
# bed_has OPTION: was it given?
bed_has() { grep -qxFe "$1" "$bed/options"; }

k() { KUBECONFIG=$bed/admin.kubeconfig "$BED_PROGRAMS/kubectl" "$@"; }
helm() { KUBECONFIG=$bed/admin.kubeconfig "$BED_PROGRAMS/helm" "$@"; }

# ---- keys ----

bed_new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# bed_sign NAME SUBJECT EXTENSION: a key and a certificate of the CA
bed_sign() {
	local at=$bed/pki
	openssl req "${bed_new_key[@]}" -subj "$2" -keyout "$at/$1.key" -out "$at/$1.csr" 2>/dev/null &&
		openssl x509 -req -in "$at/$1.csr" -CA "$at/signer.crt" -CAkey "$at/signer.key" -CAcreateserial \
			-days 30 -extfile <(echo "$3") -out "$at/$1.new" 2>/dev/null &&
		mv "$at/$1.new" "$at/$1.crt" || bed_fail "making a certificate for $1 failed"
}
# bed_new_ca: the next certificates are signed by it
bed_new_ca() {
	local at=$bed/pki
	bed_authorities=$((${bed_authorities:-0} + 1))
	openssl req -x509 "${bed_new_key[@]}" -days 30 -subj "/CN=CA $bed_authorities of a test" \
		-keyout "$at/signer.key" -out "$at/signer.crt" 2>/dev/null || bed_fail 'making a CA failed'
}
bed_sign_server() {
	bed_sign server /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:10.96.0.1,IP:$bed_host,DNS:localhost,$(
	)DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
}
bed_account_key() {
	local at=$bed/pki/accounts
	openssl genrsa -out "$at.new" 2048 2>/dev/null &&
		openssl rsa -in "$at.new" -pubout -out "$at.latest" 2>/dev/null &&
		mv "$at.new" "$at.key" && cat "$at.latest" >>"$at.pub" || bed_fail 'making a key failed'
}
bed_kubeconfig() {
	local file=$1
	shift
	{
		printf '%s\n' 'apiVersion: v1' 'kind: Config' 'current-context: bed' \
			'contexts: [{name: bed, context: {cluster: bed, user: bed}}]' \
			'clusters:' '- name: bed' '  cluster:' \
			"    server: $bed_server" "    certificate-authority: $bed_ca" 'users:' '- name: bed' '  user:'
		[ $# -eq 0 ] || printf '    %s\n' "$@"
	} >"$file"
}
bed_user() {
	local name=$1 subject='' group
	shift
	for group; do subject+="/O=$group"; done
	bed_sign "$name" "$subject/CN=$name" extendedKeyUsage=clientAuth
	bed_kubeconfig "$bed/$name.kubeconfig" "client-certificate: $bed/pki/$name.crt" "client-key: $bed/pki/$name.key"
}

# ---- processes ----

# bed_spawn NAME COMMAND...
bed_spawn() {
	local name=$1
	shift
	"$@" </dev/null >>"$bed/log/$name.log" 2>&1 &
	bed_pid[$bed_region/$name]=$!
	disown $! # no word of its end, and no wait of the script for it
}
# bed_real NAME: the process itself, where it was started by nsenter
bed_real() {
	local pid=${bed_pid[$bed_region/$1]:-}
	[ -n "$pid" ] || bed_fail "'$1' is not running"
	case $1 in
	*@*) cat "/proc/$pid/task/$pid/children" ;;
	*) echo "$pid" ;;
	esac
}
# bed_ended PID. The shell's own `wait` may wait for ever in a trap, when children ended before it began.
bed_ended() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ ${stat##*) } == Z* ]]
}
bed_kill() {
	# shellcheck disable=SC2046 # one word
	kill "-${2:-KILL}" $(bed_real "$1") || echo "'$1' had ended by itself: $(tail -n 1 "$bed/log/$1.log")"
	bed_wait 90 bed_ended "${bed_pid[$bed_region/$1]}" || bed_fail "'$1' does not end"
	unset "bed_pid[$bed_region/$1]"
}

# One that ends is started again, as by whoever runs one: on a busy machine it may give up on its store.
bed_apiserver_ready() {
	kill -0 "${bed_pid[$bed_region/apiserver]}" 2>/dev/null || bed_spawn apiserver "${bed_apiserver[@]}"
	[ "$(curl -s --noproxy '*' --cacert "$bed_ca" --cert "$bed/pki/admin.crt" --key "$bed/pki/admin.key" \
		"$bed_server/readyz")" = ok ]
}

bed_etcd_ready() { ETCDCTL_API=3 etcdctl --endpoints "http://127.0.0.1:$((20001 + 100 * bed_region))" endpoint health; }
bed_listens() { [ -S "$1" ]; }
bed_containerd_ready() { bed_node "$1" ctr version; }

# bed_csi NAME FLAG...: the driver
bed_csi() {
	local name=$1
	shift
	[ "$name" != file ] || set -- --shared "$@"
	echo "$BED_PROGRAMS/csi" --name "$name.bed.test" --data "$bed/volumes/$name" "$@"
}

bed_start() {
	local name=$1 node=${1#*@} flags=() base=$((20000 + 100 * bed_region)) sockets=/run/bed-$bed_region
	local peers=http://127.0.0.1:$base clients=http://127.0.0.1:$((base + 1)) pki=$bed/pki
	[ -z "${bed_pid[$bed_region/$name]:-}" ] || bed_fail "'$name' is running already"
	mkdir -p "$sockets"
	[ "$node" = "$name" ] || bed_enter "$node"
	case $name in
	etcd)
		bed_spawn etcd etcd --name e --data-dir "$bed/etcd" --unsafe-no-fsync --initial-cluster "e=$peers" \
			--initial-advertise-peer-urls "$peers" --listen-peer-urls "$peers" \
			--listen-client-urls "$clients" --advertise-client-urls "$clients"
		;;
	apiserver)
		bed_has --audit &&
			flags+=(--audit-policy-file="$bed/audit.yaml" --audit-log-path="$bed/log/audit.json")
		bed_has --short-tokens && flags+=(--service-account-extend-token-expiration=false)
		mapfile -t -O ${#flags[@]} flags <"$bed/api"
		# shellcheck disable=SC2054 # a list with commas is one word
		bed_apiserver=("$BED_PROGRAMS/kube-apiserver" --etcd-servers="$clients" --bind-address=0.0.0.0 \
			--advertise-address="$bed_host" --secure-port="$bed_port" --client-ca-file="$bed_ca" \
			--tls-cert-file="$pki/server.crt" --tls-private-key-file="$pki/server.key" \
			--service-account-issuer=https://kubernetes.default.svc \
			--service-account-key-file="$pki/accounts.pub" \
			--service-account-signing-key-file="$pki/accounts.key" --authorization-mode=Node,RBAC \
			--service-cluster-ip-range=10.96.0.0/24 --allow-privileged=true \
			--endpoint-reconciler-type=none --kubelet-preferred-address-types=InternalIP \
			--kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
			--kubelet-certificate-authority="$bed_ca" ${flags[@]+"${flags[@]}"})
		bed_spawn apiserver "${bed_apiserver[@]}"
		bed_wait 60 bed_apiserver_ready || bed_fail 'the API server does not become ready'
		;;
	manager)
		# A node that is silent is taken for lost after 12 s, not 50.
		bed_spawn manager "$BED_PROGRAMS/kube-controller-manager" --kubeconfig="$bed/admin.kubeconfig" \
			--service-account-private-key-file="$pki/accounts.key" --root-ca-file="$bed_ca" \
			--leader-elect=false --use-service-account-credentials=true \
			--controllers='*,-node-ipam-controller' --node-monitor-period=1s \
			--node-monitor-grace-period=12s --bind-address=127.0.0.1 --secure-port=$((base + 2))
		;;
	scheduler)
		bed_spawn scheduler "$BED_PROGRAMS/kube-scheduler" --kubeconfig="$bed/admin.kubeconfig" \
			--leader-elect=false --bind-address=127.0.0.1 --secure-port=$((base + 3))
		;;
	snapshot-controller)
		bed_spawn "$name" "$BED_PROGRAMS/snapshot-controller" --kubeconfig="$bed/admin.kubeconfig" \
			--retry-interval-start=200ms
		;;
	disk | file)
		# shellcheck disable=SC2046 # words
		bed_spawn "$name" $(bed_csi "$name" --socket "$sockets/$name.sock")
		bed_wait 20 bed_listens "$sockets/$name.sock" || bed_fail "the driver '$name' does not listen"
		;;
	*-provisioner)
		bed_spawn "$name" "$BED_PROGRAMS/csi-provisioner" --kubeconfig="$bed/admin.kubeconfig" \
			--csi-address="$sockets/${name%-provisioner}.sock" --feature-gates=Topology=false \
			--default-fstype=ext4 --retry-interval-start=200ms --timeout=60s
		;;
	disk-snapshotter)
		bed_spawn "$name" "$BED_PROGRAMS/csi-snapshotter" --kubeconfig="$bed/admin.kubeconfig" \
			--csi-address="$sockets/disk.sock" --retry-interval-start=200ms --timeout=60s
		;;
	containerd@*)
		bed_spawn "$name" "${bed_entered[@]}" containerd --config "$bed/node$node/containerd.toml"
		bed_wait 30 bed_containerd_ready "$node" || bed_fail "containerd of node $node does not become ready"
		;;
	kubelet@*)
		bed_spawn "$name" "${bed_entered[@]}" "$BED_PROGRAMS/kubelet" --config="$bed/node$node/kubelet.yaml" \
			--kubeconfig="$bed/node$node/kubelet.kubeconfig" --hostname-override="node$node" \
			--node-ip="$bed_lan.$node" --cert-dir="$bed/node$node/pki" --root-dir=/var/lib/kubelet
		;;
	disk@* | file@*)
		# shellcheck disable=SC2046 # words
		bed_spawn "$name" "${bed_entered[@]}" $(bed_csi "${name%@*}" --node "node$node" \
			--socket "/var/lib/kubelet/plugins/${name%@*}.bed.test/csi.sock" \
			--register "/var/lib/kubelet/plugins_registry/${name%@*}.bed.test-reg.sock")
		;;
	*) bed_fail "'$name' is nothing that can be started" ;;
	esac
}

# ---- nodes ----

bed_node() {
	bed_enter "$1"
	shift
	"${bed_entered[@]}" "$@"
}
# bed_enter N: sets bed_entered to what starts a command there
bed_enter() {
	local init=${bed_init[$bed_region/$1]:-}
	[ -n "$init" ] || bed_fail "node $1 is off"
	bed_entered=(nsenter --target "$init" --mount --net --pid --uts --)
}
# bed_is COMMAND-NAME PID
bed_is() { [ "$(cat "/proc/$2/comm" 2>/dev/null)" = "$1" ]; }

# bed_hierarchies: where the cgroups of a node are to be
bed_hierarchies() {
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		echo /sys/fs/cgroup
	else
		find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
	fi
}

bed_node_on() {
	local n=$1 dir=$bed/node$1 cgroup=aksdr-bed-$BED_ID-$bed_region-$1 at init parent link=lan$bed_region-$1 file
	[ -z "${bed_init[$bed_region/$n]:-}" ] || bed_fail "node $n is on already"
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir"/{lib,log,run,cni,pki}
		bed_sign "node$n" "/O=system:nodes/CN=system:node:node$n" "subjectAltName=IP:$bed_lan.$n,DNS:node$n"
		bed_kubeconfig "$dir/kubelet.kubeconfig" "client-certificate: $bed/pki/node$n.crt" \
			"client-key: $bed/pki/node$n.key"
		sed -i "s|server: .*|server: https://$bed_host:$bed_port|" "$dir/kubelet.kubeconfig"
		for file in containerd.toml kubelet.yaml; do
			sed -e "s|@bed@|$bed|g" -e "s|@dir@|$dir|g" -e "s|@node@|$n|g" -e "s|@address@|$bed_lan.$n|g" \
				-e "s|@cgroup@|$cgroup|g" "$bed_here/$file" >"$dir/$file"
		done
		cat >"$dir/cni/10-bed.conflist" <<-JSON
			{"cniVersion": "0.4.0", "name": "bed", "plugins": [{"type": "bridge", "bridge": "cni0",
			"isGateway": true, "ipMasq": false, "ipam": {"type": "host-local",
			"ranges": [[{"subnet": "$bed_pods.$n.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
			{"type": "loopback"}]}
		JSON
	fi
	rm -rf --one-file-system "$dir/run"
	mkdir "$dir/run"
	while read -r at; do
		mkdir -p "$at/$cgroup"
		# A new cpuset has no processors, and takes no process.
		for file in cpuset.cpus cpuset.mems; do
			[ ! -e "$at/$file" ] || cat "$at/$file" >"$at/$cgroup/$file" 2>/dev/null
		done
	done < <(bed_hierarchies)
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		for file in cpuset cpu io memory pids; do
			echo "+$file" 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control
		done
	fi

	unshare --mount --net --pid --uts --fork --mount-proc --kill-child "$BED_PROGRAMS/pause" </dev/null \
		2>"$bed/log/node$n.log" &
	parent=$!
	disown $parent
	bed_wait 10 bed_node_begins $parent || bed_fail "node $n does not begin"
	init=$(cat "/proc/$parent/task/$parent/children")
	init=${init% }
	bed_init[$bed_region/$n]=$init
	bed_node "$n" sh -e -c '
		hostname "node$1"
		mount --make-rshared / # as on a machine that systemd has started
		for place in /var/lib /var/log /run; do
			mount --bind "$2/${place##*/}" $place
			mount --make-private $place
			mount --make-shared $place
		done
		mkdir -p /var/lib/kubelet/plugins_registry
		ip link set lo up
		echo 1 >/proc/sys/net/ipv4/ip_forward' - "$n" "$dir" || bed_fail "setting up node $n failed"
	ip link add "$link" type veth peer name eth0 netns "$init" && ip link set "$link" master "lan$bed_region" up &&
		bed_node "$n" sh -e -c '
			ip addr add "$1.$2/24" dev eth0
			ip link set eth0 up
			ip route add default via "$1.254"' - "$bed_lan" "$n" &&
		ip route replace "$bed_pods.$n.0/24" via "$bed_lan.$n" || bed_fail "connecting node $n failed"
	# Instead of kube-proxy: the one service that everything needs.
	bed_node "$n" nft -f - <<-NFT || bed_fail "the rules of node $n failed"
		table ip bed {
			chain before {
				type nat hook prerouting priority -100
				ip daddr 10.96.0.1 tcp dport 443 dnat to $bed_host:$bed_port
			}
			chain own {
				type nat hook output priority -100
				ip daddr 10.96.0.1 tcp dport 443 dnat to $bed_host:$bed_port
			}
		}
	NFT
	bed_start "containerd@$n"
	[ -e "$dir/paused" ] || bed_image "$bed/pause.tar" "$n"
	touch "$dir/paused"
	bed_start "kubelet@$n"
	bed_start "disk@$n"
	! bed_has --file || bed_start "file@$n"
}
bed_node_begins() {
	local init
	init=$(cat "/proc/$1/task/$1/children") && bed_is pause $init
}

# bed_thaw N: a file system that is frozen holds whoever writes to it, and cannot be given back
bed_thaw() {
	local point
	bed_node "$1" findmnt --noheadings --raw --output TARGET,SOURCE | grep ' /dev/loop' | while read -r point _; do
		case $point in
		/var/lib/kubelet/*/globalmount) bed_node "$1" fsfreeze --unfreeze "$point" 2>/dev/null ;;
		esac
	done
}

# Before addresses are translated, so that connections which are there are cut as well.
bed_cut() {
	nft -f - <<-NFT
		table ip bed$bed_region {
			chain cut {
				type filter hook prerouting priority -150
				iifname "lan$bed_region" tcp dport $1 drop
			}
		}
	NFT
}
bed_joined() { nft delete chain ip "bed$bed_region" cut; }

bed_node_off() {
	local n=$1 name dir file device disks
	bed_thaw "$n"
	kill -KILL "${bed_init[$bed_region/$n]}"
	for name in containerd kubelet disk file; do
		[ -n "${bed_pid[$bed_region/$name@$n]:-}" ] || continue
		bed_wait 30 bed_ended "${bed_pid[$bed_region/$name@$n]}" || bed_fail "$name of node $n does not end"
		unset "bed_pid[$bed_region/$name@$n]"
	done
	unset "bed_init[$bed_region/$n]"
	# Its disks are attached to it no longer. What the kubelet has on top of a device goes first.
	disks=$(stat -c %Hd:%Ld "$bed/volumes")
	for dir in "$bed"/volumes/disk/volumes/*; do
		[ "$(cat "$dir/node" 2>/dev/null)" = "node$n" ] || continue
		for file in "$dir/device" "$dir/image"; do
			[ -e "$file" ] || continue
			for device in $(bed_loops on "$disks" "$(stat -c %i "$file")"); do
				losetup --detach "$device" 2>/dev/null # one that was mounted goes by itself
			done
		done
		rm -f "$dir/node" "$dir/device"
	done
	bed_cgroups "aksdr-bed-$BED_ID-$bed_region-$n" || bed_fail "cgroups of node $n cannot be removed"
	# The kernel takes the node's network away when it finds time for it.
	ip link delete "lan$bed_region-$n" 2>/dev/null
	return 0
}

# ---- the cluster ----

bed_up() {
	local nodes=1 n options=() api=() region=1 classes applying
	while [ $# -ne 0 ]; do
		case $1 in
		--no-nodes) nodes=0 ;;
		--file | --audit | --short-tokens) options+=("$1") ;;
		--api) api+=("$2") && shift ;;
		--region) region=$2 && shift ;;
		[1-9]) nodes=$1 ;;
		*) bed_fail "bed_up: '$1'" ;;
		esac
		shift
	done
	bed_use "$region"
	mkdir "$bed" "$bed/pki" "$bed/log" || exit 1
	bed_regions+=("$region")
	printf '%s\n' ${options[@]+"${options[@]}"} >"$bed/options"
	printf '%s\n' ${api[@]+"${api[@]}"} | sed '/^$/d' >"$bed/api"
	printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'omitStages: [RequestReceived]' 'rules:' \
		'- level: Metadata' >"$bed/audit.yaml"
	ip link add "lan$region" type bridge && ip addr add "$bed_host/24" dev "lan$region" &&
		ip link set "lan$region" up || bed_fail 'making a network failed'
	bed_start etcd
	bed_new_ca
	cp "$bed/pki/signer.crt" "$bed_ca"
	bed_account_key
	bed_sign_server
	bed_user admin system:masters
	bed_start apiserver
	[ "$nodes" -ne 0 ] || return 0

	bed_start manager
	bed_start scheduler
	classes=(-f "$bed_here/classes.yaml")
	! bed_has --file || classes+=(-f "$bed_here/classes-file.yaml")
	k apply -f "$BED_PROGRAMS/crds" "${classes[@]}" >"$bed/log/apply.log" 2>&1 &
	applying=$!
	# What listens at 127.0.0.1, as the servers of tests do, is there for pods too.
	echo 1 >"/proc/sys/net/ipv4/conf/lan$region/route_localnet"
	nft -f - <<-NFT || bed_fail 'the rules of the network failed'
		table ip bed$region {
			chain before {
				type nat hook prerouting priority -100
				iifname "lan$region" ip daddr $bed_host tcp dport 10000-65535 dnat to 127.0.0.1
			}
		}
	NFT
	truncate -s 32G "$bed/volumes.img"
	mkdir "$bed/volumes"
	mkfs.xfs -q -m reflink=1 "$bed/volumes.img" && mount -o loop "$bed/volumes.img" "$bed/volumes" ||
		bed_fail 'making a file system for volumes failed'
	mkdir "$bed/volumes/disk" "$bed/volumes/file"
	"$bed_here/image.py" "$bed/pause.tar" bed.test/pause:1 "$BED_PROGRAMS/pause=/pause" -- /pause || exit 1
	for ((n = 1; n <= nodes; n++)); do bed_node_on $n; done
	wait $applying || bed_fail "applying the CRDs and classes failed: $(tail -n 1 "$bed/log/apply.log")"
	k wait --for=condition=Established crd --all --timeout=30s >/dev/null || bed_fail 'the CRDs are not established'
	# Posted as it is: kubectl would wait until the kind is listed among all others.
	k create --raw /apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses -f "$bed_here/snapshot-class.json" \
		>/dev/null || bed_fail 'making the class of snapshots failed'
	bed_start disk
	bed_start snapshot-controller
	bed_start disk-provisioner
	bed_start disk-snapshotter
	if bed_has --file; then
		bed_start file
		bed_start file-provisioner
	fi
	for ((n = 1; n <= nodes; n++)); do bed_ready $n; done
	bed_wait 30 k get serviceaccount default || bed_fail 'no service account appears'
}

# bed_ready N: the node takes pods, and has its drivers
bed_ready() {
	bed_wait 60 bed_node_ready "$1" || bed_fail "node $1 does not become ready"
}
bed_node_ready() {
	local drivers=1
	! bed_has --file || drivers=2
	[ True/ = "$(k get node "node$1" -o \
		'jsonpath={.status.conditions[?(@.type=="Ready")].status}/{.spec.taints}')" ] &&
		[ "$(k get csinode "node$1" -o 'jsonpath={.spec.drivers[*].name}' | wc -w)" -eq $drivers ]
}

bed_down() {
	local n name kept=()
	trap '' INT TERM
	for name in "${!bed_init[@]}"; do
		[ "${name%/*}" != "$bed_region" ] || bed_node_off "${name#*/}"
	done
	for name in "${!bed_pid[@]}"; do
		[ "${name%/*}" != "$bed_region" ] || bed_kill "${name#*/}"
	done
	if [ -d "$bed/volumes" ]; then
		bed_wait 20 umount "$bed/volumes" || echo "$bed/volumes cannot be unmounted"
		nft delete table ip "bed$bed_region"
	fi
	bed_release "$bed/" || echo 'loop devices cannot be given back'
	ip link delete "lan$bed_region"
	for n in "${bed_regions[@]}"; do
		[ "$n" -eq "$bed_region" ] || kept+=("$n")
	done
	bed_regions=(${kept[@]+"${kept[@]}"})
	rm -rf --one-file-system "$bed"
	trap 'exit 130' INT TERM
}

bed_dump() {
	local file get=(timeout 10 "$BED_PROGRAMS/kubectl" --kubeconfig "$bed/admin.kubeconfig" get -A)
	echo "---- cluster $bed_region ----"
	for file in nodes pods,pvc,volumesnapshot,volumesnapshotcontent,pv,lease; do
		"${get[@]}" "$file" -o wide 2>&1 | cut -c 1-250
	done
	"${get[@]}" events --sort-by .lastTimestamp 2>&1 | tail -n 30 | cut -c 1-300
	for file in "$bed"/log/*.log; do
		echo "-- ${file##*/}"
		grep -vE '^I|level=info| [IN] \||INFO:' "$file" | tail -n 8 | cut -c 1-300
	done
}

# ---- words for stories ----

bed_image() {
	local file=$1 n
	shift
	if [ $# -eq 0 ]; then
		for n in "${!bed_init[@]}"; do
			[ "${n%/*}" != "$bed_region" ] || set -- "$@" "${n#*/}"
		done
	fi
	for n; do
		bed_node "$n" ctr -n k8s.io images import "$file" >"$bed/log/import.log" 2>&1 ||
			bed_fail "loading $file at node $n failed: $(tail -n 1 "$bed/log/import.log")"
	done
}
bed_busybox() {
	[ -e "$bed/busybox.tar" ] || "$bed_here/image.py" "$bed/busybox.tar" bed.test/busybox:1 \
		"$(command -v busybox)=/bin/busybox" --links /bin/busybox -- /bin/sh || exit 1
	bed_image "$bed/busybox.tar"
}

bed_claim() {
	local name=$1 size=$2 class=${3:-disk} mode=${4:-Filesystem} access=ReadWriteOnce source=''
	[ "$class" = disk ] || access=ReadWriteMany
	[ -z "${5:-}" ] || source="dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: $5}"
	k apply -f - <<-YAML >/dev/null || bed_fail "making the claim $name failed"
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $name}
		spec:
		  accessModes: [$access]
		  volumeMode: $mode
		  storageClassName: $class
		  resources: {requests: {storage: $size}}
		  $source
	YAML
}

bed_pod() {
	local name=$1 node='' volumes='' mounts='' devices='' n=0 claim path
	shift
	[ "${1:-}" != --node ] || { node="nodeSelector: {kubernetes.io/hostname: node$2}" && shift 2; }
	for claim; do
		path=${claim#*=} n=$((n + 1))
		volumes+="{name: v$n, persistentVolumeClaim: {claimName: ${claim%%=*}}}, "
		case $path in
		/dev/*) devices+="{name: v$n, devicePath: $path}, " ;;
		*) mounts+="{name: v$n, mountPath: $path}, " ;;
		esac
	done
	k apply -f - <<-YAML >/dev/null || bed_fail "making the pod $name failed"
		apiVersion: v1
		kind: Pod
		metadata: {name: $name}
		spec:
		  $node
		  terminationGracePeriodSeconds: 1
		  volumes: [$volumes]
		  containers:
		  - name: main
		    image: bed.test/busybox:1
		    imagePullPolicy: Never
		    command: [tail, -f, /dev/null]
		    volumeMounts: [$mounts]
		    volumeDevices: [$devices]
	YAML
	k wait --for=condition=Ready "pod/$name" --timeout=60s >/dev/null ||
		bed_fail "the pod $name does not become ready"
}
bed_in() {
	local pod=$1
	shift
	k exec "$pod" -- "$@"
}

bed_snapshot() {
	k apply -f - <<-YAML >/dev/null || bed_fail "making the snapshot $1 failed"
		apiVersion: snapshot.storage.k8s.io/v1
		kind: VolumeSnapshot
		metadata: {name: $1}
		spec:
		  volumeSnapshotClassName: disk
		  source: {persistentVolumeClaimName: $2}
	YAML
	k wait "--for=jsonpath={.status.readyToUse}=true" "volumesnapshot/$1" --timeout=60s >/dev/null ||
		bed_fail "the snapshot $1 does not become ready"
}

bed_fault() {
	local verb=$1 at=$bed/volumes/disk/faults
	shift
	[ $# -ne 0 ] || { rm -f "$at/$verb" && return; }
	printf '%s\n' "$@" >"$at/.new" && mv "$at/.new" "$at/$verb"
}

bed_rights() {
	jq -r --arg user "$1" 'select(.user.username == $user and .objectRef) | [.verb,
		(.objectRef.apiGroup // "") + "/" + .objectRef.resource +
			((.objectRef.subresource | values | "/" + .) // ""),
		.objectRef.namespace // "-"] | join(" ")' "$bed/log/audit.json" | sort -u
}

bed_rotate_ca() {
	case $1 in
	add)
		bed_new_ca
		cat "$bed/pki/signer.crt" >>"$bed_ca"
		;;
	switch) bed_sign_server ;;
	*) bed_fail "bed_rotate_ca: '$1'" ;;
	esac
	bed_anew
}
bed_rotate_accounts() {
	if [ "${1:-}" = drop ]; then
		cp "$bed/pki/accounts.latest" "$bed/pki/accounts.pub"
	else
		bed_account_key
	fi
	bed_anew
}
# bed_anew: what reads keys and CAs when it starts
bed_anew() {
	local name
	bed_kill apiserver
	bed_start apiserver
	for name in "${!bed_pid[@]}"; do
		[ "${name%/*}" = "$bed_region" ] || continue
		name=${name#*/}
		case $name in
		manager | scheduler | snapshot-controller | *-provisioner | *-snapshotter | kubelet@*)
			bed_kill "$name"
			bed_start "$name"
			;;
		esac
	done
}
