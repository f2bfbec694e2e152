package hostile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/bench"
)

// Bodies, headers and answers that take memory, and clients that take their time.
var bodyAttacks = []attack{
	{
		name: "bodies-many", threat: "C7", summary: "50 bodies of 1 MB at once, which decoding makes 40 times as large",
		do: func(a *assault, ctx context.Context) error { return a.postAtOnce(ctx, 50, swelling(1<<20-100)) }, lasts: bodyTime,
	},
	{
		name: "bodies-declared", threat: "C7", summary: "50 bodies of 1 MB at once, whose variables are just within what a query may declare",
		do: func(a *assault, ctx context.Context) error { return a.postAtOnce(ctx, 50, declared()) }, lasts: bodyTime,
	},
	{
		name: "bodies-large", threat: "C7", summary: "6 such bodies of 12 MB at once",
		do: func(a *assault, ctx context.Context) error { return a.postAtOnce(ctx, 6, swelling(12<<20)) }, lasts: bodyTime,
	},
	{
		name: "variables", threat: "C7", summary: "5 MB of variables that no operation declares, again and again",
		do: (*assault).sendVariables,
	},
	{
		name: "bodies-slow", threat: "C7", summary: "200 bodies that arrive at 5 bytes a second, and take the places of honest large ones",
		do: (*assault).postSlowly, lasts: 8 * time.Second,
	},
	{
		name: "readers-slow", threat: "C8", summary: "60 clients ask for 36 MB each and do not read them",
		prepare: (*assault).makeLargePlan, do: (*assault).readNothing, lasts: 4 * time.Second,
	},
	{
		name: "headers", threat: "C7", summary: "100 requests with headers of 900 kB at once",
		do: (*assault).sendHeaders,
	},
}

// bodyTime is longer than a body may wait until it is refused.
const bodyTime = 8 * time.Second

// swelling returns a body of a size whose variables take many times the memory once they are decoded.
func swelling(size int) []byte {
	const before, item, after = `{"query":"{ projects { id } }","variables":{"x":[`, `{"a":0},`, `0]}}`
	return []byte(before + strings.Repeat(item, (size-len(before)-len(after))/len(item)) + after)
}

// declared returns a body of 1 MB whose variables have the types that its operation declares, and 90,000 values.
func declared() []byte {
	values := strings.TrimSuffix(strings.Repeat(`{"a long name":0},`, 45_000), ",")
	return []byte(`{"query":"query($p: PlanDagInput!) { validatePlanDag(planDag: $p) { isValid } }","variables":{"p":{"version":"0",` +
		`"metadata":{"version":"0"},"edges":[],"nodes":[{"id":"n","nodeType":"GraphNode","position":{"x":0,"y":0},` +
		`"metadata":{"label":"n"},"config":"{}","graphExecution":[` + values + `]}]}}}`)
}

// postAtOnce posts a body a number of times at once.
func (a *assault) postAtOnce(ctx context.Context, times int, body []byte) error {
	c := a.http()
	var silent atomic.Int64
	together(times, func(i int) {
		if _, err := a.post(ctx, c, i, body); err != nil {
			silent.Add(1)
		}
	})
	if n := silent.Load(); n > 0 {
		a.wrong("%d of %d bodies were not answered, nor refused", n, times)
	}
	return nil
}

func (a *assault) sendVariables(ctx context.Context) error {
	c, body := a.http(), swelling(5<<20)
	for n := range 12 {
		if ctx.Err() == nil {
			_, _ = a.post(ctx, c, n, body) // it is counted
		}
	}
	return nil
}

const (
	slowBodies = 200
	slowPause  = 200 * time.Millisecond
	// slowest is when a body that comes at less than a kilobyte a second has to be cut off: it is slow for 5 s, and then for one more.
	slowest = 7 * time.Second
)

// trickle is a body that comes byte by byte until it is closed.
type trickle struct {
	ctx   context.Context //nolint:containedctx // a reader has no other way to end
	start []byte
}

// Read gives a byte now and then.
func (t *trickle) Read(b []byte) (int, error) {
	if n := copy(b, t.start); n > 0 {
		t.start = t.start[n:]
		return n, nil
	}
	if err := bench.Wait(t.ctx, slowPause); err != nil {
		return 0, err
	}
	b[0] = ' '
	return 1, nil
}

