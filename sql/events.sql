-- name: InsertEvent :exec
INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, hash)
VALUES (@project_id, @version, @at, @op_actor, @op_id, @request_hash, @body, @hash::text);

-- The event of an operation id, for a change that is asked for again.
-- name: GetOperation :one
SELECT version, request_hash, body FROM events WHERE project_id = @project_id AND op_actor = @op_actor AND op_id = @op_id;

-- The events that a sender missed since the version that it knew.
-- name: ListEventBodies :many
SELECT version, body FROM events WHERE project_id = @project_id AND version > @after ORDER BY version LIMIT @most::int;

-- The heads of projects: of all that are watched in a sweep, of one when its feed is made.
-- name: ListFeedHeads :many
SELECT project_id, version, coalesce(hash, '')::text AS hash FROM heads WHERE project_id = ANY (@project_ids::int[]);

-- The hash of the event that led to a version; empty where that is not known.
-- name: GetEventHash :one
SELECT coalesce(
    (SELECT coalesce(e.hash, event_hash(e.body::text)) FROM events e WHERE e.project_id = h.project_id AND e.version = @version),
    CASE @version WHEN h.log_floor THEN h.floor_hash WHEN h.version THEN h.hash END, '')::text AS hash
FROM heads h WHERE h.project_id = @project_id;

-- The events after each given version, with the head that they belong to and the hash at that version, empty where it is not known:
-- of each project so many events, and no more bytes than given beyond the first. Bodies that are too large stay behind. A project
-- without a head is missing; one without such events has one row of version 0.
-- name: ListEventsAfter :many
SELECT h.project_id, h.version AS head, coalesce(h.hash, '')::text AS head_hash,
    coalesce(b.hash, event_hash(b.body::text), CASE g.after WHEN h.log_floor THEN h.floor_hash WHEN h.version THEN h.hash END, '')::text AS base_hash,
    coalesce(e.version, 0)::bigint AS version, coalesce(e.hash, '')::text AS hash, e.body::json AS body
FROM (SELECT unnest(@project_ids::int[]) AS project_id, unnest(@after::bigint[]) AS after) g
JOIN heads h ON h.project_id = g.project_id
LEFT JOIN events b ON b.project_id = g.project_id AND b.version = g.after
LEFT JOIN LATERAL (
    SELECT s.version, s.hash, CASE WHEN s.size <= @max_body::int THEN s.body END AS body,
        sum(least(s.size, @max_body::int)) OVER (ORDER BY s.version) AS total, row_number() OVER (ORDER BY s.version) AS place
    FROM (
        SELECT v.version, v.body, coalesce(v.hash, event_hash(v.body::text)) AS hash, octet_length(v.body::text) AS size
        FROM events v WHERE v.project_id = g.project_id AND v.version > g.after ORDER BY v.version LIMIT @max_events::int
    ) s
) e ON e.total <= @max_bytes::int OR e.place = 1
ORDER BY h.project_id, e.version;

-- One replica at a time cleans up; the others find it taken and go on. The lock is one of a private row: an advisory lock could be held by
-- any role of the database. Replicas of the release before take such a lock instead, so one of them may clean up at the same time. That is
-- safe: events go under the lock of their head, and rows of the log of visits that another one ends or removes meanwhile are skipped.
-- name: TryLockCleanUp :one
SELECT EXISTS (SELECT 1 FROM cleanups FOR UPDATE SKIP LOCKED) AS locked;

-- Ages are measured by the clock of the database: a replica whose clock is wrong must not remove young rows.
-- name: GetClock :one
SELECT now()::timestamptz AS now;

-- Projects whose log reaches back too far: beyond a time, or beyond so many events. The oldest event is the one above the floor.
-- name: ListProjectsToTrim :many
SELECT h.project_id FROM heads h JOIN events e ON e.project_id = h.project_id AND e.version = h.log_floor + 1
WHERE e.at < @before OR h.version - h.log_floor > @keep::bigint
ORDER BY h.project_id;

-- Removes one chunk of old events and moves the floor, in the transaction that holds the head's lock: a reader of the log sees
-- both or neither. The newest event always stays.
-- name: TrimEvents :one
WITH old AS (
    SELECT e.version, coalesce(e.hash, event_hash(e.body::text)) AS hash
    FROM heads h JOIN events e ON e.project_id = h.project_id AND e.version > h.log_floor AND e.version < h.version
    WHERE h.project_id = @project_id AND (e.at < @before OR e.version <= h.version - @keep::bigint)
    ORDER BY e.version LIMIT @chunk::int
), moved AS (
    UPDATE heads h SET log_floor = o.version, floor_hash = o.hash
    FROM (SELECT version, hash FROM old ORDER BY version DESC LIMIT 1) o WHERE h.project_id = @project_id
), removed AS (
    DELETE FROM events WHERE project_id = @project_id AND version IN (SELECT version FROM old)
)
SELECT count(*) FROM old;
