package fanout

import "layercake/internal/testsignal"

// Stepped is said whenever the wire's publisher connected, sent or failed, or an own heartbeat came back.
func (w *Wire) Stepped() *testsignal.Signal { return &w.stepped }
