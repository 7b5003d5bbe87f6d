package lint

import "slices"

// set is the objects that are linted together.
type set struct {
	checks []*check
	byID   map[string]int
}

// crossCheck returns what is wrong between objects.
func crossCheck(objects []map[string]any) []Finding {
	s := set{byID: map[string]int{}}
	for i, object := range objects {
		c := newCheck(object)
		c.findings = nil
		s.checks = append(s.checks, c)
		if name := c.get("metadata", "name"); name.text() != "" {
			id := s.id(c, c.group, c.kind, name.text())
			if first, twice := s.byID[id]; twice {
				c.add("duplicate-object", name, "remove or rename one of the two", "%s %q is there twice, first as object %d", c.kind, name.text(), first+1)
				continue
			}
			s.byID[id] = i
		}
	}
	var findings []Finding
	for i, c := range s.checks {
		s.references(c)
		for _, finding := range c.findings {
			finding.Object = i
			findings = append(findings, finding)
		}
	}
	return findings
}

func (s set) id(c *check, group, kind, name string) string {
	return group + "/" + kind + "/" + c.get("metadata", "namespace").text() + "/" + name
}

// find returns the object of a name in the namespace of c, or nil.
func (s set) find(c *check, group, kind, name string) *check {
	if i, ok := s.byID[s.id(c, group, kind, name)]; ok && name != "" {
		return s.checks[i]
	}
	return nil
}

func (s set) references(c *check) {
	switch c.group + "/" + c.kind {
	case "/Service":
		s.targetPorts(c)
	case "networking.k8s.io/Ingress":
		s.backends(c)
	default:
		for _, template := range podTemplates(c) {
			s.keys(c, template.get("spec"))
		}
	}
}

// podTemplates returns the pod or the template in an object, if its kind has one.
func podTemplates(c *check) []value {
	switch c.group + "/" + c.kind {
	case "/Pod":
		return []value{c.value}
	case "batch/CronJob":
		return []value{c.get("spec", "jobTemplate", "spec", "template")}
	case "apps/Deployment", "apps/ReplicaSet", "apps/DaemonSet", "apps/StatefulSet", "batch/Job", "/ReplicationController":
		return []value{c.get("spec", "template")}
	default:
		return nil
	}
}

// targetPorts checks that a named port of a Service exists in the pods it selects.
func (s set) targetPorts(c *check) {
	selector := c.get("spec", "selector").strings()
	if len(selector) == 0 {
		return
	}
	var containers []value
	for _, other := range s.checks {
		if other.get("metadata", "namespace").text() != c.get("metadata", "namespace").text() {
			continue
		}
		for _, template := range podTemplates(other) {
			if includes(selector, template.get("metadata", "labels").strings()) {
				containers = append(containers, template.get("spec", "containers").items()...)
				containers = append(containers, template.get("spec", "initContainers").items()...)
			}
		}
	}
	if len(containers) == 0 {
		return
	}
	for _, port := range c.get("spec", "ports").items() {
		target := port.get("targetPort")
		named := func(container value) bool { return hasPort(container, target.text()) }
		if target.text() != "" && !slices.ContainsFunc(containers, named) {
			c.add("reference", target, "name a port of the container, or use its number", "no container that the service selects has a port named %q", target.text())
		}
	}
}

// backends checks that the ports an Ingress sends to exist in Services that are there.
func (s set) backends(c *check) {
	backends := []value{c.get("spec", "defaultBackend")}
	for _, rule := range c.get("spec", "rules").items() {
		for _, path := range rule.get("http", "paths").items() {
			backends = append(backends, path.get("backend"))
		}
	}
	for _, backend := range backends {
		service := s.find(c, "", "Service", backend.get("service", "name").text())
		if service == nil || service.get("spec", "type").text() == "ExternalName" {
			continue
		}
		wanted := backend.get("service", "port")
		number, byNumber := wanted.get("number").integer()
		listens := slices.ContainsFunc(service.get("spec", "ports").items(), func(p value) bool {
			n, _ := p.get("port").integer()
			return byNumber && n == number || !byNumber && p.get("name").text() == wanted.get("name").text()
		})
		if !listens {
			c.add("reference", wanted, "use a port of the service", "service %q has no such port", backend.get("service", "name").text())
		}
	}
}

// keys checks that the keys a pod reads exist in ConfigMaps and Secrets that are there: without them it would not start.
func (s set) keys(c *check, spec value) {
	for _, field := range []string{"initContainers", "containers"} {
		for _, container := range spec.get(field).items() {
			for _, env := range container.get("env").items() {
				s.key(c, "ConfigMap", env.get("valueFrom", "configMapKeyRef"))
				s.key(c, "Secret", env.get("valueFrom", "secretKeyRef"))
			}
		}
	}
}

func (s set) key(c *check, kind string, ref value) {
	holder := s.find(c, "", kind, ref.get("name").text())
	key := ref.get("key").text()
	if holder == nil || key == "" || ref.get("optional").v == true {
		return
	}
	for _, field := range []string{"data", "binaryData", "stringData"} {
		if _, ok := holder.get(field).fields()[key]; ok {
			return
		}
	}
	c.add("reference", ref.get("key"), "use a key of it, or add the key", "%s %q has no key %q", kind, ref.get("name").text(), key)
}
