-- name: InsertEvent :exec
INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
VALUES (@project_id, @version, @at, @op_actor, @op_id, @request_hash, @body);

-- What a change that was asked for before became.
-- name: GetOperation :one
SELECT version, request_hash, body FROM events WHERE project_id = @project_id AND op_actor = @op_actor AND op_id = @op_id;

-- What a sender missed who knew a version.
-- name: ListEventBodies :many
SELECT version, body FROM events WHERE project_id = @project_id AND version > @after ORDER BY version LIMIT @most::int;

-- The state of a feed when it is born.
-- name: GetFeedHead :one
SELECT version FROM heads WHERE project_id = @project_id;

-- The sweep: one look at every open feed's head.
-- name: ListFeedHeads :many
SELECT project_id, version FROM heads WHERE project_id = ANY (@project_ids::int[]);

-- The events after each given version, with the head that they belong to: of each project so many events, and no more bytes than
-- given beyond the first. Bodies that are too large for a feed stay behind. A project without a head is missing; one without such
-- events has one row of version 0.
-- name: ListEventsAfter :many
SELECT h.project_id, h.version AS head, coalesce(e.version, 0)::bigint AS version, e.body::json AS body
FROM (SELECT unnest(@project_ids::int[]) AS project_id, unnest(@after::bigint[]) AS after) g
JOIN heads h ON h.project_id = g.project_id
LEFT JOIN LATERAL (
    SELECT s.version, CASE WHEN s.size <= @max_body::int THEN s.body END AS body,
        sum(least(s.size, @max_body::int)) OVER (ORDER BY s.version) AS total, row_number() OVER (ORDER BY s.version) AS place
    FROM (
        SELECT v.version, v.body, octet_length(v.body::text) AS size
        FROM events v WHERE v.project_id = g.project_id AND v.version > g.after ORDER BY v.version LIMIT @max_events::int
    ) s
) e ON e.total <= @max_bytes::int OR e.place = 1
ORDER BY h.project_id, e.version;
