-- What a walk to a version needs to know: how far the log reaches, the place of the version, and the nearest checkpoints on both
-- sides, -1 for none. From a checkpoint below the floor no event leads on; one above the head is never the nearest.
-- name: GetPast :one
SELECT h.version AS head, h.log_floor, p.id AS plan_id, p.created_at, coalesce(e.at, p.created_at)::timestamptz AS at,
    coalesce(e.hash, event_hash(e.body::text),
        CASE @version::bigint WHEN h.log_floor THEN h.floor_hash WHEN h.version THEN h.hash END, '')::text AS hash,
    coalesce((
        SELECT max(c.version) FROM checkpoints c
        WHERE c.project_id = h.project_id AND c.version BETWEEN h.log_floor AND @version AND c.version <> ALL (@damaged::bigint[])
    ), -1)::bigint AS below,
    coalesce((
        SELECT min(c.version) FROM checkpoints c
        WHERE c.project_id = h.project_id AND c.version >= @version AND c.version <> ALL (@damaged)
    ), -1)::bigint AS above
FROM heads h
JOIN plans p ON p.project_id = h.project_id
LEFT JOIN events e ON e.project_id = h.project_id AND e.version = @version
WHERE h.project_id = @project_id;

-- The last version whose time is not after the given one. Times never run backwards in a project and have no index, so the version is found
-- by bisection.
-- name: GetVersionAt :one
WITH RECURSIVE part (low, high) AS (
    SELECT h.log_floor, h.version FROM heads h WHERE h.project_id = @project_id
    UNION ALL
    SELECT CASE WHEN e.at <= @at THEN m.version ELSE p.low END, CASE WHEN e.at <= @at THEN p.high ELSE m.version - 1 END
    FROM part p
    CROSS JOIN LATERAL (SELECT (p.low + p.high + 1) / 2 AS version) m
    LEFT JOIN LATERAL (SELECT v.at FROM events v WHERE v.project_id = @project_id AND v.version = m.version OFFSET 0) e ON true
    WHERE p.low < p.high
)
SELECT p.low::bigint AS version, h.log_floor, (@at::timestamptz > now())::bool AS future,
    (@at < CASE h.log_floor WHEN 0 THEN r.created_at ELSE coalesce(o.at, h.changed_at) END)::bool AS gone
FROM part p
JOIN heads h ON h.project_id = @project_id
JOIN plans r ON r.project_id = h.project_id
LEFT JOIN events o ON o.project_id = h.project_id AND o.version = h.log_floor + 1
WHERE p.low = p.high;

-- name: ListEventsForwards :many
SELECT version, body FROM events WHERE project_id = @project_id AND version > @after AND version <= @upto ORDER BY version;

-- name: ListEventsBackwards :many
SELECT version, body FROM events WHERE project_id = @project_id AND version > @after AND version <= @upto ORDER BY version DESC;

-- name: GetCheckpoint :one
SELECT body, sum FROM checkpoints WHERE project_id = @project_id AND version = @version;

-- The first event after a version that changed the plan's record. No text within a body contains the words that are looked for, since
-- quotes in texts are escaped. There is none when the record was last written before the version, and then the log is not searched.
-- name: GetNextRecordEvent :one
SELECT e.body FROM plans p
JOIN events e ON e.project_id = p.project_id AND e.version > @version
WHERE p.project_id = @project_id AND strpos(e.body::text, '"kind":"PLAN_UPDATED"') > 0
    AND p.updated_at >= coalesce((SELECT v.at FROM events v WHERE v.project_id = p.project_id AND v.version = @version), p.created_at)
ORDER BY e.version LIMIT 1;

-- A page of the log, newest first: at most so many events, with bodies as long as these have no more bytes than given beyond the first.
-- Element and actor are looked for as texts, so whoever asks looks at what it gets. Rows that are not listed are no part of the page: they
-- take back what another row did, and may be taken back themselves. An event can have many undoers in the course of time, and only the newest
-- can stand.
-- name: ListHistory :many
WITH RECURSIVE page AS MATERIALIZED (
    SELECT e.version, e.at, coalesce(e.hash, event_hash(e.body::text)) AS hash, e.body, coalesce(e.size, octet_length(e.body::text)) AS size
    FROM events e
    WHERE e.project_id = @project_id AND e.version < @before
        AND (@actor_id::text = '' OR e.op_actor = @actor_id OR e.op_actor = '' AND strpos(e.body::text, @actor::text) > 0)
        AND (@element::text = '' OR strpos(e.body::text, @element) > 0)
        AND (@states::bool OR e.edits) AND (@everything::bool OR strpos(e.body::text, @system::text) = 0)
    ORDER BY e.version DESC LIMIT @most::int
), undone (version, undoer) AS (
    SELECT p.version, (SELECT max(u.version) FROM events u WHERE u.project_id = @project_id AND u.undoes = p.version) FROM page p
    UNION
    SELECT d.undoer, (SELECT max(u.version) FROM events u WHERE u.project_id = @project_id AND u.undoes = d.undoer)
    FROM undone d WHERE d.undoer IS NOT NULL
)
SELECT d.version::bigint AS version, coalesce(d.undoer, 0)::bigint AS undoer, (p.version IS NOT NULL)::bool AS listed,
    coalesce(p.at, 'epoch')::timestamptz AS at, coalesce(p.hash, '')::text AS hash,
    CASE WHEN p.before < @max_bytes::bigint THEN p.body END::json AS body
FROM undone d
LEFT JOIN (SELECT g.*, sum(g.size) OVER (ORDER BY g.version DESC) - g.size AS before FROM page g) p ON p.version = d.version
ORDER BY d.version DESC;

-- name: GetLogEnds :one
SELECT version, log_floor FROM heads WHERE project_id = @project_id;

-- Versions that should have a checkpoint: multiples of the spacing that are in the log, the newest first. Those given were tried before.
-- name: ListCheckpointsDue :many
SELECT h.project_id, m.version::bigint AS version FROM heads h
CROSS JOIN (SELECT @spacing::bigint AS spacing) s
CROSS JOIN LATERAL (SELECT n * s.spacing AS version FROM generate_series(h.log_floor / s.spacing + 1, h.version / s.spacing) n) m
WHERE NOT EXISTS (SELECT FROM checkpoints c WHERE c.project_id = h.project_id AND c.version = m.version)
    AND NOT EXISTS (
        SELECT FROM (SELECT unnest(@tried_projects::int[]) AS project_id, unnest(@tried_versions::bigint[]) AS version) t
        WHERE t.project_id = h.project_id AND t.version = m.version
    )
ORDER BY m.version DESC, h.project_id LIMIT @most::int;

-- It may have been trimmed away, or written by another replica, meanwhile.
-- name: InsertCheckpoint :execrows
INSERT INTO checkpoints (project_id, version, body, sum)
SELECT h.project_id, @version, @body, @sum FROM heads h WHERE h.project_id = @project_id AND h.log_floor < @version
ON CONFLICT DO NOTHING;

-- From a checkpoint below the floor no event leads on.
-- name: DeleteTrimmedCheckpoints :exec
DELETE FROM checkpoints c
WHERE c.project_id = @project_id AND c.version < (SELECT h.log_floor FROM heads h WHERE h.project_id = @project_id);
