-- name: GetGraph :one
SELECT id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at
FROM graphs WHERE id = @id;

-- name: GetGraphOfNode :one
SELECT id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at
FROM graphs WHERE project_id = @project_id AND node_id = @node_id;

-- name: ListGraphs :many
SELECT id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at
FROM graphs WHERE project_id = ANY (@project_ids::int[]) ORDER BY id;

-- name: ListGraphsByID :many
SELECT id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at
FROM graphs WHERE id = ANY (@ids::int[]);

-- name: RenameGraph :one
UPDATE graphs SET name = @name, updated_at = now() WHERE id = @id AND project_id = @project_id
RETURNING id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at;

-- The graph of a node that was just added. The rows of plan_nodes that are deleted meanwhile have none: then nothing is written.
-- name: InsertGraph :exec
INSERT INTO graphs (project_id, node_id, name)
SELECT n.project_id, n.id, @name FROM plan_nodes n WHERE n.project_id = @project_id AND n.id = @node_id FOR KEY SHARE
ON CONFLICT (project_id, node_id) DO NOTHING;

-- name: FinishGraph :one
UPDATE graphs
SET state = 'completed', content_id = @content_id::bigint, content_hash = @content_hash::text, recipe = @recipe::text, ingredients = @ingredients,
    node_count = @node_count, edge_count = @edge_count, error_message = NULL, metadata = @metadata, computed_at = now(), updated_at = now()
WHERE id = @id
RETURNING id, project_id, node_id, name, state, content_id, content_hash, recipe, ingredients, requested, node_count, edge_count, error_message,
    metadata, computed_at, created_at, updated_at;

-- name: ListLayers :many
SELECT id, graph_id, layer_id, name, color, properties FROM layers WHERE graph_id = ANY (@graph_ids::int[]) ORDER BY graph_id, ordinal;

-- name: DeleteOtherLayers :exec
DELETE FROM layers WHERE graph_id = @graph_id AND layer_id <> ALL (@layer_ids::text[]);

-- name: UpsertLayers :exec
INSERT INTO layers (graph_id, ordinal, layer_id, name, properties)
SELECT @graph_id::int, v.ordinal, v.layer_id, v.name, nullif(v.properties, '')::json
FROM (SELECT unnest(@ordinals::int[]) AS ordinal, unnest(@layer_ids::text[]) AS layer_id, unnest(@names::text[]) AS name,
    unnest(@properties::text[]) AS properties) v
ON CONFLICT (graph_id, layer_id) DO UPDATE SET ordinal = excluded.ordinal, name = excluded.name, properties = excluded.properties;
