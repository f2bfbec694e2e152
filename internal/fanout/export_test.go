package fanout

import (
	"layercake/internal/postgres"
	"layercake/internal/testsignal"
)

// HeardEpoch returns the epoch of the session that listens. It is called by a topic that is told that listening began.
func (w *Wire) HeardEpoch() postgres.Epoch { return w.listener.receivers[Events].session.epoch }

// Stepped is said whenever the wire's publisher connected, sent or failed, or an own heartbeat came back.
func (w *Wire) Stepped() *testsignal.Signal { return &w.stepped }
