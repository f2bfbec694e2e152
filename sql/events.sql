-- name: InsertEvent :exec
INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, hash, size, total_size, undoes, edits)
VALUES (@project_id, @version, @at, @op_actor, @op_id, @request_hash, @body, @hash::text, @size::int, @total_size::bigint, nullif(@undoes::bigint, 0),
    @edits);

-- The event of an operation id, for a change that is asked for again.
-- name: GetOperation :one
SELECT version, request_hash, body FROM events WHERE project_id = @project_id AND op_actor = @op_actor AND op_id = @op_id;

-- What an operation id was remembered for in a project, for a change that is asked for again.
-- name: GetRememberedOperation :one
SELECT request_hash FROM operations WHERE op_actor = @op_actor AND op_id = @op_id AND project_id = @project_id;

-- Whether an operation id was remembered for an action in any project: that of what was deleted is not known any more.
-- name: GetRememberedAction :one
SELECT EXISTS (SELECT FROM operations WHERE op_actor = @op_actor AND op_id = @op_id AND action = @action);

-- The lock of the head keeps others from doing so at the same time.
-- name: InsertRememberedOperation :exec
INSERT INTO operations (op_actor, op_id, project_id, action, request_hash) VALUES (@op_actor, @op_id, @project_id, @action, @request_hash);

-- Operation ids are forgotten with the events of the same age, one chunk a statement.
-- name: DeleteOldOperations :execrows
DELETE FROM operations WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM operations o WHERE o.at < @before ORDER BY o.at LIMIT @chunk::int
));

-- Where the log of a project begins, and its newest version whose event edits: the former when no event does. A sender who knows that one, or
-- a later one, has missed no edit.
-- name: GetLogOfEdits :one
SELECT h.log_floor, coalesce((
    SELECT e.version FROM events e WHERE e.project_id::bigint = @project_id::int AND e.edits ORDER BY e.version DESC LIMIT 1
), h.log_floor)::bigint AS last_edit
FROM heads h WHERE h.project_id = @project_id;

-- The edits that a sender missed since the version that it knew, at most so many. Their bodies stay behind when they have more bytes than
-- given, all together.
-- name: ListEventBodies :many
SELECT s.version, CASE WHEN s.total <= @max_bytes::int THEN s.body END::json AS body
FROM (
    SELECT m.version, m.body, sum(coalesce(m.size, octet_length(m.body::text))) OVER () AS total
    FROM (
        SELECT e.version, e.body, e.size FROM events e
        WHERE e.project_id::bigint = @project_id::int AND e.edits AND e.version > @after ORDER BY e.version LIMIT @most::int
    ) m
) s
ORDER BY s.version;

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
-- without a head is missing; one without such events has one row of version 0. OFFSET 0 keeps the planner from joining with all heads, or with
-- the whole log.
-- name: ListEventsAfter :many
SELECT h.project_id, h.version AS head, coalesce(h.hash, '')::text AS head_hash,
    coalesce(b.hash, event_hash(b.body::text), CASE g.after WHEN h.log_floor THEN h.floor_hash WHEN h.version THEN h.hash END, '')::text AS base_hash,
    coalesce(e.version, 0)::bigint AS version, coalesce(e.hash, '')::text AS hash, e.body::json AS body
FROM (SELECT unnest(@project_ids::int[]) AS project_id, unnest(@after::bigint[]) AS after) g
CROSS JOIN LATERAL (
    SELECT o.project_id, o.version, o.hash, o.log_floor, o.floor_hash FROM heads o WHERE o.project_id = g.project_id OFFSET 0
) h
LEFT JOIN LATERAL (SELECT p.hash, p.body FROM events p WHERE p.project_id = g.project_id AND p.version = g.after OFFSET 0) b ON true
LEFT JOIN LATERAL (
    SELECT s.version, s.hash, CASE WHEN s.size <= @max_body::int THEN s.body END AS body,
        sum(least(s.size, @max_body::int)) OVER (ORDER BY s.version) AS total, row_number() OVER (ORDER BY s.version) AS place
    FROM (
        SELECT v.version, v.body, coalesce(v.hash, event_hash(v.body::text)) AS hash,
            coalesce(v.size, octet_length(v.body::text)) AS size
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

-- Projects whose log reaches back too far: beyond a time, so many events, or so many bytes. The oldest event is the one above the floor.
-- Sizes tell how many bytes there are without a look at the bodies; events that have none count as empty.
-- name: ListProjectsToTrim :many
SELECT h.project_id FROM heads h
JOIN events e ON e.project_id = h.project_id AND e.version = h.log_floor + 1
JOIN events n ON n.project_id = h.project_id AND n.version = h.version
WHERE n.version > e.version
    AND (e.at < @before OR h.version - h.log_floor > @keep::bigint OR n.total_size - coalesce(e.total_size - e.size, 0) > @keep_bytes::bigint)
ORDER BY h.project_id;

-- Removes one chunk of old events, of so many events and bytes beyond the first, and moves the floor, in the transaction that holds the
-- head's lock: a reader of the log sees both or neither. The newest event always stays. Whatever makes an event old makes those before it old,
-- too, so only the first of the log are looked at.
-- name: TrimEvents :one
WITH old AS (
    SELECT c.version, c.hash FROM (
        SELECT e.version, coalesce(e.hash, event_hash(e.body::text)) AS hash,
            sum(coalesce(e.size, 0)) OVER (ORDER BY e.version) - coalesce(e.size, 0) AS before
        FROM (
            SELECT o.version, o.hash, o.body, o.size
            FROM heads h
            CROSS JOIN LATERAL (
                SELECT f.version, f.at, f.hash, f.body, f.size, f.total_size FROM events f
                WHERE f.project_id = h.project_id AND f.version > h.log_floor AND f.version < h.version
                ORDER BY f.version LIMIT @chunk::int
            ) o
            WHERE h.project_id = @project_id AND (o.at < @before::timestamptz OR o.version <= h.version - @keep::bigint
                OR (SELECT n.total_size FROM events n WHERE n.project_id = h.project_id AND n.version = h.version)
                    - coalesce(o.total_size - o.size, 0) > @keep_bytes::bigint)
        ) e
    ) c WHERE c.before < @chunk_bytes::bigint
), moved AS (
    UPDATE heads h SET log_floor = o.version, floor_hash = o.hash
    FROM (SELECT version, hash FROM old ORDER BY version DESC LIMIT 1) o WHERE h.project_id = @project_id
), removed AS (
    DELETE FROM events WHERE project_id = @project_id AND version <= (SELECT max(version) FROM old)
)
SELECT count(*) FROM old;
