package argocdtest

import (
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
)

// task is a resource or a hook in a phase of an operation, or, without a resource, an object to prune.
type task struct {
	resource *resource
	key      resourceKey
	phase    common.SyncPhase
	hook     common.HookType
	result   *v1alpha1.ResourceResult // nil before it has run
}

func (t *task) pending() bool { return t.result == nil }

func (t *task) running() bool {
	return t.result != nil && t.result.HookPhase == common.OperationRunning
}

func (t *task) failed() bool {
	return t.result != nil && t.result.HookPhase.Completed() && !t.result.HookPhase.Successful()
}

func (t *task) wave() int {
	if t.resource == nil {
		return 0
	}
	return t.resource.wave()
}

func (t *task) set(code common.ResultCode, phase common.OperationPhase, message string) {
	if t.result == nil {
		t.result = &v1alpha1.ResourceResult{
			Group: t.key.group, Kind: t.key.kind, Namespace: t.key.namespace, Name: t.key.name, HookType: t.hook, SyncPhase: t.phase,
		}
		if t.resource != nil {
			t.result.Version = t.resource.object.GroupVersionKind().Version
		}
	}
	t.result.Status, t.result.HookPhase = code, phase
	if message != "" {
		t.result.Message = message
	}
}
