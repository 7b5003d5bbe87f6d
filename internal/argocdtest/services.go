package argocdtest

import (
	"context"
	"io"
	"slices"
	"sort"
	"strings"

	accountpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/account"
	applicationpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	projectpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/project"
	sessionpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/session"
	settingspkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/settings"
	versionpkg "github.com/argoproj/argo-cd/v2/pkg/apiclient/version"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	grpcutil "github.com/argoproj/argo-cd/v2/util/grpc"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"github.com/golang/protobuf/ptypes/empty"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newGRPC has the interceptors of the real server that change what a client sees, behind the faults.
func (s *Server) newGRPC() *grpc.Server {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	log := logrus.NewEntry(quiet)
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(s.unaryFault, s.unaryAuth, grpcutil.ErrorCodeK8sUnaryServerInterceptor(),
			grpcutil.ErrorCodeGitUnaryServerInterceptor(), grpcutil.PanicLoggerUnaryServerInterceptor(log)),
		grpc.ChainStreamInterceptor(s.streamFault, s.streamAuth, grpcutil.ErrorCodeK8sStreamServerInterceptor(),
			grpcutil.ErrorCodeGitStreamServerInterceptor(), grpcutil.PanicLoggerStreamServerInterceptor(log)),
	)
	applicationpkg.RegisterApplicationServiceServer(server, &applicationService{s: s})
	sessionpkg.RegisterSessionServiceServer(server, &sessionService{s: s})
	versionpkg.RegisterVersionServiceServer(server, &versionService{s: s})
	settingspkg.RegisterSettingsServiceServer(server, &settingsService{s: s})
	accountpkg.RegisterAccountServiceServer(server, &accountService{s: s})
	projectpkg.RegisterProjectServiceServer(server, &projectService{s: s})
	return server
}

type sessionService struct {
	sessionpkg.UnimplementedSessionServiceServer
	s *Server
}

// GetUserInfo is open to everybody: a token that was not accepted shows as loggedIn=false, without an error.
func (v *sessionService) GetUserInfo(ctx context.Context, _ *sessionpkg.GetUserInfoRequest) (*sessionpkg.GetUserInfoResponse, error) {
	name := username(ctx)
	if name == "" {
		return &sessionpkg.GetUserInfoResponse{}, nil
	}
	return &sessionpkg.GetUserInfoResponse{LoggedIn: true, Username: name, Iss: issuer}, nil
}

// Create refuses every password: accounts of pipelines have none.
func (v *sessionService) Create(context.Context, *sessionpkg.SessionCreateRequest) (*sessionpkg.SessionResponse, error) {
	return nil, status.Error(codes.Unauthenticated, "Invalid username or password")
}

// Delete ends nothing, as there is no session.
func (v *sessionService) Delete(context.Context, *sessionpkg.SessionDeleteRequest) (*sessionpkg.SessionResponse, error) {
	return &sessionpkg.SessionResponse{}, nil
}

type versionService struct {
	versionpkg.UnimplementedVersionServiceServer
	s *Server
}

// Version says more to those who are logged in.
func (v *versionService) Version(ctx context.Context, _ *empty.Empty) (*versionpkg.VersionMessage, error) {
	message := &versionpkg.VersionMessage{Version: v.s.options.Version}
	if username(ctx) != "" {
		message.Platform, message.Compiler, message.GitTreeState = "linux/amd64", "gc", "clean"
	}
	return message, nil
}

type settingsService struct {
	settingspkg.UnimplementedSettingsServiceServer
	s *Server
}

// Get returns the settings that are open to everybody.
func (v *settingsService) Get(context.Context, *settingspkg.SettingsQuery) (*settingspkg.Settings, error) {
	return &settingspkg.Settings{
		URL: v.s.URL(), AppLabelKey: "app.kubernetes.io/instance", ControllerNamespace: v.s.options.Namespace,
		UserLoginsDisabled: true, AppsInAnyNamespaceEnabled: true, TrackingMethod: "label",
	}, nil
}

type accountService struct {
	accountpkg.UnimplementedAccountServiceServer
	s *Server
}

// CanI answers "yes" to logs, get unless that right is enforced.
func (v *accountService) CanI(ctx context.Context, r *accountpkg.CanIRequest) (*accountpkg.CanIResponse, error) {
	switch {
	case !slices.Contains(rbac.Actions, r.Action):
		return nil, status.Errorf(codes.InvalidArgument, "%v does not contain %s", rbac.Actions, r.Action)
	case !slices.Contains(rbac.Resources, r.Resource):
		return nil, status.Errorf(codes.InvalidArgument, "%v does not contain %s", rbac.Resources, r.Resource)
	case r.Resource == rbac.ResourceLogs && !v.s.enforcesLogs():
		return &accountpkg.CanIResponse{Value: "yes"}, nil
	case v.s.enforce(ctx, r.Resource, r.Action, r.Subresource) != nil:
		return &accountpkg.CanIResponse{Value: "no"}, nil
	}
	return &accountpkg.CanIResponse{Value: "yes"}, nil
}

func (s *Server) v3() bool { return !strings.HasPrefix(s.options.Version, "v2.") }

func (s *Server) enforcesLogs() bool { return s.options.EnforceLogs || s.v3() }

type projectService struct {
	projectpkg.UnimplementedProjectServiceServer
	s *Server
}

// Get returns a project to those who may get it.
func (v *projectService) Get(ctx context.Context, q *projectpkg.ProjectQuery) (*v1alpha1.AppProject, error) {
	if err := v.s.enforce(ctx, rbac.ResourceProjects, rbac.ActionGet, q.Name); err != nil {
		return nil, err
	}
	return v.s.project(q.Name)
}

// GetDetailedProject is where the argocd command reads sync windows from.
func (v *projectService) GetDetailedProject(ctx context.Context, q *projectpkg.ProjectQuery) (*projectpkg.DetailedProjectsResponse, error) {
	project, err := v.Get(ctx, q)
	return &projectpkg.DetailedProjectsResponse{Project: project}, err
}

// List returns the projects that the caller may get.
func (v *projectService) List(ctx context.Context, _ *projectpkg.ProjectQuery) (*v1alpha1.AppProjectList, error) {
	v.s.mu.Lock()
	all := make([]*v1alpha1.AppProject, 0, len(v.s.projects))
	for _, p := range v.s.projects {
		all = append(all, p)
	}
	v.s.mu.Unlock()
	list := &v1alpha1.AppProjectList{}
	for _, p := range all {
		if v.s.enforce(ctx, rbac.ResourceProjects, rbac.ActionGet, p.Name) == nil {
			list.Items = append(list.Items, *p)
		}
	}
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].Name < list.Items[j].Name })
	return list, nil
}
