{{/* Labels. `app`, `component` and `release` are those of zero-to-jupyterhub. Call: include "cohortlab.labels" (list . "hub") */}}
{{- define "cohortlab.selector" -}}
{{- $root := index . 0 -}}
app: jupyterhub
component: {{ index . 1 }}
release: {{ $root.Release.Name }}
app.kubernetes.io/name: cohortlab
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{- define "cohortlab.labels" -}}
{{- $root := index . 0 -}}
{{ include "cohortlab.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* A whole image reference. Call: include "cohortlab.image" (list . .Values.hub.image) */}}
{{- define "cohortlab.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- with $root.Values.images.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Values.images.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "cohortlab.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Pod Security "restricted", for every pod of the chart. */}}
{{- define "cohortlab.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
enableServiceLinks: false
{{- end }}

{{- define "cohortlab.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "cohortlab.scheduling" -}}
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

{{- define "cohortlab.secret" -}}
{{ .Values.secrets.existingSecret | default "hub" }}
{{- end }}

{{/* "true" where the records are in PostgreSQL, so that the services run in pods of their own. */}}
{{- define "cohortlab.postgres" -}}
{{- if .Values.database.existingSecret }}true{{ end -}}
{{- end }}

{{- define "cohortlab.storeClaim" -}}
{{- $store := index . 1 -}}
{{ $store.existingClaim | default (printf "store-%s" (index . 0)) }}
{{- end }}

{{/* "true" where sessions ask the services without the proxy: its certificate names the public host, which a session may not reach. */}}
{{- define "cohortlab.direct" -}}
{{- if .Values.proxy.tlsSecret }}true{{ end -}}
{{- end }}

{{/* workbench.yaml, with what the chart knows. */}}
{{- define "cohortlab.workbench" -}}
{{- $volumes := dict -}}
{{- range $name, $store := .Values.stores -}}
{{- $_ := set $volumes $name (dict "claim" (include "cohortlab.storeClaim" (list $name $store)) "path" (printf "/stores/%s" $name)) -}}
{{- end -}}
{{- $given := .Values.workbench.kubernetes | default dict -}}
{{- $defaults := dict "pull_policy" .Values.images.pullPolicy "pull_secrets" .Values.images.pullSecrets "node_selector" .Values.sessions.nodeSelector "tolerations" .Values.sessions.tolerations -}}
{{- $direct := eq (include "cohortlab.direct" .) "true" -}}
{{- $known := dict "namespace" .Release.Namespace "hub_url" (printf "http://hub.%s.svc:8081" .Release.Namespace) "service_url" (printf "http://%s.%s.svc%s%sservices/cohortlab/" (ternary "services" "proxy-public" $direct) .Release.Namespace (ternary ":8082" "" $direct) .Values.basePath) "proxy_api_url" "http://proxy-api:8001" "volumes" (merge (dict) $volumes ($given.volumes | default dict)) -}}
{{- $kubernetes := mergeOverwrite (deepCopy $defaults) (deepCopy $given) $known -}}
{{- $whole := mergeOverwrite (deepCopy .Values.workbench) (dict "state" "/srv/cohortlab/state" "listen" (dict "host" "0.0.0.0" "port" 8000 "base_path" .Values.basePath) "metrics" (dict "host" "0.0.0.0" "port" 8083 "token" "/etc/cohortlab/secrets/hub.services.cohortlab-metrics.apiToken") "kubernetes" $kubernetes) -}}
{{- if include "cohortlab.postgres" . -}}
{{- $whole = mergeOverwrite $whole (dict "database_file" "/etc/cohortlab/database/records" "hub_database_file" "/etc/cohortlab/database/jupyterhub") -}}
{{- end -}}
{{- $priority := .Values.priorityClasses.sessionsName | default (ternary (printf "%s-sessions" .Release.Name) "" .Values.priorityClasses.enabled) -}}
{{- if $priority -}}
{{- range $name, $profile := $whole.profiles -}}
{{- if not $profile.priority_class -}}{{- $_ := set $profile "priority_class" $priority -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.workbench.login.kind "demo" -}}
{{- $_ := set $whole.login "trial_in_cluster" true -}}
{{- end -}}
{{- toYaml $whole -}}
{{- end }}

{{/* What the hub's and the services' container have in common. */}}
{{- define "cohortlab.controlEnv" -}}
- { name: COHORTLAB_WORKBENCH, value: /etc/cohortlab/workbench.yaml }
- { name: COHORTLAB_SECRETS, value: /etc/cohortlab/secrets }
- { name: HOME, value: /tmp }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
{{- with .Values.hub.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cohortlab.controlMounts" -}}
- { name: workbench, mountPath: /etc/cohortlab/workbench.yaml, subPath: workbench.yaml, readOnly: true }
- { name: secrets, mountPath: /etc/cohortlab/secrets, readOnly: true }
{{- if include "cohortlab.postgres" . }}
- { name: database, mountPath: /etc/cohortlab/database, readOnly: true }
{{- end }}
{{- range .Values.secrets.files }}
- { name: {{ printf "file-%s" . }}, mountPath: {{ printf "/etc/cohortlab/files/%s" . }}, readOnly: true }
{{- end }}
{{- range $name, $_ := .Values.stores }}
- { name: {{ printf "store-%s" $name }}, mountPath: {{ printf "/stores/%s" $name }}, readOnly: true }
{{- end }}
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "cohortlab.controlVolumes" -}}
- name: workbench
  configMap: { name: workbench }
- name: secrets
  secret: { secretName: {{ include "cohortlab.secret" . }}, defaultMode: 0440 }
{{- if include "cohortlab.postgres" . }}
- name: database
  secret: { secretName: {{ .Values.database.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- range .Values.secrets.files }}
- name: {{ printf "file-%s" . }}
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- range $name, $store := .Values.stores }}
- name: {{ printf "store-%s" $name }}
  persistentVolumeClaim: { claimName: {{ include "cohortlab.storeClaim" (list $name $store) }}, readOnly: true }
{{- end }}
- name: tmp
  emptyDir: { sizeLimit: 1Gi }
{{- end }}

{{/* Refuses values that make no workbench, each with what to do. */}}
{{- define "cohortlab.check" -}}
{{- $login := .Values.workbench.login | default dict -}}
{{- if not $login.kind -}}
{{- fail "\n\nworkbench.login is empty: nobody could sign in.\n  For an identity provider:  workbench.login.kind=oidc (see values.yaml).\n  To try it out:             workbench.login.kind=demo and allowDemoLogin=true.\n" -}}
{{- end -}}
{{- if and (eq $login.kind "demo") (not .Values.allowDemoLogin) -}}
{{- fail "\n\nworkbench.login.kind is demo: all its accounts share one password. Set allowDemoLogin=true if this is for trying out.\n" -}}
{{- end -}}
{{- if not .Values.workbench.trusted_keys -}}
{{- fail "\n\nworkbench.trusted_keys is empty: no dataset could be served. Put in what `cohortlab key create` printed (ed25519:...).\n" -}}
{{- end -}}
{{- if and .Values.ingest.enabled (not (hasKey .Values.stores .Values.ingest.store)) -}}
{{- fail (printf "\n\ningest.store: there is no store %q under `stores`.\n" .Values.ingest.store) -}}
{{- end -}}
{{- range $name, $store := .Values.stores -}}
{{- $ways := 0 -}}
{{- range list "existingClaim" "nfs" "csi" "storageClass" -}}{{- if hasKey $store . -}}{{- $ways = add1 $ways -}}{{- end -}}{{- end -}}
{{- if ne (int $ways) 1 -}}
{{- fail (printf "\n\nstores.%s: give one of existingClaim, nfs, csi or storageClass.\n" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A peer of a NetworkPolicy, on one line. */}}
{{- define "cohortlab.inline" -}}
podSelector: { matchLabels: { component: {{ index . 1 }}, release: {{ (index . 0).Release.Name }} } }
{{- end }}

{{- define "cohortlab.dnsEgress" -}}
- to:
    - namespaceSelector: { matchLabels: {{ toJson .Values.network.dns.namespaceLabels }} }
      podSelector: { matchLabels: {{ toJson .Values.network.dns.podLabels }} }
  ports:
    {{- range .Values.network.dns.ports }}
    - { port: {{ . }}, protocol: UDP }
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
{{- end }}
{{- define "cohortlab.databaseEgress" -}}
{{- if include "cohortlab.postgres" . }}
{{- with .Values.database.cidr }}
- to: [{ ipBlock: { cidr: {{ . }} } }]
  ports: [{ port: {{ $.Values.database.port }}, protocol: TCP }]
{{- end }}
{{- with .Values.database.podLabels }}
- to: [{ podSelector: { matchLabels: {{ toJson . }} } }]
  ports: [{ port: {{ $.Values.database.port }}, protocol: TCP }]
{{- end }}
{{- end }}
{{- end }}
