package lint_test

import (
	"strings"
	"testing"

	"slipway/steps/internal/manifest/lint"
	"slipway/steps/internal/manifest/schema"
)

// bad is one change to a good object, the place where it has to be reported (that of the change if empty), and a part of
// what has to be said.
type bad struct{ name, path, value, at, says string }

// findings returns what schema and lint find, as "path: message | fix".
func findings(t *testing.T, object map[string]any) []string {
	t.Helper()
	set, err := schema.New("1.30")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	problems, _ := set.Validate(object)
	for _, p := range problems {
		all = append(all, p.Path+": "+p.Message+" | "+p.Fix)
	}
	for _, f := range lint.Check(object) {
		all = append(all, f.Path+": "+f.Message+" | "+f.Fix)
	}
	return all
}

func assertFound(t *testing.T, b bad) {
	t.Helper()
	at := b.at
	if at == "" {
		at = b.path
	}
	found := findings(t, object(t, b.name, b.path, b.value))
	assertSaidOnce(t, b, found)
	for _, f := range found {
		what, fix, _ := strings.Cut(f, " | ")
		if strings.HasPrefix(what, at+": ") && strings.Contains(f, b.says) && fix != "" {
			return
		}
	}
	t.Errorf("%s with %s: %s\n  want %s: ...%s...\n  got  %s", b.name, b.path, b.value, at, b.says, strings.Join(found, "\n       "))
}

// assertSaidOnce checks that schema and lint do not both report one value; discover_branches is worth a better hint.
func assertSaidOnce(t *testing.T, b bad, found []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range found {
		place, _, _ := strings.Cut(f, ": ")
		if seen[place] && !strings.HasSuffix(place, "discover_branches") {
			t.Errorf("%s with %s: %s: said twice of %s:\n  %s", b.name, b.path, b.value, place, strings.Join(found, "\n  "))
		}
		seen[place] = true
	}
}

func TestMistakesThatPeopleMakeAreFoundWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, b := range []bad{
		{"deployment", container + ".imagePulPolicy", "Always", "", "did you mean imagePullPolicy?"},
		{"deployment", "spec.replicas", `"three"`, "", "must be a whole number"},
		{"deployment", "spec.selector", "null", "", "required field is missing"},
		{"deployment", "metadata.labels.team", "a b", "", "label value"},
		{"deployment", container + ".image", `"registry.example/App:1"`, "", "lower-case"},
		{"deployment", container + ".resources.limits.memory", "12Mbb", "", "no quantity"},
		{"deployment", template[:len(template)-5] + ".metadata.labels", "{app: other}", "spec.selector", "does not match"},
		{"deployment", "metadata.name", "Orders_API", "", "for instance to orders-api"},
		{"deployment", container + ".ports[0].containerPort", "99999", "", "out of range"},
		{"deployment", template + ".restartPolicy", "Sometimes", "", "Always"},
		{"deployment", template + ".containers[1]", "{name: app, image: b}", template + ".containers[1].name", "duplicate"},
		{"deployment", container + ".env[2]", "{name: N, value: 1}", container + ".env[2].value", `quote it: "1"`},
		{"deployment", "apiVersion", "extensions/v1beta1", "", "removed in 1.16 | use apps/v1"},
		{"ingress", "apiVersion", "extensions/v1beta1", "", "removed in 1.22 | use networking.k8s.io/v1"},
		{"deployment", container + ".volumeMounts[2]", "{name: nowhere, mountPath: /x}", container + ".volumeMounts[2].name", "no volume"},
		{"configmap", "data.n", "1", "", "quote it"},
		{"configmap", "data.y", "true", "", `quote it: "true"`},
		{"cronjob", "spec.schedule", "every day", "", "five fields"},
		{"application", "spec.sorce", "{}", "", "did you mean source?"},
		{"application", "spec.project", "null", "", "required field is missing"},
		{"deployment", "kind", "Deploymnt", "", "did you mean Deployment?"},
	} {
		assertFound(t, b)
	}
}

