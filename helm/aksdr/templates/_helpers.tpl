{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "aksdr.fullname" -}}
{{- if contains "aksdr" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-aksdr" (.Release.Name | trunc 44 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "aksdr.selector" -}}
app.kubernetes.io/name: aksdr
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "aksdr.labels" -}}
{{ include "aksdr.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: aksdr
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "aksdr.agentAccount" -}}
{{- .Values.serviceAccount.agent.name | default (printf "%s-agent" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.moverAccount" -}}
{{- .Values.serviceAccount.mover.name | default (printf "%s-mover" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.maintenanceAccount" -}}
{{- .Values.serviceAccount.maintenance.name | default (printf "%s-maintenance" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.verificationAccount" -}}
{{- .Values.serviceAccount.verification.name | default (printf "%s-verification" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.serveAccount" -}}
{{- .Values.serviceAccount.serve.name | default (printf "%s-serve" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.standbyAccount" -}}
{{- .Values.serviceAccount.standby.name | default (printf "%s-standby" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.populatorAccount" -}}
{{- .Values.serviceAccount.populator.name | default (printf "%s-populator" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.drillAccount" -}}
{{- .Values.serviceAccount.drill.name | default (printf "%s-drill" (include "aksdr.fullname" .)) -}}
{{- end -}}

{{- define "aksdr.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What an account needs for workload identity; the webhook reads both. */}}
{{- define "aksdr.accountAnnotations" -}}
{{- $all := dict -}}
{{- with .root.Values.azure.clientId }}{{ $_ := set $all "azure.workload.identity/client-id" . }}{{ end -}}
{{- with .root.Values.azure.tenantId }}{{ $_ := set $all "azure.workload.identity/tenant-id" . }}{{ end -}}
{{- with merge (deepCopy .annotations) $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "aksdr.podLabels" -}}
{{- if .Values.azure.clientId }}
azure.workload.identity/use: "true"
{{- end }}
{{- end -}}

{{/* Store, key and state, the same for agent, movers and the test. */}}
{{- define "aksdr.env" -}}
{{ include "aksdr.envOf" (dict "root" . "url" .Values.store.url "item" .Values.key.item) }}
{{- end -}}

{{/* The same for another store, another key. */}}
{{- define "aksdr.envOf" -}}
- name: AKSDR_STORE
  value: {{ .url | quote }}
- name: AKSDR_KEY
  value: /etc/aksdr/key/{{ .item }}
- name: AKSDR_STATE
  value: /var/lib/aksdr/state
{{- with .root.Values.store.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aksdr.envFrom" -}}
{{- with .Values.store.secret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end -}}

{{- define "aksdr.mounts" -}}
- {name: key, mountPath: /etc/aksdr/key, readOnly: true}
- {name: state, mountPath: /var/lib/aksdr}
- {name: tmp, mountPath: /tmp}
{{- if .Values.store.caConfigMap }}
- {name: ca, mountPath: /etc/ssl/certs/ca-certificates.crt, subPath: ca.crt, readOnly: true}
{{- end }}
{{- end -}}

{{/*
mode: of the key, in decimal for parsers of YAML 1.2: 256 is 0400, 288 is 0440. The kubelet adds the group where a pod
has an fsGroup. secret, item: where they are not those of the agent key. more: another item of it.
*/}}
{{- define "aksdr.volumes" -}}
{{- $item := .item | default .root.Values.key.item | quote -}}
- name: key
  secret:
    secretName: {{ .secret | default .root.Values.key.secret }}
    defaultMode: {{ .mode }}
    items:
      - {key: {{ $item }}, path: {{ $item }}}
      {{- with .more }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
- name: state
  emptyDir: {sizeLimit: {{ .size }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .root.Values.store.caConfigMap }}
- name: ca
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* The agent without any right at the node: it decides, and reads no volume. */}}
{{- define "aksdr.nobody" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "aksdr.nothing" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "aksdr.agentResources" -}}
{{- if .Values.agent.resources -}}
{{ toYaml .Values.agent.resources }}
{{- else -}}
requests: {cpu: 50m, memory: 96Mi}
limits:
  memory: {{ if or (eq .Values.profile "privileged") .Values.azure.disks }}{{ mul 256 (add 1 .Values.agent.concurrency) }}{{ else }}256{{ end }}Mi
{{- end -}}
{{- end -}}

{{/* A duration of one number and one unit in seconds, as Prometheus compares them. */}}
{{- define "aksdr.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[smhdw]$" .)) -}}
{{- end -}}

{{/* "true" where a kind is wanted: always, or auto and the cluster knows it. */}}
{{- define "aksdr.wanted" -}}
{{- if or (eq .how "always") (and (eq .how "auto") (.root.Capabilities.APIVersions.Has .kind)) }}true{{ end -}}
{{- end -}}

{{/* Ports of the store: 443, those in its URL (also in a parameter, as endpoint=https://HOST:PORT), and given ones. */}}
{{- define "aksdr.storePorts" -}}
{{- $ports := list 443 -}}
{{- range regexFindAll ":[0-9]{2,5}(/|\\?|&|$)" (printf "%s&%s" .Values.store.url .Values.serve.storeUrl | replace "%3A" ":" | replace "%2F" "/") -1 -}}
{{- $ports = append $ports (regexFind "[0-9]+" . | int) -}}
{{- end -}}
{{- range .Values.networkPolicy.storePorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range uniq $ports }}
- {port: {{ . }}, protocol: TCP}
{{- end -}}
{{- end -}}

{{/* The template of movers with the recovery key instead of the agent's. of: keySecret, keyItem, passphraseItem. */}}
{{- define "aksdr.recoveryMover" -}}
{{- $s := .of -}}
{{- $mover := fromYaml (include "aksdr.moverTemplate" .root) -}}
{{- range $mover.spec.volumes -}}
{{- if eq .name "key" -}}
{{- $_ := set .secret "secretName" $s.keySecret -}}
{{- $items := list (dict "key" $s.keyItem "path" $s.keyItem) -}}
{{- with $s.passphraseItem }}{{ $items = append $items (dict "key" . "path" .) }}{{ end -}}
{{- $_ := set .secret "items" $items -}}
{{- end -}}
{{- end -}}
{{- $container := first $mover.spec.containers -}}
{{- range $container.env -}}
{{- if eq .name "AKSDR_KEY" }}{{ $_ := set . "value" (printf "/etc/aksdr/key/%s" $s.keyItem) }}{{ end -}}
{{- end -}}
{{- with $s.passphraseItem -}}
{{- $_ := set $container "env" (append $container.env (dict "name" "AKSDR_PASSPHRASE_FILE" "value" (printf "/etc/aksdr/key/%s" .))) -}}
{{- end -}}
{{- toYaml $mover -}}
{{- end -}}
