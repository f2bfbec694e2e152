-- +goose Up
-- Logged, unlike the people whom it is about: it says who did what to them.
CREATE TABLE commands (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    issued_by     text        NOT NULL DEFAULT session_user,
    kind          text        NOT NULL CONSTRAINT commands_kind CHECK (kind IN ('kick', 'kick_user', 'drain', 'undrain')),
    connection_id uuid,
    user_id       text        CONSTRAINT commands_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 200),
    incarnation   uuid,
    address       text,
    reason        text        CONSTRAINT commands_reason_length CHECK (char_length(reason) <= 1000),
    spread        interval    CONSTRAINT commands_spread_range CHECK (spread BETWEEN interval '0' AND interval '1 hour'),
    acted_at      timestamptz,
    acted_by      text[]      NOT NULL DEFAULT '{}',
    connections   integer     NOT NULL DEFAULT 0 CONSTRAINT commands_connections_counted CHECK (connections >= 0),
    CONSTRAINT commands_complete CHECK (CASE kind
        WHEN 'kick' THEN connection_id IS NOT NULL AND incarnation IS NOT NULL
        WHEN 'kick_user' THEN user_id IS NOT NULL AND incarnation IS NULL
        WHEN 'drain' THEN incarnation IS NOT NULL AND spread IS NOT NULL
        ELSE incarnation IS NOT NULL END),
    CONSTRAINT commands_replica_named CHECK ((incarnation IS NULL) = (address IS NULL)),
    CONSTRAINT commands_acted_by_somebody CHECK ((acted_at IS NULL) = (cardinality(acted_by) = 0))
);
CREATE INDEX commands_by_time ON commands (at);
CREATE INDEX commands_by_replica ON commands (incarnation, id);
COMMENT ON TABLE commands IS 'What DBAs asked of the replicas, who did, and what came of it. Kept for a year.';
COMMENT ON COLUMN commands.id IS 'The command.';
COMMENT ON COLUMN commands.at IS 'When it was issued. Replicas act on what is younger than a minute; a drain stands until an undrain.';
COMMENT ON COLUMN commands.issued_by IS 'The role that had logged in, whatever role it had taken on since.';
COMMENT ON COLUMN commands.kind IS 'kick, kick_user, drain or undrain.';
COMMENT ON COLUMN commands.connection_id IS 'The connection to close; null unless it is a kick.';
COMMENT ON COLUMN commands.user_id IS 'Whose connections to close; of a kick, whose connection it was. Else null.';
COMMENT ON COLUMN commands.incarnation IS 'The life of the replica that it is for; null when it is for all.';
COMMENT ON COLUMN commands.address IS 'Where that replica listened.';
COMMENT ON COLUMN commands.reason IS 'What the client is told; null unless connections are closed one by one.';
COMMENT ON COLUMN commands.spread IS 'The time over which a drain closes the sockets; else null.';
COMMENT ON COLUMN commands.acted_at IS 'When a replica first acted on it; null while none did.';
COMMENT ON COLUMN commands.acted_by IS 'Addresses of the replicas that acted, first to last.';
COMMENT ON COLUMN commands.connections IS 'Connections that were closed; of a drain, that were open when it began.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its functions stand on this table; the next migration makes them again
DROP FUNCTION IF EXISTS live_replica(text), tell_replicas(text);
DROP TABLE commands;
