package argocdtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// node is a node of the tree, and the pod that it is, if it is one.
type node struct {
	v1alpha1.ResourceNode
	pod *Pod
}

// tree returns the live objects and, below workloads, the pods that their stage describes. It needs the lock.
func (s *Server) tree(a *application) []node {
	var nodes []node
	keys := make([]resourceKey, 0, len(a.live))
	for key := range a.live {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, resourceKey.compare)
	for _, key := range keys {
		live := a.live[key]
		created := metav1.NewTime(live.created)
		root := v1alpha1.ResourceNode{
			ResourceRef: v1alpha1.ResourceRef{
				Group: key.group, Version: live.object.GroupVersionKind().Version, Kind: key.kind, Namespace: key.namespace,
				Name: key.name, UID: live.uid,
			},
			Health: healthOf(live), CreatedAt: &created, ResourceVersion: strconv.Itoa(live.generation),
		}
		if key.kind == "Deployment" {
			root.Info = []v1alpha1.InfoItem{{Name: "Revision", Value: fmt.Sprintf("Rev:%d", live.generation)}}
		}
		nodes = append(nodes, node{ResourceNode: root})
		nodes = append(nodes, s.children(a, live, root)...)
	}
	return nodes
}

func (s *Server) children(a *application, live *liveObject, parent v1alpha1.ResourceNode) []node {
	if !slices.Contains(workloadKinds, live.key.kind) || live.key.kind == "Pod" {
		return nil
	}
	var nodes []node
	hash := strings.ReplaceAll(uid(a.key, live.key, live.generation), "-", "")
	name := live.key.name
	if live.key.kind == "Deployment" || live.key.kind == "Rollout" {
		name += "-" + hash[:9]
		set := child(parent, "apps", "ReplicaSet", name, uid(a.key, live.key, "set", live.generation))
		set.Health = parent.Health
		set.Info = []v1alpha1.InfoItem{{Name: "Revision", Value: fmt.Sprintf("Rev:%d", live.generation)}}
		nodes = append(nodes, node{ResourceNode: set})
		parent = set
	}
	stage, _ := live.stage()
	pod := podOf(live, stage)
	leaf := child(parent, "", "Pod", name+"-"+hash[9:14], uid(a.key, live.key, "pod", live.generation))
	leaf.Images = imagesOf(live.object.Object)
	leaf.Health = podHealth(stage, pod)
	ready := "0/1"
	if leaf.Health.Status == health.HealthStatusHealthy {
		ready = "1/1"
	}
	leaf.Info = []v1alpha1.InfoItem{{Name: "Status Reason", Value: pod.Reason}, {Name: "Containers", Value: ready}}
	if pod.Restarts > 0 {
		leaf.Info = append(leaf.Info, v1alpha1.InfoItem{Name: "Restart Count", Value: strconv.Itoa(pod.Restarts)})
	}
	return append(nodes, node{ResourceNode: leaf, pod: pod})
}

func child(parent v1alpha1.ResourceNode, group, kind, name, uid string) v1alpha1.ResourceNode {
	return v1alpha1.ResourceNode{
		ResourceRef: v1alpha1.ResourceRef{Group: group, Version: "v1", Kind: kind, Namespace: parent.Namespace, Name: name, UID: uid},
		ParentRefs:  []v1alpha1.ResourceRef{parent.ResourceRef},
		CreatedAt:   parent.CreatedAt,
	}
}

func podOf(live *liveObject, stage Stage) *Pod {
	pod := Pod{}
	if stage.Pod != nil {
		pod = *stage.Pod
	}
	if pod.Reason == "" {
		switch {
		case stage.Health == health.HealthStatusProgressing && live.key.kind != "Job":
			pod.Reason = "ContainerCreating"
		case stage.Health == health.HealthStatusDegraded:
			pod.Reason = "Error"
		default:
			pod.Reason = "Running"
		}
	}
	return &pod
}

// podHealth is not that of the workload: a pod that cannot start is degraded long before its Deployment is.
func podHealth(stage Stage, pod *Pod) *v1alpha1.HealthStatus {
	switch {
	case strings.HasSuffix(pod.Reason, "BackOff"), strings.HasPrefix(pod.Reason, "Err"), stage.Health == health.HealthStatusDegraded:
		return &v1alpha1.HealthStatus{Status: health.HealthStatusDegraded, Message: pod.Message}
	case pod.Reason == "ContainerCreating":
		return &v1alpha1.HealthStatus{Status: health.HealthStatusProgressing, Message: pod.Message}
	}
	return &v1alpha1.HealthStatus{Status: health.HealthStatusHealthy, Message: pod.Message}
}

// summary needs the lock.
func (s *Server) summary(a *application) v1alpha1.ApplicationSummary {
	var images []string
	for _, n := range s.tree(a) {
		images = append(images, n.Images...)
	}
	slices.Sort(images)
	return v1alpha1.ApplicationSummary{Images: slices.Compact(images)}
}

func (s *Server) applicationTree(a *application) *v1alpha1.ApplicationTree {
	s.mu.Lock()
	defer s.mu.Unlock()
	tree := &v1alpha1.ApplicationTree{}
	for _, n := range s.tree(a) {
		tree.Nodes = append(tree.Nodes, n.ResourceNode)
	}
	return tree
}

// eventsOf returns the events of a pod.
func eventsOf(n node) []corev1.Event {
	if n.pod == nil {
		return nil
	}
	var events []corev1.Event
	for i, e := range n.pod.Events {
		events = append(events, corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%d", n.Name, i), Namespace: n.Namespace},
			InvolvedObject: corev1.ObjectReference{
				Kind: n.Kind, Namespace: n.Namespace, Name: n.Name, UID: types.UID(n.UID), APIVersion: n.Version,
			},
			Type: e.Type, Reason: e.Reason, Message: e.Message, Count: int32(e.Count),
			FirstTimestamp: *n.CreatedAt, LastTimestamp: metav1.NewTime(n.CreatedAt.Add(secondsAfter(i))),
		})
	}
	return events
}

// secondsAfter keeps events in their order.
func secondsAfter(i int) time.Duration { return time.Duration(i) * time.Second }
