package argocd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	_ "google.golang.org/grpc/encoding/proto" // the codec of the messages
)

// web carries calls out as gRPC-web, which passes where gRPC does not: through proxies for HTTP/1.1 and below a path.
type web struct {
	client    *http.Client
	base      string
	userAgent string
}

func newWeb(s *Settings) (*web, error) {
	config, err := s.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	if s.Dial != nil {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) { return s.Dial(ctx, address) }
	}
	return &web{client: &http.Client{Transport: transport, CheckRedirect: noRedirect}, base: s.webURL(), userAgent: s.UserAgent}, nil
}

// noRedirect keeps the token from going where a login page sends it.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (s *Settings) webURL() string {
	u := url.URL{Scheme: "https", Host: s.address, Path: "/" + s.rootPath}
	if s.plainText {
		u.Scheme = "http"
	}
	return strings.TrimSuffix(u.String(), "/")
}

func (w *web) unary(
	ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &webStream{web: w, ctx: ctx, method: method}
	if err := s.SendMsg(request); err != nil {
		return err
	}
	if err := s.RecvMsg(reply); err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Internal, "unexpected EOF: an answer without a message")
		}
		return err
	}
	// What comes after the message decides whether the call succeeded.
	if err := s.RecvMsg(nil); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (w *web) stream(
	ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, method string, _ grpc.Streamer, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return &webStream{web: w, ctx: ctx, method: method}, nil
}

// webStream is one call: a request with one message, and answers until the trailers. Its context must end for its connection
// to be given up.
type webStream struct {
	*web
	ctx     context.Context
	method  string
	request []byte
	body    io.ReadCloser
}

// Header returns nothing: Argo CD sends nothing in headers that a client needs.
func (s *webStream) Header() (metadata.MD, error) { return nil, nil }

// Trailer returns nothing, for the same reason.
func (s *webStream) Trailer() metadata.MD { return nil }

// CloseSend does nothing: the request is sent when the answer is asked for.
func (s *webStream) CloseSend() error { return nil }

// Context returns the call's context.
func (s *webStream) Context() context.Context { return s.ctx }

// SendMsg keeps the message as a frame.
func (s *webStream) SendMsg(m any) error {
	data, err := encoding.GetCodecV2("proto").Marshal(m)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	message := data.Materialize()
	s.request = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	return nil
}

// RecvMsg reads the next message, or returns io.EOF when the call has succeeded.
func (s *webStream) RecvMsg(m any) error {
	if s.body == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	err := s.receive(m)
	if err != nil {
		_ = s.body.Close()
	}
	return err
}

func (s *webStream) open() error {
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.base+s.method, bytes.NewReader(s.request))
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	sent, _ := metadata.FromOutgoingContext(s.ctx)
	for name, values := range sent {
		for _, value := range values {
			request.Header.Add(name, value)
		}
	}
	request.Header.Set("Content-Type", "application/grpc-web+proto")
	request.Header.Set("X-Grpc-Web", "1")
	request.Header.Set("User-Agent", s.userAgent)
	response, err := s.client.Do(request)
	if err != nil {
		return s.broken(err)
	}
	if err := refusal(response); err != nil {
		_ = response.Body.Close()
		return err
	}
	s.body = response.Body
	return nil
}

// refusal is what an answer without a body says, or one that comes from a proxy.
func refusal(response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return status.Errorf(codeOf(response.StatusCode), "HTTP status %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/grpc") {
		return status.Errorf(codes.Unknown, "HTTP status 200 with content of type %q instead of gRPC-web", kind)
	}
	if text := response.Header.Get("Grpc-Status"); text != "" && text != "0" {
		return statusOf(text, response.Header.Get("Grpc-Message"))
	}
	return nil
}

// codeOf is the mapping that gRPC prescribes for answers of proxies.
func codeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	return codes.Unknown
}

func (s *webStream) receive(m any) error {
	var prefix [5]byte
	if _, err := io.ReadFull(s.body, prefix[:]); err != nil {
		return s.broken(err)
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if size > maxMessage {
		return status.Errorf(codes.ResourceExhausted, "a message of %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(s.body, data); err != nil {
		return s.broken(err)
	}
	if prefix[0]&0x80 != 0 {
		return trailers(data)
	}
	if m == nil {
		return status.Error(codes.Internal, "more messages than one")
	}
	if err := encoding.GetCodecV2("proto").Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, m); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

// broken says why no answer could be read.
func (s *webStream) broken(err error) error {
	if s.ctx.Err() != nil {
		return status.FromContextError(s.ctx.Err()).Err()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	return status.Error(codes.Unavailable, err.Error())
}

func trailers(data []byte) error {
	var code, message string
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) {
		case "Grpc-Status":
			code = strings.TrimSpace(value)
		case "Grpc-Message":
			message = strings.TrimSpace(value)
		}
	}
	if code == "0" {
		return io.EOF
	}
	return statusOf(code, message)
}

func statusOf(code, message string) error {
	number, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return status.Error(codes.Unknown, fmt.Sprintf("a status that is no number: %q", code))
	}
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	return status.Error(codes.Code(number), message)
}
