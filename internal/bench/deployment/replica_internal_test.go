package deployment

import "testing"

// Deployments side by side, and the replicas of each, have ports of their own.
func TestPortsAreChosenOnce(t *testing.T) {
	t.Parallel()
	chosen := map[int]bool{}
	for range 50 {
		free, err := freePorts(6)
		if err != nil {
			t.Fatal(err)
		}
		defer releasePorts(free)
		for _, port := range free {
			if chosen[port] {
				t.Errorf("port %d was chosen twice", port)
			}
			chosen[port] = true
		}
	}
}
