-- What builds look at, of many projects in one round trip, in a snapshot or under the lock of the project's head: the plan, with those
-- configurations that matter, ...
-- name: ListSteps :many
SELECT project_id, id, node_type, label,
    (CASE WHEN node_type IN ('DataSourceNode', 'MergeNode', 'TransformNode', 'CopyNode') THEN config ELSE '{}' END)::json AS config
FROM plan_nodes
WHERE project_id = ANY (@project_ids::int[]) AND ordinal >= 0 ORDER BY project_id, ordinal;

-- name: ListStepLinks :many
SELECT project_id, source, target FROM plan_edges
WHERE project_id = ANY (@project_ids::int[]) AND ordinal >= 0 ORDER BY project_id, ordinal;

-- ... what data sources hold, but not their problems and marks, ...
-- name: ListStepSources :many
SELECT id, project_id, filename, format, kind, status, error_message, file_id, size, sha256, row_count FROM data_sources
WHERE project_id::bigint = ANY (@project_ids::bigint[]) AND id > 0;

-- ... and graphs. The bytes of contents are for estimates of memory.
-- name: ListStepGraphs :many
SELECT g.id, g.project_id, g.node_id, g.name, g.state, g.content_id, g.content_hash, g.recipe, g.ingredients, g.requested, g.node_count,
    g.edge_count, g.error_message, g.metadata, g.computed_at,
    coalesce((SELECT c.bytes FROM contents c WHERE c.id = g.content_id), 0)::bigint AS bytes
FROM graphs g WHERE g.project_id = ANY (@project_ids::int[]);

-- name: ListOpenBuilds :many
SELECT id, project_id, node_id, label, graph_id, generation, state, attempt, replica, reason, error, requested_by, requested_at, retry_at,
    started_at
FROM builds WHERE project_id::bigint = ANY (@project_ids::bigint[]) AND finished_at IS NULL ORDER BY id;

-- Who builds what in some projects, and how far they are.
-- name: ListClaims :many
SELECT c.graph_id, c.project_id, c.incarnation, c.generation, c.phase, c.done, c.total, c.told_at,
    coalesce((SELECT b.attempt FROM builds b WHERE b.graph_id = c.graph_id AND b.finished_at IS NULL), 0)::int AS attempt
FROM claims c WHERE c.project_id::bigint = ANY (@project_ids::bigint[]) AND c.project_id > 0;

-- Headers of nodes that are built for the first time.
-- name: InsertGraphs :many
INSERT INTO graphs (project_id, node_id, name, state, requested)
SELECT @project_id, v.node_id, v.name, 'pending', 0 FROM (SELECT unnest(@node_ids::text[]) AS node_id, unnest(@names::text[]) AS name) v
RETURNING id, node_id;

-- name: UpdateGraphBuilt :exec
UPDATE graphs
SET state = @state, content_id = sqlc.narg(content_id), content_hash = sqlc.narg(content_hash), recipe = sqlc.narg(recipe),
    ingredients = sqlc.narg(ingredients), requested = @requested, node_count = @node_count, edge_count = @edge_count,
    error_message = sqlc.narg(error_message), metadata = sqlc.narg(metadata), computed_at = sqlc.narg(computed_at), updated_at = now()
WHERE id = @id;

-- name: InsertBuild :exec
INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, reason, error, requested_by, finished_at, nodes, edges)
VALUES (@project_id, @node_id, @label, @graph_id, @generation, @state, @reason, sqlc.narg(error), @requested_by, sqlc.narg(finished_at),
    sqlc.narg(nodes), sqlc.narg(edges));

-- name: UpdateBuild :exec
UPDATE builds
SET generation = @generation, state = @state, attempt = @attempt, replica = sqlc.narg(replica), error = sqlc.narg(error),
    retry_at = sqlc.narg(retry_at), started_at = sqlc.narg(started_at), finished_at = sqlc.narg(finished_at), nodes = sqlc.narg(nodes),
    edges = sqlc.narg(edges)
WHERE id = @id;

-- The lease of the replica must be there still.
-- name: InsertClaim :exec
INSERT INTO claims (graph_id, project_id, incarnation, generation) VALUES (@graph_id, @project_id, @incarnation, @generation);

-- The fence of builds: who does not find their claim any more, or that of a later attempt, changes nothing. Deleting it keeps others from
-- deleting it at the same time, and it is there again when the transaction is rolled back.
-- IS NOT DISTINCT FROM keeps the planner off the index of replicas, here and below: a graph has one claim, a replica may have many.
-- name: DeleteClaim :execrows
DELETE FROM claims WHERE graph_id = @graph_id AND incarnation IS NOT DISTINCT FROM @incarnation::uuid AND generation = @generation;

-- The claim of a build that is cancelled, whosever it is.
-- name: DropClaim :exec
DELETE FROM claims WHERE graph_id = @graph_id;

