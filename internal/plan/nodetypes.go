package plan

import (
	"encoding/json"
	"fmt"
	"slices"
)

// NodeTypeInfo says what somebody needs to know who adds a node of a type.
type NodeTypeInfo struct {
	NodeType     NodeType
	Does         string          // one sentence
	MinInputs    int             // edges that have to enter it before it works
	MaxInputs    *int            // edges that may enter it; nil for any number
	MaxOutputs   *int            // edges that may leave it; nil for any number
	LeadsTo      []NodeType      // types that its edges may lead to
	ConfigSchema json.RawMessage // JSON Schema of its config; other members are stored, too
	Example      json.RawMessage // a config
}

// NodeTypes returns what there is to know of each node type, sources first. Callers may keep and change it.
func NodeTypes() []NodeTypeInfo {
	infos := slices.Clone(nodeTypes)
	for i := range infos {
		info := &infos[i]
		info.MinInputs = minInputs(info.NodeType)
		info.MaxInputs, info.MaxOutputs = bounded(maxInputs(info.NodeType)), bounded(maxOutputs(info.NodeType))
		info.LeadsTo = slices.Clone(targets[info.NodeType])
		info.ConfigSchema, info.Example = slices.Clone(info.ConfigSchema), slices.Clone(info.Example)
	}
	return infos
}

// bounded returns how many edges may be on one side of a node, or nil for as many as a plan has.
func bounded(most int) *int {
	if most == MaxEdges {
		return nil
	}
	return &most
}

// Inputs says how many edges enter a node, in words.
func (i NodeTypeInfo) Inputs() string { return inWords(i.MinInputs, i.MaxInputs) }

// Outputs says how many edges leave a node, in words.
func (i NodeTypeInfo) Outputs() string { return inWords(0, i.MaxOutputs) }

func inWords(least int, most *int) string {
	switch {
	case most == nil && least == 0:
		return "any number"
	case most == nil:
		return fmt.Sprintf("at least %d", least)
	case *most == 0:
		return "none"
	case least == *most:
		return fmt.Sprintf("exactly %d", *most)
	default:
		return fmt.Sprintf("%d to %d", least, *most)
	}
}

