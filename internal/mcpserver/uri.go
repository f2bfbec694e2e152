package mcpserver

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

// listenable returns what a client that listens to a URI hears of: a project, and what is below it.
func listenable(uri string) (t topic, ok bool) {
	r, id, ok := resourceAt(uri)
	return topic{id, r.shows}, ok && r.shows != ""
}
