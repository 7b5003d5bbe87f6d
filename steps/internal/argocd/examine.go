package argocd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"

	"slipway/steps/internal/failure"
)

// examiner looks into the cluster, as far as the account may.
type examiner struct {
	client  *Client
	ref     Ref
	mask    func(string) string
	missing []string
}

func (f *Follower) examiner() *examiner {
	mask := f.Mask
	if mask == nil {
		mask = func(text string) string { return text }
	}
	return &examiner{client: f.Client, ref: f.ref, mask: mask}
}

// collectHooks looks at hooks as soon as they have failed: their policy may have them deleted at once.
func (f *Follower) collectHooks(ctx context.Context, app *Application) {
	if app.State == nil || app.State.ID != f.Request.ID && !f.progress.unfinished {
		return
	}
	for _, r := range app.State.Results {
		if r.Hook == "" || r.HookPhase != phaseFailed && r.HookPhase != phaseError {
			continue
		}
		name := r.String()
		if slices.ContainsFunc(f.hooks, func(h Hook) bool { return h.Resource == name }) {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, hookLimit)
		causes := f.examiner().causes(limited, func(n *node) bool { return n.below(r.Key) })
		cancel()
		f.hooks = append(f.hooks, Hook{Resource: name, Phase: r.HookPhase, Message: r.Message, Causes: causes})
	}
}

// node is a node of the tree with its way up and down.
type node struct {
	v1alpha1.ResourceNode
	parents, children []*node
}

func (n *node) key() Key { return Key{n.Group, n.Kind, n.Namespace, n.Name} }

func (n *node) health() string {
	if n.Health == nil {
		return ""
	}
	return string(n.Health.Status)
}

func (n *node) ill() bool { return n.health() != "" && n.health() != healthy }

// cause says that a node is not healthy, and that nothing below it is to blame.
func (n *node) cause() bool { return n.ill() && !slices.ContainsFunc(n.children, (*node).someIll) }

func (n *node) someIll() bool { return n.ill() || slices.ContainsFunc(n.children, (*node).someIll) }

func (n *node) below(key Key) bool {
	return n.key() == key || slices.ContainsFunc(n.parents, func(p *node) bool { return p.below(key) })
}

func (n *node) info(name string) string {
	for _, item := range n.Info {
		if item.Name == name {
			return item.Value
		}
	}
	return ""
}

func (x *examiner) tree(ctx context.Context) []*node {
	tree, err := x.client.apps.ResourceTree(ctx, &applicationpkg.ResourcesQuery{
		ApplicationName: &x.ref.Name, AppNamespace: optional(x.ref.Namespace), Project: optional(x.ref.Project),
	})
	if err != nil {
		x.miss(ctx, "resources of the cluster", err)
		return nil
	}
	byUID := map[string]*node{}
	var nodes []*node
	for _, n := range tree.Nodes {
		next := &node{ResourceNode: n}
		nodes, byUID[n.UID] = append(nodes, next), next
	}
	for _, n := range nodes {
		for _, ref := range n.ParentRefs {
			if parent := byUID[ref.UID]; parent != nil {
				n.parents, parent.children = append(n.parents, parent), append(parent.children, n)
			}
		}
	}
	return nodes
}

func (x *examiner) miss(ctx context.Context, what string, err error) {
	err = classify(ctx, what, err)
	text := fmt.Sprintf("not found out: %v", err)
	if hint := failure.HintOf(err); hint != "" {
		text += " (" + hint + ")"
	}
	if !slices.Contains(x.missing, text) {
		x.missing = append(x.missing, text)
	}
}

