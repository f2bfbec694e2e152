package executor

// Running returns how many builds the replica has under way.
func (s *Service) Running() int {
	running, _ := s.load()
	return running
}

// Compute is what builds compute.
var Compute = compute
