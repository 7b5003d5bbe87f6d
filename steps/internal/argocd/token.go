package argocd

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"slipway/steps/internal/failure"
)

const hintToken = "make a new token with: argocd account generate-token, or argocd proj role create-token"

// CheckToken reads the times in the token, which needs no server, and refuses one that is not valid now. It returns when the
// token expires, or the zero time if it never does or does not say.
func (s *Settings) CheckToken(now time.Time) (expires time.Time, err error) {
	if s.token == "" {
		return time.Time{}, failure.New(failure.Denied, "put a token into ARGOCD_AUTH_TOKEN, or the name of a file with it into ARGOCD_AUTH_TOKEN_FILE",
			"no token for Argo CD was given")
	}
	claims := claimsOf(s.token)
	if claims.Expires != 0 {
		expires = claims.Expires.time()
	}
	from := claims.NotBefore.time()
	switch {
	case claims.Expires != 0 && !now.Before(expires):
		return expires, failure.New(failure.Denied, hintToken, "the token for Argo CD has expired at %s", stamp(expires))
	case claims.NotBefore != 0 && now.Add(time.Minute).Before(from):
		return expires, failure.New(failure.Denied, "compare the clock of this machine with that of the server",
			"the token for Argo CD is valid from %s only; here it is %s", stamp(from), stamp(now))
	}
	return expires, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type numericDate float64

func (n numericDate) time() time.Time { return time.Unix(int64(n), 0) }

type tokenClaims struct {
	Expires   numericDate `json:"exp"`
	NotBefore numericDate `json:"nbf"`
}

// claimsOf does not verify: that is the server's business, and what is no JWT is left to it as well.
func claimsOf(token string) tokenClaims {
	var claims tokenClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return tokenClaims{}
	}
	return claims
}
