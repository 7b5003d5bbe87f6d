package argocdtest

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"sync"
)

// testCertificate is the one that net/http/httptest has built in: it needs no time to be made, and it is its own CA.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return server.TLS.Certificates[0]
})

func (s *Server) writeCA() error {
	if !s.options.TLS {
		return nil
	}
	block := pem.Block{Type: "CERTIFICATE", Bytes: testCertificate().Certificate[0]}
	return os.WriteFile(s.CAFile(), pem.EncodeToMemory(&block), 0o644)
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12}
}

// blackHole is a listener whose connections are accepted by the kernel and never handed out.
type blackHole struct {
	net.Listener
	mu   sync.Mutex
	held []net.Conn
}

func newBlackHole(l net.Listener) net.Listener { return &blackHole{Listener: l} }

// Accept returns only when the listener is closed.
func (b *blackHole) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		b.held = append(b.held, conn)
		b.mu.Unlock()
	}
}

// Close closes the connections that were held, too.
func (b *blackHole) Close() error {
	err := b.Listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.held {
		_ = conn.Close()
	}
	return err
}
