package argocdtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// comparison is how thoroughly an application is compared: which commits, and whether branches are looked up anew.
type comparison int

const (
	compareNothing comparison = iota
	compareRecent             // with the commits of the last comparison
	compareLatest             // with the revisions of the specification, which may be known already
	compareForced             // with the revisions of the specification, looked up
)

// resource is an object as Git has it.
type resource struct {
	key    resourceKey
	object *unstructured.Unstructured
}

func (r *resource) annotation(name string) []string {
	var values []string
	for value := range strings.SplitSeq(r.object.GetAnnotations()[name], ",") {
		if value = strings.TrimSpace(value); value != "" {
			values = append(values, value)
		}
	}
	return values
}

func (r *resource) isHook() bool { return len(r.annotation(common.AnnotationKeyHook)) > 0 }

func (r *resource) wave() int {
	wave, _ := strconv.Atoi(strings.Join(r.annotation(common.AnnotationSyncWave), ""))
	return wave
}

var clusterScoped = []string{
	"APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "MutatingWebhookConfiguration",
	"Namespace", "PersistentVolume", "PriorityClass", "StorageClass", "ValidatingWebhookConfiguration",
}

func newResource(object *unstructured.Unstructured, namespace string) *resource {
	if object.GetNamespace() == "" && !slices.Contains(clusterScoped, object.GetKind()) {
		object = object.DeepCopy()
		object.SetNamespace(namespace)
	}
	gvk := object.GroupVersionKind()
	return &resource{resourceKey{gvk.Group, gvk.Kind, object.GetNamespace(), object.GetName()}, object}
}

// compared is the result of a comparison.
type compared struct {
	targets   []*resource // hooks too
	revisions []string    // the commits, one a source
	kinds     []v1alpha1.ApplicationSourceType
	failure   string // why there are no targets
	status    v1alpha1.SyncStatus
	resources []v1alpha1.ResourceStatus
	health    health.HealthStatusCode
}

// load reads what Git wants.
func (s *Server) load(app *v1alpha1.Application, sources []v1alpha1.ApplicationSource, revisions []string, force bool) *compared {
	result := &compared{}
	for i, source := range sources {
		revision := source.TargetRevision
		if len(revisions) == len(sources) {
			revision = revisions[i]
		}
		err := s.loadSource(app, source, revision, force, result)
		if err != nil {
			failed := &compared{failure: fmt.Sprintf("Failed to load target state: failed to generate manifest for source %d of %d: %v",
				i+1, len(sources), err)}
			if s.v3() {
				failed.revisions = revisions // as they were asked for, such as main
			}
			return failed
		}
	}
	return result
}

func (s *Server) loadSource(
	app *v1alpha1.Application, source v1alpha1.ApplicationSource, revision string, force bool, result *compared,
) error {
	commit, err := s.repos.resolve(s.ctx, source.RepoURL, revision, force)
	if err != nil {
		return err
	}
	result.revisions = append(result.revisions, commit)
	if source.Ref != "" && source.Path == "" {
		result.kinds = append(result.kinds, v1alpha1.ApplicationSourceTypeDirectory)
		return nil
	}
	rendered, err := s.repos.render(s.ctx, source.RepoURL, commit, source.Path)
	if err != nil {
		return err
	}
	result.kinds = append(result.kinds, rendered.kind)
	for _, object := range rendered.objects {
		target := newResource(object, app.Spec.Destination.Namespace)
		result.targets = slices.DeleteFunc(result.targets, func(r *resource) bool { return r.key == target.key })
		result.targets = append(result.targets, target)
	}
	return nil
}

