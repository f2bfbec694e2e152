-- name: InsertEvent :exec
INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
VALUES (@project_id, @version, @at, @op_actor, @op_id, @request_hash, @body);

-- What a change that was asked for before became.
-- name: GetOperation :one
SELECT version, request_hash, body FROM events WHERE project_id = @project_id AND op_actor = @op_actor AND op_id = @op_id;

-- The state of a feed when it is born.
-- name: GetFeedHead :one
SELECT (pg_control_system()).system_identifier::text AS system_identifier, pg_walfile_name(pg_current_wal_lsn()) AS wal_file,
    version, log_floor
FROM heads WHERE project_id = @project_id;

-- The sweep: one look at every open feed's head.
-- name: ListFeedHeads :many
SELECT (pg_control_system()).system_identifier::text AS system_identifier, pg_walfile_name(pg_current_wal_lsn()) AS wal_file,
    project_id, version, log_floor
FROM heads WHERE project_id = ANY (@project_ids::int[]);

-- The events after each given version, at most so many a project, with the head and floor that they belong to. Bodies that are
-- too large for a feed stay behind. A project whose head is missing is missing here too; one without such events has one row
-- of version 0.
-- name: ListEventsAfter :many
SELECT h.project_id, h.version AS head, h.log_floor, coalesce(e.version, 0)::bigint AS version, e.body::json AS body
FROM (SELECT unnest(@project_ids::int[]) AS project_id, unnest(@after::bigint[]) AS after) g
JOIN heads h ON h.project_id = g.project_id
LEFT JOIN LATERAL (
    SELECT v.version, CASE WHEN octet_length(v.body::text) <= @max_body::int THEN v.body END AS body
    FROM events v WHERE v.project_id = g.project_id AND v.version > g.after ORDER BY v.version LIMIT @max_events::int
) e ON true
ORDER BY h.project_id, e.version;
