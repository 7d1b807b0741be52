#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Whether a plan could be run, by what a real API server says: its own kinds, its own rights, a token of its
# own that is exchanged. tests/unit/restore/test_preflight_*.c have what each fact means.
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/servers/lib.sh
XDG_CACHE_HOME=$bed_cache . "$bed_here/../servers/lib.sh"
bed_up --no-nodes
preflight=$BIN/tests/kube/preflight
export KUBECONFIG=$bed/admin.kubeconfig

k create namespace aksdr >/dev/null && k create namespace shop >/dev/null || exit 1
cat >"$work/plan.json" <<-'JSON'
	{"ns": "aksdr", "volumes": [
	{"ns": "shop", "name": "orders", "class": "fast", "bytes": 10737418240,
		"modes": ["ReadWriteOnce"], "zones": ["ne-1"]},
	{"ns": "web", "name": "files", "class": "", "bytes": 1073741824}]}
JSON

t 'an empty cluster lacks all that a plan needs'
run 0 "$preflight" plan "$work/plan.json"
out '^block DefaultClassMissing '
out '^block StorageClassMissing StorageClass fast: '
out '^block NoNodes Nodes: of 0 nodes'
out '^warning SnapshotsUnknown '
out '^note NamespaceNew Namespace web: '
ok [ "$(wc -l <"$work/.out")" -eq 5 ]

t 'one that has it has no findings'
k apply -f "$BED_PROGRAMS/crds" >/dev/null && k apply -f - >/dev/null <<-'YAML' || exit 1
	apiVersion: storage.k8s.io/v1
	kind: CSIDriver
	metadata: {name: d.example.com}
	spec: {storageCapacity: true}
	---
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: fast}
	provisioner: d.example.com
	reclaimPolicy: Retain
	volumeBindingMode: WaitForFirstConsumer
	allowedTopologies:
	  - matchLabelExpressions: [{key: topology.kubernetes.io/zone, values: [ne-1, ne-2]}]
	---
	apiVersion: storage.k8s.io/v1
	kind: StorageClass
	metadata: {name: usual, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
	provisioner: d.example.com
	reclaimPolicy: Retain
	---
	apiVersion: storage.k8s.io/v1
	kind: CSIStorageCapacity
	metadata: {name: one, namespace: aksdr}
	storageClassName: fast
	capacity: 100Gi
	maximumVolumeSize: 50Gi
	---
	apiVersion: storage.k8s.io/v1
	kind: CSIStorageCapacity
	metadata: {name: two, namespace: aksdr}
	storageClassName: usual
	capacity: 100Gi
	---
	apiVersion: v1
	kind: Node
	metadata: {name: n1, labels: {topology.kubernetes.io/zone: ne-1}}
	---
	apiVersion: v1
	kind: Namespace
	metadata: {name: web}
YAML
k wait --for=condition=Established crd --all --timeout=30s >/dev/null || exit 1
k patch node n1 --subresource=status --type=merge \
	-p '{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}' >/dev/null || exit 1
k taint node n1 node.kubernetes.io/not-ready- >/dev/null 2>&1
bed_wait 30 k create --raw /apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses -f - >/dev/null <<-'JSON' || exit 1
	{"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": "s"},
	"driver": "d.example.com", "deletionPolicy": "Delete"}
JSON
run 0 "$preflight" plan "$work/plan.json"
ok [ ! -s "$work/.out" ]

t 'what is too small, taken, elsewhere or forbidden is told'
k apply -f - >/dev/null <<-'YAML' || exit 1
	apiVersion: v1
	kind: ResourceQuota
	metadata: {name: small, namespace: shop}
	spec: {hard: {requests.storage: 15Gi, fast.storageclass.storage.k8s.io/persistentvolumeclaims: "0"}}
	---
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: files, namespace: web}
	spec: {accessModes: [ReadWriteOnce], storageClassName: usual, resources: {requests: {storage: 1Gi}}}
	---
	apiVersion: v1
	kind: PersistentVolume
	metadata: {name: left}
	spec:
	  accessModes: [ReadWriteOnce]
	  capacity: {storage: 1Gi}
	  persistentVolumeReclaimPolicy: Retain
	  storageClassName: fast
	  hostPath: {path: /none}
	  claimRef: {namespace: shop, name: orders}
YAML
# What controllers would say.
k patch resourcequota small -n shop --subresource=status --type=merge -p '{"status": {
	"hard": {"requests.storage": "15Gi", "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "0"},
	"used": {"requests.storage": "6Gi"}}}' >/dev/null &&
	k patch pv left --subresource=status --type=merge -p '{"status": {"phase": "Released"}}' >/dev/null &&
	k patch csistoragecapacity two -n aksdr --type=merge -p '{"capacity": "512Mi"}' >/dev/null &&
	k label namespace aksdr pod-security.kubernetes.io/enforce=restricted >/dev/null &&
	k cordon n1 >/dev/null || exit 1
