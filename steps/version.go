package steps

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"slipway/steps/internal/failure"
)

// linkedVersion and linkedCommit are set by the linker (see the Makefile); without it the Go toolchain's own stamps are used.
var linkedVersion, linkedCommit string

// developmentVersion is what a build calls itself that was not made from a tag.
const developmentVersion = "0.0.0-dev"

// Version says which slipway this is, and whether that is one the pipeline was written for.
type Version struct {
	// Require is a range such as ">=1.4,<2".
	Require string
}

// VersionDetails is the result of Version.
type VersionDetails struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion() *cli.Command {
	v := &Version{}
	return step(v, &cli.Command{
		Name:  "version",
		Usage: "say which version this is, or refuse to be another than required",
		Description: "With --require a pipeline states once, in its first line, which versions it was written for: any other version\n" +
			"exits with 2 before it does anything. A development build has no version to compare and passes with a warning;\n" +
			"a prerelease passes only a range that names one, such as '>=1.5.0-0'.",
		Flags: []cli.Flag{
			stringFlag(&v.Require, "require", "", "refuse to be a version outside of this range, such as '>=1.4,<2'"),
		},
	})
}

// Run is unchanged always. A version outside of the range and a range that is none are usage errors.
func (v *Version) Run(_ context.Context, env *Env) (Result, error) {
	details := VersionDetails{
		Version:  buildVersion(),
		Commit:   buildCommit(),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if err := v.check(env, details.Version); err != nil {
		return Result{}, err
	}
	return Result{Step: "version", Outcome: Unchanged, Details: details}, nil
}

func (v *Version) check(env *Env, current string) error {
	if v.Require == "" {
		return nil
	}
	wanted, err := semver.NewConstraint(v.Require)
	if err != nil {
		return failure.New(failure.Usage, "write the range as in '>=1.4,<2'", "--require %q: %w", v.Require, err)
	}
	is, err := semver.NewVersion(current)
	if err != nil || current == developmentVersion {
		env.Log.Warn("a development build is not compared with the required version",
			zap.String("version", current), zap.String("require", v.Require))
		return nil
	}
	if !wanted.Check(is) {
		return failure.New(failure.Usage, "install a slipway in that range on the agent, or change the range in the pipeline",
			"this is slipway %s, but %s is required", current, v.Require)
	}
	return nil
}

func buildVersion() string {
	if linkedVersion != "" {
		return strings.TrimPrefix(linkedVersion, "v")
	}
	return developmentVersion
}

func buildCommit() string {
	if linkedCommit != "" {
		return linkedCommit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unknown"
}
