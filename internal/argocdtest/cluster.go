package argocdtest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rollout decides what becomes of the workloads of an application that change from now on. Without it, and for what it
// returns no stages for, they become healthy after Options.ProgressingFor. The function must not call the server.
func (s *Server) Rollout(qualified string, decide func(Workload) Outcome) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.rollout = decide
	return nil
}

// Edit changes an object in the cluster behind the back of Git, as kubectl edit does. The object is named by kind and name.
func (s *Server) Edit(qualified, kind, name string, edit func(map[string]any)) error {
	return s.withLive(qualified, kind, name, func(live *liveObject) {
		live.object = live.object.DeepCopy()
		edit(live.object.Object)
	})
}

// Become makes an object in the cluster, named by kind and name, go through stages although nobody has changed it.
func (s *Server) Become(qualified, kind, name string, o Outcome) error {
	return s.withLive(qualified, kind, name, func(live *liveObject) {
		live.stages, live.changed = o.Stages, time.Now()
	})
}

func (s *Server) withLive(qualified, kind, name string, change func(*liveObject)) error {
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, live := range a.live {
		if key.kind == kind && key.name == name {
			change(live)
			a.kick()
			return nil
		}
	}
	return fmt.Errorf("argo cd test server: no %s %s in the cluster", kind, name)
}

type resourceKey struct{ group, kind, namespace, name string }

func (k resourceKey) compare(other resourceKey) int {
	return cmp.Or(cmp.Compare(k.group, other.group), cmp.Compare(k.kind, other.kind),
		cmp.Compare(k.namespace, other.namespace), cmp.Compare(k.name, other.name))
}

// String is how messages of operations name a resource.
func (k resourceKey) String() string { return k.group + "/" + k.kind + "/" + k.name }

// kubectl is how the output of kubectl names it.
func (k resourceKey) kubectl() string {
	name := strings.ToLower(k.kind)
	if k.group != "" {
		name += "." + k.group
	}
	return name + "/" + k.name
}

// liveObject is an object in the cluster.
type liveObject struct {
	object     *unstructured.Unstructured
	key        resourceKey
	uid        string
	created    time.Time
	changed    time.Time
	generation int
	hook       bool
	stages     []Stage
	gone       time.Time // when its deletion is complete, zero if nobody deletes it
}

var workloadKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job", "Pod"}

// hasHealth says whether Argo CD has a health check for the kind, as it has for workloads and, say, for services.
func hasHealth(key resourceKey) bool {
	return slices.Contains(workloadKinds, key.kind) ||
		health.GetHealthCheckFunc(schema.GroupVersionKind{Group: key.group, Kind: key.kind}) != nil
}

// apply creates or changes an object and says what it did. It needs the lock.
func (s *Server) apply(a *application, target *resource, revision string) (message string, err error) {
	images := imagesOf(target.object.Object)
	outcome := Outcome{}
	if a.rollout != nil {
		outcome = a.rollout(Workload{
			App: a.key.display(s.options.Namespace), Revision: revision, Group: target.key.group, Kind: target.key.kind,
			Namespace: target.key.namespace, Name: target.key.name, Images: images, Hook: target.isHook(),
		})
	}
	live, exists := a.live[target.key]
	if outcome.Refused != "" {
		doing := map[bool]string{false: "creating", true: "patching"}[exists]
		return "", fmt.Errorf("error when %s %q: %s", doing, "/dev/shm/0", outcome.Refused)
	}
	if exists && reflect.DeepEqual(live.object.Object, target.object.Object) {
		return target.key.kubectl() + " unchanged", nil
	}
	if !exists {
		live = &liveObject{key: target.key, created: time.Now(), hook: target.isHook()}
		live.uid = uid(a.key, target.key, live.created)
		a.live[target.key] = live
	}
	live.object, live.changed = target.object, time.Now()
	live.generation++
	if live.stages = outcome.Stages; len(live.stages) == 0 {
		live.stages = s.defaultStages(target.key)
	}
	if !exists {
		return target.key.kubectl() + " created", nil
	}
	return target.key.kubectl() + " configured", nil
}

func (s *Server) defaultStages(key resourceKey) []Stage {
	if slices.Contains(workloadKinds, key.kind) {
		return Healthy(s.options.ProgressingFor).Stages
	}
	return Healthy(0).Stages
}

// stage returns where the object is now, and when that ends, zero for never.
func (l *liveObject) stage() (now Stage, until time.Time) {
	until = l.changed
	for _, stage := range l.stages {
		if stage.For == 0 {
			return stage, time.Time{}
		}
		if until = until.Add(stage.For); time.Now().Before(until) {
			return stage, until
		}
	}
	return l.stages[len(l.stages)-1], time.Time{}
}

func (l *liveObject) health() *health.HealthStatus {
	if !hasHealth(l.key) {
		return nil
	}
	stage, _ := l.stage()
	return &health.HealthStatus{Status: stage.Health, Message: l.message(stage)}
}

func (l *liveObject) message(stage Stage) string {
	switch {
	case stage.Health == health.HealthStatusDegraded && stage.Message == "exceeded its progress deadline":
		return fmt.Sprintf("%s %q %s", l.key.kind, l.key.name, stage.Message)
	case stage.Message == "" && stage.Health == health.HealthStatusProgressing && l.key.kind == "Deployment":
		return "Waiting for rollout to finish: 0 of 1 updated replicas are available..."
	case stage.Message == "" && stage.Health == health.HealthStatusHealthy && l.key.kind == "Job":
		return "Reached expected number of succeeded pods"
	}
	return stage.Message
}

func uid(app appKey, key resourceKey, parts ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, app, key, parts))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// imagesOf finds the images of all containers of an object.
func imagesOf(object any) []string {
	var images []string
	switch node := object.(type) {
	case map[string]any:
		for _, key := range []string{"initContainers", "containers"} {
			containers, _ := node[key].([]any)
			for _, c := range containers {
				container, _ := c.(map[string]any)
				if image, ok := container["image"].(string); ok {
					images = append(images, image)
				}
			}
		}
		for _, key := range []string{"spec", "template", "jobTemplate"} {
			images = append(images, imagesOf(node[key])...)
		}
	}
	return images
}
