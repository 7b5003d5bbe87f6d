package steps_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc/codes"

	"slipway/internal/argocdtest"
	"slipway/internal/gitrepotest"
)

type argoCDKey struct{}

// argoCD drives the Argo CD of a story, which reads the story's Git server:
//
//	argocd start [-OPTION...]       serve; sets ARGOCD_SERVER, ARGOCD_AUTH_TOKEN and SLIPWAY_ARGOCD_PLAINTEXT. Options are -tls (sets
//	                                ARGOCD_CA_FILE), -root=PATH, -http1, -nogrpc, -silent, -v3, -logs (their right is enforced),
//	                                -slow (operations last a minute), -skew=DURATION (how far its clock is ahead)
//	argocd app NAME PATH [-OPTION...]  declare an application, synced and healthy; options are -automated, -prune, -branch=BRANCH,
//	                                -label=KEY:VALUE, -project=PROJECT, -repo=URL, -new (nothing was synced yet)
//	argocd rollout NAME OUTCOME [TAG]  what becomes of workloads that change, or of those only whose images have the tag: progressing,
//	                                suspended, crashloop, pull, refused, healthy
//	argocd error NAME TEXT           let the next operation end as Error
//	argocd token ACCOUNT [expired|DURATION]  sets ARGOCD_AUTH_TOKEN
//	argocd policy FILE              replace policy.csv
//	argocd fail METHOD N FAULT      let the next N calls meet a fault: a code of HTTP, hang, drop, lose, or a code of gRPC and a text
//	argocd window closed|open       a sync window that forbids, or none
//	argocd proxy                    start a proxy that leads every host to the server; sets PROXY_URL
//	argocd await METHOD N           wait until there were so many calls
//	argocd syncs N                  check how many syncs were asked for
//	argocd calls METHOD N           check how many calls of a method there were
//	argocd version NAME             print what changes with every change of the application
func argoCD(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: argocd start|app|rollout|token|fail|syncs ...")
	}
	if args[0] == "start" {
		startArgoCD(ts, args[1:])
		return
	}
	server := *ts.Value(argoCDKey{}).(**argocdtest.Server)
	if server == nil {
		ts.Fatalf("argocd %s: no server was started", args[0])
	}
	ts.Check(tellArgoCD(ts, server, args[0], args[1:]))
}

func startArgoCD(ts *testscript.TestScript, args []string) {
	options := argocdtest.Options{ProgressingFor: 100 * time.Millisecond}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "-tls":
			options.TLS = true
		case "-root":
			options.RootPath = value
		case "-http1":
			options.Front = argocdtest.FrontHTTP1
		case "-nogrpc":
			options.Front = argocdtest.FrontNoGRPC
		case "-silent":
			options.Front = argocdtest.FrontBlackHole
		case "-slow":
			options.OperationFor = time.Minute
		case "-v3":
			options.Version = "v3.1.0"
		case "-logs":
			options.EnforceLogs = true
		case "-skew":
			var err error
			options.Skew, err = time.ParseDuration(value)
			ts.Check(err)
		default:
			ts.Fatalf("argocd start: no option %s", arg)
		}
	}
	server, err := argocdtest.Start(options)
	ts.Check(err)
	ts.Defer(func() { _ = server.Close() })
	ts.Setenv("ARGOCD_SERVER", server.Addr())
	ts.Setenv("ARGOCD_AUTH_TOKEN", server.Token("admin", time.Time{}))
	ts.Setenv("SLIPWAY_ARGOCD_PLAINTEXT", strconv.FormatBool(!options.TLS))
	if options.TLS {
		ts.Setenv("ARGOCD_CA_FILE", server.CAFile())
	}
	*ts.Value(argoCDKey{}).(**argocdtest.Server) = server
}

