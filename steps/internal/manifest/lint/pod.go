package lint

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// podContext is what the owner of a pod template decides about it.
type podContext struct {
	kind string
	// policies are the restart policies the owner accepts; the first is not the default where restartPolicy is required.
	policies []string
	// required says that the default, Always, is not among them.
	required bool
	// volumes are the names the owner adds to the pod's own.
	volumes []string
}

var (
	allPolicies = []string{"Always", "OnFailure", "Never"}
	always      = podContext{policies: []string{"Always"}}
	untilDone   = podContext{policies: []string{"OnFailure", "Never"}, required: true}
)

// pod checks a pod, or a pod template: its labels and its spec.
func (c *check) pod(v value, context podContext) {
	if v.at != nil { // the metadata of an object of its own is checked already
		c.describe(v.get("metadata"))
	}
	spec := v.get("spec")
	c.restartPolicy(spec.get("restartPolicy"), context)
	c.oneOf("pod", spec.get("dnsPolicy"), "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
	if spec.get("dnsPolicy").text() == "None" && len(spec.get("dnsConfig", "nameservers").items()) == 0 {
		c.add("pod", spec.get("dnsConfig", "nameservers"), "list the name servers", "dnsPolicy None needs at least one name server")
	}
	c.atLeast("pod", spec.get("terminationGracePeriodSeconds"), 0)
	c.atLeast("pod", spec.get("activeDeadlineSeconds"), 1)
	c.grammar("name", spec.get("serviceAccountName"), isDNS1123Subdomain)
	c.grammar("name", spec.get("hostname"), isDNS1123Label)
	c.grammar("name", spec.get("subdomain"), isDNS1123Label)
	c.grammar("name", spec.get("priorityClassName"), isDNS1123Subdomain)
	c.labels("label", spec.get("nodeSelector"))
	c.uniqueNames("pod", "pull secret", spec.get("imagePullSecrets").items())
	c.tolerations(spec.get("tolerations"))
	c.affinity(spec.get("affinity"))
	c.spread(spec.get("topologySpreadConstraints"))
	volumes := c.volumes(spec.get("volumes"))
	c.containers(spec, append(volumes, context.volumes...))
}

func (c *check) restartPolicy(v value, context podContext) {
	if !v.exists() || v.text() == "" {
		if context.required {
			c.add("restart-policy", v, "add restartPolicy: "+strings.Join(context.policies, " or "),
				"must be %s: the default, Always, would never finish", strings.Join(context.policies, " or "))
		}
		return
	}
	c.oneOf("restart-policy", v, context.policies...)
}

func (c *check) containers(spec value, volumes []string) {
	containers := spec.get("containers")
	if list, ok := containers.v.([]any); ok && len(list) == 0 {
		c.add("pod", containers, "add a container", "pod has no containers")
	}
	var all []value
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range spec.get(field).items() {
			all = append(all, container)
			c.container(container, volumes, field)
			c.hostNetwork(container, spec.get("hostNetwork").v == true)
		}
	}
	c.uniqueNames("duplicate-name", "container name", all)
	c.hostPorts(spec.get("containers").items())
}

func (c *check) container(v value, volumes []string, field string) {
	c.grammar("name", v.get("name"), isDNS1123Label)
	if !v.get("image").exists() {
		c.add("image", v.get("image"), "name an image, such as registry.example/app:1.2.3", "container has no image")
	}
	c.image(v.get("image"))
	c.oneOf("container", v.get("imagePullPolicy"), "Always", "IfNotPresent", "Never")
	c.oneOf("container", v.get("restartPolicy"), allPolicies...)
	c.oneOf("container", v.get("terminationMessagePolicy"), "File", "FallbackToLogsOnError")
	c.ports(v.get("ports"))
	c.environment(v)
	c.resources(v.get("resources"))
	c.mounts(v, volumes)
	c.security(v.get("securityContext"))
	c.lifecycle(v, field)
}

