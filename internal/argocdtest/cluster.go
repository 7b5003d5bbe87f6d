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

// Workload is an object that was created or changed in the cluster, and of which the cluster must make something.
type Workload struct {
	// App is NAME, or NAMESPACE/NAME outside the server's namespace.
	App string
	// Revision is the commit that it comes from, of the first source.
	Revision                     string
	Group, Kind, Namespace, Name string
	// Images are those of all containers.
	Images []string
	// Hook says that it is a hook of the operation.
	Hook bool
}

// Outcome is what becomes of a workload.
type Outcome struct {
	// Refused is why the API server does not accept it, such as the message of an admission webhook.
	Refused string
	// Stages follow one another, from the moment of the change.
	Stages []Stage
}

// Stage is a time in the life of a workload. A hook in it is Running, and Succeeded or Failed once Healthy or Degraded.
type Stage struct {
	Health  health.HealthStatusCode
	Message string
	// For is how long the stage lasts; zero is for good.
	For time.Duration
	// Pod is how the workload's pod is doing, one that runs if nil.
	Pod *Pod
}

// Pod is what the tree, the events and the logs say of a pod.
type Pod struct {
	// Reason is the status reason that kubectl shows, such as ImagePullBackOff; Running if empty.
	Reason  string
	Message string
	// Restarts is how often the container has been started again.
	Restarts int
	Events   []Event
	// Logs and PreviousLogs are of the container now and of the one before; the latter exists only after a restart.
	Logs, PreviousLogs string
}

// Event is an event of Kubernetes about a pod.
type Event struct {
	Type, Reason, Message string
	Count                 int
}

// Healthy becomes healthy after a while.
func Healthy(after time.Duration) Outcome {
	healthy := Stage{Health: health.HealthStatusHealthy, Pod: &Pod{Logs: "listening on :8080\n"}}
	if after <= 0 {
		return Outcome{Stages: []Stage{healthy}}
	}
	return Outcome{Stages: []Stage{{Health: health.HealthStatusProgressing, For: after}, healthy}}
}

// Progressing never becomes healthy.
func Progressing() Outcome {
	return Outcome{Stages: []Stage{{Health: health.HealthStatusProgressing}}}
}

// Suspended is paused, as an Argo Rollout between two steps is.
func Suspended() Outcome {
	return Outcome{Stages: []Stage{{Health: health.HealthStatusSuspended, Message: "CanaryPauseStep"}}}
}

// Refused is not accepted by the API server.
func Refused(message string) Outcome { return Outcome{Refused: message} }

// Flapping is degraded and healthy by turns, each for the period, before it stays healthy.
func Flapping(times int, period time.Duration) Outcome {
	var o Outcome
	for range times {
		o.Stages = append(o.Stages, Stage{Health: health.HealthStatusHealthy, For: period},
			Stage{Health: health.HealthStatusDegraded, Message: "the HPA was unable to compute the replica count", For: period})
	}
	o.Stages = append(o.Stages, Stage{Health: health.HealthStatusHealthy})
	return o
}

// ImagePullBackOff has a pod whose image cannot be pulled, and is degraded once the deadline for progress has passed.
func ImagePullBackOff(image string, deadline time.Duration) Outcome {
	pod := &Pod{
		Reason:  "ImagePullBackOff",
		Message: fmt.Sprintf("Back-off pulling image %q", image),
		Events: []Event{
			{"Normal", "Scheduled", "Successfully assigned pod to node-1", 1},
			{"Normal", "Pulling", fmt.Sprintf("Pulling image %q", image), 3},
			{"Warning", "Failed", fmt.Sprintf("Failed to pull image %q: manifest unknown", image), 3},
			{"Warning", "Failed", "Error: ErrImagePull", 3},
			{"Warning", "Failed", "Error: ImagePullBackOff", 5},
		},
	}
	return deadlineExceeded(pod, deadline)
}

// CrashLoop has a pod whose container ends again and again, and is degraded once the deadline for progress has passed.
func CrashLoop(previousLogs string, deadline time.Duration) Outcome {
	pod := &Pod{
		Reason:   "CrashLoopBackOff",
		Message:  "back-off 40s restarting failed container",
		Restarts: 4,
		Events: []Event{
			{"Normal", "Scheduled", "Successfully assigned pod to node-1", 1},
			{"Normal", "Started", "Started container", 5},
			{"Warning", "BackOff", "Back-off restarting failed container", 12},
		},
		Logs:         "starting\n",
		PreviousLogs: previousLogs,
	}
	return deadlineExceeded(pod, deadline)
}

func deadlineExceeded(pod *Pod, deadline time.Duration) Outcome {
	degraded := Stage{Health: health.HealthStatusDegraded, Message: "exceeded its progress deadline", Pod: pod}
	if deadline <= 0 {
		return Outcome{Stages: []Stage{degraded}}
	}
	return Outcome{Stages: []Stage{{Health: health.HealthStatusProgressing, For: deadline, Pod: pod}, degraded}}
}

// Rollout decides what becomes of the workloads of an application that change from now on. Without it, and for what it
// returns no stages for, they become healthy after Options.ProgressingFor.
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
	a, err := s.find(qualified)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, live := range a.live {
		if key.kind == kind && key.name == name {
			live.object = live.object.DeepCopy()
			edit(live.object.Object)
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
	if outcome.Refused != "" {
		return "", fmt.Errorf("%s", outcome.Refused)
	}
	live, exists := a.live[target.key]
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