-- How far a build is, unless its claim has gone.
-- name: UpdateClaim :execrows
UPDATE claims SET phase = @phase, done = @done, total = sqlc.narg(total), told_at = now()
WHERE graph_id = @graph_id AND incarnation IS NOT DISTINCT FROM @incarnation::uuid AND generation = @generation;

-- Claims that nobody works on: the answer to a COMMIT was lost, or nothing could be written when the build ended. Younger ones may be about to
-- be worked on.
-- name: DeleteLeftClaims :execrows
DELETE FROM claims
WHERE incarnation = @incarnation AND claimed_at < now() - interval '10 seconds' AND graph_id <> ALL (@graph_ids::int[]);

-- Names the content that a build writes, so that the clean-up leaves it alone.
-- name: UpdateClaimContent :execrows
UPDATE claims SET content_id = @content_id::bigint
WHERE graph_id = @graph_id AND incarnation IS NOT DISTINCT FROM @incarnation::uuid AND generation = @generation;

-- Projects with builds that somebody can carry on now: nobody does, the pause after an attempt is over, and no input is to be built first.
-- First come those with fewest builds under way, of these the one served longest ago. Those that were tried in vain are left out. OFFSET 0 keeps
-- the planner from joining with all of a table.
-- name: ListWork :many
SELECT w.project_id
FROM (
    SELECT DISTINCT b.project_id FROM builds b
    WHERE b.finished_at IS NULL AND b.project_id <> ALL (@tried::int[]) AND (b.retry_at IS NULL OR b.retry_at <= now())
        AND NOT EXISTS (SELECT FROM claims c WHERE c.graph_id = b.graph_id OFFSET 0)
        AND NOT EXISTS (
            SELECT FROM plan_edges e
            CROSS JOIN LATERAL (SELECT g.id FROM graphs g WHERE g.project_id = e.project_id AND g.node_id = e.source OFFSET 0) g
            CROSS JOIN LATERAL (SELECT i.id FROM builds i WHERE i.graph_id = g.id AND i.finished_at IS NULL OFFSET 0) i
            WHERE e.project_id = b.project_id AND e.target = b.node_id OFFSET 0
        )
) w
ORDER BY (SELECT count(*) FROM claims c WHERE c.project_id::bigint = w.project_id AND c.project_id > 0),
    (SELECT max(s.started_at) FROM builds s WHERE s.project_id::bigint = w.project_id AND s.started_at IS NOT NULL) NULLS FIRST, w.project_id
LIMIT 100;

-- What a claim in a project depends on. It is the turn of another project that has builds which somebody can carry on now, and fewer under
-- way; those that were tried in vain have had their turn. The largest build that some replica would make is as large as the memory that the
-- living have for builds that do not drain.
-- name: GetTurn :one
SELECT (SELECT coalesce(max(r.build_memory), 0) FROM replicas r WHERE r.expires_at > now() AND NOT r.draining)::bigint AS largest, EXISTS (
    SELECT FROM (
        SELECT DISTINCT b.project_id FROM builds b
        WHERE b.finished_at IS NULL AND b.project_id::bigint <> @project_id::bigint AND b.project_id <> ALL (@tried::int[])
            AND (b.retry_at IS NULL OR b.retry_at <= now())
            AND NOT EXISTS (SELECT FROM claims c WHERE c.graph_id = b.graph_id OFFSET 0)
            AND NOT EXISTS (
                SELECT FROM plan_edges e
                CROSS JOIN LATERAL (SELECT g.id FROM graphs g WHERE g.project_id = e.project_id AND g.node_id = e.source OFFSET 0) g
                CROSS JOIN LATERAL (SELECT i.id FROM builds i WHERE i.graph_id = g.id AND i.finished_at IS NULL OFFSET 0) i
                WHERE e.project_id = b.project_id AND e.target = b.node_id OFFSET 0
            )
    ) w
    WHERE (SELECT count(*) FROM claims c WHERE c.project_id::bigint = w.project_id AND c.project_id > 0) <
        (SELECT count(*) FROM claims c WHERE c.project_id::bigint = @project_id::bigint AND c.project_id > 0)
) AS passed;

-- A graph that has the content of another one has its layers, too. Ids of layers survive.
-- name: CopyLayers :exec
INSERT INTO layers (graph_id, ordinal, layer_id, name, color, properties)
SELECT @graph_id::int, l.ordinal, l.layer_id, l.name, l.color, l.properties FROM layers l WHERE l.graph_id = @from_id
ON CONFLICT ON CONSTRAINT layers_one_a_graph
DO UPDATE SET ordinal = excluded.ordinal, name = excluded.name, color = excluded.color, properties = excluded.properties;

-- name: DeleteLayersNotIn :exec
DELETE FROM layers d
WHERE d.graph_id = @graph_id AND NOT EXISTS (SELECT FROM layers l WHERE l.graph_id = @from_id AND l.layer_id = d.layer_id);
