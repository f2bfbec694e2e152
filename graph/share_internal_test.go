package graph

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

func newAnswers() *answerCache { return newAnswerCache(newMetrics(nil)) }

func keyAt(i int) answerKey {
	return answerKey{event: eventKey{project: 1, at: plan.Cursor{Epoch: "e-1", Version: int64(i)}}}
}

func TestAnswersAreExecutedOnce(t *testing.T) {
	t.Parallel()
	s := newAnswers()
	var calls sync.Map
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r := s.response(keyAt(i%2), func() *graphql.Response {
				calls.Store(i, nil)
				return &graphql.Response{Data: []byte{'0' + byte(i%2)}}
			})
			if want := string('0' + byte(i%2)); string(r.Data) != want {
				t.Errorf("%d got %s, want %s", i, r.Data, want)
			}
		})
	}
	all.Wait()
	n := 0
	calls.Range(func(any, any) bool { n++; return true })
	if n != 2 {
		t.Errorf("%d executions, want 2", n)
	}
}

// Errors name the request that met them, and a panic is answered by the socket that met it: neither is for others.
func TestNoFailureIsKept(t *testing.T) {
	t.Parallel()
	failures := map[string]func() *graphql.Response{
		"errors": func() *graphql.Response { return &graphql.Response{Data: []byte("{}"), Errors: gqlerror.List{{}}} },
		"end":    func() *graphql.Response { return nil },
		"extended": func() *graphql.Response {
			return &graphql.Response{Data: []byte("{}"), Extensions: map[string]any{"a": 1}}
		},
		"panic": func() *graphql.Response { panic("x") },
	}
	for name, fail := range failures {
		s := newAnswers()
		for range 2 {
			func() {
				defer func() { _ = recover() }()
				if r := s.response(keyAt(1), fail); r != nil {
					t.Errorf("%s: got %s", name, r.Data)
				}
			}()
		}
	}
}

func TestOldestAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	s := newAnswers()
	executed := 0
	get := func(i int) {
		s.response(keyAt(i), func() *graphql.Response {
			executed++
			return &graphql.Response{Data: make([]byte, 1<<20)}
		})
	}
	for i := range 100 {
		get(i)
		if s.bytes > maxAnswerBytes || len(s.answers) != len(s.order) {
			t.Fatalf("%d bytes, %d answers, %d in order", s.bytes, len(s.answers), len(s.order))
		}
	}
	get(99)
	get(0)
	if executed != 101 {
		t.Errorf("%d executions, want 101: the newest is kept, the oldest is not", executed)
	}
	for i := range 100_000 { // many small ones count, too
		s.response(keyAt(i), func() *graphql.Response { return &graphql.Response{Data: []byte("{}")} })
	}
	if len(s.answers)*answerSize > maxAnswerBytes {
		t.Errorf("%d answers", len(s.answers))
	}
}

