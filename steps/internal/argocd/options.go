package argocd

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/argoproj/argo-cd/v2/util/localconfig"

	"slipway/steps/internal/failure"
)

// Options say how the server is reached. What they leave out is taken from Opts, then from the environment of the argocd
// command as the caller has put it into EnvServer and EnvToken, then from that command's own configuration file.
type Options struct {
	// Server is a host with or without a port, or a URL.
	Server string
	// EnvServer and EnvToken are ARGOCD_SERVER and ARGOCD_AUTH_TOKEN: Opts wins over them.
	EnvServer, EnvToken string
	// Opts are options of the argocd command as ARGOCD_OPTS holds them.
	Opts string
	// ConfigFile is the configuration of the argocd command, at its usual place if empty, and Context one of its contexts.
	ConfigFile, Context          string
	PlainText, Insecure, GRPCWeb bool
	RootPath, CAFile             string
}

// Settings are Options with all that was found out; they are complete and have been checked, but nobody was asked yet.
type Settings struct {
	address, rootPath, token  string
	plainText, insecure, web  bool
	headers                   []header
	ca                        []byte
	clientCert, clientCertKey []byte
	// Dial makes the connections, if it is set. Then no proxy is used.
	Dial Dialer
	// UserAgent is how the client names itself.
	UserAgent string
}

const hintServer = "name the server with --argocd-server or ARGOCD_SERVER, as in argocd.example.com:443"

// Resolve finds out how to reach the server, without asking it.
func Resolve(o Options) (Settings, error) {
	opts, err := parseOpts(o.Opts)
	if err != nil {
		return Settings{}, err
	}
	if opts.flag("core") || opts.flag("port-forward") || opts.value("port-forward-namespace") != "" {
		return Settings{}, failure.New(failure.Usage, "remove --core and --port-forward from ARGOCD_OPTS",
			"ARGOCD_OPTS: slipway talks to Argo CD's API server only")
	}
	server := cmp.Or(o.Server, opts.value("server"), o.EnvServer)
	s := Settings{
		token:    cmp.Or(opts.value("auth-token"), o.EnvToken),
		headers:  opts.headers,
		rootPath: cmp.Or(o.RootPath, opts.value("grpc-web-root-path")),
	}
	if err := s.addConfig(o, opts, &server); err != nil {
		return Settings{}, err
	}
	if server == "" {
		return Settings{}, failure.New(failure.Usage, hintServer, "no Argo CD server was named")
	}
	s.plainText = s.plainText || o.PlainText || opts.flag("plaintext")
	s.insecure = s.insecure || o.Insecure || opts.flag("insecure")
	s.web = s.web || o.GRPCWeb || opts.flag("grpc-web")
	if err := s.addCertificates(o, opts); err != nil {
		return Settings{}, err
	}
	return s, s.setAddress(server)
}

// addConfig takes what is missing from the configuration file of the argocd command. Of a server that was named otherwise it
// takes nothing; and a file that nobody needs may be broken.
func (s *Settings) addConfig(o Options, opts cliOptions, server *string) error {
	file := cmp.Or(o.ConfigFile, opts.value("config"))
	context := cmp.Or(o.Context, opts.value("argocd-context"))
	needed := *server == "" || s.token == "" || context != "" || file != ""
	if file == "" {
		var err error
		if file, err = localconfig.DefaultLocalConfigPath(); err != nil {
			return nil //nolint:nilerr // without a home there is no configuration either
		}
	}
	found, err := readConfig(file, context)
	if err != nil && needed {
		return failure.New(failure.Usage, "the file is the argocd command's own, which must be readable by its owner only",
			"Argo CD configuration %s: %w", file, err)
	}
	if err != nil || found == nil || *server != "" && *server != found.Server.Server {
		return nil
	}
	*server = found.Server.Server
	s.token = cmp.Or(s.token, found.User.AuthToken)
	s.plainText, s.insecure, s.web = found.Server.PlainText, found.Server.Insecure, found.Server.GRPCWeb
	s.rootPath = cmp.Or(s.rootPath, found.Server.GRPCWebRootPath)
	for to, text := range map[*[]byte]string{
		&s.ca:            found.Server.CACertificateAuthorityData,
		&s.clientCert:    found.Server.ClientCertificateData,
		&s.clientCertKey: found.Server.ClientCertificateKeyData,
	} {
		if *to, err = base64.StdEncoding.DecodeString(text); err != nil {
			return failure.New(failure.Usage, "", "Argo CD configuration %s: a certificate of %s is not base64", file, *server)
		}
	}
	return nil
}

// readConfig uses the SDK's own reader, which unlike its client neither logs in again nor rewrites the file.
func readConfig(file, context string) (*localconfig.Context, error) {
	config, err := localconfig.ReadLocalConfig(file)
	if err != nil || config == nil || context == "" && config.CurrentContext == "" {
		return nil, err
	}
	return config.ResolveContext(context)
}

func (s *Settings) addCertificates(o Options, opts cliOptions) error {
	for to, file := range map[*[]byte]string{
		&s.ca:            cmp.Or(o.CAFile, opts.value("server-crt")),
		&s.clientCert:    opts.value("client-crt"),
		&s.clientCertKey: opts.value("client-crt-key"),
	} {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return failure.New(failure.Usage, "name a PEM file that the agent can read", "certificate for Argo CD: %w", err)
		}
		*to = data
	}
	if _, err := s.tls(); err != nil {
		return failure.New(failure.Usage, "name PEM files with certificates", "certificate for Argo CD: %w", err)
	}
	return nil
}

// setAddress takes a host, with a port or without, or the URL that people copy from their browser.
func (s *Settings) setAddress(server string) error {
	if scheme, _, found := strings.Cut(server, "://"); !found {
		server = "//" + server
	} else if scheme == "http" {
		s.plainText = true
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" {
		return failure.New(failure.Usage, hintServer, "the address of the Argo CD server is not one")
	}
	port := cmp.Or(u.Port(), "443")
	if u.Port() == "" && s.plainText {
		port = "80"
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	// A path is that of an ingress, below which only gRPC-web can be reached.
	s.rootPath = strings.Trim(cmp.Or(strings.Trim(u.Path, "/"), s.rootPath), "/")
	s.web = s.web || s.rootPath != ""
	return nil
}

func (s *Settings) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.insecure} //nolint:gosec // only if the user says so
	if len(s.ca) > 0 {
		pool := systemCertificates()
		if !pool.AppendCertsFromPEM(s.ca) {
			return nil, errNoCertificate
		}
		config.RootCAs = pool
	}
	if len(s.clientCert) > 0 || len(s.clientCertKey) > 0 {
		pair, err := tls.X509KeyPair(s.clientCert, s.clientCertKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Address is the host and port of the server.
func (s *Settings) Address() string { return s.address }

// URL is the address of the user interface.
func (s *Settings) URL() string {
	u := url.URL{Scheme: "https", Host: strings.TrimSuffix(s.address, ":443"), Path: "/" + s.rootPath}
	if s.plainText {
		u.Scheme, u.Host = "http", strings.TrimSuffix(s.address, ":80")
	}
	return strings.TrimSuffix(u.String(), "/")
}

// Secrets are what must never be printed: the token and the values of headers.
func (s *Settings) Secrets() []string { return append(headerSecrets(s.headers), s.token) }
