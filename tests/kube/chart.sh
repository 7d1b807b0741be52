#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The chart by a real helm and a real API server: with several sets of values the server takes all of
# it and no pod breaks the rules that its profile promises to keep; what is wrong is refused by name.
#
# timeout: 600
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"

src=${SRC:-$(cd "$bed_here/../.." && pwd -P)}
chart=$src/helm/aksdr
values=$src/tests/kube/values
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm

# What helm takes for the version where it asks no server.
version=(--kube-version 1.36)

bed_up --no-nodes
run 0 k create namespace aksdr

# rendered NAME [ARGUMENT]...: with a set of values, as $work/NAME.yaml
rendered() {
	local name=$1
	shift
	helm template aksdr "$chart" "${version[@]}" --namespace aksdr --values "$values/$name.yaml" "$@" \
		>"$work/$name.yaml"
}
# of NAME FILTER: of the objects by jq
of() { k create --dry-run=client --validate=false -o json -f "$work/$1.yaml" | jq -c "${@:2}"; }
# mover NAME [LEVEL]: a pod as the agent makes it of the template, in the namespace LEVEL
mover() {
	of "$1" -r 'select(.kind == "ConfigMap" and (.data | has("mover.yaml"))).data["mover.yaml"]' >"$work/mover.yaml"
	{ printf 'apiVersion: v1\nkind: Pod\n' && cat "$work/mover.yaml"; } |
		k create --dry-run=client -o json -f - | jq '.metadata.name = "mover"' >"$work/mover.json"
}

t 'the version is that of the programs, and it stands in one place only for each'
ok grep -qx "version: $(cat "$src/VERSION")" "$chart/Chart.yaml"
ok grep -qx "appVersion: $(cat "$src/VERSION")" "$chart/Chart.yaml"

