package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// selectionKey is a digest of everything that decides what an event looks like to a subscriber: the document, the operation's name, and the
// variables that it uses. The variables that only choose which events come are left out: the arguments projectId and after of the root
// field.
type selectionKey [sha256.Size]byte

func selectionKeyOf(op *graphql.OperationContext) (selectionKey, error) {
	u := usage{visited: map[string]bool{}, variables: map[string]any{}, nonNull: map[string]bool{}, values: op.Variables}
	u.directives(op.Operation.Directives)
	u.selections(op.Operation.SelectionSet, true)
	hash := sha256.New()
	err := json.NewEncoder(hash).Encode([]any{op.RawQuery, op.Operation.Name, u.variables})
	return selectionKey(hash.Sum(nil)), err
}

// usage finds the variables that an operation uses.
type usage struct {
	values    map[string]any
	variables map[string]any  // variables found so far, with their values
	nonNull   map[string]bool // variables found where null may not be
	visited   map[string]bool // fragments that were searched
}

func (u *usage) selections(set ast.SelectionSet, root bool) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			u.directives(selection.Directives)
			for _, argument := range selection.Arguments {
				if !root || (argument.Name != "projectId" && argument.Name != "after") {
					u.value(argument.Value)
				}
			}
			u.selections(selection.SelectionSet, false)
		case *ast.InlineFragment:
			u.directives(selection.Directives)
			u.selections(selection.SelectionSet, root)
		case *ast.FragmentSpread:
			u.directives(selection.Directives)
			if !u.visited[selection.Name] {
				u.visited[selection.Name] = true
				u.directives(selection.Definition.Directives)
				u.selections(selection.Definition.SelectionSet, root)
			}
		}
	}
}

func (u *usage) directives(list ast.DirectiveList) {
	for _, directive := range list {
		for _, argument := range directive.Arguments {
			u.value(argument.Value)
		}
	}
}

func (u *usage) value(v *ast.Value) {
	if v.Kind == ast.Variable {
		u.variables[v.Raw] = u.values[v.Raw]
		u.nonNull[v.Raw] = u.nonNull[v.Raw] || v.ExpectedType != nil && v.ExpectedType.NonNull
	}
	for _, child := range v.Children {
		u.value(child.Value)
	}
}

const (
	maxAnswerBytes = 16 << 20 // size of all answers that are kept
	answerSize     = 512      // size of an answer beside its data
)

// answerCache keeps the responses that recent events were executed to, the newest of them up to maxAnswerBytes.
type answerCache struct {
	metrics *metrics

	mu      sync.Mutex
	answers map[answerKey]*answer
	order   []answerKey // oldest first
	bytes   int
}

type answerKey struct {
	event     eventKey
	selection selectionKey
}

// answer is one response, or the promise of one while the first subscriber that asked executes the event.
type answer struct {
	once     sync.Once
	response *graphql.Response // nil when every subscriber has to execute the event for itself
	size     int               // bytes that the cache counts for it
}

func newAnswerCache(m *metrics) *answerCache {
	return &answerCache{metrics: m, answers: make(map[answerKey]*answer)}
}

// response returns the response for a key, and calls execute only if it is not there. It returns nil when the response had errors, which
// name the request that met them and so cannot be shared: then each subscriber executes the event for itself.
func (c *answerCache) response(key answerKey, execute func() *graphql.Response) *graphql.Response {
	a := c.find(key)
	executed := false
	a.once.Do(func() {
		executed = true
		made := execute()
		if made == nil || !isPlain(made) {
			return
		}
		a.response = &graphql.Response{Data: bytes.Clone(made.Data)} // the library uses the buffer again
		c.count(key, a, len(made.Data))
	})
	c.metrics.sharing(!executed && a.response != nil)
	return a.response
}

func (c *answerCache) find(key answerKey) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.answers[key]
	if a == nil {
		a = &answer{size: answerSize}
		c.answers[key] = a
		c.order = append(c.order, key)
		c.bytes += a.size
		c.trim()
	}
	return a
}

// count adds the size of a response, unless its answer was forgotten meanwhile.
func (c *answerCache) count(key answerKey, a *answer, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers[key] == a {
		a.size += size
		c.bytes += size
		c.trim()
	}
}

// trim forgets the oldest answers. A subscriber that holds one at that moment can still use it.
func (c *answerCache) trim() {
	for c.bytes > maxAnswerBytes {
		oldest := c.order[0]
		c.order = c.order[1:]
		c.bytes -= c.answers[oldest].size
		delete(c.answers, oldest)
	}
}

// isPlain reports whether a response is data and nothing else.
func isPlain(r *graphql.Response) bool {
	return r.Data != nil && len(r.Errors) == 0 && len(r.Extensions) == 0 && r.Label == "" && r.Path == nil && r.HasNext == nil
}