// All that the bytes depend on is in the selection key, and nothing that only chooses the events.
func TestSelectionKeys(t *testing.T) {
	t.Parallel()
	schema := NewExecutableSchema(Config{}).Schema()
	ask := func(document string, variables map[string]any) selectionKey {
		doc, errs := gqlparser.LoadQueryWithRules(schema, document, rules.NewDefaultRules())
		if errs != nil {
			t.Fatal(errs)
		}
		name, _ := variables["operation"].(string)
		q, err := selectionKeyOf(&graphql.OperationContext{
			RawQuery: document, Doc: doc, Operation: doc.Operations.ForName(name), Variables: variables,
		})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	type values = map[string]any
	const stream = `subscription ($p: Int!, $after: String) { planEvents(projectId: $p, after: $after) { version } }`
	directive := func(at string) string {
		places := map[string]string{"root": "", "field": "", "inline": "", "spread": "", "inner": ""}
		places[at] = "@include(if: $b)"
		const document = `subscription ($b: Boolean!) { planEvents(projectId: 1) ROOT
			{ version via FIELD ... on PlanEvent INLINE { note } ...f SPREAD } }
			fragment f on PlanEvent { ...g } fragment g on PlanEvent { cursor operations { id INNER } }`
		return strings.NewReplacer("ROOT", places["root"], "FIELD", places["field"], "INLINE", places["inline"],
			"SPREAD", places["spread"], "INNER", places["inner"]).Replace(document)
	}
	cases := map[string]struct {
		document string
		a, b     values
		same     bool
	}{
		"other cursor":    {stream, values{"p": 1, "after": "x.1"}, values{"p": 1, "after": "x.2"}, true},
		"no cursor":       {stream, values{"p": 1, "after": "x.1"}, values{"p": 1}, true},
		"other project":   {stream, values{"p": 1}, values{"p": 2}, true}, // the event key names it
		"other operation": {"subscription A { planEvents(projectId: 1) { version } } subscription B { planEvents(projectId: 1) { via } }", values{"operation": "A"}, values{"operation": "B"}, false},
		"root":            {directive("root"), values{"b": true}, values{"b": false}, false},
		"field":           {directive("field"), values{"b": true}, values{"b": false}, false},
		"inline":          {directive("inline"), values{"b": true}, values{"b": false}, false},
		"spread":          {directive("spread"), values{"b": true}, values{"b": false}, false},
		"inner":           {directive("inner"), values{"b": true}, values{"b": false}, false},
	}
	for name, c := range cases {
		a, again, b := ask(c.document, c.a), ask(c.document, c.a), ask(c.document, c.b)
		if same := a == b; same != c.same {
			t.Errorf("%s: same is %v", name, same)
		}
		if a != again {
			t.Errorf("%s: asked twice, it differs", name)
		}
	}
	if ask(stream, values{}) == ask(stream+" ", values{}) {
		t.Error("another document has the same key")
	}
}

// A subscriber for whom the answer is there makes nothing of an event. What nobody shares is made for each.
func TestOnlyMissesAreShown(t *testing.T) {
	t.Parallel()
	m := newMetrics(nil)
	h := &Handler{metrics: m, answers: newAnswerCache(m)}
	r := &Resolver{running: new(sync.WaitGroup)}
	shown := map[int64]int{} // times, by version
	schema := NewExecutableSchema(Config{}).Schema()
	doc, errs := gqlparser.LoadQueryWithRules(schema, "subscription { planEvents(projectId: 1) { version } }", rules.NewDefaultRules())
	if errs != nil {
		t.Fatal(errs)
	}
	for range 3 {
		ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]})
		responses := h.share(ctx, func(ctx context.Context) graphql.ResponseHandler {
			out, err := subscribe(ctx, r, func(out chan<- delivery[int64]) error {
				for version := range int64(4) {
					d := delivery[int64]{build: func() (int64, error) { shown[version]++; return version, nil }}
					if version > 0 {
						d.key = eventKey{project: 1, at: plan.Cursor{Version: version}}
					}
					out <- d
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return func(context.Context) *graphql.Response { return &graphql.Response{Data: fmt.Append(nil, <-out)} }
		})
		for version := range 4 {
			if got := responses(ctx); string(got.Data) != fmt.Sprint(version) {
				t.Errorf("got %s, want %d", got.Data, version)
			}
		}
		if end := responses(ctx); end != nil {
			t.Errorf("after the end: %s", end.Data)
		}
	}
	if diff := cmp.Diff(map[int64]int{0: 3, 1: 1, 2: 1, 3: 1}, shown); diff != "" {
		t.Error(diff)
	}
	r.running.Wait()
}

// A subscriber who goes while an event is built waits for nothing, though the shared execution outlives it.
func TestSubscriberGoesWhileAnEventIsBuilt(t *testing.T) {
	t.Parallel()
	m := newMetrics(nil)
	h := &Handler{metrics: m, answers: newAnswerCache(m)}
	r := &Resolver{running: new(sync.WaitGroup)}
	schema := NewExecutableSchema(Config{}).Schema()
	doc, errs := gqlparser.LoadQueryWithRules(schema, "subscription { planEvents(projectId: 1) { version } }", rules.NewDefaultRules())
	if errs != nil {
		t.Fatal(errs)
	}
	ctx, gone := context.WithCancel(graphql.WithOperationContext(t.Context(), &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]}))
	responses := h.share(ctx, func(ctx context.Context) graphql.ResponseHandler {
		out, err := subscribe(ctx, r, func(out chan<- delivery[int64]) error {
			out <- delivery[int64]{
				event: event{key: eventKey{project: 1, at: plan.Cursor{Version: 1}}},
				build: func() (int64, error) { gone(); return 0, ctx.Err() },
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return func(ctx context.Context) *graphql.Response { // as the generated code
			select {
			case n := <-out:
				return &graphql.Response{Data: fmt.Append(nil, n)}
			case <-ctx.Done():
				return nil
			}
		}
	})
	if end := responses(ctx); end != nil {
		t.Errorf("it is sent %s", end.Data)
	}
	r.running.Wait()
}

// A client may have ignored the last events of a burst. Checks come when it listens again, and then rarely.
func TestChecksFollowABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var s stream
		r := &Resolver{running: new(sync.WaitGroup)}
		out, err := subscribe(context.WithValue(ctx, streamKey{}, &s), r, func(out chan<- delivery[*PlanDagDeltaEvent]) error {
			for i, pause := range []time.Duration{0, 10 * time.Second, 600 * time.Millisecond, 900 * time.Millisecond} {
				<-time.After(pause) // of the bubble
				show := func(user string) func() (*PlanDagDeltaEvent, error) {
					return func() (*PlanDagDeltaEvent, error) { return &PlanDagDeltaEvent{Version: int64(i), UserID: user}, nil }
				}
				if !offer(ctx, out, delivery[*PlanDagDeltaEvent]{build: show(""), buildCheck: show(system)}) {
					return nil
				}
			}
			<-ctx.Done()
			return nil
		})
		if err != nil || out == nil {
			t.Fatal(err)
		}
		began := time.Now()
		var got []string
		for range 12 {
			if e, err := s.pull(ctx); e == nil || err != nil {
				t.Fatal(err)
			}
			if built, err := s.push(); !built {
				t.Fatal(err)
			}
			d := <-out
			got = append(got, fmt.Sprintf("%v: %d %s", time.Since(began), d.Version, d.UserID))
		}
		want := []string{
			"0s: 0 ", "1s: 0 system", "3s: 0 system",
			"10s: 1 ", "10.6s: 2 ", "11.5s: 3 ", // nobody is reminded within a burst
			"12.5s: 3 system", "14.5s: 3 system", "44.5s: 3 system", "1m14.5s: 3 system", "1m44.5s: 3 system", "2m14.5s: 3 system",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		cancel()
		r.running.Wait()
	})
}
