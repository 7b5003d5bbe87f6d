package lint

import (
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *check) service() {
	spec := c.get("spec")
	kind := spec.get("type").or("ClusterIP")
	c.oneOf("service", spec.get("type"), "ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
	c.labels("selector", spec.get("selector"))
	c.clusterIP(spec, kind)
	c.externalName(spec, kind)
	c.servicePorts(spec, kind)
	c.oneOf("service", spec.get("sessionAffinity"), "None", "ClientIP")
	c.oneOf("service", spec.get("internalTrafficPolicy"), "Cluster", "Local")
	c.oneOf("service", spec.get("ipFamilyPolicy"), "SingleStack", "PreferDualStack", "RequireDualStack")
	for _, family := range spec.get("ipFamilies").items() {
		c.oneOf("service", family, "IPv4", "IPv6")
	}
	policy := spec.get("externalTrafficPolicy")
	c.oneOf("service", policy, "Cluster", "Local")
	if policy.text() != "" && kind == "ClusterIP" && len(spec.get("externalIPs").items()) == 0 {
		c.add("service", policy, "remove it, or use type NodePort or LoadBalancer", "has no meaning for a service of type ClusterIP")
	}
	c.addresses(spec, kind)
}

func (c *check) clusterIP(spec value, kind string) {
	ip := spec.get("clusterIP")
	switch address := ip.text(); {
	case address == "":
	case kind == "ExternalName":
		c.add("service", ip, "remove it", "a service of type ExternalName has no address")
	case address == "None" && kind != "ClusterIP":
		c.add("service", ip, "remove it, or use type ClusterIP", "cannot be None for a service of type %s", kind)
	case address != "None":
		c.address(ip)
	}
}

func (c *check) address(v value) {
	if _, err := netip.ParseAddr(v.text()); err != nil && v.text() != "" {
		c.add("service", v, "use an IP address such as 10.96.0.10", "%q is no IP address", v.text())
	}
}

func (c *check) addresses(spec value, kind string) {
	for _, ip := range spec.get("externalIPs").items() {
		c.address(ip)
	}
	c.address(spec.get("loadBalancerIP"))
	ranges := spec.get("loadBalancerSourceRanges")
	if len(ranges.items()) > 0 && kind != "LoadBalancer" {
		c.add("service", ranges, "remove it, or use type LoadBalancer", "has no meaning for a service of type %s", kind)
	}
	for _, r := range ranges.items() {
		c.cidr("service", r)
	}
}

func (c *check) cidr(rule string, v value) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(v.text()))
	if err != nil && v.exists() {
		c.add(rule, v, "use an address and a length, such as 10.0.0.0/8", "%q is no address range", v.text())
	}
	return prefix, err == nil
}

func (c *check) externalName(spec value, kind string) {
	if kind != "ExternalName" {
		return
	}
	name := spec.get("externalName")
	if c.required("service", name, "name the host that the service stands for") {
		c.grammar("service", value{name.at, strings.TrimSuffix(name.text(), ".")}, isDNS1123Subdomain)
	}
}

func (c *check) servicePorts(spec value, kind string) {
	ports := spec.get("ports")
	if len(ports.items()) == 0 && kind != "ExternalName" && spec.get("clusterIP").text() != "None" {
		c.add("service", ports, "add a port", "a service of type %s needs a port", kind)
	}
	for _, p := range ports.items() {
		c.port(p.get("port"))
		c.portOrName(p.get("targetPort"))
		c.oneOf("port", p.get("protocol"), "TCP", "UDP", "SCTP")
		c.grammar("port", p.get("name"), isDNS1123Label)
		c.grammar("port", p.get("appProtocol"), validation.IsQualifiedName)
		if len(ports.items()) > 1 {
			c.required("port", p.get("name"), "name each port of a service that has several")
		}
		c.nodePort(p.get("nodePort"), kind)
	}
	c.uniqueNames("duplicate-name", "port name", ports.items())
	c.unique("port", "port", ports.items(), func(p value) string {
		n, ok := p.get("port").integer()
		if !ok {
			return ""
		}
		return strconv.FormatInt(n, 10) + "/" + p.get("protocol").or("TCP")
	}, func(p value) value { return p.get("port") })
}

func (c *check) nodePort(v value, kind string) {
	if n, ok := v.integer(); !ok || n == 0 {
		return
	}
	c.port(v)
	if kind != "NodePort" && kind != "LoadBalancer" {
		c.add("port", v, "remove it, or use type NodePort", "a service of type %s has no node ports", kind)
	}
}
