package budget

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"layercake/internal/fault"
)

// ErrTooLarge is wrapped by the fault of a hold that can never be as large as it was to be.
var ErrTooLarge = errors.New("more than one request may hold")

// Hold is the memory that one request holds. It is safe for concurrent use, but Close comes last.
type Hold struct {
	budget  *Budget
	address netip.Prefix
	client  *client
	request bool // it took requestSize when it began

	mu    sync.Mutex
	used  int64 // bytes that the request said
	taken int64 // bytes taken of the large memory
}

// Take takes so many bytes more. It waits a short time for room, and then fails with the fault Unavailable, or at once with BadRequest when
// there never will be: a request may hold as much as its client's address. What the hold has stays. A nil hold counts nothing.
func (h *Hold) Take(ctx context.Context, bytes int64) error {
	if h == nil {
		return nil
	}
	more := h.use(bytes)
	if more <= 0 {
		h.giveBack(-more)
		return nil
	}
	b := h.budget
	var err error
	if h.total() > b.share {
		b.metrics.refused.WithLabelValues(refusedSize).Inc()
		err = fault.New(fault.BadRequest, fmt.Sprintf("The request needs more than the %d MB that one may hold: ask for less at once "+
			"(LAYERCAKE_REQUEST_MEMORY)", b.share>>20)).Because(ErrTooLarge)
	} else {
		err = b.wait(ctx, claim{h.client.memory, more}, claim{b.large, more})
	}
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.used -= bytes
		h.taken -= more
		return err
	}
	b.note(more)
	return nil
}

// Resize makes the hold one of so many bytes, like Take.
func (h *Hold) Resize(ctx context.Context, bytes int64) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	more := bytes - h.used
	h.mu.Unlock()
	return h.Take(ctx, more)
}

// Close gives everything back. A second call changes nothing.
func (h *Hold) Close() {
	if h.client == nil {
		return
	}
	h.giveBack(h.taken)
	b := h.budget
	b.close(h.address, h.client, h.request)
	h.client = nil
	if h.request {
		b.small.Release(1)
		b.flight.Add(-1)
		b.note(-requestSize)
	}
}

type key struct{}

// With returns a context that carries a hold.
func With(ctx context.Context, h *Hold) context.Context { return context.WithValue(ctx, key{}, h) }

// From returns the hold of a context, nil when it has none.
func From(ctx context.Context) *Hold {
	h, _ := ctx.Value(key{}).(*Hold)
	return h
}

// use changes what the request uses, and returns what it has to take for that, or may give back if that is negative.
func (h *Hold) use(bytes int64) (more int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := int64(0)
	if h.request {
		free = requestSize
	}
	h.used += bytes
	more = max(0, h.used-free) - h.taken
	h.taken += more
	return more
}

func (h *Hold) total() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

func (h *Hold) giveBack(bytes int64) {
	if bytes > 0 {
		h.client.memory.Release(bytes)
		h.budget.large.Release(bytes)
		h.budget.note(-bytes)
	}
}