func TestWhatTheServerValidatesInPodsIsFound(t *testing.T) {
	t.Parallel()
	for _, b := range []bad{
		{"deployment", container + ".image", `""`, "", "empty"},
		{"deployment", container + ".image", `"app:$TAG"`, "", "variable"},
		{"deployment", container + ".image", `"app: 1"`, "", "no image reference"},
		{"deployment", container + ".image", `"app:"`, "", "no image reference"},
		{"deployment", container + ".image", `"-app:1"`, "", "no image reference"},
		{"deployment", container + ".image", `"app@sha256:abc"`, "", "no image reference"},
		{"deployment", container + ".image", `"https://registry.example/app"`, "", "no image reference"},
		{"deployment", container + ".image", "null", "", "no image"},
		{"deployment", container + ".name", "App", "", "label"},
		{"deployment", container + ".imagePullPolicy", "always", "", "write Always"},
		{"deployment", container + ".ports[0].protocol", "tcp", "", "write TCP"},
		{"deployment", container + ".ports[0].name", "a-name-that-is-too-long", "", "15 characters"},
		{"deployment", container + ".ports[1].name", "http", "", "duplicate"},
		{"deployment", container + ".ports[0].hostPort", "70000", "", "out of range"},
		{"deployment", container + ".env[0].name", `"A B"`, "", ""},
		{"deployment", container + ".env[1].name", "LOG_LEVEL", "", "duplicate"},
		{"deployment", container + ".env[1].value", "x", container + ".env[1].valueFrom", "beside value"},
		{"deployment", container + ".env[1].valueFrom.fieldRef", "{fieldPath: metadata.name}", container + ".env[1].valueFrom.secretKeyRef", "beside fieldRef"},
		{"deployment", container + ".env[1].valueFrom", "{}", "", "one of"},
		{"deployment", container + ".env[1].valueFrom", "{fieldRef: {fieldPath: spec.image}}", container + ".env[1].valueFrom.fieldRef.fieldPath", "cannot be a variable"},
		{"deployment", container + ".envFrom", "[{}]", container + ".envFrom[0]", "configMapRef"},
		{"deployment", container + ".resources.requests.memory", "1Gi", "", "more than the limit 256Mi"},
		{"deployment", container + ".resources.requests.cpu", `"-1"`, "", "negative"},
		{"deployment", container + ".resources.limits.mem", "1Gi", "", "unknown resource"},
		{"deployment", container + ".readinessProbe.tcpSocket", "{port: 80}", "", "beside httpGet"},
		{"deployment", container + ".readinessProbe", "{periodSeconds: 5}", "", "needs one of"},
		{"deployment", container + ".readinessProbe.httpGet.port", "web", "", "no port named"},
		{"deployment", container + ".readinessProbe.periodSeconds", "-1", "", "at least"},
		{"deployment", container + ".livenessProbe", "{tcpSocket: {port: 80}, successThreshold: 2}", container + ".livenessProbe.successThreshold", "must be 1"},
		{"deployment", container + ".lifecycle", "{preStop: {exec: {command: []}}}", container + ".lifecycle.preStop.exec.command", "no command"},
		{"deployment", template + ".initContainers", "[{name: i, image: a, livenessProbe: {tcpSocket: {port: 1}}}]", template + ".initContainers[0].livenessProbe", "sidecar"},
		{"deployment", template + ".volumes[1].name", "config", "", "duplicate"},
		{"deployment", template + ".volumes[1].hostPath", "{path: /x}", "", "two sources"},
		{"deployment", template + ".volumes[0].configMap.defaultMode", "644", "", "0644"},
		{"deployment", container + ".volumeMounts[1].mountPath", "/etc/app", "", "duplicate"},
		{"deployment", container + ".volumeMounts[1].subPath", "../x", "", "leaves"},
		{"deployment", template + ".dnsPolicy", "None", template + ".dnsConfig.nameservers", "name server"},
		{"deployment", template + ".tolerations", "[{key: a, operator: Exists, value: b}]", template + ".tolerations[0].value", "takes no value"},
		{"deployment", template + ".topologySpreadConstraints", "[{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]", template + ".topologySpreadConstraints[0].maxSkew", "at least 1"},
		{"deployment", template + ".nodeSelector", `{"a b": c}`, template + `.nodeSelector["a b"]`, "key"},
		{"deployment", template + ".activeDeadlineSeconds", "5", "", "for ever"},
		{"deployment", template + ".containers", "[]", "", "no containers"},
		{"deployment", container + ".securityContext", "{privileged: true, allowPrivilegeEscalation: false}", container + ".securityContext.allowPrivilegeEscalation", "privileged"},
		{"daemonset", container + ".ports[0].hostPort", "9200", "", "hostNetwork"},
		{"deployment", "spec.template.spce", "{}", "", "did you mean spec?"},
		{"deployment", "spec.template.containers", "[]", "", "move it into spec"},
		{"deployment", container + ".command", "sh -c x", "", `begins with "- "`},
		{"deployment", container + ".ports[0].containerPort", `"8080"`, "", "remove the quotes"},
		{"pod", "spec.containers[0].image", `" nginx"`, "", "image"},
	} {
		assertFound(t, b)
	}
}