// judge compares what Git wants with the cluster. It needs the lock.
func (s *Server) judge(a *application, app *v1alpha1.Application, sources []v1alpha1.ApplicationSource, result *compared) {
	synced := v1alpha1.SyncStatusCodeSynced
	worst := health.HealthStatusHealthy
	consider := func(status v1alpha1.ResourceStatus, differs, counts bool) {
		if differs {
			status.Status, synced = v1alpha1.SyncStatusCodeOutOfSync, v1alpha1.SyncStatusCodeOutOfSync
		}
		if status.Hook {
			status.Status = ""
		}
		if result.failure != "" {
			status.Status = v1alpha1.SyncStatusCodeUnknown
		}
		if counts && status.Health != nil && health.IsWorse(worst, status.Health.Status) {
			worst = status.Health.Status
		}
		result.resources = append(result.resources, status)
	}
	wanted := map[resourceKey]bool{}
	for _, target := range result.targets {
		if target.isHook() {
			continue
		}
		wanted[target.key] = true
		status := statusOf(target.key, target.object)
		status.SyncWave = int64(target.wave())
		live := a.live[target.key]
		if live == nil {
			status.Health = &v1alpha1.HealthStatus{Status: health.HealthStatusMissing}
			consider(status, true, !s.v3() && hasHealth(target.key))
			continue
		}
		status.Health = healthOf(live)
		consider(status, !reflect.DeepEqual(live.object.Object, target.object.Object), true)
	}
	for key, live := range a.live {
		if wanted[key] {
			continue
		}
		status := statusOf(key, live.object)
		status.Hook, status.RequiresPruning = live.hook, true
		if !live.hook || s.v3() {
			status.Health = healthOf(live)
		}
		consider(status, !live.hook, !live.hook)
	}
	if s.v3() && len(wanted) > 0 && !slices.ContainsFunc(slices.Collect(maps.Values(a.live)), isObject) && health.IsWorse(worst, health.HealthStatusMissing) {
		worst = health.HealthStatusMissing
	}
	slices.SortFunc(result.resources, func(x, y v1alpha1.ResourceStatus) int {
		return resourceKey{x.Group, x.Kind, x.Namespace, x.Name}.compare(resourceKey{y.Group, y.Kind, y.Namespace, y.Name})
	})
	if result.failure != "" {
		synced = v1alpha1.SyncStatusCodeUnknown
	}
	result.health = worst
	result.status = syncStatus(app, sources, synced, result.revisions)
}

func isObject(live *liveObject) bool { return !live.hook }

func syncStatus(
	app *v1alpha1.Application, sources []v1alpha1.ApplicationSource, code v1alpha1.SyncStatusCode, revisions []string,
) v1alpha1.SyncStatus {
	status := v1alpha1.SyncStatus{
		Status: code,
		ComparedTo: v1alpha1.ComparedTo{
			Destination: app.Spec.Destination, IgnoreDifferences: app.Spec.IgnoreDifferences,
		},
	}
	if app.Spec.HasMultipleSources() {
		status.ComparedTo.Sources, status.Revisions = sources, revisions
		return status
	}
	status.ComparedTo.Source = sources[0]
	if len(revisions) > 0 {
		status.Revision = revisions[0]
	}
	return status
}

func statusOf(key resourceKey, object *unstructured.Unstructured) v1alpha1.ResourceStatus {
	return v1alpha1.ResourceStatus{
		Group: key.group, Version: object.GroupVersionKind().Version, Kind: key.kind, Namespace: key.namespace, Name: key.name,
		Status: v1alpha1.SyncStatusCodeSynced,
	}
}

func healthOf(live *liveObject) *v1alpha1.HealthStatus {
	h := live.health()
	if h == nil {
		return nil
	}
	return &v1alpha1.HealthStatus{Status: h.Status, Message: h.Message}
}

// sourcesOf returns the sources of the specification, one or several.
func sourcesOf(app *v1alpha1.Application) []v1alpha1.ApplicationSource {
	return slices.Clone(app.Spec.GetSources())
}

func (s *Server) condition(kind v1alpha1.ApplicationConditionType, message string) v1alpha1.ApplicationCondition {
	now := metav1.NewTime(s.now())
	return v1alpha1.ApplicationCondition{Type: kind, Message: message, LastTransitionTime: &now}
}
