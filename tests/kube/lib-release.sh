# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A cluster that a release of the chart can be installed into, sourced behind lib.sh: two nodes with the
# image that `make image` makes, and a store behind TLS with a repository. Then
#
#   release_up [OPTION]...       options of bed_up; makes all of it
#   release VERB...              helm in the namespace aksdr
#   release_points               restore points, as JSON on stdout
#   release_store                starts the store, and sets azurite_url; a script may have another one
#
# Variables: chart, values (a file: policies each minute for the namespace default), keys (a directory).
# shellcheck disable=SC2154 # lib.sh has set what is used here

src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
# shellcheck disable=SC2034 # for the scripts
chart=$src/helm/aksdr values=$work/values.yaml keys=$work/keys
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
bed_use 1
# shellcheck disable=SC2034 # for servers/lib.sh
servers_names=IP:$bed_host
export XDG_CACHE_HOME=$bed_cache
# shellcheck source=tests/servers/lib.sh
. "$src/tests/servers/lib.sh"

release() { helm -n aksdr "$@"; }
release_points() { "$restore" points --store "$azurite_url" --key "$keys/audit.key" --output json; }

release_store() { start_azurite azurite tls; }

release_up() {
	local arch version in_pods
	arch=$(dpkg --print-architecture)
	version=$(cat "$src/VERSION")
	release_store
	"$agent" init --store "$azurite_url" --keys "$keys" --quiet || exit 1
	in_pods=${azurite_url//127.0.0.1/$bed_host}
	cat >"$values" <<-YAML
		cluster: bed
		image: {pullPolicy: Never}
		store: {url: "${in_pods%&ca=*}", secret: aksdr-store, caConfigMap: authority}
		key: {secret: aksdr-key}
		agent: {logLevel: debug}
		policies:
		  - name: minutely
		    spec: {selector: {namespaces: [default]}, schedule: {cron: "* * * * *"}}
	YAML
	SOURCE_DATE_EPOCH=1795305600 "$src/scripts/image" --bin "$BIN" --out "$work/image" --arch "$arch" \
		--name localhost/aksdr >"$work/image.log" 2>&1 || bed_fail "$(tail -n 1 "$work/image.log")"
	bed_up "$@" 2
	bed_busybox
	bed_image "$work/image/aksdr-$version-$arch.oci.tar"
	k create namespace aksdr >/dev/null &&
		k label namespace aksdr pod-security.kubernetes.io/enforce=baseline >/dev/null &&
		k -n aksdr create secret generic aksdr-key --from-file="$keys/agent.key" >/dev/null &&
		k -n aksdr create secret generic aksdr-store \
			--from-literal="AZURE_STORAGE_KEY=$AZURE_STORAGE_KEY" >/dev/null &&
		k -n aksdr create configmap authority --from-file=ca.crt="$servers_ca" >/dev/null ||
		bed_fail 'preparing the namespace failed'
	bed_wait 30 k -n aksdr get serviceaccount/default configmap/kube-root-ca.crt ||
		bed_fail 'the namespace is not ready'
}
