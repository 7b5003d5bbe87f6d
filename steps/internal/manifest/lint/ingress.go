package lint

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *check) ingress() {
	spec := c.get("spec")
	if len(spec.get("rules").items()) == 0 && !spec.get("defaultBackend").exists() {
		c.add("ingress", spec.get("rules"), "add a rule, or a defaultBackend", "an ingress needs rules or a defaultBackend")
	}
	c.grammar("name", spec.get("ingressClassName"), isDNS1123Subdomain)
	if backend := spec.get("defaultBackend"); backend.exists() {
		c.backend(backend)
	}
	for _, rule := range spec.get("rules").items() {
		c.host(rule.get("host"))
		paths := rule.get("http", "paths")
		if rule.get("http").exists() && len(paths.items()) == 0 {
			c.add("ingress", paths, "add a path", "a rule for http needs a path")
		}
		for _, path := range paths.items() {
			c.ingressPath(path)
		}
	}
	for _, tls := range spec.get("tls").items() {
		for _, host := range tls.get("hosts").items() {
			c.host(host)
		}
		c.grammar("name", tls.get("secretName"), isDNS1123Subdomain)
	}
	class := c.get("metadata", "annotations", "kubernetes.io/ingress.class")
	if name := spec.get("ingressClassName").text(); class.text() != "" && name != "" && class.text() != name {
		c.add("ingress", class, "remove the annotation", "annotation says class %q, ingressClassName says %q", class.text(), name)
	}
}

func (c *check) host(v value) {
	if _, err := netip.ParseAddr(v.text()); err == nil {
		c.add("ingress", v, "use a DNS name, or leave the host out", "host %q is an IP address", v.text())
		return
	}
	if strings.Contains(v.text(), "*") {
		c.grammar("ingress", v, validation.IsWildcardDNS1123Subdomain)
		return
	}
	c.grammar("ingress", v, isDNS1123Subdomain)
}

func (c *check) ingressPath(v value) {
	path, kind := v.get("path"), v.get("pathType")
	c.oneOf("ingress", kind, "Exact", "Prefix", "ImplementationSpecific")
	switch s := path.text(); {
	case kind.text() == "": // the schema asks for it
	case s == "" && kind.text() != "ImplementationSpecific", s != "" && !strings.HasPrefix(s, "/"):
		c.add("ingress", path, "begin it with /", "path %q is not absolute", s)
	case kind.text() != "ImplementationSpecific" && hasOddParts(s):
		c.add("ingress", path, "remove empty parts, dots and encoded slashes", "path %q is not in its simplest form", s)
	}
	c.backend(v.get("backend"))
}

func hasOddParts(path string) bool {
	for _, odd := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(path, odd) {
			return true
		}
	}
	return strings.HasSuffix(path, "/..") || strings.HasSuffix(path, "/.")
}

func (c *check) backend(v value) {
	if !v.exists() {
		return
	}
	c.exactlyOne("ingress", v, "service", "resource")
	service := v.get("service")
	if !service.exists() {
		return
	}
	c.grammar("name", service.get("name"), validation.IsDNS1035Label)
	c.exactlyOne("ingress", service.get("port"), "name", "number")
	c.port(service.get("port", "number"))
	c.grammar("port", service.get("port", "name"), validation.IsValidPortName)
}

func (c *check) networkPolicy() {
	spec := c.get("spec")
	c.selector("selector", spec.get("podSelector"))
	for _, kind := range spec.get("policyTypes").items() {
		c.oneOf("network-policy", kind, "Ingress", "Egress")
	}
	for _, direction := range [][2]string{{"ingress", "from"}, {"egress", "to"}} {
		for _, rule := range spec.get(direction[0]).items() {
			for _, p := range rule.get("ports").items() {
				c.oneOf("port", p.get("protocol"), "TCP", "UDP", "SCTP")
				c.portOrName(p.get("port"))
				c.endPort(p)
			}
			for _, peer := range rule.get(direction[1]).items() {
				c.peer(peer)
			}
		}
	}
}

func (c *check) endPort(p value) {
	c.port(p.get("endPort"))
	end, given := p.get("endPort").integer()
	if start, ok := p.get("port").integer(); given && (!ok || end < start) {
		c.add("port", p.get("endPort"), "give the first port of the range in port", "must be beside a smaller port number")
	}
}

func (c *check) peer(v value) {
	c.selector("selector", v.get("podSelector"))
	c.selector("selector", v.get("namespaceSelector"))
	block := v.get("ipBlock")
	given := v.given("podSelector", "namespaceSelector")
	switch {
	case !block.exists() && len(given) == 0:
		c.add("network-policy", v, "add podSelector, namespaceSelector or ipBlock", "a peer says nothing")
		return
	case block.exists() && len(given) > 0:
		c.add("network-policy", block, "make two peers of it", "cannot be beside %s", given[0])
	case !block.exists():
		return
	}
	outer, ok := c.cidr("network-policy", block.get("cidr"))
	for _, except := range block.get("except").items() {
		inner, valid := c.cidr("network-policy", except)
		if ok && valid && !(outer.Contains(inner.Addr()) && outer.Bits() < inner.Bits()) {
			c.add("network-policy", except, "use a part of the range", "%s is no part of %s", inner, outer)
		}
	}
}