func TestWhatTheServerValidatesInWorkloadsIsFound(t *testing.T) {
	t.Parallel()
	for _, b := range []bad{
		{"deployment", "spec.replicas", "-1", "", "at least 0"},
		{"deployment", "spec.strategy.type", "Recreate", "spec.strategy.rollingUpdate", "Recreate"},
		{"deployment", "spec.strategy.rollingUpdate.maxSurge", "0", "spec.strategy.rollingUpdate.maxUnavailable", "replaced"},
		{"deployment", "spec.strategy.rollingUpdate.maxSurge", "a lot", "", "percentage"},
		{"deployment", "spec.selector", "{}", "", "empty"},
		{"deployment", "spec.minReadySeconds", "900", "", "progressDeadlineSeconds"},
		{"deployment", "metadata.labels", `{"a/b/c": d}`, `metadata.labels["a/b/c"]`, "key"},
		{"deployment", "metadata.labels.long", strings.Repeat("x", 64), "", "63"},
		{"deployment", "metadata.labels.version", "1.4", "", `quote it: "1.4"`},
		{"deployment", "metadata.annotations.enabled", "true", "", `quote it: "true"`},
		{"deployment", "metadata.name", "null", "", "no name"},
		{"deployment", "metadata.namespace", "shop.eu", "", "for instance to shop-eu"},
		{"replicaset", "spec.selector.matchExpressions[0].values", "[]", "", "needs values"},
		{"replicaset", "spec.selector.matchExpressions[0].operator", "in", "", "write In"},
		{"statefulset", "metadata.name", "db.main", "", "dots"},
		{"statefulset", "spec.volumeClaimTemplates[0].metadata.name", "files", container + ".volumeMounts[0].name", "no volume"},
		{"statefulset", "spec.volumeClaimTemplates[0].spec.accessModes", "[]", "", "access mode"},
		{"statefulset", "spec.podManagementPolicy", "parallel", "", "write Parallel"},
		{"pvc", "spec.accessModes[0]", "ReadWrite", "", "ReadWriteOnce"},
		{"pvc", "spec.resources", "{}", "spec.resources.requests.storage", "10Gi"},
		{"job", template + ".restartPolicy", "Always", "", "OnFailure"},
		{"job", template + ".restartPolicy", "null", "", "restartPolicy: OnFailure or Never"},
		{"job", "spec.backoffLimit", "-1", "", "at least 0"},
		{"job", "spec.completionMode", "Indexed", "spec.completions", "indexes"},
		{"job", "spec.selector", "{matchLabels: {a: b}}", "", "manualSelector"},
		{"cronjob", "spec.schedule", `"61 * * * *"`, "", "schedule"},
		{"cronjob", "spec.schedule", `"TZ=UTC 1 * * * *"`, "", "spec.timeZone"},
		{"cronjob", "spec.timeZone", "Europe/Berlinn", "", "time zone"},
		{"cronjob", "spec.timeZone", "Local", "", "time zone"},
		{"cronjob", "spec.concurrencyPolicy", "Never", "", "Forbid"},
		{"cronjob", "metadata.name", strings.Repeat("n", 53), "", "52"},
		{"hpa", "spec.maxReplicas", "1", "", "less than minReplicas"},
		{"hpa", "spec.minReplicas", "0", "", "External"},
		{"hpa", "spec.metrics[0].type", "Pods", "spec.metrics[0].pods", "required by type"},
		{"hpa", "spec.metrics[0].resource.target", "{type: Utilization}", "spec.metrics[0].resource.target.averageUtilization", "required"},
		{"hpa", "spec.behavior.scaleDown.stabilizationWindowSeconds", "7200", "", "at most 3600"},
		{"hpa", "spec.scaleTargetRef.name", "null", "", "missing"},
		{"hpa", "spec.scaleTargetRef.name", `""`, "", "empty"},
		{"hpa", "apiVersion", "autoscaling/v2beta2", "", "use autoscaling/v2"},
		{"pdb", "spec.maxUnavailable", "1", "", "beside minAvailable"},
		{"pdb", "spec.minAvailable", "120%", "", "percentage"},
		{"pdb", "spec.minAvailable", "half", "", "percentage"},
		{"pdb", "apiVersion", "policy/v1beta1", "", "use policy/v1"},
	} {
		assertFound(t, b)
	}
}

