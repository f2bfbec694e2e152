package graph

import "testing"

// A field that is renamed must not lose the time that uploads and builds take.
func TestSlowFieldsExist(t *testing.T) {
	t.Parallel()
	mutations := NewExecutableSchema(Config{}).Schema().Mutation.Fields
	for name := range slowFields {
		if mutations.ForName(name) == nil {
			t.Errorf("there is no mutation %s", name)
		}
	}
	if longPatience <= executionWait {
		t.Error("a field ends before its wait for states")
	}
}
