//go:build dependencies

// The versions of the large SDKs constrain each other (see docs/dependencies.md), so all of them are settled in go.mod
// before the code that uses them: this file keeps `go mod tidy` from dropping the ones that nothing imports yet, and
// `go build -tags dependencies .` proves that the whole set compiles together. It is never part of the binary.

package main

import (
	_ "github.com/argoproj/argo-cd/v2/pkg/apiclient"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "go.yaml.in/yaml/v2"
	_ "sigs.k8s.io/kustomize/api/krusty"
	_ "sigs.k8s.io/kustomize/kyaml/yaml"
	_ "sigs.k8s.io/yaml"
)
