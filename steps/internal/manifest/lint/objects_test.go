package lint_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// base is one good object of each kind, by a short name.
var base = map[string]string{
	"pod": `
apiVersion: v1
kind: Pod
metadata: {name: debug, namespace: shop}
spec:
  containers: [{name: shell, image: "registry.example/tools/shell:1.0"}]`,
	"deployment": `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders-api
  namespace: shop
  creationTimestamp: null
  labels: {app.kubernetes.io/name: orders-api, app.kubernetes.io/version: "1.4"}
  annotations: {example.com/Owner: "team orders, ext. 12"}
spec:
  replicas: 3
  revisionHistoryLimit: 5
  selector: {matchLabels: {app.kubernetes.io/name: orders-api}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
  template:
    metadata: {labels: {app.kubernetes.io/name: orders-api}}
    spec:
      serviceAccountName: orders-api
      containers:
      - name: app
        image: registry.example:5000/shop/orders-api:1.4.2
        imagePullPolicy: IfNotPresent
        ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090, protocol: TCP}]
        env:
        - {name: LOG_LEVEL, value: info}
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: orders-db, key: password}}}
        resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: "1", memory: 256Mi}}
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5}
        volumeMounts: [{name: config, mountPath: /etc/app, readOnly: true}, {name: scratch, mountPath: /tmp}]
      volumes: [{name: config, configMap: {name: orders-config}}, {name: scratch, emptyDir: {}}]
status: {}`,
	"replicaset": `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchExpressions: [{key: app, operator: In, values: [web, site]}]}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}`,
	"replicationcontroller": `
apiVersion: v1
kind: ReplicationController
metadata: {name: old-web}
spec:
  selector: {app: web}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: web, image: nginx}]}`,
	"daemonset": `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-agent, namespace: monitoring}
spec:
  selector: {matchLabels: {app: node-agent}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
  template:
    metadata: {labels: {app: node-agent}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers:
      - {name: agent, image: quay.io/prometheus/node-exporter:v1.8.0, ports: [{name: http, containerPort: 9100, hostPort: 9100}]}`,
	"statefulset": `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: postgres, image: postgres:16, volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}`,
	"job": `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: migrate, image: "registry.example/migrate:3", args: [up]}]}`,
	"cronjob": `
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly-report}
spec:
  schedule: "30 2 * * 1-5"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: OnFailure, containers: [{name: report, image: "registry.example/report:2"}]}`,
	"service": `
apiVersion: v1
kind: Service
metadata: {name: orders-api, namespace: shop}
spec:
  selector: {app.kubernetes.io/name: orders-api}
  ports: [{name: http, port: 80, targetPort: http}, {name: metrics, port: 9090, targetPort: 9090, protocol: TCP}]`,
	"ingress": `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: orders, namespace: shop}
spec:
  ingressClassName: nginx
  tls: [{hosts: [orders.example.com], secretName: orders-tls}]
  rules:
  - host: orders.example.com
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: orders-api, port: {name: http}}}}]`,
	"networkpolicy": `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: front}}}], ports: [{port: 8080, protocol: TCP}]}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]`,
	"hpa": `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: orders-api}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: orders-api}
  minReplicas: 2
  maxReplicas: 10
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 300, policies: [{type: Percent, value: 50, periodSeconds: 60}]}}`,
	"hpa1": `
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: orders-api}
spec: {scaleTargetRef: {kind: Deployment, name: orders-api}, minReplicas: 1, maxReplicas: 4, targetCPUUtilizationPercentage: 80}
status: {}`,
	"pdb": `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: orders-api}
spec: {minAvailable: 50%, selector: {matchLabels: {app.kubernetes.io/name: orders-api}}}`,
	"role": `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "orders:reader", namespace: shop}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]`,
	"clusterrole": `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:health"}
rules: [{nonResourceURLs: [/healthz], verbs: [get]}, {apiGroups: [apps], resources: [deployments], verbs: ["*"]}]`,
	"rolebinding": `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "orders:reader"}
subjects: [{kind: ServiceAccount, name: orders-api, namespace: shop}, {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]`,
	"clusterrolebinding": `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: health}
roleRef: {kind: ClusterRole, name: "system:health"}
subjects: [{kind: ServiceAccount, name: probe, namespace: monitoring}]`,
	"configmap": `
apiVersion: v1
kind: ConfigMap
metadata: {name: orders-config}
data: {app.yaml: "log: info\n", FLAG: "true", empty: ""}
binaryData: {logo.png: aGVsbG8=}`,
	"secret": `
apiVersion: v1
kind: Secret
metadata: {name: orders-db}
type: Opaque
data: {password: c2VjcmV0}
stringData: {user: orders}`,
	"serviceaccount": `
apiVersion: v1
kind: ServiceAccount
metadata: {name: orders-api}
imagePullSecrets: [{name: registry}]`,
	"namespace": `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}`,
	"pvc": `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: uploads}
spec: {accessModes: [ReadWriteMany], storageClassName: nfs, resources: {requests: {storage: 5Gi}}}`,
	"quota": `
apiVersion: v1
kind: ResourceQuota
metadata: {name: team}
spec: {hard: {requests.cpu: 10, limits.memory: 40Gi, pods: "50"}}`,
	"limitrange": `
apiVersion: v1
kind: LimitRange
metadata: {name: defaults}
spec: {limits: [{type: Container, default: {cpu: 500m}, defaultRequest: {cpu: 0.1}}]}`,
	"priorityclass": `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000000`,
	"storageclass": `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: example.com/disk
parameters: {type: ssd}`,
	"crd": `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {size: {type: integer, default: 1}}}}`,
	"webhook": `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: policy.example.com}
webhooks:
- name: policy.example.com
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {service: {name: policy, namespace: shop, path: /validate}}
  rules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]`,
	"application": `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: orders-prod, namespace: argocd, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec:
  project: shop
  source: {repoURL: "https://git.example.com/gitops.git", targetRevision: main, path: orders/overlays/prod}
  destination: {server: "https://kubernetes.default.svc", namespace: shop}
  syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true], retry: {limit: 5}}`,
	"appproject": `
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: shop, namespace: argocd}
spec:
  sourceRepos: ["https://git.example.com/gitops.git"]
  destinations: [{server: "https://kubernetes.default.svc", namespace: "shop-*"}]
  roles: [{name: ci, policies: ["p, proj:shop:ci, applications, sync, shop/*, allow"]}]`,
	"devopsproject": `
apiVersion: devops.kubesphere.io/v1alpha3
kind: DevOpsProject
metadata: {name: demo7xk2p, labels: {kubesphere.io/workspace: retail}}
spec: {}`,
	"pipeline": `
apiVersion: devops.kubesphere.io/v1alpha3
kind: Pipeline
metadata: {name: orders-api, namespace: demo7xk2p, annotations: {kubesphere.io/creator: admin}}
spec:
  type: pipeline
  pipeline:
    name: orders-api
    disable_concurrent: true
    discarder: {days_to_keep: "7", num_to_keep: "10"}
    parameters:
    - {name: IMAGE_TAG, type: string, default_value: "", description: image tag}
    - {name: ENV, type: choice, default_value: "dev\ntest\nprod"}
    jenkinsfile: "pipeline { agent none }\n"`,
	"multibranch": `
apiVersion: devops.kubesphere.io/v1alpha3
kind: Pipeline
metadata: {name: orders-api, namespace: demo7xk2p}
spec:
  type: multi-branch-pipeline
  multi_branch_pipeline:
    name: orders-api
    script_path: Jenkinsfile
    source_type: gitlab
    discarder: {days_to_keep: "-1", num_to_keep: "-1"}
    timer_trigger: {interval: "600000"}
    gitlab_source:
      server_name: https://gitlab.example.com
      owner: platform
      repo: platform/orders-api
      credential_id: gitlab-id
      discover_branches: 1
      discover_tags: true
      git_clone_option: {shallow: true, depth: 1, timeout: 20}`,
	"pipelinerun": `
apiVersion: devops.kubesphere.io/v1alpha3
kind: PipelineRun
metadata: {generateName: orders-api-, namespace: demo7xk2p}
spec: {pipelineRef: {name: orders-api}, parameters: [{name: IMAGE_TAG, value: v1.4.2}]}`,
	"ksapplication": `
apiVersion: gitops.kubesphere.io/v1alpha1
kind: Application
metadata: {name: orders-api-prod, namespace: demo7xk2p, labels: {gitops.kubesphere.io/argocd-location: argocd}}
spec:
  kind: argocd
  argoApp:
    spec:
      project: demo7xk2p
      source: {repoURL: "https://git.example.com/gitops.git", targetRevision: main, path: orders-api/overlays/prod}
      destination: {server: "https://kubernetes.default.svc", namespace: orders-prod}`,
}