run 0 "$preflight" plan "$work/plan.json"
out '^block QuotaShort ResourceQuota shop/small: of requests.storage the plan wants 10.0 GiB, and 9.0 GiB are left'
out '^block QuotaShort ResourceQuota shop/small: of fast.storageclass[^ ]*persistentvolumeclaims .* wants 1, and 0'
out '^block ClaimExists web/files: a claim of that name waits for a volume'
out '^block VolumeTooLarge web/files: '
out '^block CapacityShort StorageClass usual: '
out '^block PodSecurityRestricted Namespace aksdr: '
out '^block NoNodes Nodes: of 1 nodes none is ready'
out '^note VolumeReleased PersistentVolume left: it was shop/orders'
k uncordon n1 >/dev/null
sed 's/ne-1/ne-3/' "$work/plan.json" >"$work/zone.json"
run 0 "$preflight" plan "$work/zone.json"
out '^block ZoneMissing shop/orders: .*ne-3'

t 'who may not is told which right, and what else could not be looked at'
bed_user weak
KUBECONFIG=$bed/weak.kubeconfig run 0 "$preflight" plan "$work/plan.json"
out '^block RightMissing create pods in aksdr: .*no mover can be started'
out '^block RightMissing create persistentvolumeclaims in shop: '
out '^block RightMissing patch persistentvolumes: '
out '^warning RightMissing get pods/log in aksdr: '
out '^warning NotLooked storageclasses: .*forbidden'
out '^warning NotLooked nodes: '

t 'the identity of the account is tried with a token that the server made'
cat >"$work/entra.py" <<-'PY'
	import base64, http.server, json, urllib.parse
	class H(http.server.BaseHTTPRequestHandler):
	    def do_POST(self):
	        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
	        part = form["client_assertion"].split(".")[1]
	        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
	        right = claims["aud"] == ["api://AzureADTokenExchange"] and \
	            claims["sub"] == "system:serviceaccount:aksdr:mover" and form["client_id"] == "known"
	        wrong = {"error_description": "AADSTS700211: none"}
	        text = {"access_token": "t", "expires_in": 3600} if right else wrong
	        body = json.dumps(text).encode()
	        self.send_response(200 if right else 401)
	        self.send_header("Content-Length", str(len(body)))
	        self.end_headers()
	        self.wfile.write(body)
	    def log_message(self, *_): pass
	server = http.server.HTTPServer(("127.0.0.1", 0), H)
	print(server.server_address[1], flush=True)
	server.serve_forever()
PY
coproc entra { exec setpriv --pdeathsig KILL /usr/bin/python3 "$work/entra.py"; }
read -r port <&"${entra[0]}"
export AZURE_AUTHORITY_HOST=http://127.0.0.1:$port/ AZURE_TENANT_ID=tenant
jq '.account = "mover"' "$work/plan.json" >"$work/mover.json"
run 0 "$preflight" plan "$work/mover.json"
out '^block ServiceAccountMissing ServiceAccount aksdr/mover: '
k create serviceaccount mover -n aksdr >/dev/null
k annotate serviceaccount mover -n aksdr azure.workload.identity/client-id=known >/dev/null
run 0 "$preflight" plan "$work/mover.json"
# shellcheck disable=SC2016 # for eval
ok eval '! grep -qE "Identity|ServiceAccount" "$work/.out"'
k annotate --overwrite serviceaccount mover -n aksdr azure.workload.identity/client-id=other >/dev/null
run 0 "$preflight" plan "$work/mover.json"
out '^block IdentityRefused ServiceAccount aksdr/mover: .*AADSTS700211'

t 'images are looked for with the secrets of the cluster'
"$bed_here/image.py" "$work/image.tar" test/a:1 "$work/plan.json=/plan.json" -- /plan.json >/dev/null || exit 1
start_registry images
digest=$(push_image "$registry_host" shop/a:1 "$work/image.tar")
stop_server images
start_registry images basic
jq --arg there "$registry_host/shop/a@$digest" --arg none "$registry_host/shop/b@$digest" \
	'.images = true | .volumes[0].images = [$there, $none]' "$work/plan.json" >"$work/images.json"
run 0 "$preflight" plan "$work/images.json"
out "^warning ImageNotLooked Image $registry_host/shop/a@"
k create secret docker-registry pull -n shop --docker-server="$registry_host" --docker-username=reader \
	--docker-password=secret >/dev/null
k create serviceaccount default -n shop >/dev/null
k patch serviceaccount default -n shop -p '{"imagePullSecrets": [{"name": "pull"}]}' >/dev/null
run 0 "$preflight" plan "$work/images.json"
out "^block ImageMissing Image $registry_host/shop/b@"
# shellcheck disable=SC2016
ok eval '! grep -q shop/a@ "$work/.out"'

finish
