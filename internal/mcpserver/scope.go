package mcpserver

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/fault"
)

// toolset is a group of tools that a client can ask for.
type toolset string

const (
	projectTools toolset = "projects"
	planTools    toolset = "plans"
	dataTools    toolset = "data"
	graphTools   toolset = "graphs"
	peopleTools  toolset = "people"
)

var toolsets = []toolset{projectTools, planTools, dataTools, graphTools, peopleTools}

// scope is what a client may do: everything, unless its address says less.
type scope struct {
	readOnly bool
	project  int32     // the only project that it sees; 0 for all
	toolsets []toolset // nil for all
}

// parseScope reads the query of an address. A parameter or a value that is not known is a fault, and so is what is no query, because a
// misspelt read_only must not mean that everything may be written.
func parseScope(raw string) (s scope, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil { // url.URL.Query would leave out what is wrong
		return s, fault.New(fault.BadRequest, fmt.Sprintf("The query of the address is wrong (%s): write ?name=value, with & between two",
			fault.Clip(err.Error())))
	}
	for name, values := range query {
		if len(values) != 1 {
			return s, unknownParameter(name, strings.Join(values, " "), "give it once")
		}
		value := values[0]
		switch name {
		case "read_only":
			switch value {
			case "true":
				s.readOnly = true
			case "false":
			default:
				return s, unknownParameter(name, value, "it is true or false")
			}
		case "project":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n < 1 {
				return s, unknownParameter(name, value, "it is the id of a project, a number from 1 on")
			}
			s.project = int32(n)
		case "toolsets":
			for word := range strings.SplitSeq(value, ",") {
				if !slices.Contains(toolsets, toolset(word)) {
					return s, unknownParameter(name, word, fmt.Sprintf("it is one or more of %s, with commas between", join(toolsets)))
				}
				s.toolsets = append(s.toolsets, toolset(word))
			}
			slices.Sort(s.toolsets)
			s.toolsets = slices.Compact(s.toolsets)
		default:
			return s, unknownParameter(name, value, "there are read_only, project and toolsets")
		}
	}
	return s, nil
}

// query returns the shortest query that parseScope reads as this scope.
func (s scope) query() string {
	query := url.Values{}
	if s.readOnly {
		query.Set("read_only", "true")
	}
	if s.project != 0 {
		query.Set("project", strconv.Itoa(int(s.project)))
	}
	if s.toolsets != nil {
		query.Set("toolsets", strings.Join(texts(s.toolsets), ","))
	}
	return query.Encode()
}

// within narrows the scope of a request to that of the session that it belongs to, whose query is given: who was given a narrow address
// does not get more rights by leaving out a part of it. Where nothing is left to do it is the fault Forbidden.
func (s scope) within(query string) (scope, error) {
	session, err := parseScope(query)
	if err != nil {
		return s, err
	}
	if err := session.checkProject(cmp.Or(s.project, session.project)); err != nil {
		return s, err
	}
	s.project, s.readOnly = cmp.Or(s.project, session.project), s.readOnly || session.readOnly
	switch {
	case s.toolsets == nil:
		s.toolsets = session.toolsets
	case session.toolsets != nil:
		s.toolsets = slices.DeleteFunc(slices.Clone(s.toolsets), func(t toolset) bool { return !slices.Contains(session.toolsets, t) })
		if len(s.toolsets) == 0 {
			return s, fault.New(fault.Forbidden, fmt.Sprintf("This session has only the tools of %s (toolsets in the address that it was opened "+
				"with)", join(session.toolsets)))
		}
	}
	return s, nil
}

func unknownParameter(name, value, help string) error {
	return fault.New(fault.BadRequest, fmt.Sprintf("The address has %s=%s: %s", fault.Clip(name), fault.Clip(value), help))
}

func join[T ~string](words []T) string { return strings.Join(texts(words), ", ") }

func texts[T ~string](words []T) []string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return texts
}

// shows reports whether a tool is in the list of a client.
func (s scope) shows(d definition) bool { return s.check(d) == nil }

// check returns the fault Forbidden for a tool that is not for this client.
func (s scope) check(d definition) error {
	switch {
	case s.readOnly && d.effect != reads:
		return fault.New(fault.Forbidden, "This client may only read (read_only=true in its address)")
	case s.toolsets != nil && !slices.Contains(s.toolsets, d.set):
		return fault.New(fault.Forbidden, fmt.Sprintf("This client has only the tools of %s (toolsets in its address)", join(s.toolsets)))
	case s.project != 0 && d.makesProjects:
		return s.outside()
	}
	return nil
}

// checkProject returns the fault Forbidden for a project that is not this client's.
func (s scope) checkProject(project int32) error {
	if s.project != 0 && project != s.project {
		return s.outside()
	}
	return nil
}

// outside is the fault for what is not of the only project of a client.
func (s scope) outside() *fault.Error {
	return fault.New(fault.Forbidden, fmt.Sprintf("This client is only for project %d (project in its address)", s.project))
}
