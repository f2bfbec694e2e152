package planfile

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// shaper makes the nodes of a plan what the fields of its types want before they are decoded. YAML reads 1.10 as a number and the
// decoder would print it as "1.1" where a text is wanted, and cut off the fraction of 1.5 where a whole number is.
type shaper struct {
	targets map[*ast.AliasNode]ast.Node // what aliases stand for
	done    map[shaped]bool             // so that many aliases of one node cost no more than one
}

type shaped struct {
	node ast.Node
	want reflect.Type
}

func newShaper(root ast.Node) *shaper {
	s := &shaper{targets: make(map[*ast.AliasNode]ast.Node), done: make(map[shaped]bool)}
	ast.Walk(&anchors{s.targets, make(map[string]ast.Node)}, root)
	return s
}

// anchors finds what aliases stand for: the anchor of that name which comes last before them.
type anchors struct {
	targets map[*ast.AliasNode]ast.Node
	named   map[string]ast.Node
}

// Visit is called for every node in the order of the file.
func (a *anchors) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.AnchorNode:
		a.named[n.Name.GetToken().Value] = n.Value
	case *ast.AliasNode:
		a.targets[n] = a.named[n.Value.GetToken().Value]
	}
	return a
}

// shape returns what is to stand in the place of the node of this key. The types of plans are not recursive, so that it ends.
func (s *shaper) shape(node ast.Node, want reflect.Type, key string) (ast.Node, error) {
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	var err error
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return node, nil
	case *ast.AnchorNode:
		n.Value, err = s.shape(n.Value, want, key)
		return n, err
	case *ast.TagNode:
		n.Value, err = s.shape(n.Value, want, key)
		if want.Kind() == reflect.Int {
			return n.Value, err // the decoder does not decode what has the tag !!int
		}
		return n, err
	case *ast.AliasNode:
		value, err := s.shape(s.targets[n], want, key)
		if _, isScalar := value.(ast.ScalarNode); isScalar && err == nil {
			return value, nil // in the anchor's place it may be wanted as something else
		}
		return n, err
	case ast.MapNode:
		if s.begin(node, want) {
			err = s.shapeMap(n, want)
		}
		return node, err
	case *ast.SequenceNode:
		if s.begin(node, want) {
			err = s.shapeList(n, want, key)
		}
		return n, err
	case ast.ScalarNode:
		return shapeScalar(n, want, key)
	}
	return node, nil
}

func (s *shaper) begin(node ast.Node, want reflect.Type) bool {
	if s.done[shaped{node, want}] {
		return false
	}
	s.done[shaped{node, want}] = true
	return true
}

func (s *shaper) shapeList(list *ast.SequenceNode, want reflect.Type, key string) (err error) {
	if want.Kind() == reflect.Slice {
		want = want.Elem()
	} // else it is a list of mappings that are merged into one
	for i, value := range list.Values {
		if list.Values[i], err = s.shape(value, want, key); err != nil {
			return err
		}
	}
	return nil
}

// shapeMap also makes texts of its keys. The decoder would drop all of a mapping that has a key of another kind.
func (s *shaper) shapeMap(m ast.MapNode, want reflect.Type) (err error) {
	if want == reflect.TypeFor[Exporter]() {
		want = reflect.TypeFor[customExporter]()
	}
	for pairs := m.MapRange(); pairs.Next(); {
		pair := pairs.KeyValue()
		if k, ok := pair.Key.(*ast.MappingKeyNode); ok { // is written as "? key"
			if inner, ok := k.Value.(ast.MapKeyNode); ok {
				pair.Key = inner
			}
		}
		if pair.Key.IsMergeKey() {
			if pair.Value, err = s.shape(pair.Value, want, "<<"); err != nil {
				return err
			}
			continue
		}
		switch k := pair.Key.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
			pair.Key = text(k.(ast.ScalarNode))
		}
		key := pair.Key.GetToken().Value
		field := fieldType(want, key)
		if field == nil {
			continue
		}
		if pair.Value, err = s.shape(pair.Value, field, key); err != nil {
			return err
		}
	}
	return nil
}

// fieldType returns the type that a mapping's key wants, nil if it has none.
func fieldType(want reflect.Type, key string) reflect.Type {
	switch want.Kind() {
	case reflect.Map:
		return want.Elem()
	case reflect.Struct:
		for f := range want.Fields() {
			if f.Tag.Get("yaml") == key {
				return f.Type
			}
		}
	}
	return nil
}

func shapeScalar(n ast.ScalarNode, want reflect.Type, key string) (ast.Node, error) {
	value := text(n)
	refuse := func(what string) error {
		at := n.GetToken().Position
		return fmt.Errorf("[%d:%d] %s is %.100q; it must be %s", at.Line, at.Column, key, value.Value, what)
	}
	switch want.Kind() {
	case reflect.String:
		return value, nil
	case reflect.Struct:
		if want == reflect.TypeFor[Exporter]() {
			return value, nil
		}
	case reflect.Int:
		whole, ok := wholeNumber(n)
		if !ok {
			return nil, refuse(fmt.Sprintf("a whole number from 0 to %d", math.MaxInt32))
		}
		return &ast.IntegerNode{BaseNode: &ast.BaseNode{}, Token: n.GetToken(), Value: whole}, nil
	case reflect.Bool:
		if n.Type() != ast.BoolType {
			return nil, refuse("true or false")
		}
	case reflect.Float64:
		if f, ok := number(n); !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, refuse("a number")
		}
	}
	return n, nil
}

// text returns the scalar as the text that the file has. A null is none, but as a key it is one.
func text(n ast.ScalarNode) *ast.StringNode {
	switch n := n.(type) {
	case *ast.StringNode:
		return n
	case *ast.LiteralNode:
		return n.Value
	}
	return &ast.StringNode{BaseNode: &ast.BaseNode{}, Token: n.GetToken(), Value: n.GetToken().Value}
}

func wholeNumber(n ast.ScalarNode) (int64, bool) {
	f, ok := number(n)
	return int64(f), ok && f == math.Trunc(f) && f >= 0 && f <= math.MaxInt32
}

func number(n ast.ScalarNode) (float64, bool) {
	switch v := n.GetValue().(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case string: // also 1e3, which the parser takes for one
		f, err := strconv.ParseFloat(text(n).Value, 64)
		return f, err == nil
	}
	return 0, false
}
