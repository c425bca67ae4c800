{{- define "watchword.name" -}}
{{- if contains "watchword" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-watchword" (.Release.Name | trunc 30 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "watchword.selector" -}}
app.kubernetes.io/name: watchword
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "watchword.labels" -}}
{{ include "watchword.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "watchword.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "watchword.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "watchword.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "watchword.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "watchword.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "watchword.selector" . | nindent 8 }}
{{- end }}

{{- define "watchword.tritonUrl" -}}
{{- if eq .Values.triton.mode "external" }}{{ .Values.triton.url }}{{ else }}{{ include "watchword.name" . }}-triton:8001{{ end }}
{{- end }}

{{- define "watchword.model" -}}
{{- if .Values.model.path }}{{ .Values.model.path }}{{ else if eq .Values.triton.mode "gpu" }}/repository/{{ .Values.triton.repository.path }}/clip_image/bundle{{ end }}
{{- end }}

{{- define "watchword.repositoryClaim" -}}
{{ .Values.triton.repository.existingClaim | default (printf "%s-models" (include "watchword.name" .)) }}
{{- end }}

{{- /* Settings of every process. The chart's own values win over `settings`, which the schema keeps apart. */}}
{{- define "watchword.env" -}}
- name: WATCHWORD_INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- {name: WATCHWORD_LOG_FORMAT, value: json}
- {name: WATCHWORD_HTTP_HOST, value: 0.0.0.0}
- {name: WATCHWORD_HTTP_PORT, value: "9464"}
- {name: WATCHWORD_BOOTSTRAP_SERVERS, value: {{ .Values.kafka.bootstrapServers | quote }}}
- {name: WATCHWORD_SECURITY_PROTOCOL, value: {{ .Values.kafka.securityProtocol }}}
- {name: WATCHWORD_GROUP_ID, value: {{ .Values.kafka.groupId | quote }}}
{{- with .Values.kafka.sasl }}
{{- if .mechanism }}
- {name: WATCHWORD_SASL_MECHANISM, value: {{ .mechanism }}}
- name: WATCHWORD_SASL_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .usernameKey }}}
- name: WATCHWORD_SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}
{{- end }}
{{- end }}
{{- if .Values.kafka.ca.existingSecret }}
- {name: WATCHWORD_SSL_CAFILE, value: /etc/watchword/kafka/{{ .Values.kafka.ca.key }}}
{{- end }}
- {name: WATCHWORD_TOPIC_PARTITIONS, value: {{ .Values.topics.partitions | quote }}}
- {name: WATCHWORD_TOPIC_REPLICAS, value: {{ .Values.topics.replicas | quote }}}
- {name: WATCHWORD_TOPIC_MIN_INSYNC_REPLICAS, value: {{ .Values.topics.minInsyncReplicas | quote }}}
{{- range $kind, $hours := .Values.topics.retentionHours }}
{{- if $hours }}
- {name: WATCHWORD_{{ snakecase $kind | upper }}_RETENTION_HOURS, value: {{ $hours | quote }}}
{{- end }}
{{- end }}
- {name: WATCHWORD_POLICY_SOURCE, value: {{ ternary "topic" "folder" (eq .Values.policies.source "topic") }}}
{{- if eq .Values.policies.source "configMap" }}
- {name: WATCHWORD_POLICIES, value: /etc/watchword/policies}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "watchword.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.kafka.ca.existingSecret }}
- {name: kafka-ca, mountPath: /etc/watchword/kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "watchword.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if .Values.kafka.ca.existingSecret }}
- name: kafka-ca
  secret: {secretName: {{ .Values.kafka.ca.existingSecret }}}
{{- end }}
{{- end }}

{{- define "watchword.healthPorts" -}}
ports:
  - {name: metrics, containerPort: 9464}
{{- end }}

{{- define "watchword.healthProbes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
