package lint

import "slices"

// pipelineSources are where a multi-branch pipeline may find its branches; source_type names one, NAME_source describes it.
var pipelineSources = []string{"git", "gitlab", "github", "bitbucket_server", "svn", "single_svn"}

// pipeline checks what KubeSphere's controller expects of a Pipeline and its CRD leaves open: an unknown type of parameter,
// for one, is dropped without a word.
func (c *check) pipeline() {
	spec := c.get("spec")
	kind := spec.get("type")
	c.oneOf("pipeline", kind, "pipeline", "multi-branch-pipeline")
	single, multi := spec.get("pipeline"), spec.get("multi_branch_pipeline")
	switch kind.text() {
	case "pipeline":
		c.part(single, multi, kind.text())
		c.single(single)
	case "multi-branch-pipeline":
		c.part(multi, single, kind.text())
		c.multiBranch(multi)
	}
}

// part checks that the description of the pipeline is the one its type asks for.
func (c *check) part(wanted, other value, kind string) {
	if !wanted.exists() {
		c.add("pipeline", wanted, "describe the pipeline here", "required by type %s", kind)
	}
	if other.exists() {
		c.add("pipeline", other, "remove it, or change the type", "has no meaning in a pipeline of type %s", kind)
	}
}

func (c *check) single(v value) {
	c.discarder(v.get("discarder"))
	for _, parameter := range v.get("parameters").items() {
		c.notEmpty("pipeline", parameter.get("name"), "name the parameter")
		c.oneOf("pipeline", parameter.get("type"), "string", "choice", "text", "boolean", "file", "password")
		if kind := parameter.get("type").text(); kind == "choice" && parameter.get("default_value").text() == "" {
			c.add("pipeline", parameter.get("default_value"), "list the choices, one per line", "a choice without choices")
		}
	}
	c.uniqueNames("duplicate-name", "parameter", v.get("parameters").items())
	if cron := v.get("timer_trigger", "interval"); cron.text() != "" {
		c.add("pipeline", cron, "use cron", "interval is for multi-branch pipelines")
	}
}

func (c *check) multiBranch(v value) {
	c.discarder(v.get("discarder"))
	if cron := v.get("timer_trigger", "cron"); cron.text() != "" {
		c.add("pipeline", cron, "use interval, in milliseconds", "cron is for pipelines without branches")
	}
	c.digits(v.get("timer_trigger", "interval"), false, "write milliseconds as a string, such as \"600000\"")
	source := v.get("source_type")
	c.oneOf("pipeline", source, pipelineSources...)
	if !slices.Contains(pipelineSources, source.text()) {
		return
	}
	name := source.text() + "_source"
	c.required("pipeline", v.get(name), "describe the source here: source_type is "+source.text())
	discover := v.get(name, "discover_branches")
	_, isBool := discover.v.(bool)
	_, isInteger := discover.integer()
	switch {
	case !discover.exists():
	case source.text() == "git" && isInteger:
		c.add("pipeline", discover, "use true or false", "must be true or false in a git_source")
	case source.text() != "git" && isBool:
		c.add("pipeline", discover, "use 0 to 3: 1 finds the branches that are not pull requests", "must be a number in a %s", name)
	case isInteger:
		c.atLeast("pipeline", discover, 0)
		c.atMost("pipeline", discover, 3)
	}
}

func (c *check) discarder(v value) {
	for _, field := range []string{"days_to_keep", "num_to_keep"} {
		c.digits(v.get(field), true, `write the number as a string, such as "7"; "-1" keeps all`)
	}
}

// digits checks a number that KubeSphere wants as a string.
func (c *check) digits(v value, minusOne bool, fix string) {
	s := v.text()
	number := !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < '0' || b > '9' })
	if !number && (!minusOne || s != "-1") {
		c.add("pipeline", v, fix, "%q is no number", s)
	}
}
