package lint

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// workload checks what ReplicaSets, Deployments, DaemonSets and StatefulSets share.
func (c *check) workload() {
	spec := c.get("spec")
	c.atLeast("replicas", spec.get("replicas"), 0)
	c.atLeast("replicas", spec.get("minReadySeconds"), 0)
	c.atLeast("replicas", spec.get("revisionHistoryLimit"), 0)
	c.matchesTemplate(spec)
	if deadline := spec.get("template", "spec", "activeDeadlineSeconds"); deadline.exists() {
		c.add("pod", deadline, "remove it", "a %s runs for ever", c.kind)
	}
	context := always
	for _, claim := range spec.get("volumeClaimTemplates").items() {
		context.volumes = append(context.volumes, claim.get("metadata", "name").text())
	}
	c.pod(spec.get("template"), context)
}

// matchesTemplate checks that a workload selects the pods it makes.
func (c *check) matchesTemplate(spec value) {
	selector := spec.get("selector")
	c.selector("selector", selector)
	if !selector.exists() {
		return
	}
	if len(selector.get("matchLabels").fields())+len(selector.get("matchExpressions").items()) == 0 {
		c.add("selector", selector, "add matchLabels", "selector is empty: it would select every pod")
		return
	}
	c.matchesLabels(selector, selects(selector, spec.get("template", "metadata", "labels").strings()), spec)
}

func (c *check) matchesLabels(selector value, matches bool, spec value) {
	if !matches {
		c.add("selector", selector, "use the same labels in both", "does not match the labels of the pods it makes (%s)",
			spec.get("template", "metadata", "labels").path())
	}
}

func (c *check) replicationController() {
	spec := c.get("spec")
	c.atLeast("replicas", spec.get("replicas"), 0)
	if selector := spec.get("selector"); selector.exists() {
		c.labels("selector", selector)
		c.matchesLabels(selector, includes(selector.strings(), spec.get("template", "metadata", "labels").strings()), spec)
	}
	c.pod(spec.get("template"), always)
}

func (c *check) deployment() {
	c.workload()
	spec := c.get("spec")
	strategy := spec.get("strategy")
	c.oneOf("strategy", strategy.get("type"), "RollingUpdate", "Recreate")
	rolling := strategy.get("rollingUpdate")
	if rolling.exists() && strategy.get("type").text() == "Recreate" {
		c.add("strategy", rolling, "remove it, or use type RollingUpdate", "cannot be beside type Recreate")
	}
	c.rolling(rolling)
	deadline, given := spec.get("progressDeadlineSeconds").integer()
	if !given {
		deadline = 600
	}
	if ready, ok := spec.get("minReadySeconds").integer(); ok && deadline <= ready {
		c.add("strategy", spec.get("minReadySeconds"), "lower it, or raise progressDeadlineSeconds",
			"must be less than progressDeadlineSeconds, which is %d", deadline)
	}
}

// rolling checks that a rolling update can make progress.
func (c *check) rolling(v value) {
	surge, unavailable := v.get("maxSurge"), v.get("maxUnavailable")
	c.intOrPercent("strategy", surge)
	c.intOrPercent("strategy", unavailable)
	if isZero(surge) && isZero(unavailable) {
		c.add("strategy", unavailable, "allow at least one pod more or less", "cannot be 0 when maxSurge is 0: no pod could ever be replaced")
	}
}

func isZero(v value) bool {
	n, ok := v.integer()
	return ok && n == 0 || v.text() == "0%"
}

func (c *check) daemonSet() {
	c.workload()
	strategy := c.get("spec", "updateStrategy")
	c.oneOf("strategy", strategy.get("type"), "RollingUpdate", "OnDelete")
	c.rolling(strategy.get("rollingUpdate"))
}

