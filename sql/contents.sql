-- A content is written by one session in chunks. Each chunk names what was written before it, so it fails when the clean-up has begun to
-- remove the content meanwhile, which counts downwards.
-- name: InsertContent :one
INSERT INTO contents (project_id, layers) VALUES (@project_id, @layers) RETURNING id;

-- The first statement of a chunk's transaction: it keeps the clean-up away until the chunk is committed.
-- name: StepContent :execrows
UPDATE contents
SET nodes = nodes + @add_nodes, edges = edges + @add_edges, bytes = bytes + @add_bytes, touched_at = now()
WHERE id = @id AND hash IS NULL AND nodes = @nodes AND edges = @edges;

-- name: CompleteContent :execrows
UPDATE contents SET hash = @hash::text, touched_at = now() WHERE id = @id AND hash IS NULL AND nodes = @nodes AND edges = @edges;

-- An equal content of the project, which the clean-up then leaves alone for some minutes. When the clean-up has its row locked, this waits
-- and finds it without a hash.
-- name: ShareContent :one
UPDATE contents SET touched_at = now()
WHERE hash = @hash::text AND id = (
    SELECT c.id FROM contents c WHERE c.project_id::bigint = @project_id::bigint AND c.hash = @hash AND c.nodes >= 0 LIMIT 1
)
RETURNING id, nodes, edges;

-- name: GetContent :one
SELECT id, nodes, edges, bytes, layers FROM contents WHERE id = @id AND hash IS NOT NULL;

-- name: GetContentOfProject :one
SELECT id FROM contents WHERE id = @id AND project_id = @project_id AND hash IS NOT NULL;

-- Keeps a complete content from the clean-up until the transaction ends, in which a graph is to refer to it.
-- name: LockContent :one
SELECT id FROM contents WHERE id = @id AND hash IS NOT NULL FOR KEY SHARE;

-- The content that a graph referred to until now: whoever reads it page by page has some minutes to end.
-- name: TouchContent :exec
UPDATE contents SET touched_at = now() WHERE id = @id;

-- name: ListContentNodes :many
SELECT ordinal, id, label, coalesce(layer, '')::text AS layer, weight, is_partition, coalesce(belongs_to, '')::text AS belongs_to,
    coalesce(comment, '')::text AS comment, attrs
FROM content_nodes
WHERE content_id = @content_id::bigint AND ordinal >= @first::int AND ordinal < @below::int
ORDER BY ordinal;

-- name: ListContentEdges :many
SELECT ordinal, id, source, target, label, coalesce(layer, '')::text AS layer, weight, coalesce(comment, '')::text AS comment, attrs
FROM content_edges
WHERE content_id = @content_id::bigint AND ordinal >= @first::int AND ordinal < @below::int
ORDER BY ordinal;
