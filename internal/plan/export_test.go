package plan

import "context"

// HoldChanges keeps changes from being run until release is called. Slots is how many the service was given.
func (s *Service) HoldChanges(slots int) (release func()) {
	_ = s.queue.slots.Acquire(context.Background(), int64(slots))
	return func() { s.queue.slots.Release(int64(slots)) }
}

// Waiting returns how many changes of a project wait for their turn.
func (s *Service) Waiting(project int32) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	if l := s.queue.lanes[project]; l != nil {
		return len(l.waiting)
	}
	return 0
}

// Panic is an edit with a mistake in its code.
type Panic struct{}

func (Panic) wants(*wants) {}

func (Panic) apply(*draft) error { panic("a mistake") }
