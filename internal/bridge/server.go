package bridge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"layercake/internal/task"
)

// modernVersion is the first version of the protocol without sessions, whose requests repeat in headers what they are about.
const modernVersion = "2026-07-28"

// The headers of a request.
const (
	versionHeader = "Mcp-Protocol-Version"
	sessionHeader = "Mcp-Session-Id"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
	agentHeader   = "X-Layercake-Agent"
)

const (
	dialTime = 5 * time.Second  // limit for a connection
	silence  = 2 * time.Minute  // limit for a sign of life: a call waits for at most 50 s, and streams have comments
	idleTime = 30 * time.Second // a balancer closes idle connections after 60 s, and a request on its way would be lost
	patience = 10 * time.Second // how long requests wait for a server that does not take them, unless a test says otherwise

	shortestWait = 100 * time.Millisecond // between two attempts
	longestWait  = time.Second
)

// Address returns the address of a server, narrowed to what may only be read, or to one project unless that is 0. An address without a path
// is that of a server, whose agents are served at /mcp.
func Address(address string, readOnly bool, project int) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is no address of a server, such as http://127.0.0.1:3000/mcp", address)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/mcp"
	}
	query := u.Query()
	if readOnly {
		query.Set("read_only", "true")
	}
	if project != 0 {
		query.Set("project", strconv.Itoa(project))
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// server is the bridge's way to a server.
type server struct {
	url, shown string // shown is without a password
	agent      string
	token      string
	http       *http.Client
	patience   time.Duration
	notes      *notes
	outage     outage
}

func newServer(o Options) server {
	shown := o.URL
	if u, err := url.Parse(o.URL); err == nil {
		shown = u.Redacted()
	}
	return server{
		url: o.URL, shown: shown, agent: o.Agent, token: o.Token, patience: cmp.Or(o.Patience, patience), notes: &notes{w: o.Notes},
		http: &http.Client{
			// Connections go straight to the server, also when the environment names a proxy.
			Transport: &http.Transport{
				DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: silence,
				MaxIdleConnsPerHost: maxCalls, IdleConnTimeout: idleTime,
			},
			// A redirection could make a POST a GET, or take the session elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// notes are lines for people.
type notes struct {
	mu sync.Mutex
	w  io.Writer
}

// note writes a line for people.
func (s *server) note(format string, values ...any) {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	fmt.Fprintf(s.notes.w, "layercake mcp: "+format+"\n", values...)
}

// outage is a time in which the server takes nothing. All requests in it wait until the same moment, so that a client which asks one thing
// after the other does not wait for each.
type outage struct {
	mu    sync.Mutex
	since time.Time // zero while there is none
}

// begin returns how long the outage has lasted, and whether it began with this call.
func (o *outage) begin() (lasted time.Duration, began bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if began = o.since.IsZero(); began {
		o.since = time.Now()
	}
	return time.Since(o.since), began
}

// end says that the server took something.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = time.Time{}
}

// harmless are the requests that can be made twice.
var harmless = map[string]bool{
	initialize: true, "server/discover": true, "ping": true, "tools/list": true, "prompts/list": true, "prompts/get": true,
	"resources/list": true, "resources/templates/list": true, "resources/read": true, subscribe: true,
	unsubscribe: true, "completion/complete": true, "logging/setLevel": true, listen: true,
}

// send sends a message and returns what the server answers. While no connection can be made it tries again, because the message never left;
// so it does with a harmless one that the server asks to send later. The session is nil, or the one that the message belongs to. The error
// is for the client to read.
func (s *server) send(ctx context.Context, m message, in *session, sent func()) (*http.Response, error) {
	for wait := shortestWait; ; wait = min(2*wait, longestWait) {
		response, err := s.post(ctx, m, in, sent)
		var dial *net.OpError
		later := 0
		switch {
		case err == nil && response.StatusCode == http.StatusServiceUnavailable && harmless[m.method]:
			if later, _ = strconv.Atoi(response.Header.Get("Retry-After")); later <= 0 {
				return response, nil
			}
		case err == nil:
			s.outage.end()
			return response, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.As(err, &dial) || dial.Op != "dial":
			return nil, s.broken(m, err)
		}
		pause := max(wait, time.Duration(later)*time.Second)
		lasted, began := s.outage.begin()
		if lasted+pause > s.patience {
			if err == nil {
				return response, nil
			}
			return nil, s.unreachable(err)
		}
		if began {
			s.note("waiting for %s, which takes nothing now; \"layercake serve\" starts a server", s.shown)
		}
		if err == nil {
			response.Body.Close()
		}
		if !task.Pause(ctx, pause) {
			return nil, context.Cause(ctx)
		}
	}
}

// post sends a message once. The transport does not repeat it either: a POST without an Idempotency-Key is repeated only when none of it
// was written.
func (s *server) post(ctx context.Context, m message, in *session, sent func()) (*http.Response, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(m.text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	s.describe(r, m.version, in)
	if id := in.idFor(m); id != "" {
		r.Header.Set(sessionHeader, id)
	}
	if m.version >= modernVersion && m.method != "" {
		r.Header.Set(methodHeader, m.method)
		if m.name != "" {
			r.Header.Set(nameHeader, m.name)
		}
	}
	return s.do(r)
}

// describe says in headers who asks, and in which version of the protocol.
func (s *server) describe(r *http.Request, version string, in *session) {
	if version == "" && in != nil {
		version = in.version
	}
	if version != "" {
		r.Header.Set(versionHeader, version)
	}
	if s.agent != "" {
		r.Header.Set(agentHeader, s.agent)
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
}

// unreachable says what to do about a server that there is no connection to. ECONNREFUSED is for programs, such as the inspector, which
// tell by the system's words for it that a server is away.
func (s *server) unreachable(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("Nothing listens at %s (ECONNREFUSED): start a server with \"layercake serve\", or name another one with --url",
			s.shown)
	}
	return fmt.Errorf("%s cannot be reached: %w; check --url, or start a server with \"layercake serve\"", s.shown, reason(err))
}

// broken says what to do when nobody knows what became of a message.
func (s *server) broken(m message, err error) error {
	if harmless[m.method] {
		return fmt.Errorf("The connection to %s broke before the answer: %w; ask again", s.shown, reason(err))
	}
	return fmt.Errorf("The connection to %s broke before the answer: %w; it may have been done or not, so look first, "+
		"or ask again with the same op_id", s.shown, reason(err))
}

// reason returns an error of the HTTP client without the address, which may hold a password.
func reason(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// mostShown is how much of an answer that is no message is shown, in bytes.
const mostShown = 200

// status says what a server answered that is no message.
func (s *server) status(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, mostShown)) // what arrived of it
	help := "check --url"
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		help = fmt.Sprintf("it is elsewhere, at %q: give that as --url", response.Header.Get("Location"))
	case response.StatusCode == http.StatusTooManyRequests, response.StatusCode >= 500:
		help = "ask again later"
	}
	return fmt.Errorf("%s answered %s (%q); %s", s.shown, response.Status, bytes.TrimSpace(text), help)
}

// accepted closes the response to a message that has no answer. The error says that the server did not take the message.
func accepted(response *http.Response) error {
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, mostShown)) // what arrived of it
		return fmt.Errorf("%s (%q)", response.Status, bytes.TrimSpace(text))
	}
	_, _ = io.CopyN(io.Discard, response.Body, mostShown) // so that the connection can be used again
	return nil
}

