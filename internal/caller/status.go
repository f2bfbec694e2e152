package caller

import (
	"net/http"
	"time"

	"layercake/internal/fault"
)

// Answer is what a fault means to a client over HTTP.
type Answer struct {
	Status int           // status of the response, if nothing of the request was executed
	Retry  time.Duration // pause before sending the request again; 0 when that does not help
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

// AnswerTo returns what a code means to a client. A code that package fault does not have belongs to a transport, and means a bad request.
func AnswerTo(code fault.Code) Answer {
	if a, ok := answers[code]; ok {
		return a
	}
	return answers[fault.BadRequest]
}
