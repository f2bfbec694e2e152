-- The current state of connections. Only the replica that serves them writes it, one batch after the other.
-- name: UpsertPresence :exec
INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
    document_id, document_type, position, selected_node_id, document_at, joined_at, active_at)
SELECT v.connection_id, @incarnation::uuid, v.project_id, v.revision, v.user_id, v.user_name, v.avatar_color, v.is_agent, v.transport,
    nullif(v.document_id, ''), nullif(v.document_type, ''), nullif(v.position, '')::json, nullif(v.selected_node_id, ''),
    CASE WHEN v.document_id <> '' THEN v.document_at END, v.joined_at, v.active_at
FROM (SELECT unnest(@connection_ids::uuid[]) AS connection_id, unnest(@project_ids::int[]) AS project_id,
    unnest(@revisions::bigint[]) AS revision, unnest(@user_ids::text[]) AS user_id, unnest(@user_names::text[]) AS user_name,
    unnest(@avatar_colors::text[]) AS avatar_color, unnest(@is_agents::bool[]) AS is_agent, unnest(@transports::text[]) AS transport,
    unnest(@document_ids::text[]) AS document_id, unnest(@document_types::text[]) AS document_type,
    unnest(@positions::text[]) AS position, unnest(@selected_node_ids::text[]) AS selected_node_id,
    unnest(@document_ats::timestamptz[]) AS document_at, unnest(@joined_ats::timestamptz[]) AS joined_at,
    unnest(@active_ats::timestamptz[]) AS active_at) v
ON CONFLICT (connection_id) DO UPDATE
SET incarnation = excluded.incarnation, revision = excluded.revision, user_id = excluded.user_id, user_name = excluded.user_name,
    avatar_color = excluded.avatar_color, is_agent = excluded.is_agent, transport = excluded.transport,
    document_id = excluded.document_id, document_type = excluded.document_type, position = excluded.position, selected_node_id = excluded.selected_node_id,
    document_at = excluded.document_at, joined_at = excluded.joined_at, active_at = excluded.active_at;

-- Removes connections. Their visits have ended before this, except those of connections that no replica knows any more.
-- name: DeletePresence :exec
WITH ended AS (
    UPDATE presence_log SET left_at = greatest(joined_at, now()), reason = 'lost'
    WHERE connection_id = ANY (@connection_ids::uuid[]) AND left_at IS NULL
)
DELETE FROM presence WHERE connection_id = ANY (@connection_ids::uuid[]);

-- Removes the connections of a replica that died. Their visits ended when its lease expired. The caller has the lease locked, so nobody
-- writes another row under it.
-- name: DeletePresenceOfReplica :many
WITH ended AS (
    UPDATE presence_log l SET left_at = greatest(l.joined_at, r.expires_at), reason = 'replica died'
    FROM replicas r WHERE r.incarnation = @dead::uuid AND l.incarnation = r.incarnation AND l.reason IS NULL
)
DELETE FROM presence WHERE incarnation = @dead::uuid RETURNING connection_id, project_id;

-- The transaction does not wait for the disk. That is safe for presence, because after a crash of the server the replicas write everybody
-- anew, and for chunks of contents, because the change that puts a content into place waits.
-- name: DoNotWaitForDisk :exec
SET LOCAL synchronous_commit = off;

-- Visits of connections that are there. A row that is right is not touched, since most connections were logged long ago. A visit that was
-- ended with the incarnation of its replica goes on, and so does one whose connection left and is back within the minute, or is somebody
-- else now. OFFSET 0 keeps the planner from joining with all visits of the incarnation.
-- name: BeginVisits :exec
INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent)
SELECT v.connection_id, v.joined_at, @incarnation, v.project_id, v.user_id, v.user_name, v.is_agent
FROM (SELECT unnest(@connection_ids::uuid[]) AS connection_id, unnest(@joined_ats::timestamptz[]) AS joined_at,
    unnest(@project_ids::int[]) AS project_id, unnest(@user_ids::text[]) AS user_id, unnest(@user_names::text[]) AS user_name,
    unnest(@is_agents::bool[]) AS is_agent) v
WHERE NOT EXISTS (
    SELECT FROM presence_log l WHERE l.connection_id = v.connection_id AND l.joined_at = v.joined_at
    AND l.incarnation = @incarnation AND l.left_at IS NULL
    AND (l.user_id, l.user_name, l.is_agent) = (v.user_id, v.user_name, v.is_agent) OFFSET 0
)
ON CONFLICT (connection_id, joined_at) DO UPDATE
SET incarnation = excluded.incarnation, user_id = excluded.user_id, user_name = excluded.user_name, is_agent = excluded.is_agent,
    left_at = NULL, reason = NULL;

-- Visits that ended. Some were so short that they were never written before.
-- name: EndVisits :exec
INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent, left_at, reason)
SELECT unnest(@connection_ids::uuid[]), unnest(@joined_ats::timestamptz[]), @incarnation, unnest(@project_ids::int[]),
    unnest(@user_ids::text[]), unnest(@user_names::text[]), unnest(@is_agents::bool[]), unnest(@left_ats::timestamptz[]),
    unnest(@reasons::text[])
ON CONFLICT (connection_id, joined_at) DO UPDATE
SET user_id = excluded.user_id, user_name = excluded.user_name, is_agent = excluded.is_agent, left_at = excluded.left_at,
    reason = excluded.reason;

-- Ends visits that nobody else will: the database lost the lease of their replica, which did not come back, or the row of their guest. A
-- visit without a reason lasts; those of an incarnation are found by that, those of a connection by left_at.
-- name: EndLostVisits :exec
UPDATE presence_log l SET left_at = greatest(l.joined_at, now()), reason = 'lost'
WHERE l.reason IS NULL AND NOT EXISTS (SELECT FROM replicas r WHERE r.incarnation = l.incarnation)
    AND NOT EXISTS (SELECT FROM presence p WHERE p.connection_id = l.connection_id AND p.expires_at IS NOT NULL);

-- Removes one chunk of visits that ended before a time. They are found by their places in the table: to find them by their keys, the planner
-- may read all visits.
-- name: TrimVisits :execrows
DELETE FROM presence_log WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM presence_log o WHERE o.left_at < @before ORDER BY o.left_at LIMIT @chunk::int
));

-- Those of the given projects that exist.
-- name: ListProjectIDs :many
SELECT id FROM projects WHERE id = ANY (@project_ids::int[]);

-- The people in the given projects, on other replicas or without a connection.
-- name: ListPresence :many
SELECT connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
    document_id, document_type, position, selected_node_id, document_at, joined_at, active_at
FROM presence WHERE project_id = ANY (@project_ids::int[]) AND incarnation IS DISTINCT FROM @self::uuid;

-- The rows under a lease, to compare them with the memory of the replica.
-- name: ListOwnPresence :many
SELECT connection_id, revision FROM presence WHERE incarnation = @incarnation::uuid;
