package mcpserver

import (
	"context"
	"slices"

	"layercake/internal/plan"
)

type describeNodeTypes struct {
	NodeType nodeType `json:"node_type,omitempty" jsonschema:"one, with the schema of its config and an example"`
}

type nodeTypes struct {
	NodeTypes []nodeTypeInfo `json:"node_types"`
}

type nodeTypeInfo struct {
	Type         string   `json:"type"`
	Does         string   `json:"does"`
	Inputs       string   `json:"inputs"`
	Outputs      string   `json:"outputs"`
	LeadsTo      []string `json:"leads_to"`
	ConfigSchema object   `json:"config_schema,omitempty"`
	Example      object   `json:"example,omitempty"`
}

func (h *Handler) describeNodeTypes(_ context.Context, _ call, in describeNodeTypes) (nodeTypes, error) {
	out := nodeTypes{NodeTypes: []nodeTypeInfo{}}
	for _, t := range plan.NodeTypes() {
		if in.NodeType != "" && string(t.NodeType) != string(in.NodeType) {
			continue
		}
		info := nodeTypeInfo{Type: string(t.NodeType), Does: t.Does, Inputs: t.Inputs(), Outputs: t.Outputs(), LeadsTo: []string{}}
		for _, to := range t.LeadsTo {
			info.LeadsTo = append(info.LeadsTo, string(to))
		}
		if in.NodeType != "" {
			info.ConfigSchema, info.Example = object(t.ConfigSchema), object(t.Example)
		}
		out.NodeTypes = append(out.NodeTypes, info)
	}
	return out, nil
}

// nodeTypeNames are the types that there are.
func nodeTypeNames() []string {
	names := []string{}
	for _, t := range plan.NodeTypes() {
		names = append(names, string(t.NodeType))
	}
	return slices.Clip(names)
}
