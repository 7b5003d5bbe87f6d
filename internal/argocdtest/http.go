package argocdtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const index = `<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8"><title>Argo CD</title><base href="/"></head><body><div id="app"></div></body></html>
`

func (s *Server) rootPath() string { return strings.Trim(s.options.RootPath, "/") }

// front is the door of the one port: gRPC and HTTP are told apart by the content type, as cmux does in the real server.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Add(-1)
	w.Header().Set("Date", time.Now().Add(s.options.Skew).UTC().Format(http.TimeFormat))
	if r.Method == "PRI" || (s.options.Front == FrontHTTP1 && r.ProtoMajor != 1) {
		page(w, http.StatusBadRequest, nginx("400 Bad Request"))
		return
	}
	exchange := newExchange(w, r)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, exchange))
	if root := s.rootPath(); root != "" {
		path, found := strings.CutPrefix(r.URL.Path, "/"+root+"/")
		if !found {
			page(w, http.StatusNotFound, nginx("404 Not Found"))
			return
		}
		r.URL.Path = "/" + path
	}
	switch {
	case exchange.web:
		s.serveGRPCWeb(exchange, r)
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		if s.options.Front == FrontNoGRPC {
			page(w, http.StatusBadGateway, nginx("502 Bad Gateway"))
			return
		}
		s.grpc.ServeHTTP(exchange, r)
		exchange.finish()
	default:
		s.serveHTTP(w, r)
	}
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		_, _ = io.WriteString(w, "ok")
	case r.URL.Path == "/api/version":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"Version": s.options.Version})
	case strings.HasPrefix(r.URL.Path, "/api/"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":5,"error":"Not Found","message":"Not Found"}`)
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "html"):
		page(w, http.StatusOK, index)
	default:
		http.NotFound(w, r)
	}
}

// page answers with HTML.
func page(w http.ResponseWriter, status int, html string) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, html)
}

// nginx is the error page of the proxy that most installations have in front.
func nginx(status string) string {
	return fmt.Sprintf("<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n"+
		"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n", status)
}

type (
	exchangeKey   struct{}
	connectionKey struct{}
)

func (s *Server) withConnection(ctx context.Context, c net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
	return context.WithValue(ctx, connectionKey{}, c)
}

// exchange is a call as HTTP sees it. A fault that gRPC has no words for is carried out here.
type exchange struct {
	http.ResponseWriter
	connection net.Conn
	web        bool
	ending     atomic.Int32 // of the type ending; a client that gives up lets HTTP end before the handling does
	status     int          // of the page, set before ending
	paged      bool
	cut        atomic.Bool // set at any time: close the connection when all messages are sent
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// ending is what becomes of the reply to a call.
type ending = int32

const (
	sendReply ending = iota
	sendPage         // a proxy answers instead
	resetStream
	closeConnection
)

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	connection, _ := r.Context().Value(connectionKey{}).(net.Conn)
	web := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc-web")
	return &exchange{ResponseWriter: w, connection: connection, web: web}
}

// interrupt carries out the fault, if there is one; true means that the reply must not be sent.
func (e *exchange) interrupt() bool {
	switch e.ending.Load() {
	case sendPage:
		if !e.paged {
			e.paged = true
			clear(e.Header())
			page(e.ResponseWriter, e.status, nginx(fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))))
		}
		return true
	case resetStream:
		panic(http.ErrAbortHandler)
	case closeConnection:
		_ = e.connection.Close()
		panic(http.ErrAbortHandler)
	default:
		return false
	}
}

// finish is called when gRPC has nothing more to say.
func (e *exchange) finish() {
	if e.cut.Load() {
		_ = e.connection.Close()
		panic(http.ErrAbortHandler)
	}
}

func (e *exchange) WriteHeader(status int) {
	if !e.interrupt() {
		e.ResponseWriter.WriteHeader(status)
	}
}

func (e *exchange) Write(p []byte) (int, error) {
	if e.interrupt() {
		return len(p), nil
	}
	return e.ResponseWriter.Write(p)
}

// Flush sends what was written so far.
func (e *exchange) Flush() {
	if !e.interrupt() {
		_ = http.NewResponseController(e.ResponseWriter).Flush()
	}
}