// causes returns what is not healthy among the nodes in question, the worst and newest first.
func (x *examiner) causes(ctx context.Context, concerns func(*node) bool) []Cause {
	nodes := slices.DeleteFunc(x.tree(ctx), func(n *node) bool { return !n.cause() || !concerns(n) })
	slices.SortStableFunc(nodes, func(a, b *node) int {
		worse := func(n *node) int {
			if n.health() == degraded {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(worse(a), worse(b)), timeOf(b.CreatedAt).Compare(timeOf(a.CreatedAt)), strings.Compare(a.Name, b.Name))
	})
	var causes []Cause
	for _, n := range first(nodes, causesMax) {
		c := Cause{
			Resource: n.key().String(), Health: n.health(), Message: n.Health.Message, Reason: n.info("Status Reason"),
			Restarts: n.info("Restart Count"), Images: n.Images, Events: x.events(ctx, n),
		}
		if n.Kind == "Pod" && !neverStarted(c.Reason) {
			c.Log = x.log(ctx, n, c.Restarts != "")
		}
		causes = append(causes, c)
	}
	return causes
}

// neverStarted says that there is no container that could have written anything.
func neverStarted(reason string) bool {
	return containsAny(reason, "ImagePull", "InvalidImageName", "ContainerCreating", "Pending", "CreateContainerConfigError")
}

// events returns the warnings first, and of each kind the latest first. The server knows a node by all three of its names only.
func (x *examiner) events(ctx context.Context, n *node) []string {
	list, err := x.client.apps.ListResourceEvents(ctx, &applicationpkg.ApplicationResourceEventsQuery{
		Name: &x.ref.Name, AppNamespace: optional(x.ref.Namespace), Project: optional(x.ref.Project),
		ResourceNamespace: &n.Namespace, ResourceName: &n.Name, ResourceUID: &n.UID,
	})
	if err != nil {
		x.miss(ctx, "events of "+n.key().String(), err)
		return nil
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int {
		return cmp.Or(cmp.Compare(b.Type, a.Type), b.LastTimestamp.Compare(a.LastTimestamp.Time))
	})
	var texts []string
	for _, e := range first(list.Items, eventsMax) {
		text := e.Reason + ": " + e.Message
		if e.Count > 1 {
			text += fmt.Sprintf(" (%d times)", e.Count)
		}
		texts = append(texts, x.mask(text))
	}
	return texts
}

// log returns the end of a pod's log, of the container before if it was restarted.
func (x *examiner) log(ctx context.Context, n *node, restarted bool) string {
	text, err := "", error(nil)
	if restarted {
		text, err = x.lines(ctx, n, true)
	}
	if err == nil && (text == "" || strings.Contains(text, "previous terminated container")) {
		text, err = x.lines(ctx, n, false)
	}
	switch {
	case isDenied(err):
		x.missing = append(x.missing, "logs of pods need the right logs, get")
	case err != nil:
		x.miss(ctx, "log of "+n.key().String(), err)
	}
	// Cut only after masking, or half of a secret would be left that is no longer recognised.
	text = x.mask(text)
	if len(text) > logMax {
		text = strings.ToValidUTF8(text[len(text)-logMax:], "")
	}
	return text
}

func isDenied(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == codes.PermissionDenied
}

// severalContainers is what Kubernetes answers where it has to be told which container is meant.
var severalContainers = regexp.MustCompile(`a container name must be specified for pod .*choose one of: \[([^\]]+)\]`)

func (x *examiner) lines(ctx context.Context, n *node, previous bool) (string, error) {
	text, err := x.container(ctx, n, "", previous)
	match := severalContainers.FindStringSubmatch(text)
	if match == nil {
		return text, err
	}
	var all strings.Builder
	for _, name := range strings.Fields(match[1]) {
		text, err = x.container(ctx, n, name, previous)
		if err != nil {
			break
		}
		if text != "" && !strings.Contains(text, "previous terminated container") {
			fmt.Fprintf(&all, "container %s:\n%s", name, text)
		}
	}
	return all.String(), err
}

func (x *examiner) container(ctx context.Context, n *node, name string, previous bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, hookLimit)
	defer cancel() // the stream does not end by itself in every version of the server
	tail, follow := int64(50), false
	stream, err := x.client.apps.PodLogs(ctx, &applicationpkg.ApplicationPodLogsQuery{
		Name: &x.ref.Name, AppNamespace: optional(x.ref.Namespace), Project: optional(x.ref.Project),
		Namespace: &n.Namespace, PodName: &n.Name, Container: optional(name), TailLines: &tail, Previous: &previous, Follow: &follow,
	})
	var text strings.Builder
	for err == nil {
		var entry *applicationpkg.LogEntry
		if entry, err = stream.Recv(); err != nil || entry.GetLast() {
			break
		}
		text.WriteString(entry.GetContent() + "\n")
	}
	if err == nil || errors.Is(err, io.EOF) {
		return text.String(), nil
	}
	return text.String(), classify(ctx, "log", err)
}
