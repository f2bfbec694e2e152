-- The plan is born with its project.
-- name: InsertPlan :exec
INSERT INTO plans (project_id, name) VALUES (@project_id, @name);

-- The YAML of each plan may have a megabyte, and most who list plans do not want it.
-- name: ListPlansByProject :many
SELECT id, project_id, name, CASE WHEN @with_yaml::bool THEN yaml_content ELSE '' END::text AS yaml_content, dependencies, status,
    created_at, updated_at
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
--
-- The hash and the size of the log belong to the version before.
-- name: StepHead :one
UPDATE heads SET version = version + 1, changed_at = greatest(changed_at, now()) WHERE project_id = @project_id
RETURNING version, changed_at, coalesce(hash, '')::text AS hash, log_size;

-- The hash of the newest event, and the size of the log with it. Changes that share a transaction have a version each.
-- name: FinishHead :exec
UPDATE heads SET version = version + @steps::int, hash = @hash::text, log_size = @log_size WHERE project_id = @project_id;

-- As StepHead, for a change that may have nothing to tell: the head is locked alike, and stepped only by a later statement.
-- name: HoldHead :one
SELECT version, greatest(changed_at, now())::timestamptz AS changed_at, coalesce(hash, '')::text AS hash, log_size
FROM heads WHERE project_id = @project_id FOR NO KEY UPDATE;

-- name: GetHead :one
SELECT version, changed_at, coalesce(hash, '')::text AS hash FROM heads WHERE project_id = @project_id;

-- The source of array indexes, without counting rows: an element's index is its ordinal less the gaps before it. The index of ordinals
-- serves only statements that say that they are not negative.
-- name: GetPlanShape :one
SELECT p.node_gaps, p.edge_gaps,
    coalesce((
        SELECT n.ordinal FROM plan_nodes n WHERE n.project_id = p.project_id AND n.ordinal >= 0 ORDER BY n.ordinal DESC LIMIT 1
    ), -1)::bigint AS last_node,
    coalesce((
        SELECT e.ordinal FROM plan_edges e WHERE e.project_id = p.project_id AND e.ordinal >= 0 ORDER BY e.ordinal DESC LIMIT 1
    ), -1)::bigint AS last_edge
FROM plans p WHERE p.project_id = @project_id;

-- name: UpdatePlanGaps :exec
UPDATE plans SET node_gaps = @node_gaps, edge_gaps = @edge_gaps WHERE project_id = @project_id;

-- Closes the gaps between ordinals, now and then, so that their list stays short.
-- name: CloseNodeGaps :exec
UPDATE plan_nodes n SET ordinal = v.ordinal
FROM (SELECT o.id, row_number() OVER (ORDER BY o.ordinal) - 1 AS ordinal FROM plan_nodes o WHERE o.project_id = @project_id) v
WHERE n.project_id = @project_id AND n.id = v.id;

-- name: CloseEdgeGaps :exec
UPDATE plan_edges e SET ordinal = v.ordinal
FROM (SELECT o.id, row_number() OVER (ORDER BY o.ordinal) - 1 AS ordinal FROM plan_edges o WHERE o.project_id = @project_id) v
WHERE e.project_id = @project_id AND e.id = v.id;

-- name: ListPlanNodes :many
SELECT id, ordinal, node_type, position_x, position_y, source_position, target_position, label, description, config,
    created_at, updated_at, execution
FROM plan_nodes WHERE project_id = @project_id AND ordinal >= 0 ORDER BY ordinal;

-- Nodes whose id begins with a text, in any case, and after them those whose label contains it. It looks at all ids and labels, and returns few.
-- name: FindPlanNodes :many
SELECT id, label FROM plan_nodes
WHERE project_id = @project_id AND ordinal >= 0
    AND (starts_with(lower(id), lower(@typed::text)) OR strpos(lower(label), lower(@typed)) > 0)
ORDER BY starts_with(lower(id), lower(@typed)) DESC, ordinal LIMIT @most::int;

-- name: ListPlanEdges :many
SELECT id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at
FROM plan_edges WHERE project_id = @project_id AND ordinal >= 0 ORDER BY ordinal;

-- Elements are looked up, updated and deleted one statement each, many in one round trip: a list of ids in one statement tempts
-- the planner to read the whole plan.
-- name: GetPlanNode :one
SELECT id, ordinal, node_type, position_x, position_y, source_position, target_position, label, description, config,
    created_at, updated_at, execution
FROM plan_nodes WHERE project_id = @project_id AND id = @id;

-- The node that was added last.
-- name: GetLastPlanNode :one
SELECT id, ordinal, node_type, position_x, position_y, source_position, target_position, label, description, config,
    created_at, updated_at, execution
FROM plan_nodes WHERE project_id = @project_id AND ordinal >= 0 ORDER BY ordinal DESC LIMIT 1;

-- name: GetPlanEdge :one
SELECT id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at
FROM plan_edges WHERE project_id = @project_id AND id = @id;

