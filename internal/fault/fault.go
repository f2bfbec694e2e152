// Package fault describes the failures that a client may see: a code and a sentence.
//
// Every other error is internal. Its text goes to the log and never to a client.
package fault

import (
	"errors"
	"log/slog"
	"maps"
)

// Code says what kind of failure it is. Transports translate it; it is `extensions.code` on GraphQL.
type Code string

// The codes. README lists what a client should do about each.
const (
	BadRequest      Code = "BAD_REQUEST"     // the request is wrong; sending it again does not help
	Unauthenticated Code = "UNAUTHENTICATED" // nobody said who is calling
	Forbidden       Code = "FORBIDDEN"       // the caller may not do this
	NotFound        Code = "NOT_FOUND"       // the thing does not exist, or not for this caller
	Conflict        Code = "CONFLICT"        // the state moved on; look again, then decide
	RateLimited     Code = "RATE_LIMITED"    // too much at once; wait, then send it again
	Unavailable     Code = "UNAVAILABLE"     // no capacity or no database now; wait, then send it again
	Internal        Code = "INTERNAL"        // our mistake; the log has it under the request id
)

// Codes returns every code, so that a transport can be tested to have an answer to each.
func Codes() []Code {
	return []Code{BadRequest, Unauthenticated, Forbidden, NotFound, Conflict, RateLimited, Unavailable, Internal}
}

// Busy is the message of everything that time or capacity refused.
const Busy = "The server is busy, try again"

// Error is a failure that a client may see.
type Error struct {
	Code    Code
	Message string         // one sentence for a person
	Details map[string]any // facts for a program, such as "detail" or "currentVersion"; may be nil
	cause   error          // for the log only
}

// New returns a failure with a code and a sentence for the client.
func New(code Code, message string) *Error {
	return &Error{Code: code, Message: message}
}

// With returns a copy of e that also carries value under key. Of long texts in it only the beginning is kept.
func (e *Error) With(key string, value any) *Error {
	details := make(map[string]any, len(e.Details)+1)
	maps.Copy(details, e.Details)
	details[key] = clipped(value)
	return &Error{Code: e.Code, Message: e.Message, Details: details, cause: e.cause}
}

// Because returns a copy of e that wraps cause: errors.Is and the log see it, clients do not.
func (e *Error) Because(cause error) *Error {
	return &Error{Code: e.Code, Message: e.Message, Details: e.Details, cause: cause}
}

// Error is the message alone, so that a fault that reaches a client by accident tells it nothing new.
func (e *Error) Error() string { return e.Message }

// LogValue is the message with its cause, which logs are for.
func (e *Error) LogValue() slog.Value {
	if e.cause == nil {
		return slog.StringValue(e.Message)
	}
	return slog.StringValue(e.Message + ": " + e.cause.Error())
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// From returns the failure that err wraps, or nil when err is internal.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is reports whether err wraps a failure with this code.
func Is(err error, code Code) bool {
	e := From(err)
	return e != nil && e.Code == code
}
