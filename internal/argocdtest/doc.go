// Package argocdtest is an Argo CD in process: the gRPC services of its API client, served on loopback, and an application
// controller that reads a Git server, renders with kustomize and moves operation, sync and health of applications over a
// cluster that it makes up. It needs the git binary.
//
//	s := argocdtest.New(t, argocdtest.Options{})
//	err := s.AddApp(argocdtest.App{Name: "web", Repo: git.URL("gitops"), Path: "overlays/prod", Revision: "main", Deployed: true})
//	client, err := apiclient.NewClient(&apiclient.ClientOptions{
//		ServerAddr: s.Addr(), PlainText: true, AuthToken: s.Token("admin", time.Time{}),
//	})
//
// Start is New outside tests. App returns an application as it is, Await as soon as it is as wanted, Calls what was asked of the
// API.
//
// # The way in
//
// One port answers gRPC, gRPC-web and HTTP (/healthz, /api/version and the page of the user interface), in plaintext or with
// Options.TLS. Options.RootPath and Options.Front put an ingress for a path, proxies that gRPC does not pass or a black hole in
// front. Options.Listener serves a listener in memory, so that time may be testing/synctest's.
//
// Tokens are real ones (Token, TokenFrom, Revoke, Options.Skew), rights are those of a policy.csv (Options.Policy, SetPolicy)
// or of a project's roles (EditProject), decided by the rules of Argo CD: the account admin may do everything, others nothing.
//
// # What happens to applications
//
// The API and the controller do what those of v2.14 do, with their texts, and where they differ what those of v3 do, if
// Options.Version says so: how revisions are resolved and refused, when operationState is nil, what prune leaves behind, what
// a refresh waits for, when reconciledAt moves, that a retried operation is Running and finished at once, that a sync without
// waves and hooks succeeds when everything was applied, and that auto-sync tries a commit once.
//
// Everything takes no time unless Options say otherwise (ProgressingFor, OperationFor, RefreshFor). Rollout decides what
// becomes of the workloads of an application: Healthy, Progressing, Suspended, Flapping, ImagePullBackOff, CrashLoop, Refused
// or stages of your own. Hooks are workloads too: one that is degraded has failed, and one that progresses for ever makes an
// operation stuck, as does a workload in a first sync wave. Become and Edit change the cluster behind the back of Git, EditApp
// and RemoveApp an application, SetWindows sync windows; SyncAs starts an operation of somebody else; PauseController lets
// refreshes and operations wait, ErrOperations and ForgetProject let operations end as Error.
//
// # What goes wrong on the way
//
// Fail plans faults for the next calls of a method, Fault decides about every call: Status, Page, Hang, Delay, Drop, Reset,
// LoseReply, CutAfter, EndAfter, Mute, Around. Stop and Resume restart the server, but not the controller.
//
// # What it does not have
//
// Helm, source hydration, application sets, resource actions, passwords and SSO, and whatever writes specifications.
package argocdtest
