-- +goose Up
-- All of these tables are logged. A message of the inbox was accepted, which is a promise, and it stands under its session, so that must
-- outlive a crash as well. A session that is made does not wait for the disk: a crash loses those of the last moment, unless a message of
-- theirs was accepted, whose commit carries what came before it to the disk.
CREATE TABLE mcp_sessions (
    id               uuid        PRIMARY KEY,
    transport        text        NOT NULL CONSTRAINT mcp_sessions_transport CHECK (transport IN ('http', 'sse')),
    protocol_version text        NOT NULL CONSTRAINT mcp_sessions_protocol_version_length CHECK (char_length(protocol_version) <= 200),
    client_name      text        NOT NULL CONSTRAINT mcp_sessions_client_name_length CHECK (char_length(client_name) <= 200),
    client_title     text        NOT NULL CONSTRAINT mcp_sessions_client_title_length CHECK (char_length(client_title) <= 200),
    client_version   text        NOT NULL CONSTRAINT mcp_sessions_client_version_length CHECK (char_length(client_version) <= 200),
    parameters       json        NOT NULL CONSTRAINT mcp_sessions_parameters_length CHECK (octet_length(parameters::text) <= 65536),
    agent_id         text        NOT NULL CONSTRAINT mcp_sessions_agent_id_length CHECK (char_length(agent_id) BETWEEN 1 AND 200),
    agent_name       text        NOT NULL CONSTRAINT mcp_sessions_agent_name_length CHECK (char_length(agent_name) BETWEEN 1 AND 100),
    network          text        NOT NULL,
    revision         bigint      NOT NULL DEFAULT 0,
    stream_id        uuid,
    stream_replica   uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    seen_at          timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    CONSTRAINT mcp_sessions_expire_after_seen CHECK (expires_at > seen_at),
    CONSTRAINT mcp_sessions_stream_whole CHECK ((stream_id IS NULL) = (stream_replica IS NULL))
);
CREATE INDEX mcp_sessions_by_expiry ON mcp_sessions (expires_at);
COMMENT ON TABLE mcp_sessions IS 'Sessions of agents that speak MCP: one row each, which any replica serves, until 24 h after its last request.';
COMMENT ON COLUMN mcp_sessions.id IS 'The session, as its client names it.';
COMMENT ON COLUMN mcp_sessions.transport IS 'http: requests to /mcp; sse: a stream of /mcp/sse.';
COMMENT ON COLUMN mcp_sessions.protocol_version IS 'The version of the protocol that client and server agreed on; empty before that.';
COMMENT ON COLUMN mcp_sessions.client_name IS 'The name of the client program, as it says.';
COMMENT ON COLUMN mcp_sessions.client_title IS 'Its name for people; may be empty.';
COMMENT ON COLUMN mcp_sessions.client_version IS 'The version of the client program.';
COMMENT ON COLUMN mcp_sessions.parameters IS 'What the client sent to initialize the session, from which any replica restores it.';
COMMENT ON COLUMN mcp_sessions.agent_id IS 'The agent, as the log of changes names it.';
COMMENT ON COLUMN mcp_sessions.agent_name IS 'How people call the agent.';
COMMENT ON COLUMN mcp_sessions.network IS 'Where the session was made from: an IPv4 address, or a /64 of IPv6.';
COMMENT ON COLUMN mcp_sessions.revision IS 'Steps with each change of its subscriptions.';
COMMENT ON COLUMN mcp_sessions.stream_id IS 'The stream that the session has open, the newest; null while it has none.';
COMMENT ON COLUMN mcp_sessions.stream_replica IS 'The life of the replica that opened the stream. When it ended, so has the stream.';
COMMENT ON COLUMN mcp_sessions.created_at IS 'When it began.';
COMMENT ON COLUMN mcp_sessions.seen_at IS 'When its client last sent something, as old as a minute.';
COMMENT ON COLUMN mcp_sessions.expires_at IS 'When it ends unless the client sends something.';

CREATE TABLE mcp_subscriptions (
    session_id uuid NOT NULL CONSTRAINT mcp_subscriptions_session REFERENCES mcp_sessions ON DELETE CASCADE,
    uri        text NOT NULL CONSTRAINT mcp_subscriptions_uri_length CHECK (char_length(uri) BETWEEN 1 AND 1000),
    PRIMARY KEY (session_id, uri)
);
COMMENT ON TABLE mcp_subscriptions IS 'The resources whose changes the stream of a session hears of.';
COMMENT ON COLUMN mcp_subscriptions.session_id IS 'The session.';
COMMENT ON COLUMN mcp_subscriptions.uri IS 'The resource.';

-- Numbers are taken under the lock of the session's row, so within a session they follow commits.
CREATE TABLE mcp_inbox (
    session_id uuid        NOT NULL CONSTRAINT mcp_inbox_session REFERENCES mcp_sessions ON DELETE CASCADE,
    seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    key        text        NOT NULL CONSTRAINT mcp_inbox_key_length CHECK (char_length(key) <= 1000),
    body       bytea       NOT NULL CONSTRAINT mcp_inbox_body_length CHECK (octet_length(body) <= 1048576),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
CREATE INDEX mcp_inbox_by_age ON mcp_inbox (at);
COMMENT ON TABLE mcp_inbox IS 'Messages of clients that one replica accepted and another one needs. Each goes when it is taken, or after a minute.';
COMMENT ON COLUMN mcp_inbox.session_id IS 'The session.';
COMMENT ON COLUMN mcp_inbox.seq IS 'The order in which the messages of a session were accepted.';
COMMENT ON COLUMN mcp_inbox.key IS 'The call that waits for the message; empty for one to the stream of the session.';
COMMENT ON COLUMN mcp_inbox.body IS 'The message.';
COMMENT ON COLUMN mcp_inbox.at IS 'When it was accepted.';

-- The number of sessions is limited. Counting them for each new one would read all of their index.
CREATE TABLE mcp_totals (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT mcp_totals_one_row CHECK (only_row),
    sessions bigint  NOT NULL CONSTRAINT mcp_totals_sessions_count CHECK (sessions >= 0)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
INSERT INTO mcp_totals (sessions) VALUES (0);
COMMENT ON TABLE mcp_totals IS 'One row: how many sessions there are, kept by triggers.';
COMMENT ON COLUMN mcp_totals.only_row IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN mcp_totals.sessions IS 'The rows of mcp_sessions.';

-- +goose StatementBegin
CREATE FUNCTION count_mcp_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
DECLARE
    n bigint := (SELECT count(*) FROM changed);
BEGIN
    IF n > 0 THEN
        UPDATE mcp_totals SET sessions = sessions + CASE TG_OP WHEN 'INSERT' THEN n ELSE -n END WHERE only_row;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION count_mcp_sessions IS 'Counts the sessions that come and go.';
REVOKE ALL ON FUNCTION count_mcp_sessions FROM PUBLIC;
CREATE TRIGGER mcp_sessions_come AFTER INSERT ON mcp_sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_mcp_sessions();
CREATE TRIGGER mcp_sessions_go AFTER DELETE ON mcp_sessions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_mcp_sessions();
REVOKE ALL ON mcp_sessions, mcp_subscriptions, mcp_inbox, mcp_totals FROM PUBLIC;

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on these tables; the next migration makes them again
DROP TABLE mcp_inbox, mcp_subscriptions, mcp_sessions, mcp_totals;
DROP FUNCTION count_mcp_sessions;
