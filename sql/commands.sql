-- The commands that a replica may have to act on: those since it began that are young enough, and, of any age, the last drain or undrain of
-- this incarnation.
-- name: ListCommands :many
SELECT id, at, issued_by, kind, connection_id, user_id, incarnation, reason, coalesce(extract(epoch FROM spread), 0)::float8 AS spread_seconds,
    project_id, node_id
FROM commands
WHERE (kind NOT IN ('drain', 'undrain') AND at > now() - make_interval(secs => @within_seconds))
    OR id = (SELECT max(c.id) FROM commands c WHERE c.incarnation = @incarnation::uuid AND c.kind IN ('drain', 'undrain'))
ORDER BY id;

-- Locks a command on which one replica is to act. There is no row while another one does.
-- name: LockCommand :one
SELECT acted_at FROM commands WHERE id = @id FOR UPDATE SKIP LOCKED;

-- Notes that a replica acted, for audits.
-- name: UpdateCommandActed :exec
UPDATE commands
SET acted_at = coalesce(acted_at, now()), acted_by = acted_by || @address::text, connections = connections + @connections
WHERE id = @id;

-- Removes commands that are too old for an audit.
-- name: DeleteOldCommands :execrows
DELETE FROM commands WHERE at < now() - interval '1 year';
