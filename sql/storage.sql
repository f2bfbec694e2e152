-- Contents that nothing refers to. The claims of builds are few.
-- name: ListForgottenContents :many
SELECT c.id FROM contents c
WHERE c.touched_at > '-infinity' AND c.touched_at < @before
    AND NOT EXISTS (SELECT FROM graphs g WHERE g.content_id = c.id) AND NOT EXISTS (SELECT FROM claims k WHERE k.content_id = c.id)
ORDER BY c.touched_at LIMIT @most::int;

-- One of these, unless somebody uses it now.
-- name: LockForgottenContent :one
SELECT nodes, edges FROM contents WHERE id = @id AND touched_at < @before FOR UPDATE SKIP LOCKED;

-- Asked in a statement of its own after the lock was given: what was committed before that is seen.
-- name: IsContentInUse :one
SELECT (EXISTS (SELECT FROM graphs g WHERE g.content_id = @id::bigint)
    OR EXISTS (SELECT FROM claims k WHERE k.content_id = @id))::bool AS in_use;

-- name: DeleteContentNodes :execrows
DELETE FROM content_nodes WHERE content_id = @content_id::bigint AND ordinal >= @first::int;

-- name: DeleteContentEdges :execrows
DELETE FROM content_edges WHERE content_id = @content_id::bigint AND ordinal >= @first::int;

-- What is left of a content. Without a hash nobody shares it, nor goes on writing it, since the counts are not those that a writer left.
-- name: ShrinkContent :exec
UPDATE contents SET hash = NULL, nodes = @nodes, edges = @edges WHERE id = @id;

-- name: DeleteContent :exec
DELETE FROM contents WHERE id = @id;

-- name: ListForgottenFiles :many
SELECT f.id FROM files f
WHERE f.touched_at > '-infinity' AND f.touched_at < @before
    AND NOT EXISTS (SELECT FROM data_sources d WHERE d.file_id = f.id AND d.file_id > 0)
ORDER BY f.touched_at LIMIT @most::int;

-- name: LockForgottenFile :one
SELECT size FROM files WHERE id = @id AND touched_at < @before FOR UPDATE SKIP LOCKED;

-- name: IsFileInUse :one
SELECT EXISTS (SELECT FROM data_sources d WHERE d.file_id = @id AND d.file_id > 0) AS in_use;

-- name: DeleteFileChunks :execrows
DELETE FROM file_chunks WHERE file_id = @file_id AND ordinal >= @first::int;

-- name: ShrinkFile :exec
UPDATE files SET size = @size WHERE id = @id;

-- name: DeleteFile :exec
DELETE FROM files WHERE id = @id;

-- name: DeleteOldBuilds :execrows
DELETE FROM builds WHERE ctid = ANY (ARRAY(
    SELECT b.ctid FROM builds b WHERE b.finished_at IS NOT NULL AND b.finished_at < @before::timestamptz ORDER BY b.finished_at LIMIT @chunk::int
));

-- name: GetStorageFigures :one
SELECT c.contents::bigint AS contents, c.content_bytes::bigint AS content_bytes, f.files::bigint AS files, f.file_bytes::bigint AS file_bytes
FROM (SELECT count(*) AS contents, coalesce(sum(bytes), 0) AS content_bytes FROM contents WHERE touched_at > '-infinity') c,
    (SELECT count(*) AS files, coalesce(sum(size), 0) AS file_bytes FROM files WHERE touched_at > '-infinity') f;
