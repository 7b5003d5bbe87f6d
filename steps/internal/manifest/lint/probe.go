package lint

import (
	"k8s.io/apimachinery/pkg/util/validation"
)

// lifecycle checks probes and hooks of a container; init containers have none unless they keep running beside the others.
func (c *check) lifecycle(container value, field string) {
	restart := container.get("restartPolicy")
	sidecar := field == "initContainers" && restart.text() == "Always"
	for _, name := range container.given("livenessProbe", "readinessProbe", "startupProbe", "lifecycle") {
		if field == "initContainers" && !sidecar {
			c.add("probe", container.get(name), "remove it, or make the container a sidecar with restartPolicy: Always",
				"init containers cannot have a %s", name)
			continue
		}
		if name == "lifecycle" {
			c.hook(container, container.get("lifecycle", "postStart"))
			c.hook(container, container.get("lifecycle", "preStop"))
			continue
		}
		c.probe(container, container.get(name), name)
	}
}

func (c *check) probe(container, probe value, name string) {
	c.handler(container, probe, "exec", "httpGet", "tcpSocket", "grpc")
	for _, field := range []string{"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"} {
		c.atLeast("probe", probe.get(field), 0)
	}
	if threshold := probe.get("successThreshold"); name != "readinessProbe" {
		if n, ok := threshold.integer(); ok && n > 1 {
			c.add("probe", threshold, "use 1, or remove it", "must be 1 in a %s, found %d", name, n)
		}
	}
	grace := probe.get("terminationGracePeriodSeconds")
	c.atLeast("probe", grace, 1)
	if grace.exists() && name == "readinessProbe" {
		c.add("probe", grace, "remove it", "a readinessProbe ends no container, so it has no grace period")
	}
}

func (c *check) hook(container, hook value) {
	if hook.exists() {
		c.handler(container, hook, "exec", "httpGet", "tcpSocket", "sleep")
	}
}

func (c *check) handler(container, v value, kinds ...string) {
	c.exactlyOne("probe", v, kinds...)
	if exec := v.get("exec"); exec.exists() && len(exec.get("command").items()) == 0 {
		c.add("probe", exec.get("command"), "name the command to run", "exec has no command")
	}
	c.oneOf("probe", v.get("httpGet", "scheme"), "HTTP", "HTTPS")
	for _, header := range v.get("httpGet", "httpHeaders").items() {
		c.grammar("probe", header.get("name"), validation.IsHTTPHeaderName)
	}
	c.port(v.get("grpc", "port"))
	for _, kind := range []string{"httpGet", "tcpSocket"} {
		port := v.get(kind, "port")
		c.portOrName(port)
		if name := port.text(); name != "" && len(validation.IsValidPortName(name)) == 0 && !hasPort(container, name) {
			c.add("probe", port, "use the number, or name the container's port", "the container has no port named %q", name)
		}
	}
}

func hasPort(container value, name string) bool {
	for _, p := range container.get("ports").items() {
		if p.get("name").text() == name {
			return true
		}
	}
	return false
}