t 'each CRD bears the hash of its schema, which upgrades compare'
for crd in "$chart"/crds/*.yaml; do
	ok grep -qx -e --- "$crd" # `helm show crds` puts nothing between them
	ok grep -q "aksdr.io/schema: \"$(sed -n '/^spec:/,$p' "$crd" | sha256sum | cut -c 1-16)\"" "$crd"
done

t 'helm has nothing to say against it'
for set in "$values"/*.yaml; do
	run 0 helm lint --strict --quiet "$chart" "${version[@]}" --namespace aksdr --values "$set"
done

t 'the server takes all of it, with each set of values'
run 0 k apply -f "$chart/crds" -f "$BED_PROGRAMS/crds" -f "$src/tests/kube/monitoring-crds.yaml"
run 0 k wait --for=condition=Established --timeout=30s crd --all
for name in shop crm; do run 0 k create namespace $name; done
# The pod of the test is refused without its account.
run 0 k create serviceaccount -n aksdr aksdr-agent
for set in "$values"/*.yaml; do
	name=$(basename "$set" .yaml)
	run 0 rendered "$name"
	run 0 k apply --dry-run=server --validate=strict -f "$work/$name.yaml"
	run 0 mover "$name"
done

t 'no pod breaks the rules that its profile keeps: the server says so itself'
# breaks LEVEL NAME: what the server says of the pods of agent, mover, test, serve, standby, populator in a namespace of
# that level
breaks() {
	local level=$1 name=$2
	run 0 mover "$name"
	of "$name" 'select(.kind == "DaemonSet" or .kind == "Deployment").spec.template | .apiVersion = "v1" |
		.kind = "Pod" | .metadata.name = .spec.containers[0].name' >"$work/pods.json"
	jq -c . "$work/mover.json" >>"$work/pods.json"
	of "$name" 'select(.kind == "Pod")' >>"$work/pods.json"
	run 0 k create namespace "$level-$name" -o name
	run 0 k label namespace "$level-$name" "pod-security.kubernetes.io/enforce=$level"
	for account in agent mover serve standby populator; do
		run 0 k create serviceaccount -n "$level-$name" "aksdr-$account"
	done
	jq -c 'del(.metadata.namespace)' "$work/pods.json" | while read -r pod; do
		k create --dry-run=server -n "$level-$name" -f - <<<"$pod" 2>&1 || true
	done >"$work/said"
}
breaks baseline least
ok test "$(grep -c 'created (server dry run)' "$work/said")" -eq 3
breaks restricted automatic
ok test "$(grep -c 'created (server dry run)' "$work/said")" -eq 4
breaks baseline privileged
ok grep -q '"agent" is forbidden: violates PodSecurity "baseline:latest".*privileged' "$work/said"
ok grep -q 'pod/mover created' "$work/said"
ok grep -q 'pod/serve created' "$work/said"
ok grep -q 'pod/standby created' "$work/said"
ok grep -q 'pod/populator created' "$work/said"
ok grep -q 'pod/aksdr-doctor created' "$work/said"

t 'movers have no token, no rights, and no network but names and the store'
run 0 mover least
run 0 jq -r '[.spec.automountServiceAccountToken, .spec.serviceAccountName, (.spec.securityContext | has("fsGroup")),
	.spec.containers[0].name, (.spec.containers | length)] | join(" ")' "$work/mover.json"
out '^false aksdr-mover false mover 1$'
run 0 of least -r '[.. | .subjects? // empty | .[].name] | unique | join(" ")'
ok test "$(grep -c . "$work/.out")" -ge 1
ok test "$(grep -cv '^$\|^aksdr-agent$' "$work/.out")" -eq 0
run 0 of least 'select(.kind == "NetworkPolicy" and .metadata.name == "aksdr-mover").spec |
	.ingress, [.egress[].ports[].port]'
out '^\[53,53,443,9000\]$'

t 'the values arrive where they belong'
run 0 of privileged 'select(.kind == "DaemonSet").spec.template.spec.containers[0].args'
out '"--role=secondary".*"--concurrency=4".*"--bandwidth=40Mi".*"--kubelet-dir=/data/kubelet"'
run 0 of privileged 'select(.kind == "DaemonSet").spec.template.spec | .priorityClassName, .volumes,
	(.containers[0] | .resources.limits, .image, .envFrom, .volumeMounts)'
out '"system-node-critical"'
out '"items":\[\{"key":"node.key","path":"node.key"\}\]'
out '"memory":"1280Mi"'
out '"registry.example/aksdr@sha256:0123'
out '"secretRef":\{"name":"aksdr-store"\}'
out '"mountPropagation":"HostToContainer"'
run 0 of azure 'select(.kind == "ServiceAccount").metadata, select(.kind == "DaemonSet").spec.template.metadata'
ok test "$(grep -c '"azure.workload.identity/client-id":"01234567-89ab-cdef-0123-456789abcdef"' "$work/.out")" -eq 4
ok test "$(grep -c '"azure.workload.identity/use":"true"' "$work/.out")" -eq 1
run 0 of azure 'select(.kind == "BackupPolicy" or .kind == "VolumeSnapshotClass").metadata |
	.name, .labels["aksdr.io/use"]'
out '"nightly"'
out '"true"'
run 0 of automatic 'select(.kind == "PrometheusRule").spec.groups[0].rules[0].expr'
out 'vector.93600'
run 0 of least 'select(.kind == "PrometheusRule" or .kind == "PodMonitor").kind'
ok empty "$work/.out"
run 0 of privileged 'select(.kind == "Role" and (.metadata.name | endswith("-hooks"))) |
	[.metadata.namespace, .rules[].resources[]]'
out '^\["shop","pods/exec"\]$'
run 0 of automatic 'select(.kind == "ClusterRole") | [.rules[].resources[]] | index("pods/exec") != null'
out '^true$'
run 0 of least 'select(.kind == "ClusterRole" or .kind == "Role") | [.rules[] | .verbs[], .resources[], .apiGroups[]] |
	any(. == "*" or . == "secrets" or . == "pods/exec")'
out '^false$'
ok not grep -q true "$work/.out"

t 'who sends traffic finds pods that have the audit key alone, and no rights'
run 0 of least 'select(.metadata.name | endswith("-serve")).kind'
ok empty "$work/.out"
run 0 of azure -r 'select(.metadata.name | endswith("-serve")).kind'
ok test "$(sort "$work/.out" | xargs)" = 'Deployment NetworkPolicy PodDisruptionBudget Service ServiceAccount'
run 0 of azure 'select(.kind == "Deployment").spec.template.spec | .automountServiceAccountToken,
	.containers[0].command, .containers[0].args, (.volumes[] | select(.name == "key").secret)'
out '^false$'
out '^\["aksdr-restore"\]$'
out '"serve","--cluster=prod-we","--listen=9761","--interval=500","--plan=shop=prod-we","--plan=crm=prod-ne/crm,crm-db"'
out '"key":"audit.key".*"secretName":"aksdr-audit"'
run 0 of privileged 'select(.kind == "Deployment" and (.metadata.name | endswith("-serve"))).spec | .replicas,
	(.template.spec.containers[0] | .args, .env, .envFrom)'
out '^3$'
out '"--interval=2000","--max-age=10m"'
out '"AKSDR_STORE","value":"s3://copy/prod\?endpoint=https://copy.example:9443"'
out '"AKSDR_KEY","value":"/etc/aksdr/key/the.key"'
out '"secretRef":\{"name":"aksdr-copy"\}'
run 0 of privileged 'select(.kind == "NetworkPolicy" and (.metadata.name | endswith("-serve"))).spec |
	.ingress, [.egress[].ports[].port]'
out '"cidr":"10.0.0.0/8".*"port":"traffic"'
out '^\[53,53,443,9443\]$'
run 0 of azure 'select(.kind == "NetworkPolicy" and (.metadata.name | endswith("-serve"))).spec.ingress'
out '^\[\{"ports":\[\{"port":"traffic","protocol":"TCP"\}\]\}\]$'
run 0 of automatic 'select(.kind == "PodMonitor").spec.podMetricsEndpoints[].port'
out '"traffic"'

t 'a page for people is on the loopback, and its rights are given where there is one'
run 0 of least 'select(.kind == "DaemonSet" or .kind == "Role" or .kind == "ClusterRole" or .kind == "Pod") |
	.metadata.name, .rules, (.spec | .. | .args? // empty)'
ok not grep -qE 'page|tokenreviews|subjectaccessreviews|aksdr"\]' "$work/.out"
run 0 of privileged 'select(.kind == "DaemonSet").spec.template.spec.containers[0] | .args, .ports'
out '"--page=127.0.0.1:9900","--page-hosts=backups.example,b.example","--page-audience=aksdr"'
ok not grep -q 'containerPort":9900' "$work/.out"
run 0 of privileged 'select(.kind == "Pod").spec.containers[0].args'
out '"--page"'
run 0 of privileged 'select(.kind == "ClusterRole" and (.metadata.name | endswith("-agent-aksdr"))).rules[] |
	select(.resources[0] | endswith("reviews")) | [.apiGroups[0], .resources[0], .verbs[]]'
out '^\["authentication.k8s.io","tokenreviews","create"\]$'
out '^\["authorization.k8s.io","subjectaccessreviews","create"\]$'
run 0 of privileged 'select(.metadata.name | endswith("-page-reader")) | [.kind, (.rules[] | .nonResourceURLs, .verbs)]'
out '^\["ClusterRole",\["/aksdr"\],\["get"\]\]$'
run 0 of privileged 'select(.kind | endswith("Binding")).roleRef.name'
ok not grep -q page-reader "$work/.out"

t 'what stands by has the recovery key, and rights for claims and movers alone'
run 0 of least 'select(.metadata.name | contains("-standby")).kind'
ok empty "$work/.out"
run 0 of privileged -r 'select(.metadata.name | contains("-standby")).kind'
ok test "$(sort "$work/.out" | xargs)" = \
	'ClusterRole ClusterRoleBinding ConfigMap Deployment NetworkPolicy Role RoleBinding ServiceAccount'
run 0 of privileged 'select(.kind == "Deployment" and (.metadata.name | endswith("-standby"))).spec |
	.strategy.type, (.template.spec.containers[0] | .args, .env), .template.spec.volumes'
out '^"Recreate"$'
out '"standby","shop","--namespace=aksdr","--mover-template=/etc/aksdr/mover/standby-mover.yaml"'
out '"--interval=5m","--copies=2"'
out '"--movers=8","--limit=20Mi","--listen=9762"'
out '"AKSDR_PASSPHRASE_FILE","value":"/etc/aksdr/key/the.passphrase"'
out '"key":"the.key".*"key":"the.passphrase".*"secretName":"aksdr-recovery"'
of privileged -r 'select(.kind == "ConfigMap" and (.data | has("standby-mover.yaml"))).data[]' >"$work/standby.yaml"
ok grep -q 'secretName: aksdr-recovery' "$work/standby.yaml"
ok grep -q 'value: /etc/aksdr/key/the.key' "$work/standby.yaml"
ok not grep -q 'secretName: aksdr-key' "$work/standby.yaml"
run 0 of privileged 'select((.kind == "Role" or .kind == "ClusterRole") and (.metadata.name | contains("-standby"))) |
	[.rules[] | .resources[] as $r | .verbs[] | "\($r):\(.)"] | sort | join(" ")'
out '^"persistentvolumeclaims:get persistentvolumes:list"$'
out '^"persistentvolumeclaims:create .*persistentvolumeclaims:patch pods/log:get pods:create pods:delete pods:get '

t 'what fills claims has the recovery key, and rights for that'
run 0 of least 'select(.metadata.name | contains("-populator")).kind'
ok empty "$work/.out"
run 0 of privileged -r 'select(.metadata.name | contains("-populator")).kind'
ok test "$(sort "$work/.out" | xargs)" = \
	'ClusterRole ClusterRoleBinding ConfigMap Deployment NetworkPolicy Role RoleBinding ServiceAccount'
run 0 of privileged 'select(.kind == "Deployment" and (.metadata.name | endswith("-populator"))).spec |
	.strategy.type, (.template.spec.containers[0] | .args, .env)'
out '^"Recreate"$'
out '"populate","--namespace=aksdr","--mover-template=/etc/aksdr/mover/populator-mover.yaml","--movers=8",'
out '"--movers=8","--listen=9763"'
out '"AKSDR_KEY","value":"/etc/aksdr/key/the.key"'

t 'a drill has the recovery key, and its movers too; a reader of the store may not be the one that writes'
run 0 of least 'select(.metadata.name | contains("-drill")).kind'
ok empty "$work/.out"
run 0 of azure -r 'select(.metadata.name | contains("-drill")).kind'
ok test "$(sort "$work/.out" | xargs)" = \
	'ClusterRole ClusterRoleBinding ConfigMap CronJob NetworkPolicy Role RoleBinding ServiceAccount'
run 0 of privileged 'select(.kind == "CronJob" and (.metadata.name | endswith("-drill"))).spec | .schedule,
	(.jobTemplate.spec.template.spec.containers[0] | .args, .env, .envFrom)'
out '^"0 4 1 \* \*"$'
out '"drill","shop","--namespace=aksdr","--mover-template=/etc/aksdr/mover/drill-mover.yaml","--movers=8"'
out '"AKSDR_PASSPHRASE_FILE","value":"/etc/aksdr/key/passphrase"'
out '"secretRef":\{"name":"aksdr-writes"\}'
of privileged -r 'select(.kind == "ConfigMap" and (.data | has("drill-mover.yaml"))).data[]' >"$work/drill.yaml"
ok grep -q 'secretName: aksdr-recovery' "$work/drill.yaml"
ok not grep -q 'secretName: aksdr-key' "$work/drill.yaml"
run 0 of azure 'select((.kind == "Role" or .kind == "ClusterRole") and (.metadata.name | contains("-drill"))) |
	[.rules[] | .verbs[], .resources[], .apiGroups[]] | any(. == "*" or . == "pods/exec")'
out '^false$'
ok not grep -q true "$work/.out"

t 'every metric of the alerts and the dashboard exists'
missing() {
	grep -ohE 'aksdr_[a-z_]+' "$work/automatic.yaml" | sort -u | while read -r name; do
		grep -qF "\"$name\"" "$src"/{catalog,agent,restore,store}/*.c "$src"/common/metric.c ||
		echo "$name"
	done
}
ok test -z "$(missing)"
ok test "$(grep -ohE 'aksdr_[a-z_]+' "$chart/files/dashboard.json" | sort -u | wc -l)" -gt 10
run 0 jq -e '[.panels[].id] | length == (unique | length)' "$chart/files/dashboard.json"

t 'what is wrong is refused, by its field'
# wrong FIELD ARGUMENT...
wrong() {
	local field=$1
	shift
	run 1 helm template aksdr "$chart" "${version[@]}" --namespace aksdr --values "$values/least.yaml" "$@"
	err "$field"
}
wrong '/?cluster' --set-string cluster=
wrong '/?cluster' --set-string cluster='Prod West'
wrong 'store[./]url' --set-string store.url=
wrong 'store[./]url' --set-string store.url=ftp://x
wrong 'store\.url holds a user' --set-string store.url=s3://id:secret@bucket
wrong 'key[./]secret' --set-string key.secret=
wrong 'profile' --set profile=root
wrong 'role' --set role=third
wrong 'agent[./]concurrency' --set agent.concurrency=0
wrong 'agent[./]concurrency' --set-string agent.concurrency=two
wrong 'concurrent' --set agent.concurrent=2
wrong 'keys' --set keys.secret=x
wrong 'agent[./]bandwidth' --set-string agent.bandwidth=fast
wrong 'agent[./]port' --set agent.port=80
wrong 'image[./]digest' --set-string image.digest=latest
wrong 'image[./]pullPolicy' --set image.pullPolicy=Sometimes
wrong 'policies[./]0' --set 'policies[0].name=x'
wrong 'azure[./]clientId' --set-string azure.clientId=me
wrong 'rbac[./]hooks' --set rbac.hooks=some
wrong 'rbac\.hookNamespaces names none' --set rbac.hooks=namespaces
wrong 'rbac\.hookNamespaces counts only' --set 'rbac.hookNamespaces[0]=x'
wrong 'monitoring[./]maxAge' --set-string monitoring.maxAge=2days
wrong 'page[./]port' --set page.port=80
wrong 'page[./]hosts[./]0' --set 'page.hosts[0]=*'
wrong 'serve\.keySecret' --set serve.enabled=true --set 'serve.plans[0].name=a' --set 'serve.plans[0].primary=b'
wrong 'serve\.plans' --set serve.enabled=true --set serve.keySecret=x
wrong 'serve[./]plans[./]0' --set serve.enabled=true --set serve.keySecret=x --set 'serve.plans[0].name=Shop'
wrong 'serve[./]intervalMs' --set serve.intervalMs=1
wrong 'serve\.storeUrl holds a user' --set-string serve.storeUrl=s3://id:secret@bucket
wrong 'populator\.keySecret' --set populator.enabled=true
wrong 'drill\.keySecret' --set 'drill.schedule=0 4 * * *' --set drill.plan=shop
wrong 'drill[./]schedule' --set drill.schedule=daily
wrong 'networkPolicy[./]storeCidrs[./]0' --set 'networkPolicy.storeCidrs[0]=here'

t 'an upgrade with CRDs that are not those in the cluster stops, and says what to do'
run 0 k delete serviceaccount -n aksdr aksdr-agent
run 0 k delete crd backuppolicies.aksdr.io restoreplans.aksdr.io volumerestores.aksdr.io
release() { helm --namespace aksdr "$@" --values "$values/least.yaml"; }
run 0 release install aksdr "$chart"
run 0 release upgrade aksdr "$chart" --set role=secondary
cp -r "$chart" "$work/later"
sed -i 's/aksdr.io\/schema: "/&later-/' "$work/later/crds/backuppolicies.aksdr.io.yaml"
run 1 release upgrade aksdr "$work/later"
err 'the CRD backuppolicies.aksdr.io in the cluster is not that of this chart.*kubectl apply --server-side'
run 0 release upgrade aksdr "$work/later" --set crds.check=false
helm show crds "$work/later" >"$work/crds.yaml"
run 0 k apply --server-side --force-conflicts -f "$work/crds.yaml"
run 0 release upgrade aksdr "$work/later"
run 0 helm --namespace aksdr uninstall aksdr
run 0 k get crd backuppolicies.aksdr.io restoreplans.aksdr.io

finish
