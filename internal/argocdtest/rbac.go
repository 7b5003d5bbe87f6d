package argocdtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/argoproj/argo-cd/v2/util/assets"
	"github.com/argoproj/argo-cd/v2/util/glob"
	"github.com/argoproj/argo-cd/v2/util/rbac"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"
	"github.com/golang-jwt/jwt/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// SetPolicy replaces the policy.csv of argocd-rbac-cm.
func (s *Server) SetPolicy(csv string) error {
	if err := rbac.ValidatePolicy(csv); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = csv
	return nil
}

// enforce checks a right by the model, the built-in policy and the texts of the real server. Its enforcer itself would leave a
// goroutine behind, which a synctest bubble does not forgive.
func (s *Server) enforce(ctx context.Context, resource, action, object string) error {
	claims, _ := ctx.Value(claimsKey{}).(jwt.MapClaims)
	subject, _ := claims["sub"].(string)
	allowed, err := s.allowed(subject, resource, action, object)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if allowed {
		return nil
	}
	message := fmt.Sprintf("permission denied: %s, %s, %s", resource, action, object)
	if subject != "" {
		message += ", sub: " + subject
	}
	if issued, ok := claims["iat"].(float64); ok {
		message += ", iat: " + time.Unix(int64(issued), 0).UTC().Format(time.RFC3339)
	}
	return status.Error(codes.PermissionDenied, message)
}

func (s *Server) allowed(subject, resource, action, object string) (bool, error) {
	project, _, scoped := strings.Cut(object, "/")
	if resource == rbac.ResourceProjects {
		project, scoped = object, true
	}
	s.mu.Lock()
	policy := s.policy
	if known := s.projects[project]; scoped && known != nil {
		policy += "\n" + known.ProjectPoliciesString()
	}
	s.mu.Unlock()
	if owner, isRole := strings.CutPrefix(subject, "proj:"); isRole && !strings.HasPrefix(owner, project+":") {
		return false, nil
	}
	return s.rbac.allowed(policy, subject, resource, action, object)
}

// enforcers are kept by their policy.
type enforcers struct {
	mu    sync.Mutex
	known map[string]*casbin.Enforcer
}

func (e *enforcers) allowed(policy string, request ...any) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.known[policy]
	if known == nil {
		var err error
		if known, err = newEnforcer(policy); err != nil {
			return false, err
		}
		e.known[policy] = known
	}
	return known.Enforce(request...)
}

func newEnforcer(policy string) (*casbin.Enforcer, error) {
	rules, err := model.NewModelFromString(assets.ModelConf)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(assets.BuiltinPolicyCSV + "\n" + policy) {
		if err := persist.LoadPolicyLine(strings.TrimSpace(line), rules); err != nil {
			return nil, err
		}
	}
	e, err := casbin.NewEnforcer(rules)
	if err != nil {
		return nil, err
	}
	e.AddFunction("globOrRegexMatch", func(args ...any) (any, error) {
		return glob.Match(args[1].(string), args[0].(string)), nil
	})
	return e, e.BuildRoleLinks()
}
