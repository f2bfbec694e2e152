package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"layercake/internal/fault"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// PatchNode changes what is given of a node and leaves the rest as it is: two who set different keys of its config both succeed.
type PatchNode struct {
	ID          string
	Position    *Position
	Label       *string
	Description *string         // "" takes it away
	ConfigPatch json.RawMessage // a JSON Merge Patch (RFC 7396); nil for none
}

func (e PatchNode) reads(r *reads) {
	r.nodes[e.ID] = true
	r.source(e.ConfigPatch)
}

func (e PatchNode) apply(d *draft) error {
	stored := d.nodes.get(e.ID)
	if stored == nil {
		return errNodeNotFound.With("detail", e.ID)
	}
	n := *stored
	if e.Position != nil {
		n.Position = *e.Position
	}
	if e.Label != nil {
		n.Metadata.Label = *e.Label
	}
	if e.Description != nil {
		n.Metadata.Description = noneIfEmpty(e.Description)
	}
	if e.ConfigPatch != nil {
		merged, err := mergeConfig(n.Config, e.ConfigPatch)
		if err != nil {
			return err
		}
		n.Config = merged
	}
	d.named = append(d.named, e.ID)
	return d.setNode(n)
}

// mergeConfig applies a merge patch to a config, which keeps its text when nothing in it changes.
func mergeConfig(config string, patch json.RawMessage) (string, error) {
	if fault.TooDeep(patch, maxConfigDepth) >= 0 {
		return "", fault.New(fault.BadRequest, "Node config is nested too deeply").With("detail", map[string]any{"limit": maxConfigDepth})
	}
	if err := checkConfig(string(patch)); err != nil {
		return "", err
	}
	merged, changed, err := mergePatch(json.RawMessage(config), patch)
	if err != nil {
		return "", fmt.Errorf("merge a config: %w", err)
	}
	if !changed {
		return config, nil
	}
	return string(merged), nil
}

// mergePatch is the function of RFC 7396, section 2. Changed says whether the value is another one. That of json-patch puts new members in
// the order of a map, which differs each time, and takes nulls out of lists, too.
func mergePatch(value, patch json.RawMessage) (merged json.RawMessage, changed bool, err error) {
	var members, changes map[string]json.RawMessage
	if json.Unmarshal(patch, &changes) != nil || changes == nil { // not an object
		return patch, value == nil || !jsonpatch.Equal(value, patch), nil
	}
	if json.Unmarshal(value, &members) != nil || members == nil {
		members, changed = map[string]json.RawMessage{}, true
	}
	for name, change := range changes {
		stored, there := members[name]
		if string(change) == "null" {
			delete(members, name)
			changed = changed || there
			continue
		}
		part, differs, err := mergePatch(stored, change)
		if err != nil {
			return nil, false, err
		}
		if differs || !there {
			members[name], changed = part, true
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(members)
	return bytes.TrimSpace(text.Bytes()), changed, err
}

// PatchPlan changes what is given of the plan's record, and leaves the rest as it is.
type PatchPlan struct {
	Name         *string
	YAMLContent  *string
	Dependencies []int32 // nil for unchanged
}

func (e PatchPlan) reads(r *reads) { r.plan = true }

func (e PatchPlan) apply(d *draft) error {
	p := *d.plan
	if e.Name != nil {
		p.Name = strings.TrimSpace(*e.Name)
	}
	if e.YAMLContent != nil {
		p.YAMLContent = *e.YAMLContent
	}
	if e.Dependencies != nil {
		p.Dependencies = e.Dependencies
	}
	return d.setPlan(p)
}

// EdgeRef names an edge by its id or by its two ends: no other edge connects them. With all three the ends must be those of the edge.
type EdgeRef struct{ ID, Source, Target string }

func (e EdgeRef) reads(r *reads) {
	if e.ID != "" {
		r.edges[e.ID] = true
		return
	}
	r.edgesOf[e.Source] = true
}

// find returns the id of the edge, or the fault NotFound.
func (e EdgeRef) find(d *draft) (string, error) {
	if e.ID == "" {
		for id, target := range d.links.out[e.Source] {
			if target == e.Target {
				return id, nil
			}
		}
		return "", errEdgeNotFound.With("detail", map[string]any{"source": e.Source, "target": e.Target})
	}
	edge := d.edges.get(e.ID)
	switch {
	case edge == nil:
		return "", errEdgeNotFound.With("detail", e.ID)
	case e.Source != "" && e.Source != edge.Source, e.Target != "" && e.Target != edge.Target:
		return "", fault.New(fault.BadRequest, "The edge has other ends, which cannot be changed: delete it and add another one").
			With("detail", map[string]any{"id": e.ID, "source": edge.Source, "target": edge.Target})
	}
	return e.ID, nil
}

// PatchEdge changes what is given of an edge.
type PatchEdge struct {
	EdgeRef

	Label    *string  // "" takes it away
	DataType DataType // "" for unchanged
}

func (e PatchEdge) apply(d *draft) error {
	id, err := e.find(d)
	if err != nil {
		return err
	}
	edge := *d.edges.get(id)
	if e.Label != nil {
		edge.Metadata.Label = noneIfEmpty(e.Label)
	}
	if e.DataType != "" {
		edge.Metadata.DataType = e.DataType
	}
	d.namedEdges = append(d.namedEdges, id)
	return d.setEdge(edge)
}

// RemoveEdge removes an edge.
type RemoveEdge struct{ EdgeRef }

func (e RemoveEdge) apply(d *draft) error {
	id, err := e.find(d)
	if err != nil {
		return err
	}
	d.removeEdge(id)
	return nil
}

// connect adds an edge. Without a data type it has the one that clients give to edges from its source.
type connect struct{ edge Edge }

func (e connect) reads(r *reads) { AddEdge{e.edge}.reads(r) }

func (e connect) apply(d *draft) error {
	if e.edge.Metadata.DataType == "" {
		e.edge.Metadata.DataType = GraphData
		if source := d.nodes.get(e.edge.Source); source != nil && source.NodeType == GraphNode {
			e.edge.Metadata.DataType = GraphReference
		}
	}
	return AddEdge{e.edge}.apply(d)
}