// postSlowly sends many bodies slowly, some of them after a fast megabyte, and asks as an honest person beside them.
func (a *assault) postSlowly(ctx context.Context) error {
	c := a.http()
	var cut atomic.Int64
	slow := func(i int) {
		start := []byte(`{"query":"{ projects { id } }","variables":{`)
		if i < 8 {
			start = append(start, bytes.Repeat([]byte(" "), 1<<20+1)...)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.urls[i%len(a.urls)]+"/graphql", &trickle{ctx, start})
		if err != nil {
			return
		}
		r.ContentLength = 2 << 20
		r.Header.Set("Content-Type", "application/json")
		began := time.Now()
		_, err = a.send(c, r)
		if ctx.Err() == nil && (err == nil || time.Since(began) < slowest) {
			cut.Add(1)
		}
	}
	together(slowBodies+1, func(i int) {
		if i < slowBodies {
			slow(i)
			return
		}
		_ = bench.Wait(ctx, time.Second) // until the others have begun
		a.postHonestly(ctx)
	})
	// A few may have waited for memory before that.
	if n := cut.Load(); n < slowBodies*9/10 {
		a.wrong("%d of %d bodies that come at 5 bytes a second were not cut off within %v", slowBodies-n, slowBodies, slowest)
	}
	return nil
}

// postHonestly sends a body of 1.5 MB from another address than the attacker's. It has to be taken.
func (a *assault) postHonestly(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	body := document("{ projects { id } } #"+strings.Repeat("x", 3<<19), nil)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.urls[0]+"/graphql", bytes.NewReader(body))
	if err != nil {
		a.wrong("%v", err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.wrong("an honest body of 1.5 MB had no answer: %v", err)
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	if answer.StatusCode != http.StatusOK {
		a.wrong("an honest body of 1.5 MB was answered with %d: %s", answer.StatusCode, text)
	}
}

// sendHeaders sends large headers, which have to be refused, and medium ones, which have to be taken. All requests are one text, so that
// the attacker, who shares the processors with those who are attacked, takes little of them.
func (a *assault) sendHeaders(ctx context.Context) error {
	c := a.http()
	var text bytes.Buffer
	text.WriteString("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n")
	for n := range 9 {
		fmt.Fprintf(&text, "X-Large-%d: %s\r\n", n, strings.Repeat("x", 100_000))
	}
	text.WriteString("\r\n")
	var taken atomic.Int64
	together(100, func(i int) {
		status, err := a.sendText(ctx, i, text.Bytes())
		if err != nil {
			a.sent(failure(err))
			return
		}
		a.sent(strconv.Itoa(status))
		if status < http.StatusBadRequest {
			taken.Add(1)
		}
	})
	if n := taken.Load(); n > 0 {
		a.wrong("%d requests with headers of 900 kB were taken", n)
	}
	got, err := a.visitPage(ctx, c, a.urls[0]+"/health/live", "", map[string]string{"X-Medium": strings.Repeat("x", 50_000)})
	if err == nil && got.status != http.StatusOK {
		a.wrong("a header of 50 kB was answered with %d", got.status)
	}
	return nil
}

// sendText sends a text to a replica as it is, and returns the status of the answer, which may come before all of it is sent.
func (a *assault) sendText(ctx context.Context, replica int, text []byte) (status int, err error) {
	dialer := net.Dialer{LocalAddr: from}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(a.urls[replica%len(a.urls)], "http://"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()                         // it was closed below, or nobody reads
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // it wakes both sides
	defer stop()
	var sending sync.WaitGroup
	sending.Go(func() { _, _ = conn.Write(text) }) // it fails when the replica has refused the rest
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	_ = conn.Close()
	sending.Wait()
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// readNothing asks for a large plan many times over, and does not read the answers.
func (a *assault) readNothing(ctx context.Context) error {
	body := document(plansUnderNames(a.large, 4), nil)
	together(60, func(i int) {
		if err := a.askWithoutReading(ctx, i, body); err != nil && ctx.Err() == nil {
			a.sent(failure(err))
		}
	})
	return nil
}

// askWithoutReading asks, and keeps the connection until ctx ends or the replica ends it.
func (a *assault) askWithoutReading(ctx context.Context, i int, body []byte) error {
	dialer := net.Dialer{LocalAddr: from}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(a.urls[i%len(a.urls)], "http://"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nobody reads
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return errors.New("no TCP")
	}
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		return err
	}
	head := fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	if _, err := conn.Write(append([]byte(head), body...)); err != nil {
		return err
	}
	a.sent("asked")
	<-ctx.Done()
	return nil
}