// nodeTypes are those of targets, with what the rules do not say.
var nodeTypes = []NodeTypeInfo{
	{
		NodeType: DataSourceNode,
		Does:     "Brings the nodes, edges or layers of an uploaded table or graph file into the plan.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"dataSourceId": {"type": "integer", "minimum": 0, "description": "Data source of the project; 0 while none is chosen"},
				"displayMode": {"type": "string", "enum": ["summary", "detailed", "preview"], "description": "How editors show it"},
				"filename": {"type": "string", "description": "Name of the uploaded file, for people"},
				"dataType": {"type": "string", "description": "nodes, edges, layers or graph, for people"}
			}
		}`),
		Example: json.RawMessage(`{"dataSourceId": 0, "displayMode": "summary"}`),
	},
	{
		NodeType: GraphNode,
		Does:     "Builds a graph of all its inputs and keeps it, so that people can look at it and edit it.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"isReference": {"type": "boolean", "description": "Whether it stands for a graph that is built elsewhere; false by default"},
				"metadata": {
					"type": "object",
					"description": "What editors show of the graph",
					"properties": {
						"nodeCount": {"type": "integer", "minimum": 0},
						"edgeCount": {"type": "integer", "minimum": 0},
						"lastModified": {"type": "string"}
					}
				}
			}
		}`),
		Example: json.RawMessage(`{"isReference": false}`),
	},
	{
		NodeType: TransformNode,
		Does:     "Changes the graph that enters it: limits the depth or width of its hierarchy, turns edges around, or filters.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"transformType": {
					"type": "string",
					"enum": ["PartitionDepthLimit", "InvertGraph", "FilterNodes", "FilterEdges"],
					"default": "PartitionDepthLimit",
					"description": "Former shape: one type with transformConfig; transforms, where it is there, counts alone"
				},
				"transforms": {
					"type": "array",
					"minItems": 1,
					"description": "Steps, done in this order",
					"items": {
						"type": "object",
						"properties": {
							"kind": {
								"type": "string",
								"enum": [
									"PartitionDepthLimit", "PartitionWidthLimit", "DropUnconnectedNodes", "NodeLabelMaxLength",
									"NodeLabelInsertNewlines", "EdgeLabelMaxLength", "EdgeLabelInsertNewlines", "InvertGraph", "ReverseEdges",
									"GenerateHierarchy", "AggregateLayerNodes", "AggregateEdges", "Filter"
								]
							},
							"params": {
								"type": "object",
								"description": "What the kind needs, with the same name in camelCase",
								"properties": {
									"enabled": {"type": "boolean", "default": true},
									"maxPartitionDepth": {"type": "integer", "minimum": 1},
									"maxPartitionWidth": {"type": "integer", "minimum": 1},
									"retain": {"type": "boolean", "description": "Whether PartitionWidthLimit keeps as many children as it may"},
									"excludePartitionNodes": {"type": "boolean", "default": true},
									"nodeLabelMaxLength": {"type": "integer", "minimum": 1},
									"nodeLabelInsertNewlinesAt": {"type": "integer", "minimum": 1},
									"edgeLabelMaxLength": {"type": "integer", "minimum": 1},
									"edgeLabelInsertNewlinesAt": {"type": "integer", "minimum": 1},
									"keepFlowEdges": {"type": "boolean", "description": "For GenerateHierarchy"},
									"layerConnectionsThreshold": {"type": "integer", "minimum": 1, "default": 3},
									"query": {"type": "object", "description": "For Filter: targets, mode, linkPruningMode, ruleGroup"}
								}
							}
						}
					}
				},
				"transformConfig": {
					"type": "object",
					"description": "Settings of transformType",
					"properties": {
						"maxPartitionDepth": {"type": "integer", "minimum": 1, "description": "For PartitionDepthLimit; editors offer 1 to 20"},
						"maxPartitionWidth": {"type": "integer", "minimum": 1, "description": "For PartitionDepthLimit; editors offer 1 to 100"},
						"generateHierarchy": {"type": "boolean"},
						"invertGraph": {"type": "boolean", "description": "For InvertGraph"},
						"nodeFilter": {"type": "string", "description": "For FilterNodes"},
						"edgeFilter": {"type": "string", "description": "For FilterEdges"}
					}
				}
			}
		}`),
		Example: json.RawMessage(`{"transformType": "PartitionDepthLimit", "transformConfig": {"maxPartitionDepth": 2}}`),
	},
	{
		NodeType: MergeNode,
		Does:     "Merges two or more graphs or tables into one graph.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"mergeStrategy": {"type": "string", "enum": ["Union", "Intersection", "Difference"], "default": "Union"},
				"conflictResolution": {
					"type": "string",
					"enum": ["PreferFirst", "PreferLast", "Manual"],
					"default": "PreferFirst",
					"description": "Which input wins where two say different things"
				}
			}
		}`),
		Example: json.RawMessage(`{"mergeStrategy": "Union", "conflictResolution": "PreferFirst"}`),
	},
	{
		NodeType: CopyNode,
		Does:     "Copies the graph that enters it, so that one output can go on without changing the original.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"copyType": {"type": "string", "enum": ["DeepCopy", "ShallowCopy", "Reference"], "default": "DeepCopy"},
				"preserveMetadata": {"type": "boolean", "default": true}
			}
		}`),
		Example: json.RawMessage(`{"copyType": "DeepCopy", "preserveMetadata": true}`),
	},
	{
		NodeType: OutputNode,
		Does:     "Writes the graph that enters it as a file in the format of another tool.",
		ConfigSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"renderTarget": {
					"type": "string",
					"enum": [
						"DOT", "DOTHierarchy", "GML", "JSON", "PlantUML", "PlantUmlMindmap", "PlantUmlWbs", "Mermaid", "MermaidMindmap",
						"MermaidTreemap", "CSVNodes", "CSVEdges", "CSVMatrix", "JSGraph", "Custom"
					],
					"default": "GML",
					"description": "Format; Custom needs a template and is for plan files only"
				},
				"outputPath": {"type": "string", "description": "Name of the file; by default the name of the project"},
				"renderConfig": {
					"type": "object",
					"description": "How it is drawn",
					"properties": {
						"containNodes": {"type": "boolean", "description": "Whether nodes are drawn within their parents"},
						"orientation": {"type": "string", "enum": ["LR", "TB"], "description": "From left to right, or from top to bottom"},
						"applyLayers": {"type": "boolean", "default": true},
						"builtInStyles": {"type": "string", "enum": ["none", "light", "dark"]},
						"addNodeCommentsAsNotes": {"type": "boolean"},
						"useNodeWeight": {"type": "boolean", "default": true},
						"useEdgeWeight": {"type": "boolean", "description": "Whether heavy edges are drawn wide"},
						"csvWeight": {"type": "boolean", "description": "Whether tables have a column of weights"},
						"csvGuardFormulas": {"type": "boolean", "description": "Whether spreadsheets take no text for a formula"},
						"gmlIntegerIds": {"type": "boolean"}
					}
				},
				"graphConfig": {
					"type": "object",
					"description": "How the graph is made smaller first",
					"properties": {
						"generateHierarchy": {"type": "boolean"},
						"maxPartitionDepth": {"type": "integer", "minimum": 0},
						"maxPartitionWidth": {"type": "integer", "minimum": 0},
						"invertGraph": {"type": "boolean"},
						"nodeLabelMaxLength": {"type": "integer", "minimum": 0},
						"nodeLabelInsertNewlinesAt": {"type": "integer", "minimum": 0},
						"edgeLabelMaxLength": {"type": "integer", "minimum": 0},
						"edgeLabelInsertNewlinesAt": {"type": "integer", "minimum": 0},
						"dropUnconnectedNodes": {"type": "boolean"},
						"aggregateEdges": {"type": "boolean", "description": "Whether parallel edges become one; false by default"}
					}
				}
			}
		}`),
		Example: json.RawMessage(`{"renderTarget": "DOT", "outputPath": "plan.dot", "renderConfig": {"orientation": "LR"}}`),
	},
}
