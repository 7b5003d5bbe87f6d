package lint_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"slipway/steps/internal/manifest/lint"
	"slipway/steps/internal/manifest/schema"
)

const (
	template  = "spec.template.spec"
	container = "spec.template.spec.containers[0]"
)

// inEveryPod is put into the pod of each workload: what is good in one is good in all. since is the first version that knows it.
var inEveryPod = []struct{ since, path, value string }{
	{"", "nodeSelector", `{kubernetes.io/os: linux, "node-role.kubernetes.io/worker": ""}`},
	{"", "tolerations", `[{key: dedicated, operator: Equal, value: db, effect: NoSchedule}, {key: x, operator: Exists, effect: NoExecute, tolerationSeconds: 30}]`},
	{"", "affinity", `{podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {a: b}}}}]}}`},
	{"", "affinity", `{nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}`},
	{"", "topologySpreadConstraints", `[{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]`},
	{"", "securityContext", `{runAsNonRoot: true, runAsUser: 1000, fsGroup: 2000, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.core.somaxconn, value: "1024"}]}`},
	{"", "initContainers", `[{name: init-db, image: "busybox:1.36", command: [sh, -c, "until nc -z db 5432; do :; done"]}]`},
	{"1.28", "initContainers", `[{name: proxy, image: "envoy:v1", restartPolicy: Always, startupProbe: {tcpSocket: {port: 15000}}}]`},
	{"", "imagePullSecrets", `[{name: registry}]`},
	{"", "dnsConfig", `{options: [{name: ndots, value: "2"}], searches: [example.com]}`},
	{"", "hostAliases", `[{ip: 127.0.0.1, hostnames: [local.test]}]`},
	{"", "terminationGracePeriodSeconds", `0`},
	{"", "containers[0].image", `"registry.example:5000/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`},
	{"", "containers[0].image", `"localhost/app:v1.2.3_rc-1"`},
	{"", "containers[0].image", `"docker.io/a__b/c-d.e:v1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`},
	{"", "containers[0].env", `[{name: my.var-1, value: ""}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app.kubernetes.io/name']"}}}]`},
	{"", "containers[0].env", `[{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}, {name: E, value: null}]`},
	{"", "containers[0].envFrom", `[{configMapRef: {name: c, optional: true}}, {prefix: DB_, secretRef: {name: s}}]`},
	{"", "containers[0].resources", `{requests: {cpu: 0.5, memory: 1e3, ephemeral-storage: 1Gi}, limits: {cpu: 1, memory: 129e6, nvidia.com/gpu: 1}}`},
	{"", "containers[0].resources", `{requests: {hugepages-2Mi: 4Mi, memory: 1Gi}, limits: {hugepages-2Mi: 4Mi, memory: 1Gi}}`},
	{"", "containers[0].securityContext", `{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}`},
	{"", "containers[0].livenessProbe", `{exec: {command: [cat, /tmp/healthy]}, initialDelaySeconds: 5, failureThreshold: 3}`},
	{"1.24", "containers[0].livenessProbe", `{grpc: {port: 2379}, terminationGracePeriodSeconds: 10}`},
	{"", "containers[0].readinessProbe", `{httpGet: {port: 8080, scheme: HTTPS, httpHeaders: [{name: Host, value: a}]}, successThreshold: 2}`},
	{"", "containers[0].lifecycle", `{preStop: {exec: {command: [sleep, "5"]}}}`},
	{"1.30", "containers[0].lifecycle", `{preStop: {sleep: {seconds: 5}}}`},
	{"", "containers[1]", `{name: side-car, image: "fluent/fluent-bit:3.0", args: [-c, /fluent-bit.conf], ports: [{containerPort: 2020, name: http-side}]}`},
}

// wraps is where a workload keeps its pod.
var wraps = map[string]string{
	"deployment": template, "daemonset": template, "statefulset": template, "job": template, "replicaset": template,
	"pod": "spec", "cronjob": "spec.jobTemplate.spec.template.spec", "replicationcontroller": template,
}

