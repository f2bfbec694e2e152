package graph

import "time"

// Hurry makes the clocks of sockets that open from now on fast enough for tests.
func (h *Handler) Hurry(init, ping, silence, write time.Duration) {
	h.timing = socketTiming{init: init, ping: ping, silence: silence, write: write}
}

// LimitBodies makes the largest body smaller, so that a test need not send one of the real size.
func (h *Handler) LimitBodies(limit int64) { h.maxBody = limit }

// LargeBodies is how many large bodies are held now.
func (h *Handler) LargeBodies() int { return len(h.largeBody) }

// Unshare makes every subscriber execute each event for itself and leaves framing to the library, as a measure.
func (h *Handler) Unshare() { h.unshared = true }
