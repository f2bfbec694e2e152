package graph

import (
	"context"
	"time"

	"layercake/internal/caller"
	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// delivery is an event for one subscriber, before anything was made of it. Most are never made into E: the answer cache has the bytes
// that another subscriber's was executed to.
type delivery[E any] struct {
	event
	show  func() (E, error) // makes what the event shows
	check func() (E, error) // makes what reminds of the state after the event; nil if nothing does
}

// event is what is known of a delivery whatever it shows.
type event struct {
	key    eventKey
	update *plan.Update // the change that it shows, which its delay is measured from; nil for what nobody changed
}

// eventKey names what an event shows, on this and on every other replica: events of one key look the same to all who select the same.
// The zero key names nothing, and its event is executed for each subscriber.
type eventKey struct {
	project   int32
	at        plan.Cursor // right after the change, or of the plan in a snapshot
	snapshot  bool
	operation int    // its index in the change, where each is shown by itself
	arrival   string // its id; at is zero then
}

// stream lies between a resolver and the generated code that executes its events.
type stream struct {
	pull func(ctx context.Context) (*event, *gqlerror.Error) // the resolver's next event; nil and why when there is none
	push func() *gqlerror.Error                              // makes what the pulled event shows and hands that to the generated code
}

type streamKey struct{}

// subscribe runs produce until it returns. The error that ends it, if any, ends the subscription with an error frame. Checks come in
// between, when checkAfter says.
func subscribe[E any](ctx context.Context, r *Resolver, produce func(out chan<- delivery[E]) error) (<-chan E, error) {
	in, out := make(chan delivery[E]), make(chan E, 1)
	var failure error
	r.running.Go(func() {
		defer close(in)
		failure = produce(in)
	})
	present := func(err error) (shown *gqlerror.Error) {
		if err != nil && ctx.Err() == nil {
			shown = r.errors.present(ctx, graphql.ErrorOnPath(ctx, err))
		}
		return shown
	}
	var last delivery[E]
	var timer *time.Timer    // nil before the first event
	var due <-chan time.Time // timer.C, or nil
	checks := 0              // since the last event
	pull := func(ctx context.Context) (*event, *gqlerror.Error) {
		select {
		case d, ok := <-in:
			if !ok {
				return nil, present(failure)
			}
			last, checks = d, 0
		case <-due:
			last = delivery[E]{show: last.check, check: last.check}
			checks++
		case <-ctx.Done():
			return nil, nil
		}
		switch {
		case last.check == nil:
		case timer == nil:
			timer = time.NewTimer(checkAfter(0))
			due = timer.C
		default:
			timer.Reset(checkAfter(checks))
		}
		return &last.event, nil
	}
	push := func() *gqlerror.Error {
		e, err := last.show()
		if err == nil {
			out <- e
		}
		return present(err)
	}
	*ctx.Value(streamKey{}).(*stream) = stream{pull: pull, push: push}
	return out, nil
}

// share executes each event of a subscription once for all the subscribers that select the same of it. It looks for the answer before
// the event is made: a subscriber for whom the answer is there costs a look into the cache.
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
	selection, err := selectionKeyOf(op)
	unshared := h.unshared || err != nil
	var sent *plan.Update
	return func(ctx context.Context) *graphql.Response {
		if sent != nil {
			h.metrics.delivered(sent)
			sent = nil
		}
		e, failure := s.pull(ctx)
		var response *graphql.Response
		if e != nil {
			sent = e.update
			execute := func(ctx context.Context) *graphql.Response {
				if failure = s.push(); failure != nil {
					return nil
				}
				return responses(ctx)
			}
			if e.key != (eventKey{}) && !unshared {
				// The shared execution has no caller. A field that depends on the caller fails, and the event is then executed for each
				// subscriber. That they may follow the plan at all is checked where the watch begins.
				response = h.answers.response(answerKey{e.key, selection}, func() *graphql.Response {
					return execute(caller.WithNobody(context.WithoutCancel(ctx)))
				})
			}
			if response == nil {
				response = execute(ctx)
			}
		}
		if failure != nil {
			endWith(ctx, failure)
		}
		return response
	}
}
