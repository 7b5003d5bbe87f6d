// Package cluster runs tests in front of the real Argo CD on a real Kubernetes: etcd, kube-apiserver, controller-manager,
// scheduler and Redis, KWOK in the place of kubelets, and the three servers of Argo CD, without containers, on the loopback
// interface of a network of their own. The binaries that no package of a distribution has are built once and cached.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// packages maps the programs that must be installed to the Debian packages that have them.
var packages = map[string]string{"etcd": "etcd-server", "redis-server": "redis-server", "git": "git"}

// VersionsVariable says which major versions, as in v2,v3; all by default. The others are for the process in the network.
const (
	VersionsVariable = "SLIPWAY_E2E_ARGOCD"
	kubeVariable     = "SLIPWAY_E2E_KUBE"
	argoVariable     = "SLIPWAY_E2E_ARGO"
	versionVariable  = "SLIPWAY_E2E_VERSION"
	// SlipwayVariable names the binary that the stories run.
	SlipwayVariable = "SLIPWAY_E2E_BINARY"
	// ConformanceVariable names the tests of slipway's client.
	ConformanceVariable = "SLIPWAY_E2E_CONFORMANCE"
)

// Main is what TestMain does: it builds what is missing and runs the tests once for each major version of Argo CD, each time
// in a process of its own with a cluster of its own, which is handed to run. The modules are the folder of the binaries'
// modules, the product that of slipway's.
func Main(modules, product string, run func(c *Cluster) (code int)) int {
	var err error
	if os.Getenv(isolated) == "" {
		err = runAll(modules, product, os.Stderr)
	} else {
		var code int
		if code, err = runOne(run); err == nil {
			return code
		}
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	return 1
}

func runAll(modules, product string, progress io.Writer) error {
	if err := checkPackages(); err != nil {
		return err
	}
	versions := strings.Split(cmp.Or(os.Getenv(VersionsVariable), "v2,v3"), ",")
	for _, version := range versions {
		if _, known := argoCDs[version]; !known {
			return fmt.Errorf("%s=%s: the versions are v2 and v3", VersionsVariable, version)
		}
	}
	bin, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	// Whoever interrupts a build leaves nothing half built. Later signals are for the processes with the clusters.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	programs, err := buildAll(ctx, modules, product, bin, versions, progress)
	stop()
	if err != nil {
		return err
	}
	// The stories wait more than they work, so that those of all versions are told at the same time.
	var told errgroup.Group
	for _, version := range versions {
		argo, prefix := programs.argo[version], ""
		if len(versions) > 1 {
			prefix = version + ": "
		}
		fmt.Fprintf(progress, "e2e: Argo CD v%s on Kubernetes v%s\n", argo.version, programs.kube.version)
		told.Go(func() error {
			return rerun(prefix, kubeVariable+"="+programs.kube.dir, argoVariable+"="+argo.dir, versionVariable+"="+argo.version,
				SlipwayVariable+"="+programs.slipway, ConformanceVariable+"="+programs.conformance)
		})
	}
	return told.Wait()
}

// programs is what the stories run.
type programs struct {
	kube                 built
	argo                 map[string]built
	slipway, conformance string
}

// buildAll builds what is missing, all at once: one build downloads while another compiles and a third one links.
func buildAll(ctx context.Context, modules, product, bin string, versions []string, progress io.Writer) (programs, error) {
	result := programs{argo: map[string]built{}, slipway: filepath.Join(bin, "slipway"), conformance: filepath.Join(bin, "conformance")}
	var mu sync.Mutex
	builds, ctx := errgroup.WithContext(ctx)
	builds.Go(func() (err error) {
		result.kube, err = kube.build(ctx, modules, progress)
		return err
	})
	for _, version := range versions {
		builds.Go(func() error {
			argo, err := argoCDs[version].build(ctx, modules, progress)
			mu.Lock()
			defer mu.Unlock()
			result.argo[version] = argo
			return err
		})
	}
	builds.Go(func() error {
		if _, err := goTool(ctx, product, "build", "-trimpath", slipwayFlag, "-o", result.slipway, "."); err != nil {
			return err
		}
		_, err := goTool(ctx, product, "test", "-c", "-trimpath", slipwayFlag, "-o", result.conformance, "./steps/internal/argocd")
		return err
	})
	return result, builds.Wait()
}

func checkPackages() error {
	var missing []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("programs are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
}

// runOne starts a cluster, runs the tests and stops it.
func runOne(run func(c *Cluster) int) (code int, err error) {
	if err := raiseLoopback(); err != nil {
		return 0, err
	}
	root, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		return 0, err
	}
	version := os.Getenv(versionVariable)
	major, _, _ := strings.Cut(version, ".")
	begun := time.Now()
	c, err := start("v"+major, root, built{dir: os.Getenv(kubeVariable)}, built{dir: os.Getenv(argoVariable), version: version})
	stopOnSignal(c)
	if err != nil {
		return 0, errors.Join(err, c.Stop(), fmt.Errorf("the logs of the servers are kept: %s", c.Logs))
	}
	fmt.Fprintf(os.Stderr, "e2e: started in %s; the logs of the servers are in %s\n", time.Since(begun).Round(100*time.Millisecond), c.Logs)
	// What the stories write goes with the rest, also when they are interrupted and cannot remove it.
	if err := os.Setenv("TMPDIR", c.dir("tmp")); err != nil {
		return 0, errors.Join(err, c.Stop())
	}
	code = run(c)
	if err := c.Stop(); err != nil {
		return 0, err
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "e2e: the logs of the servers are kept: %s\n", c.Logs)
		return code, nil
	}
	return code, os.RemoveAll(root)
}

// stopOnSignal ends the servers before their files, and then this process.
func stopOnSignal(c *Cluster) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		_ = c.Stop()
		_ = os.RemoveAll(c.root)
		os.Exit(143)
	}()
}
