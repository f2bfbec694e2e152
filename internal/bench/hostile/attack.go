package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"time"

	"layercake/internal/bench/deployment"
	"layercake/internal/client"

	"github.com/jackc/pgx/v5"
)

// attack is one way to hurt a deployment.
type attack struct {
	name    string
	threat  string // C any client, W a foreign page, D a database role, F who writes a plan file; with the number of the kind
	summary string
	alone   bool                                  // whether it asks little of replicas, or nothing, so that no honest load is beside it
	lasts   time.Duration                         // least limit, for an attack that needs longer than others; 0 for none
	prepare func(*assault, context.Context) error // makes what the attack needs, before anything is measured; nil for nothing
	do      func(*assault, context.Context) error // attacks until it has done all, or ctx ends; fails when it could not attack
}

// attacks are in the order in which they are done.
var attacks = slices.Concat(wireAttacks, readerAttacks, documentAttacks, bodyAttacks, socketAttacks, roomAttacks, catchUpAttacks,
	pastAttacks, browserAttacks, textAttacks, fileAttacks, projectAttacks)

// assault is an attack under way.
type assault struct {
	urls, admins []string
	stranger     string                         // URL of the database as a role with nothing but CONNECT
	monitor      string                         // the same, as a member of pg_monitor
	reader       string                         // the same, as a role that grant_reader let in
	database     string                         // URL of the database as its owner, for those who judge; no attacker uses it
	layercake    func(args ...string) *exec.Cmd // the command line of the product
	honest       *honest                        // nil for an attack that is alone
	large        int                            // project with a plan of 9 MB, of an attack that prepared one
	history      int                            // project with a long log, of an attack that prepared one
	beginning    string                         // cursor near the beginning of that log
	rand         *rand.Rand

	mu       sync.Mutex
	ends     []func() // what ends with the attack
	requests int64
	answers  map[string]int64
	process  deployment.Usage // what the process used that was attacked in the place of replicas; zero for none
	found    []string         // what should not have happened, in words
}

// sent counts a request that was answered in some way.
func (a *assault) sent(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	a.answers[answer]++
}

// wrong notes what should not have happened.
func (a *assault) wrong(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.found) < maxSentences {
		a.found = append(a.found, fmt.Sprintf(format, args...))
	}
}

// atEnd calls f when the attack is over.
func (a *assault) atEnd(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends = append(a.ends, f)
}

// end lets go of everything. Calling it again does nothing.
func (a *assault) end() {
	a.mu.Lock()
	ends := a.ends
	a.ends = nil
	a.mu.Unlock()
	for _, f := range slices.Backward(ends) {
		f()
	}
}

// together calls f n times at once, and returns when all have returned. Attackers go on when one of them fails.
func together(n int, f func(i int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { f(i) })
	}
	running.Wait()
}

// http returns a client that comes from the attacker's address.
func (a *assault) http() *http.Client {
	dialer := &net.Dialer{LocalAddr: from}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 100}
	a.atEnd(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// reply is what an attacker was answered.
type reply struct {
	status int
	text   []byte // the beginning
	size   int64  // bytes of the text, and of what came behind it
	code   string // code of the first refusal, "" without one
}

// maxReply is how much of an answer is kept; the rest is read and thrown away, as it came.
const maxReply = 64 << 10

// send sends a request, reads the whole answer, and counts both. Replicas compress what they answer; to unpack all of it would be work of
// the attacker, on the processors that honest people need.
func (a *assault) send(c *http.Client, r *http.Request) (reply, error) {
	r.Header.Set("Accept-Encoding", "gzip") // said here, it is not unpacked by the transport
	response, err := c.Do(r)
	if err != nil {
		a.sent(failure(err))
		return reply{}, err
	}
	defer response.Body.Close()
	got := reply{status: response.StatusCode}
	beginning := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		if beginning, err = gzip.NewReader(response.Body); err != nil {
			a.sent(failure(err))
			return got, err
		}
	}
	got.text, err = io.ReadAll(io.LimitReader(beginning, maxReply))
	rest, err2 := io.Copy(io.Discard, response.Body)
	got.size = int64(len(got.text)) + rest
	if err = errors.Join(err, err2); err != nil {
		a.sent(failure(err))
		return got, err
	}
	var answer struct{ Errors []*client.Refusal }
	if json.Unmarshal(got.text, &answer) == nil && len(answer.Errors) > 0 {
		got.code = answer.Errors[0].Code()
	}
	a.sent(fmt.Sprint(got.status, got.code))
	return got, nil
}

// failure says in a word why a request has no answer.
func failure(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "no answer in time"
	}
	return "connection ended"
}

// post sends a body to /graphql of a replica.
func (a *assault) post(ctx context.Context, c *http.Client, replica int, body []byte) (reply, error) {
	return a.postWith(ctx, c, replica, nil, body)
}

// postWith posts with more headers.
func (a *assault) postWith(ctx context.Context, c *http.Client, replica int, header http.Header, body []byte) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.urls[replica%len(a.urls)]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	maps.Copy(r.Header, header)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/graphql-response+json")
	return a.send(c, r)
}

// document returns the body of a request for a document.
func document(query string, variables map[string]any) []byte {
	body, err := json.Marshal(client.Request{Query: query, Variables: variables})
	if err != nil {
		panic(err) // texts and numbers
	}
	return body
}

// session opens a session of a role until the attack ends. An attacker who could do everything would prove nothing.
func (a *assault) session(ctx context.Context, url string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	a.atEnd(func() { _ = conn.Close(context.Background()) }) // the attack is over
	var super bool
	if err := conn.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return nil, err
	}
	if super {
		return nil, errors.New("the attacker is a superuser")
	}
	return conn, nil
}
