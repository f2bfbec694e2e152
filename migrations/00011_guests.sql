-- +goose Up
-- Who has no connection costs nothing to be made, so it is counted who makes them.
ALTER TABLE presence
    ADD COLUMN caller text,
    ADD COLUMN network text;
CREATE INDEX presence_by_caller ON presence (caller) WHERE caller IS NOT NULL;
CREATE INDEX presence_by_network ON presence (network) WHERE network IS NOT NULL;
COMMENT ON COLUMN presence.caller IS 'Who made a guest: a socket, or later a user. Null for a connection.';
COMMENT ON COLUMN presence.network IS 'Where the request that made a guest came from: an IPv4 address, or a /64 of IPv6. Null for a connection.';
COMMENT ON TABLE presence_log IS 'Who was in a project, and how it ended: one row for a visit, at most one a minute for a connection, kept 30 days. Unlike presence it outlives a crash.';
COMMENT ON COLUMN presence_log.connection_id IS 'The connection. One that joins again, or as somebody else, makes another visit unless the last one is younger than a minute.';
COMMENT ON COLUMN presence_log.user_id IS 'Who the client said it is; of several within a minute, the last.';

-- +goose Down
DROP SCHEMA IF EXISTS layercake CASCADE; -- its views stand on this table; the next migration makes them again
ALTER TABLE presence DROP COLUMN network, DROP COLUMN caller;