-- name: ListPlanEdgesOfNode :many
SELECT id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at
FROM plan_edges o WHERE o.project_id = @project_id AND o.source = @node
UNION ALL
SELECT id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at
FROM plan_edges i WHERE i.project_id = @project_id AND i.target = @node;

-- What a node's warnings depend on: its type, and how many edges enter and leave it.
-- name: GetNodeDegree :one
SELECT n.node_type,
    (SELECT count(*) FROM plan_edges i WHERE i.project_id = n.project_id AND i.target = n.id) AS inputs,
    (SELECT count(*) FROM plan_edges o WHERE o.project_id = n.project_id AND o.source = n.id) AS outputs
FROM plan_nodes n WHERE n.project_id = @project_id AND n.id = @id;

-- The links that can be reached from the given node: what a new edge into it could close a cycle with. OFFSET 0 keeps the
-- planner from joining with the whole plan.
-- name: ListPlanLinksFrom :many
WITH RECURSIVE reached (id) AS (
    SELECT @node::text
    UNION
    SELECT l.target FROM reached r
    CROSS JOIN LATERAL (SELECT e.target FROM plan_edges e WHERE e.project_id = @project_id AND e.source = r.id OFFSET 0) l
)
SELECT l.id, l.source, l.target FROM reached r
CROSS JOIN LATERAL (SELECT e.id, e.source, e.target FROM plan_edges e WHERE e.project_id = @project_id AND e.source = r.id OFFSET 0) l;

-- name: ListPlanLinks :many
SELECT id, source, target FROM plan_edges WHERE project_id = @project_id;

-- Each node says when it was created: one that comes back is as old as it was.
-- name: InsertPlanNodes :exec
INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, source_position, target_position,
    label, description, config, created_at, updated_at)
SELECT @project_id, v.id, v.ordinal, v.node_type, v.position_x, v.position_y, v.source_position, v.target_position,
    v.label, v.description, v.config::json, v.created_at, @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@ordinals::bigint[]) AS ordinal, unnest(@node_types::text[]) AS node_type,
    unnest(@position_xs::float8[]) AS position_x, unnest(@position_ys::float8[]) AS position_y,
    unnest(@source_positions::text[]) AS source_position, unnest(@target_positions::text[]) AS target_position,
    unnest(@labels::text[]) AS label, unnest(@descriptions::text[]) AS description, unnest(@configs::text[]) AS config,
    unnest(@created_ats::timestamptz[]) AS created_at) v;

-- name: UpdatePlanNode :exec
UPDATE plan_nodes
SET node_type = @node_type, position_x = @position_x, position_y = @position_y, source_position = sqlc.narg(source_position),
    target_position = sqlc.narg(target_position), label = @label, description = sqlc.narg(description), config = @config,
    updated_at = @updated_at
WHERE project_id = @project_id AND id = @id;

-- The state of what a node names or builds is no part of what people edit, so updated_at stays.
-- name: UpdatePlanNodeExecution :exec
UPDATE plan_nodes SET execution = sqlc.narg(execution) WHERE project_id = @project_id AND id = @id;

-- What the nodes of a project show of its data sources. OFFSET 0 keeps the planner from reading all of them.
-- name: ListSourceStates :many
SELECT s.id, s.filename, s.status, s.processed_at, s.error_message
FROM (SELECT unnest(@ids::int[]) AS id) g
CROSS JOIN LATERAL (
    SELECT d.id, d.filename, d.status, d.processed_at, d.error_message FROM data_sources d
    WHERE d.id = g.id AND d.project_id = @project_id OFFSET 0
) s;

-- name: DeletePlanNode :exec
DELETE FROM plan_nodes WHERE project_id = @project_id AND id = @id;

-- name: InsertPlanEdges :exec
INSERT INTO plan_edges (project_id, id, ordinal, source, target, source_handle, target_handle, label, data_type, created_at, updated_at)
SELECT @project_id, v.id, v.ordinal, v.source, v.target, v.source_handle, v.target_handle, v.label, v.data_type, v.created_at, @at
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@ordinals::bigint[]) AS ordinal, unnest(@sources::text[]) AS source,
    unnest(@targets::text[]) AS target, unnest(@source_handles::text[]) AS source_handle,
    unnest(@target_handles::text[]) AS target_handle, unnest(@labels::text[]) AS label,
    unnest(@data_types::text[]) AS data_type, unnest(@created_ats::timestamptz[]) AS created_at) v;

-- name: UpdatePlanEdge :exec
UPDATE plan_edges
SET source_handle = sqlc.narg(source_handle), target_handle = sqlc.narg(target_handle), label = sqlc.narg(label),
    data_type = @data_type, updated_at = @updated_at
WHERE project_id = @project_id AND id = @id;

-- name: DeletePlanEdge :exec
DELETE FROM plan_edges WHERE project_id = @project_id AND id = @id;
