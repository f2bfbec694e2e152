package executor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"
)

// ingredients are all that a graph is built from. Their hash is its recipe, and a difference says why a graph is stale. Their JSON is
// stored beside the recipe.
type ingredients struct {
	Version  string        `json:"version"`  // of the engine
	Kind     plan.NodeType `json:"kind"`     // of the node
	Settings string        `json:"settings"` // hash of the settings that matter
	Inputs   []ingredient  `json:"inputs"`   // in the order of their edges
}

// ingredient is one input. Only its hash matters to the recipe; the rest is for people.
type ingredient struct {
	Node     string `json:"node"`
	Label    string `json:"label"`
	Hash     string `json:"hash"`               // of the output; "" while there is none
	Source   int32  `json:"source,omitempty"`   // id of a data source; 0 for a graph
	Filename string `json:"filename,omitempty"` // of a data source
}

// recipe returns the hash of the ingredients, or "" while an input has no output.
func (i ingredients) recipe() string {
	parts := []string{i.Version, string(i.Kind), i.Settings}
	for _, in := range i.Inputs {
		if in.Hash == "" {
			return ""
		}
		parts = append(parts, in.Hash)
	}
	return layered.HashParts(parts...)
}

// json is how ingredients are stored.
func (i ingredients) json() json.RawMessage {
	text, _ := json.Marshal(i) // it has nothing but texts
	return text
}

// changes says in sentences for people what is different since a graph was built.
func (i ingredients) changes(since ingredients) []string {
	var found []string
	note := func(differs bool, sentence string) {
		if differs && !slices.Contains(found, sentence) {
			found = append(found, sentence)
		}
	}
	note(i.Version != since.Version, "the engine was updated")
	note(i.Kind != since.Kind, "its type changed")
	note(i.Kind == since.Kind && i.Settings != since.Settings, "its settings changed")
	former := make(map[string]ingredient, len(since.Inputs))
	for _, in := range since.Inputs {
		former[in.Node] = in
	}
	var order []string // nodes that were inputs and still are, in their order now
	for _, in := range i.Inputs {
		before, ok := former[in.Node]
		if !ok {
			note(true, "an input was added")
			continue
		}
		delete(former, in.Node)
		order = append(order, in.Node)
		note(in.Hash != before.Hash, in.change(before))
	}
	note(len(former) > 0, "an input was removed")
	since.Inputs = slices.DeleteFunc(slices.Clone(since.Inputs), func(in ingredient) bool { return !slices.Contains(order, in.Node) })
	for at, in := range since.Inputs {
		note(in.Node != order[at], "the order of its inputs changed")
	}
	return found
}

// change says what happened to an input whose hash is another one than before.
func (in ingredient) change(before ingredient) string {
	name := in.Label
	switch {
	case in.Filename != "":
		name = in.Filename
	case name == "":
		name = in.Node
	}
	switch {
	case in.Hash == "":
		return name + " is not there any more"
	case in.Source != before.Source:
		return fmt.Sprintf("%s reads another data source, %s", in.Label, name)
	case in.Source != 0:
		return name + " was replaced"
	}
	return name + " was rebuilt"
}

// mergeSettings are what matters of the configuration of a MergeNode.
type mergeSettings struct {
	Strategy   layered.Strategy   `json:"mergeStrategy"`
	Resolution layered.Resolution `json:"conflictResolution"`
}

func parseMerge(config string) (mergeSettings, error) {
	s := mergeSettings{}
	if err := fault.DecodeJSON([]byte(cmp.Or(config, "{}")), &s); err != nil {
		return s, fault.New(fault.BadRequest, "The configuration of the merge is not readable: "+fault.JSONReason(err))
	}
	if s.Strategy == "" {
		s.Strategy = layered.Union
	}
	if s.Resolution == "" {
		s.Resolution = layered.PreferLast
	}
	return s, nil
}

// copyTypes are the types of copies. A graph is never changed in place, so that all of them are the same.
var copyTypes = []string{"DeepCopy", "ShallowCopy", "Reference"}

// checkCopy refuses what the configuration of a CopyNode cannot have. None of its settings matters to what it builds.
func checkCopy(config string) error {
	var s struct {
		Type string `json:"copyType"`
		Keep *bool  `json:"preserveMetadata"`
	}
	if err := fault.DecodeJSON([]byte(cmp.Or(config, "{}")), &s); err != nil {
		return fault.New(fault.BadRequest, "The configuration of the copy is not readable: "+fault.JSONReason(err))
	}
	if s.Type != "" && !slices.Contains(copyTypes, s.Type) {
		return fault.New(fault.BadRequest, fmt.Sprintf("The copy has the unknown copyType %q; known are %s", fault.Clip(s.Type),
			strings.Join(copyTypes, ", ")))
	}
	return nil
}

// noSettings is the hash for those kinds that have none.
var noSettings = layered.HashParts("settings", "null")

// hashSettings returns the hash of the settings that matter to what a node of a kind builds. Labels, positions, and what only clients read
// never do. A configuration that cannot be read is hashed as it is, and err says why: building it fails, and another one is another
// attempt.
func hashSettings(kind plan.NodeType, config string) (hash string, err error) {
	var settings any
	switch kind {
	case plan.GraphNode:
		return noSettings, nil
	case plan.MergeNode:
		settings, err = parseMerge(config)
	case plan.TransformNode:
		settings, err = layered.ParseTransforms([]byte(config))
	case plan.CopyNode:
		if err = checkCopy(config); err == nil {
			return noSettings, nil
		}
	}
	if err != nil {
		return layered.HashParts("unreadable", config), err
	}
	canonical, err := json.Marshal(settings)
	if err != nil {
		return layered.HashParts("unreadable", config), err
	}
	return layered.HashParts("settings", string(canonical)), nil
}

// sourceOf returns the id of the data source that the configuration of a DataSourceNode names, or 0.
func sourceOf(config string) int32 {
	var c struct {
		ID json.Number `json:"dataSourceId"`
	}
	if json.Unmarshal([]byte(config), &c) != nil {
		return 0
	}
	id, err := c.ID.Int64()
	if err != nil || id <= 0 || id > 1<<31-1 {
		return 0
	}
	return int32(id)
}

// builds reports whether nodes of a kind have a graph.
func builds(kind plan.NodeType) bool {
	switch kind {
	case plan.GraphNode, plan.MergeNode, plan.TransformNode, plan.CopyNode:
		return true
	}
	return false
}

// sentence joins the reasons why a graph is stale.
func sentence(because []string) string { return strings.Join(because, "; ") }
