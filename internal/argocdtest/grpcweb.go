package argocdtest

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
)

// serveGRPCWeb translates as the real server's wrapper does: trailers become a last frame of the body, or, when there is no
// body, headers. A client that looks at headers only, as the SDK does, takes an error after the first message for an end.
func (s *Server) serveGRPCWeb(e *exchange, r *http.Request) {
	r = r.Clone(r.Context())
	r.ProtoMajor, r.ProtoMinor, r.Proto = 2, 0, "HTTP/2.0"
	r.Header.Set("Content-Type", strings.Replace(r.Header.Get("Content-Type"), "application/grpc-web", "application/grpc", 1))
	r.Header.Del("Content-Length")
	translated := &webWriter{wrapped: e, header: http.Header{}}
	s.grpc.ServeHTTP(translated, r)
	e.finish()
	translated.finish()
}

type webWriter struct {
	wrapped http.ResponseWriter
	header  http.Header
	sent    http.Header // what the headers said, nil before they are sent
}

// Header returns the headers and trailers of gRPC.
func (w *webWriter) Header() http.Header { return w.header }

// WriteHeader sends all headers of gRPC except the announcement of trailers.
func (w *webWriter) WriteHeader(status int) {
	if w.sent != nil {
		return
	}
	w.sent = http.Header{}
	for key, values := range w.header {
		if key == "Trailer" {
			continue
		}
		w.sent[key] = values
		w.wrapped.Header()[strings.TrimPrefix(key, http.TrailerPrefix)] = slices.Clone(values)
	}
	w.wrapped.Header().Set("Content-Type", "application/grpc-web+proto")
	w.wrapped.WriteHeader(status)
}

func (w *webWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.wrapped.Write(p)
}

// Flush does nothing before the headers are sent, or an error without a body could not be told in them.
func (w *webWriter) Flush() {
	if w.sent != nil {
		_ = http.NewResponseController(w.wrapped).Flush()
	}
}

func (w *webWriter) finish() {
	if w.sent == nil {
		w.WriteHeader(http.StatusOK)
		w.Flush()
		return
	}
	var trailers bytes.Buffer
	for key, values := range w.header {
		if _, sent := w.sent[key]; sent || key == "Trailer" {
			continue
		}
		for _, value := range values {
			trailers.WriteString(strings.ToLower(strings.TrimPrefix(key, http.TrailerPrefix)) + ": " + value + "\r\n")
		}
	}
	frame := binary.BigEndian.AppendUint32([]byte{1 << 7}, uint32(trailers.Len()))
	_, _ = w.wrapped.Write(append(frame, trailers.Bytes()...))
	w.Flush()
}