var (
	errNoAnswer = errors.New("the stream ended")
	errSilent   = fmt.Errorf("the server was silent for %s", silence)
)

// relay hands over the messages of a response as they come, the answer to m last. An error of each comes back.
func (s *server) relay(ctx context.Context, response *http.Response, m message, each func(text []byte, answer bool) error) error {
	switch media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); {
	case media == "text/event-stream" && response.StatusCode == http.StatusOK:
		for text, err := range events(response.Body) {
			if err != nil {
				return s.unread(ctx, m, err)
			}
			answer := membersOf(text)["method"] == nil
			if answer {
				text = addressed(text, m.id)
			}
			if err := each(text, answer); err != nil {
				return s.unread(ctx, m, err)
			}
			if answer {
				return nil
			}
		}
		return s.unread(ctx, m, errNoAnswer)
	case media == "application/json":
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
		if err == nil && len(text) > maxAnswer {
			err = errTooLong
		}
		if err != nil {
			return s.unread(ctx, m, err)
		}
		if response.StatusCode >= 300 && membersOf(text)["error"] == nil {
			response.Body = io.NopCloser(bytes.NewReader(text))
			return s.status(response)
		}
		if err := each(addressed(text, m.id), true); err != nil {
			return s.unread(ctx, m, err)
		}
		return nil
	}
	return s.status(response)
}

// unread says that an answer did not arrive whole.
func (s *server) unread(ctx context.Context, m message, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTooLong):
		return fmt.Errorf("%s answered more than %d MB; ask for less", s.shown, maxAnswer>>20)
	}
	return s.broken(m, err)
}

// do sends a request and returns the response. Reads of its body fail when nothing arrives for too long; the caller closes it.
func (s *server) do(r *http.Request) (*http.Response, error) {
	ctx, end := context.WithCancelCause(r.Context())
	response, err := s.http.Do(r.WithContext(ctx))
	if err != nil {
		end(nil)
		return nil, err
	}
	response.Body = &livingBody{response.Body, time.AfterFunc(silence, func() { end(errSilent) }), end}
	return response, nil
}

// livingBody is a body that shows signs of life.
type livingBody struct {
	io.ReadCloser
	timer *time.Timer
	end   context.CancelCauseFunc
}

func (l *livingBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if n > 0 {
		l.timer.Reset(silence)
	}
	return n, err
}

// Close also ends the request.
func (l *livingBody) Close() error {
	l.timer.Stop()
	defer l.end(nil)
	return l.ReadCloser.Close()
}
