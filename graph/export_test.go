package graph

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"layercake/internal/plan"
	"layercake/internal/testsignal"

	"github.com/99designs/gqlgen/graphql"
)

// LimitBodies makes the largest body smaller, so that a test need not send one of the real size.
func (h *Handler) LimitBodies(limit int64) { h.maxBody = limit }

// Measured is said when a metric of this package changed.
func (h *Handler) Measured() *testsignal.Signal { return &h.metrics.changed }

// PlanCost is the memory that is taken for an answer with a plan of so many elements, with texts of so many bytes.
func PlanCost(elements, text int) int64 {
	nodes := make([]plan.Node, elements)
	nodes[0].Config = strings.Repeat("x", text)
	return planCost(plan.DAG{Nodes: nodes})
}

// Unshare makes every subscriber execute each event for itself, as a measure.
func (h *Handler) Unshare() { h.unshared = true }

// Break makes every operation panic before a resolver runs.
func (h *Handler) Break() {
	h.exec.AroundOperations(func(context.Context, graphql.OperationHandler) graphql.ResponseHandler { panic("broken") })
}

// BreakReaders makes the goroutine that reads from a socket panic when it takes a document.
func (h *Handler) BreakReaders() { h.exec, h.errors = nil, nil }

// BreakWriters makes an operation panic, and then what would tell its client.
func (h *Handler) BreakWriters() {
	h.Break()
	h.errors = nil
}

// TakeTurns takes all turns of large requests, and returns a function that gives them back.
func (h *Handler) TakeTurns(t testing.TB) (release func()) {
	n := int64(max(1, runtime.GOMAXPROCS(0)/2))
	if !h.turns.TryAcquire(n) {
		t.Fatal("large requests are being decoded")
	}
	return func() { h.turns.Release(n) }
}

// ContentCost is the memory that is taken for an answer with so many elements of graphs, which have so many bytes of JSON.
func ContentCost(elements, text int) int64 { return contentCost*int64(elements) + textCost*int64(text) }
