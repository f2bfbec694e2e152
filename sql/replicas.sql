-- The least wire version of the living replicas; the one of the caller when there are none.
-- name: GetOldestWire :one
SELECT least(@wire::int, min(wire))::int AS oldest FROM replicas WHERE expires_at > now();

-- An incarnation of a replica begins. Returns the least wire version of the living.
-- name: InsertReplica :one
INSERT INTO replicas (incarnation, version, address, wire, required, exposed, build_memory, renewed_at, expires_at)
VALUES (@incarnation, @version, @address, @wire, sqlc.narg(required), sqlc.narg(exposed), sqlc.narg(build_memory), now(), now() + make_interval(secs => @ttl_seconds))
RETURNING least(replicas.wire, (SELECT min(r.wire) FROM replicas r WHERE r.expires_at > now()))::int AS oldest;

-- No row: the lease is gone, with everything that was written under it. Returns the least wire version of the living, and whether the
-- lease had expired: the subquery sees the row as it was before.
-- name: RenewReplica :one
UPDATE replicas
SET renewed_at = now(), expires_at = now() + make_interval(secs => @ttl_seconds), draining = @draining, sockets = @sockets,
    subscriptions = @subscriptions, open_feeds = @open_feeds, feed_bytes = @feed_bytes, max_lag = @max_lag,
    pool_in_use = @pool_in_use, pool_waits = @pool_waits, heartbeat_ms = nullif(@heartbeat_ms::float, 0), heap_bytes = @heap_bytes,
    top_projects = @top_projects
WHERE replicas.incarnation = @incarnation
RETURNING least(replicas.wire, (SELECT min(r.wire) FROM replicas r WHERE r.expires_at > now()))::int AS oldest,
    (SELECT r.expires_at < now() FROM replicas r WHERE r.incarnation = @incarnation)::bool AS had_expired;

-- Ends an incarnation; rows that refer to it go with it.
-- name: DeleteReplica :exec
DELETE FROM replicas WHERE incarnation = @incarnation;

-- Locks the lease of one replica that has expired, for the caller to remove. No row: there is none, or somebody renews or removes it at
-- this moment, or the caller's own lease has expired, too, so it is no better than the others.
-- name: ClaimExpiredReplica :one
SELECT r.incarnation FROM replicas r WHERE r.expires_at < now() AND r.incarnation <> @self
    AND EXISTS (SELECT FROM replicas own WHERE own.incarnation = @self AND own.expires_at > now())
ORDER BY r.expires_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- Whether a replica's lease is there: it is not after the table was emptied by a crash, or on a standby that was promoted.
-- name: HasLease :one
SELECT EXISTS (SELECT FROM replicas WHERE incarnation = @incarnation::uuid) AS there;
