package argocdtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/argo"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
)

const blockedMessage = "Sync operation blocked by sync window"

// syncState carries a sync on. When the window forbids it, the phase stays and the message says so, for as long as it does.
func (s *Server) syncState(a *application, app *v1alpha1.Application, state *v1alpha1.OperationState) time.Time {
	sources := sourcesOf(app)
	revisions := revisionsOf(state.Operation.Sync.Revision, state.Operation.Sync.Revisions)
	if state.SyncResult == nil {
		state.SyncResult = newSyncResult(app, []string{""})
	} else {
		revisions = revisionsOf(state.SyncResult.Revision, state.SyncResult.Revisions)
	}
	if allowed, _ := s.windows(app).CanSync(!state.Operation.InitiatedBy.Automated); !allowed {
		if state.Phase == common.OperationRunning {
			state.Message = blockedMessage
		}
		return time.Now().Add(time.Minute)
	}
	if len(revisions) != len(sources) {
		revisions = nil
	}
	found := s.load(app, sources, revisions, true)
	if found.failure != "" {
		problem := s.condition(v1alpha1.ApplicationConditionComparisonError, found.failure)
		state.Phase, state.Message = common.OperationError, argo.FormatAppConditions([]v1alpha1.ApplicationCondition{problem})
		return time.Time{}
	}
	result := newSyncResult(app, found.revisions)
	result.Resources, state.SyncResult = state.SyncResult.Resources, result
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &run{s: s, a: a, state: state, revision: found.revisions[0]}
	r.plan(found.targets)
	if state.Phase == common.OperationTerminating {
		r.terminate()
	} else {
		r.step()
	}
	result.Resources = nil
	for _, t := range r.tasks {
		if t.result != nil {
			result.Resources = append(result.Resources, t.result)
		}
	}
	return time.Time{}
}

// run is one step of a sync. Its rules and texts are those of gitops-engine: an operation without hooks and waves is done when
// everything was applied, others wait for what they have begun.
type run struct {
	s        *Server
	a        *application
	state    *v1alpha1.OperationState
	revision string
	tasks    []*task
}

var phaseOrder = []common.SyncPhase{common.SyncPhasePreSync, common.SyncPhaseSync, common.SyncPhasePostSync, common.SyncPhaseSyncFail}

func (r *run) plan(targets []*resource) {
	wanted := map[resourceKey]bool{}
	for _, target := range targets {
		wanted[target.key] = true
		if !target.isHook() {
			r.tasks = append(r.tasks, &task{resource: target, key: target.key, phase: common.SyncPhaseSync})
			continue
		}
		for _, kind := range target.annotation(common.AnnotationKeyHook) {
			if hook, known := common.NewHookType(kind); known && hook != common.HookTypeSkip {
				r.tasks = append(r.tasks, r.hookTask(target, hook))
			}
		}
	}
	for key, live := range r.a.live {
		if !wanted[key] && !live.hook {
			r.tasks = append(r.tasks, &task{key: key, phase: common.SyncPhaseSync})
		}
	}
	slices.SortFunc(r.tasks, func(x, y *task) int {
		return cmp.Or(
			cmp.Compare(slices.Index(phaseOrder, x.phase), slices.Index(phaseOrder, y.phase)),
			cmp.Compare(x.wave(), y.wave()), x.key.compare(y.key))
	})
	for _, known := range r.state.SyncResult.Resources {
		for _, t := range r.tasks {
			if t.key == (resourceKey{known.Group, known.Kind, known.Namespace, known.Name}) && t.phase == known.SyncPhase {
				t.result = known
			}
		}
	}
	r.tasks = slices.DeleteFunc(r.tasks, func(t *task) bool { return !r.selected(t) })
}

// hookTask names a hook that has generateName only.
func (r *run) hookTask(target *resource, hook common.HookType) *task {
	if target.key.name == "" {
		object := target.object.DeepCopy()
		object.SetName(strings.ToLower(fmt.Sprintf("%s%.7s-%s-%d",
			object.GetGenerateName(), r.revision, hook, r.state.StartedAt.UTC().Unix())))
		target = newResource(object, target.key.namespace)
	}
	return &task{resource: target, key: target.key, phase: common.SyncPhase(hook), hook: hook}
}

// selected leaves out what a partial sync does not name.
func (r *run) selected(t *task) bool {
	only := r.state.Operation.Sync.Resources
	if len(only) == 0 {
		return true
	}
	return t.hook == "" && slices.ContainsFunc(only, func(o v1alpha1.SyncOperationResource) bool {
		return o.Group == t.key.group && o.Kind == t.key.kind && o.Name == t.key.name
	})
}

func (r *run) step() {
	for _, t := range r.tasks {
		r.observe(t)
	}
	failHooks := r.filter(func(t *task) bool { return t.phase == common.SyncPhaseSyncFail })
	tasks := r.filter(func(t *task) bool { return t.phase != common.SyncPhaseSyncFail })
	several := r.severalSteps(tasks)
	if running := only(tasks, func(t *task) bool { return t.running() && (several || t.hook != "") }); len(running) > 0 {
		r.waitFor(running)
		return
	}
	if slices.ContainsFunc(tasks, (*task).failed) {
		r.fail(failHooks, "one or more synchronization tasks completed unsuccessfully")
		return
	}
	pending := only(tasks, (*task).pending)
	if len(pending) == 0 {
		r.succeed("successfully synced (no more tasks)")
		return
	}
	phase, wave := pending[0].phase, pending[0].wave()
	now := only(pending, func(t *task) bool { return t.phase == phase && t.wave() == wave })
	rest := only(pending, func(t *task) bool { return t.phase != phase || t.wave() != wave || t.hook != "" })
	failed := false
	for _, t := range now {
		failed = !r.perform(t) || failed
	}
	switch {
	case failed && r.s.v3() && slices.ContainsFunc(now, (*task).running):
		// What could be applied is waited for.
		r.waitFor(only(now, (*task).running))
		r.a.kick()
	case failed:
		r.fail(failHooks, "one or more objects failed to apply")
	case len(rest) == 0:
		r.succeed("successfully synced (all tasks run)")
	default:
		r.waitFor(rest)
		r.a.kick()
	}
}

