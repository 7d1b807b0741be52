{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "aksdr.moverTemplate" -}}
{{- $restricted := eq .Values.profile "automatic" -}}
metadata:
  labels:
    {{- include "aksdr.selector" . | nindent 4 }}
    app.kubernetes.io/component: mover
    {{- with include "aksdr.podLabels" . }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- with .Values.mover.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.mover.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "aksdr.moverAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  terminationGracePeriodSeconds: 60
  {{- with .Values.mover.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.mover.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.mover.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  # No fsGroup: the kubelet would change the owners of what is to be read.
  securityContext:
    seccompProfile: {type: RuntimeDefault}
    {{- if $restricted }}
    runAsNonRoot: true
    runAsUser: {{ .Values.mover.runAsUser }}
    runAsGroup: {{ .Values.mover.runAsGroup }}
    supplementalGroups: [0] # reads the key, which is root's and its group's
    {{- else }}
    runAsUser: 0
    runAsGroup: 0
    {{- end }}
  containers:
    - name: mover
      image: {{ include "aksdr.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      env:
        {{- include "aksdr.env" . | nindent 8 }}
      {{- with include "aksdr.envFrom" . }}
      {{- . | trim | nindent 6 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        {{- if $restricted }}
        capabilities: {drop: [ALL]}
        {{- else }}
        # Reads files of all owners; the volume is mounted read-only.
        capabilities: {drop: [ALL], add: [DAC_OVERRIDE]}
        {{- end }}
      resources:
        {{- toYaml .Values.mover.resources | nindent 8 }}
      volumeMounts:
        {{- include "aksdr.mounts" . | nindent 8 }}
  volumes:
    {{- include "aksdr.volumes" (dict "root" . "size" .Values.mover.scratchSize "mode" (ternary 288 256 $restricted)) | nindent 4 }}
{{- end -}}
