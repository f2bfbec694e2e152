package fanout_test

import "strings"

// of matches the sessions of a role, whatever the replica.
func of(role string) func(application string) bool {
	return func(application string) bool { return strings.HasSuffix(application, "/"+role) }
}
