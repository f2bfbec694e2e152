package graph

import (
	"context"

	"layercake/internal/testsignal"

	"github.com/99designs/gqlgen/graphql"
)

// LimitBodies makes the largest body smaller, so that a test need not send one of the real size.
func (h *Handler) LimitBodies(limit int64) { h.maxBody = limit }

// LargeBodies is how many large bodies are held now.
func (h *Handler) LargeBodies() int { return len(h.largeBody) }

// Measured is said when a metric of this package changed, or how many large bodies are held.
func (h *Handler) Measured() *testsignal.Signal { return &h.metrics.changed }

// Unshare makes every subscriber execute each event for itself, as a measure.
func (h *Handler) Unshare() { h.unshared = true }

// Break makes every operation panic before a resolver runs.
func (h *Handler) Break() {
	h.exec.AroundOperations(func(context.Context, graphql.OperationHandler) graphql.ResponseHandler { panic("broken") })
}
