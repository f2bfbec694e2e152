package graph

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// event is what the resolvers of subscriptions yield.
type event interface {
	moment() moment
	shown() *plan.Update // nil for what nobody changed
}

// moment names what an event shows, on this and on every other replica: two events of one type and moment are equal. The zero
// moment is like no other.
type moment struct {
	project  int32
	cursor   string
	step     int // of the event, where each is shown by itself
	snapshot bool
}

// stream lies between a resolver and the generated code that executes its events.
type stream struct {
	pull func(ctx context.Context) (event, *gqlerror.Error) // the resolver's next event; nil and why when there is none
	push func(event)                                        // hands one event to the generated code
}

type streamKey struct{}

// subscribe runs produce until it returns. The error that ends it, if any, ends the subscription with an error frame. Unless remind
// is nil, what it makes of the last event comes in between, as checkAfter says.
func subscribe[E event](
	ctx context.Context, r *Resolver, produce func(out chan<- E) error, remind func(last E) E,
) (<-chan E, error) {
	in, out := make(chan E), make(chan E, 1)
	var failure *gqlerror.Error
	r.running.Go(func() {
		defer close(in)
		if err := produce(in); err != nil && ctx.Err() == nil {
			failure = r.errors.present(ctx, graphql.ErrorOnPath(ctx, err))
		}
	})
	var last E
	var timer *time.Timer    // nil before the first event
	var due <-chan time.Time // likewise
	reminders := 0           // since the last event
	pull := func(ctx context.Context) (event, *gqlerror.Error) {
		select {
		case e, ok := <-in:
			if !ok {
				return nil, failure
			}
			last, reminders = e, 0
		case <-due:
			last = remind(last)
			reminders++
		case <-ctx.Done():
			return nil, nil
		}
		switch {
		case remind == nil:
		case timer == nil:
			timer = time.NewTimer(checkAfter(0))
			due = timer.C
		default:
			timer.Reset(checkAfter(reminders))
		}
		return last, nil
	}
	*ctx.Value(streamKey{}).(*stream) = stream{pull: pull, push: func(e event) { out <- e.(E) }}
	return out, nil
}

// share executes each event of a subscription once for all the subscribers that ask the same of it.
func (h *Handler) share(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	if op.Operation.Operation != ast.Subscription {
		return next(ctx)
	}
	var s stream
	responses := next(context.WithValue(ctx, streamKey{}, &s))
	if s.pull == nil {
		return responses // it was refused
	}
	asked, err := questionOf(op)
	alone := h.alone || err != nil
	var sent *plan.Update
	return func(ctx context.Context) *graphql.Response {
		if sent != nil {
			h.metrics.delivered(sent)
		}
		e, err := s.pull(ctx)
		if e == nil {
			if err != nil {
				transport.AddSubscriptionError(ctx, err)
			}
			return nil
		}
		sent = e.shown()
		execute := func(ctx context.Context) *graphql.Response {
			s.push(e)
			return responses(ctx)
		}
		at := e.moment()
		if at == (moment{}) || alone {
			return execute(ctx)
		}
		// For all of them means for nobody: what depends on who asks fails here, and is not shared. That they may follow the
		// plan at all is checked where the watch begins.
		shared := h.shelf.response(answerKey{at, asked}, func() *graphql.Response {
			return execute(context.WithValue(context.WithoutCancel(ctx), callerKey{}, caller{}))
		})
		if shared == nil {
			return execute(ctx)
		}
		return shared
	}
}

// question is a digest of all that decides what an event looks like to a subscriber.
type question [sha256.Size]byte

// questionOf leaves out the variables that only choose which events come.
func questionOf(op *graphql.OperationContext) (question, error) {
	u := usage{spread: map[string]bool{}, variables: map[string]any{}, demanded: map[string]bool{}, values: op.Variables}
	u.directives(op.Operation.Directives)
	u.selections(op.Operation.SelectionSet, true)
	hash := sha256.New()
	err := json.NewEncoder(hash).Encode([]any{op.RawQuery, op.Operation.Name, u.variables})
	return question(hash.Sum(nil)), err
}

