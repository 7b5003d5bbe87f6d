package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// The ports are free, since the network is the cluster's own.
const (
	etcdAddress       = "127.0.0.1:2379"
	etcdPeerAddress   = "127.0.0.1:2380"
	redisPort         = "6379"
	kubernetesPort    = "6443"
	kwokAddress       = "127.0.0.1:10247"
	repoServerPort    = "8081"
	repoMetricsPort   = "8084"
	serverPort        = "8443"
	serverMetricsPort = "8083"
	controllerPort    = "8082"
)

// Cluster is a running Kubernetes with an Argo CD.
type Cluster struct {
	// Major is the major version of Argo CD, v2 or v3, and Version the whole of it.
	Major, Version string
	// Logs is the directory with one log for each server.
	Logs string
	// ArgoCDServer, RepoServer and Controller are the servers of Argo CD, which a story may stop.
	ArgoCDServer, RepoServer, Controller *Server

	root       string
	env        []string
	servers    []*Server
	kubernetes API
	crds       string
}

// start starts everything; the root is an empty directory. What was started before an error is in the cluster that is returned.
func start(major, root string, kubeDir, argoDir built) (*Cluster, error) {
	c := &Cluster{Major: major, Version: argoDir.version, root: root, Logs: filepath.Join(root, "logs"), crds: argoDir.dir}
	for _, part := range []func(kubeDir, argoDir built) error{c.prepare, c.startKubernetes, c.startArgoCD} {
		if err := part(kubeDir, argoDir); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Stop ends all servers, the last one first.
func (c *Cluster) Stop() error {
	var errs []error
	for _, s := range slices.Backward(c.servers) {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

func (c *Cluster) dir(parts ...string) string {
	return filepath.Join(append([]string{c.root}, parts...)...)
}

// prepare writes the files that the servers read, and links for the names of the binaries.
func (c *Cluster) prepare(kubeDir, argoDir built) error {
	for _, dir := range []string{"logs", "bin", "pki", "empty", "tmp", "tls", "ssh", "gpg", "plugin", "etcd"} {
		if err := os.MkdirAll(c.dir(dir), 0o700); err != nil {
			return err
		}
	}
	links := map[string]string{
		"kube-apiserver": kubeDir.path(), "kube-controller-manager": kubeDir.path(), "kube-scheduler": kubeDir.path(), "kwok": kubeDir.path(),
		"argocd-server": argoDir.path(), "argocd-repo-server": argoDir.path(), "argocd-application-controller": argoDir.path(),
		"argocd": argoDir.path(), "kustomize": argoDir.path(), filepath.Base(gitVerifyWrapper): filepath.Join(argoDir.dir, filepath.Base(gitVerifyWrapper)),
	}
	for name := range packages {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		links[name] = path
	}
	for name, target := range links {
		if err := os.Symlink(target, c.dir("bin", name)); err != nil {
			return err
		}
	}
	c.kubernetes = newAPI("https://127.0.0.1:"+kubernetesPort, rand.Text())
	c.env = append(os.Environ(),
		"PATH="+c.dir("bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+c.root, "TMPDIR="+c.dir("tmp"), "KUBECONFIG="+c.dir("kubeconfig"),
	)
	files := map[string]string{
		"kubeconfig":     fmt.Sprintf(kubeconfig, c.kubernetes.url, c.kubernetes.token),
		"pki/tokens.csv": c.kubernetes.token + `,admin,admin,"system:masters"` + "\n",
		"kwok.yaml":      kwokStages,
	}
	for name, content := range files {
		if err := os.WriteFile(c.dir(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return c.writeServiceAccountKey()
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: cluster
contexts: [{name: cluster, context: {cluster: cluster, user: admin, namespace: argocd}}]
clusters: [{name: cluster, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %q}}]
`

func (c *Cluster) writeServiceAccountKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(c.dir("pki", "sa.key"), pem.EncodeToMemory(block), 0o600)
}

func (c *Cluster) startKubernetes(built, built) error {
	etcd := c.server(c.dir("bin", "etcd"), nil,
		"--data-dir", c.dir("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://"+etcdAddress, "--advertise-client-urls", "http://"+etcdAddress,
		"--listen-peer-urls", "http://"+etcdPeerAddress, "--initial-advertise-peer-urls", "http://"+etcdPeerAddress,
		"--initial-cluster", "default=http://"+etcdPeerAddress)
	redis := c.server(c.dir("bin", "redis-server"), nil, "--bind", "127.0.0.1", "--port", redisPort, "--save", "", "--appendonly", "no", "--dir", c.dir("tmp"))
	apiserver := c.server(c.dir("bin", "kube-apiserver"), c.kubernetes.answers("/readyz"),
		"--etcd-servers=http://"+etcdAddress, "--bind-address=127.0.0.1", "--secure-port="+kubernetesPort, "--advertise-address=127.0.0.1",
		"--cert-dir="+c.dir("pki", "apiserver"), "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.dir("pki", "sa.key"),
		"--service-account-signing-key-file="+c.dir("pki", "sa.key"), "--token-auth-file="+c.dir("pki", "tokens.csv"),
		"--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false")
	for _, s := range []*Server{etcd, redis, apiserver} {
		if err := s.Start(); err != nil {
			return err
		}
	}
	manager := c.server(c.dir("bin", "kube-controller-manager"), nil, append(c.kubernetesClient("10257", "manager"),
		"--service-account-private-key-file="+c.dir("pki", "sa.key"), "--root-ca-file="+c.dir("pki", "apiserver", "apiserver.crt"),
		"--controllers="+controllers)...)
	scheduler := c.server(c.dir("bin", "kube-scheduler"), nil, c.kubernetesClient("10259", "scheduler")...)
	// Without leases KWOK's heartbeats come later than the node's grace period allows.
	kwok := c.server(c.dir("bin", "kwok"), newAPI("http://"+kwokAddress, "").answers("/healthz"), "--kubeconfig="+c.dir("kubeconfig"), "--manage-all-nodes=true", "--node-ip=127.0.0.1",
		"--server-address="+kwokAddress, "--node-lease-duration-seconds=40", "--cidr=10.244.0.0/16", "--config="+c.dir("kwok.yaml"))
	for _, s := range []*Server{manager, scheduler, kwok} {
		if err := s.Start(); err != nil {
			return err
		}
	}
	return nil
}

// controllers are those that a Deployment or a Job needs. Without that of node lifecycles pods stay Pending: it removes the
// taint that a new node gets.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller," +
	"namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,endpoints-controller," +
	"endpointslice-controller,garbage-collector-controller,node-lifecycle-controller"

func (c *Cluster) kubernetesClient(port, certificates string) []string {
	config := c.dir("kubeconfig")
	return []string{
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--secure-port=" + port, "--cert-dir=" + c.dir("pki", certificates),
	}
}

func (c *Cluster) startArgoCD(built, built) error {
	if err := c.applyCRDs(); err != nil {
		return err
	}
	if err := c.applyBase(); err != nil {
		return err
	}
	common := []string{"--redis", "127.0.0.1:" + redisPort}
	client := append(slices.Clone(common),
		"--repo-server", "127.0.0.1:"+repoServerPort, "--repo-server-plaintext", "--kubeconfig", c.dir("kubeconfig"), "--namespace", "argocd")
	repoServer := append(slices.Clone(common),
		"--address", "127.0.0.1", "--port", repoServerPort, "--metrics-address", "127.0.0.1", "--metrics-port", repoMetricsPort, "--disable-tls")
	if c.Major != "v2" {
		repoServer = append(repoServer, "--client-ca-path=") // its default does not go with --disable-tls
	}
	c.RepoServer = c.argocd("argocd-repo-server", "http://127.0.0.1:"+repoMetricsPort, repoServer...)
	c.ArgoCDServer = c.argocd("argocd-server", "https://"+c.Address(), append(slices.Clone(client),
		"--address", "127.0.0.1", "--port", serverPort, "--metrics-address", "127.0.0.1", "--metrics-port", serverMetricsPort)...)
	c.Controller = c.argocd("argocd-application-controller", "http://127.0.0.1:"+controllerPort, append(slices.Clone(client),
		"--metrics-port", controllerPort, "--app-resync", "10")...)
	servers := []*Server{c.RepoServer, c.ArgoCDServer, c.Controller}
	for _, s := range servers {
		if err := s.launch(); err != nil {
			return err
		}
	}
	for _, s := range servers {
		if err := s.await(time.Minute); err != nil {
			return err
		}
	}
	return poll(30*time.Second, func() error { return c.nodeReady("kwok-0") })
}

func (c *Cluster) argocd(name, url string, args ...string) *Server {
	s := c.server(c.dir("bin", name), newAPI(url, "").answers("/healthz"), args...)
	s.env = append(slices.Clone(c.env),
		"ARGOCD_BINARY_NAME="+name, "ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false", "ARGOCD_CONTROLLER_HEARTBEAT_TIME=10",
		"ARGOCD_TLS_DATA_PATH="+c.dir("tls"), "ARGOCD_SSH_DATA_PATH="+c.dir("ssh"), "ARGOCD_GNUPGHOME="+c.dir("gpg"),
		"ARGOCD_PLUGINSOCKFILEPATH="+c.dir("plugin"), "ARGOCD_ASK_PASS_SOCK="+c.dir("tmp", "askpass.sock"))
	return s
}

// Address is the host and port of Argo CD's API.
func (c *Cluster) Address() string { return "127.0.0.1:" + serverPort }

// CAFile is the PEM file of the CA that has signed the certificate of Argo CD's API.
func (c *Cluster) CAFile() string { return c.dir("pki", "argocd-ca.pem") }

// Kubeconfig is the file with which clients of Kubernetes may do everything there.
func (c *Cluster) Kubeconfig() string { return c.dir("kubeconfig") }

// Kubernetes returns the address of the API of Kubernetes and a token that may do everything there.
func (c *Cluster) Kubernetes() (url, token string) { return c.kubernetes.url, c.kubernetes.token }
