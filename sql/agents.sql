-- SET LOCAL would warn in the server's log, because a batch is a transaction without a BEGIN.
-- name: DoNotWaitForDiskInBatch :exec
SELECT set_config('synchronous_commit', 'off', true);

-- name: InsertMCPSession :exec
INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id, agent_name,
    network, scope, expires_at)
VALUES (@id, @transport, @protocol_version, @client_name, @client_title, @client_version, @parameters, @agent_id, @agent_name, @network, @scope,
    now() + make_interval(secs => @ttl_seconds));

-- Removes those sessions beyond the limit whose clients were silent for longest: the sooner one expires, the longer it was silent. The
-- session that the transaction made before has locked the total, so nobody else makes one meanwhile, and the limit is exact. A session that
-- is locked at this moment is in use: it stays, and the next one goes. They are found first, as an array, since to join with them the planner
-- may read all sessions, and that again for each.
-- name: DeleteSilentMCPSessions :many
DELETE FROM mcp_sessions WHERE id = ANY (ARRAY(
    SELECT s.id FROM mcp_sessions s WHERE s.expires_at > '-infinity' ORDER BY s.expires_at
    LIMIT (SELECT greatest(least(t.sessions - @most::bigint, 100), 0) FROM mcp_totals t WHERE t.only_row) FOR UPDATE SKIP LOCKED
)) RETURNING id;

-- A request of the client came: the session stays for longer, which is written once a minute. No row: there is no such session any more.
-- name: SeeMCPSession :one
WITH seen AS (
    UPDATE mcp_sessions SET seen_at = now(), expires_at = now() + make_interval(secs => @ttl_seconds)
    WHERE id = @id AND expires_at > now() AND seen_at < now() - interval '1 minute'
)
SELECT s.transport, s.protocol_version, s.client_name, s.client_title, s.client_version, s.parameters, s.agent_id, s.agent_name, s.network,
    s.scope, s.created_at
FROM mcp_sessions s WHERE s.id = @id AND s.expires_at > now();

-- The client says who it is after the session began.
-- name: UpdateMCPSession :execrows
UPDATE mcp_sessions
SET protocol_version = @protocol_version, client_name = @client_name, client_title = @client_title, client_version = @client_version,
    parameters = @parameters, agent_id = @agent_id, agent_name = @agent_name
WHERE id = @id AND expires_at > now();

-- name: DeleteMCPSession :execrows
DELETE FROM mcp_sessions WHERE id = @id AND expires_at > now();

-- Whatever changes what stands under a session locks it first. No row: there is no such session any more.
-- name: LockMCPSession :one
SELECT s.stream_id FROM mcp_sessions s WHERE s.id = @id AND s.expires_at > now() FOR NO KEY UPDATE;

-- name: ListMCPSubscriptions :many
SELECT uri FROM mcp_subscriptions WHERE session_id = @session_id ORDER BY uri;

-- name: InsertMCPSubscription :exec
INSERT INTO mcp_subscriptions (session_id, uri) VALUES (@session_id, @uri);

-- name: DeleteMCPSubscription :execrows
DELETE FROM mcp_subscriptions WHERE session_id = @session_id AND uri = @uri;

-- name: StepMCPSession :exec
UPDATE mcp_sessions SET revision = revision + 1 WHERE id = @id;

-- A stream takes the place of the one that the session had. Returns the revision of its subscriptions.
-- name: UpdateMCPStream :one
UPDATE mcp_sessions SET stream_id = @stream_id::uuid, stream_replica = @stream_replica::uuid WHERE id = @id AND expires_at > now()
RETURNING revision;

-- Streams were closed. One that was replaced meanwhile is not touched. Sessions are named twice, lest the planner joins with all of them.
-- name: ClearMCPStreams :exec
UPDATE mcp_sessions s SET stream_id = NULL, stream_replica = NULL
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@stream_ids::uuid[]) AS stream_id) c
WHERE s.id = ANY (@ids::uuid[]) AND s.id = c.id AND s.stream_id = c.stream_id;

