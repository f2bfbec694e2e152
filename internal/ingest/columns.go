package ingest

import (
	"slices"
	"strconv"
	"strings"
)

// field is what a column or key means.
type field int

const (
	other field = iota // kept under its own name
	fieldID
	fieldSource
	fieldTarget
	fieldLabel
	fieldLayer
	fieldPartition
	fieldParent
	fieldWeight
	fieldComment
	fieldX
	fieldY
	fieldBackground
	fieldBorder
	fieldText
)

// key is what a field is called in elements as NodeJSON writes them; "" is under its own name.
func (f field) key() string {
	return [...]string{
		fieldID: "id", fieldSource: "source", fieldTarget: "target", fieldLabel: "label", fieldLayer: "layer", fieldPartition: "is_partition",
		fieldParent: "belongs_to", fieldWeight: "weight", fieldComment: "comment", fieldBackground: "background_color",
		fieldBorder: "border_color", fieldText: "text_color",
	}[f]
}

// fieldsOf returns the names that each kind gives to its fields. Names are compared as normal spells them.
func fieldsOf(k Kind) map[string]field {
	switch k {
	case Nodes:
		return map[string]field{
			"id": fieldID, "label": fieldLabel, "name": fieldLabel, "layer": fieldLayer, "weight": fieldWeight,
			"is_partition": fieldPartition, "ispartition": fieldPartition,
			"belongs_to": fieldParent, "belongsto": fieldParent,
			"comment": fieldComment, "x": fieldX, "y": fieldY,
		}
	case Edges:
		return map[string]field{
			"id": fieldID, "source": fieldSource, "target": fieldTarget, "label": fieldLabel, "layer": fieldLayer,
			"weight": fieldWeight, "comment": fieldComment,
		}
	}
	layers := map[string]field{
		"id": fieldID, "layer": fieldID, "label": fieldLabel, "name": fieldLabel,
		"color": fieldBackground, "colour": fieldBackground,
	}
	for name, f := range map[string]field{"background": fieldBackground, "border": fieldBorder, "text": fieldText} {
		for _, spelling := range []string{"", "_color", "_colour", "color", "colour"} {
			layers[name+spelling] = f
		}
	}
	return layers
}

// separators are what normal writes as "_".
var separators = strings.NewReplacer(" ", "_", "-", "_")

// normal spells a header the way fieldsOf does: lower case, without blanks around it, "_" for blanks and dashes within.
func normal(name string) string {
	return separators.Replace(strings.ToLower(strings.TrimSpace(name)))
}

// column is a column of a table, or a key of the elements of a JSON array.
type column struct {
	field field
	name  string // as in the file, without blanks around it
}

// columnsOf reads a header, given the names that fieldsOf returns. A column called "name" is the label only if none is called
// "label". A column without a name keeps its values under its number, such as "column_6".
func columnsOf(fields map[string]field, header []string, in *interner) []column {
	columns := make([]column, len(header))
	label, name := none, none
	for i, h := range header {
		n := normal(h)
		columns[i] = column{field: fields[n], name: in.reference(strings.TrimSpace(h))}
		switch n {
		case "":
			columns[i].name = "column_" + strconv.Itoa(i+1)
		case "label":
			label = i
		case "name":
			name = i
		}
	}
	if label != none && name != none {
		columns[name].field = other
	}
	return columns
}

const none = -1

// checkHeader refuses two columns with the same name, in any case, or with two names of the same field: only one of them could be
// kept. The layers of a JSON graph may have both "color" and "background_color", as published, so that its keys are not checked.
func checkHeader(columns []column) error {
	names, fields := make(map[string]string), make(map[field]string)
	for _, c := range columns {
		key := strings.ToLower(c.name)
		if first, ok := names[key]; ok {
			return equalColumns(first, c.name)
		}
		names[key] = c.name
		if c.field == other {
			continue
		}
		if first, ok := fields[c.field]; ok {
			return equalColumns(first, c.name)
		}
		fields[c.field] = c.name
	}
	return nil
}

func equalColumns(first, second string) error {
	if strings.EqualFold(first, second) {
		return refuse("The table has two columns called %.100q; rename or remove one", second)
	}
	return refuse("The table has the columns %.100q and %.100q, which mean the same; rename or remove one", first, second)
}

func has(columns []column, f field) bool {
	return slices.ContainsFunc(columns, func(c column) bool { return c.field == f })
}