func (c *check) security(v value) {
	for _, field := range []string{"runAsUser", "runAsGroup"} {
		c.atLeast("security", v.get(field), 0)
	}
	escalation := v.get("allowPrivilegeEscalation")
	if escalation.v == false && v.get("privileged").v == true {
		c.add("security", escalation, "remove one of the two", "cannot be false in a privileged container")
	}
	if user, ok := v.get("runAsUser").integer(); ok && user == 0 && v.get("runAsNonRoot").v == true {
		c.add("security", v.get("runAsUser"), "choose a user other than 0, or remove runAsNonRoot", "user 0 is root, which runAsNonRoot forbids")
	}
}

func (c *check) ports(ports value) {
	for _, p := range ports.items() {
		c.port(p.get("containerPort"))
		if n, ok := p.get("hostPort").integer(); !ok || n != 0 {
			c.port(p.get("hostPort"))
		}
		c.oneOf("port", p.get("protocol"), "TCP", "UDP", "SCTP")
		c.grammar("port", p.get("name"), validation.IsValidPortName)
	}
	c.uniqueNames("duplicate-name", "port name", ports.items())
}

func (c *check) hostNetwork(container value, on bool) {
	if !on {
		return
	}
	for _, p := range container.get("ports").items() {
		host, given := p.get("hostPort").integer()
		if inside, ok := p.get("containerPort").integer(); ok && given && host != 0 && host != inside {
			c.add("port", p.get("hostPort"), "give both the same port", "must be the containerPort %d under hostNetwork, found %d", inside, host)
		}
	}
}

func (c *check) hostPorts(containers []value) {
	var ports []value
	for _, container := range containers {
		ports = append(ports, container.get("ports").items()...)
	}
	c.unique("port", "host port", ports, func(p value) string {
		n, ok := p.get("hostPort").integer()
		if !ok || n == 0 {
			return ""
		}
		return strings.TrimSpace(p.get("hostIP").text() + " " + strconv.FormatInt(n, 10) + "/" + p.get("protocol").or("TCP"))
	}, func(p value) value { return p.get("hostPort") })
}

// fieldPaths is what of a pod can be a variable, beside single labels and annotations.
var fieldPaths = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

func isFieldPath(path string) bool {
	return slices.Contains(fieldPaths, path) || strings.HasSuffix(path, "']") &&
		(strings.HasPrefix(path, "metadata.labels['") || strings.HasPrefix(path, "metadata.annotations['"))
}

