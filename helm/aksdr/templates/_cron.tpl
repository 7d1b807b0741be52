{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* A verb of aksdr-catalog on a schedule, with an account of its own and no rights in the cluster. Of a dict: root; of, the
values: schedule, timeZone, storeSecret, args, resources; account, those of the account; accountName; component; verb. */ -}}
{{- define "aksdr.catalogCron" -}}
{{- $m := .of -}}
{{- $component := .component -}}
{{- $account := .accountName -}}
{{- $verb := .verb -}}
{{- $annotations := .account.annotations -}}
{{- with .root -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $account }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "aksdr.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
  {{- with include "aksdr.accountAnnotations" (dict "root" . "annotations" $annotations) }}
  {{- . | trim | nindent 2 }}
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "aksdr.fullname" . }}-{{ $component }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "aksdr.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
spec:
  schedule: {{ $m.schedule | quote }}
  {{- with $m.timeZone }}
  timeZone: {{ . | quote }}
  {{- end }}
  # One beside another one does no harm, but gains nothing by it: what one leaves the next one takes.
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    metadata:
      labels:
        {{- include "aksdr.selector" . | nindent 8 }}
        app.kubernetes.io/component: {{ $component }}
    spec:
      backoffLimit: 0
      template:
        metadata:
          labels:
            {{- include "aksdr.selector" . | nindent 12 }}
            app.kubernetes.io/component: {{ $component }}
            {{- with include "aksdr.podLabels" . }}
            {{- . | trim | nindent 12 }}
            {{- end }}
        spec:
          serviceAccountName: {{ $account }}
          automountServiceAccountToken: false
          enableServiceLinks: false
          restartPolicy: Never
          {{- with .Values.agent.nodeSelector }}
          nodeSelector:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.image.pullSecrets }}
          imagePullSecrets:
            {{- range . }}
            - name: {{ . }}
            {{- end }}
          {{- end }}
          securityContext:
            {{- include "aksdr.nobody" . | nindent 12 }}
          containers:
            - name: {{ $verb }}
              image: {{ include "aksdr.image" . }}
              imagePullPolicy: {{ .Values.image.pullPolicy }}
              command: [aksdr-catalog]
              args:
                - {{ $verb }}
                - --log-format={{ .Values.agent.logFormat }}
                {{- with $m.args }}
                {{- toYaml . | nindent 16 }}
                {{- end }}
              env:
                {{- include "aksdr.env" . | nindent 16 }}
              {{- with $m.storeSecret | default .Values.store.secret }}
              envFrom:
                - secretRef:
                    name: {{ . }}
              {{- end }}
              securityContext:
                {{- include "aksdr.nothing" . | nindent 16 }}
              resources:
                {{- toYaml $m.resources | nindent 16 }}
              volumeMounts:
                {{- include "aksdr.mounts" . | nindent 16 }}
          volumes:
            {{- include "aksdr.volumes" (dict "root" . "size" .Values.mover.scratchSize "mode" 256) | nindent 12 }}
{{- end }}
{{- end -}}
