#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A database of a StatefulSet writes all the time, agents of the chart back it up each minute. A point
# is restored into a new claim by a pod, and a database that starts on it has all that was acknowledged
# before the moment of the point. A claim beside it that is opted out has no points.
#
# timeout: 1500
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
# shellcheck source=tests/kube/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kube/lib-release.sh
. "$bed_here/lib-release.sh"
server=$(echo /usr/lib/postgresql/*/bin)
[ -x "$server/initdb" ] || { echo 'no PostgreSQL'; exit 77; }

release_up --audit

# database NAME CLAIM: a StatefulSet with the PostgreSQL of this machine on a claim: of its own, or one that is there
database() {
	local name=$1 volumes='' templates=''
	if [ -n "${2:-}" ]; then
		volumes="- {name: data, persistentVolumeClaim: {claimName: $2}}"
	else
		templates='[{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: disk,
			resources: {requests: {storage: 256Mi}}}}]'
	fi
	k apply -f - <<-YAML >/dev/null
		apiVersion: apps/v1
		kind: StatefulSet
		metadata: {name: $name}
		spec:
		  serviceName: $name
		  selector: {matchLabels: {app: $name}}
		  volumeClaimTemplates: ${templates:-[]}
		  template:
		    metadata: {labels: {app: $name}}
		    spec:
		      terminationGracePeriodSeconds: 5
		      initContainers:
		      - name: owner
		        image: bed.test/busybox:1
		        imagePullPolicy: Never
		        command: [chown, '$(id -u postgres)', /data]
		        volumeMounts: [{name: data, mountPath: /data}]
		      containers:
		      - name: postgres
		        image: bed.test/busybox:1
		        imagePullPolicy: Never
		        securityContext: {runAsUser: $(id -u postgres), runAsGroup: $(id -g postgres)}
		        env: [{name: PATH, value: "$server:/usr/bin:/bin"}, {name: PGHOST, value: /tmp}]
		        command:
		        - sh
		        - -ec
		        - |
		          [ -e /data/db/PG_VERSION ] || initdb --no-locale --encoding=UTF8 -A trust -D /data/db
		          exec postgres -D /data/db -k /tmp -c listen_addresses= -c shared_buffers=16MB
		        readinessProbe: {exec: {command: [pg_isready, -q]}, periodSeconds: 1}
		        volumeMounts:
		        - {name: data, mountPath: /data}
		        - {name: tmp, mountPath: /tmp}
		        - {name: usr, mountPath: /usr, readOnly: true}
		        - {name: lib, mountPath: /lib, readOnly: true}
		        - {name: lib64, mountPath: /lib64, readOnly: true}
		        - {name: users, mountPath: /etc/passwd, readOnly: true}
		      volumes:
		      - {name: tmp, emptyDir: {}}
		      - {name: usr, hostPath: {path: /usr}}
		      - {name: lib, hostPath: {path: /lib}}
		      - {name: lib64, hostPath: {path: /lib64}}
		      - {name: users, hostPath: {path: /etc/passwd}}
		      $volumes
	YAML
	k rollout status "statefulset/$name" --timeout=120s >/dev/null
}
sql() { k exec "$1-0" -c postgres -- psql -X -q -A -t -U postgres -c "$2"; }

t 'a database writes, and says what it has'
ok database db
sql db 'CREATE TABLE t (n bigint PRIMARY KEY, noise text)' >/dev/null
bed_claim scratch 64Mi
k annotate pvc scratch aksdr.io/protect=false >/dev/null
bed_pod cache scratch=/data
bed_in cache sh -c 'echo cache >/data/file && sync'
# The number and the time, in seconds, of each row that was acknowledged.
# shellcheck disable=SC2016 # for the shell there
k exec db-0 -c postgres -- sh -c 'n=0
	while n=$((n + 1)); do
		psql -X -q -U postgres -c "INSERT INTO t VALUES ($n, repeat(md5($n::text), 50))" || exit
		echo "$n $(date +%s)"
	done' >"$work/acknowledged" 2>"$work/writer.log" &
wrote() { [ "$(wc -l <"$work/acknowledged")" -ge "$1" ]; }
ok bed_wait 60 wrote 20

t 'it is backed up each minute while it writes, by a hook and a snapshot'
cat >>"$values" <<-'YAML'
	rbac: {hooks: namespaces, hookNamespaces: [default]}
YAML
sed -i 's|^    spec: .*|    spec:\
      selector: {namespaces: [default]}\
      schedule: {cron: "* * * * *"}\
      consistency: {want: application, onLess: fail}\
      hooks:\
        - {phase: pre, podSelector: {matchLabels: {app: db}}, command: [psql, -XqU, postgres, -c, CHECKPOINT]}|' \
	"$values"
run 0 release install aksdr "$chart" --values "$values" --wait --timeout 120s
# newest POINTS: the newest of at least so many points, as JSON
newest() {
	release_points 2>/dev/null | jq -ce --argjson n "$1" '[.items[] | select(.volume == "data-db-0")] |
		select(length >= $n) | max_by(.sequence)'
}
ok bed_wait 400 newest 3
point=$(newest 3)
ok [ "$(jq -r .consistency <<<"$point")" = application ]
id=$(jq -r .point <<<"$point")
moment=$(date -d "$(jq -r .frozen <<<"$point")" +%s)

t 'what opted out has no point, and does not fall under the policy'
release_points >"$work/points"
ok [ "$(jq '[.items[] | select(.volume == "scratch")] | length' "$work/points")" = 0 ]
ok [ "$(k -n aksdr get bp minutely -o 'jsonpath={.status.selected}')" = 1 ]

t 'the point is restored into a new claim by a pod with the recovery key'
k create secret generic recovery --from-file=recovery.key="$keys/recovery.key" >/dev/null
k create secret generic store --from-literal="AZURE_STORAGE_KEY=$AZURE_STORAGE_KEY" >/dev/null
k create configmap authority --from-file=ca.crt="$servers_ca" >/dev/null
bed_claim back 256Mi
in_pods=${azurite_url//127.0.0.1/$bed_host}
k apply -f - >/dev/null <<-YAML
	apiVersion: batch/v1
	kind: Job
	metadata: {name: restore}
	spec:
	  backoffLimit: 0
	  template:
	    spec:
	      restartPolicy: Never
	      containers:
	      - name: restore
	        image: localhost/aksdr:$(cat "$src/VERSION")
	        imagePullPolicy: Never
	        command: [aksdr-restore, volume, "data-db-0@$id", --target, /back, --verify, --sync]
	        securityContext: {runAsUser: 0}
	        env:
	        - {name: AKSDR_STORE, value: "${in_pods%&ca=*}"}
	        - {name: AKSDR_KEY, value: /key/recovery.key}
	        - {name: AKSDR_STATE, value: /tmp/state}
	        envFrom: [{secretRef: {name: store}}]
	        volumeMounts:
	        - {name: back, mountPath: /back}
	        - {name: key, mountPath: /key}
	        - {name: ca, mountPath: /etc/ssl/certs/ca-certificates.crt, subPath: ca.crt}
	      volumes:
	      - {name: back, persistentVolumeClaim: {claimName: back}}
	      - {name: key, secret: {secretName: recovery, defaultMode: 256}}
	      - {name: ca, configMap: {name: authority}}
YAML
ok k wait --for=condition=Complete job/restore --timeout=120s
k logs job/restore | sed 's/^/   /' | tail -n 5

t 'a database starts on it, and has what was acknowledged before the moment'
ok database again back
# Clocks of snapshots have whole seconds.
acknowledged=$(awk -v until="$moment" '$2 < until { n = $1 } END { print n + 0 }' "$work/acknowledged")
sql again 'SELECT count(*), max(n), count(DISTINCT n) FROM t' | tee "$work/rows"
IFS='|' read -r rows last distinct <"$work/rows"
echo "   acknowledged before the moment: $acknowledged; there: $rows, the last is $last"
ok [ "$acknowledged" -ge 20 ]
ok [ "$rows" -ge "$acknowledged" ]
ok [ "$rows" -eq "$last" ]
ok [ "$distinct" -eq "$rows" ]
ok [ "$(sql again "SELECT count(*) FROM t WHERE noise <> repeat(md5(n::text), 50)")" = 0 ]
ok sql again 'INSERT INTO t VALUES (0, NULL)'

finish
