package gitrepotest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// serveGit runs the Git process that git http-backend would run, and answers in its words. Tests make hundreds of thousands of
// requests, and half of the processes were http-backend itself. It returns false where there is more to decide: an unknown
// repository, a service that is turned off, another path or method, a compressed body. Those are http-backend's own.
//
// Source: http-backend.c of git, get_info_refs and service_rpc.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) bool {
	repo, endpoint, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	if !ok || path.Clean(r.URL.Path) != r.URL.Path || r.Header.Get("Content-Encoding") != "" || !s.bothServices(repo) {
		return false
	}
	service, kind, advertise := endpoint, "result", []string(nil)
	if endpoint == "info/refs" {
		service, kind, advertise = r.URL.Query().Get("service"), "advertisement", []string{"--advertise-refs"}
	}
	if service != UploadPack && service != ReceivePack {
		return false
	}
	if advertise != nil && (r.Method != http.MethodGet || r.URL.RawQuery != "service="+service) {
		return false
	}
	if advertise == nil && (r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-"+service+"-request") {
		return false
	}
	w.Header().Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	w.Header().Set("Content-Type", "application/x-"+service+"-"+kind)
	w.WriteHeader(http.StatusOK)
	protocol := r.Header.Get("Git-Protocol")
	if advertise != nil && !strings.Contains(":"+protocol+":", ":version=2:") {
		line := "# service=" + service + "\n"
		_, _ = fmt.Fprintf(w, "%04x%s0000", 4+len(line), line)
	}
	arguments := append([]string{strings.TrimPrefix(service, "git-"), "--stateless-rpc"}, advertise...)
	cmd := exec.Command(s.git.path, append(arguments, ".")...)
	cmd.Dir, cmd.Env = s.RepoDir(repo), s.git.env()
	if protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Body, w, s.backend.Stderr
	_ = cmd.Run() // as with http-backend, a reply that has begun just ends
	return true
}

// bothServices says whether a repository is configured to be fetched from and pushed to over HTTP, as those of CreateRepo are.
func (s *Server) bothServices(repo string) bool {
	config, err := os.ReadFile(filepath.Join(s.RepoDir(repo), "config"))
	return err == nil && bytes.Contains(config, []byte(`receivepack = "true"`)) && !bytes.Contains(config, []byte("uploadpack = "))
}
