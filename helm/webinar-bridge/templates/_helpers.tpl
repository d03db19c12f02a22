{{/* What all objects are called. At most 52 characters: a StatefulSet's name becomes a label with 11 more. */}}
{{- define "bridge.fullname" -}}
{{- $name := .Values.fullnameOverride | default (contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) -}}
{{- $name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* What finds the pod. Part of the StatefulSet that can never change. */}}
{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bridge.labels" -}}
{{- $ours := fromYaml (include "bridge.selector" .) -}}
{{- $_ := set $ours "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- mergeOverwrite (dict) .Values.labels $ours | toYaml -}}
{{- end -}}

{{/* `metadata`; takes the root and what the name ends in. */}}
{{- define "bridge.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "bridge.fullname" $root }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "bridge.labels" $root | nindent 2 }}
{{- end -}}

{{- define "bridge.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Where the keys of the Secret are files. A folder of its own: others mount theirs beside it. */}}
{{- define "bridge.secrets" -}}/run/secrets/webinar-bridge{{- end -}}

{{/* The configuration, if it may be in a ConfigMap, which is no place for secrets. */}}
{{- define "bridge.config" -}}
{{- /* Skips texts, since they may contain a "#", and in a list also tables and comments. */ -}}
{{- $key := `(?m)^([^#"'\n]|"([^"\\\n]|\\.)*"|'[^'\n]*')*["']?\b(access_token|client_secret|refresh_token|path_token|secrets?)["']?\s*=\s*(\[([^\]#"'{]|#[^\n]*\n|\{[^}]*\})*)?["']` -}}
{{- with regexFind $key .Values.config -}}
{{- $name := regexFind "(access_token|client_secret|refresh_token|path_token|secrets?)[\"']?\\s*=" . | regexFind "[a-z_]+" -}}
{{- fail (printf "config has the text of a secret in %s. Put it into the Secret that existingSecret names, and write { file = \"%s/KEY\" }" $name (include "bridge.secrets" $)) -}}
{{- end -}}
{{- with regexFind "(?m)^\\s*((listen|store)\\.)?(webhooks|ops|shutdown_delay|shutdown_timeout|url)\\s*=" .Values.config -}}
{{- fail (printf "config has %s, which the chart sets. Remove it; see listenAddress, shutdown and persistence" (trimSuffix "=" (trim .) | trim)) -}}
{{- end -}}
{{- .Values.config -}}
{{- end -}}
