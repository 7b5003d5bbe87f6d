package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// check is one way to check an overlay without a cluster and without a network.
type check struct {
	name    string
	command func(*bench, target) command
	proof   string // what it says, with the number of objects
}

const validateRow, startRow = slipwayRow + " validate", slipwayRow + " version: its start-up"

var checks = []check{
	kubeconform(builtinKustomize),
	kubeconform(kustomizeVersion),
	{validateRow, func(b *bench, t target) command {
		return command{t.dir, []string{b.slipway, "validate", "--path", t.path}}
	}, `"objects":%d,"findings":[]`},
	{startRow, func(b *bench, t target) command { return command{t.dir, []string{b.slipway, "version"}} }, ""},
}

// kubeconform is the pipeline with one version of kustomize.
func kubeconform(kustomize string) check {
	const script = `"$0" build "$1" | "$2" -strict -summary -schema-location "$3/{{.ResourceKind}}{{.KindSuffix}}.json"`
	return check{"kustomize " + kustomize + " build, kubeconform -strict", func(b *bench, t target) command {
		return command{t.dir, []string{"sh", "-c", script, b.kustomizes[kustomize], t.path, b.kubeconform, b.schemas}}
	}, "Valid: %d, Invalid: 0, Errors: 0, Skipped: 0"}
}

// validate compares the ways on a small and on a large overlay, in turns.
func (b *bench) validate(ctx context.Context, out io.Writer) ([]string, error) {
	if err := b.buildCheckers(ctx); err != nil {
		return nil, err
	}
	small, err := smallTarget(filepath.Join(b.dir, "validate-small"))
	if err != nil {
		return nil, err
	}
	large, err := largeTarget(filepath.Join(b.dir, "validate-large"))
	if err != nil {
		return nil, err
	}
	for _, t := range []target{small, large} {
		if err := b.compare(ctx, out, t); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (b *bench) compare(ctx context.Context, out io.Writer, t target) error {
	for _, c := range checks {
		if err := b.prove(ctx, c, t); err != nil {
			return err
		}
	}
	progress("validate, %d objects, %d rounds", t.objects, b.settings.rounds)
	samples := make(map[string][]sample)
	for range b.settings.rounds {
		for _, c := range checks {
			used, err := b.runAll(ctx, []command{c.command(b, t)})
			if err != nil {
				return err
			}
			samples[c.name] = append(samples[c.name], sample{usage: used})
		}
	}
	writeChecks(out, t, samples)
	return nil
}

// prove makes sure that a way finds all objects and nothing wrong with them.
func (b *bench) prove(ctx context.Context, c check, t target) error {
	if c.proof == "" {
		return nil
	}
	run := c.command(b, t)
	cmd := exec.CommandContext(ctx, run.args[0], run.args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = run.dir, b.env, os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if want := fmt.Sprintf(c.proof, t.objects); !strings.Contains(string(said), want) {
		return fmt.Errorf("%s: does not say %s:\n%s", c.name, want, said)
	}
	return nil
}

// validateAll checks a whole repository as a clone, where each overlay is compared with the previous commit, too, and as files
// alone. It returns as not as promised what does not keep two processors busy.
func (b *bench) validateAll(ctx context.Context, out io.Writer, size scale) ([]string, error) {
	dir := filepath.Join(b.dir, "all-"+size.name)
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := b.run(ctx, command{"", []string{"git", "clone", "--quiet", filepath.Join(b.cache, size.name+".git"), dir}}); err != nil {
		return nil, err
	}
	var failed []string
	used := map[string]usage{}
	for _, form := range allForms {
		if form == filesAlone {
			if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
				return nil, err
			}
		}
		progress("validate --all, %s", form)
		u, err := b.runAll(ctx, []command{{dir, []string{b.slipway, "validate", "--all"}}})
		if err != nil {
			return nil, err
		}
		if used[form] = u; u.cpu < u.wall*3/2 && !b.settings.quick { // a tiny repository is mostly start-up
			failed = append(failed, fmt.Sprintf("validate --all on %s, %s: %v of CPU in %v", size.name, form, u.cpu, u.wall))
		}
	}
	writeValidateAll(out, size, used)
	return failed, nil
}

const filesAlone = "files alone"

var allForms = []string{"a clone, compared with its previous commit", filesAlone}
