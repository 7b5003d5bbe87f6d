package lint

func (c *check) disruptionBudget() {
	spec := c.get("spec")
	lowest, highest := spec.get("minAvailable"), spec.get("maxUnavailable")
	if lowest.exists() && highest.exists() {
		c.add("disruption-budget", highest, "keep one of the two", "cannot be beside minAvailable")
	}
	c.intOrPercent("disruption-budget", lowest)
	c.intOrPercent("disruption-budget", highest)
	c.selector("selector", spec.get("selector"))
	c.oneOf("disruption-budget", spec.get("unhealthyPodEvictionPolicy"), "IfHealthyBudget", "AlwaysAllow")
}

// metricSources maps the type of a metric to the field that describes it.
var metricSources = map[string]string{
	"Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object", "External": "external",
}

func (c *check) autoscaler() {
	spec := c.get("spec")
	lowest, highest := spec.get("minReplicas"), spec.get("maxReplicas")
	c.atLeast("autoscaling", lowest, 0)
	c.atLeast("autoscaling", highest, 1)
	low, given := lowest.integer()
	if high, ok := highest.integer(); ok && given && low > high {
		c.add("autoscaling", highest, "raise it, or lower minReplicas", "maxReplicas %d is less than minReplicas %d", high, low)
	}
	c.notEmpty("autoscaling", spec.get("scaleTargetRef", "kind"), "name the kind to scale, such as Deployment")
	c.notEmpty("autoscaling", spec.get("scaleTargetRef", "name"), "name the object to scale")
	c.atLeast("autoscaling", spec.get("targetCPUUtilizationPercentage"), 1)
	elsewhere := false
	for _, metric := range spec.get("metrics").items() {
		kind := metric.get("type").text()
		elsewhere = elsewhere || kind == "Object" || kind == "External"
		c.metric(metric)
	}
	if given && low == 0 && !elsewhere {
		c.add("autoscaling", lowest, "use 1 or more, or add a metric of type Object or External",
			"cannot be 0 without a metric of type Object or External")
	}
	for _, direction := range []string{"scaleUp", "scaleDown"} {
		c.scaling(spec.get("behavior", direction))
	}
}

func (c *check) metric(v value) {
	kind := v.get("type")
	c.oneOf("autoscaling", kind, "Resource", "ContainerResource", "Pods", "Object", "External")
	source, ok := metricSources[kind.text()]
	if !ok {
		return
	}
	if !v.get(source).exists() {
		c.add("autoscaling", v.get(source), "describe the metric here", "required by type %s", kind.text())
	}
	for _, other := range v.given("resource", "containerResource", "pods", "object", "external") {
		if other != source {
			c.add("autoscaling", v.get(other), "remove it, or change the type", "cannot be in a metric of type %s", kind.text())
		}
	}
	c.target(v.get(source, "target"))
}

func (c *check) target(v value) {
	if !v.exists() {
		return
	}
	fields := map[string]string{"Utilization": "averageUtilization", "Value": "value", "AverageValue": "averageValue"}
	c.oneOf("autoscaling", v.get("type"), "Utilization", "Value", "AverageValue")
	if field, ok := fields[v.get("type").text()]; ok && !v.get(field).exists() {
		c.add("autoscaling", v.get(field), "add it, or change the type", "required by target type %s", v.get("type").text())
	}
	c.atLeast("autoscaling", v.get("averageUtilization"), 1)
	for _, field := range []string{"value", "averageValue"} {
		if q, ok := quantity(v.get(field)); v.get(field).exists() && ok && q.Sign() <= 0 {
			c.add("autoscaling", v.get(field), "use more than 0", "must be more than 0")
		}
	}
}

func (c *check) scaling(v value) {
	const longestWindow, longestPeriod = 3600, 1800
	c.atLeast("autoscaling", v.get("stabilizationWindowSeconds"), 0)
	c.atMost("autoscaling", v.get("stabilizationWindowSeconds"), longestWindow)
	c.oneOf("autoscaling", v.get("selectPolicy"), "Max", "Min", "Disabled")
	for _, policy := range v.get("policies").items() {
		c.oneOf("autoscaling", policy.get("type"), "Pods", "Percent")
		c.atLeast("autoscaling", policy.get("value"), 1)
		c.atLeast("autoscaling", policy.get("periodSeconds"), 1)
		c.atMost("autoscaling", policy.get("periodSeconds"), longestPeriod)
	}
}
