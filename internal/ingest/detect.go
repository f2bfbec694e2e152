package ingest

import (
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
)

// Detect returns the format of a file by its name and what it holds: by the header of a table, or the keys of a JSON value, and
// when these do not tell, by the name. It reads no more of r than it needs. What it says may still be refused by Allowed, and
// the file by Read. An unknown extension is a BAD_REQUEST; an error of r comes back wrapped.
func Detect(r io.Reader, filename string) (Format, Kind, error) {
	f, err := FormatOf(filename)
	if err != nil {
		return "", "", err
	}
	var k Kind
	if f == JSON {
		k, err = detectJSON(r)
	} else {
		k, err = detectTable(r, f)
	}
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		return "", "", err
	}
	if k == "" { // also of a file that cannot be read: Read will say why
		k = kindByName(filename, f)
	}
	return f, k, nil
}

func detectTable(r io.Reader, f Format) (Kind, error) {
	header, err := newRows(newText(r), f, DefaultLimits().Row).next()
	if errors.Is(err, io.EOF) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return kindByColumns(header), nil
}

// kindByColumns distinguishes layers from nodes that have a colour by the columns that only nodes have.
func kindByColumns(names []string) Kind {
	in := newInterner()
	nodes, edges := columnsOf(fieldsOf(Nodes), names, in), columnsOf(fieldsOf(Edges), names, in)
	layers := columnsOf(fieldsOf(Layers), names, in)
	onlyNodes := has(nodes, fieldPartition) || has(nodes, fieldParent) || has(nodes, fieldID) && has(nodes, fieldLayer)
	switch {
	case has(edges, fieldID) && has(edges, fieldSource) && has(edges, fieldTarget):
		return Edges
	case has(layers, fieldID) && has(layers, fieldLabel) && has(layers, fieldBackground) && !onlyNodes:
		return Layers
	case has(nodes, fieldID):
		return Nodes
	}
	return ""
}

func detectJSON(r io.Reader) (Kind, error) {
	bounded := &boundedReader{r: newText(r), most: DefaultLimits().Row}
	bounded.reset()
	d := json.NewDecoder(bounded)
	d.UseNumber() // numbers beyond float64 are fine
	t, err := d.Token()
	if err != nil {
		return "", jsonError(err)
	}
	switch t {
	case json.Delim('['):
		bounded.reset()
		return detectElements(d)
	case json.Delim('{'):
	default:
		return "", nil
	}
	found := make(map[Kind]bool)
	for d.More() && !(found[Nodes] && found[Edges]) {
		name, err := d.Token()
		if err != nil {
			return "", jsonError(err)
		}
		found[Kind(name.(string))] = true
		if err := skip(d, bounded); err != nil {
			return "", jsonError(err)
		}
	}
	if found[Nodes] && found[Edges] {
		return Graph, nil
	}
	for _, k := range []Kind{Nodes, Edges, Layers} {
		if found[k] {
			return k, nil
		}
	}
	return "", nil
}

// detectElements looks at the first element of an array.
func detectElements(d *json.Decoder) (Kind, error) {
	if !d.More() {
		return "", nil
	}
	var element map[string]json.RawMessage
	if err := d.Decode(&element); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return "", nil
		}
		return "", jsonError(err)
	}
	has := make(map[string]bool)
	for name := range element {
		has[strings.ToLower(name)] = true
	}
	switch {
	case has["source"] && has["target"]:
		return Edges, nil
	case (has["name"] || has["label"]) && (has["color"] || has["colour"]):
		return Layers, nil
	case has["id"]:
		return Nodes, nil
	}
	return "", nil
}

func kindByName(filename string, f Format) Kind {
	name := strings.ToLower(path.Base(filename))
	switch {
	case strings.Contains(name, "node"):
		return Nodes
	case strings.Contains(name, "edge"):
		return Edges
	case strings.Contains(name, "layer"):
		return Layers
	case f == JSON:
		return Graph
	}
	return Nodes
}
