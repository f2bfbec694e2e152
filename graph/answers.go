package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// selectionKey is a digest of all that decides what an event looks like to a subscriber: of the document, and of the variables that it
// uses other than to choose which events come.
type selectionKey [sha256.Size]byte

func selectionKeyOf(op *graphql.OperationContext) (selectionKey, error) {
	u := usage{spread: map[string]bool{}, variables: map[string]any{}, demanded: map[string]bool{}, values: op.Variables}
	u.directives(op.Operation.Directives)
	u.selections(op.Operation.SelectionSet, true)
	hash := sha256.New()
	err := json.NewEncoder(hash).Encode([]any{op.RawQuery, op.Operation.Name, u.variables})
	return selectionKey(hash.Sum(nil)), err
}

// usage finds the variables that an operation uses.
type usage struct {
	values    map[string]any
	variables map[string]any  // found so far
	demanded  map[string]bool // those of them that stand where null may not be
	spread    map[string]bool // the fragments that were looked into
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
			if !u.spread[selection.Name] {
				u.spread[selection.Name] = true
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
		u.demanded[v.Raw] = u.demanded[v.Raw] || v.ExpectedType != nil && v.ExpectedType.NonNull
	}
	for _, child := range v.Children {
		u.value(child.Value)
	}
}

const (
	maxAnswerBytes = 16 << 20 // size of all answers that are kept
	answerSize     = 512      // bytes that an answer takes beside its data
)

// answerCache keeps what recent events were executed to, the newest of them up to maxAnswerBytes.
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

// answer is one response, or the promise of one.
type answer struct {
	once     sync.Once
	response *graphql.Response // nil when everybody has to execute for themselves
	size     int               // as far as the cache counts it
}

func newAnswerCache(m *metrics) *answerCache {
	return &answerCache{metrics: m, answers: make(map[answerKey]*answer)}
}

// response returns what execute made the first time that it was called for this key, unless that was forgotten. It returns nil
// when it had errors: they name the request that met them.
func (c *answerCache) response(key answerKey, execute func() *graphql.Response) *graphql.Response {
	a := c.find(key)
	executed := false
	a.once.Do(func() {
		executed = true
		made := execute()
		if made == nil || !isPlain(made) {
			return
		}
		a.response = &graphql.Response{Data: bytes.Clone(made.Data)} // its bytes are a buffer that is used again
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

// count adds the size of what was made, unless it was forgotten meanwhile.
func (c *answerCache) count(key answerKey, a *answer, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers[key] == a {
		a.size += size
		c.bytes += size
		c.trim()
	}
}

// trim forgets the oldest. Whoever holds an answer at that moment keeps it.
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
