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
// Start is New outside tests. App returns an application as it is, Calls what was asked of the API.
//
// # The way in
//
// One port answers gRPC, gRPC-web and HTTP (/healthz, /api/version and the page of the user interface), in plaintext or with
// Options.TLS. Options.RootPath and Options.Front put an ingress for a path, a proxy for HTTP/1.1 or a black hole in front.
// Options.Listener serves a listener in memory, so that time may be testing/synctest's.
//
// Tokens are real ones (Token, TokenFrom, Revoke, Options.Skew), rights are those of a policy.csv (Options.Policy, SetPolicy)
// or of a project's roles, decided by Argo CD's own enforcer: the account admin may do everything, others nothing.
//
// # What happens to applications
//
// Everything takes no time unless Options say otherwise (ProgressingFor, OperationFor, RefreshFor). Rollout decides what
// becomes of the workloads of an application: Healthy, Progressing, Suspended, Flapping, ImagePullBackOff, CrashLoop, Refused
// or stages of your own. Hooks are workloads too, so a hook fails that is degraded, and one that progresses for ever makes an
// operation stuck, as does a workload in a first sync wave. Edit changes the cluster behind the back of Git, EditApp an
// application, SetWindows sync windows; PauseController lets refreshes and operations wait.
//
// # What goes wrong on the way
//
// Fail plans faults for the next calls of a method, Fault decides about every call: Status, Page, Hang, Delay, Drop, Reset,
// LoseReply, CutAfter, EndAfter, Mute, Around. Stop and Resume restart the server, but not the controller.
package argocdtest