// environment checks env and envFrom of a container.
func (c *check) environment(container value) {
	for _, env := range container.get("env").items() {
		c.notEmpty("env", env.get("name"), "give the variable a name")
		c.grammar("env", env.get("name"), validation.IsEnvVarName)
		from := env.get("valueFrom")
		if !from.exists() {
			continue
		}
		if env.get("value").text() != "" {
			c.add("env", from, "keep either value or valueFrom", "cannot be beside value")
		}
		c.exactlyOne("env", from, "fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
		if field := from.get("fieldRef", "fieldPath"); field.text() != "" && !isFieldPath(field.text()) {
			c.add("env", field, "use a field such as metadata.name, spec.nodeName or status.podIP", "field %q cannot be a variable", field.text())
		}
		for _, source := range []string{"configMapKeyRef", "secretKeyRef"} {
			c.grammar("env", from.get(source, "key"), validation.IsConfigMapKey)
			if from.get(source).exists() {
				c.required("env", from.get(source, "name"), "name the object that holds the key")
			}
		}
	}
	c.uniqueNames("duplicate-name", "variable", container.get("env").items())
	for _, from := range container.get("envFrom").items() {
		c.exactlyOne("env", from, "configMapRef", "secretRef")
		c.grammar("env", from.get("prefix"), validation.IsEnvVarName)
	}
}

// resources checks requests and limits of a container.
func (c *check) resources(v value) {
	requests, limits := v.get("requests"), v.get("limits")
	for _, amounts := range []value{limits, requests} {
		for _, name := range sortedKeys(amounts) {
			at := amounts.get(name)
			c.resourceName(at, name)
			if q, ok := quantity(at); ok && q.Sign() < 0 {
				c.add("quantity", at, "use 0 or more", "cannot be negative")
			}
		}
	}
	for _, name := range sortedKeys(requests) {
		request, ok := quantity(requests.get(name))
		limit, limited := quantity(limits.get(name))
		if ok && limited && request.Cmp(limit) > 0 {
			c.add("quantity", requests.get(name), "lower the request, or raise the limit", "request %s is more than the limit %s",
				request.String(), limit.String())
		}
	}
}

func (c *check) resourceName(at value, name string) {
	switch {
	case name == "cpu" || name == "memory" || name == "ephemeral-storage" || strings.HasPrefix(name, "hugepages-"):
	case strings.Contains(name, "/"):
		c.key("quantity", at, name)
	default:
		c.add("quantity", at, "use cpu, memory, ephemeral-storage, hugepages-SIZE, or a resource with a domain such as nvidia.com/gpu",
			"unknown resource %q", name)
	}
}

func (c *check) tolerations(v value) {
	for _, t := range v.items() {
		c.oneOf("toleration", t.get("operator"), "Exists", "Equal", "Lt", "Gt")
		c.oneOf("toleration", t.get("effect"), "NoSchedule", "PreferNoSchedule", "NoExecute")
		operator := t.get("operator").or("Equal")
		if operator == "Exists" && t.get("value").text() != "" {
			c.add("toleration", t.get("value"), "remove it, or use operator Equal", "operator Exists takes no value")
		}
		if operator != "Exists" && t.get("key").text() == "" {
			c.add("toleration", t.get("operator"), "use operator Exists to tolerate every taint", "must be Exists when there is no key")
		}
		if t.get("tolerationSeconds").exists() && t.get("effect").text() != "NoExecute" {
			c.add("toleration", t.get("effect"), "use NoExecute, or remove tolerationSeconds", "must be NoExecute when tolerationSeconds is given")
		}
	}
}

func (c *check) affinity(v value) {
	for _, kind := range []string{"podAffinity", "podAntiAffinity"} {
		terms := v.get(kind, "requiredDuringSchedulingIgnoredDuringExecution").items()
		for _, preferred := range v.get(kind, "preferredDuringSchedulingIgnoredDuringExecution").items() {
			c.weight(preferred.get("weight"))
			terms = append(terms, preferred.get("podAffinityTerm"))
		}
		for _, term := range terms {
			c.notEmpty("affinity", term.get("topologyKey"), "name a label of nodes, such as kubernetes.io/hostname")
			c.selector("affinity", term.get("labelSelector"))
		}
	}
	nodes := v.get("nodeAffinity")
	required := nodes.get("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	if list, ok := required.v.([]any); ok && len(list) == 0 {
		c.add("affinity", required, "add a term", "needs at least one term")
	}
	terms := required.items()
	for _, preferred := range nodes.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
		c.weight(preferred.get("weight"))
		terms = append(terms, preferred.get("preference"))
	}
	for _, term := range terms {
		for _, e := range term.get("matchExpressions").items() {
			c.oneOf("affinity", e.get("operator"), "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
		}
	}
}

func (c *check) weight(v value) {
	c.atLeast("affinity", v, 1)
	c.atMost("affinity", v, 100)
}

func (c *check) spread(v value) {
	for _, s := range v.items() {
		c.atLeast("topology-spread", s.get("maxSkew"), 1)
		c.oneOf("topology-spread", s.get("whenUnsatisfiable"), "DoNotSchedule", "ScheduleAnyway")
		c.selector("topology-spread", s.get("labelSelector"))
	}
}

func sortedKeys(v value) []string {
	var keys []string
	for key := range v.fields() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
