package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"runtime/debug"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/task"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// persistedQueryNotSupported is the code for a request that names its document only by a hash. It is not among the codes of the core, which
// knows no documents. Clients with persisted queries know this code and message: they send the document itself then.
const persistedQueryNotSupported fault.Code = "PERSISTED_QUERY_NOT_SUPPORTED"

var errPersistedQuery = fault.New(persistedQueryNotSupported, "PersistedQueryNotSupported")

// maxMessage is the size of the longest message of the library that clients see, in bytes.
const maxMessage = 1000

// parts finds what messages of the library may repeat of a request: names, and values in quotation marks.
var parts = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

// clip returns a message of the library with only the beginning of each part that is long.
func clip(message string) string {
	return shorten(parts.ReplaceAllStringFunc(message, fault.Clip), maxMessage)
}

var errInternal = fault.New(fault.Internal, "Internal server error")

// retryAfter is the name of the detail with the milliseconds after which to try again.
const retryAfter = "retryAfterMs"

// presenter turns errors into those that clients see, and logs those that clients must not see.
type presenter struct {
	log   *slog.Logger
	guard *task.Guard
}

// present returns an error as clients see it. All errors of resolvers and of the library pass through it.
func (p *presenter) present(ctx context.Context, err error) *gqlerror.Error {
	var at *gqlerror.Error
	if !errors.As(err, &at) {
		at = gqlerror.WrapPath(graphql.GetPath(ctx), err)
	}
	f := p.faultOf(ctx, err, at)
	e := wireError(ctx, f)
	e.Path, e.Locations = at.Path, at.Locations
	if isVariable(at.Path) {
		e.Path = nil // the path leads into the variables, but clients expect one into the response
	}
	return e
}

// wireError returns a fault as clients see it.
func wireError(ctx context.Context, f *fault.Error) *gqlerror.Error {
	extensions := map[string]any{}
	if retry := caller.AnswerTo(f.Code).Retry; retry > 0 {
		extensions[retryAfter] = retry.Milliseconds()
	}
	maps.Copy(extensions, f.Details)
	extensions["code"] = string(f.Code)
	if id := caller.From(ctx).RequestID; id != "" {
		extensions["requestId"] = id
	}
	return &gqlerror.Error{Err: f, Message: f.Message, Extensions: extensions}
}

func (p *presenter) faultOf(ctx context.Context, err error, at *gqlerror.Error) *fault.Error {
	f := fault.From(err)
	switch {
	case f != nil && f.Code != fault.Internal:
		return f
	case f == nil && isRequestError(ctx, at):
		message := at.Message
		if isVariable(at.Path) {
			message = fmt.Sprintf("Variable %s: %s", at.Path[1:], message)
		}
		return fault.New(fault.BadRequest, clip(message))
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return fault.New(fault.Unavailable, fault.Busy) // the client went away, so nobody reads this
	case f == nil && errors.Is(err, context.DeadlineExceeded):
		p.log.WarnContext(ctx, "request timed out", "error", err, "request_id", caller.From(ctx).RequestID)
		return fault.New(fault.Unavailable, fault.Busy)
	}
	attributes := []any{"error", err, "path", at.Path.String(), "request_id", caller.From(ctx).RequestID}
	if f != nil && errors.Unwrap(f) != nil {
		attributes = append(attributes, "cause", errors.Unwrap(f))
	}
	var panicked *task.Panic
	if errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.Stack))
	}
	p.log.ErrorContext(ctx, "request failed", attributes...)
	return errInternal
}

// isRequestError reports whether the library refused the request itself: its document, its variables, or an argument. In the last case the
// field has arguments in the document but none were read.
func isRequestError(ctx context.Context, at *gqlerror.Error) bool {
	if code := at.Extensions["code"]; code == errcode.ValidationFailed || code == errcode.ParseFailed {
		return true
	}
	fc := graphql.GetFieldContext(ctx)
	return fc != nil && fc.Field.Field != nil && len(fc.Field.Arguments) > 0 && fc.Args == nil
}

func isVariable(path ast.Path) bool { return len(path) > 1 && path[0] == ast.PathName("variable") }

// recovered counts a panic and turns it into an error, which present logs.
func (p *presenter) recovered(_ context.Context, v any) error {
	return p.guard.Caught(v, debug.Stack())
}

// safely calls f, in a goroutine in which nobody else recovers a panic, and returns f's error, or its panic as one.
func (p *presenter) safely(ctx context.Context, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.recovered(ctx, v)
		}
	}()
	return f()
}

// codes returns the codes of presented errors.
func codes(errs gqlerror.List) []fault.Code {
	return convert(errs, func(e *gqlerror.Error) fault.Code {
		if f := fault.From(e); f != nil {
			return f.Code
		}
		return fault.Internal
	})
}
