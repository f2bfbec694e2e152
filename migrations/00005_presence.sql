-- +goose Up
-- The first two tables are UNLOGGED: they say who is here now, and a crash of the server ends that. Replicas write them anew.
-- `layercake migrate --presence=logged` makes them readable on a hot standby.
CREATE UNLOGGED TABLE replicas (
    incarnation   uuid             PRIMARY KEY,
    version       text             NOT NULL,
    address       text             NOT NULL,
    started_at    timestamptz      NOT NULL DEFAULT now(),
    renewed_at    timestamptz      NOT NULL DEFAULT now(),
    expires_at    timestamptz      NOT NULL,
    draining      boolean          NOT NULL DEFAULT false,
    sockets       integer          NOT NULL DEFAULT 0,
    subscriptions integer          NOT NULL DEFAULT 0,
    open_feeds    integer          NOT NULL DEFAULT 0,
    feed_bytes    bigint           NOT NULL DEFAULT 0,
    max_lag       bigint           NOT NULL DEFAULT 0,
    pool_in_use   integer          NOT NULL DEFAULT 0,
    pool_waits    bigint           NOT NULL DEFAULT 0,
    heartbeat_ms  double precision,
    heap_bytes    bigint           NOT NULL DEFAULT 0,
    top_projects  json             NOT NULL DEFAULT '[]',
    CONSTRAINT replicas_expire_after_renewal CHECK (expires_at > renewed_at),
    CONSTRAINT replicas_figures_are_counts CHECK (least(sockets, subscriptions, open_feeds, feed_bytes, max_lag, pool_in_use,
        pool_waits, heap_bytes, heartbeat_ms) >= 0)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 200
);
COMMENT ON TABLE replicas IS 'Leases: one row a life of a replica, renewed every second. One that expired is dead, and what it held is removed.';
COMMENT ON COLUMN replicas.incarnation IS 'A life of a replica: a new id each time that it registers.';
COMMENT ON COLUMN replicas.version IS 'The version of its binary.';
COMMENT ON COLUMN replicas.address IS 'Where it listens for clients.';
COMMENT ON COLUMN replicas.started_at IS 'When this life began.';
COMMENT ON COLUMN replicas.renewed_at IS 'When it last said that it lives, and told its figures.';
COMMENT ON COLUMN replicas.expires_at IS 'When it counts as dead unless it renews, by the clock of the database.';
COMMENT ON COLUMN replicas.draining IS 'It takes no new clients and sends those it has away.';
COMMENT ON COLUMN replicas.sockets IS 'WebSockets of all transports that it serves.';
COMMENT ON COLUMN replicas.subscriptions IS 'GraphQL subscriptions that it serves.';
COMMENT ON COLUMN replicas.open_feeds IS 'Projects whose events it follows.';
COMMENT ON COLUMN replicas.feed_bytes IS 'Bytes of events that it keeps for those who follow them.';
COMMENT ON COLUMN replicas.max_lag IS 'How many events the slowest of them is behind.';
COMMENT ON COLUMN replicas.pool_in_use IS 'Connections to the database that its requests use.';
COMMENT ON COLUMN replicas.pool_waits IS 'How often a request had to wait for one, since it started.';
COMMENT ON COLUMN replicas.heartbeat_ms IS 'How long its last heartbeat took through the database; null before one came back.';
COMMENT ON COLUMN replicas.heap_bytes IS 'Memory that its objects take.';
COMMENT ON COLUMN replicas.top_projects IS 'The projects with most connections and subscriptions on it.';

