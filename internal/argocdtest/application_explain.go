package argocdtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceTree returns the live objects and their children, down to pods.
func (v *applicationService) ResourceTree(ctx context.Context, q *applicationpkg.ResourcesQuery) (*v1alpha1.ApplicationTree, error) {
	a, _, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetApplicationName())
	if err != nil {
		return nil, err
	}
	return v.s.applicationTree(a), nil
}

// ListResourceEvents returns the events of a node of the tree, of which name, namespace and UID must all be right. Without
// them they would be those of the Application, of which there are none.
func (v *applicationService) ListResourceEvents(
	ctx context.Context, q *applicationpkg.ApplicationResourceEventsQuery,
) (*corev1.EventList, error) {
	a, _, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetName())
	if err != nil {
		return nil, err
	}
	list := &corev1.EventList{}
	if q.GetResourceName() == "" && q.GetResourceUID() == "" {
		return list, nil
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	for _, n := range v.s.tree(a) {
		if n.UID == q.GetResourceUID() && n.Name == q.GetResourceName() && n.Namespace == q.GetResourceNamespace() {
			list.Items = eventsOf(n)
			return list, nil
		}
	}
	return nil, status.Errorf(codes.InvalidArgument, "%s not found as part of application %s", q.GetResourceName(), q.GetName())
}

// PodLogs sends the lines of one pod and then an entry that is the last. The logs before a restart that did not happen are an
// error that comes as a line, as the real server has it.
func (v *applicationService) PodLogs(q *applicationpkg.ApplicationPodLogsQuery, stream applicationpkg.ApplicationService_PodLogsServer) error {
	ctx := stream.Context()
	a, app, err := v.s.permitted(ctx, rbac.ActionGet, q.GetProject(), q.GetAppNamespace(), q.GetName())
	if err != nil {
		return err
	}
	if v.s.enforcesLogs() {
		if err := v.s.enforce(ctx, rbac.ResourceLogs, rbac.ActionGet, app.RBACName(v.s.options.Namespace)); err != nil {
			return err
		}
	}
	v.s.mu.Lock()
	nodes := v.s.tree(a)
	v.s.mu.Unlock()
	name, at := q.GetPodName(), time.Now()
	if name == "" {
		name = q.GetResourceName()
	}
	i := slices.IndexFunc(nodes, func(n node) bool { return n.pod != nil && n.Name == name })
	if i < 0 {
		return nil
	}
	for _, line := range logLines(nodes[i], q) {
		if err := stream.Send(logEntry(name, line, at, false)); err != nil {
			return err
		}
	}
	if q.GetFollow() {
		<-ctx.Done()
		return nil
	}
	return stream.Send(logEntry("", "", at, true))
}

func logLines(n node, q *applicationpkg.ApplicationPodLogsQuery) []string {
	text := n.pod.Logs
	if q.GetPrevious() {
		if text = n.pod.PreviousLogs; text == "" {
			text = fmt.Sprintf("previous terminated container %q in pod %q not found", q.GetContainer(), n.Name)
		}
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	if tail := int(q.GetTailLines()); tail > 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	return lines
}

func logEntry(pod, line string, at time.Time, last bool) *applicationpkg.LogEntry {
	when, stamp := at.Format(time.RFC3339Nano), metav1.NewTime(at)
	return &applicationpkg.LogEntry{PodName: &pod, Content: &line, TimeStampStr: &when, TimeStamp: &stamp, Last: &last}
}
