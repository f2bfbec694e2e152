-- What DBAs may rely on. Everything here is applied again after the migrations, in one transaction, when it changed: statements
-- replace what is there. Columns are only added, at the end, in a release with a migration of its own.
--
-- Leases are compared with the time of the statement: that of the transaction would let the dead live on in a long one.
CREATE SCHEMA IF NOT EXISTS layercake;
REVOKE ALL ON SCHEMA layercake FROM PUBLIC;

CREATE OR REPLACE VIEW layercake.replicas AS
SELECT r.incarnation::text AS replica, r.version, r.address,
    CASE WHEN r.expires_at <= statement_timestamp() THEN 'stale' WHEN r.draining THEN 'draining' ELSE 'live' END AS state,
    r.started_at, r.expires_at AS lease_expires_at, r.sockets, r.subscriptions, r.open_feeds, r.feed_bytes, r.max_lag,
    r.pool_in_use, r.pool_waits, r.heartbeat_ms, r.heap_bytes, r.top_projects, r.wire
FROM public.replicas r;
COMMENT ON VIEW layercake.replicas IS 'The deployment: one row a life of a replica, with its figures as of its last renewal, each second.';
COMMENT ON COLUMN layercake.replicas.replica IS 'A life of a replica: a new id each time that it registers.';
COMMENT ON COLUMN layercake.replicas.version IS 'The version of its binary.';
COMMENT ON COLUMN layercake.replicas.address IS 'Where it listens for clients.';
COMMENT ON COLUMN layercake.replicas.state IS 'live; draining: it sends its clients away; stale: its lease has expired, and another replica is about to remove it.';
COMMENT ON COLUMN layercake.replicas.started_at IS 'When this life began.';
COMMENT ON COLUMN layercake.replicas.lease_expires_at IS 'When it counts as dead unless it renews: 5 s after it last did.';
COMMENT ON COLUMN layercake.replicas.sockets IS 'WebSockets of all transports that it serves.';
COMMENT ON COLUMN layercake.replicas.subscriptions IS 'GraphQL subscriptions that it serves.';
COMMENT ON COLUMN layercake.replicas.open_feeds IS 'Projects whose events it follows.';
COMMENT ON COLUMN layercake.replicas.feed_bytes IS 'Bytes of events that it keeps for those who follow them.';
COMMENT ON COLUMN layercake.replicas.max_lag IS 'How many events the slowest of them is behind.';
COMMENT ON COLUMN layercake.replicas.pool_in_use IS 'Connections to the database that its requests use.';
COMMENT ON COLUMN layercake.replicas.pool_waits IS 'How often a request had to wait for one, since it started.';
COMMENT ON COLUMN layercake.replicas.heartbeat_ms IS 'How long its last heartbeat took through the database, in milliseconds; null before one came back.';
COMMENT ON COLUMN layercake.replicas.heap_bytes IS 'Memory that its objects take.';
COMMENT ON COLUMN layercake.replicas.top_projects IS 'Up to five projects with most on it: an array of project_id, connections (people) and watchers (of events).';
COMMENT ON COLUMN layercake.replicas.wire IS 'Which formats its binary understands: the least among the living decides which are written.';

CREATE OR REPLACE VIEW layercake.who AS
SELECT p.project_id, j.name AS project, p.document_id, p.user_name, p.user_id, p.is_agent, p.selected_node_id,
    p.position AS cursor, p.joined_at, p.active_at, greatest(statement_timestamp() - p.active_at, interval '0') AS idle, p.transport,
    p.connection_id, p.incarnation::text AS replica
FROM public.presence p
LEFT JOIN public.replicas r ON r.incarnation = p.incarnation
JOIN public.projects j ON j.id = p.project_id -- rows of a deleted project are on their way out
WHERE coalesce(p.expires_at, r.expires_at) > statement_timestamp();
COMMENT ON VIEW layercake.who IS 'Who is in which project now, and where: one row a connection, or a guest. People on a replica that died are not here.';
COMMENT ON COLUMN layercake.who.project_id IS 'The project.';
COMMENT ON COLUMN layercake.who.project IS 'Its name.';
COMMENT ON COLUMN layercake.who.document_id IS 'The document that the connection is in; null while in none.';
COMMENT ON COLUMN layercake.who.user_name IS 'How people call them.';
COMMENT ON COLUMN layercake.who.user_id IS 'Who the client says it is; several connections may have the same.';
COMMENT ON COLUMN layercake.who.is_agent IS 'True for a program, false for a person.';
COMMENT ON COLUMN layercake.who.selected_node_id IS 'What it has selected, as old as the cursor.';
COMMENT ON COLUMN layercake.who.cursor IS 'Where its cursor is in the document, up to 15 s old; null before it moved.';
COMMENT ON COLUMN layercake.who.joined_at IS 'When it joined.';
COMMENT ON COLUMN layercake.who.active_at IS 'When it was last heard of, up to a minute old.';
COMMENT ON COLUMN layercake.who.idle IS 'The time since then. More than two minutes is a connection that is about to be cut off.';
COMMENT ON COLUMN layercake.who.transport IS 'How it came: collaboration (the socket of browsers), graphql or mcp.';
COMMENT ON COLUMN layercake.who.connection_id IS 'The connection.';
COMMENT ON COLUMN layercake.who.replica IS 'The replica that serves it; null for a guest, who came by a request.';

CREATE OR REPLACE VIEW layercake.presence_log AS
SELECT l.project_id, l.user_name, l.is_agent, l.connection_id, l.joined_at, l.left_at, l.reason, l.user_id
FROM public.presence_log l;
COMMENT ON VIEW layercake.presence_log IS 'Who was in which project, and how it ended: one row a visit, kept 30 days after it ended.';
COMMENT ON COLUMN layercake.presence_log.project_id IS 'The project, which may be deleted by now.';
COMMENT ON COLUMN layercake.presence_log.user_name IS 'How people called them.';
COMMENT ON COLUMN layercake.presence_log.is_agent IS 'True for a program, false for a person.';
COMMENT ON COLUMN layercake.presence_log.connection_id IS 'The connection. One that joins again, or as somebody else, makes another visit unless the last one is younger than a minute.';
COMMENT ON COLUMN layercake.presence_log.joined_at IS 'When the visit began.';
COMMENT ON COLUMN layercake.presence_log.left_at IS 'When it ended; null while it lasts.';
COMMENT ON COLUMN layercake.presence_log.reason IS 'How it ended: left, closed, lost, silent, slow, protocol, renamed, kicked, drained, project deleted, replica died, expired.';
COMMENT ON COLUMN layercake.presence_log.user_id IS 'Who the client said it is; of several within a minute, the last.';