var good = []struct{ since, name, path, value string }{
	{"", "deployment", "spec.strategy", `{type: Recreate}`},
	{"", "deployment", "spec.replicas", `0`},
	{"", "deployment", "spec.selector", `{matchLabels: {app.kubernetes.io/name: orders-api}, matchExpressions: [{key: legacy, operator: DoesNotExist}]}`},
	{"", "deployment", template + ".volumes[2]", `{name: all, projected: {defaultMode: 0440, sources: [{secret: {name: s, items: [{key: a, path: x/a}]}}, {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}}`},
	{"", "deployment", template + ".volumes[2]", `{name: disk, persistentVolumeClaim: {claimName: uploads, readOnly: true}}`},
	{"", "deployment", template + ".volumes[2]", `{name: host, hostPath: {path: /var/log, type: Directory}}`},
	{"", "deployment", template + ".volumes[2]", `{name: nfs, nfs: {server: nfs.example.com, path: /exports}}`},
	{"", "deployment", template + ".volumes[2]", `{name: mem, emptyDir: {medium: Memory, sizeLimit: 64Mi}}`},
	{"", "deployment", template + ".volumes[2]", `{name: csi, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {a: b}}}`},
	{"", "deployment", container + ".volumeMounts[1]", `{name: config, mountPath: /etc/one.conf, subPath: one.conf}`},
	{"", "deployment", template + ".volumes[2]", `{name: default-is-empty-dir}`},
	{"", "statefulset", "spec.serviceName", `null`},
	{"", "daemonset", "spec.updateStrategy", `{type: OnDelete}`},
	{"", "statefulset", "spec.updateStrategy", `{type: RollingUpdate, rollingUpdate: {partition: 1}}`},
	{"", "statefulset", "spec.podManagementPolicy", `Parallel`},
	{"1.27", "statefulset", "spec.persistentVolumeClaimRetentionPolicy", `{whenDeleted: Delete, whenScaled: Retain}`},
	{"", "job", "spec.completionMode", `NonIndexed`},
	{"", "job", "spec.ttlSecondsAfterFinished", `0`},
	{"", "job", "metadata", `{generateName: migrate-}`},
	{"1.26", "job", "spec.podFailurePolicy", `{rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}`},
	{"", "cronjob", "spec.schedule", `"*/5 0-6,22 1 JAN-MAR MON"`},
	{"", "cronjob", "spec.schedule", `"@hourly"`},
	{"1.25", "cronjob", "spec.timeZone", `Europe/Berlin`},
	{"", "cronjob", "spec.suspend", `true`},
	{"", "service", "spec.type", `LoadBalancer`},
	{"", "service", "spec", `{type: ExternalName, externalName: db.example.com.}`},
	{"", "service", "spec", `{clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}`},
	{"", "service", "spec", `{clusterIP: None, selector: {app: db}}`},
	{"", "service", "spec", `{type: NodePort, externalTrafficPolicy: Local, selector: {a: b}, ports: [{port: 53, name: tcp, nodePort: 30053}, {port: 53, name: udp, protocol: UDP}]}`},
	{"", "service", "spec", `{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], selector: {a: b}, ports: [{port: 443, appProtocol: kubernetes.io/h2c}]}`},
	{"", "service", "spec", `{ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6], sessionAffinity: ClientIP, selector: {a: b}, ports: [{port: 80}]}`},
	{"", "ingress", "spec", `{defaultBackend: {service: {name: web, port: {number: 80}}}}`},
	{"", "ingress", "spec.rules[0].host", `"*.example.com"`},
	{"", "ingress", "spec.rules[0].http.paths[0]", `{path: "/api(/|$)(.*)", pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}`},
	{"", "ingress", "spec.rules[0].http.paths[0]", `{path: /static, pathType: Exact, backend: {resource: {apiGroup: k8s.example.com, kind: Bucket, name: static}}}`},
	{"", "networkpolicy", "spec", `{podSelector: {}, policyTypes: [Ingress]}`},
	{"", "networkpolicy", "spec.ingress[0].ports", `[{port: 32000, endPort: 32768}, {port: http}]`},
	{"", "networkpolicy", "spec.ingress[0].from", `[{podSelector: {}, namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [dev]}]}}]`},
	{"", "hpa", "spec.metrics[0]", `{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 1k}}}`},
	{"", "hpa", "spec.metrics[0]", `{type: External, external: {metric: {name: queue, selector: {matchLabels: {q: a}}}, target: {type: Value, value: "30"}}}`},
	{"", "hpa", "spec.metrics[0]", `{type: Object, object: {metric: {name: rps}, describedObject: {apiVersion: v1, kind: Service, name: a}, target: {type: Value, value: 10}}}`},
	{"", "hpa", "spec.metrics[0]", `{type: ContainerResource, containerResource: {name: memory, container: app, target: {type: Utilization, averageUtilization: 80}}}`},
	{"", "hpa", "spec.behavior", `{scaleUp: {selectPolicy: Disabled}}`},
	{"", "pdb", "spec", `{maxUnavailable: 1, selector: {}}`},
	{"1.27", "pdb", "spec.unhealthyPodEvictionPolicy", `AlwaysAllow`},
	{"", "role", "rules[1]", `{apiGroups: ["apps", extensions], resources: ["deployments/scale"], resourceNames: [orders-api], verbs: [update, patch]}`},
	{"", "clusterrole", "aggregationRule", `{clusterRoleSelectors: [{matchLabels: {rbac.example.com/aggregate: "true"}}]}`},
	{"", "clusterrole", "rules", `[]`},
	{"", "rolebinding", "subjects", `[{kind: Group, name: "system:authenticated", apiGroup: rbac.authorization.k8s.io}]`},
	{"", "configmap", "immutable", `true`},
	{"", "configmap", "", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: null, annotations: {a: null}}, data: {a: null}}`},
	{"", "configmap", "data", `{}`},
	{"", "secret", "type", `bootstrap.example.com/token`},
	{"", "secret", "", `{apiVersion: v1, kind: Secret, metadata: {name: tls}, type: kubernetes.io/tls, data: {tls.crt: YQ==, tls.key: YQ==}}`},
	{"", "secret", "", `{apiVersion: v1, kind: Secret, metadata: {name: pull}, type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: e30=}}`},
	{"", "secret", "", `{apiVersion: v1, kind: Secret, metadata: {name: gitlab-id}, type: credential.devops.kubesphere.io/basic-auth, stringData: {username: a, password: b}}`},
	{"", "pvc", "spec.volumeMode", `Block`},
	{"", "application", "spec.source", `{repoURL: "https://charts.example.com", chart: web, targetRevision: 1.2.x, helm: {valuesObject: {image: {tag: "1"}, list: [1, a]}, parameters: [{name: a, value: b}]}}`},
	{"", "application", "spec.source.kustomize", `{images: ["a=b:1"], replicas: [{name: a, count: 2}, {name: b, count: "3"}], patches: [{target: {kind: Deployment}, patch: "[]"}]}`},
	{"", "application", "spec.ignoreDifferences", `[{group: apps, kind: Deployment, jsonPointers: [/spec/replicas]}]`},
	{"", "application", "metadata.annotations", `{"argocd.argoproj.io/sync-wave": "-1", notifications.argoproj.io/subscribe.on-sync-failed.slack: a}`},
	{"", "appproject", "spec.syncWindows", `[{kind: deny, schedule: "0 22 * * *", duration: 8h, applications: ["*"]}]`},
	{"", "multibranch", "spec.multi_branch_pipeline", `{name: orders-api, script_path: Jenkinsfile, source_type: git, git_source: {url: "https://git.example.com/a.git", discover_branches: true}}`},
	{"", "devopsproject", "", `{apiVersion: devops.kubesphere.io/v1alpha3, kind: DevOpsProject, metadata: {name: a}, status: {adminNamespace: a}}`},
	{"", "ksapplication", "spec", `{kind: fluxcd, fluxApp: {spec: {source: {sourceRef: {kind: GitRepository, name: a, namespace: b}}, config: {kustomization: [{destination: {kubeConfig: null, targetNamespace: a}, interval: 8m0s, prune: true, path: a}]}}}}`},
	{"", "ksapplication", "spec", `{kind: fluxcd, fluxApp: {spec: {source: {sourceRef: {kind: GitRepository, name: a}}, config: {helmRelease: {chart: {interval: 5m0s, chart: ./c, version: "1"}, template: null, deploy: [{destination: {kubeConfig: {secretRef: {name: n, key: value}}, targetNamespace: a}, interval: 1m0s, install: {createNamespace: true}, upgrade: {force: true}}]}}}}}`},
	{"", "pipeline", "", `{apiVersion: devops.kubesphere.io/v1alpha3, kind: GitRepository, metadata: {name: a}, spec: {provider: github, owner: a, repo: b}}`},
	{"", "pipeline", "spec.pipeline.name", `other-than-the-object`},
	{"", "pipeline", "spec.pipeline.timer_trigger", `{cron: "H 2 * * *"}`},
}

type sample struct {
	name, since string
	object      map[string]any
}

func goodObjects(t *testing.T) []sample {
	t.Helper()
	var samples []sample
	for _, name := range bases() {
		samples = append(samples, sample{name: name, object: object(t, name)})
	}
	for _, name := range slices.Sorted(maps.Keys(wraps)) {
		for _, variation := range inEveryPod {
			samples = append(samples, sample{
				name: fmt.Sprintf("%s with %s %s", name, variation.path, variation.value), since: variation.since,
				object: inPod(t, name, variation.path, variation.value),
			})
		}
	}
	for _, g := range good {
		samples = append(samples, sample{
			name: fmt.Sprintf("%s with %s %s", g.name, g.path, g.value), since: g.since, object: object(t, g.name, g.path, g.value),
		})
	}
	return samples
}

// inPod puts a value into the pod of a workload, without the mounts and ports that other values of the base refer to.
func inPod(t *testing.T, name, path, value string) map[string]any {
	t.Helper()
	return object(t, name, wraps[name]+".containers[0].readinessProbe", "null", wraps[name]+"."+path, value)
}

func TestGoodObjectsPassOnEveryVersionThatKnowsThem(t *testing.T) {
	t.Parallel()
	samples := goodObjects(t)
	if len(samples) < 100 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range samples {
		for _, finding := range lint.Check(s.object) {
			t.Errorf("%s: %+v", s.name, finding)
		}
	}
	versions := schema.Versions()
	for i, version := range versions {
		set, err := schema.New(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			if slices.Index(versions, s.since) > i {
				continue
			}
			problems, known := set.Validate(s.object)
			if !known || len(problems) > 0 {
				t.Errorf("%s: %s: known %v, %+v", version, s.name, known, problems)
			}
		}
	}
}
