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

// respond sends a response as it is.
func (h *Handler) respond(w http.ResponseWriter, status int, media string, response *graphql.Response) {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(caller.AnswerTo(codes(response.Errors)[0]).Retry/time.Second)))
	}
	h.send(w, status, media, partsOf(response))
}

// partsOf returns the text of a response in parts. A response without data belongs to a request that was not executed, and has no member
// data at all, which is not the same as null.
func partsOf(response *graphql.Response) [][]byte {
	if isPlain(response) { // its data is not encoded again, nor copied
		return [][]byte{dataBefore, response.Data, dataAfter}
	}
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
	return [][]byte{b}
}

func sizeOf(parts [][]byte) int {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	return size
}

// send sends an answer in parts.
func (h *Handler) send(w http.ResponseWriter, status int, media string, parts [][]byte) {
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(sizeOf(parts)))
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