func tellArgoCD(ts *testscript.TestScript, server *argocdtest.Server, what string, args []string) error {
	switch {
	case what == "app" && len(args) > 1:
		return declare(ts, server, args)
	case what == "rollout" && (len(args) == 2 || len(args) == 3):
		return rollout(server, args[0], args[1], strings.Join(args[2:], ""))
	case what == "error" && len(args) == 2:
		return server.ErrOperations(args[0], args[1])
	case what == "token" && len(args) > 0:
		expires, err := expiry(args[1:])
		ts.Setenv("ARGOCD_AUTH_TOKEN", server.TokenFrom(args[0], time.Now().Add(-2*time.Hour), expires))
		return err
	case what == "policy" && len(args) == 1:
		return server.SetPolicy(ts.ReadFile(args[0]))
	case what == "fail" && len(args) > 2:
		n, err := strconv.Atoi(args[1])
		server.Fail(args[0], n, faultOf(ts, args[2:]))
		return err
	case what == "window" && len(args) == 1:
		server.SetWindows("default")
		if args[0] == "closed" {
			server.SetWindows("default", argocdtest.Closed(false))
		}
		return nil
	case what == "proxy" && len(args) == 0:
		return proxyTo(ts, gitrepotest.ProxyOptions{Upstream: server.Addr()})
	case what == "await" && len(args) == 2:
		return awaitCalls(server, args[0], args[1])
	case what == "syncs" && len(args) == 1:
		return checkCalls(server, "application.Sync", args[0])
	case what == "calls" && len(args) == 2:
		return checkCalls(server, args[0], args[1])
	case what == "version" && len(args) == 1:
		_, err := fmt.Fprintln(ts.Stdout(), server.App(args[0]).ResourceVersion)
		return err
	}
	return fmt.Errorf("argocd %s: unknown, or the number of arguments is wrong", what)
}

func awaitCalls(server *argocdtest.Server, method, want string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 500 {
		if checkCalls(server, method, want) == nil {
			return nil
		}
		<-ticker.C
	}
	return checkCalls(server, method, want)
}

func expiry(args []string) (time.Time, error) {
	switch {
	case len(args) == 0:
		return time.Time{}, nil
	case args[0] == "expired":
		return time.Now().Add(-time.Hour), nil
	}
	in, err := time.ParseDuration(args[0])
	return time.Now().Add(in), err
}

func checkCalls(server *argocdtest.Server, method, want string) error {
	if got := len(server.Calls(method)); strconv.Itoa(got) != want {
		return fmt.Errorf("%d calls of %s have arrived, not %s", got, method, want)
	}
	return nil
}

func declare(ts *testscript.TestScript, server *argocdtest.Server, args []string) error {
	git := *ts.Value(gitServerKey{}).(**gitrepotest.Server)
	app := argocdtest.App{Name: args[0], Repo: git.URL(gitServerRepo), Path: args[1], Revision: "main", Deployed: true}
	if namespace, name, found := strings.Cut(app.Name, "/"); found {
		app.Namespace, app.Name = namespace, name
	}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "-automated":
			app.Automated = true
		case "-prune":
			app.Prune = true
		case "-new":
			app.Deployed = false
		case "-branch":
			app.Revision = value
		case "-project":
			app.Project = value
		case "-repo":
			app.Repo = value
		case "-label":
			key, content, _ := strings.Cut(value, ":")
			app.Labels = map[string]string{key: content}
		default:
			return fmt.Errorf("argocd app: no option %s", arg)
		}
	}
	return server.AddApp(app)
}

func rollout(server *argocdtest.Server, app, name, tag string) error {
	outcome, known := map[string]argocdtest.Outcome{
		"healthy":     argocdtest.Healthy(0),
		"progressing": argocdtest.Progressing(),
		"suspended":   argocdtest.Suspended(),
		"pull":        argocdtest.ImagePullBackOff("registry.example.com/shop/web:v2", 0),
		"crashloop":   argocdtest.CrashLoop("starting\npanic: no database at postgres://web:hunter2@db/shop\n", 0),
		"refused":     argocdtest.Refused(`admission webhook "policy.example.com" denied the request: no limits`),
	}[name]
	if !known {
		return fmt.Errorf("argocd rollout: no outcome %s", name)
	}
	return server.Rollout(app, func(w argocdtest.Workload) argocdtest.Outcome {
		if tag != "" && !slices.ContainsFunc(w.Images, func(image string) bool { return strings.HasSuffix(image, ":"+tag) }) {
			return argocdtest.Healthy(0)
		}
		return outcome
	})
}

func faultOf(ts *testscript.TestScript, words []string) argocdtest.Fault {
	switch words[0] {
	case "hang":
		return argocdtest.Hang()
	case "drop":
		return argocdtest.Drop()
	case "lose":
		return argocdtest.LoseReply()
	}
	number, err := strconv.Atoi(words[0])
	ts.Check(err)
	if number >= 100 {
		return argocdtest.Page(number)
	}
	return argocdtest.Status(codes.Code(number), strings.Join(words[1:], " "))
}
