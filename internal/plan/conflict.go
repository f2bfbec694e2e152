package plan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// UndoConflict is a part of an element that somebody touched since. Its JSON is what errors show.
type UndoConflict struct {
	Kind       OperationKind   `json:"kind"` // what would be done to the element
	ID         string          `json:"id"`
	Part       string          `json:"part"` // name of the part; "element" for whether it is there
	Reason     string          `json:"reason"`
	Expected   json.RawMessage `json:"expected"` // value of the part that the change left; null for none
	Current    json.RawMessage `json:"current"`
	Versions   []int64         `json:"versions"`   // changes that touched it since, ascending; of many the newest
	ActorNames []string        `json:"actorNames"` // who made these, each once, in order
}

// wholeElement is the part of a conflict about whether an element is there.
const wholeElement = "element"

// What is told of conflicts. A change can have 5,000 operations, and the log 100,000 changes since.
const (
	maxConflicts      = 1000    // conflicts that are listed
	maxConflictsBytes = 1 << 20 // bytes of the values in them
	maxSince          = 100     // versions, and names, of one conflict
)

// conflict is an UndoConflict on its way to a caller.
type conflict struct {
	UndoConflict

	name    string  // kind of the element, for people
	touched element // what others touched; an edge may be in conflict because of its end
	// afterExpected says that only those count who touched the part after it was last as expected: nobody knows when its sender saw it.
	afterExpected bool
}

// changedOnBothSides is the reason of a conflict whose text, in updatePlanDag, names nothing but the part.
const changedOnBothSides = "changed here and there"

// text is the conflict in a few words, as updatePlanDag tells it.
func (c conflict) text() string {
	text := c.name + " " + c.ID + ": "
	switch {
	case c.Part == wholeElement:
		return text + c.Reason
	case c.Reason == changedOnBothSides:
		return text + c.Part
	}
	return text + c.Part + " " + c.Reason
}

// conflict returns a conflict about whether an element is there. Values are nil where the plan does not have it.
func (k elements[T]) conflict(kind OperationKind, id, reason string, expected, current *T) conflict {
	c := conflict{UndoConflict: UndoConflict{Kind: kind, ID: id, Part: wholeElement, Reason: reason}, name: k.name, touched: element{k.of, id}}
	if k.of == ofPlan {
		c.touched.id = ""
	}
	if expected != nil {
		c.Expected = encode(*expected)
	}
	if current != nil {
		c.Current = encode(*current)
	}
	return c
}

// conflictOf returns a conflict about a part of an element.
func (k elements[T]) conflictOf(p part[T], kind OperationKind, id, reason string, expected, current *T) conflict {
	c := k.conflict(kind, id, reason, nil, nil)
	c.Part = p.name
	if expected != nil {
		c.Expected = encode(p.value(*expected))
	}
	if current != nil {
		c.Current = encode(p.value(*current))
	}
	return c
}

// listed returns what a caller is told of conflicts, and of how many it is told nothing.
func listed(conflicts []conflict) (list []UndoConflict, leftOut int) {
	list = []UndoConflict{}
	bytes := 0
	for i, c := range conflicts {
		bytes += len(c.Expected) + len(c.Current)
		if i == maxConflicts || bytes > maxConflictsBytes && i > 0 {
			return list, len(conflicts) - i
		}
		c.Versions, c.ActorNames = append([]int64{}, c.Versions...), append([]string{}, c.ActorNames...) // lists, never null
		list = append(list, c.UndoConflict)
	}
	return list, 0
}

// attribution finds out who touched the parts that are in conflict.
type attribution struct {
	conflicts []conflict
	about     map[element][]int // indexes in conflicts
}

func attributionOf(conflicts []conflict) attribution {
	a := attribution{conflicts, make(map[element][]int)}
	for i, c := range conflicts {
		a.about[c.touched] = append(a.about[c.touched], i)
	}
	return a
}

// add takes the next event in order.
func (a attribution) add(e *Event) error {
	for _, op := range e.Operations {
		for _, i := range a.about[op.element()] {
			c := &a.conflicts[i]
			touched, err := op.touches(c.Part)
			if err != nil {
				return err
			}
			if c.afterExpected && op.After != nil {
				value, err := op.valueAfter(c.Part)
				if err != nil {
					return err
				}
				if bytes.Equal(value, c.Expected) {
					c.Versions, c.ActorNames = nil, nil
					continue
				}
			}
			if n := len(c.Versions); !touched || n > 0 && c.Versions[n-1] == e.Version {
				continue
			}
			c.Versions = append(c.Versions[max(0, len(c.Versions)+1-maxSince):], e.Version)
			if !slices.Contains(c.ActorNames, e.ActorName) && len(c.ActorNames) < maxSince {
				c.ActorNames = append(c.ActorNames, e.ActorName)
			}
		}
	}
	return nil
}

// touches reports whether an operation changed a part of its element. What comes or goes is touched in all its parts.
func (op Operation) touches(name string) (bool, error) {
	if name == wholeElement || op.Before == nil || op.After == nil {
		return true, nil
	}
	switch op.Kind {
	case NodeUpdated:
		return touches(op, nodeParts, name)
	case EdgeUpdated:
		return touches(op, edgeParts, name)
	case PlanUpdated:
		return touches(op, recordParts, name)
	case NodeAdded, NodeRemoved, EdgeAdded, EdgeRemoved, ExecutionChanged, CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
	}
	return true, nil
}

func touches[T any](op Operation, parts []part[T], name string) (bool, error) {
	var before, after T
	if err := decodeBoth(op, &before, &after); err != nil {
		return false, err
	}
	return slices.ContainsFunc(parts, func(p part[T]) bool { return p.name == name && !p.same(before, after) }), nil
}

// valueAfter returns the value of a part that an operation left.
func (op Operation) valueAfter(name string) (json.RawMessage, error) {
	switch op.Kind {
	case NodeAdded, NodeUpdated:
		return valueAfter(op, nodeParts, name)
	case EdgeAdded, EdgeUpdated:
		return valueAfter(op, edgeParts, name)
	case PlanUpdated:
		return valueAfter(op, recordParts, name)
	case NodeRemoved, EdgeRemoved, ExecutionChanged, CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
	}
	return nil, nil
}

func valueAfter[T any](op Operation, parts []part[T], name string) (json.RawMessage, error) {
	var after T
	if err := json.Unmarshal(op.After, &after); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.name == name {
			return encode(p.value(after)), nil
		}
	}
	return nil, nil
}

// quoted puts an id into a sentence.
func quoted(name, id string) string { return name + " " + strconv.Quote(id) }