func (c *check) statefulSet() {
	c.workload()
	spec := c.get("spec")
	c.oneOf("strategy", spec.get("podManagementPolicy"), "OrderedReady", "Parallel")
	strategy := spec.get("updateStrategy")
	c.oneOf("strategy", strategy.get("type"), "RollingUpdate", "OnDelete")
	if rolling := strategy.get("rollingUpdate"); rolling.exists() && strategy.get("type").text() == "OnDelete" {
		c.add("strategy", rolling, "remove it, or use type RollingUpdate", "cannot be beside type OnDelete")
	}
	c.atLeast("strategy", strategy.get("rollingUpdate", "partition"), 0)
	for _, field := range []string{"whenDeleted", "whenScaled"} {
		c.oneOf("claim", spec.get("persistentVolumeClaimRetentionPolicy", field), "Retain", "Delete")
	}
	c.grammar("name", spec.get("serviceName"), isDNS1123Subdomain)
	claims := spec.get("volumeClaimTemplates").items()
	for _, claim := range claims {
		c.required("claim", claim.get("metadata", "name"), "name the claim: containers mount it by that name")
		c.grammar("name", claim.get("metadata", "name"), isDNS1123Label)
		c.claim(claim.get("spec"))
	}
	name := func(v value) value { return v.get("metadata", "name") }
	c.unique("duplicate-name", "claim name", claims, func(v value) string { return name(v).text() }, name)
}

// job checks the spec of a job, or of the jobs that a schedule starts.
func (c *check) job(spec value) {
	for _, field := range []string{
		"parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimitPerIndex", "maxFailedIndexes",
	} {
		c.atLeast("job", spec.get(field), 0)
	}
	c.oneOf("job", spec.get("completionMode"), "NonIndexed", "Indexed")
	indexed := spec.get("completionMode").text() == "Indexed"
	if indexed && !spec.get("completions").exists() {
		c.add("job", spec.get("completions"), "say how many indexes there are", "required with completionMode Indexed")
	}
	for _, field := range spec.given("backoffLimitPerIndex", "maxFailedIndexes") {
		if !indexed {
			c.add("job", spec.get(field), "use completionMode: Indexed, or remove it", "needs completionMode Indexed")
		}
	}
	if selector := spec.get("selector"); selector.exists() && spec.get("manualSelector").v != true {
		c.add("job", selector, "remove it: the server makes one", "cannot be set without manualSelector: true")
	}
	if policy := spec.get("podFailurePolicy"); policy.exists() && spec.get("template", "spec", "restartPolicy").text() == "OnFailure" {
		c.add("restart-policy", spec.get("template", "spec", "restartPolicy"), "use Never", "must be Never with a podFailurePolicy")
	}
	c.pod(spec.get("template"), untilDone)
}

// maxCronJobName leaves room for the eleven characters that are appended for each job.
const maxCronJobName = 52

func (c *check) cronJob() {
	spec := c.get("spec")
	if name := c.get("metadata", "name"); len(name.text()) > maxCronJobName {
		c.add("name", name, "shorten it", "must have at most %d characters, found %d", maxCronJobName, len(name.text()))
	}
	c.schedule(spec.get("schedule"), spec.get("timeZone"))
	c.oneOf("cron-job", spec.get("concurrencyPolicy"), "Allow", "Forbid", "Replace")
	for _, field := range []string{"startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"} {
		c.atLeast("cron-job", spec.get(field), 0)
	}
	c.describe(spec.get("jobTemplate", "metadata"))
	c.job(spec.get("jobTemplate", "spec"))
}

func (c *check) schedule(v, zone value) {
	if s, ok := v.v.(string); ok {
		_, err := cron.ParseStandard(s)
		switch {
		case strings.Contains(s, "TZ="):
			c.add("schedule", v, "move the zone into spec.timeZone", "schedule %q names a time zone", s)
		case err != nil:
			c.add("schedule", v, "use five fields such as 0 3 * * 1-5, or a word such as @daily", "schedule %q: %s", s, err)
		}
	}
	name, ok := zone.v.(string)
	if !ok {
		return
	}
	switch {
	case name == "" || strings.EqualFold(name, "Local"):
		c.add("schedule", zone, "use a zone such as Europe/Berlin, or remove it", "time zone %q is none", name)
	case !zoneExists(name):
		c.add("schedule", zone, "use a zone of the tz database, such as Europe/Berlin", "unknown time zone %q", name)
	}
}

// zoneExists takes every zone for real on a machine that has no zones to compare with.
func zoneExists(name string) bool {
	if _, err := time.LoadLocation(name); err == nil {
		return true
	}
	_, err := time.LoadLocation("Europe/London")
	return err != nil
}
