package argocdtest

import (
	"fmt"
	"time"

	"github.com/argoproj/gitops-engine/pkg/health"
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