-- Removes what is too old in the inbox of one session, and returns how much it was.
-- name: DeleteOldMCPMessagesOfSession :execrows
DELETE FROM mcp_inbox
WHERE session_id = @session_id AND at < now() - make_interval(secs => CASE WHEN passing THEN @passing_seconds::float8 ELSE @age_seconds::float8 END);

-- Removes all but the newest passing messages to a session. Of those that go nobody took one, since they are many.
-- name: DeleteDisplacedMCPMessages :exec
DELETE FROM mcp_inbox d WHERE d.session_id = @session_id AND d.seq IN (
    SELECT m.seq FROM mcp_inbox m WHERE m.session_id = @session_id AND m.passing ORDER BY m.seq DESC OFFSET @kept::bigint
);

-- Puts a message into the inbox of a session, which is locked. Has_room is false when it was full; passing messages have a room of their own.
-- No row: there is no such session any more.
-- name: InsertMCPMessage :one
WITH inbox AS (
    SELECT s.id, count(m.seq) < @most::bigint
        AND coalesce(sum(octet_length(m.body)), 0) + octet_length(@body::bytea) <= @most_bytes::bigint AS has_room
    FROM mcp_sessions s LEFT JOIN mcp_inbox m ON m.session_id = s.id AND m.passing = @passing::boolean WHERE s.id = @session_id AND s.expires_at > now() GROUP BY s.id
), message AS (
    INSERT INTO mcp_inbox (session_id, key, body, passing) SELECT i.id, @key, @body, @passing FROM inbox i WHERE i.has_room
)
SELECT i.has_room FROM inbox i;

-- Takes the messages to a stream, or to one call, in the order in which they were accepted, up to one. The caller has locked the session.
-- name: TakeMCPMessages :many
WITH taken AS (
    DELETE FROM mcp_inbox m WHERE m.session_id = @session_id AND m.key = @key AND m.seq <= @last RETURNING m.seq, m.body, m.at
)
SELECT t.seq, t.body, extract(epoch FROM clock_timestamp() - t.at)::float8 AS waited_seconds FROM taken t ORDER BY t.seq;

-- What those who wait for a session compare with what they know. No row: there is no such session any more.
-- name: ListMCPStates :many
SELECT s.id, s.stream_id, s.revision, ARRAY(SELECT DISTINCT m.key FROM mcp_inbox m WHERE m.session_id = s.id)::text[] AS keys
FROM mcp_sessions s WHERE s.id = ANY (@ids::uuid[]) AND s.expires_at > now();

-- Figures of the whole deployment, for the metrics. Messages are counted up to 10,000, without those that nobody may ever take.
-- name: GetMCPFigures :one
SELECT t.sessions, (SELECT count(*) FROM (SELECT FROM mcp_inbox WHERE NOT passing AND at > '-infinity' ORDER BY at LIMIT 10000) m) AS messages,
    coalesce(extract(epoch FROM now() - (SELECT min(m.at) FROM mcp_inbox m WHERE NOT m.passing AND m.at > '-infinity')), 0)::float8 AS oldest_seconds
FROM mcp_totals t WHERE t.only_row;

-- name: TrimMCPSessions :execrows
DELETE FROM mcp_sessions WHERE id = ANY (ARRAY(
    SELECT s.id FROM mcp_sessions s WHERE s.expires_at > '-infinity' AND s.expires_at < now()
    ORDER BY s.expires_at LIMIT @chunk::int FOR UPDATE SKIP LOCKED
));

-- name: TrimMCPMessages :execrows
DELETE FROM mcp_inbox WHERE ctid = ANY (ARRAY(
    SELECT m.ctid FROM mcp_inbox m
    WHERE m.passing = @passing AND m.at > '-infinity' AND m.at < now() - make_interval(secs => @age_seconds)
    ORDER BY m.at LIMIT @chunk::int FOR UPDATE SKIP LOCKED
));
