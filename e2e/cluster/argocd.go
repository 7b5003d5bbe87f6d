package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

//go:embed objects/base.yaml
var base string

//go:embed objects/kwok.yaml
var kwokStages string

func (c *Cluster) applyCRDs() error {
	for file, name := range crdNames {
		content, err := os.ReadFile(filepath.Join(c.crds, file))
		if err != nil {
			return err
		}
		path, err := objectPath("CustomResourceDefinition", "", name)
		if err != nil {
			return err
		}
		if err := c.kubernetes.do(http.MethodPatch, path+"?fieldManager=e2e", "application/apply-patch+yaml", content, nil); err != nil {
			return err
		}
	}
	return nil
}

// applyBase creates the objects that there are before the stories. A kind that has just been defined is not served at once.
func (c *Cluster) applyBase() error {
	certificate, key, err := c.certificate()
	if err != nil {
		return err
	}
	secret := fmt.Sprintf(tlsSecret, base64.StdEncoding.EncodeToString(certificate), base64.StdEncoding.EncodeToString(key))
	return poll(30*time.Second, func() error { return c.Apply(base + "\n---\n" + secret) })
}

const tlsSecret = `apiVersion: v1
kind: Secret
metadata: {name: argocd-server-tls, namespace: argocd}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`

// certificate makes the certificate of Argo CD's API, which is its own CA, and writes CAFile.
func (c *Cluster) certificate() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "argocd.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return certificate, key, os.WriteFile(c.CAFile(), certificate, 0o600)
}

// Token makes an API token for an account, as somebody with the rights of admin does it.
func (c *Cluster) Token(account string) (string, error) {
	api := newAPI("https://"+c.Address(), "")
	var answer struct{ Token string }
	login := map[string]string{"username": "admin", "password": "admin-pw"}
	if err := api.post("/api/v1/session", login, &answer); err != nil {
		return "", err
	}
	api.token = answer.Token
	err := api.post("/api/v1/account/"+account+"/token", map[string]string{}, &answer)
	return answer.Token, err
}

func (a API) post(path string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.do(http.MethodPost, path, "application/json", content, into)
}
