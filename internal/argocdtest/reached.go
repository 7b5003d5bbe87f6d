package argocdtest

import (
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
)

// Reached is what Await waits for until an application is Synced and Healthy at a commit, and no operation runs.
func Reached(commit string) func(*v1alpha1.Application) bool {
	return func(app *v1alpha1.Application) bool {
		return app.Operation == nil && app.Status.Sync.Status == v1alpha1.SyncStatusCodeSynced && app.Status.Sync.Revision == commit &&
			app.Status.Health.Status == health.HealthStatusHealthy
	}
}
