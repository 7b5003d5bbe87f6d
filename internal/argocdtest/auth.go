package argocdtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const issuer = "argocd"

func newKey() ([]byte, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return key, err
}

// Token returns a token of an account, such as gitops, or of a project's role, such as proj:team-a:ci. It is valid from now
// until exp, or for ever if exp is zero.
func (s *Server) Token(account string, exp time.Time) string {
	return s.TokenFrom(account, s.now(), exp)
}

// TokenFrom is Token for one that was issued, or will be valid, at another time than now.
func (s *Server) TokenFrom(account string, issued, exp time.Time) string {
	if !strings.Contains(account, ":") {
		account += ":apiKey"
	}
	claims := jwt.MapClaims{
		"iss": issuer, "sub": account, "iat": issued.Unix(), "nbf": issued.Unix(),
		"jti": fmt.Sprintf("%s-%d", account, issued.UnixNano()),
	}
	if !exp.IsZero() {
		claims["exp"] = exp.Unix()
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.key)
	if err != nil {
		panic(err) // an HMAC with a key of bytes cannot fail
	}
	return token
}

// Revoke makes a token invalid.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[token] = true
}

type claimsKey struct{}

// authenticate finds out whose call it is. Calls of the services for which the real server makes an exception go on without.
func (s *Server) authenticate(ctx context.Context, fullMethod string) (context.Context, error) {
	claims, err := s.claims(ctx)
	if err == nil {
		return context.WithValue(ctx, claimsKey{}, claims), nil
	}
	for _, open := range []string{"/session.SessionService/", "/version.VersionService/", "/settings.SettingsService/"} {
		if strings.HasPrefix(fullMethod, open) {
			return ctx, nil
		}
	}
	return nil, err
}

func (s *Server) claims(ctx context.Context) (jwt.MapClaims, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	token := ""
	if values := md.Get("token"); len(values) > 0 {
		token = values[0]
	} else if values := md.Get("authorization"); len(values) > 0 {
		token, _ = strings.CutPrefix(values[0], "Bearer ")
	}
	if token == "" {
		return nil, status.Error(codes.Unauthenticated, "no session information")
	}
	claims, err := s.verify(token)
	if err != nil {
		return nil, status.Errorf(codes.Unauthenticated, "invalid session: %v", err)
	}
	return claims, nil
}

// verify has the texts of the JWT library in the version that the real server uses, and the clock of this one.
func (s *Server) verify(token string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"HS256"}))
	if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return s.key, nil }); err != nil {
		return nil, err
	}
	now := s.now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !claims.VerifyExpiresAt(now, false):
		return nil, errors.New("Token is expired")
	case !claims.VerifyIssuedAt(now, false):
		return nil, errors.New("Token used before issued")
	case !claims.VerifyNotBefore(now, false):
		return nil, errors.New("Token is not valid yet")
	case s.revoked[token]:
		return nil, errors.New("token is revoked, please re-login")
	}
	claims["sub"] = strings.TrimSuffix(claims["sub"].(string), ":apiKey")
	return claims, nil
}

// username is what operation.initiatedBy says.
func username(ctx context.Context) string {
	claims, _ := ctx.Value(claimsKey{}).(jwt.MapClaims)
	name, _ := claims["sub"].(string)
	return name
}

func (s *Server) unaryAuth(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, err := s.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

func (s *Server) streamAuth(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, err := s.authenticate(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handle(service, &contextStream{stream, ctx})
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context that knows whose call it is.
func (c *contextStream) Context() context.Context { return c.ctx }
