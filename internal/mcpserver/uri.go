package mcpserver

import (
	"strconv"
	"strings"
)

// topic is what of a project a resource shows, and so when it changes.
type topic struct {
	project int32
	of      aspect
}

// aspect is a side of a project that changes by itself.
type aspect string

const (
	ofPlan      aspect = "plan"
	ofPresence  aspect = "presence"
	ofProposals aspect = "proposals"
)

// The names of resources.
const (
	scheme      = "layercake:"
	projectsURI = scheme + "//projects/"
)

// listenable returns what a client that listens to a URI hears of: what is below projects.
func listenable(uri string) (t topic, ok bool) {
	rest, ok := strings.CutPrefix(uri, projectsURI)
	if !ok {
		return topic{}, false
	}
	number, below, more := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != number {
		return topic{}, false
	}
	t.project = int32(n)
	switch below {
	case "plan", "changes":
		t.of = ofPlan
	case "":
		t.of = ofPlan // its version is shown
		return t, !more
	case "presence":
		t.of = ofPresence
	case "proposals":
		t.of = ofProposals
	default:
		return topic{}, false
	}
	return t, true
}