func (r *run) filter(keep func(*task) bool) []*task { return only(r.tasks, keep) }

func only(tasks []*task, keep func(*task) bool) []*task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return !keep(t) })
}

// severalSteps says whether there is more than one wave or phase, so that each must be healthy before the next.
func (r *run) severalSteps(tasks []*task) bool {
	return slices.ContainsFunc(tasks, func(t *task) bool { return t.phase != tasks[0].phase || t.wave() != tasks[0].wave() })
}

// observe notices what has become of a task that runs.
func (r *run) observe(t *task) {
	live := r.a.live[t.key]
	if !t.running() || live == nil {
		return
	}
	h := live.health()
	switch {
	case h == nil, h.Status == health.HealthStatusHealthy:
		message := ""
		if t.hook != "" && h != nil {
			message = h.Message
		}
		t.set(t.result.Status, common.OperationSucceeded, message)
		r.dropHook(t, common.HookDeletePolicyHookSucceeded)
	case h.Status == health.HealthStatusDegraded:
		t.set(t.result.Status, common.OperationFailed, h.Message)
		r.dropHook(t, common.HookDeletePolicyHookFailed)
	}
}

// dropHook deletes a hook whose policy says so, its pods included, which takes a moment.
func (r *run) dropHook(t *task, policy common.HookDeletePolicy) {
	if t.hook != "" && slices.Contains(t.resource.annotation(common.AnnotationKeyHookDeletePolicy), string(policy)) {
		r.a.live[t.key].gone = time.Now().Add(r.s.options.DeletionFor)
	}
}

func (r *run) waitFor(tasks []*task) {
	first, what, others := tasks[0], "healthy state of", "resources"
	if first.hook != "" {
		what, others = "completion of hook", "hooks"
	}
	message := fmt.Sprintf("waiting for %s %s", what, first.key)
	if more := len(tasks) - 1; more > 0 {
		message = fmt.Sprintf("%s and %d more %s", message, more, others)
	}
	r.state.Phase, r.state.Message = common.OperationRunning, message
}

func (r *run) succeed(message string) {
	r.state.Phase, r.state.Message = common.OperationSucceeded, message
}

// fail runs the hooks for failures first, if there are any.
func (r *run) fail(hooks []*task, message string) {
	var reasons []string
	for _, t := range r.tasks {
		if t.result != nil && t.result.Status == common.ResultCodeSyncFailed {
			reasons = append(reasons, t.result.Message)
		}
	}
	if len(reasons) > 0 {
		message += ", reason: " + strings.Join(reasons, ",")
	}
	if waiting := only(hooks, func(t *task) bool { return t.pending() || t.running() }); len(waiting) > 0 {
		for _, t := range waiting {
			if t.pending() {
				r.perform(t)
				r.a.kick()
			}
		}
		r.waitFor(waiting)
		return
	}
	r.state.Phase, r.state.Message = common.OperationFailed, message
}

// perform applies or prunes and says whether that worked.
func (r *run) perform(t *task) bool {
	sync := r.state.Operation.Sync
	if t.resource == nil {
		return r.prune(t)
	}
	if sync.DryRun {
		t.set(common.ResultCodeSynced, common.OperationSucceeded, t.key.kubectl()+" configured (dry run)")
		return true
	}
	if t.hook != "" {
		delete(r.a.live, t.key) // before the hook is created, as is the default
	}
	message, err := r.s.apply(r.a, t.resource, r.revision)
	switch {
	case err != nil:
		t.set(common.ResultCodeSyncFailed, common.OperationFailed, err.Error())
	case t.hook != "" && r.s.v3():
		t.set(common.ResultCodeSynced, common.OperationRunning, t.key.name+" created")
	case t.hook != "":
		t.set("", common.OperationRunning, t.key.name+" created")
	default:
		t.set(common.ResultCodeSynced, common.OperationRunning, message)
	}
	return err == nil
}

func (r *run) prune(t *task) bool {
	options := r.a.live[t.key].object.GetAnnotations()[common.AnnotationSyncOptions]
	switch {
	case !r.state.Operation.Sync.Prune:
		t.set(common.ResultCodePruneSkipped, common.OperationSucceeded, "ignored (requires pruning)")
	case strings.Contains(options, common.SyncOptionDisablePrune):
		t.set(common.ResultCodePruneSkipped, common.OperationSucceeded, "ignored (no prune)")
	case r.state.Operation.Sync.DryRun:
		t.set(common.ResultCodePruned, common.OperationSucceeded, "pruned (dry run)")
	default:
		delete(r.a.live, t.key)
		t.set(common.ResultCodePruned, common.OperationSucceeded, "pruned")
	}
	return true
}

// terminate deletes the hooks that run.
func (r *run) terminate() {
	for _, t := range r.filter(func(t *task) bool { return t.hook != "" && t.running() }) {
		delete(r.a.live, t.key)
		t.set("", common.OperationSucceeded, "Deleted")
	}
	r.state.Phase, r.state.Message = common.OperationFailed, "Operation terminated"
}
