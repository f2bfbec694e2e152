package fanout

// OnStep makes a wire call f, before Run, whenever its publisher connected, sent or failed, or an own heartbeat came back.
func (w *Wire) OnStep(f func()) { w.stepped = f }
