package steps

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/urfave/cli/v2"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/manifest"
)

// buildOptions say how kustomizations are built.
type buildOptions struct {
	memory string // as --build-memory has it, "" for a build in this process
}

func (o *buildOptions) flags() []cli.Flag {
	return []cli.Flag{
		stringFlag(&o.memory, "build-memory", "", "build in a process of its own that gets no more than this, such as 256Mi; 64Mi are enough for most"),
	}
}

// builder builds one kustomization of a source. It may be called by several goroutines.
type builder func(ctx context.Context, s manifest.Source, dir string) (*manifest.Result, error)

func (o *buildOptions) builder() (builder, error) {
	if o.memory == "" {
		return func(ctx context.Context, s manifest.Source, dir string) (*manifest.Result, error) {
			return manifest.Build(ctx, s, dir, manifest.Limits{})
		}, nil
	}
	size, err := parseSize(o.memory)
	if err != nil {
		return nil, failure.New(failure.Usage, "give bytes, or a number with Ki, Mi or Gi behind it", "--build-memory %s: %w", o.memory, err)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("--build-memory: %w", err)
	}
	return func(ctx context.Context, s manifest.Source, dir string) (*manifest.Result, error) {
		return manifest.BuildIsolated(ctx, []string{program, buildChild}, s, dir, manifest.Limits{Memory: size})
	}, nil
}

var sizeShape = regexp.MustCompile(`^([0-9]+)([KMG]i)?$`)

// parseSize reads a size as Kubernetes writes it.
func parseSize(text string) (int64, error) {
	parts := sizeShape.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("not a size")
	}
	n, err := strconv.ParseInt(parts[1], 10, 32)
	if parts[2] == "" {
		n, err = strconv.ParseInt(parts[1], 10, 64)
	}
	size := n << map[string]int{"": 0, "Ki": 10, "Mi": 20, "Gi": 30}[parts[2]]
	const least, most = 1 << 20, 1 << 40
	if err != nil || size < least || size > most {
		return 0, fmt.Errorf("not between 1Mi and 1024Gi")
	}
	return size, nil
}
