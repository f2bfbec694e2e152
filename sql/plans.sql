-- The plan is born with its project.
-- name: InsertPlan :exec
INSERT INTO plans (project_id, name) VALUES (@project_id, @name);

-- name: GetPlan :one
SELECT id, project_id, name, yaml_content, dependencies, status, created_at, updated_at FROM plans WHERE id = @id;

-- name: ListPlansByProject :many
SELECT id, project_id, name, yaml_content, dependencies, status, created_at, updated_at
FROM plans WHERE project_id = ANY (@project_ids::int[]);

-- name: GetPlanOfProject :one
SELECT id, project_id, name, yaml_content, dependencies, status, created_at, updated_at
FROM plans WHERE project_id = @project_id;

-- name: UpdatePlan :exec
UPDATE plans
SET name = @name, yaml_content = @yaml_content, dependencies = sqlc.narg(dependencies), status = @status, updated_at = @updated_at
WHERE project_id = @project_id;

-- The first statement of every change: its row lock makes versions gap-free and in commit order. The clock of a project never
-- runs backwards, although a transaction may have begun before the one that it waited for.
-- name: StepHead :one
UPDATE heads SET version = version + 1, changed_at = greatest(changed_at, now()) WHERE project_id = @project_id
RETURNING version, changed_at;

-- name: GetHead :one
SELECT version, changed_at FROM heads WHERE project_id = @project_id;

-- What an added element needs to know of the whole: index-only counts and the end of an index.
-- name: GetPlanSize :one
SELECT
    (SELECT count(*) FROM plan_nodes n WHERE n.project_id = @project_id)::int AS nodes,
    (SELECT count(*) FROM plan_edges e WHERE e.project_id = @project_id)::int AS edges,
    (SELECT coalesce(max(n.ordinal), -1) FROM plan_nodes n WHERE n.project_id = @project_id)::bigint AS last_node,
    (SELECT coalesce(max(e.ordinal), -1) FROM plan_edges e WHERE e.project_id = @project_id)::bigint AS last_edge;

-- name: ListPlanNodes :many
SELECT id, node_type, position_x, position_y, source_position, target_position, label, description, config, created_at, updated_at
FROM plan_nodes WHERE project_id = @project_id ORDER BY ordinal;

-- name: ListPlanEdges :many
SELECT id, source, target, source_handle, target_handle, label, data_type, created_at, updated_at
FROM plan_edges WHERE project_id = @project_id ORDER BY ordinal;

-- The nodes that a change touches, each with its array index.
-- name: ListPlanNodesByID :many
SELECT n.id, n.node_type, n.position_x, n.position_y, n.source_position, n.target_position, n.label, n.description, n.config,
    n.created_at, n.updated_at,
    (SELECT count(*) FROM plan_nodes b WHERE b.project_id = n.project_id AND b.ordinal < n.ordinal)::int AS index
FROM plan_nodes n WHERE n.project_id = @project_id AND n.id = ANY (@ids::text[]);

-- The edges that a change touches, each with its array index: those named, and those of the nodes named.
-- name: ListPlanEdgesTouched :many
SELECT e.id, e.source, e.target, e.source_handle, e.target_handle, e.label, e.data_type, e.created_at, e.updated_at,
    (SELECT count(*) FROM plan_edges b WHERE b.project_id = e.project_id AND b.ordinal < e.ordinal)::int AS index
FROM plan_edges e
WHERE e.project_id = @project_id
    AND (e.id = ANY (@ids::text[]) OR e.source = ANY (@ends::text[]) OR e.target = ANY (@ends::text[]))
ORDER BY e.ordinal;

-- The links that can be reached from the given nodes: what a new edge into them could close a cycle with.
-- name: ListPlanLinksFrom :many
WITH RECURSIVE reached (id) AS (
    SELECT unnest(@ids::text[])
    UNION
    SELECT e.target FROM reached r JOIN plan_edges e ON e.project_id = @project_id AND e.source = r.id
)
SELECT e.id, e.source, e.target FROM reached r JOIN plan_edges e ON e.project_id = @project_id AND e.source = r.id;

-- name: InsertPlanNodes :exec
INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, source_position, target_position,
    label, description, config, created_at, updated_at)
SELECT @project_id, v.id, v.ordinal, v.node_type, v.position_x, v.position_y, v.source_position, v.target_position,
    v.label, v.description, v.config::json, @at, @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@ordinals::bigint[]) AS ordinal, unnest(@node_types::text[]) AS node_type,
    unnest(@position_xs::float8[]) AS position_x, unnest(@position_ys::float8[]) AS position_y,
    unnest(@source_positions::text[]) AS source_position, unnest(@target_positions::text[]) AS target_position,
    unnest(@labels::text[]) AS label, unnest(@descriptions::text[]) AS description, unnest(@configs::text[]) AS config) v;

-- name: UpdatePlanNodes :exec
UPDATE plan_nodes n
SET node_type = v.node_type, position_x = v.position_x, position_y = v.position_y, source_position = v.source_position,
    target_position = v.target_position, label = v.label, description = v.description, config = v.config::json, updated_at = @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@node_types::text[]) AS node_type,
    unnest(@position_xs::float8[]) AS position_x, unnest(@position_ys::float8[]) AS position_y,
    unnest(@source_positions::text[]) AS source_position, unnest(@target_positions::text[]) AS target_position,
    unnest(@labels::text[]) AS label, unnest(@descriptions::text[]) AS description, unnest(@configs::text[]) AS config) v
WHERE n.project_id = @project_id AND n.id = v.id;

-- name: DeletePlanNodes :exec
DELETE FROM plan_nodes WHERE project_id = @project_id AND id = ANY (@ids::text[]);

-- name: InsertPlanEdges :exec
INSERT INTO plan_edges (project_id, id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at)
SELECT @project_id, v.id, v.ordinal, v.source, v.target, v.source_handle, v.target_handle, v.label, v.data_type, @at, @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@ordinals::bigint[]) AS ordinal, unnest(@sources::text[]) AS source,
    unnest(@targets::text[]) AS target, unnest(@source_handles::text[]) AS source_handle,
    unnest(@target_handles::text[]) AS target_handle, unnest(@labels::text[]) AS label,
    unnest(@data_types::text[]) AS data_type) v;

-- name: UpdatePlanEdges :exec
UPDATE plan_edges e
SET source_handle = v.source_handle, target_handle = v.target_handle, label = v.label, data_type = v.data_type, updated_at = @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@source_handles::text[]) AS source_handle,
    unnest(@target_handles::text[]) AS target_handle, unnest(@labels::text[]) AS label,
    unnest(@data_types::text[]) AS data_type) v
WHERE e.project_id = @project_id AND e.id = v.id;

-- name: DeletePlanEdges :exec
DELETE FROM plan_edges WHERE project_id = @project_id AND id = ANY (@ids::text[]);