func bases() []string { return slices.Sorted(maps.Keys(base)) }

// object returns a base with the YAML value put at each of the paths; the empty path is the whole object.
func object(t *testing.T, name string, changes ...string) map[string]any {
	t.Helper()
	object, _ := decode(t, base[name]).(map[string]any)
	if object == nil {
		t.Fatalf("no base %q", name)
	}
	for i := 0; i < len(changes); i += 2 {
		object, _ = put(object, segments(changes[i]), decode(t, changes[i+1])).(map[string]any)
	}
	return object
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return v
}

// segments splits a path as findings write it; numbers are positions in lists.
func segments(path string) []string {
	var parts []string
	for path != "" {
		switch {
		case strings.HasPrefix(path, `["`):
			end := strings.Index(path, `"]`)
			parts, path = append(parts, path[2:end]), path[end+2:]
		case strings.HasPrefix(path, "["):
			end := strings.Index(path, "]")
			parts, path = append(parts, path[1:end]), path[end+1:]
		default:
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			parts, path = append(parts, path[:end]), path[end:]
		}
	}
	return parts
}

// put sets a value, makes the mappings on the way to it, and appends to a list where the position is its length.
func put(at any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	if list, ok := at.([]any); ok {
		i, _ := strconv.Atoi(path[0])
		if i == len(list) {
			list = append(list, nil)
		}
		list[i] = put(list[i], path[1:], v)
		return list
	}
	fields, ok := at.(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	if v == nil && len(path) == 1 {
		delete(fields, path[0])
	} else {
		fields[path[0]] = put(fields[path[0]], path[1:], v)
	}
	return fields
}
