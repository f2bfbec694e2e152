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

// delivery is an event for one subscriber, before an E is built of it. Most never are: the answer cache has the response already that
// another subscriber's execution made.
type delivery[E any] struct {
	event
	build      func() (E, error) // builds what the event shows
	buildCheck func() (E, error) // builds a check of the state after the event; nil for subscribers without checks
}

// event is the part of a delivery that does not depend on its type.
type event struct {
	key    eventKey
	update *plan.Update // change that the event shows, from which its delay is measured; nil when it shows none
}

// eventKey names what an event shows: events with the same key look the same to all who select the same fields. It has to name everything
// that an event is built of. The zero key names nothing, and its event is executed for each subscriber.
type eventKey struct {
	project int32
	at      plan.Cursor // cursor after the change, or of the plan in a snapshot; it has the epoch and a hash of the history

	// generation is that of the feed that the change came from. A feed that found a lie begins another one, and then nobody is shown what
	// was made of the lie, which may have the cursor of the truth: a hash has 4 bytes. Zero for what was read from the tables.
	generation int64
	snapshot   bool
	operation  int    // index in the change, where each operation is an event of its own
	arrival    string // id of an arrival; then at is zero
	proposal   string // state of a proposal; then at is zero, too
}

// stream lies between a resolver, which produces deliveries, and the generated code, which executes what is built of them. So the answer
// cache can be asked in between.
type stream struct {
	pull func(ctx context.Context) (*event, *gqlerror.Error) // returns the next event; nil when there is none, with the error that ended it
	// push builds what the pulled event shows and hands it to the generated code. It reports whether it did: where that failed because the
	// subscriber has gone there is no error.
	push func() (built bool, failure *gqlerror.Error)
}

type streamKey struct{}

// subscribe runs produce until it returns. The error that ends it, if any, ends the subscription with an error frame. Between the events of
// produce come checks, for subscribers that are sent them (see checkAfter).
func subscribe[E any](ctx context.Context, r *Resolver, produce func(out chan<- delivery[E]) error) (<-chan E, error) {
	in, out := make(chan delivery[E]), make(chan E, 1)
	var failure error
	r.running.Go(func() {
		defer close(in)
		failure = r.errors.safely(ctx, func() error { return produce(in) })
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
	checks := 0              // number of checks since the last event
	pull := func(ctx context.Context) (*event, *gqlerror.Error) {
		select {
		case d, ok := <-in:
			if !ok {
				return nil, present(failure)
			}
			last, checks = d, 0
		case <-due:
			last = delivery[E]{build: last.buildCheck, buildCheck: last.buildCheck}
			checks++
		case <-ctx.Done():
			return nil, nil
		}
		switch {
		case last.buildCheck == nil:
		case timer == nil:
			timer = time.NewTimer(checkAfter(0))
			due = timer.C
		default:
			timer.Reset(checkAfter(checks))
		}
		return &last.event, nil
	}
	push := func() (built bool, failure *gqlerror.Error) {
		e, err := last.build()
		if err != nil {
			return false, present(err)
		}
		out <- e
		return true, nil
	}
	*ctx.Value(streamKey{}).(*stream) = stream{pull: pull, push: push}
	return out, nil
}

// share executes each event once for all subscribers that select the same fields of it. It asks the cache before the event is built, so a
// subscriber whose answer is there costs one look-up.
func (h *Handler) share(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	if op.Operation.Operation != ast.Subscription {
		return next(ctx)
	}
	var s stream
	responses := next(context.WithValue(ctx, streamKey{}, &s))
	if s.pull == nil {
		return responses // the subscription was refused
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
				var built bool
				if built, failure = s.push(); !built {
					return nil
				}
				return responses(ctx)
			}
			if e.key != (eventKey{}) && !unshared {
				// The shared execution has no caller, so it cannot show one subscriber what only another one may see: a field that depends
				// on the caller fails, the response has errors, and the event is executed for each subscriber. Whether a subscriber may
				// follow the plan at all is checked where its watch begins. It also outlives the subscriber that happens to be the first.
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
