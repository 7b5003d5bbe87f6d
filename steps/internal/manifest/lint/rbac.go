package lint

import "slices"

const rbacGroup = "rbac.authorization.k8s.io"

func (c *check) policyRules(clusterWide bool) {
	for _, rule := range c.get("rules").items() {
		if verbs := rule.get("verbs"); verbs.exists() && len(verbs.items()) == 0 {
			c.add("rbac", verbs, "list verbs such as get, list, watch", "a rule needs a verb")
		}
		urls := rule.get("nonResourceURLs")
		if len(urls.items()) == 0 {
			for _, field := range []string{"apiGroups", "resources"} {
				if len(rule.get(field).items()) == 0 {
					c.add("rbac", rule.get(field), `list at least one; the core group is ""`, "a rule for resources needs %s", field)
				}
			}
			continue
		}
		if !clusterWide {
			c.add("rbac", urls, "use a ClusterRole", "a Role cannot allow URLs: they are in no namespace")
		}
		for _, field := range rule.given("apiGroups", "resources", "resourceNames") {
			if len(rule.get(field).items()) > 0 {
				c.add("rbac", rule.get(field), "make two rules of it", "cannot be beside nonResourceURLs")
			}
		}
	}
	for _, selector := range c.get("aggregationRule", "clusterRoleSelectors").items() {
		c.selector("selector", selector)
	}
}

func (c *check) binding(roles ...string) {
	role := c.get("roleRef")
	c.oneOf("rbac", role.get("apiGroup"), rbacGroup)
	c.oneOf("rbac", role.get("kind"), roles...)
	c.notEmpty("rbac", role.get("name"), "name the role")
	for _, subject := range c.get("subjects").items() {
		c.notEmpty("rbac", subject.get("name"), "name the subject")
		c.oneOf("rbac", subject.get("kind"), "ServiceAccount", "User", "Group")
		group := subject.get("apiGroup")
		if subject.get("kind").text() != "ServiceAccount" {
			c.oneOf("rbac", group, rbacGroup)
			continue
		}
		c.grammar("rbac", subject.get("name"), isDNS1123Subdomain)
		if group.text() != "" {
			c.add("rbac", group, "remove it", "a ServiceAccount is in the core group, found %q", group.text())
		}
		if slices.Contains(roles, "Role") {
			continue // its own namespace is the default
		}
		c.required("rbac", subject.get("namespace"), "name the namespace of the ServiceAccount")
	}
}