// usage finds the variables that an operation uses.
type usage struct {
	values    map[string]any
	variables map[string]any  // found so far
	demanded  map[string]bool // those of them that stand where null may not be
	spread    map[string]bool // the fragments that were looked into
}

func (u *usage) selections(set ast.SelectionSet, root bool) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			u.directives(selection.Directives)
			for _, argument := range selection.Arguments {
				if !root || (argument.Name != "projectId" && argument.Name != "after") {
					u.value(argument.Value)
				}
			}
			u.selections(selection.SelectionSet, false)
		case *ast.InlineFragment:
			u.directives(selection.Directives)
			u.selections(selection.SelectionSet, root)
		case *ast.FragmentSpread:
			u.directives(selection.Directives)
			if !u.spread[selection.Name] {
				u.spread[selection.Name] = true
				u.directives(selection.Definition.Directives)
				u.selections(selection.Definition.SelectionSet, root)
			}
		}
	}
}

func (u *usage) directives(list ast.DirectiveList) {
	for _, directive := range list {
		for _, argument := range directive.Arguments {
			u.value(argument.Value)
		}
	}
}

func (u *usage) value(v *ast.Value) {
	if v.Kind == ast.Variable {
		u.variables[v.Raw] = u.values[v.Raw]
		u.demanded[v.Raw] = u.demanded[v.Raw] || v.ExpectedType != nil && v.ExpectedType.NonNull
	}
	for _, child := range v.Children {
		u.value(child.Value)
	}
}

// What the shelf keeps at most.
const (
	shelfBytes = 16 << 20
	answerSize = 512 // bytes that an answer takes beside its data
)

// shelf keeps what recent events were executed to.
type shelf struct {
	metrics *metrics

	mu      sync.Mutex
	answers map[answerKey]*answer
	order   []answerKey // oldest first
	bytes   int
}

type answerKey struct {
	moment   moment
	question question
}

// answer is one response, or the promise of one.
type answer struct {
	once     sync.Once
	response *graphql.Response // nil when everybody has to execute for themselves
	size     int               // as far as the shelf counts it
}

// response returns what execute made the first time that it was called for this key, unless that was forgotten. It returns nil
// when it had errors: they name the request that met them.
func (s *shelf) response(key answerKey, execute func() *graphql.Response) *graphql.Response {
	a := s.find(key)
	executed := false
	a.once.Do(func() {
		executed = true
		made := execute()
		if made == nil || !isPlain(made) {
			return
		}
		a.response = &graphql.Response{Data: bytes.Clone(made.Data)} // its bytes are a buffer that is used again
		s.count(key, a, len(made.Data))
	})
	s.metrics.sharing(!executed && a.response != nil)
	return a.response
}

func (s *shelf) find(key answerKey) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.answers[key]
	if a == nil {
		a = &answer{size: answerSize}
		s.answers[key] = a
		s.order = append(s.order, key)
		s.bytes += a.size
		s.trim()
	}
	return a
}

// count adds the size of what was made, unless it was forgotten meanwhile.
func (s *shelf) count(key answerKey, a *answer, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers[key] == a {
		a.size += size
		s.bytes += size
		s.trim()
	}
}

// trim forgets the oldest. Whoever holds an answer at that moment keeps it.
func (s *shelf) trim() {
	for s.bytes > shelfBytes {
		oldest := s.order[0]
		s.order = s.order[1:]
		s.bytes -= s.answers[oldest].size
		delete(s.answers, oldest)
	}
}

// isPlain reports whether a response is data and nothing else.
func isPlain(r *graphql.Response) bool {
	return r.Data != nil && len(r.Errors) == 0 && len(r.Extensions) == 0 && r.Label == "" && r.Path == nil && r.HasNext == nil
}
