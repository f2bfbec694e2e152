package postgres

// Pings returns the ping that runs now for whoever asks.
func (p *Pool) Pings() *SharedReads[struct{}] { return &p.pings }