CREATE UNLOGGED TABLE presence (
    connection_id    uuid        PRIMARY KEY,
    incarnation      uuid        NOT NULL CONSTRAINT presence_replica REFERENCES replicas ON DELETE CASCADE,
    project_id       integer     NOT NULL,
    revision         bigint      NOT NULL,
    user_id          text        NOT NULL CONSTRAINT presence_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 200),
    user_name        text        NOT NULL CONSTRAINT presence_user_name_length CHECK (char_length(user_name) BETWEEN 1 AND 100),
    avatar_color     text        NOT NULL CONSTRAINT presence_avatar_color_length CHECK (octet_length(avatar_color) <= 64),
    is_agent         boolean     NOT NULL,
    transport        text        NOT NULL CONSTRAINT presence_transport CHECK (transport IN ('collaboration', 'graphql', 'mcp')),
    document_id      text        CONSTRAINT presence_document_id_length CHECK (octet_length(document_id) <= 200),
    document_type    text,
    position         json,
    selected_node_id text        CONSTRAINT presence_selected_node_id_length CHECK (octet_length(selected_node_id) <= 200),
    document_at      timestamptz,
    joined_at        timestamptz NOT NULL,
    active_at        timestamptz NOT NULL,
    CONSTRAINT presence_document_complete CHECK ((document_id IS NULL) = (document_type IS NULL)
        AND (document_id IS NULL) = (document_at IS NULL)
        AND (document_id IS NOT NULL OR (position IS NULL AND selected_node_id IS NULL)))
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
CREATE INDEX presence_by_incarnation ON presence (incarnation);
CREATE INDEX presence_by_project ON presence (project_id);
COMMENT ON TABLE presence IS 'Who is in a project now: one row a connection. Two tabs are two rows. Written by the replica that serves the connection.';
COMMENT ON COLUMN presence.connection_id IS 'The connection; everything else is an attribute of it.';
COMMENT ON COLUMN presence.incarnation IS 'The life of a replica that serves it; the row ends with it.';
COMMENT ON COLUMN presence.project_id IS 'The project. No reference: a batch of rows must not fail because one project was just deleted.';
COMMENT ON COLUMN presence.revision IS 'Steps with each change of the connection: what is older is dropped.';
COMMENT ON COLUMN presence.user_id IS 'Who the client says it is. A label, not a key: several connections may have the same.';
COMMENT ON COLUMN presence.user_name IS 'How people call them.';
COMMENT ON COLUMN presence.avatar_color IS 'As the client gave it; may be empty.';
COMMENT ON COLUMN presence.is_agent IS 'True for a program, false for a person.';
COMMENT ON COLUMN presence.transport IS 'How it came: collaboration (the socket of browsers), graphql or mcp.';
COMMENT ON COLUMN presence.document_id IS 'The document that the connection is in; null while in none.';
COMMENT ON COLUMN presence.document_type IS 'canvas, spreadsheet, 3d, timeline or code_editor.';
COMMENT ON COLUMN presence.position IS 'Where its cursor is in the document, up to 15 s old.';
COMMENT ON COLUMN presence.selected_node_id IS 'What it has selected, as old as the position.';
COMMENT ON COLUMN presence.document_at IS 'When it was last active in the document, as old as the position.';
COMMENT ON COLUMN presence.joined_at IS 'When it joined.';
COMMENT ON COLUMN presence.active_at IS 'When it was last heard of, up to a minute old.';

CREATE TABLE presence_log (
    connection_id uuid        NOT NULL,
    joined_at     timestamptz NOT NULL,
    incarnation   uuid        NOT NULL,
    project_id    integer     NOT NULL,
    user_id       text        NOT NULL,
    user_name     text        NOT NULL,
    is_agent      boolean     NOT NULL,
    left_at       timestamptz,
    reason        text,
    PRIMARY KEY (connection_id, joined_at),
    CONSTRAINT presence_log_left_for_a_reason CHECK ((left_at IS NULL) = (reason IS NULL))
);
CREATE INDEX presence_log_open ON presence_log (incarnation) WHERE left_at IS NULL;
CREATE INDEX presence_log_by_project ON presence_log (project_id, joined_at);
CREATE INDEX presence_log_by_end ON presence_log (left_at);
COMMENT ON TABLE presence_log IS 'Who was in a project, and how it ended: one row a visit, kept 30 days. Unlike presence it outlives a crash.';
COMMENT ON COLUMN presence_log.connection_id IS 'The connection. One that joins again, or as somebody else, makes another visit.';
COMMENT ON COLUMN presence_log.joined_at IS 'When the visit began.';
COMMENT ON COLUMN presence_log.incarnation IS 'The life of a replica that serves it, or did last; of guests the largest id.';
COMMENT ON COLUMN presence_log.project_id IS 'The project, which may be deleted by now.';
COMMENT ON COLUMN presence_log.user_id IS 'Who the client said it is.';
COMMENT ON COLUMN presence_log.user_name IS 'How people called them.';
COMMENT ON COLUMN presence_log.is_agent IS 'True for a program, false for a person.';
COMMENT ON COLUMN presence_log.left_at IS 'When it ended; null while it lasts.';
COMMENT ON COLUMN presence_log.reason IS 'How it ended; null while it lasts.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on these tables; the next migration makes them again
DROP TABLE presence_log;
DROP TABLE presence;
DROP TABLE replicas;
