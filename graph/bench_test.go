package graph_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"layercake/internal/caller"
	"layercake/internal/postgres/pgtest"
)

// What one delivery costs with 100 subscribers of one project, when they share executions and when each executes for itself. The
// CPU is that of this process, server and subscribers, without PostgreSQL; subscribers only look for the version in each frame.
func BenchmarkDelivery(b *testing.B) {
	for name, subscription := range map[string]string{
		"deltas": `subscription { planDagDeltaChanged(projectId: %d, after: %q) { projectId version userId timestamp operations { op path value from } } }`,
		"events": `subscription { planEvents(projectId: %d, after: %q) { version cursor opId actorName operations { kind id index before after } } }`,
	} {
		b.Run(name+"/unshared", func(b *testing.B) { deliver(b, subscription, func(s *site) { s.Unshare() }) })
		b.Run(name+"/shared", func(b *testing.B) { deliver(b, subscription, func(*site) {}) })
	}
}

func deliver(b *testing.B, subscription string, prepare func(*site)) {
	const subscribers = 100
	s := online(b)
	prepare(s)
	project := s.newProject(b)
	s.must(b, nil, `mutation ($p: Int!) { addPlanDagNode(projectId: $p,
		node: {id: "a", nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: "A"}, config: "{}"}) { id } }`, vars{"p": project})
	var begin struct{ GetPlanDag struct{ Cursor string } }
	s.must(b, &begin, `query ($p: Int!) { getPlanDag(projectId: $p) { cursor } }`, vars{"p": project})
	var running sync.WaitGroup
	defer running.Wait()
	got := make(chan struct{}, subscribers)
	last := []byte(fmt.Sprintf(`"version":%d,`, 2+b.N))
	for range subscribers {
		c := s.dial(b, nil)
		follow(b, c, "1", fmt.Sprintf(subscription, project, begin.GetPlanDag.Cursor))
		running.Go(func() {
			for {
				frame, err := c.Receive(context.Background())
				if err != nil {
					return
				}
				if bytes.Contains(frame, []byte(`"version":2,`)) || bytes.Contains(frame, last) {
					got <- struct{}{}
				}
			}
		})
		defer c.CloseNow()
	}
	all := func() {
		for range subscribers {
			<-got
		}
	}
	move := func(x int) {
		s.must(b, nil, `mutation ($p: Int!, $x: Float!) { movePlanDagNode(projectId: $p, nodeId: "a", position: {x: $x, y: 0}) { id } }`,
			vars{"p": project, "x": x})
	}
	move(1) // version 2: everybody is there
	all()
	b.ResetTimer()
	cpu := processTime(b)
	for i := range b.N {
		move(2 + i%1000)
	}
	all()
	deliveries := float64(b.N * subscribers)
	b.ReportMetric(float64((processTime(b)-cpu).Microseconds())/deliveries, "cpu-us/delivery")
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.StopTimer()
}

// How long a client that missed 1,000 events takes to have them all, from connecting to another replica on.
func BenchmarkResume(b *testing.B) {
	const missed = 1000
	database := pgtest.New(b)
	here := onlineAt(b, database, database)
	project := here.newProject(b)
	here.must(b, nil, `mutation ($p: Int!) { addPlanDagNode(projectId: $p,
		node: {id: "a", nodeType: GraphNode, position: {x: 0, y: 0}, metadata: {label: "A"}, config: "{}"}) { id } }`, vars{"p": project})
	var begin struct{ GetPlanDag struct{ Cursor string } }
	here.must(b, &begin, `query ($p: Int!) { getPlanDag(projectId: $p) { cursor } }`, vars{"p": project})
	for x := range missed {
		here.must(b, nil, `mutation ($p: Int!, $x: Float!) { movePlanDagNode(projectId: $p, nodeId: "a", position: {x: $x, y: 0}) { id } }`,
			vars{"p": project, "x": x + 1})
	}
	there := onlineAt(b, database, database)
	subscription := fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version cursor opId actorName
		operations { kind id index before after } } }`, project, begin.GetPlanDag.Cursor)
	last := []byte(fmt.Sprintf(`"version":%d,`, 1+missed))
	for b.Loop() {
		c := there.dial(b, nil)
		follow(b, c, "1", subscription)
		for events := 1; ; events++ {
			frame, err := c.Receive(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if bytes.Contains(frame, last) {
				if events != missed {
					b.Fatalf("%d events, want %d", events, missed)
				}
				break
			}
		}
		c.CloseNow()
	}
}

func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a small request costs the handler, without the network and the core.
func BenchmarkSmallRequest(b *testing.B) {
	s := offline(b)
	handler := caller.Middleware(caller.Config{Open: true})(s.HTTP())
	const body = `{"query":"query($a: Boolean!, $b: Boolean!) { __typename @skip(if: $a) b: __typename @include(if: $b) }","variables":{"a":true,"b":true}}`
	cpu := processTime(b)
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64((processTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
