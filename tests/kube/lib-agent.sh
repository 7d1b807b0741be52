# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Our programs in the cluster of lib.sh, which is sourced first, and up:
#
#   agent_image            the image of the programs into all nodes; sets agent_image_name
#   agent_repo NAME        a repository that the script and pods reach alike: a directory of this machine, at the
#                          same place in pods; sets store, keys and AKSDR_STORE, AKSDR_KEY, AKSDR_STATE
#   mover_template FILE    a template of movers with this image, repository and key
#   restore_template FILE  the same for movers of restores, with the recovery key
#   agent_namespace NS     the namespace of the agent, where movers are
#   agent_objects          all that backups make, one name a line: for "nothing is left"
#   agent_backup STATUS OPTION... CLAIM...   `run` of aksdr-agent backup as administrator
#
# shellcheck disable=SC2154,SC2034 # bed and so on are of lib.sh; ours are for scripts

agent_src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}

agent_image() {
	local arch=amd64
	[ "$(uname -m)" = x86_64 ] || arch=arm64
	SOURCE_DATE_EPOCH=1795305600 "$agent_src/scripts/image" --bin "$BIN" --out "$work/image" --arch $arch \
		>"$bed/log/image.log" 2>&1 ||
		bed_fail "making the image failed: $(tail -n 1 "$bed/log/image.log")"
	agent_image_name=localhost/aksdr:$(cat "$agent_src/VERSION")
	bed_image "$(echo "$work"/image/*.oci.tar)"
}

agent_repo() {
	new_repo "$1"
	keys=$work/$1.keys
	export AKSDR_KEY=$agent_key
	# Movers have a state of their own each.
	export AKSDR_STATE=$work/$1.state
}

agent_namespace() {
	agent_ns=$1
	k create namespace "$1" >/dev/null
}

mover_template() {
	cat >"$1" <<-YAML
		metadata:
		  labels: {app.kubernetes.io/component: mover}
		spec:
		  terminationGracePeriodSeconds: 5
		  containers:
		  - name: mover
		    image: $agent_image_name
		    imagePullPolicy: Never
		    securityContext:
		      runAsUser: 0
		      runAsGroup: 0
		      allowPrivilegeEscalation: false
		      capabilities: {drop: [ALL], add: [DAC_READ_SEARCH, DAC_OVERRIDE]}
		    env:
		    - {name: AKSDR_STORE, value: "$store"}
		    - {name: AKSDR_KEY, value: "$agent_key"}
		    - {name: AKSDR_STATE, value: /state}
		    volumeMounts:
		    - {name: store, mountPath: "$store_dir"}
		    - {name: keys, mountPath: "$keys", readOnly: true}
		    - {name: state, mountPath: /state}
		  volumes:
		  - {name: store, hostPath: {path: "$store_dir"}}
		  - {name: keys, hostPath: {path: "$keys"}}
		  - {name: state, emptyDir: {}}
	YAML
}

restore_template() {
	mover_template "$1"
	sed -i -e "s|value: \"$agent_key\"|value: \"$recovery\"|" -e 's/DAC_READ_SEARCH, //' \
		-e 's/DAC_OVERRIDE/DAC_OVERRIDE, CHOWN, FOWNER, FSETID, MKNOD, SETFCAP/' "$1"
}

agent_objects() {
	k get pods,pvc,volumesnapshots -A -o name -l app.kubernetes.io/managed-by=aksdr
	k get volumesnapshotcontents,pv -o name
}

agent_backup() {
	local wanted=$1
	shift
	KUBECONFIG=$bed/admin.kubeconfig run "$wanted" "$agent" backup --agent-namespace "$agent_ns" \
		--mover-template "$work/mover.yaml" --output json "$@"
}
