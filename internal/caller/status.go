package caller

import (
	"net/http"
	"time"

	"layercake/internal/fault"
)

// Answer is what a fault means to a client over HTTP.
type Answer struct {
	Status int           // of a response to a request of which nothing was executed
	Retry  time.Duration // when to send the request again; 0 when that does not help
}

var answers = map[fault.Code]Answer{
	fault.BadRequest:      {Status: http.StatusBadRequest},
	fault.Unauthenticated: {Status: http.StatusUnauthorized},
	fault.Forbidden:       {Status: http.StatusForbidden},
	fault.NotFound:        {Status: http.StatusNotFound},
	fault.Conflict:        {Status: http.StatusConflict},
	fault.RateLimited:     {Status: http.StatusTooManyRequests, Retry: time.Second},
	fault.Unavailable:     {Status: http.StatusServiceUnavailable, Retry: time.Second},
	fault.Internal:        {Status: http.StatusInternalServerError},
}

// AnswerTo returns what a code means to a client. A code that is a transport's own is a request that is wrong.
func AnswerTo(code fault.Code) Answer {
	if a, ok := answers[code]; ok {
		return a
	}
	return answers[fault.BadRequest]
}
