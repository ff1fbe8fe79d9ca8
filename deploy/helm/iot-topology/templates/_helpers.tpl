{{- define "iot-topology.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "iot-topology.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "iot-topology.labels" -}}
{{ include "iot-topology.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* `kafka.sasl.password` is IOT_TOPOLOGY_KAFKA_SASL_PASSWORD, as in the command. */}}
{{- define "iot-topology.variable" -}}
IOT_TOPOLOGY_{{ regexReplaceAll "([a-z])([A-Z])" (replace "." "_" .) "${1}_${2}" | upper }}
{{- end -}}

{{/* The file's content: the keys under "default", as the command reads them. */}}
{{- define "iot-topology.config" -}}
{{ dict "default" (merge (dict "topology" .Values.topology) .Values.config) | toPrettyJson }}
{{- end -}}
