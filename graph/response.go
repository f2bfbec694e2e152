package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"layercake/internal/caller"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// respond sends a response. A response without data belongs to a request that was not executed, and has no member data at all, which is
// not the same as null.
func (h *Handler) respond(w http.ResponseWriter, status int, media string, response *graphql.Response) {
	parts := [][]byte{dataBefore, response.Data, dataAfter}
	if !isPlain(response) { // else its data is not encoded again, nor copied
		body := struct {
			Errors     gqlerror.List    `json:"errors,omitempty"`
			Data       *json.RawMessage `json:"data,omitempty"`
			Extensions map[string]any   `json:"extensions,omitempty"`
		}{Errors: response.Errors, Extensions: response.Extensions}
		if response.Data != nil {
			body.Data = &response.Data
		}
		b, err := json.Marshal(body)
		if err != nil {
			panic(fmt.Errorf("encode response: %w", err))
		}
		parts = [][]byte{b}
	}
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	header := w.Header()
	header.Set("Content-Type", media+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(length))
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		header.Set("Retry-After", strconv.Itoa(int(caller.AnswerTo(codes(response.Errors)[0]).Retry/time.Second)))
	}
	w.WriteHeader(status)
	h.writePaced(w, parts)
}

// memoryOf returns the memory that a response takes while it is written.
func memoryOf(response *graphql.Response) int64 {
	size := int64(cap(response.Data))
	if !isPlain(response) {
		size *= 3 // it is encoded again
	}
	return size
}

// writePaced writes an answer piece by piece. A client that does not take a piece in time is cut off: the answer that it does not read is
// memory that others wait for.
func (h *Handler) writePaced(w http.ResponseWriter, parts [][]byte) {
	control := http.NewResponseController(w)
	for _, part := range parts {
		for piece := range slices.Chunk(part, h.pace.AnswerBytes) {
			if len(piece) == h.pace.AnswerBytes {
				// The writers of net/http have deadlines; others, in tests, need none. That of the whole request is enough for less.
				_ = control.SetWriteDeadline(time.Now().Add(h.pace.AnswerTime))
			}
			if _, err := w.Write(piece); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					h.metrics.cut.WithLabelValues(cutAnswer).Inc()
					h.metrics.changed.Say()
				}
				return // a client that went away needs no answer
			}
		}
	}
}
