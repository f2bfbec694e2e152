package layered_test

import (
	"encoding/json"
	"testing"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

const fuzzSketch = `
	L app Application
	P r / infra Root
	N a < r / app w3 Alpha one
	N b < r w1 beta
	N c < a / infra w2
	E e1 a b w2 calls
	E e2 b c`

// FuzzFilter reads anything as the configuration of a filter: one that is accepted is JSON, can be applied, and adds nothing.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`{"query":{}}`, `{"query":{"targets":["nodes","edges","layers"],"mode":"exclude","ruleGroup":{"combinator":"or","rules":[{"field":"id","operator":"in",` +
			`"value":"a,b"},{"type":"group","rules":[{"field":"weight","operator":"between","value":"1,2"}]}]}}}`,
		`{"query":null}`, `null`, ``, `{"query":{"ruleGroup":{"rules":[{"field":"x","operator":"<","value":"NaN"}]}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		filter, err := layered.ParseFilter(config)
		if err != nil {
			if fault.From(err) == nil {
				t.Errorf("%q: %v", config, err)
			}
			return
		}
		g := sketch(t, fuzzSketch)
		out, _, err := filter.Apply(t.Context(), g)
		if err != nil || !json.Valid(config) || len(out.Nodes) > len(g.Nodes) || len(out.Edges) > len(g.Edges) || len(out.Layers) > len(g.Layers) {
			t.Errorf("%q makes %d nodes of %d, %v", config, len(out.Nodes), len(g.Nodes), err)
		}
	})
}

// FuzzTransforms reads anything as the configuration of a transform: one that is accepted is JSON, and either works or says what it lacks.
func FuzzTransforms(f *testing.F) {
	for _, s := range []string{
		`{"transforms":[{"kind":"PartitionDepthLimit","params":{"max_partition_depth":1}},{"kind":"InvertGraph"}]}`, `{"transforms":[]}`, ``, `null`,
		`{"transforms":[{"kind":"NodeLabelMaxLength","params":{"nodeLabelMaxLength":-1,"node_label_max_length":3}}]}`, `{"graphConfig":{}}`,
		`{"transformType":"PartitionDepthLimit","transformConfig":{"maxPartitionDepth":2,"generateHierarchy":true}}`, `{"transformType":"InvertGraph"}`,
		`{"transforms":[{"kind":"AggregateLayerNodes","params":{"layer_connections_threshold":-1}},{"kind":"GenerateHierarchy","params":null}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		list, err := layered.ParseTransforms(config)
		if err == nil {
			if len(config) > 0 && !json.Valid(config) {
				t.Errorf("%q is accepted", config)
			}
			_, _, err = layered.ApplyAll(t.Context(), sketch(t, fuzzSketch), list)
		}
		if err != nil && fault.From(err) == nil {
			t.Errorf("%q: %v", config, err)
		}
	})
}