func TestWhatTheServerValidatesElsewhereIsFound(t *testing.T) {
	t.Parallel()
	for _, b := range []bad{
		{"service", "metadata.name", "1st", "", "a DNS-1035 label"},
		{"service", "spec.ports", "[]", "", "needs a port"},
		{"service", "spec.ports[1].name", "null", "", "name each port"},
		{"service", "spec.ports[1].name", "http", "", "duplicate"},
		{"service", "spec.ports[1].port", "80", "", "duplicate"},
		{"service", "spec.ports[0].targetPort", "0", "", "out of range"},
		{"service", "spec.ports[0].nodePort", "30080", "", "NodePort"},
		{"service", "spec.type", "Loadbalancer", "", "write LoadBalancer"},
		{"service", "spec.type", "ExternalName", "spec.externalName", "missing"},
		{"service", "spec.clusterIP", "10.0.0", "", "no IP address"},
		{"service", "spec.loadBalancerSourceRanges", "[10.0.0.0/8]", "", "LoadBalancer"},
		{"service", "spec.externalTrafficPolicy", "Local", "", "ClusterIP"},
		{"service", "spec.selector.app", `"a b"`, "", "label value"},
		{"service", "spec.sessionAffinity", "Cookie", "", "ClientIP"},
		{"ingress", "spec.rules[0].http.paths[0].pathType", "null", "", "required"},
		{"ingress", "spec.rules[0].http.paths[0].pathType", "prefix", "", "write Prefix"},
		{"ingress", "spec.rules[0].http.paths[0].path", "api", "", "not absolute"},
		{"ingress", "spec.rules[0].http.paths[0].backend", "{serviceName: a, servicePort: 80}", "spec.rules[0].http.paths[0].backend.serviceName", "unknown field"},
		{"ingress", "spec.rules[0].http.paths[0].backend.service.port.number", "80", "", "beside name"},
		{"ingress", "spec.rules[0].host", "http://a.example.com", "", "subdomain"},
		{"ingress", "spec.rules[0].host", "10.0.0.1", "", "IP address"},
		{"ingress", "spec.rules", "null", "", "defaultBackend"},
		{"ingress", "spec.tls[0].secretName", "A", "", "subdomain"},
		{"networkpolicy", "spec.egress[0].to[0].ipBlock.except[0]", "192.168.0.0/16", "", "no part"},
		{"networkpolicy", "spec.policyTypes[0]", "ingress", "", "write Ingress"},
		{"networkpolicy", "spec.ingress[0].from[0]", "{}", "", "says nothing"},
		{"role", "rules[0].verbs", "[]", "", "verb"},
		{"role", "rules[0].apiGroups", "null", "", "core group"},
		{"role", "rules[0].nonResourceURLs", "[/x]", "", "ClusterRole"},
		{"rolebinding", "roleRef.kind", "role", "", "write Role"},
		{"rolebinding", "subjects[0].apiGroup", "rbac.authorization.k8s.io", "", "remove it"},
		{"rolebinding", "subjects[1].kind", "Person", "", "User"},
		{"clusterrolebinding", "subjects[0].namespace", "null", "", "namespace"},
		{"clusterrolebinding", "roleRef.kind", "Role", "", "ClusterRole"},
		{"configmap", `data["a/b"]`, "x", "", "key"},
		{"configmap", `binaryData["app.yaml"]`, "eA==", "", "data, too"},
		{"configmap", "data.big", strings.Repeat("x", 1<<20+1), "data", "limit"},
		{"configmap", "data.nested", "{a: b}", "", "must be a string"},
		{"secret", "data.password", "not base64!", "", "stringData"},
		{"secret", "type", "kubernetes.io/tls", `data["tls.crt"]`, "tls.crt"},
		{"secret", "type", "credential.devops.kubesphere.io/kubeconfig", "data.content", "content"},
		{"secret", "", "{apiVersion: v1, kind: Secret, metadata: {name: a}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: nope}}", `stringData[".dockerconfigjson"]`, "no JSON"},
		{"namespace", "metadata.name", "team.shop", "", "dots"},
		{"quota", "spec.hard.pods", "many", "", "no quantity"},
		{"pipeline", "spec.type", "pipelines", "", "multi-branch-pipeline"},
		{"pipeline", "spec.type", "multi-branch-pipeline", "spec.multi_branch_pipeline", "required by type"},
		{"pipeline", "spec.pipeline.parameters[0].type", "int", "", "boolean"},
		{"pipeline", "spec.pipeline.discarder.days_to_keep", "7", "", "string"},
		{"pipeline", "spec.pipeline.discarder.num_to_keep", "ten", "", "no number"},
		{"pipeline", "spec.pipeline.parameters[1].name", "IMAGE_TAG", "", "duplicate"},
		{"pipeline", "spec.pipeline.parameters[1].default_value", "null", "", "choices"},
		{"pipeline", "spec.pipeline.parametrs", "[]", "", "did you mean parameters?"},
		{"multibranch", "spec.multi_branch_pipeline.source_type", "gitea", "", "gitlab"},
		{"multibranch", "spec.multi_branch_pipeline.source_type", "github", "spec.multi_branch_pipeline.github_source", "missing"},
		{"multibranch", "spec.multi_branch_pipeline.gitlab_source.discover_branches", "true", "", "number"},
		{"multibranch", "spec.multi_branch_pipeline.timer_trigger", "{interval: soon}", "spec.multi_branch_pipeline.timer_trigger.interval", "milliseconds"},
		{"application", "metadata.finalizers[0]", "a b", "", "key"},
		{"application", "metadata.labls", "{}", "", "did you mean labels?"},
		{"application", "spec.syncPolicy.retry.limit", `"5"`, "", "remove the quotes"},
	} {
		assertFound(t, b)
	}
}
